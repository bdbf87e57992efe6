//! What two settings gave and cost, side by side.

use super::difference::{Difference, differences};
use crate::app::text::{self, note};
use crate::inference::{Metrics, Score};
use crate::quantization::Recipe;
use crate::session::Snapshot;
use egui::{Grid, RichText, Ui};

/// Characters of a value or of a choice.
const VALUE: usize = 34;
/// Differences between recipes that are listed.
const LISTED: usize = 40;

/// One line of the comparison.
struct Line {
    what: &'static str,
    help: &'static str,
    sides: [Option<Value>; 2],
    /// What one less the other is called, `None` where that says nothing.
    difference: fn(f64) -> String,
    /// Which sign of the difference, B − A, is better: 1, or -1 where less is better.
    better: f64,
}

/// A number as it is shown.
struct Value {
    number: f64,
    shown: String,
    /// The 95 % interval in words.
    interval: Option<String>,
}

fn percent_value(share: f64, interval: Option<[f64; 2]>) -> Value {
    Value {
        number: share * 100.0,
        shown: text::percent(share),
        interval: interval.map(|[low, high]| format!("95 % interval: {:.1} % to {:.1} %", low * 100.0, high * 100.0)),
    }
}

fn decibels_value(db: f64, interval: Option<[f64; 2]>) -> Value {
    Value {
        number: db,
        shown: text::decibels(db),
        interval: interval.map(|[low, high]| format!("95 % interval: {low:.1} dB to {high:.1} dB")),
    }
}

fn added_value(ratio: f64) -> Value {
    Value {
        number: (ratio - 1.0) * 100.0,
        shown: text::added(ratio),
        interval: None,
    }
}

fn points(difference: f64) -> String {
    signed(&format!("{difference:+.1} points"))
}

fn decibels(difference: f64) -> String {
    signed(&format!("{difference:+.1} dB"))
}

fn plain(difference: f64) -> String {
    signed(&format!("{difference:+.3}"))
}

fn kibibytes(difference: f64) -> String {
    signed(&format!("{:+.1} KiB", difference / 1024.0))
}

fn signed(text: &str) -> String {
    text.replace('-', "−")
}

/// A score as it is written in tables, with its interval.
fn score_value(metrics: &Metrics, score: Score) -> Option<Value> {
    let number = score.of(metrics)?;
    let interval = score.interval_of(metrics).map(|ends| ends.map(|end| score.show(end)));
    Some(Value {
        number,
        shown: score.show(number),
        interval: interval.map(|[low, high]| format!("95 % interval: {low} to {high}")),
    })
}

/// All lines that at least one side has a number for.
fn lines(sides: &[Snapshot; 2]) -> Vec<Line> {
    let evaluated = |of: fn(&crate::inference::Evaluation) -> Option<Value>| {
        [0, 1].map(|side: usize| sides[side].evaluation.as_ref().and_then(of))
    };
    let planned = |of: fn(&crate::session::PlanSummary) -> Option<Value>| {
        [0, 1].map(|side: usize| sides[side].planned.as_deref().and_then(of))
    };
    let all = vec![
        Line {
            what: "Accuracy",
            help: "Share of samples whose first answer is right.",
            sides: evaluated(|found| {
                let metrics = &found.quantized;
                metrics.top1.map(|top1| percent_value(top1, metrics.top1_interval))
            }),
            difference: points,
            better: 1.0,
        },
        Line {
            what: "Perplexity",
            help: "Between how many tokens the network hesitates, on average. Less is better.",
            sides: evaluated(|found| score_value(&found.quantized, Score::Perplexity)),
            difference: plain,
            better: -1.0,
        },
        Line {
            what: "Mean IoU",
            help: Score::MeanIou.help(),
            sides: evaluated(|found| score_value(&found.quantized, Score::MeanIou)),
            difference: plain,
            better: 1.0,
        },
        Line {
            what: "mAP",
            help: Score::MeanAp.help(),
            sides: evaluated(|found| score_value(&found.quantized, Score::MeanAp)),
            difference: plain,
            better: 1.0,
        },
        Line {
            what: "Pearson",
            help: Score::Pearson.help(),
            sides: evaluated(|found| score_value(&found.quantized, Score::Pearson)),
            difference: plain,
            better: 1.0,
        },
        Line {
            what: "Agreement",
            help: "Share of samples with the same first answer as the float network.",
            sides: evaluated(|found| Some(percent_value(found.agreement?, found.agreement_interval))),
            difference: points,
            better: 1.0,
        },
        Line {
            what: "Output SQNR",
            help: "Strength of the outputs over strength of their error against the float network.",
            sides: evaluated(|found| found.sqnr_db.map(|db| decibels_value(db, found.sqnr_db_interval))),
            difference: decibels,
            better: 1.0,
        },
        Line {
            what: "Weights",
            help: "Weights that the splits add.",
            sides: planned(|plan| Some(added_value(plan.weights))),
            difference: points,
            better: -1.0,
        },
        Line {
            what: "MACs",
            help: "Multiply-accumulates that the splits add.",
            sides: planned(|plan| plan.macs.map(added_value)),
            difference: points,
            better: -1.0,
        },
        Line {
            what: "Size",
            help: "Bytes of the exported file.",
            sides: planned(|plan| {
                Some(Value {
                    number: plan.bytes as f64,
                    shown: format!("{:.1} KiB", plan.bytes as f64 / 1024.0),
                    interval: None,
                })
            }),
            difference: kibibytes,
            better: -1.0,
        },
    ];
    all.into_iter()
        .filter(|line| line.sides.iter().any(Option::is_some))
        .collect()
}

