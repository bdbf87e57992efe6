//! `splitscope auto`: bits, splits, clipping, scales and rounding of each layer, chosen for a budget or an accuracy.

use super::arguments::AutoArguments;
use super::output::{Table, check_place, lines, percent_or_dash, to_json, write_whole};
use super::pipeline::{self, CalibrationFrom};
use crate::format::{self, demo::Demo};
use crate::inference::auto::{
    AutoOptions, AutoResult, AutoSamples, AutoSetting, AutoSubject, Goal, Judged, LatencyLimit, Origin, RunLog,
    RunSetting, Scores, auto_going_on, auto_part, check_goal,
};
use crate::inference::{DataOptions, Dataset, Engine, Score};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Activations, Recipe};
use crate::report::numbers::on_or_off;
use anyhow::{Context, bail};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    chosen_on: SampleSet<'a>,
    judged_on: SampleSet<'a>,
    #[serde(flatten)]
    result: &'a AutoResult,
    /// Decibels by which the outputs are nearer to the float network's than with the uniform setting, on `judged_on`.
    gain_db: Option<f64>,
}

/// Samples: those from `first` on.
#[derive(Serialize)]
struct SampleSet<'a> {
    data: &'a str,
    first: usize,
    samples: usize,
    /// What a person should know of the data.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

impl<'a> SampleSet<'a> {
    fn of(judged: &Judged<'a>) -> Self {
        Self {
            data: judged.data.name(),
            notes: judged.data.notes(),
            first: judged.float.first,
            samples: judged.float.samples,
        }
    }
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &AutoArguments, progress: &Progress) -> anyhow::Result<String> {
    for path in arguments.output.iter().chain(&arguments.csv) {
        check_place(path)?;
    }
    let model = &arguments.model;
    let with_data = CalibrationFrom::of(&arguments.calibration, model).is_data();
    let recipe = arguments.recipe_flags.recipe(with_data)?;
    let original = format::open(Path::new(model))?;
    recipe.check(&original).map_err(anyhow::Error::msg).context("recipe")?;
    let engine = pipeline::engine(&original)?;
    let samples = samples(arguments, &original, &engine, progress)?;
    let options = AutoOptions {
        bits: arguments.layer_bits.clone(),
        clips: arguments.layer_clips.clone(),
        scales: arguments.layer_scales.clone(),
        roundings: arguments.layer_rounding.clone(),
        latency: arguments.target_latency,
        zero_points: arguments.layer_zero_points.clone(),
        try_folding: arguments.try_folding,
        ..AutoOptions::all(match arguments.target_accuracy {
            Some(accuracy) => Goal::Accuracy(accuracy),
            None => Goal::Budget(arguments.budget),
        })
    };
    // The samples and what the float network answers on them do not depend on how it is prepared.
    let subject = samples.subject(&original, None);
    check_goal(&subject, options.goal)?;
    let on = |recipe: &Recipe| search(arguments, (&original, &samples), recipe, &options, progress);
    let mut result = match on(&recipe)? {
        Searched::Whole(result) => result,
        Searched::Part(said) => return Ok(said),
    };
    if let Some(folded) = options.folded(&recipe)
        && let Searched::Whole(folded) = on(&folded)?
    {
        *result = result.or_better(*folded, options.goal);
    }
    arguments.recipe_flags.save(&result.auto.recipe)?;
    if let Some(path) = &arguments.output {
        let text = result.auto.recipe.to_toml().map_err(anyhow::Error::msg)?;
        write_whole(path, text.as_bytes())?;
    }
    if arguments.json {
        return to_json(&Report {
            model,
            chosen_on: SampleSet::of(&subject.choose),
            judged_on: SampleSet::of(&subject.judge),
            gain_db: result.gain_db(),
            result: &result,
        });
    }
    Ok(tables(&subject, &result))
}

/// What came of a search.
enum Searched {
    Whole(Box<AutoResult>),
    /// Only the runs of one part were made: what is said of them.
    Part(String),
}

/// Searches on the network prepared as `recipe` says.
fn search(
    arguments: &AutoArguments,
    (original, samples): (&Network, &AutoSamples),
    recipe: &Recipe,
    options: &AutoOptions,
    progress: &Progress,
) -> anyhow::Result<Searched> {
    let network = pipeline::prepared(
        &arguments.model,
        original,
        recipe,
        &arguments.calibration,
        &arguments.data_flags,
        progress,
    )?;
    let activations = activations(arguments, (recipe, options), &network, progress)?;
    let subject = samples.subject(&network, activations.as_ref());
    let mut log = log(arguments, recipe, &subject)?;
    let Some(shard) = arguments.shard else {
        let result = auto_going_on(&subject, recipe, options, &mut log, progress)?;
        return Ok(Searched::Whole(Box::new(result)));
    };
    let (all, own) = auto_part(&subject, recipe, options, shard, &mut log, progress)?;
    Ok(Searched::Part(format!(
        "part {shard}: {own} of {all} runs, {} of them made now. Join the files of all parts and run the same without --shard and \
         with --resume\n",
        log.made()
    )))
}

