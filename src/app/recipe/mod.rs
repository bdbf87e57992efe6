//! The recipe: for the whole network, and for the selected layer as exceptions with a reset each.

mod layer;
mod rows;

use super::text::{self, note};
use super::theme::tokens;
use super::{Outbox, choice_row};
use crate::quantization::{Preset, Recipe};
use crate::session::{Action, CalibrationSource, OpenNetwork};
use egui::Ui;
use rows::{
    ACTIVATION_CLIP_HELP, ACTIVATION_HELP, BITS_HELP, CLIP_HELP, Edit, bits_row, clip_row, ratio_row, split_row,
};

/// The panel.
pub(super) fn recipe_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    ui.horizontal(|ui| {
        ui.strong("Whole network");
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            preset_ui(ui, out);
        });
    });
    network_ui(ui, open, out);
    overhead_ui(ui, open);
    ui.separator();
    layer::layer_ui(ui, open, out);
}

fn preset_ui(ui: &mut Ui, out: &mut Outbox) {
    ui.menu_button("Preset ▾", |ui| {
        for (preset, name, what) in [
            (
                Preset::Deploy,
                "Deploy",
                "For shipping: batch-norm folded, every layer quantized, 8-bit activations.",
            ),
            (
                Preset::Paper,
                "Paper",
                "As in the paper: first layer and classifier stay float, batch-norm is not folded, 8-bit activations.",
            ),
        ] {
            if ui.button(name).on_hover_text(what).clicked() {
                out.actions.push(Action::ApplyPreset(preset));
                ui.close();
            }
        }
    })
    .response
    .on_hover_text("Start from a known set of choices; bits and ratio stay.");
}

fn network_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    let present = open.recipe();
    let mut edit = Edit::new(present.clone());
    bits_row(ui, "Weight bits", BITS_HELP, &mut edit, |recipe| {
        &mut recipe.weight_bits
    });
    ratio_row(ui, "Expand ratio", &mut edit, |recipe| &mut recipe.expand_ratio);
    if present.expand_ratio == 0.0 {
        let hint = "At 0 % nothing is split. Move it up to split the channels that hold the outliers.";
        ui.add(egui::Label::new(note(hint)).wrap());
    }
    split_row(ui, "Split", &mut edit, |recipe| &mut recipe.split);
    clip_row(ui, "Clip", CLIP_HELP, &mut edit, |recipe| &mut recipe.clip);
    bits_row(ui, "Activation bits", ACTIVATION_HELP, &mut edit, |recipe| {
        &mut recipe.activation_bits
    });
    if open.quantizes_activations() {
        clip_row(ui, "Activation clip", ACTIVATION_CLIP_HELP, &mut edit, |recipe| {
            &mut recipe.activation_clip
        });
    }
    if present.needs_activations() {
        ranges_ui(ui, open, out);
    }
    for (name, help, field) in SWITCHES {
        let response = ui.checkbox(field(&mut edit.value), name).on_hover_text(help);
        edit.seen(&response);
    }
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

/// A switch of the recipe: name, help, field.
type Switch = (&'static str, &'static str, fn(&mut Recipe) -> &mut bool);

const SWITCHES: [Switch; 7] = [
    (
        "Fold batch-norm",
        "Multiply each batch-norm into the layer before it, as inference engines do. The function is the same, the weights are not.",
        |recipe| &mut recipe.fold_batch_norm,
    ),
    (
        "Equalize layers",
        "Scale the channels between two layers so that both have weights of the same range. The function is the same; it does most where some channels are far larger than others.",
        |recipe| &mut recipe.cross_layer_equalization,
    ),
    (
        "Correct biases",
        "Rounding the weights moves the mean of a layer's outputs; the bias takes that back. It needs the means of the layer's inputs, which are measured or guessed from batch-norm.",
        |recipe| &mut recipe.bias_correction,
    ),
    (
        "One scale a channel",
        "Each output channel has a grid of its own instead of one for the whole layer. The error is smaller, but not every chip can run it.",
        |recipe| &mut recipe.per_channel,
    ),
    (
        "Unsigned activations",
        "Inputs that are never negative, as after ReLU, use the whole grid for the positive side. That is one bit more for them at no cost.",
        |recipe| &mut recipe.unsigned_activations,
    ),
    (
        "Keep first layer float",
        "Leave the first layer as it is. It has few weights, and every error of it goes through the whole network.",
        |recipe| &mut recipe.float_first_layer,
    ),
    (
        "Keep last layer float",
        "Leave the last layer, the classifier, as it is. The paper does so.",
        |recipe| &mut recipe.float_last_layer,
    ),
];

/// Where the ranges of activations come from, and the choice where there is one.
fn ranges_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    if open.original.network.why_not_runnable.is_some() {
        let text = "The network cannot be run, so its activations stay float.";
        ui.add(egui::Label::new(note(text)).wrap());
        return;
    }
    let own = match open.demo {
        Some(_) => "calibration data",
        None => "no data",
    };
    let on_data = matches!(open.calibration_source(), CalibrationSource::Data(_));
    let help = "What tells how large the activations get. Without data the batch-norms tell, and noise that is run through the network; ranges from data are surer, best from samples that you don't judge by.";
    choice_row(ui, "Ranges from", help, |ui| {
        let combo = egui::ComboBox::from_id_salt("ranges").width(136.0);
        combo
            .selected_text(if on_data { "the open data" } else { own })
            .show_ui(ui, |ui| {
                if ui.selectable_label(!on_data, own).clicked() && on_data {
                    out.actions.push(Action::CalibrateOnData(false));
                }
                ui.add_enabled_ui(open.data().is_some(), |ui| {
                    let response = ui.selectable_label(on_data, "the open data");
                    if response.on_disabled_hover_text("Open data first.").clicked() && !on_data {
                        out.actions.push(Action::CalibrateOnData(true));
                    }
                });
            })
            .response
    });
    if let Some(reason) = open.calibration_failure() {
        ui.add(egui::Label::new(egui::RichText::new(reason).small().color(tokens(ui).error)).wrap());
    } else if open.calibration().is_none() {
        ui.label(note("Measuring activations; they are float until then."));
    }
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
