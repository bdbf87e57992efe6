//! Why the selected layer hurts, the fixes that were tried on it, and the buttons that take them.

use super::super::Outbox;
use super::super::text::{self, note};
use super::super::theme::tokens;
use super::super::widgets::{failure_ui, job_ui, stopped_ui, waiting_ui};
use crate::inference::{AccuracyLost, Cause, Cure, LayerSensitivity, Mended, OrderBasis, TriedFix, fixed};
use crate::quantization::LayerRecipe;
use crate::session::{Action, Kind, OpenNetwork, Session};
use egui::{Button, DragValue, Grid, Label, RichText, Role, Ui, WidgetInfo};

/// Worst layers that have a button each.
const WORST: usize = 4;

/// State of the section between frames.
pub(super) struct CauseSection {
    /// Percent of the bytes that fixing all layers may add.
    within: f64,
}

impl Default for CauseSection {
    fn default() -> Self {
        Self { within: 5.0 }
    }
}

impl CauseSection {
    /// Draws cause and fixes of the selected layer, then the fixing of all layers.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        worst_ui(ui, open, out);
        match (open.cure(), open.cure_failure()) {
            (_, Some(error)) => failure_ui(ui, "No fix could be tried", error),
            (Some(Some(cure)), None) => cure_ui(ui, session, open, cure, out),
            (Some(None), None) => {
                ui.add(Label::new("This layer stays float under the current recipe: nothing to fix.").wrap());
            }
            (None, None) => {
                let why = &open.original.network.why_not_runnable;
                if let Some(why) = why {
                    let text = format!("Fixes are judged by running the network, which can't be run: {why}.");
                    ui.add(Label::new(text).wrap());
                } else if open.is_too_large_to_plan() {
                    let text = "The network is too large to try fixes while it is looked at: use splitscope cure.";
                    ui.add(Label::new(text).wrap());
                } else {
                    let kinds = [Kind::Cure, Kind::Evaluate, Kind::Calibrate, Kind::Plan];
                    waiting_ui(ui, session, &kinds, "Trying fixes on this layer…", height, out);
                }
            }
        }
        ui.separator();
        self.all_ui(ui, session, open, out);
    }

    /// Fixing all layers, and what it gave.
    fn all_ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        ui.horizontal_wrapped(|ui| {
            if let Some(job) = session.job(Kind::Mend) {
                job_ui(ui, &job, out);
                return;
            }
            let help =
                "Tries fixes on the worst layers and takes those that win most for their bytes. Undo takes it back.";
            let button = ui.button("Fix all within").on_hover_text(help);
            let drag = DragValue::new(&mut self.within)
                .range(0.0..=100.0)
                .speed(0.1)
                .max_decimals(1)
                .suffix(" %");
            let drag = ui
                .add(drag)
                .on_hover_text("Bytes that the fixes may add to the quantized network, in all.");
            drag.widget_info(|| WidgetInfo::labeled(Role::SpinButton, true, "More bytes, percent"));
            ui.label(note("more bytes"));
            if button.clicked() {
                out.actions.push(Action::FixAll {
                    within: self.within / 100.0,
                });
            }
            if let Some(error) = open.mend_failure() {
                stopped_ui(ui, error);
            }
        });
        if let Some((_, mended)) = open.mended() {
            mended_ui(ui, open, mended);
        }
    }
}

/// The worst layers of the network, a button each.
fn worst_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    let order = open.layer_order();
    let worst = order.worst_first();
    if worst.is_empty() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.label(note("Layers that cost most:"));
        for layer in worst.into_iter().take(WORST) {
            let Some(cost) = order.costs[layer] else { continue };
            let name = text::short_name(&cost.name, 24);
            let button = ui.add(Button::selectable(layer == open.selected(), name).small());
            button.widget_info(|| {
                WidgetInfo::selected(
                    Role::Button,
                    true,
                    layer == open.selected(),
                    format!("Look at {}", cost.name),
                )
            });
            let tells = format!(
                "{}: {} lost with only this layer quantized",
                cost.name,
                lost_text(cost.accuracy_lost())
            );
            if button.on_hover_text(tells).clicked() {
                out.actions.push(Action::SelectLayer(layer));
            }
        }
        if order.basis == Some(OrderBasis::Estimate) {
            ui.label(note("estimated on made-up inputs; open data to measure"));
        }
    });
}

