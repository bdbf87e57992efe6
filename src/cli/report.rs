//! `splitscope report`: what a recipe does to a network, as a page to hand on and as data for Model Explorer.

use super::UsageError;
use super::arguments::ReportArguments;
use super::output::{check_place, lines, write_whole};
use super::pipeline::{self, CalibrationFrom, Planned};
use crate::engine;
use crate::files;
use crate::inference::sweep::{SweepRow, load_rows};
use crate::inference::{
    DataOptions, Dataset, Engine, Evaluation, Outputs, Pipeline, QuantizedModel, evaluate, known_shapes,
    latency_report, run_outputs,
};
use crate::onnx;
use crate::progress::Progress;
use crate::quantization::{Plan, overhead};
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
    let mut written = lines(planned.suggestion);
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
    let page = |path: &&PathBuf| {
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_lowercase());
        // A pipe or `/dev/stdout` is called as it is.
        extension.is_none_or(|extension| extension == "html" || extension == "htm")
    };
    if let Some(path) = arguments.output.as_ref().filter(|path| !page(path)) {
        let why = format!(
            "{}: the report is a page; name a file that ends in .html",
            path.display()
        );
        return Err(UsageError(why).into());
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
            .is_some_and(|path| files::real_path(Path::new(&arguments.model)).canonicalize().ok() == Some(path));
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
    let shapes = known_shapes(&planned.network, None);
    let overhead = overhead(&planned.network, &planned.plan, shapes.as_ref());
    let (calibration, model) = (&arguments.calibration, &arguments.model);
    let from = CalibrationFrom::of(calibration, model);
    let ranges = (planned.activations.as_ref()).map(|_| from.sentence(model, calibration.calibration_limit));
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
    let data = pipeline::judged(data, arguments.answer.network_output.as_ref(), &float)?;
    let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
    let before = run_outputs(&float, &data, limit, progress).context("the float network")?;
    let mut recipe = evaluated(planned, &planned.plan, &before, &data, progress).context("the quantized network")?;
    if arguments.latency {
        let timed_in = engine::chosen().for_timing();
        let float = timed_in.load(onnx::encode(&planned.original.runnable_model())?)?;
        let quantized = timed_in.load(QuantizedModel::of(&planned.network, &planned.plan)?.bytes()?)?;
        recipe.latency = Some(latency_report(&float, &quantized, &data, progress).context("latency")?);
    }
    let bare = planned.plan.recipe.plain();
    let plain = if bare == planned.plan.recipe {
        None
    } else {
        let plan = Pipeline::new(&planned.network, planned.activations.as_ref()).plan(&bare, progress)?;
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
    let engine = QuantizedModel::of(&planned.network, plan)?.engine()?;
    let outputs = run_outputs(&engine, data, float.samples, progress)?;
    Ok(evaluate(float, &outputs, data))
}
