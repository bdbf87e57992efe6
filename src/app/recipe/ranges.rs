//! Where the ranges of the layers' inputs come from: the choice, and what was found for a layer.

use super::super::Outbox;
use super::super::command::Command;
use super::super::text::{self, note};
use super::super::widgets::{choice_row, stopped_ui};
use crate::network::Layer;
use crate::quantization::Bits;
use crate::session::{Action, CalibrationChoice, CalibrationSource, OpenNetwork};
use crate::statistics::RangeSource;
use egui::Ui;

/// Where the ranges of activations come from, and the choice where there is one.
pub(super) fn ranges_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    if open.original.network.why_not_runnable.is_some() {
        let text = "The network cannot be run, so its activations stay float.";
        ui.add(egui::Label::new(note(text)).wrap());
        return;
    }
    let choice = open.calibration_choice();
    let help = "What tells how large the activations get. Without data the batch-norms and the preprocessing tell, and where they don't, noise that is run through the network; ranges from data are surer, best from samples that you don't judge by.";
    choice_row(ui, "Ranges from", help, |ui| {
        let combo = egui::ComboBox::from_id_salt("ranges").width(136.0);
        combo
            .selected_text(text::elide_middle(&source_name(open), 22))
            .show_ui(ui, |ui| choices_ui(ui, open, choice, out))
            .response
    });
    if let CalibrationChoice::Set(path) = choice {
        ui.label(note(text::elide_middle(path, 44))).on_hover_text(path);
    }
    if let Some(calibration) = open.calibration().filter(|calibration| calibration.samples > 0) {
        let samples = text::plural(calibration.samples as u64, "sample", "samples");
        ui.label(note(format!(
            "{samples} of {}",
            text::elide_middle(&calibration.data_name, 28)
        )))
        .on_hover_text(&calibration.data_name);
    }
    unsigned_ui(ui, open, out);
    if let Some(error) = open.calibration_failure() {
        stopped_ui(ui, error);
    } else if open.calibration().is_none() {
        ui.label(note("Measuring activations; they are float until then."));
    }
}

/// What the ranges come from now.
fn source_name(open: &OpenNetwork) -> String {
    match open.calibration_source() {
        CalibrationSource::Demo(_) => "calibration data".to_owned(),
        CalibrationSource::Data(_) => "the open data".to_owned(),
        CalibrationSource::Set(_) => "a calibration set".to_owned(),
        CalibrationSource::DataFree => "no data".to_owned(),
    }
}

fn choices_ui(ui: &mut Ui, open: &OpenNetwork, choice: &CalibrationChoice, out: &mut Outbox) {
    let mut row = |ui: &mut Ui, name: &str, of: CalibrationChoice| {
        if ui.selectable_label(*choice == of, name).clicked() && *choice != of {
            out.actions.push(Action::CalibrateOn(of));
        }
    };
    if open.demo.is_some() {
        row(ui, "calibration data", CalibrationChoice::Automatic);
    } else {
        row(ui, "automatic", CalibrationChoice::Automatic);
    }
    ui.add_enabled_ui(open.data().is_some(), |ui| {
        row(ui, "the open data", CalibrationChoice::OpenData);
    });
    row(ui, "no data", CalibrationChoice::DataFree);
    let command = Command::OpenCalibration;
    let is_set = matches!(choice, CalibrationChoice::Set(_));
    if ui
        .selectable_label(is_set, command.text())
        .on_hover_text(command.tooltip())
        .clicked()
    {
        out.commands.push(command);
    }
}

/// Proposes the unsigned grid where inputs are never negative: half of a symmetric grid would lie idle.
fn unsigned_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    let recipe = open.recipe();
    if recipe.unsigned_activations || !recipe.quantizes_activations() {
        return;
    }
    let Some(calibration) = open.calibration() else { return };
    let layers = open.shown().network.layers.iter().enumerate();
    let never_negative = layers.filter(|(index, layer)| {
        let seen = layer
            .input
            .as_ref()
            .and_then(|(name, _)| calibration.activations.get(name));
        open.effective(*index).input.bits != Bits::Float && seen.is_some_and(|seen| seen.count > 0 && seen.min >= 0.0)
    });
    let count = never_negative.count() as u64;
    if count == 0 {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let are = if count == 1 { "is" } else { "are" };
        let told = format!("{} {are} never negative:", text::plural(count, "input", "inputs"));
        ui.label(note(told)).on_hover_text(
            "A symmetric grid leaves half of its values unused there. The unsigned grid is as good as one bit more.",
        );
        if ui.small_button("use the unsigned grid").clicked() {
            let mut recipe = recipe.clone();
            recipe.unsigned_activations = true;
            out.actions.push(Action::EditRecipe {
                recipe: Box::new(recipe),
                gesture: false,
            });
        }
    });
}

/// What told the range of this layer's input; nothing as long as nothing is known.
pub(super) fn range_source_ui(ui: &mut Ui, open: &OpenNetwork, layer: &Layer) {
    let Some(calibration) = open.calibration() else { return };
    let Some(known) = layer
        .input
        .as_ref()
        .and_then(|(name, _)| calibration.activations.get(name))
    else {
        return;
    };
    let (name, what) = match known.source {
        RangeSource::Calibration => (
            "calibration",
            format!("Measured on {} samples of {}.", calibration.samples, calibration.data_name),
        ),
        RangeSource::BatchNorm => (
            "batch-norm",
            "Computed from the means and variances that the batch-norms before this layer keep; no data were needed.".to_owned(),
        ),
        RangeSource::Preprocessing => (
            "preprocessing",
            "What the stated preprocessing makes of pixels from 0 to 255; no data were needed.".to_owned(),
        ),
        RangeSource::Noise => (
            "noise",
            "Noise was run through the network, as neither a batch-norm nor the preprocessing tells of this input. Such a range can be far off: choose data to measure it on."
                .to_owned(),
        ),
    };
    ui.label(note(format!("Range of its input from: {name}")))
        .on_hover_text(what);
}
