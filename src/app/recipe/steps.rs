//! The choices for the whole network, in the order in which they act on it.

use super::super::Outbox;
use super::super::learn::glossary::explain_ui;
use super::super::text::note;
use super::ranges::ranges_ui;
use super::rows::{
    ACTIVATION_CLIP_HELP, ACTIVATION_HELP, ACTIVATION_RATIO_HELP, ACTIVATION_SPLIT_HELP, BITS_HELP, CLIP_HELP, Edit,
    RATIO_HELP, ROUNDING_HELP, SCALES_HELP, SPLIT_HELP, bits_row, clip_row, export_row, ratio_row, rounding_row,
    scales_row, split_row,
};
use crate::quantization::Recipe;
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
    clip_row(ui, "Clip", CLIP_HELP, &mut edit, |recipe| &mut recipe.clip);
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
    ratio_row(ui, "Expand ratio", RATIO_HELP, edit, |recipe| &mut recipe.expand_ratio);
    if edit.value.expand_ratio == 0.0 {
        let hint = "At 0 % nothing is split. Move it up to split the channels that hold the outliers.";
        ui.add(egui::Label::new(note(hint)).wrap());
    }
    split_row(ui, "Split", SPLIT_HELP, edit, |recipe| &mut recipe.split);
}

fn grid_step(ui: &mut Ui, edit: &mut Edit<Recipe>) {
    heading(ui, "4 Grid", "Then the weights are rounded to a grid.");
    bits_row(ui, "Weight bits", BITS_HELP, edit, |recipe| &mut recipe.weight_bits);
    scales_row(ui, "Scales", SCALES_HELP, edit, |recipe| &mut recipe.scales);
    rounding_row(ui, "Rounding", ROUNDING_HELP, edit, |recipe| &mut recipe.rounding);
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
    bits_row(ui, "Activation bits", ACTIVATION_HELP, edit, |recipe| {
        &mut recipe.activation_bits
    });
    if open.quantizes_activations() {
        ratio_row(ui, "Activation ratio", ACTIVATION_RATIO_HELP, edit, |recipe| {
            &mut recipe.activation_expand_ratio
        });
        split_row(ui, "Activation split", ACTIVATION_SPLIT_HELP, edit, |recipe| {
            &mut recipe.activation_split
        });
        clip_row(ui, "Activation clip", ACTIVATION_CLIP_HELP, edit, |recipe| {
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
}

/// A choice of yes or no: name, help, field.
type Switch = (&'static str, &'static str, fn(&mut Recipe) -> &mut bool);

fn switch(ui: &mut Ui, edit: &mut Edit<Recipe>, (name, help, field): &Switch) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let response = ui.checkbox(field(&mut edit.value), *name).on_hover_text(*help);
        edit.seen(&response);
        explain_ui(ui, name, help);
    });
}

const FOLD: Switch = (
    "Fold batch-norm",
    "Multiply each batch-norm into the layer before it, as inference engines do. The function is the same, the weights are not.",
    |recipe| &mut recipe.fold_batch_norm,
);
const EQUALIZE: Switch = (
    "Equalize layers",
    "Scale the channels between two layers so that both have weights of the same range. The function is the same; it does most where some channels are far larger than others.",
    |recipe| &mut recipe.cross_layer_equalization,
);
const BIASES: Switch = (
    "Correct biases",
    "Rounding the weights moves the mean of a layer's outputs; the bias takes that back. It needs the means of the layer's inputs, which are measured or guessed from batch-norm.",
    |recipe| &mut recipe.bias_correction,
);
const UNSIGNED: Switch = (
    "Unsigned activations",
    "Inputs that are never negative, as after ReLU, use the whole grid for the positive side. That is one bit more for them at no cost.",
    |recipe| &mut recipe.unsigned_activations,
);
const OUTPUTS: Switch = (
    "Quantize outputs",
    "Put the outputs of layers, additions and pools on a grid too, not only the inputs of layers. Runtimes fuse the network to integer operators only then, which is about twice as fast on a CPU.",
    |recipe| &mut recipe.quantize_outputs,
);
const EMBEDDINGS: Switch = (
    "Quantize embeddings",
    "Tables from which rows are looked up, such as the words of a language model, are on a grid too. They are often most of a small model's bytes; their rows are never split.",
    |recipe| &mut recipe.quantize_embeddings,
);
const FIRST: Switch = (
    "Keep first layer float",
    "Leave the first layer as it is. It has few weights, and every error of it goes through the whole network.",
    |recipe| &mut recipe.float_first_layer,
);
const LAST: Switch = (
    "Keep last layer float",
    "Leave the last layer, the classifier, as it is. The paper does so.",
    |recipe| &mut recipe.float_last_layer,
);
