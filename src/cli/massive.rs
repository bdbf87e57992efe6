//! `splitscope massive`: massive activations and super weights by name, and how the network answers without each.

use super::arguments::MassiveArguments;
use super::output::{Table, lines, to_json};
use super::pipeline;
use crate::format;
use crate::inference::{Dataset, Massive, MassiveLimits, Metrics, Score, Without, massive, metrics, run_outputs};
use crate::progress::Progress;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    data: &'a str,
    notes: &'a [String],
    samples: usize,
    limits: MassiveLimits,
    /// The whole network.
    float: &'a Metrics,
    #[serde(flatten)]
    found: &'a Massive,
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &MassiveArguments, progress: &Progress) -> anyhow::Result<String> {
    let model = &arguments.model;
    let network = format::open(Path::new(model))?;
    let engine = pipeline::engine(&network)?;
    let data = pipeline::data_or_noise(
        arguments.data.as_deref(),
        Some(arguments.limit),
        &arguments.data_flags,
        &network,
        &engine,
    )?;
    let data = pipeline::judged(data, arguments.answer.output.as_ref(), &engine)?;
    let whole = run_outputs(&engine, &data, arguments.limit, progress).context("the float network")?;
    let limits = MassiveLimits {
        magnitude: arguments.magnitude as f32,
        ratio: arguments.ratio,
    };
    let found = massive(&network, &engine, (&data, &whole), limits, arguments.top, progress)?;
    let float = metrics(&whole, &data);
    if arguments.json {
        return to_json(&Report {
            model,
            data: data.name(),
            notes: data.notes(),
            samples: whole.samples,
            limits,
            float: &float,
            found: &found,
        });
    }
    Ok(text(&found, &float, &data, (whole.samples, limits)))
}

fn text(found: &Massive, float: &Metrics, data: &Dataset, (samples, limits): (usize, MassiveLimits)) -> String {
    let score = Score::of_metrics(float);
    let unit = if data.is_text() { "tokens" } else { "samples" };
    let known = score
        .of(float)
        .map(|value| format!(" · {} {}", score.name(), score.show_with_unit(value)));
    let mut text = format!(
        "{} · {samples} {unit} · {}{}\n{}\nmassive: |x| at least {} and {} times the median of its value\n",
        data.name(),
        data.preprocessing(),
        known.unwrap_or_default(),
        lines(data.notes()),
        limits.magnitude,
        limits.ratio
    );
    text += &format!("\nmassive activations: {}\n", found.activations_found);
    if !found.activations.is_empty() {
        text += &activations_table(found, score).text();
    }
    text += &format!("\nsuper weights: {}\n", found.super_weights_found);
    if !found.super_weights.is_empty() {
        text += &weights_table(found, score).text();
    }
    let reasons = found.activations.iter().filter_map(|found| found.not_run.as_ref());
    let reasons = reasons.chain(found.super_weights.iter().filter_map(|found| found.not_run.as_ref()));
    text + &lines(reasons.map(|why| format!("not run: {why}")))
}

fn activations_table(found: &Massive, score: Score) -> Table {
    let without = format!("{} without", score.label());
    let titles = [
        "value",
        "channel",
        "seen at",
        "activation",
        "over median",
        "until",
        "values",
        &without,
    ];
    let mut table = Table::new(&with_decibels(&titles, score));
    for activation in &found.activations {
        let mut cells = vec![
            activation.value.clone(),
            activation.channel.to_string(),
            activation.seen_at.to_string(),
            format!("{:.1}", activation.activation),
            format!("{:.0}x", activation.over_median()),
            activation.until.clone(),
            activation.values.to_string(),
        ];
        cells.extend(answers(activation.without.as_ref(), score));
        table.row(cells);
    }
    table
}

fn weights_table(found: &Massive, score: Score) -> Table {
    let without = format!("{} without", score.label());
    let titles = [
        "layer", "out, in", "weight", "input", "output", "share", "seen at", &without,
    ];
    let mut titles = with_decibels(&titles, score);
    let other = format!("{} without the largest other", score.label());
    titles.push(&other);
    let mut table = Table::new(&titles);
    for weight in &found.super_weights {
        let mut cells = vec![
            weight.layer.clone(),
            format!("{}, {}", weight.output_channel, weight.input_channel),
            format!("{:.4}", weight.weight),
            format!("{:.1}", weight.input),
            format!("{:.1}", weight.output),
            format!("{:.0} %", weight.share * 100.0),
            weight.seen_at.to_string(),
        ];
        cells.extend(answers(weight.without.as_ref(), score));
        cells.extend(answers(weight.without_largest_other.as_ref(), score).into_iter().next());
        table.row(cells);
    }
    table
}

/// A column of SQNR besides, where that is not the score itself.
fn with_decibels<'a>(titles: &[&'a str], score: Score) -> Vec<&'a str> {
    let more = (score != Score::Sqnr).then_some("SQNR dB");
    titles.iter().copied().chain(more).collect()
}

/// The score, and the SQNR besides.
fn answers(without: Option<&Without>, score: Score) -> Vec<String> {
    let dash = || "–".to_owned();
    let decibels = without
        .and_then(|without| without.sqnr_db)
        .map(|db| Score::Sqnr.show(db));
    if score == Score::Sqnr {
        return vec![decibels.unwrap_or_else(dash)];
    }
    let value = without
        .and_then(|without| score.of(&without.metrics))
        .map(|value| score.show(value));
    vec![value.unwrap_or_else(dash), decibels.unwrap_or_else(dash)]
}
