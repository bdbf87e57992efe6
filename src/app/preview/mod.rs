//! What the recipe does to the answers: accuracy before and after, and samples with both networks' answers.

mod checks;
mod data;
mod reading;
mod samples;

pub(super) use samples::{Samples, class_name};

use super::Outbox;
use super::command::Command;
use super::look_only::look_only_ui;
use super::text::{self, note};
use super::theme::tokens;
use super::widgets::{data_buttons_ui, job_ui};
use crate::inference::{Evaluation, Metrics, Score, fixed};
use crate::session::{Evaluated, Kind, OpenNetwork, RunState, Session};
use egui::{Color32, RichText, Ui};

/// State of the view between frames.
#[derive(Default)]
pub(super) struct PreviewPanel {
    samples: Samples,
    reading: reading::Reading,
}

impl PreviewPanel {
    /// Draws the accuracy line and the samples.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        // The height that was chosen, whatever there is to show: the plots above must not jump.
        ui.set_min_height(ui.available_height());
        accuracy_ui(ui, &mut self.reading, session, open, out);
        let look_only = look_only_ui(ui, &open.original.network);
        match open.run_state(session.limit()) {
            RunState::CannotRun(reason) => {
                ui.add(egui::Label::new(format!("The network can't be run: {reason}.")).wrap());
                if !look_only {
                    ui.label(note("Its weights can still be looked at, split and exported."));
                }
            }
            RunState::NoData => {
                if look_only {
                    data_buttons_ui(ui, &[Command::TryPicture], out);
                } else {
                    no_data_ui(ui, out);
                }
                self.samples.ui(ui, open, out);
            }
            _ => {
                if open.data().is_some() {
                    checks::checks_ui(ui, session, open, out);
                }
                self.samples.ui(ui, open, out);
            }
        }
    }
}

/// `float 94.2 % → this recipe 80.8 % ± 1.2 (plain 3 bits 80.8 %)`, with progress while it runs.
fn accuracy_ui(ui: &mut Ui, reading: &mut reading::Reading, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    let state = open.run_state(session.limit());
    ui.horizontal(|ui| {
        if let Some((_, evaluated)) = open.evaluated() {
            numbers_ui(ui, open, evaluated, state == RunState::Done);
        }
        match &state {
            RunState::Waiting => waiting_ui(ui, session, out),
            RunState::Failed(reason) => {
                ui.colored_label(tokens(ui).error, text::elide_middle(reason, 70))
                    .on_hover_text(reason);
                retry_ui(ui, out);
            }
            RunState::Cancelled => {
                ui.label(note("cancelled"));
                retry_ui(ui, out);
            }
            RunState::CannotRun(_) | RunState::NoData | RunState::Done => {}
        }
        if let Some(data) = open.data() {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                data::data_ui(ui, reading, session, open, data, out);
            });
        }
    });
}

fn retry_ui(ui: &mut Ui, out: &mut Outbox) {
    let retry = ui.button(Command::Retry.text());
    if retry.on_hover_text(Command::Retry.tooltip()).clicked() {
        out.commands.push(Command::Retry);
    }
}

