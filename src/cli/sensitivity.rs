//! `splitscope sensitivity`: the outputs with one layer quantized at a time.

use super::arguments::SensitivityArguments;
use super::output::{Table, lines, percent_or_dash, to_json};
use super::pipeline::{self, Asked};
use crate::inference::sweep::SweepSubject;
use crate::inference::{self, Dataset, LayerSensitivity, Metrics, Score, run_outputs, sensitivity};
use crate::progress::Progress;
use crate::quantization::Recipe;
use anyhow::Context;
use serde::Serialize;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    data: &'a str,
    samples: usize,
    /// What a person should know of the data.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    recipe: &'a Recipe,
    float: &'a Metrics,
    /// In the network's order; layers that stay float are left out.
    layers: &'a [LayerSensitivity],
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &SensitivityArguments, progress: &Progress) -> anyhow::Result<String> {
    let model = &arguments.model;
    let (flags, calibration) = (&arguments.recipe_flags, &arguments.calibration);
    let Asked {
        original,
        recipe,
        suggestion,
    } = pipeline::ask(model, flags, calibration)?;
    let network = pipeline::prepared(model, &original, &recipe, calibration, &arguments.data_flags, progress)?;
    let engine = pipeline::engine(&original)?;
    let data = pipeline::data_or_made_up(
        arguments.data.as_deref(),
        arguments.limit,
        &arguments.data_flags,
        (&original, &engine),
        progress,
    )?;
    let data = pipeline::judged(data, arguments.answer.output.as_ref(), &engine)?;
    let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
    let activations =
        pipeline::needed_activations(model, &recipe, &network, calibration, &arguments.data_flags, progress)?;
    let float = run_outputs(&engine, &data, limit, progress).context("the float network")?;
    let subject = SweepSubject {
        network: &network,
        activations: activations.as_ref(),
        shapes: None,
        data: &data,
        float: &float,
    };
    let rows = sensitivity(&subject, &recipe, progress, &mut |_| Ok(()))?;
    let metrics = inference::metrics(&float, &data);
    if arguments.json {
        return to_json(&Report {
            model,
            data: data.name(),
            notes: data.notes(),
            samples: float.samples,
            recipe: &recipe,
            float: &metrics,
            layers: &rows,
        });
    }
    let suggestion = lines(suggestion);
    Ok(suggestion + &table(&rows, &metrics, &data, float.samples))
}

/// The layers, the one that costs the outputs most first.
fn table(rows: &[LayerSensitivity], float: &Metrics, data: &Dataset, samples: usize) -> String {
    let judged_by = Score::of_metrics(float);
    let score = judged_by.name();
    let show = |metrics: &Metrics| judged_by.of(metrics).map(|value| judged_by.show_with_unit(value));
    let decibels = |db: f64| format!("{db:.1}");
    let mut worst_first: Vec<&LayerSensitivity> = rows.iter().collect();
    let noise = |row: &LayerSensitivity| row.sqnr_db.unwrap_or(f64::INFINITY);
    worst_first.sort_by(|a, b| noise(a).total_cmp(&noise(b)));
    let mut titles = vec!["layer", "bits", "splits", "weights dB", "outputs dB", "same answer"];
    if show(float).is_some() {
        titles.push(score);
    }
    let mut shown = Table::new(&titles);
    for row in worst_first {
        let mut cells = vec![
            row.name.clone(),
            row.weight_bits.to_string(),
            row.splits.to_string(),
            decibels(row.weight_sqnr_db),
            decibels(noise(row)),
            percent_or_dash(row.agreement),
        ];
        cells.extend(show(&row.metrics));
        shown.row(cells);
    }
    let unit = if data.is_text() { "tokens" } else { "samples" };
    let float = show(float).map_or_else(String::new, |value| format!(" · {score} · float {value}"));
    let mut notes = lines(data.notes());
    let unseen = rows.iter().filter(|row| row.is_unseen()).count();
    if unseen > 0 {
        let all = rows.len();
        notes += &format!(
            "without effect on the outputs here (inf), so that these inputs tell nothing about them: {unseen} of {all} layers\n"
        );
    }
    format!(
        "{} · {samples} {unit} · {}{float}\n{notes}\none layer quantized at a time, the costliest first\n{}",
        data.name(),
        data.preprocessing(),
        shown.text()
    )
}
