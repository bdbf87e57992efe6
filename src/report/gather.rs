//! What a report tells, computed from a network, its plan and what was measured.

use super::provenance::Provenance;
use crate::inference::Evaluation;
use crate::inference::sweep::SweepRow;
use crate::network::{Layer, Network, Support};
use crate::progress::{Cancelled, Progress};
use crate::quantization::{
    ErrorCurves, LayerPlan, Outcome, Overhead, Plan, QuantizedLayer, WeightSettings, error_curves, split_weights,
};
use crate::statistics::{Histogram, TensorStatistics, histogram, outlier_count, tensor_statistics};
use std::sync::Arc;

/// Bins of the small histograms of the table, and of the large ones; the latter odd, so that 0 lies in the middle of one.
const FEW_BINS: usize = 60;
const BINS: usize = 161;
/// Layers that are shown in detail: those with the least SQNR.
const DETAILED: usize = 6;

/// What a report is about.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The network as it was opened.
    pub original: &'a Network,
    /// The network that the plan is for: the original, prepared as the recipe says.
    pub network: &'a Network,
    /// What becomes of each layer.
    pub plan: &'a Plan,
    /// What that costs.
    pub overhead: &'a Overhead,
    /// What the networks answer, if they were run.
    pub accuracy: Option<&'a Accuracy>,
    /// Where the ranges of activations come from, in words, if they are needed.
    pub ranges: Option<&'a str>,
    /// Rows of a sweep over the same network, if there are any.
    pub sweep: &'a [SweepRow],
    /// An outlier lies farther from the mean than this many standard deviations.
    pub sigma: f64,
}

/// What networks answered on the same samples.
#[derive(Debug, Clone)]
pub struct Accuracy {
    /// The data and how they were read, for a person.
    pub data: String,
    /// Whether the samples are tokens of a text.
    pub is_text: bool,
    /// The float network and the one under the recipe.
    pub recipe: Evaluation,
    /// The same bits without splitting and clipping, if that was run.
    pub plain: Option<Evaluation>,
}

/// All that a report tells.
#[derive(Debug, Clone)]
pub struct Report {
    /// Name of the network.
    pub name: String,
    /// Where all this comes from.
    pub provenance: Provenance,
    /// What the networks answer.
    pub accuracy: Option<Accuracy>,
    /// What the recipe costs.
    pub overhead: Overhead,
    /// Bits of the recipe, for titles: `3 bits`.
    pub bits: String,
    /// The layers, in the network's order.
    pub layers: Vec<LayerReport>,
    /// The layers with the least SQNR, worst first.
    pub worst: Vec<Detail>,
    /// Rows of a sweep.
    pub sweep: Vec<SweepRow>,
    /// Standard deviations beyond which a weight counts as an outlier.
    pub sigma: f64,
    /// The main graph's name in the file.
    pub graph: String,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct LayerReport {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Shape of its weight.
    pub shape: Vec<usize>,
    /// Its node's name or, if it has none, the first value that it makes; `None` in a file without a graph.
    pub node: Option<String>,
    /// One pass over its weights, or why they cannot be read.
    pub statistics: Result<TensorStatistics, String>,
    /// Weights beyond the set number of standard deviations.
    pub outliers: u64,
    /// What becomes of it, or why it stays float.
    pub outcome: Result<Arc<QuantizedLayer>, String>,
    /// Counts over a range that holds all weights: as they are, and split.
    pub counts: [Option<Vec<u64>>; 2],
}

/// One layer in detail.
#[derive(Debug, Clone)]
pub struct Detail {
    /// Position among the layers.
    pub layer: usize,
    /// What the recipe asks of it.
    pub settings: WeightSettings,
    /// Its weights as they are.
    pub before: Histogram,
    /// Its split weights, over the same range.
    pub after: Histogram,
    /// Its error against splits and bits.
    pub curves: ErrorCurves,
    /// Input channels in each group.
    pub channels: usize,
}

impl LayerReport {
    /// How far from the mean the farthest weight lies, in standard deviations.
    pub fn farthest_in_sigma(&self) -> Option<f64> {
        self.statistics.as_ref().ok()?.farthest_in_sigma(f32::MAX)
    }

