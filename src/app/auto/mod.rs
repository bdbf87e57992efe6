//! Settings chosen layer by layer: what to keep to, how far the search is, and what it found beside the best uniform setting.

mod found;
mod latency;

use super::Outbox;
use super::look_only::look_only_ui;
use super::switches::Switches;
use super::text::{self, note};
use super::widgets::{job_ui, stopped_ui};
use crate::inference::auto::{AutoOptions, Budget, Goal};
use crate::quantization::{Bits, Clip, Granularity, Rounding};
use crate::session::{Action, Kind, OpenNetwork, RunState, Session};
use egui::{Button, DragValue, Role, ScrollArea, TextWrapMode, Ui, WidgetInfo};

/// Budgets that can be set, percent more bytes.
const BUDGETS: std::ops::RangeInclusive<f64> = -50.0..=100.0;

/// State of the view between frames.
pub(super) struct AutoPanel {
    /// Whether an accuracy is the goal instead of a budget.
    by_accuracy: bool,
    /// Percent more bytes than plain.
    budget: f64,
    /// Percent right.
    accuracy: f64,
    bits: Switches<u8>,
    clips: Switches<Clip>,
    scales: Switches<Granularity>,
    zero_points: Switches<bool>,
    roundings: Switches<Rounding>,
    /// Whether the network is tried with its batch-norms folded too.
    try_folding: bool,
    latency: latency::LatencyRow,
}

impl Default for AutoPanel {
    fn default() -> Self {
        let all: Vec<u8> = (Bits::MIN..=Bits::MAX).collect();
        Self {
            by_accuracy: false,
            budget: 5.0,
            accuracy: 90.0,
            bits: Switches::new(all.iter().rev().copied(), &all),
            clips: Switches::new(Clip::CHOICES, &AutoOptions::CLIPS),
            scales: Switches::new(Granularity::CHOICES, &AutoOptions::SCALES),
            zero_points: Switches::new([false, true], &[]),
            roundings: Switches::new(Rounding::CHOICES, &Rounding::CHOICES),
            try_folding: false,
            latency: latency::LatencyRow::default(),
        }
    }
}

