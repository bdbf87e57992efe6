//! `splitscope diff`: two networks side by side.

use super::arguments::DiffArguments;
use super::output::{Table, lines, percent_or_dash, three_digits, to_json};
use super::pipeline;
use crate::difference::{
    Alike, LayerDifference, LayerSide, MatchedBy, NetworkDifference, WeightDifference, prepared_alike,
};
use crate::engine::Engine as _;
use crate::format;
use crate::inference::{DataOptions, Dataset, Evaluation, evaluate, fixed, run_outputs};
use crate::network::Network;
use crate::printable::short;
use crate::progress::Progress;
use anyhow::{Context, bail};
use serde::Serialize;
use std::path::Path;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    one: &'a str,
    other: &'a str,
    /// What was done to one of them so that they can be compared.
    notes: &'a [String],
    /// In the order of the first network.
    layers: Vec<LayerReport<'a>>,
    only_in_one: &'a [String],
    only_in_other: &'a [String],
    /// What the networks answer, if data were given: `float` is the first one, `quantized` the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a Evaluation>,
}

#[derive(Serialize)]
struct LayerReport<'a> {
    one: &'a LayerSide,
    other: &'a LayerSide,
    matched_by: MatchedBy,
    elements: Option<u64>,
    not_finite: Option<u64>,
    max_abs: Option<f64>,
    mse: Option<f64>,
    /// Null where the weights are equal, or cannot be compared.
    sqnr_db: Option<f64>,
    equal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not_compared: Option<String>,
}

impl<'a> From<&'a LayerDifference> for LayerReport<'a> {
    fn from(layer: &'a LayerDifference) -> Self {
        let [one, other] = &layer.sides;
        let weights = layer.weights.as_ref().ok();
        Self {
            one,
            other,
            matched_by: layer.matched_by,
            elements: weights.map(|weights| weights.elements),
            not_finite: weights.map(|weights| weights.not_finite),
            max_abs: weights.map(|weights| weights.max_abs),
            mse: weights.map(|weights| weights.mse),
            sqnr_db: weights.map(|weights| weights.sqnr_db),
            equal: weights.is_some_and(WeightDifference::is_equal),
            why_not_compared: layer.weights.as_ref().err().map(ToString::to_string),
        }
    }
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &DiffArguments, progress: &Progress) -> anyhow::Result<String> {
    let open = |path: &str| format::open(Path::new(path));
    let originals = [open(&arguments.one)?, open(&arguments.other)?];
    progress.check()?;
    let [one, other] = originals.clone();
    let Alike { networks, notes } = if arguments.as_is {
        Alike {
            networks: [one, other],
            notes: Vec::new(),
        }
    } else {
        prepared_alike(one, other)
    };
    let found = NetworkDifference::between(&networks[0], &networks[1], progress)?;
    if let Some(why) = found.nothing_in_common() {
        bail!("{} and {} have {why}", arguments.one, arguments.other);
    }
    let outputs = match &arguments.data {
        Some(path) => Some(outputs(&originals, path, arguments, progress)?),
        None => None,
    };
    if arguments.json {
        return to_json(&Report {
            one: &arguments.one,
            other: &arguments.other,
            notes: &notes,
            layers: found.layers.iter().map(LayerReport::from).collect(),
            only_in_one: &found.only_in[0],
            only_in_other: &found.only_in[1],
            outputs: outputs.as_ref(),
        });
    }
    Ok(text(arguments, &found, &notes, outputs.as_ref()))
}

/// Runs both networks, as they are in their files, on the same samples.
fn outputs(
    networks: &[Network; 2],
    path: &str,
    arguments: &DiffArguments,
    progress: &Progress,
) -> anyhow::Result<Evaluation> {
    let mut runs = Vec::new();
    let mut first = None;
    for network in networks {
        let engine = pipeline::engine(network)?;
        let options = DataOptions {
            limit: arguments.limit,
            ..arguments.data_flags.options(network)
        };
        let data = Dataset::open(path, &options, engine.inputs())?;
        if data.is_empty() {
            bail!("{path}: holds no samples");
        }
        let data = pipeline::judged(data, arguments.answer.output.as_ref(), &engine)?;
        let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
        runs.push(run_outputs(&engine, &data, limit, progress).with_context(|| network.name.clone())?);
        first.get_or_insert(data);
    }
    match (runs.as_slice(), first) {
        ([one, other], Some(_)) if one.classes != other.classes => bail!(
            "{} and {} have {} and {} outputs a sample, which cannot be compared",
            networks[0].name,
            networks[1].name,
            one.classes,
            other.classes
        ),
        ([one, other], Some(data)) => Ok(evaluate(one, other, &data)),
        _ => bail!("{path}: holds no samples"),
    }
}

