//! The recipe: for the whole network in the steps in which it acts, and for the selected layer as exceptions with a reset
//! each.

mod axis;
mod embedded;
mod layer;
mod presets;
mod ranges;
mod rows;
mod steps;

use super::Outbox;
use super::text;
use super::theme::tokens;
use crate::session::{OpenNetwork, Session};
use egui::Ui;

/// The panel.
pub(super) fn recipe_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    embedded::embedded_ui(ui, open, out);
    ui.horizontal(|ui| {
        ui.strong("Whole network");
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            presets::presets_ui(ui, session, out);
        });
    });
    steps::steps_ui(ui, open, out);
    overhead_ui(ui, open);
    ui.separator();
    layer::layer_ui(ui, open, out);
}

fn overhead_ui(ui: &mut Ui, open: &OpenNetwork) {
    let Some((_, planned)) = open.planned() else {
        match open.plan_failure() {
            Some(reason) => ui.colored_label(tokens(ui).error, reason),
            None => ui.label("Overhead: counting…"),
        };
        return;
    };
    let overhead = &planned.overhead;
    let mut parts = vec![format!("{} weights", text::added(overhead.weights))];
    if let Some(activations) = overhead.activations {
        parts.push(format!("{} activations", text::added(activations)));
    }
    if let Some(macs) = overhead.macs {
        parts.push(format!("{} MACs", text::added(macs)));
    }
    ui.add(egui::Label::new(format!("Overhead {}", parts.join(" · "))).wrap())
        .on_hover_text(
            "What splitting adds: parameters of the model, input values of its layers, multiply-accumulates.",
        );
    if let Some(reason) = open.plan_failure() {
        ui.colored_label(tokens(ui).error, reason);
    }
}
