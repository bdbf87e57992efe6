//! That no recipe does anything to a network, since all its layers can only be looked at, and what a person can do.

use crate::network::{Network, Support};
use egui::{Label, Ui};

/// Draws why no recipe changes the network; tells whether that is so.
pub(super) fn look_only_ui(ui: &mut Ui, network: &Network) -> bool {
    let what = look_only(network);
    if let Some(what) = &what {
        ui.add(Label::new(what).wrap());
    }
    what.is_some()
}

/// Why no recipe changes `network`, and the way out; `None` where one can, or where there is no layer at all.
pub(super) fn look_only(network: &Network) -> Option<String> {
    let mut reasons = Vec::new();
    for layer in &network.layers {
        match &layer.support {
            Support::View(reason) => reasons.push(reason.as_str()),
            Support::Split | Support::Quantize(_) => return None,
        }
    }
    let first = *reasons.first()?;
    // What stands behind the colon is the rule, not the case.
    let short = first.split(':').next().unwrap_or(first);
    let layers = match reasons.len() {
        1 => "its only layer".to_owned(),
        count => format!("all its {count} layers"),
    };
    let more = if reasons.iter().all(|reason| reason.split(':').next() == Some(short)) {
        ""
    } else {
        ", and the like"
    };
    Some(format!(
        "No recipe changes this network: {layers} can only be looked at ({short}{more}). {}",
        way_out(first)
    ))
}

/// What a person can do about layers that can only be looked at for this reason.
fn way_out(reason: &str) -> &'static str {
    if reason.starts_with("inside a") {
        "Export it again without the branch or loop, for one case (one sampling rate, one mode), and open that file; the weights \
         are still to be seen in the views of layers."
    } else if reason.starts_with("quantized already") || reason.starts_with("weights are") {
        "Open the float network that it was made from; the weights are still to be seen in the views of layers."
    } else {
        "Its weights are still to be seen in the views of layers."
    }
}
