//! The name of the selected layer and its first facts, above the views that are about it.

use super::text;
use crate::session::OpenNetwork;
use egui::Ui;

/// Two lines: the name; operator, shape and outliers.
pub(super) fn layer_title_ui(ui: &mut Ui, open: &OpenNetwork, sigma: f64) {
    let Some(layer) = open.original.network.layers.get(open.selected()) else {
        return;
    };
    let width = ui.available_width();
    ui.scope(|ui| {
        ui.style_mut().override_text_style = Some(egui::TextStyle::Heading);
        text::elided_label(ui, &layer.name, width);
    });
    let mut facts = format!("{} {}", layer.op, text::shape(&layer.shape));
    if let Some(known) = open.selected_facts().filter(|known| known.readable().is_some()) {
        let outliers = text::plural(known.outliers, "outlier", "outliers");
        facts += &format!(
            " · farthest weight {:.1} σ · {outliers} beyond {} σ",
            known.farthest_in_sigma().unwrap_or(0.0),
            text::short_number(sigma)
        );
    }
    ui.add(egui::Label::new(text::note(facts)).truncate())
        .on_hover_text("σ is the standard deviation of the layer's weights: how wide most of them lie.");
}