impl AutoPanel {
    /// Draws the goal, what may be chosen, the progress and what was found.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        if look_only_ui(ui, &open.original.network) {
            return;
        }
        if let RunState::CannotRun(reason) = open.run_state(session.limit()) {
            let text = format!("The network can't be run, so nothing can be chosen by its answers: {reason}.");
            ui.add(egui::Label::new(text).wrap());
            return;
        }
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            self.choices_ui(ui, open);
            self.start_ui(ui, session, open, out);
            result_ui(ui, open, out);
        });
    }

    /// The goal, and what may be chosen.
    fn choices_ui(&mut self, ui: &mut Ui, open: &OpenNetwork) {
        self.goal_ui(ui, open);
        let what = "Bits that a layer may get. With one alone on, all layers keep it.";
        self.bits
            .ui(ui, "Layer bits", what, "choose at least one", |bits| bits.to_string());
        let what = "Ways to set the end of a layer's grid that may be chosen.";
        self.clips.ui(ui, "Layer clip", what, "choose at least one", text::clip);
        let what =
            "What may have a scale of its own: the tensor, each output channel, or each block of so many weights.";
        self.scales
            .ui(ui, "Layer scales", what, "as in the recipe", text::scales);
        let what = "Whether the scales of a layer may have zero points. They cost bytes that pay where weights lie on one side.";
        self.zero_points
            .ui(ui, "Layer zero points", what, "as in the recipe", |on| {
                text::on_or_off(on).to_owned()
            });
        let what = "Ways to round that a layer may get. For GPTQ the layers' inputs are measured first.";
        self.roundings
            .ui(ui, "Layer rounding", what, "as in the recipe", |rounding| {
                rounding.label().to_owned()
            });
        self.folding_ui(ui, open);
        self.latency.ui(ui);
    }

    /// Whether to try folding, where the recipe does not fold anyway.
    fn folding_ui(&mut self, ui: &mut Ui, open: &OpenNetwork) {
        let help =
            "Search on the network with its batch-norms folded too, and take what does better. Takes twice as long.";
        let folds = open.recipe().fold_batch_norm;
        ui.add_enabled(
            !folds,
            egui::Checkbox::new(&mut self.try_folding, "Try folding batch-norms"),
        )
        .on_hover_text(help)
        .on_disabled_hover_text("The recipe folds batch-norms already.");
    }

    /// Budget or accuracy, and which.
    fn goal_ui(&mut self, ui: &mut Ui, open: &OpenNetwork) {
        ui.horizontal_wrapped(|ui| {
            // What does not fit goes on the next line as a whole.
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            let bits = text::bits(open.recipe().weight_bits);
            for (by_accuracy, name, help) in [
                (false, "Budget", "As near to the float network as these bytes allow."),
                (true, "Accuracy", "As few bytes as reach this accuracy on the samples to choose on."),
            ] {
                let response = ui
                    .add(Button::selectable(self.by_accuracy == by_accuracy, name))
                    .on_hover_text(help);
                if response.clicked() {
                    self.by_accuracy = by_accuracy;
                }
            }
            if self.by_accuracy {
                let value = DragValue::new(&mut self.accuracy)
                    .range(0.0..=100.0)
                    .speed(0.1)
                    .suffix(" %");
                let value = ui.add(value);
                let label = ui.label("right answers");
                value.labelled_by(label.id).on_hover_text(
                    "Share of right answers. Where the data have no labels: of answers that are the float network's.",
                );
            } else {
                let value = DragValue::new(&mut self.budget).range(BUDGETS).speed(0.1).suffix(" %");
                let value = ui.add(value);
                let label = ui.label(format!("more bytes than {bits} plain"));
                value.labelled_by(label.id).on_hover_text(
                    "What the quantized weights may take beyond the recipe's bits without splits, as they are stored, with \
                     their scales. Below zero: less.",
                );
            }
        });
    }

    /// The button that starts the search, and how far it is.
    fn start_ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        let auto = open.auto();
        ui.horizontal_wrapped(|ui| {
            if auto.is_under_way() {
                let running = session.announced();
                match running.iter().find(|job| job.kind == Kind::Auto).or(running.first()) {
                    Some(job) => {
                        job_ui(ui, job, out);
                        ui.label(note(&job.stage));
                    }
                    None => {
                        ui.label(note("waiting…"));
                    }
                }
                return;
            }
            let options = self.options();
            let ready =
                !options.bits.is_empty() && !options.clips.is_empty() && open.recipe().weight_bits != Bits::Float;
            let response = ui
                .add_enabled(ready, Button::new("Choose"))
                .on_hover_text("Measure one layer at a time and choose. Nothing changes until you take the result.")
                .on_disabled_hover_text(
                    "The recipe's weights must have bits, and something must be left to choose from.",
                );
            response.widget_info(|| WidgetInfo::labeled(Role::Button, ready, "Choose settings"));
            if response.clicked() {
                out.actions.push(Action::StartAuto(options));
            }
            if let Some(error) = auto.last_failure() {
                stopped_ui(ui, error);
            }
        });
    }

    fn options(&self) -> AutoOptions {
        let goal = if self.by_accuracy {
            Goal::Accuracy(self.accuracy / 100.0)
        } else {
            Goal::Budget(Budget::Overhead(self.budget / 100.0))
        };
        AutoOptions {
            bits: self.bits.chosen(),
            clips: self.clips.chosen(),
            scales: self.scales.chosen(),
            roundings: self.roundings.chosen(),
            zero_points: self.zero_points.chosen(),
            try_folding: self.try_folding,
            latency: self.latency.target(),
            ..AutoOptions::all(goal)
        }
    }
}

/// What was found, or what the view is for.
fn result_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    match open.auto().latest() {
        Some((key, result)) => {
            ui.separator();
            found::found_ui(ui, open, key, result, out);
        }
        None if !open.auto().is_under_way() => {
            let what = "Each layer gets the bits, splits, clipping, scales and rounding that pay most: what each does to the network's \
                        outputs is measured on some samples, and the bytes go where they remove the most error. On other \
                        samples the result is then compared with the best setting that is the same for all layers, and \
                        the better of both is taken.";
            ui.add(egui::Label::new(note(what)).wrap());
        }
        None => {}
    }
}