fn text(
    arguments: &DiffArguments,
    found: &NetworkDifference,
    notes: &[String],
    outputs: Option<&Evaluation>,
) -> String {
    let mut rows = Table::new(&["layer", "shape", "copies", "max |diff|", "MSE", "SQNR dB", "matched by"]);
    let mut reasons = String::new();
    for layer in found.worst_first() {
        rows.row(cells(layer));
        if let Err(why) = &layer.weights {
            reasons.push_str(&lines([format!(
                "{}: not compared: {why}",
                short(&layer.sides[0].name)
            )]));
        }
    }
    for (only, model) in found.only_in.iter().zip([&arguments.one, &arguments.other]) {
        if !only.is_empty() {
            reasons.push_str(&lines([format!("only in {model}: {}", only.join(", "))]));
        }
    }
    let [equal, different, unknown] = found.counts();
    let unknown = if unknown > 0 {
        format!(", {unknown} not compared")
    } else {
        String::new()
    };
    let notes = lines(notes);
    format!(
        "{} against {} · {different} layers differ, {equal} are equal{unknown}\n{notes}\n{}{reasons}{}",
        arguments.other,
        arguments.one,
        rows.text(),
        outputs.map(outputs_text).unwrap_or_default()
    )
}

fn cells(layer: &LayerDifference) -> Vec<String> {
    let [one, other] = &layer.sides;
    let name = if one.name == other.name {
        one.name.clone()
    } else {
        format!("{} / {}", short(&one.name), short(&other.name))
    };
    let sizes = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let shape = if one.shape == other.shape {
        sizes(&one.shape)
    } else {
        format!("{} / {}", sizes(&one.shape), sizes(&other.shape))
    };
    let copies = match [one.copies, other.copies] {
        [0, 0] => String::new(),
        [0, copies] | [copies, 0] => copies.to_string(),
        [one, other] => format!("{one} / {other}"),
    };
    let mut cells = vec![name, shape, copies];
    match &layer.weights {
        Ok(weights) if weights.is_equal() => cells.extend(["0".to_owned(), "0".to_owned(), "equal".to_owned()]),
        Ok(weights) => {
            cells.extend([weights.max_abs, weights.mse].map(|number| three_digits(Some(number))));
            cells.push(format!("{:.2}", weights.sqnr_db));
        }
        Err(_) => cells.extend(["–", "–", "–"].map(str::to_owned)),
    }
    cells.push(layer.matched_by.label().to_owned());
    cells
}

fn outputs_text(outputs: &Evaluation) -> String {
    let same = outputs
        .agreement
        .map(|share| format!("same first answer {}", percent_or_dash(Some(share))));
    let sqnr = match outputs.sqnr_db {
        Some(sqnr_db) if sqnr_db.is_finite() => format!("outputs SQNR {sqnr_db:.1} dB"),
        _ => "outputs equal".to_owned(),
    };
    let parts: Vec<String> = same.into_iter().chain([sqnr]).collect();
    let mut line = format!("\n{} samples: {}", outputs.samples, parts.join(" · "));
    if let (Some(one), Some(other)) = (outputs.float.top1, outputs.quantized.top1) {
        line.push_str(&format!(" · top-1 {:.2} % and {:.2} %", one * 100.0, other * 100.0));
    }
    if let (Some(one), Some(other)) = (outputs.float.perplexity, outputs.quantized.perplexity) {
        line.push_str(&format!(" · perplexity {} and {}", fixed(one, 3), fixed(other, 3)));
    }
    line + "\n"
}