/// The table of numbers; `present` is the recipe that is run now.
pub(super) fn numbers_ui(ui: &mut Ui, sides: &[Snapshot; 2], present: &Recipe) {
    Grid::new("ab numbers")
        .num_columns(4)
        .striped(true)
        .spacing([16.0, 4.0])
        .show(ui, |ui| {
            ui.label("");
            for (letter, side) in ["A", "B"].into_iter().zip(sides) {
                let title = format!("{letter} · {}", text::elide_middle(&side.name, 18));
                ui.strong(title).on_hover_text(&side.name);
            }
            ui.label(note("B − A"));
            ui.end_row();
            for line in lines(sides) {
                ui.label(line.what).on_hover_text(line.help);
                for side in &line.sides {
                    value_ui(ui, side.as_ref());
                }
                if let [Some(a), Some(b)] = &line.sides
                    && (b.number - a.number).is_finite()
                {
                    difference_ui(ui, &line, b.number - a.number);
                }
                ui.end_row();
            }
        });
    let unmeasured = sides.iter().filter(|side| side.evaluation.is_none());
    // What the present recipe says is run by itself.
    let known = unmeasured.clone().all(|side| side.recipe == *present);
    if unmeasured.count() > 0 {
        let what = if known {
            "The answers come when the network has run."
        } else {
            "A side without answers was not run on the open data: take it up again to measure it."
        };
        ui.add(egui::Label::new(note(what)).wrap());
    }
}

fn value_ui(ui: &mut Ui, value: Option<&Value>) {
    match value {
        None => {
            ui.label(note("–"));
        }
        Some(value) => {
            let response = ui.label(&value.shown);
            if let Some(interval) = &value.interval {
                response.on_hover_text(interval);
            }
        }
    }
}

fn difference_ui(ui: &mut Ui, line: &Line, difference: f64) {
    let shown = (line.difference)(difference);
    let better = difference * line.better;
    let text = RichText::new(shown);
    let (text, what) = if better == 0.0 {
        (text.weak(), "No difference.")
    } else if better > 0.0 {
        (text.strong(), "B is better.")
    } else {
        (text, "A is better.")
    };
    ui.label(text).on_hover_text(what);
}

/// In what the recipes differ.
pub(super) fn differences_ui(ui: &mut Ui, sides: &[Snapshot; 2]) {
    let found = differences(&sides[0].recipe, &sides[1].recipe);
    if found.is_empty() {
        ui.label("Both have the same recipe.");
        return;
    }
    Grid::new("ab recipes")
        .num_columns(3)
        .striped(true)
        .spacing([16.0, 4.0])
        .show(ui, |ui| {
            for Difference { what, sides } in found.iter().take(LISTED) {
                for text in [what, &sides[0], &sides[1]] {
                    ui.label(text::elide_middle(text, VALUE)).on_hover_text(text);
                }
                ui.end_row();
            }
        });
    if found.len() > LISTED {
        ui.label(note(format!("and {} more", found.len() - LISTED)));
    }
}
