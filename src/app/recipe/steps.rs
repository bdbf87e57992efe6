//! The choices for the whole network, in the order in which they act on it.

use super::super::Outbox;
use super::super::learn::glossary::explain_ui;
use super::super::learn::spotlight::{Spot, spot};
use super::super::text::note;
use super::super::widgets::choice_row;
use super::ranges::ranges_ui;
use super::rows::{
    Edit, bits_row, clip_row, export_row, help, products_row, ratio_row, rounding_row, scales_row, split_row,
    storage_row,
};
use crate::network::LayerKind;
use crate::quantization::{Field, Recipe};
use crate::session::{Action, OpenNetwork, start_recipe};
use egui::{DragValue, RichText, Ui};

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
    // Only transformers have a residual stream that can be turned.
    if edit.value.rotate
        || open
            .original
            .network
            .layers
            .iter()
            .any(|layer| layer.kind == LayerKind::Embedding)
    {
        switch(ui, &mut edit, &ROTATE);
    }
    smooth_row(ui, &mut edit);
    switch(ui, &mut edit, &AWQ);
    split_step(ui, &mut edit);
    heading(ui, "3 Clip", "Then it is chosen where the grid of the weights ends.");
    where_it_acts(ui, &mut edit, "clip", |ui, edit| {
        clip_row(ui, "Clip", help("clip"), edit, |recipe| &mut recipe.clip);
    });
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
    let top = ui.cursor().min;
    ratio_row(ui, "Expand ratio", help("expand_ratio"), edit, |recipe| {
        &mut recipe.expand_ratio
    });
    let row = egui::Rect::from_min_max(top, egui::pos2(ui.max_rect().max.x, ui.cursor().min.y));
    spot(ui.ctx(), Spot::ExpandRatio, row);
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
    where_it_acts(ui, edit, "scales", |ui, edit| {
        scales_row(ui, "Scales", help("scales"), edit, |recipe| &mut recipe.scales);
    });
    switch(ui, edit, &ZERO_POINTS);
    where_it_acts(ui, edit, "rounding", |ui, edit| {
        rounding_row(ui, "Rounding", help("rounding"), edit, |recipe| &mut recipe.rounding);
    });
    for one in &[SEQUENTIAL, EMBEDDINGS, FIRST, LAST] {
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
    where_it_acts(ui, edit, "storage", |ui, edit| {
        storage_row(ui, edit, |recipe| &mut recipe.storage);
    });
    where_it_acts(ui, edit, "products", |ui, edit| {
        products_row(ui, edit, |recipe| &mut recipe.products);
    });
}

/// How far large input channels are scaled down and their weights up.
fn smooth_row(ui: &mut Ui, edit: &mut Edit<Recipe>) {
    let response = choice_row(ui, "Smooth inputs", help("smooth"), |ui| {
        let strength = DragValue::new(&mut edit.value.smooth).range(0.0..=1.0).speed(0.01);
        ui.add(strength.max_decimals(2).update_while_editing(false))
    });
    edit.seen(&response);
}

/// A control for the field of that name, greyed out with the reason where nothing can come of it.
fn where_it_acts(ui: &mut Ui, edit: &mut Edit<Recipe>, field: &str, add: impl FnOnce(&mut Ui, &mut Edit<Recipe>)) {
    let lacks = edit.value.lacks_grid_for(field);
    let shown = ui.add_enabled_ui(lacks.is_none(), |ui| add(ui, edit)).response;
    if let Some(lacks) = lacks {
        shown.on_hover_text(format!("No effect: {lacks}."));
    }
}

/// A choice of yes or no: its name in the table of fields, and its place.
type Switch = (&'static str, fn(&mut Recipe) -> &mut bool);

fn switch(ui: &mut Ui, edit: &mut Edit<Recipe>, (name, field): &Switch) {
    let Some(Field { label, help, .. }) = Field::named(name) else {
        return;
    };
    where_it_acts(ui, edit, name, |ui, edit| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let response = ui.checkbox(field(&mut edit.value), *label).on_hover_text(*help);
            edit.seen(&response);
            explain_ui(ui, label, help);
        });
    });
}

const FOLD: Switch = ("fold_batch_norm", |recipe| &mut recipe.fold_batch_norm);
const EQUALIZE: Switch = ("cross_layer_equalization", |recipe| {
    &mut recipe.cross_layer_equalization
});
const ROTATE: Switch = ("rotate", |recipe| &mut recipe.rotate);
const SEQUENTIAL: Switch = ("sequential", |recipe| &mut recipe.sequential);
const AWQ: Switch = ("awq", |recipe| &mut recipe.awq);
const BIASES: Switch = ("bias_correction", |recipe| &mut recipe.bias_correction);
const UNSIGNED: Switch = ("unsigned_activations", |recipe| &mut recipe.unsigned_activations);
const OUTPUTS: Switch = ("quantize_outputs", |recipe| &mut recipe.quantize_outputs);
const ZERO_POINTS: Switch = ("weight_zero_points", |recipe| &mut recipe.weight_zero_points);
const EMBEDDINGS: Switch = ("quantize_embeddings", |recipe| &mut recipe.quantize_embeddings);
const FIRST: Switch = ("float_first_layer", |recipe| &mut recipe.float_first_layer);
const LAST: Switch = ("float_last_layer", |recipe| &mut recipe.float_last_layer);