/// What quantizing a layer alone costs, with its unit.
pub(in crate::app) fn lost_text(lost: AccuracyLost) -> String {
    let (number, unit) = match lost {
        AccuracyLost::Points(points) => (points, "points"),
        AccuracyLost::Perplexity(added) => (added, "perplexity"),
        AccuracyLost::OutputDb(db) => return text::decibels(db),
    };
    format!("{} {unit}", one_digit(number))
}

/// What a layer costs, and what its bar and its colour stand for, in a sentence each.
pub(in crate::app) fn cost_text(cost: &LayerSensitivity) -> String {
    let lost = cost.accuracy_lost();
    let outputs = match (lost, cost.sqnr_db) {
        (AccuracyLost::OutputDb(_), _) | (_, None) => String::new(),
        (_, Some(db)) => format!(
            "\nSQNR of the outputs: {}. Bar, colour and order stand for this error: points on few samples are left to chance.",
            text::decibels(db)
        ),
    };
    let unseen = if cost.is_unseen() {
        "\nNothing that it does reaches the outputs on these inputs: they tell nothing about it."
    } else {
        ""
    };
    format!("With only this layer quantized: {}.{outputs}{unseen}", lost_text(lost))
}

/// One digit behind the point, and no sign before a zero.
pub(in crate::app) fn one_digit(number: f64) -> String {
    let rounded = (number * 10.0).round() / 10.0;
    fixed(if rounded == 0.0 { 0.0 } else { rounded }, 1).replace('-', "−")
}

fn cure_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, cure: &Cure, out: &mut Outbox) {
    let main = cure.causes.first().map_or("", Cause::name);
    let best = cure.best();
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(capitalized(main)).strong().color(tokens(ui).outlier));
        if let Some(tried) = best {
            let taken = own_settings(open, cure) == tried.settings;
            let text = format!(
                "Take the recommended fix for this layer: {}. Undo takes it back.",
                tried.text
            );
            let button = ui
                .add_enabled(!taken, Button::new("Fix this layer"))
                .on_hover_text(text);
            if button.clicked() {
                take(open, cure, tried, out);
            }
        } else {
            ui.label(note("no fix wins a decibel"));
        }
        if let Some(job) = session.job(Kind::Cure) {
            job_ui(ui, &job, out);
        } else if !open.cure_is_current() {
            ui.label(note("Out of date."));
        }
    });
    for cause in &cure.causes {
        ui.add(Label::new(cause.to_string()).wrap());
    }
    let dead = matches!(cure.causes.first(), Some(Cause::DeadGrid { .. }));
    if cure.share_of_three > 0.95 && !dead {
        let text = format!(
            "{} of its weights share 3 grid values.",
            text::percent(cure.share_of_three)
        );
        ui.add(Label::new(note(text)).wrap());
    }
    ui.add_space(4.0);
    fixes_ui(ui, open, cure, out);
}

/// The settings of its own that the layer has now.
fn own_settings(open: &OpenNetwork, cure: &Cure) -> LayerRecipe {
    open.recipe().layers.get(&cure.before.name).cloned().unwrap_or_default()
}

fn take(open: &OpenNetwork, cure: &Cure, tried: &TriedFix, out: &mut Outbox) {
    let mut recipe = open.recipe().clone();
    let own = recipe.layers.entry(cure.before.name.clone()).or_default();
    // On top of what holds now: the table may be of a recipe before.
    tried.fixes.iter().for_each(|fix| fix.apply(own));
    out.actions.push(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: false,
    });
}