fn numbers_ui(ui: &mut Ui, open: &OpenNetwork, evaluated: &Evaluated, current: bool) {
    let colors = tokens(ui);
    let evaluation = &evaluated.evaluation;
    // Numbers of an earlier recipe have no colour: a colour would outdo the weakness of the type.
    let number = |shown: String, color: Color32| {
        let text = RichText::new(shown).strong();
        if current {
            text.color(color)
        } else {
            RichText::new(text.text()).weak()
        }
    };
    let score = Score::of_metrics(&evaluation.float);
    let classes = open.float_outputs().is_none_or(|float| float.classification);
    if score == Score::Sqnr && !classes {
        output_sqnr_ui(ui, open, evaluation, |shown| number(shown, colors.quantized));
        return;
    }
    let float = metric(&evaluation.float, evaluation.samples);
    let quantized = metric(&evaluation.quantized, evaluation.samples);
    let perplexity = format!(
        "Perplexity: between how many {} the network hesitates, on average. Less is better.",
        open.text_unit().plural()
    );
    let (what, explanation) = match score {
        Score::Perplexity => ("perplexity ".to_owned(), perplexity.as_str()),
        Score::Top1 => (
            String::new(),
            "Share of samples whose first answer is right. ± is one standard error for this number of samples.",
        ),
        Score::Sqnr => (
            String::new(),
            "The data have no labels: agreement is the share of samples with the same first answer as the float network.",
        ),
        Score::MeanIou | Score::MeanAp | Score::Pearson => (format!("{} ", score.name()), score.help()),
    };
    match (float, quantized) {
        (Some(float), Some(quantized)) => {
            let shown = format!("float {what}{}", float.value);
            let response = ui.label(number(shown, colors.original));
            response.on_hover_text(with_interval(&evaluation.float, explanation));
            ui.label("→");
            let shown = format!("this recipe {}{}", quantized.value, quantized.spread);
            ui.label(number(shown, colors.quantized))
                .on_hover_text(with_interval(&evaluation.quantized, explanation));
            if let Some(plain) = open
                .plain_evaluated()
                .and_then(|plain| metric(&plain.evaluation.quantized, plain.evaluation.samples))
            {
                plain_ui(ui, open, &plain.value);
            }
        }
        _ => {
            if let (Some(agreement), Some(interval)) = (evaluation.agreement, evaluation.agreement_interval) {
                let [low, high] = interval.map(|end| end * 100.0);
                let shown = format!("agreement {}", text::percent(agreement));
                ui.label(number(shown, ui.visuals().strong_text_color()))
                    .on_hover_text(format!("95 % interval: {low:.1} % to {high:.1} %\n{explanation}"));
            }
        }
    }
    let more = agreement_and_sqnr(evaluation);
    if !classes {
        let samples = text::plural(evaluation.samples as u64, "sample", "samples");
        let beside = beside_the_score(evaluation).map_or_else(String::new, |beside| format!("{beside} · "));
        ui.label(note(format!("{beside}on {samples}"))).on_hover_text(more);
        return;
    }
    let changed = text::plural(evaluated.preview.changed as u64, "answer changed", "answers changed");
    ui.label(note(format!(
        "{changed} of {}",
        text::full_count(evaluation.samples as u64)
    )))
    .on_hover_text(more);
}

/// What else `evaluate` prints of such data, before and after: `Spearman 0.8012 → 0.7930`.
fn beside_the_score(evaluation: &Evaluation) -> Option<String> {
    let (float, quantized) = (&evaluation.float, &evaluation.quantized);
    if let (Some(before), Some(after)) = (float.spearman, quantized.spearman) {
        return Some(format!("Spearman {before:.4} → {after:.4}"));
    }
    if let (Some(before), Some(after)) = (float.mean_ap_50, quantized.mean_ap_50) {
        return Some(format!("at an overlap of 0.5 {before:.4} → {after:.4}"));
    }
    let (before, after) = (float.pixel_accuracy?, quantized.pixel_accuracy?);
    Some(format!(
        "pixels right {} → {}",
        text::percent(before),
        text::percent(after)
    ))
}

/// `output SQNR 17.3 dB (plain 4 bits 12.1 dB)`: where a network's outputs are numbers and no classes, that is what counts.
fn output_sqnr_ui(ui: &mut Ui, open: &OpenNetwork, evaluation: &Evaluation, number: impl Fn(String) -> RichText) {
    let decibels = |of: &Evaluation| of.sqnr_db.map_or_else(|| "∞ dB".to_owned(), text::decibels);
    let range = evaluation.sqnr_db_interval;
    let range = range.map_or_else(String::new, |[low, high]| {
        format!("95 % interval: {low:.1} to {high:.1} dB\n")
    });
    ui.label(number(format!("output SQNR {}", decibels(evaluation)))).on_hover_text(format!(
        "{range}How strong the float network's outputs are against what this recipe changes in them. 6 dB more is half the \
         change. These outputs are numbers, not one for each of several classes, so there are no right or changed answers."
    ));
    if let Some(plain) = open.plain_evaluated() {
        plain_ui(ui, open, &decibels(&plain.evaluation));
    }
    let samples = text::plural(evaluation.samples as u64, "sample", "samples");
    ui.label(note(format!("on {samples}")));
}

