//! Massive activations and super weights: single numbers that a network hangs on, and how it answers without each.

use super::super::Outbox;
use super::super::learn::glossary::{Term, help_ui};
use super::super::text::{self, note};
use super::super::widgets::{start_ui, stopped_ui};
use crate::inference::{MassiveActivation, Score, SuperWeight, Without};
use crate::session::{Action, Kind, MassiveFound, OpenNetwork, Session};
use egui::{Button, Grid, Label, RichText, Role, Ui, WidgetInfo};

/// Letters of a name that a cell shows.
const NAME: usize = 24;

/// Draws the button, and what was found.
pub(super) fn massive_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    if let Some(why) = &open.original.network.why_not_runnable {
        let text = format!("They are found by running the network, which can't be run: {why}.");
        ui.add(Label::new(text).wrap());
        return;
    }
    ui.horizontal_wrapped(|ui| {
        let help = "Runs the float network once and looks at every output of a layer and every sum; then runs it again without each \
                    that it found.";
        let button = ("Look for massive values", help);
        start_ui(ui, session, Kind::Massive, button, Action::FindMassive, out);
        help_ui(ui, Term::Massive);
        if let Some(error) = open.massive_failure() {
            stopped_ui(ui, error);
        } else if open.massive().is_some() && !open.massive_is_current(session.limit()) {
            ui.label(note("Of other data or samples. Look again."));
        }
    });
    match open.massive() {
        Some(found) => found_ui(ui, open, found, out),
        None => {
            let what = "Does the network hang on single numbers? In language models a few activations are a thousand times larger than \
                        the rest, and a single weight may make them: whoever clips them breaks the network.";
            ui.add(Label::new(note(what)).wrap());
        }
    }
}

fn found_ui(ui: &mut Ui, open: &OpenNetwork, massive: &MassiveFound, out: &mut Outbox) {
    let (found, limits) = (&massive.found, massive.limits);
    let score = Score::of_metrics(&massive.float);
    let whole = score
        .of(&massive.float)
        .map(|value| format!("The whole network: {} {}. ", score.name(), score.show_with_unit(value)));
    let counts = format!(
        "{}Massive: at least {} and {} times the median of its value.",
        whole.unwrap_or_default(),
        limits.magnitude,
        limits.ratio
    );
    ui.add(Label::new(note(counts)).wrap());
    ui.add_space(4.0);
    let many = |count: usize, one: &str, more: &str| match count {
        0 => format!("No {one}"),
        count => text::plural(count as u64, one, more),
    };
    ui.strong(many(
        found.activations_found,
        "massive activation",
        "massive activations",
    ));
    if !found.activations.is_empty() {
        grid(ui, "massive activations", &ACTIVATIONS, score, |ui| {
            for activation in &found.activations {
                activation_ui(ui, open, activation, score, out);
            }
        });
        more_ui(ui, found.activations_found - found.activations.len());
    }
    ui.add_space(6.0);
    ui.strong(many(found.super_weights_found, "super weight", "super weights"));
    if !found.super_weights.is_empty() {
        grid(ui, "super weights", &WEIGHTS, score, |ui| {
            for weight in &found.super_weights {
                weight_ui(ui, open, weight, score, out);
            }
        });
        more_ui(ui, found.super_weights_found - found.super_weights.len());
    }
}

/// Titles, and what the columns show.
const ACTIVATIONS: [(&str, &str); 5] = [
    ("Value", "The first value in which the channel is massive."),
    ("Channel", "The channel of that value."),
    (
        "Seen at",
        "The token and its place in the text; else the sample and the place in it.",
    ),
    (
        "Activation",
        "The furthest number, and how many times the median of its value that is.",
    ),
    (
        "In values",
        "In how many values of the graph the channel is massive, and the last of them.",
    ),
];
const WEIGHTS: [(&str, &str); 5] = [
    ("Layer", "The layer that holds the weight."),
    ("Row, column", "Output channel and input channel of the weight."),
    (
        "Seen at",
        "The token and its place in the text; else the sample and the place in it.",
    ),
    (
        "Weight × input",
        "The weight, what it multiplies there, and the share that their product has in the output.",
    ),
    ("Output", "The massive output that it makes."),
];

