//! `splitscope evaluate`: the network before and after quantization on the same samples.

use super::UsageError;
use super::arguments::EvaluateArguments;
use super::output::{Table, check_place, lines, percent_or_dash, to_json, write_whole};
use super::pipeline;
use crate::engine;
use crate::inference::{
    self, AtChance, DataOptions, Dataset, Engine, EngineDifference, Evaluation, LatencyReport, Metrics, OracleMetrics,
    Outputs, QuantizedModel, Score, SplitOnly, Verification, chance_level, engine_difference, latency_report,
    run_oracle, run_outputs, run_samples, split_only_difference, suggest_preprocess, token_losses,
};
use crate::onnx;
use crate::printable::csv;
use crate::progress::Progress;
use anyhow::{Context, bail};
use ndarray::ArrayView2;
use ndarray_npy::WriteNpyExt;
use std::path::Path;
use std::sync::Arc;

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &EvaluateArguments, progress: &Progress) -> anyhow::Result<String> {
    for path in arguments.logits.iter().chain(&arguments.token_losses) {
        check_place(path)?;
    }
    if arguments.oracle_ocs && !arguments.recipe_flags.recipe(false)?.splits_activations() {
        let why = "--oracle-ocs: no activations are split; give --activation-bits and --activation-expand-ratio too";
        return Err(UsageError(why.to_owned()).into());
    }
    let (model, calibration, flags) = (&arguments.model, &arguments.calibration, &arguments.data_flags);
    let asked = pipeline::ask(model, &arguments.recipe_flags, calibration)?;
    let float = pipeline::engine(&asked.original)?;
    let path = arguments.data.as_deref().unwrap_or_default();
    let options = DataOptions {
        limit: arguments.limit,
        ..flags.options(&asked.original)
    };
    // Before the work that planning is: the data may not be there.
    let data = Dataset::open(path, &options, float.inputs())?;
    let data = pipeline::judged(data, arguments.answer.output.as_ref(), &float)?;
    if data.is_empty() {
        bail!("{path}: holds no samples");
    }
    let planned = pipeline::plan_asked(asked, model, (calibration, flags), None, progress)?;
    // The very bytes that `quantize` writes.
    let exported = QuantizedModel::of(&planned.network, &planned.plan)?;
    let quantized = exported.engine().context("the quantized network")?;
    let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
    let before = run_outputs(&float, &data, limit, progress).context("the float network")?;
    let after = run_outputs(&quantized, &data, limit, progress).context("the quantized network")?;
    if let Some(path) = &arguments.logits {
        write_logits(path, &after)?;
    }
    if let Some(path) = &arguments.token_losses {
        write_token_losses(path, (&before, &after), &data)?;
    }
    let mut evaluation = inference::evaluate(&before, &after, &data);
    evaluation.split_only = split_only_difference(&planned.network, &planned.plan, &data, &before, progress)
        .context("the splits without a grid")?;
    if arguments.oracle_ocs {
        let engine = pipeline::engine(&planned.network)?;
        let outputs = run_oracle(&planned.network, &engine, &planned.plan, &data, limit, progress)
            .context("the network of a batch (Oracle OCS)")?;
        evaluation.oracle = Some(inference::evaluate(&before, &outputs, &data).into());
    }
    if let Some(chance) = chance_level(&evaluation.float, before.classes) {
        let suggestions = suggest_preprocess(&float, &data, &options, progress).context("ways to read the pictures")?;
        evaluation.at_chance = Some(AtChance { chance, suggestions });
    }
    evaluation.engine = Some(quantized.name().to_owned());
    if arguments.latency {
        evaluation.latency = Some(latency_report(&float, &quantized, &data, progress).context("latency")?);
    }
    if arguments.verify {
        let outputs = [(&float, &before), (&quantized, &after)];
        let bytes = [onnx::encode(&planned.original.runnable_model())?, exported.bytes()?];
        evaluation.verified = Some(verified(outputs, bytes, &data, progress).context("--verify")?);
    }
    if arguments.json {
        to_json(&evaluation)
    } else {
        Ok(lines(planned.suggestion) + &table(&evaluation, &data))
    }
}