    /// The error that the recipe makes in its weights, decibels.
    pub fn sqnr_db(&self) -> Option<f64> {
        self.outcome.as_ref().ok().map(|quantized| quantized.sqnr_db)
    }
}

impl Report {
    /// Reads every layer of `subject` once, and the worst ones again for their curves.
    ///
    /// # Errors
    /// [`Cancelled`]. A layer that cannot be read says so and stops nothing.
    pub fn gather(subject: &Subject<'_>, progress: &Progress) -> Result<Self, Cancelled> {
        let network = subject.network;
        progress.start(network.layers.len() as u64 + DETAILED as u64, "reading weights");
        let mut layers = Vec::with_capacity(network.layers.len());
        // One layer at a time: no more of a large network is held.
        for (index, planned) in subject.plan.layers.iter().enumerate().take(network.layers.len()) {
            progress.check()?;
            layers.push(layer_report(subject, index, planned));
            progress.advance(1);
        }
        let mut order: Vec<usize> = (0..layers.len())
            .filter(|index| layers[*index].sqnr_db().is_some())
            .collect();
        let sqnr = |index: &usize| layers[*index].sqnr_db().unwrap_or(f64::INFINITY);
        order.sort_by(|a, b| sqnr(a).total_cmp(&sqnr(b)));
        order.truncate(DETAILED);
        progress.stage_is("error curves");
        let mut worst = Vec::new();
        for index in order {
            worst.extend(detail(subject, index, progress)?);
            progress.advance(1);
        }
        Ok(Self {
            name: subject.original.name.clone(),
            provenance: Provenance::of(subject),
            accuracy: subject.accuracy.cloned(),
            overhead: subject.overhead.clone(),
            bits: match subject.plan.recipe.weight_bits.grid() {
                Some(bits) => format!("{bits} bits"),
                None => "float weights".to_owned(),
            },
            layers,
            worst,
            sweep: subject.sweep.to_vec(),
            sigma: subject.sigma,
            graph: network
                .model
                .graph
                .as_ref()
                .map_or_else(String::new, |graph| graph.name().to_owned()),
        })
    }
}

fn layer_report(subject: &Subject<'_>, index: usize, planned: &LayerPlan) -> LayerReport {
    let layer = &subject.network.layers[index];
    let outcome = match &planned.outcome {
        Outcome::Quantized(quantized) => Ok(Arc::clone(quantized)),
        Outcome::Float(why) => Err(why.clone()),
        Outcome::Expanded(float) => Err(float.describe()),
    };
    let mut report = LayerReport {
        name: layer.name.clone(),
        op: layer.op.clone(),
        shape: layer.shape.clone(),
        node: subject.network.node(layer).and_then(|node| match node.name() {
            "" => node.output.first().cloned(),
            name => Some(name.to_owned()),
        }),
        statistics: Err(String::new()),
        outliers: 0,
        outcome,
        counts: [None, None],
    };
    let weights = match subject.network.weights(index) {
        Ok(weights) => weights,
        Err(why) => {
            report.statistics = Err(why.to_string());
            return report;
        }
    };
    let statistics = tensor_statistics(&weights, &layer.layout);
    report.outliers = outlier_count(&weights, statistics.mean, subject.sigma * statistics.std);
    let reach = reach(statistics.max_abs);
    report.counts[0] = Some(histogram(&weights, -reach, reach, FEW_BINS).counts);
    report.counts[1] = (report.outcome.as_ref().ok())
        .map(|quantized| histogram(&split(layer, planned, quantized, &weights), -reach, reach, FEW_BINS).counts);
    report.statistics = Ok(statistics);
    report
}

/// The weights of a planned layer as they are rounded.
fn split(layer: &Layer, planned: &LayerPlan, quantized: &QuantizedLayer, weights: &[f32]) -> Vec<f32> {
    if quantized.splits.is_empty() {
        return weights.to_vec();
    }
    split_weights(weights, &layer.layout, &planned.settings.weights, quantized).values
}

/// A range around 0 that holds all weights.
fn reach(max_abs: f32) -> f64 {
    let reach = f64::from(max_abs) * 1.02;
    if reach > 0.0 && reach.is_finite() { reach } else { 1.0 }
}

fn detail(subject: &Subject<'_>, index: usize, progress: &Progress) -> Result<Option<Detail>, Cancelled> {
    let (layer, planned) = (&subject.network.layers[index], &subject.plan.layers[index]);
    let (Ok(weights), Some(quantized)) = (subject.network.weights(index), planned.quantized()) else {
        return Ok(None);
    };
    let splits = layer.support == Support::Split;
    let settings = planned.settings.weights;
    let most = if splits { ErrorCurves::MAX_RATIO } else { 0.0 };
    let curves = error_curves(&weights, &layer.layout, &settings, most, &progress.part())?;
    let largest = weights.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let reach = reach(largest);
    Ok(Some(Detail {
        layer: index,
        settings,
        before: histogram(&weights, -reach, reach, BINS),
        after: histogram(&split(layer, planned, quantized, &weights), -reach, reach, BINS),
        curves,
        channels: layer.layout.channels.max(1),
    }))
}
