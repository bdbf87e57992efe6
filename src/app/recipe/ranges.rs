//! Where the ranges of the layers' inputs come from: the choice, and what was found for a layer.

use super::super::Outbox;
use super::super::text::note;
use super::super::widgets::{choice_row, stopped_ui};
use crate::network::Layer;
use crate::session::{Action, CalibrationSource, OpenNetwork};
use crate::statistics::RangeSource;
use egui::Ui;

/// Where the ranges of activations come from, and the choice where there is one.
pub(super) fn ranges_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
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
    let help = "What tells how large the activations get. Without data the batch-norms and the preprocessing tell, and where they don't, noise that is run through the network; ranges from data are surer, best from samples that you don't judge by.";
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
    if let Some(error) = open.calibration_failure() {
        stopped_ui(ui, error);
    } else if open.calibration().is_none() {
        ui.label(note("Measuring activations; they are float until then."));
    }
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
