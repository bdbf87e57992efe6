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
use super::learn::glossary::{Term, help_ui};
use super::text;
use super::widgets::stopped_ui;
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
    overhead_ui(ui, open);
    steps::steps_ui(ui, open, out);
    ui.separator();
    layer::layer_ui(ui, open, out);
}

fn overhead_ui(ui: &mut Ui, open: &OpenNetwork) {
    let Some((_, planned)) = open.planned() else {
        match open.plan_failure() {
            Some(error) => stopped_ui(ui, error),
            None => {
                ui.label("Overhead: counting…");
            }
        }
        return;
    };
    let overhead = &planned.overhead;
    let mut parts = vec![format!("{} weights", text::added(overhead.weights))];
    if let Some(macs) = overhead.macs {
        parts.push(format!("{} MACs", text::added(macs)));
    }
    let mut help =
        "What splitting adds: parameters of the model, multiply-accumulates, input values of its layers".to_owned();
    match overhead.activations {
        Some(activations) => help += &format!(" ({}).", text::added(activations)),
        None => help.push('.'),
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label(format!("Overhead {}", parts.join(" · "))).on_hover_text(help);
        help_ui(ui, Term::Overhead);
    });
    if let Some(error) = open.plan_failure() {
        stopped_ui(ui, error);
    }
}
