//! `splitscope inspect`: one row a layer.

use super::UsageError;
use super::arguments::InspectArguments;
use super::curves;
use super::output::{Table, lines, three_digits, to_json};
use super::pipeline;
use crate::engine::Engine as _;
use crate::format;
use crate::inference::{self, DataOptions, Dataset};
use crate::network::{Format, Layer, Network};
use crate::onnx::Elements;
use crate::printable::short;
use crate::progress::Progress;
use crate::quantization::{Activations, Recipe};
use crate::statistics::{ActivationStatistics, RangeSource, streamed_outlier_count, streamed_statistics};
use rayon::prelude::*;
use serde::Serialize;
use std::path::Path;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: ModelReport<'a>,
    layers: Vec<LayerReport<'a>>,
}

#[derive(Serialize)]
struct ModelReport<'a> {
    path: &'a str,
    format: &'static str,
    parameters: u64,
    nodes: usize,
    /// The architecture that a file of weights was recognised as.
    architecture: Option<&'a str>,
    /// What names and shapes leave open, and what was taken for it.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    /// Why it cannot be run, if it cannot.
    why_not_runnable: Option<&'a str>,
}

#[derive(Serialize)]
struct LayerReport<'a> {
    name: &'a str,
    op: &'a str,
    weight: &'a str,
    shape: &'a [usize],
    parameters: u64,
    in_channels: usize,
    splittable: bool,
    why_not: Option<String>,
    #[serde(flatten)]
    weights: WeightReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<ActivationReport>,
}

/// Statistics of the weights, null where the weights cannot be read.
#[derive(Serialize, Default)]
struct WeightReport {
    min: Option<f32>,
    max: Option<f32>,
    max_abs: Option<f32>,
    mean: Option<f64>,
    std: Option<f64>,
    kurtosis: Option<f64>,
    /// From the mean, standard deviations.
    farthest_in_sigma: Option<f64>,
    outliers: Option<u64>,
    nan: Option<u64>,
    infinite: Option<u64>,
    channel_max_abs: Option<Vec<f32>>,
}

/// Range of the layer's input over the samples that were run.
#[derive(Serialize)]
struct ActivationReport {
    min: f32,
    max: f32,
    max_abs: f32,
    count: u64,
    not_finite: u64,
    source: RangeSource,
}

impl From<&ActivationStatistics> for ActivationReport {
    fn from(seen: &ActivationStatistics) -> Self {
        Self {
            min: seen.min,
            max: seen.max,
            max_abs: seen.max_abs(),
            count: seen.count,
            not_finite: seen.not_finite,
            source: seen.source,
        }
    }
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &InspectArguments, progress: &Progress) -> anyhow::Result<String> {
    let recipe = arguments.recipe_flags.recipe(false)?;
    if let Some(layer) = &arguments.curves {
        return curves::run(arguments, layer, &recipe, progress);
    }
    if recipe != Recipe::default() {
        return Err(UsageError("inspect takes recipe flags together with --curves LAYER only".to_owned()).into());
    }
    let network = format::open(Path::new(&arguments.model))?;
    let activations = match &arguments.data {
        Some(path) => Some(run_data(&network, path, arguments, progress)?),
        None => None,
    };
    let report = Report {
        model: ModelReport {
            path: &arguments.model,
            format: match network.format {
                Format::Onnx => "onnx",
                Format::Safetensors => "safetensors",
                Format::Gguf => "gguf",
                Format::PyTorch => "pytorch",
                Format::Numpy => "numpy",
            },
            parameters: network.parameters(),
            nodes: network.nodes(),
            architecture: network.architecture.as_deref(),
            notes: &network.notes,
            why_not_runnable: network.why_not_runnable.as_deref(),
        },
        layers: layers(&network, activations.as_ref(), arguments.sigma, progress)?,
    };
    if arguments.json {
        to_json(&report)
    } else {
        Ok(table(&report, arguments.sigma))
    }
}

fn run_data(
    network: &Network,
    path: &str,
    arguments: &InspectArguments,
    progress: &Progress,
) -> anyhow::Result<Activations> {
    let engine = pipeline::engine(network)?;
    let options = DataOptions {
        limit: Some(arguments.limit),
        ..arguments.data_flags.options(network)
    };
    let data = Dataset::open(path, &options, engine.inputs())?;
    Ok(inference::calibrate(network, &engine, &data, arguments.limit, progress)?.activations)
}