/// `(plain 3 bits 80.8 %)`.
fn plain_ui(ui: &mut Ui, open: &OpenNetwork, value: &str) {
    let mixed = open.recipe().layers.values().any(|layer| layer.weight_bits.is_some());
    let bits = if mixed {
        "at the same bits".to_owned()
    } else {
        text::bits(open.recipe().weight_bits)
    };
    ui.label(format!("(plain {bits} {value})"))
        .on_hover_text("The same bits without splitting or clipping: the thing to beat.");
}

/// Agreement and SQNR of the outputs, each with where it would lie on other samples of the same kind.
fn agreement_and_sqnr(evaluation: &Evaluation) -> String {
    let agreement = match (evaluation.agreement, evaluation.agreement_interval) {
        (Some(agreement), Some([low, high])) => format!(
            "The same first answer as the float network: {} ({:.1} to {:.1})\n",
            text::percent(agreement),
            low * 100.0,
            high * 100.0
        ),
        _ => String::new(),
    };
    let sqnr = evaluation.sqnr_db.map_or_else(|| "∞ dB".to_owned(), text::decibels);
    let range = evaluation.sqnr_db_interval;
    let range = range.map_or_else(String::new, |[low, high]| format!(" ({low:.1} to {high:.1})"));
    format!(
        "{agreement}Output SQNR: {sqnr}{range}\n\
         In brackets the 95 % intervals for this number of samples."
    )
}

/// `91.5 % (89.9 to 93.1), 95 % interval`: where the score would lie on other samples of the same kind.
fn interval(metrics: &Metrics) -> Option<String> {
    let score = Score::of_metrics(metrics);
    let (value, [low, high]) = (score.of(metrics)?, score.interval_of(metrics)?);
    if score == Score::Top1 {
        let (top1, low, high) = (text::percent(value), low * 100.0, high * 100.0);
        return Some(format!("{top1} ({low:.1} to {high:.1}), 95 % interval"));
    }
    let [value, low, high] = [value, low, high].map(|number| score.show(number));
    Some(format!("{value} ({low} to {high}), 95 % interval"))
}

/// The interval where there is one, and what the number is.
fn with_interval(metrics: &Metrics, explanation: &str) -> String {
    match interval(metrics) {
        Some(interval) => {
            format!("{interval}: where other samples of the same kind would put it.\n{explanation}")
        }
        None => explanation.to_owned(),
    }
}

/// One number for a network: what it is judged by.
struct Metric {
    value: String,
    /// ` ± 1.2`, empty where it is not known.
    spread: String,
}

fn metric(metrics: &Metrics, samples: usize) -> Option<Metric> {
    let score = Score::of_metrics(metrics);
    let value = score.of(metrics)?;
    Some(match score {
        Score::Top1 => {
            let error = (value * (1.0 - value) / samples.max(1) as f64).sqrt() * 100.0;
            Metric {
                value: text::percent(value),
                spread: format!(" ± {error:.1}"),
            }
        }
        Score::Perplexity => Metric {
            value: fixed(value, 2),
            spread: (metrics.perplexity_interval).map_or_else(String::new, |[low, high]| {
                // The interval is that of two normal deviations, nearly even around its middle.
                format!(" ± {}", fixed((high - low) / 2.0 / 1.96, 2))
            }),
        },
        Score::MeanIou | Score::MeanAp | Score::Pearson | Score::Sqnr => Metric {
            value: score.show(value),
            spread: String::new(),
        },
    })
}

/// What is under way before the numbers come, with its progress and a way to stop it.
fn waiting_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    let order = [
        Kind::Evaluate,
        Kind::FloatOutputs,
        Kind::Calibrate,
        Kind::LoadData,
        Kind::Engine,
        Kind::Plan,
        Kind::Prepare,
    ];
    let running = session.running();
    let job = order
        .iter()
        .find_map(|kind| running.iter().find(|job| job.kind == *kind));
    match job {
        Some(job) => job_ui(ui, job, out),
        None => {
            ui.label(note("waiting…"));
        }
    }
}

fn no_data_ui(ui: &mut Ui, out: &mut Outbox) {
    let what = "No data yet. Open images or arrays to see what the recipe does to the network's answers, or take noise, which \
                shows how far its outputs move.";
    ui.add(egui::Label::new(what).wrap());
    data_buttons_ui(ui, &[Command::TryPicture], out);
}