/// Runs the bytes of the float and of the quantized network in the other engine.
fn verified(
    outputs: [(&Arc<dyn Engine>, &Outputs); 2],
    bytes: [Vec<u8>; 2],
    data: &Dataset,
    progress: &Progress,
) -> anyhow::Result<Verification> {
    let other = engine::chosen().other();
    let name = other.available()?;
    let [float, quantized] = bytes;
    let compare = |bytes: Vec<u8>, (engine, outputs): (&Arc<dyn Engine>, &Outputs)| {
        let loaded = other.load(bytes).with_context(|| name.clone())?;
        let there = run_samples(&loaded, data, outputs.range(), progress).with_context(|| name.clone())?;
        anyhow::Ok(engine_difference([engine.name(), loaded.name()], outputs, &there))
    };
    Ok(Verification {
        float: compare(float, outputs[0])?,
        quantized: compare(quantized, outputs[1])?,
    })
}

/// How far apart two engines are.
fn verified_lines(verification: &Verification) -> String {
    let line = |what: &str, found: &EngineDifference| {
        let changed = found.changed_predictions.map_or_else(String::new, |changed| {
            format!(", {changed} of {} predictions changed", found.samples)
        });
        format!(
            "{what} in {} and {}: outputs differ by {:.1e} at most ({:.1e} of the largest){changed}\n",
            found.engines[0], found.engines[1], found.max_abs_difference, found.relative_difference
        )
    };
    let (float, quantized) = (&verification.float, &verification.quantized);
    line("float", float) + &line("quantized", quantized)
}

/// What both networks take.
fn latency_lines(report: &LatencyReport) -> String {
    let mut text = format!(
        "latency, {}, {} thread(s), median (95th percentile) of a run:\n",
        report.engine, report.threads
    );
    for (float, quantized) in report.float.batches.iter().zip(&report.quantized.batches) {
        text += &format!(
            "  batch {}: float {:.3} ms ({:.3}), quantized {:.3} ms ({:.3})\n",
            float.batch, float.median_ms, float.p95_ms, quantized.median_ms, quantized.p95_ms
        );
    }
    if let (Some(float), Some(quantized)) = (report.float.peak_memory_bytes, report.quantized.peak_memory_bytes) {
        let mib = |bytes: u64| bytes >> 20;
        text += &format!(
            "  peak memory of the process: float {} MiB, quantized {} MiB\n",
            mib(float),
            mib(quantized)
        );
    }
    text
}

/// What is said where outputs are no classes.
const NO_CLASSES: &str = "the outputs are numbers, not classes, so there is no first answer to compare";

/// The output SQNR; where it is not finite the outputs are equal, or cannot be compared.
fn sqnr_text(sqnr_db: Option<f64>) -> String {
    match sqnr_db {
        Some(sqnr_db) if sqnr_db.is_finite() => format!("SQNR {sqnr_db:.1} dB"),
        Some(_) => "outputs equal".to_owned(),
        None => "SQNR unknown".to_owned(),
    }
}

/// Writes outputs as a NumPy array `[samples, classes]`; of a text with a large vocabulary only those that are kept.
fn write_logits(path: &Path, outputs: &Outputs) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let rows = outputs.logits.len() / outputs.classes.max(1);
    ArrayView2::from_shape((rows, outputs.classes), &outputs.logits)?.write_npy(&mut bytes)?;
    write_whole(path, &bytes)
}