/// What is known of the layers' inputs. Where the recipe itself does without, so may the search: it then leaves out what needs them.
fn activations(
    arguments: &AutoArguments,
    (recipe, options): (&Recipe, &AutoOptions),
    network: &Network,
    progress: &Progress,
) -> anyhow::Result<Option<Activations>> {
    let (any, moments) = options.needs(recipe);
    if !any {
        return Ok(None);
    }
    let (model, calibration, flags) = (&arguments.model, &arguments.calibration, &arguments.data_flags);
    let found = pipeline::activations(model, (recipe, moments), network, calibration, flags, progress);
    progress.check()?;
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if recipe.needs_activations() || calibration.calibration.is_some() => Err(error),
        Err(error) => {
            let why = format!("{error:#}");
            pipeline::note(&format!("neither GPTQ nor bias correction is tried: {why}"));
            Ok(None)
        }
    }
}

/// The runs that are known, and where new ones go.
fn log(arguments: &AutoArguments, recipe: &Recipe, subject: &AutoSubject<'_>) -> anyhow::Result<RunLog> {
    let Some(path) = &arguments.csv else {
        return Ok(RunLog::default());
    };
    let of = |judged: &Judged<'_>| {
        let (data, range) = (judged.data, judged.float.range());
        let (from, count) = (range.start, range.len());
        format!("{count} from {from} of {} · {}", data.name(), data.preprocessing())
    };
    let calibration = &arguments.calibration;
    let setting = RunSetting {
        model: arguments.model.clone(),
        choose: of(&subject.choose),
        judge: of(&subject.judge),
        calibration: CalibrationFrom::of(calibration, &arguments.model).label(calibration.calibration_limit),
        base: recipe.clone(),
    };
    Ok(if arguments.resume {
        RunLog::resume(path, &setting)?
    } else {
        RunLog::create(path, &setting)?
    })
}

/// The samples to choose on and to judge by.
fn samples(
    arguments: &AutoArguments,
    original: &Network,
    engine: &dyn Engine,
    progress: &Progress,
) -> anyhow::Result<AutoSamples> {
    let output = arguments.answer.network_output.as_ref();
    let options = DataOptions {
        limit: arguments.limit,
        ..arguments.data_flags.options(original)
    };
    let limits = (arguments.choose_limit, arguments.limit.unwrap_or(usize::MAX));
    let path = match &arguments.data {
        None if options.inputs.is_empty() => {
            return Ok(AutoSamples::noise(original, engine, limits, output, progress)?);
        }
        path => path.as_deref().unwrap_or_default(),
    };
    let data = Dataset::open(path, &options, engine.inputs())?;
    let data = Arc::new(pipeline::judged(data, output, engine)?);
    if data.is_empty() {
        bail!("{}: holds no samples", data.name());
    }
    let calibration = &arguments.calibration;
    let other = match &calibration.calibration {
        Some(other) if other != path => {
            let options = DataOptions {
                labels: None,
                inputs: Vec::new(),
                limit: arguments.choose_limit,
                ..options
            };
            Some(Dataset::open(other, &options, engine.inputs())?)
        }
        Some(_) => None,
        None => (Demo::from_name(&arguments.model).filter(|demo| demo.has_other_calibration_data()))
            .map(Dataset::demo_calibration),
    };
    let other = other.map(|other| Arc::new(other.judged_by(output.cloned())));
    Ok(AutoSamples::of(engine, &data, other, limits, progress)?)
}

/// The settings one above the other, then what was chosen for each layer.
fn tables(subject: &AutoSubject<'_>, result: &AutoResult) -> String {
    let unit = |data: &Dataset| if data.is_text() { "tokens" } else { "samples" };
    let set = |judged: &Judged<'_>| {
        let range = judged.float.range();
        let from = match range.start {
            0 => String::new(),
            start => format!(" from {start} on"),
        };
        format!("{} {}{from}", range.len(), unit(judged.data))
    };
    let (choose, judge) = (subject.choose.data, subject.judge.data);
    // A demo's calibration data have its name too.
    let other = if std::ptr::eq(choose, judge) {
        String::new()
    } else {
        format!(" of the calibration data {}", choose.name())
    };
    let notes = lines(subject.judge.data.notes());
    let over = (result.auto.bytes as f64 / result.plain.bytes.max(1) as f64 - 1.0) * 100.0;
    let mut text = format!(
        "chosen on {}{other}, judged by {} of {}\n{notes}{} of at most {} bytes of quantized weights: {over:+.2} % against {} bits plain\n\
         {} uniform settings were tried\n{}{}\n{}",
        set(&subject.choose),
        set(&subject.judge),
        judge.name(),
        result.auto.bytes,
        result.budget_bytes,
        result.plain.recipe.weight_bits,
        result.uniform_tried,
        result.target_note().map_or_else(String::new, |note| note + "\n"),
        latency_line(result),
        settings_table(result).text()
    );
    text.push_str(&verdict(result));
    text.push('\n');
    text.push_str(&layers_table(result).text());
    text
}

