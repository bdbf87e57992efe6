//! Rows of controls: a name with its explanation, and the control that it names.

use crate::app::learn::glossary::explain_ui;
use egui::{Align, Layout, Response, Ui};

/// Width of a slider that takes what its number leaves of the row, points.
pub(in crate::app) fn slider_width(ui: &Ui) -> f32 {
    (ui.available_width() - 66.0).max(60.0)
}

/// A control with its name above it; the name is what screen readers call the control.
pub(in crate::app) fn label_row(
    ui: &mut Ui,
    name: &str,
    help: &str,
    control: impl FnOnce(&mut Ui) -> Response,
) -> Response {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 1.0;
        ui.spacing_mut().slider_width = slider_width(ui);
        let label = name_ui(ui, name, help);
        control(ui).labelled_by(label.id).on_hover_text(help)
    })
    .inner
}

/// The name of a control with a `?` that opens its explanation; the name's response.
fn name_ui(ui: &mut Ui, name: &str, help: &str) -> Response {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let label = ui.label(name).on_hover_text(help);
        explain_ui(ui, name.trim(), help);
        label
    })
    .inner
}

/// A choice with its name before it.
pub(in crate::app) fn choice_row(
    ui: &mut Ui,
    name: &str,
    help: &str,
    control: impl FnOnce(&mut Ui) -> Response,
) -> Response {
    ui.horizontal(|ui| {
        let label = name_ui(ui, name, help);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            control(ui).labelled_by(label.id).on_hover_text(help)
        })
        .inner
    })
    .inner
}