/// Writes the loss at each token as CSV: its number, its text if that is known, nats of the float and the quantized network, and
/// how much more the latter is surprised.
fn write_token_losses(path: &Path, (float, quantized): (&Outputs, &Outputs), data: &Dataset) -> anyhow::Result<()> {
    let Some(losses) = token_losses(float, quantized, data) else {
        let why = "--token-losses: the data are no text that a network guesses token by token";
        return Err(UsageError(why.to_owned()).into());
    };
    let mut text = csv::line(&["token", "text", "float_nats", "quantized_nats", "difference"]);
    for (row, (float_nats, quantized_nats)) in losses.float.iter().zip(&losses.quantized).enumerate() {
        let sample = float.first + row;
        let token = data.label(sample).and_then(|token| data.class_name(token));
        text += &csv::line(&[
            sample.to_string(),
            token.unwrap_or_default().to_owned(),
            float_nats.to_string(),
            quantized_nats.to_string(),
            losses.difference(row).map(|more| more.to_string()).unwrap_or_default(),
        ]);
    }
    write_whole(path, text.as_bytes())
}

fn table(evaluation: &Evaluation, data: &Dataset) -> String {
    let samples = evaluation.samples;
    let (float, quantized) = (&evaluation.float, &evaluation.quantized);
    let mut rows = Table::new(&["", "float", "quantized"]);
    let mut row = |title: &str, of: fn(&Metrics) -> Option<f64>, show: &dyn Fn(f64) -> String| {
        if let (Some(before), Some(after)) = (of(float), of(quantized)) {
            rows.row(vec![title.to_owned(), show(before), show(after)]);
        }
    };
    let share = |share: f64| share_with_error(share, samples);
    row("top-1", |metrics| metrics.top1, &share);
    row("top-5", |metrics| metrics.top5, &share);
    row("nats per token", |metrics| metrics.nats_per_token, &|nats| {
        format!("{nats:.4}")
    });
    row("perplexity", |metrics| metrics.perplexity, &|perplexity| {
        Score::Perplexity.show(perplexity)
    });
    row("mean IoU", |metrics| metrics.mean_iou, &|iou| format!("{iou:.4}"));
    row("pixel accuracy", |metrics| metrics.pixel_accuracy, &|share| {
        format!("{:.2} %", share * 100.0)
    });
    row("mAP", |metrics| metrics.mean_ap, &|map| format!("{map:.4}"));
    row("mAP at 0.5", |metrics| metrics.mean_ap_50, &|map| format!("{map:.4}"));
    row("Pearson", |metrics| metrics.pearson, &|r| format!("{r:.4}"));
    row("Spearman", |metrics| metrics.spearman, &|r| format!("{r:.4}"));
    let answers = match evaluation.agreement {
        Some(agreement) => format!(
            "same first answer {} · {}",
            share(agreement),
            sqnr_text(evaluation.sqnr_db)
        ),
        None if float.pairs.is_some() || float.mean_iou.is_some() || float.mean_ap.is_some() => {
            format!("output {}", sqnr_text(evaluation.sqnr_db))
        }
        None => format!("output {} · {NO_CLASSES}", sqnr_text(evaluation.sqnr_db)),
    };
    // Without labels there is nothing to stand in the columns.
    let rows = match Score::of_metrics(float) {
        Score::Sqnr => String::new(),
        _ => rows.text(),
    };
    let unit = if data.is_text() { "tokens" } else { "samples" };
    let notes = lines(&evaluation.notes);
    let interval = interval_line(float, quantized);
    let oracle = evaluation.oracle.as_ref().map(oracle_line);
    let split_only = evaluation.split_only.as_ref().map(|split| split_only_line(split, unit));
    let at_chance = evaluation.at_chance.as_ref().map(at_chance_line);
    format!(
        "{} · {samples} {unit} · {}\n{notes}\n{}{}\n{answers}\n{}{}{}{}{}",
        data.name(),
        data.preprocessing(),
        rows,
        interval.unwrap_or_default(),
        split_only.unwrap_or_default(),
        oracle.unwrap_or_default(),
        at_chance.unwrap_or_default(),
        evaluation.verified.as_ref().map(verified_lines).unwrap_or_default(),
        evaluation.latency.as_ref().map(latency_lines).unwrap_or_default()
    )
}

