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
use super::command::Command;
use super::learn::glossary::{Term, help_ui};
use super::text;
use super::widgets::stopped_ui;
use crate::quantization::Recipe;
use crate::session::{Action, OpenNetwork, Session};
use egui::{Color32, TextStyle, Ui};

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
    exceptions_ui(ui, open, out);
    steps::steps_ui(ui, open, out);
    ui.separator();
    layer::layer_ui(ui, open, out);
}

/// Layers with settings of their own from which on they are told: the values below hold for the others only.
const MIN_EXCEPTIONS: usize = 2;

/// How many layers differ from the whole network's settings, with buttons that list them and that make them follow it again.
fn exceptions_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    let recipe = open.recipe();
    if recipe.layers.len() < MIN_EXCEPTIONS {
        // The controls below keep their identity when the row comes: a drag that brings it goes on.
        ui.skip_ahead_auto_ids(1);
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label(exceptions_text(recipe))
            .on_hover_text("These layers have settings of their own, which come before those of the whole network.");
        let show = ui.small_button("show").on_hover_text("List only these layers.");
        if show.clicked() {
            out.commands.push(Command::ShowExceptions);
        }
        let clear = ui.small_button("clear");
        if clear
            .on_hover_text("Let all layers follow the whole network's settings; Undo takes it back.")
            .clicked()
        {
            let mut recipe = recipe.clone();
            recipe.layers.clear();
            out.actions.push(Action::EditRecipe {
                recipe: Box::new(recipe),
                gesture: false,
            });
        }
    });
}

/// `21 layers differ (2 to 5 bits)`.
fn exceptions_text(recipe: &Recipe) -> String {
    let bits = recipe.layers.values().filter_map(|layer| layer.weight_bits?.grid());
    let ends = bits.fold(None, |ends: Option<(u8, u8)>, bits| {
        let (low, high) = ends.unwrap_or((bits, bits));
        Some((low.min(bits), high.max(bits)))
    });
    let bits = match ends {
        None => String::new(),
        Some((low, high)) if low == high => format!(" ({low} bits)"),
        Some((low, high)) => format!(" ({low} to {high} bits)"),
    };
    let count = recipe.layers.len() as u64;
    format!(
        "{} {}{bits}",
        text::plural(count, "layer", "layers"),
        if count == 1 { "differs" } else { "differ" }
    )
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
    let mut lines = vec![format!("Overhead {}", parts.join(" · "))];
    let font = TextStyle::Body.resolve(ui.style());
    let line = ui
        .painter()
        .layout_no_wrap(lines[0].clone(), font, Color32::PLACEHOLDER);
    if line.size().x + ui.spacing().interact_size.y > ui.available_width() {
        lines = vec!["Overhead".to_owned(), parts.join(" · ")];
    }
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label(&lines[0]).on_hover_text(help);
        help_ui(ui, Term::Overhead);
    });
    for line in &lines[1..] {
        ui.label(line);
    }
    if let Some(error) = open.plan_failure() {
        stopped_ui(ui, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::{Bits, LayerRecipe};

    #[test]
    fn layers_that_differ_are_counted_with_the_range_of_their_bits() {
        let with = |bits: &[Option<u8>]| {
            let layer = |(place, bits): (usize, &Option<u8>)| {
                let own = LayerRecipe {
                    weight_bits: bits.map(Bits::Grid),
                    float: bits.is_none().then_some(true),
                    ..LayerRecipe::default()
                };
                (format!("layer{place}"), own)
            };
            let recipe = Recipe {
                layers: bits.iter().enumerate().map(layer).collect(),
                ..Recipe::default()
            };
            exceptions_text(&recipe)
        };
        assert_eq!(
            with(&[Some(2), None, Some(5), Some(3)]),
            "4 layers differ (2 to 5 bits)"
        );
        assert_eq!(with(&[Some(4), Some(4)]), "2 layers differ (4 bits)");
        assert_eq!(with(&[None, None]), "2 layers differ");
    }
}
