//! The open network beside another one: which layers differ and how far, and how the selected layer's weights are spread in
//! both.

mod histograms;
mod table;

use super::Outbox;
use super::command::Command;
use super::text::{self, note};
use super::theme::tokens;
use super::widgets::job_ui;
use crate::session::{Action, Against, Kind, OpenNetwork, Session};
use egui::{Label, Ui};

/// Share of the height for the histograms, and points below which there are none.
const HISTOGRAMS: f32 = 0.42;
const LEAST_WITH_HISTOGRAMS: f32 = 330.0;

/// State of the view between frames.
#[derive(Default)]
pub(super) struct ComparePanel;

impl ComparePanel {
    /// Draws the comparison into what is left of `ui`, or what it waits for or lacks.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        let Some(path) = open.other() else {
            return empty_ui(ui, height, out);
        };
        if let Some(job) = session.job(Kind::Difference) {
            ui.horizontal(|ui| job_ui(ui, &job, out));
        } else if let Some(reason) = open.against_failure() {
            let (reason, path) = (reason.to_string(), path.display().to_string());
            failed_ui(ui, &reason, &path, out);
        }
        if let Some(against) = open.against() {
            comparison_ui(ui, open, against, out);
        }
    }
}

fn empty_ui(ui: &mut Ui, height: f32, out: &mut Outbox) {
    ui.vertical_centered(|ui| {
        ui.add_space((height * 0.3).min(160.0));
        ui.label("No second network yet.");
        ui.add(
            Label::new(note(
                "Open one to see, layer by layer, how far its weights are from the open network's: an export beside its \
                 original, or the same network from another file.",
            ))
            .wrap(),
        );
        command_ui(ui, Command::CompareWith, out);
    });
}

fn failed_ui(ui: &mut Ui, reason: &str, path: &str, out: &mut Outbox) {
    ui.add(Label::new(egui::RichText::new(format!("Not compared: {reason}")).color(tokens(ui).error)).wrap())
        .on_hover_text(path);
    ui.horizontal(|ui| {
        command_ui(ui, Command::Retry, out);
        command_ui(ui, Command::CompareWith, out);
    });
}

fn command_ui(ui: &mut Ui, command: Command, out: &mut Outbox) {
    if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
        out.commands.push(command);
    }
}

fn comparison_ui(ui: &mut Ui, open: &OpenNetwork, against: &Against, out: &mut Outbox) {
    let difference = &against.difference;
    let [equal, different, unknown] = difference.counts();
    ui.horizontal_wrapped(|ui| {
        let names = format!(
            "{} beside {}",
            text::elide_middle(&against.name, 40),
            text::elide_middle(&open.original.network.name, 40)
        );
        ui.strong(names)
            .on_hover_text(format!("{} beside {}", against.name, open.original.network.name));
        let mut counts = format!(
            "{} differ, {equal} equal",
            text::plural(different as u64, "layer", "layers")
        );
        if unknown > 0 {
            counts.push_str(&format!(", {unknown} not comparable"));
        }
        ui.label(note(counts));
        for (only, name) in difference
            .only_in
            .iter()
            .zip([&open.original.network.name, &against.name])
        {
            if !only.is_empty() {
                ui.label(note(format!("{} only in {}", only.len(), text::elide_middle(name, 24))))
                    .on_hover_text(only.join("\n"));
            }
        }
        command_ui(ui, Command::CompareWith, out);
        if ui.button("Close").on_hover_text("Forget the second network.").clicked() {
            out.actions.push(Action::CompareWith(None));
        }
    });
    for line in &against.notes {
        ui.add(Label::new(note(line.clone())).wrap());
    }
    let left = ui.available_height();
    let selected = difference
        .layers
        .iter()
        .find(|layer| layer.sides[0].layer == open.selected());
    let histograms = if left < LEAST_WITH_HISTOGRAMS {
        0.0
    } else {
        left * HISTOGRAMS
    };
    ui.allocate_ui(egui::vec2(ui.available_width(), left - histograms), |ui| {
        ui.set_min_height(left - histograms);
        if let Some(layer) = table::table_ui(ui, difference, open.selected()) {
            out.actions.push(Action::SelectLayer(layer));
        }
    });
    if histograms > 0.0 {
        histograms::histograms_ui(ui, open, against, selected, histograms - 8.0, out);
    }
}