fn fixes_ui(ui: &mut Ui, open: &OpenNetwork, cure: &Cure, out: &mut Outbox) {
    let lost = cure.before.accuracy_lost();
    let score = match lost {
        AccuracyLost::Points(_) => "Top-1 against float",
        AccuracyLost::Perplexity(_) => "Perplexity against float",
        AccuracyLost::OutputDb(_) => "",
    };
    let samples = text::plural(cure.before.samples as u64, "sample", "samples");
    let help = format!("The network with only this layer quantized, on {samples}.");
    Grid::new("fixes")
        .num_columns(6)
        .spacing([14.0, 3.0])
        .striped(true)
        .show(ui, |ui| {
            let titles = ["Fix", "Output SQNR", "Gain", score, "Bytes", ""];
            for title in titles {
                ui.label(RichText::new(title).small().strong()).on_hover_text(&help);
            }
            ui.end_row();
            ui.label("as it is");
            ui.label(text::decibels(cure.before.sqnr_db.unwrap_or(f64::INFINITY)));
            ui.label("");
            ui.label(against_float(lost, None));
            ui.label("");
            ui.label("");
            ui.end_row();
            for (place, tried) in cure.fixes.iter().enumerate() {
                let recommended = cure.recommended == Some(place);
                let cell = |text: String| {
                    if recommended {
                        RichText::new(text).strong()
                    } else {
                        RichText::new(text)
                    }
                };
                let mark = if recommended { "▶ " } else { "" };
                ui.label(cell(format!("{mark}{}", tried.text)));
                ui.label(cell(no_error_or(tried.sqnr_db, text::decibels)));
                ui.label(cell(no_error_or(tried.gain_db, |db| signed(db, "dB"))));
                ui.label(cell(against_float(lost, Some(tried))));
                ui.label(cell(bytes_text(tried.bytes_added)));
                let button = ui.small_button("Apply");
                button.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Apply {}", tried.text)));
                if button
                    .on_hover_text("Take this fix for the layer. Undo takes it back.")
                    .clicked()
                {
                    take(open, cure, tried, out);
                }
                ui.end_row();
            }
        });
    ui.label(note(format!("▶ recommended. {help}")));
}

/// What the network with this layer alone quantized has more than the float one, points of accuracy or perplexity: as it is, or
/// with a fix.
fn against_float(lost: AccuracyLost, fix: Option<&TriedFix>) -> String {
    match lost {
        AccuracyLost::Points(lost) => signed(fix.and_then(|fix| fix.points_won).unwrap_or(0.0) - lost, "points"),
        AccuracyLost::Perplexity(added) => signed(added - fix.and_then(|fix| fix.perplexity_won).unwrap_or(0.0), ""),
        AccuracyLost::OutputDb(_) => String::new(),
    }
}

fn no_error_or(db: f64, show: impl FnOnce(f64) -> String) -> String {
    if db.is_finite() {
        show(db)
    } else {
        "no error".to_owned()
    }
}

/// `+3.1 dB`, `−0.5 points`.
fn signed(number: f64, unit: &str) -> String {
    let shown = one_digit(number);
    let sign = if shown.starts_with('−') || shown == "0.0" {
        ""
    } else {
        "+"
    };
    format!("{sign}{shown} {unit}").trim_end().to_owned()
}

fn bytes_text(bytes: i64) -> String {
    let sign = match bytes {
        0 => "",
        1.. => "+",
        _ => "−",
    };
    format!("{sign}{} B", text::full_count(bytes.unsigned_abs()))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What fixing all layers gave.
fn mended_ui(ui: &mut Ui, open: &OpenNetwork, mended: &Mended) {
    let fixed = mended.fixes.len() as u64;
    if fixed == 0 {
        ui.label("No fix fits into these bytes.");
        return;
    }
    let score = |of: &crate::inference::Evaluation| {
        text::score(&of.quantized).unwrap_or_else(|| text::decibels(of.sqnr_db.unwrap_or(f64::INFINITY)))
    };
    let (before, after) = mended.bytes;
    let more = i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX);
    let line = format!(
        "{} fixed: {} → {} on {}, {}",
        text::plural(fixed, "layer", "layers"),
        score(&mended.before),
        score(&mended.after),
        text::plural(mended.after.samples as u64, "sample", "samples"),
        bytes_text(more)
    );
    ui.add(Label::new(line).wrap());
    let fixes: Vec<String> = (mended.fixes.iter())
        .map(|fix| format!("{}: {}", fix.name, fix.text))
        .collect();
    ui.add(Label::new(note(fixes.join(" · "))).wrap());
    if mended.recipe != *open.recipe() {
        ui.label(note("The recipe has changed since."));
    }
}
