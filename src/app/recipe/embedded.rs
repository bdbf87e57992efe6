//! The recipe that the open file was exported with, shown and offered for the network that it was made of.

use crate::app::Outbox;
use crate::app::text::note;
use crate::app::theme::tokens;
use crate::app::wording::choices;
use crate::quantization::Recipe;
use crate::session::{Action, OpenNetwork};
use egui::{CollapsingHeader, Grid, Label, Ui};

/// Draws it, where there is one.
pub(super) fn embedded_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    match open.embedded_recipe() {
        None => {}
        Some(Err(reason)) => {
            let what = format!("The file says that it was quantized here, but its recipe cannot be read: {reason}");
            ui.add(Label::new(egui::RichText::new(what).color(tokens(ui).warning)).wrap());
            ui.separator();
        }
        Some(Ok(recipe)) => {
            recipe_ui(ui, recipe, out);
            ui.separator();
        }
    }
}

fn recipe_ui(ui: &mut Ui, recipe: &Recipe, out: &mut Outbox) {
    ui.strong("Quantized by Splitscope");
    let what = "This file is an export: its weights are on their grid already, so the settings below change only what was left \
                float. It carries the recipe that made it.";
    ui.add(Label::new(note(what)).wrap());
    CollapsingHeader::new("Its recipe").default_open(true).show(ui, |ui| {
        let plain = Recipe::default();
        let usual = choices(&plain);
        Grid::new("embedded recipe")
            .num_columns(2)
            .spacing([12.0, 2.0])
            .show(ui, |ui| {
                for (place, ((name, value), usual)) in choices(recipe).iter().zip(&usual).enumerate() {
                    // Bits, ratio, split and clip always; of the rest what is not as usual.
                    if place < ALWAYS || *value != usual.1 {
                        ui.label(note(name));
                        ui.label(value);
                        ui.end_row();
                    }
                }
                if !recipe.layers.is_empty() {
                    ui.label(note("layers with exceptions"));
                    let names: Vec<&str> = recipe.layers.keys().map(String::as_str).collect();
                    ui.label(recipe.layers.len().to_string())
                        .on_hover_text(names.join("\n"));
                    ui.end_row();
                }
            });
    });
    ui.horizontal_wrapped(|ui| {
        let help = "Open the float network next: it gets this recipe, and is as it was when this file was written.";
        if ui.button("Use on the next network").on_hover_text(help).clicked() {
            out.actions.push(Action::CarryRecipe);
        }
        let copy = ui
            .button("Copy")
            .on_hover_text("The recipe as text, as a recipe file has it.");
        copy.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Copy its recipe"));
        if copy.clicked()
            && let Ok(text) = recipe.to_toml()
        {
            ui.ctx().copy_text(text);
        }
    });
}

/// Choices that are always shown: the first of [`choices`].
const ALWAYS: usize = 5;