/// What the settings had to keep to, if a latency was asked for.
fn latency_line(result: &AutoResult) -> String {
    let Some(LatencyLimit { limit_ms, float }) = &result.latency else {
        return String::new();
    };
    let (engine, ms, batch) = (&float.engine, float.time.median_ms, float.time.batch);
    format!("at most {limit_ms:.3} ms a run with batch {batch}, timed in {engine}; float takes {ms:.3} ms\n")
}

fn settings_table(result: &AutoResult) -> Table {
    let judged_by = Score::of_metrics(&result.float);
    let score = |scores: &Scores| {
        judged_by
            .of(&scores.metrics)
            .map(|value| judged_by.show_with_unit(value))
    };
    let name = (judged_by != Score::Sqnr).then_some(judged_by.name());
    let mut titles = vec!["", "bytes"];
    titles.extend(name);
    titles.extend(["same answer", "SQNR dB", "SQNR dB where chosen"]);
    titles.extend(result.latency.is_some().then_some("ms a run"));
    let mut table = Table::new(&titles);
    let decibels = |db: Option<f64>| db.map_or_else(|| "–".to_owned(), |db| format!("{db:.2}"));
    let mut row = |title: String, setting: &AutoSetting| {
        let scores = &setting.judged_on;
        let mut cells = vec![title, setting.bytes.to_string()];
        cells.extend(score(scores));
        cells.push(percent_or_dash(scores.agreement));
        cells.push(decibels(scores.sqnr_db));
        cells.push(decibels(setting.chosen_on.sqnr_db));
        cells.extend(result.latency.as_ref().map(|_| {
            let latency = setting.latency.as_ref();
            latency.map_or_else(|| "–".to_owned(), |latency| format!("{:.3}", latency.time.median_ms))
        }));
        table.row(cells);
    };
    row(
        format!("plain, {} bits", result.plain.recipe.weight_bits),
        &result.plain,
    );
    row(
        format!("uniform, {}", describe(&result.uniform.recipe)),
        &result.uniform,
    );
    row("auto".to_owned(), &result.auto);
    let float = Scores {
        metrics: result.float.clone(),
        ..Scores::default()
    };
    if let Some(score) = score(&float) {
        table.row(vec!["float".to_owned(), String::new(), score]);
    }
    table
}

fn describe(recipe: &Recipe) -> String {
    let bias = if recipe.bias_correction {
        ", biases corrected"
    } else {
        ""
    };
    let zero_points = if recipe.weight_zero_points { ", zero points" } else { "" };
    let folded = if recipe.fold_batch_norm { ", folded" } else { "" };
    format!(
        "{} bits, ratio {}, clip {}, scales {}{zero_points}, {}{bias}{folded}",
        recipe.weight_bits, recipe.expand_ratio, recipe.clip, recipe.scales, recipe.rounding
    )
}

/// By how much the chosen setting is better or worse than the uniform one, on the samples to judge by.
fn verdict(result: &AutoResult) -> String {
    if result.origin == Origin::Uniform {
        return "no choice by layers did better than the best uniform setting: auto is that\n".to_owned();
    }
    let how = match result.origin {
        Origin::LayersAtSameBits => "splits, clips, scales and rounding by layers, all at the same bits",
        _ => "bits, splits, clips, scales and rounding by layers",
    };
    let db = result
        .gain_db()
        .map_or_else(|| "–".to_owned(), |gain| format!("{gain:+.2} dB"));
    let points = (result.auto.judged_on.metrics.top1)
        .zip(result.uniform.judged_on.metrics.top1)
        .map_or_else(String::new, |(auto, uniform)| {
            format!(", top-1 {:+.2} points", (auto - uniform) * 100.0)
        });
    format!(
        "{how}: against uniform {db}{points} · {} runs of the network\n",
        result.runs
    )
}

fn layers_table(result: &AutoResult) -> Table {
    let mut table = Table::new(&[
        "layer",
        "bits",
        "splits",
        "ratio",
        "clip",
        "scales",
        "rounding",
        "zero points",
        "bytes",
        "plain bytes",
        "alone, dB",
    ]);
    for layer in &result.layers {
        let alone = layer
            .output_noise
            .map(|noise| -10.0 * noise.log10())
            .filter(|db| db.is_finite());
        table.row(vec![
            layer.name.clone(),
            layer.weight_bits.to_string(),
            layer.splits.to_string(),
            layer.expand_ratio.to_string(),
            layer.clip.to_string(),
            layer.scales.to_string(),
            layer.rounding.to_string(),
            on_or_off(layer.zero_points).to_owned(),
            layer.bytes.to_string(),
            layer.plain_bytes.to_string(),
            alone.map_or_else(|| "–".to_owned(), |db| format!("{db:.1}")),
        ]);
    }
    table
}