/// The layers' rows, computed in parallel, in the network's order.
fn layers<'a>(
    network: &'a Network,
    activations: Option<&Activations>,
    sigma: f64,
    progress: &Progress,
) -> anyhow::Result<Vec<LayerReport<'a>>> {
    progress.start(network.layers.len() as u64, "Reading weights");
    (0..network.layers.len())
        .into_par_iter()
        .map(|index| {
            progress.check()?;
            let row = layer(network, index, activations, sigma);
            progress.advance(1);
            Ok(row)
        })
        .collect()
}

fn layer<'a>(network: &'a Network, index: usize, activations: Option<&Activations>, sigma: f64) -> LayerReport<'a> {
    let layer = &network.layers[index];
    let (weights, fault) = match network.weight_elements(index) {
        Ok(values) => (weight_report(&values, layer, sigma), None),
        Err(error) => (WeightReport::default(), Some(error.to_string())),
    };
    let why_not = fault.or_else(|| layer.support.why_not_split().map(ToString::to_string));
    let input = layer.input.as_ref().map(|(name, _)| name);
    LayerReport {
        name: &layer.name,
        op: &layer.op,
        weight: &layer.weight,
        shape: &layer.shape,
        parameters: layer.parameters(),
        in_channels: layer.layout.in_channels(),
        splittable: why_not.is_none(),
        why_not,
        weights,
        activation: input
            .and_then(|name| activations?.get(name))
            .map(ActivationReport::from),
    }
}

fn weight_report(values: &Elements, layer: &Layer, sigma: f64) -> WeightReport {
    let seen = streamed_statistics(values, &layer.layout);
    WeightReport {
        min: Some(seen.min),
        max: Some(seen.max),
        max_abs: Some(seen.max_abs),
        mean: Some(seen.mean),
        std: Some(seen.std),
        kurtosis: Some(seen.kurtosis),
        farthest_in_sigma: seen.farthest_in_sigma(f32::MAX),
        outliers: Some(streamed_outlier_count(values, seen.mean, sigma * seen.std)),
        nan: Some(seen.nan),
        infinite: Some(seen.infinite),
        channel_max_abs: Some(seen.in_channel_max_abs),
    }
}

/// The file in one line, and why it cannot be run in another.
fn heading(model: &ModelReport, layers: usize) -> String {
    let recognised = model
        .architecture
        .map_or_else(String::new, |name| format!(" of {name}"));
    let mut text = format!(
        "{} · {}{recognised} · {} parameters · {} nodes · {layers} layers\n",
        model.path, model.format, model.parameters, model.nodes
    );
    text.push_str(&lines(model.notes.iter().map(|note| format!("note: {note}"))));
    text.push_str(&lines(model.why_not_runnable));
    text.push('\n');
    text
}

fn table(report: &Report, sigma: f64) -> String {
    let mut text = heading(&report.model, report.layers.len());
    let outliers = format!("beyond {sigma} σ");
    let mut titles = vec!["layer", "op", "shape", "parameters", "max|w|", "farthest, σ", &outliers];
    let with_inputs = report.layers.iter().any(|layer| layer.activation.is_some());
    if with_inputs {
        titles.push("input range");
    }
    let mut rows = Table::new(&titles);
    for layer in &report.layers {
        let weights = &layer.weights;
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        let mut cells = vec![
            layer.name.to_owned(),
            layer.op.to_owned(),
            shape.join("x"),
            layer.parameters.to_string(),
            three_digits(weights.max_abs.map(f64::from)),
            three_digits(weights.farthest_in_sigma),
            weights
                .outliers
                .map_or_else(|| "–".to_owned(), |count| count.to_string()),
        ];
        if with_inputs {
            cells.push(layer.activation.as_ref().map_or_else(
                || "–".to_owned(),
                |seen| {
                    let ends = [seen.min, seen.max].map(|end| three_digits(Some(end.into())));
                    format!("{} to {}", ends[0], ends[1])
                },
            ));
        }
        rows.row(cells);
    }
    text.push_str(&rows.text());
    for layer in &report.layers {
        if let Some(why) = &layer.why_not {
            text.push_str(&lines([format!("{}: {why}", short(layer.name))]));
        }
        let (nan, infinite) = (layer.weights.nan.unwrap_or(0), layer.weights.infinite.unwrap_or(0));
        if nan + infinite > 0 {
            let name = short(layer.name);
            text.push_str(&format!("{name}: {nan} NaN and {infinite} infinite weights\n"));
        }
    }
    text
}
