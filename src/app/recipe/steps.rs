//! The choices for the whole network, in the order in which they act on it.

use super::super::Outbox;
use super::super::learn::glossary::explain_ui;
use super::super::text::note;
use super::ranges::ranges_ui;
use super::rows::{
    Edit, bits_row, clip_row, export_row, help, products_row, ratio_row, rounding_row, scales_row, split_row,
    storage_row,
};
use crate::quantization::{Field, Recipe};
use crate::session::{Action, OpenNetwork, start_recipe};
use egui::{RichText, Ui};

/// Space above the heading of a step, points.
const ABOVE: f32 = 2.0;

/// All steps.
pub(super) fn steps_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    let mut edit = Edit::from_start(open.recipe().clone(), start_recipe(open.demo));
    heading(
        ui,
        "1 Prepare",
        "First the network is rewritten without changing what it computes.",
    );
    switch(ui, &mut edit, &FOLD);
    switch(ui, &mut edit, &EQUALIZE);
    split_step(ui, &mut edit);
    heading(ui, "3 Clip", "Then it is chosen where the grid of the weights ends.");
    clip_row(ui, "Clip", help("clip"), &mut edit, |recipe| &mut recipe.clip);
    grid_step(ui, &mut edit);
    activations_step(ui, open, &mut edit, out);
    heading(ui, "6 Biases", "Then biases take back what rounding has moved.");
    switch(ui, &mut edit, &BIASES);
    export_step(ui, &mut edit);
    if let Some(gesture) = edit.changed {
        out.actions.push(Action::EditRecipe {
            recipe: Box::new(edit.value),
            gesture,
        });
    }
    if edit.released {
        out.actions.push(Action::EndGesture);
    }
}

/// The name of a step, with a line to the edge of the panel.
fn heading(ui: &mut Ui, name: &str, what: &str) {
    ui.add_space(ABOVE);
    ui.horizontal(|ui| {
        ui.label(RichText::new(name).small().strong()).on_hover_text(what);
        ui.add(egui::Separator::default().horizontal());
    });
}

fn split_step(ui: &mut Ui, edit: &mut Edit<Recipe>) {
    heading(
        ui,
        "2 Split",
        "Then the channels that hold the largest weights are split in two.",
    );
    ratio_row(ui, "Expand ratio", help("expand_ratio"), edit, |recipe| {
        &mut recipe.expand_ratio
    });
    if edit.value.expand_ratio == 0.0 {
        let hint = "At 0 % nothing is split. Move it up to split the channels that hold the outliers.";
        ui.add(egui::Label::new(note(hint)).wrap());
    }
    split_row(ui, "Split", help("split"), edit, |recipe| &mut recipe.split);
}

fn grid_step(ui: &mut Ui, edit: &mut Edit<Recipe>) {
    heading(ui, "4 Grid", "Then the weights are rounded to a grid.");
    bits_row(ui, "Weight bits", help("weight_bits"), edit, |recipe| {
        &mut recipe.weight_bits
    });
    scales_row(ui, "Scales", help("scales"), edit, |recipe| &mut recipe.scales);
    rounding_row(ui, "Rounding", help("rounding"), edit, |recipe| &mut recipe.rounding);
    for one in &[EMBEDDINGS, FIRST, LAST] {
        switch(ui, edit, one);
    }
}

fn activations_step(ui: &mut Ui, open: &OpenNetwork, edit: &mut Edit<Recipe>, out: &mut Outbox) {
    heading(
        ui,
        "5 Activations",
        "The same for the numbers that flow between the layers: split, clip, round.",
    );
    bits_row(ui, "Activation bits", help("activation_bits"), edit, |recipe| {
        &mut recipe.activation_bits
    });
    if open.quantizes_activations() {
        ratio_row(
            ui,
            "Activation ratio",
            help("activation_expand_ratio"),
            edit,
            |recipe| &mut recipe.activation_expand_ratio,
        );
        split_row(ui, "Activation split", help("activation_split"), edit, |recipe| {
            &mut recipe.activation_split
        });
        clip_row(ui, "Activation clip", help("activation_clip"), edit, |recipe| {
            &mut recipe.activation_clip
        });
    }
    switch(ui, edit, &UNSIGNED);
    switch(ui, edit, &OUTPUTS);
    if open.recipe().needs_activations() {
        ranges_ui(ui, open, out);
    }
}

fn export_step(ui: &mut Ui, edit: &mut Edit<Recipe>) {
    heading(
        ui,
        "7 Export",
        "At last the network is written, with the copies that splits need.",
    );
    let mut way = Edit::new(edit.value.split_export);
    export_row(ui, &mut way);
    if way.changed.is_some() {
        edit.value.split_export = way.value;
        edit.changed = way.changed;
    }
    storage_row(ui, edit, |recipe| &mut recipe.storage);
    products_row(ui, edit, |recipe| &mut recipe.products);
}

/// A choice of yes or no: its name in the table of fields, and its place.
type Switch = (&'static str, fn(&mut Recipe) -> &mut bool);

fn switch(ui: &mut Ui, edit: &mut Edit<Recipe>, (name, field): &Switch) {
    let Some(Field { label, help, .. }) = Field::named(name) else {
        return;
    };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let response = ui.checkbox(field(&mut edit.value), *label).on_hover_text(*help);
        edit.seen(&response);
        explain_ui(ui, label, help);
    });
}

const FOLD: Switch = ("fold_batch_norm", |recipe| &mut recipe.fold_batch_norm);
const EQUALIZE: Switch = ("cross_layer_equalization", |recipe| {
    &mut recipe.cross_layer_equalization
});
const BIASES: Switch = ("bias_correction", |recipe| &mut recipe.bias_correction);
const UNSIGNED: Switch = ("unsigned_activations", |recipe| &mut recipe.unsigned_activations);
const OUTPUTS: Switch = ("quantize_outputs", |recipe| &mut recipe.quantize_outputs);
const EMBEDDINGS: Switch = ("quantize_embeddings", |recipe| &mut recipe.quantize_embeddings);
const FIRST: Switch = ("float_first_layer", |recipe| &mut recipe.float_first_layer);
const LAST: Switch = ("float_last_layer", |recipe| &mut recipe.float_last_layer);
