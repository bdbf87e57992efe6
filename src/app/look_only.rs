//! That no recipe does anything to a network, since all its layers can only be looked at, and what a person can do.

use crate::network::{Network, Support, Unsupported};
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
            Support::View(reason) => reasons.push(reason),
            Support::Split | Support::Quantize(_) => return None,
        }
    }
    let first = *reasons.first()?;
    let rule = |reason: &Unsupported| {
        let text = reason.to_string();
        text.split(':').next().unwrap_or_default().to_owned()
    };
    let short = rule(first);
    let layers = match reasons.len() {
        1 => "its only layer".to_owned(),
        count => format!("all its {count} layers"),
    };
    let more = if reasons.iter().all(|reason| rule(reason) == short) {
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
fn way_out(reason: &Unsupported) -> &'static str {
    match reason {
        Unsupported::Inside(_) => {
            "Export it again without the branch or loop, for one case (one sampling rate, one mode), and open that file; the \
             weights are still to be seen in the views of layers."
        }
        Unsupported::Quantized(_) | Unsupported::NotFloats(_) | Unsupported::WithoutScale(_) => {
            "Open the float network that it was made from; the weights are still to be seen in the views of layers."
        }
        _ => "Its weights are still to be seen in the views of layers.",
    }
}