/// That the float network guesses, and how its pictures might be read instead.
fn at_chance_line(at_chance: &AtChance) -> String {
    let chance = at_chance.chance * 100.0;
    let found = format!("the float network does no better than guessing ({chance:.1} %): ");
    let offers = at_chance.suggestions.iter().take(3).map(|suggestion| {
        let order = if suggestion.blue_first {
            " --channel-order bgr"
        } else {
            ""
        };
        let (name, right) = (&suggestion.preprocess, suggestion.top1 * 100.0);
        format!(
            "--preprocess {name}{order} ({right:.0} % of {} samples)",
            suggestion.samples
        )
    });
    let offers: Vec<String> = offers.collect();
    if offers.is_empty() {
        format!("{found}no preset of --preprocess helps; do the labels belong to this network?\n")
    } else {
        format!(
            "{found}its pictures may be read wrongly; try {}\n",
            offers.join(", or ")
        )
    }
}

/// What Oracle OCS reaches.
fn oracle_line(oracle: &OracleMetrics) -> String {
    let metrics = &oracle.metrics;
    let score = Score::of_metrics(metrics);
    let value = score
        .of(metrics)
        .map(|value| format!("{} {}, ", score.name(), score.show_with_unit(value)));
    format!(
        "Oracle OCS, splits chosen for each batch (a bound): {}{}\n",
        value.unwrap_or_default(),
        match oracle.agreement {
            Some(agreement) => format!("same first answer {}", percent_or_dash(Some(agreement))),
            None => format!("output {}", sqnr_text(oracle.sqnr_db)),
        }
    )
}

/// Where the top-1 or the perplexity of other samples of the same kind would lie.
fn interval_line(float: &Metrics, quantized: &Metrics) -> Option<String> {
    let (what, [before, after]) = if let (Some(before), Some(after)) = (float.top1_interval, quantized.top1_interval) {
        let show = |[low, high]: [f64; 2]| format!("{:.2} to {:.2} %", low * 100.0, high * 100.0);
        ("top-1", [before, after].map(show))
    } else if let (Some(before), Some(after)) = (float.spearman_interval, quantized.spearman_interval) {
        let show = |[low, high]: [f64; 2]| format!("{low:.4} to {high:.4}");
        ("Spearman", [before, after].map(show))
    } else {
        let show = |[low, high]: [f64; 2]| format!("{low:.3} to {high:.3}");
        (
            "perplexity",
            [float.perplexity_interval?, quantized.perplexity_interval?].map(show),
        )
    };
    Some(format!("{what}, 95 % interval: float {before}, quantized {after}\n"))
}

/// What the splits change by themselves, and on how many samples that was seen.
fn split_only_line(split: &SplitOnly, unit: &str) -> String {
    format!(
        "splits alone, without a grid: outputs move by {:.1e} at most ({:.1e} of the largest){} \
         · first {} {unit}\n",
        split.max_abs_difference,
        split.relative_difference,
        split.agreement.map_or_else(String::new, |share| format!(
            ", same first answer {}",
            percent_or_dash(Some(share))
        )),
        split.samples
    )
}

/// A share as percent with its standard error as a sample of `samples`.
fn share_with_error(share: f64, samples: usize) -> String {
    let error = (share * (1.0 - share) / samples as f64).sqrt();
    format!("{:.2} ± {:.2} %", share * 100.0, error * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_splits_difference_says_on_how_many_samples_it_was_seen() {
        let split = SplitOnly {
            samples: 64,
            max_abs_difference: 2.5e-6,
            relative_difference: 1.25e-7,
            agreement: Some(1.0),
        };
        assert_eq!(
            split_only_line(&split, "samples"),
            "splits alone, without a grid: outputs move by 2.5e-6 at most (1.2e-7 of the largest), same first answer \
             100.00 % · first 64 samples\n"
        );
    }

    #[test]
    fn a_share_comes_with_its_standard_error() {
        assert_eq!(share_with_error(0.942, 1000), "94.20 ± 0.74 %");
        assert_eq!(share_with_error(1.0, 10), "100.00 ± 0.00 %");
    }
}