fn grid(ui: &mut Ui, name: &str, titles: &[(&str, &str)], score: Score, rows: impl FnOnce(&mut Ui)) {
    let without = format!("{} without", score.name());
    Grid::new(name).spacing([14.0, 3.0]).striped(true).show(ui, |ui| {
        let last = "The network with that number set to 0, on the same samples.";
        for (title, help) in titles.iter().copied().chain([(without.as_str(), last)]) {
            ui.label(RichText::new(title).small().strong()).on_hover_text(help);
        }
        ui.end_row();
        rows(ui);
    });
}

fn more_ui(ui: &mut Ui, more: usize) {
    if more > 0 {
        let text = format!(
            "and {}: splitscope massive lists them",
            text::plural(more as u64, "more", "more")
        );
        ui.label(note(text));
    }
}

fn activation_ui(ui: &mut Ui, open: &OpenNetwork, found: &MassiveActivation, score: Score, out: &mut Outbox) {
    match &found.layer {
        Some(layer) => layer_ui(ui, open, layer, out),
        None => {
            name_ui(ui, &found.value);
        }
    }
    ui.label(found.channel.to_string());
    ui.label(found.seen_at.to_string());
    ui.label(format!(
        "{} ({}×)",
        text::three_digits(f64::from(found.activation)),
        text::three_digits(found.over_median())
    ));
    let until = format!("Up to {}.", found.until);
    ui.label(found.values.to_string()).on_hover_text(until);
    without_ui(ui, found.without.as_ref(), found.not_run.as_deref(), score);
    ui.end_row();
}

fn weight_ui(ui: &mut Ui, open: &OpenNetwork, found: &SuperWeight, score: Score, out: &mut Outbox) {
    layer_ui(ui, open, &found.layer, out);
    ui.label(format!("{}, {}", found.output_channel, found.input_channel));
    ui.label(found.seen_at.to_string());
    ui.label(format!(
        "{} × {} ({})",
        text::three_digits(f64::from(found.weight)),
        text::three_digits(f64::from(found.input)),
        text::percent(found.share)
    ));
    ui.label(text::three_digits(f64::from(found.output)));
    let other = found.without_largest_other.as_ref();
    let response = without_ui(ui, found.without.as_ref(), found.not_run.as_deref(), score);
    if let Some(other) = other {
        response.on_hover_text(format!(
            "Without the largest other weight of the layer instead: {}.",
            answer(other, score)
        ));
    }
    ui.end_row();
}

/// A layer's name, which selects it.
fn layer_ui(ui: &mut Ui, open: &OpenNetwork, name: &str, out: &mut Outbox) {
    let Some(layer) = open.original.network.layer_index(name) else {
        name_ui(ui, name);
        return;
    };
    let button = ui.add(Button::selectable(layer == open.selected(), text::short_name(name, NAME)).small());
    button
        .widget_info(|| WidgetInfo::selected(Role::Button, true, layer == open.selected(), format!("Look at {name}")));
    if button.on_hover_text(name).clicked() {
        out.actions.push(Action::SelectLayer(layer));
    }
}

fn name_ui(ui: &mut Ui, name: &str) {
    ui.label(text::short_name(name, NAME)).on_hover_text(name);
}

fn without_ui(ui: &mut Ui, without: Option<&Without>, not_run: Option<&str>, score: Score) -> egui::Response {
    match (without, not_run) {
        (Some(without), _) => ui.label(answer(without, score)),
        (None, Some(why)) => ui.label("not run").on_hover_text(why),
        (None, None) => ui.label("–"),
    }
}

/// The score, and the SQNR against the whole network where that is not the score itself.
fn answer(without: &Without, score: Score) -> String {
    let decibels = without.sqnr_db.map(text::decibels);
    let value = score.of(&without.metrics).map(|value| score.show_with_unit(value));
    match (value, decibels) {
        (Some(value), Some(decibels)) => format!("{value} ({decibels})"),
        (value, decibels) => value.or(decibels).unwrap_or_else(|| "–".to_owned()),
    }
}
