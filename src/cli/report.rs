//! `splitscope report`: what a recipe does to a network, as a page to hand on and as data for Model Explorer.

use super::UsageError;
use super::arguments::ReportArguments;
use super::output::{check_place, write_whole};
use super::pipeline::{self, Planned};
use crate::engine;
use crate::inference::sweep::{SweepRow, load_rows};
use crate::inference::{DataOptions, Dataset, Engine, Evaluation, Outputs, evaluate, run_outputs, value_shapes};
use crate::onnx;
use crate::progress::Progress;
use crate::quantization::{self, Activations, Plan, overhead, rewrite};
use crate::report::{Accuracy, Metric, Report, Subject};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &ReportArguments, progress: &Progress) -> anyhow::Result<String> {
    let files = files(arguments)?;
    let sweep = match &arguments.sweep {
        Some(path) => load_rows(path)?,
        None => Vec::new(),
    };
    let planned = pipeline::plan(
        &arguments.model,
        &arguments.recipe_flags,
        &arguments.calibration,
        &arguments.data_flags,
        progress,
    )?;
    let accuracy = match &arguments.data {
        Some(path) => Some(accuracy(arguments, &planned, path, progress)?),
        None => None,
    };
    let report = report(arguments, &planned, accuracy.as_ref(), &sweep, progress)?;
    let mut written = String::new();
    for (path, metric) in files {
        let text = match metric {
            None => report.page(),
            Some(metric) => report.model_explorer(metric)?.with_context(|| {
                format!(
                    "{}: has no graph, so there are no nodes for Model Explorer to colour",
                    arguments.model
                )
            })?,
        };
        progress.check()?;
        write_whole(&path, text.as_bytes())?;
        written.push_str(&format!("wrote {}\n", path.display()));
    }
    Ok(written)
}

/// What is to be written where, checked before any work: the page, and a file for each number of Model Explorer.
fn files(arguments: &ReportArguments) -> anyhow::Result<Vec<(PathBuf, Option<Metric>)>> {
    let mut files: Vec<(PathBuf, Option<Metric>)> = arguments.output.iter().map(|path| (path.clone(), None)).collect();
    if let Some(path) = &arguments.model_explorer {
        files.extend(Metric::ALL.map(|metric| (metric_path(path, metric), Some(metric))));
    }
    if files.is_empty() {
        let why = "nothing to write: give -o REPORT.html, or --model-explorer OUT.json";
        return Err(UsageError(why.to_owned()).into());
    }
    for (place, (path, _)) in files.iter().enumerate() {
        check_place(path)?;
        let is_model = path
            .canonicalize()
            .ok()
            .is_some_and(|path| Path::new(&arguments.model).canonicalize().ok() == Some(path));
        if is_model {
            bail!("{}: is the model itself; give another file", path.display());
        }
        if files[..place].iter().any(|(other, _)| other == path) {
            return Err(UsageError(format!("{}: is named twice", path.display())).into());
        }
    }
    Ok(files)
}

/// `out.json` as `out.sqnr_db.json`.
fn metric_path(path: &Path, metric: Metric) -> PathBuf {
    path.with_extension(format!("{}.json", metric.name()))
}

fn report(
    arguments: &ReportArguments,
    planned: &Planned,
    accuracy: Option<&Accuracy>,
    sweep: &[SweepRow],
    progress: &Progress,
) -> anyhow::Result<Report> {
    let shapes = pipeline::engine(&planned.network)
        .and_then(|engine| Ok(value_shapes(&planned.network, &engine, None)?))
        .inspect_err(|error| log::info!("the overhead of activations stays unknown: {error:#}"))
        .ok();
    let overhead = overhead(&planned.network, &planned.plan, shapes.as_ref());
    let ranges = planned.activations.as_ref().map(|_| ranges(arguments));
    let subject = Subject {
        original: &planned.original,
        network: &planned.network,
        plan: &planned.plan,
        overhead: &overhead,
        accuracy,
        ranges: ranges.as_deref(),
        sweep,
        sigma: arguments.sigma,
    };
    Ok(Report::gather(&subject, progress)?)
}

/// Where the ranges of activations come from, in words.
fn ranges(arguments: &ReportArguments) -> String {
    let calibration = &arguments.calibration;
    match &calibration.calibration {
        Some(path) => format!("up to {} samples of {path}", calibration.calibration_limit),
        None if !calibration.data_free && arguments.model.starts_with("demo:") => {
            format!(
                "up to {} samples of the demo's calibration data",
                calibration.calibration_limit
            )
        }
        None => "no data: batch-norm statistics, and noise where there are none".to_owned(),
    }
}

/// Runs the float network, the recipe and its bits alone on the same samples.
fn accuracy(
    arguments: &ReportArguments,
    planned: &Planned,
    path: &str,
    progress: &Progress,
) -> anyhow::Result<Accuracy> {
    let float = pipeline::engine(&planned.original)?;
    let options = DataOptions {
        limit: arguments.limit,
        ..arguments.data_flags.options(&planned.original)
    };
    let data = Dataset::open(path, &options, float.inputs())?;
    if data.is_empty() {
        bail!("{path}: holds no samples");
    }
    let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
    let before = run_outputs(&float, &data, limit, progress).context("the float network")?;
    let recipe = evaluated(planned, &planned.plan, &before, &data, progress).context("the quantized network")?;
    let bare = planned.plan.recipe.plain();
    let plain = if bare == planned.plan.recipe {
        None
    } else {
        let activations: Option<&Activations> = planned.activations.as_ref();
        let plan = quantization::plan(&planned.network, &bare, activations, progress)?;
        Some(
            evaluated(planned, &plan, &before, &data, progress)
                .context("the same bits without splitting and clipping")?,
        )
    };
    Ok(Accuracy {
        data: format!("{} · {}", data.name(), data.preprocessing()),
        is_text: data.is_text(),
        recipe,
        plain,
    })
}

/// Runs the very bytes that `quantize` writes.
fn evaluated(
    planned: &Planned,
    plan: &Plan,
    float: &Outputs,
    data: &Dataset,
    progress: &Progress,
) -> anyhow::Result<Evaluation> {
    let engine = engine::load(onnx::encode(&rewrite(&planned.network, plan)?)?)?;
    let outputs = run_outputs(&engine, data, float.samples, progress)?;
    Ok(evaluate(float, &outputs, data))
}
