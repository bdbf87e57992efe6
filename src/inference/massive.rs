//! Massive activations (Sun et al. 2024, arXiv 2402.17762) and super weights (Yu et al. 2024, arXiv 2411.07191): single numbers
//! that a whole language model hangs on, found in one run of the float network, and what happens without each.

use super::input_channels::Placing;
use super::outputs::measured_batches;
use super::prefetch::each_batch;
use super::{Dataset, Engine, InferenceError, Metrics, Outputs, evaluate, float_engine, run_samples};
use crate::data::Tensor;
use crate::engine::UNOPTIMIZED;
use crate::network::{Channel, Layer, LayerKind, Network, OutAxis};
use crate::progress::Progress;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Range;

/// What counts as massive. The paper's numbers are the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MassiveLimits {
    /// Least |x|.
    pub magnitude: f32,
    /// Least |x| over the median |x| of its value.
    pub ratio: f64,
}

impl Default for MassiveLimits {
    fn default() -> Self {
        Self {
            magnitude: 100.0,
            ratio: 1000.0,
        }
    }
}

/// Where in the data an activation was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenAt {
    /// The sample; of a text the window.
    pub sample: usize,
    /// The place in it: the token, the pixel.
    pub position: usize,
    /// The token's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The token with its place, else sample and position.
impl fmt::Display for SeenAt {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.token {
            Some(token) => write!(to, "{token:?} at {}", self.position),
            None => write!(to, "{}, {}", self.sample, self.position),
        }
    }
}

/// How the network answers without something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Without {
    /// Its metrics on the same samples.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Output SQNR against the whole network, decibels.
    pub sqnr_db: Option<f64>,
}

/// A channel that is massive at a few places, from the value on where that begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MassiveActivation {
    /// The first value in which it is massive.
    pub value: String,
    /// The layer whose output that is; `None` for a sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// The channel.
    pub channel: usize,
    /// The last value in which it is massive.
    pub until: String,
    /// Values in which it is massive.
    pub values: usize,
    /// The furthest element of all of them.
    pub activation: f32,
    /// The median |x| of the value that holds it.
    pub median: f32,
    /// Where that element is.
    #[serde(flatten)]
    pub seen_at: SeenAt,
    /// The network with the massive elements of the first value set to 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<Without>,
    /// Why that could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
    #[serde(skip)]
    place: Channel,
    #[serde(skip)]
    limit: f32,
}

impl MassiveActivation {
    /// The furthest |x| over the median |x| of its value.
    pub fn over_median(&self) -> f64 {
        f64::from(self.activation.abs()) / f64::from(self.median)
    }
}

/// A single weight that makes a massive output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuperWeight {
    /// Its layer.
    pub layer: String,
    /// Row: the output channel.
    pub output_channel: usize,
    /// Column: the input channel.
    pub input_channel: usize,
    /// The weight.
    pub weight: f32,
    /// What it multiplies.
    pub input: f32,
    /// The massive output.
    pub output: f32,
    /// `weight * input / output`.
    pub share: f64,
    /// Where that was.
    #[serde(flatten)]
    pub seen_at: SeenAt,
    /// The network with this weight set to 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<Without>,
    /// The same with the largest other weight of the layer set to 0 instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_largest_other: Option<Without>,
    /// Why that could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
    #[serde(skip)]
    index: usize,
    #[serde(skip)]
    place: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Massive {
    /// The furthest first; at most as many as were asked for.
    pub activations: Vec<MassiveActivation>,
    /// How many channels there are in all.
    pub activations_found: usize,
    /// The largest output first; at most as many as were asked for.
    pub super_weights: Vec<SuperWeight>,
    /// How many there are in all.
    pub super_weights_found: usize,
}

/// Of a massive output, what a weight must make of it to count as a super weight.
const MOST_OF_IT: f64 = 0.5;

/// Runs the samples of `whole` (the network's own outputs) once and finds what is massive among outputs of layers and sums; then
/// runs them again without each of the first `most` activations and weights. `engine` is the float network's.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn massive(
    network: &Network,
    engine: &dyn Engine,
    (data, whole): (&Dataset, &Outputs),
    limits: MassiveLimits,
    most: usize,
    progress: &Progress,
) -> Result<Massive, InferenceError> {
    let watched = watched(network);
    let mut names: Vec<&str> = watched.iter().map(|watched| watched.value).collect();
    let mut known: HashSet<&str> = names.iter().copied().collect();
    let inputs = watched.iter().filter_map(|watched| Some(watched.matrix?.1));
    names.extend(inputs.filter(|name| known.insert(name)));
    let mut search = Search {
        network,
        data,
        limits,
        watched: &watched,
        activations: BTreeMap::new(),
        weights: BTreeMap::new(),
    };
    let batches = measured_batches(engine, data, whole.range())?;
    let ranges: Vec<Range<usize>> = batches.iter().map(|batch| batch.run.clone()).collect();
    progress.start(whole.samples as u64, "Looking for massive activations");
    each_batch(data, &ranges, progress, |position, inputs| {
        let values = engine.run_with(inputs, &names, UNOPTIMIZED)?;
        let by_name = names.iter().copied().zip(&values).collect();
        search.take(&by_name, &ranges[position])?;
        progress.advance(batches[position].wanted.len() as u64);
        Ok(())
    })?;
    let mut found = search.found();
    found.activations.truncate(most);
    found.super_weights.truncate(most);
    let bench = Bench { data, whole };
    let runs = found.activations.len() + 2 * found.super_weights.len();
    progress.start(runs as u64, "Running without each");
    for activation in &mut found.activations {
        let changed = network.without_activations(&activation.value, activation.place, activation.limit);
        bench.run(changed, (&mut activation.without, &mut activation.not_run), progress)?;
    }
    for weight in &mut found.super_weights {
        let changed = network.without_weight(weight.index, weight.place);
        bench.run(changed, (&mut weight.without, &mut weight.not_run), progress)?;
        let other = largest_other(network, weight)?;
        let changed = network.without_weight(weight.index, other);
        let not_run = &mut weight.not_run;
        bench.run(changed, (&mut weight.without_largest_other, not_run), progress)?;
    }
    Ok(found)
}

/// A value that is looked at.
struct Watched<'a> {
    value: &'a str,
    /// The layer whose output it is.
    layer: Option<&'a Layer>,
    /// Axis of its channels; `None` where its shape tells: behind the samples of pictures, else the last.
    axis: Option<i64>,
    /// Of a product with a matrix: the layer's number, and the value that it reads along its last axis.
    matrix: Option<(usize, &'a str)>,
}

/// Outputs of layers, and sums that such an output goes into directly (a bias, the stream past a block), in the order of the main
/// graph, but for the network's own outputs. Sums of attention scores and inside of norms are none.
fn watched(network: &Network) -> Vec<Watched<'_>> {
    let Some(graph) = &network.model.graph else {
        return Vec::new();
    };
    let answers: HashSet<&str> = graph.output.iter().map(crate::onnx::ValueInfoProto::name).collect();
    let mut layers: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, layer) in network.layers.iter().enumerate() {
        if let Some(path) = layer.node.as_ref().filter(|path| path.subgraphs.is_empty()) {
            layers.entry(path.node).or_insert(index);
        }
    }
    let mut found: Vec<Watched<'_>> = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    for (position, node) in graph.node.iter().enumerate() {
        let index = layers.get(&position).copied();
        let layer = index.map(|index| &network.layers[index]);
        let Some(value) = node.output.first().filter(|value| !value.is_empty()) else {
            continue;
        };
        let is_sum = node.op_type() == "Add" && node.input.iter().any(|input| known.contains(input.as_str()));
        let is_seen = layer.is_some_and(|layer| !layer.kind.is_recurrent()) || is_sum;
        if !is_seen || answers.contains(value.as_str()) {
            continue;
        }
        known.insert(value);
        let input = layer.and_then(|layer| layer.input.as_ref());
        let is_product = |layer: &&Layer| matches!(layer.kind, LayerKind::MatMul | LayerKind::Gemm);
        let reads_last = input.filter(|(_, axis)| *axis == -1);
        found.push(Watched {
            value,
            layer,
            axis: input.map(|(_, axis)| *axis),
            matrix: layer
                .filter(is_product)
                .filter(|layer| layer.layout.groups == 1)
                .and_then(|_| Some((index?, reads_last?.0.as_str()))),
        });
    }
    found
}

/// The furthest element of a channel of a value.
#[derive(Clone)]
struct Furthest {
    activation: f32,
    median: f32,
    place: Channel,
    seen_at: SeenAt,
}

struct Search<'a> {
    network: &'a Network,
    data: &'a Dataset,
    limits: MassiveLimits,
    watched: &'a [Watched<'a>],
    /// By number of channels and channel, then by place in `watched`.
    activations: BTreeMap<(usize, usize), BTreeMap<usize, Furthest>>,
    /// By layer, output and input channel.
    weights: BTreeMap<(usize, usize, usize), SuperWeight>,
}

impl Search<'_> {
    /// Takes the values of a batch.
    fn take(&mut self, values: &BTreeMap<&str, &Tensor>, run: &Range<usize>) -> Result<(), InferenceError> {
        for (number, watched) in self.watched.iter().enumerate() {
            let Some((value, numbers)) = values
                .get(watched.value)
                .and_then(|value| Some((*value, value.floats()?)))
            else {
                continue;
            };
            let axis = watched.axis.unwrap_or(if value.shape().len() == 4 { 1 } else { -1 });
            let Some(placing) = Placing::of(value, axis) else {
                continue;
            };
            let median = median_magnitude(numbers);
            let limit = self
                .limits
                .magnitude
                .max((self.limits.ratio * f64::from(median)) as f32);
            let mut furthest: BTreeMap<usize, (f32, usize, usize)> = BTreeMap::new();
            placing.each(numbers, |sample, channel, position, x| {
                if x.abs() >= limit {
                    let best = furthest.entry(channel).or_insert((x, sample, position));
                    if x.abs() > best.0.abs() {
                        *best = (x, sample, position);
                    }
                }
            });
            let behind = if axis < 0 {
                0
            } else {
                value.shape().len().saturating_sub(2)
            };
            for (channel, (activation, sample, position)) in furthest {
                let found = Furthest {
                    activation,
                    median,
                    place: Channel {
                        channel,
                        channels: placing.channels(),
                        behind,
                    },
                    seen_at: self.seen_at(run, sample, position, placing.positions()),
                };
                if let Some((layer, input)) = watched.matrix
                    && let Some(row) = values.get(input).and_then(|input| row(input, sample, position))
                {
                    self.take_weight(layer, row, &found)?;
                }
                let known = self.activations.entry((placing.channels(), channel)).or_default();
                let best = known.entry(number).or_insert_with(|| found.clone());
                if found.activation.abs() > best.activation.abs() {
                    *best = found;
                }
            }
        }
        Ok(())
    }

    /// Looks for the weight that makes most of a massive output from `row`, the layer's input there.
    fn take_weight(&mut self, index: usize, row: &[f32], output: &Furthest) -> Result<(), InferenceError> {
        let layer = &self.network.layers[index];
        let layout = layer.layout;
        if row.len() != layout.in_channels() || output.place.channels != layout.out_channels() {
            return Ok(());
        }
        let weights = self
            .network
            .weights(index)
            .map_err(|error| InferenceError::Data(error.to_string()))?;
        let out = output.place.channel;
        let place = |channel: usize| match layout.out_axis {
            OutAxis::Outer => out * layout.channels + channel,
            OutAxis::Inner => channel * layout.inner + out,
        };
        let part = |channel: usize| {
            let weight = weights.get(place(channel)).copied().unwrap_or(0.0);
            f64::from(weight) * f64::from(row[channel])
        };
        let sum: f64 = (0..row.len()).map(part).sum();
        let largest = (0..row.len()).max_by(|a, b| part(*a).abs().total_cmp(&part(*b).abs()));
        let Some(channel) = largest.filter(|channel| part(*channel) / sum >= MOST_OF_IT) else {
            return Ok(());
        };
        let found = SuperWeight {
            layer: layer.name.clone(),
            output_channel: out,
            input_channel: channel,
            weight: weights.get(place(channel)).copied().unwrap_or(0.0),
            input: row[channel],
            output: output.activation,
            share: part(channel) / sum,
            seen_at: output.seen_at.clone(),
            without: None,
            without_largest_other: None,
            not_run: None,
            index,
            place: place(channel),
        };
        let best = self
            .weights
            .entry((index, out, channel))
            .or_insert_with(|| found.clone());
        if found.output.abs() > best.output.abs() {
            *best = found;
        }
        Ok(())
    }

    fn seen_at(&self, run: &Range<usize>, sample: usize, position: usize, positions: usize) -> SeenAt {
        let text = self
            .data
            .text_layout()
            .filter(|layout| layout.batch_first && (layout.behind_source || layout.length == positions));
        match text {
            Some(layout) => SeenAt {
                sample: run.start / layout.length.max(1) + sample,
                position,
                token: if layout.behind_source {
                    None
                } else {
                    self.data.context(run.start + sample * layout.length + position, 1)
                },
            },
            None => SeenAt {
                sample: run.start + sample,
                position,
                token: None,
            },
        }
    }

    fn found(self) -> Massive {
        let mut activations: Vec<MassiveActivation> = Vec::new();
        for values in self.activations.into_values() {
            let (Some((first, begins)), Some((last, _))) = (values.iter().next(), values.iter().next_back()) else {
                continue;
            };
            let furthest = values
                .values()
                .max_by(|a, b| a.activation.abs().total_cmp(&b.activation.abs()));
            let furthest = furthest.unwrap_or(begins);
            activations.push(MassiveActivation {
                value: self.watched[*first].value.to_owned(),
                layer: self.watched[*first].layer.map(|layer| layer.name.clone()),
                channel: begins.place.channel,
                until: self.watched[*last].value.to_owned(),
                values: values.len(),
                activation: furthest.activation,
                median: furthest.median,
                seen_at: furthest.seen_at.clone(),
                without: None,
                not_run: None,
                place: begins.place,
                limit: self
                    .limits
                    .magnitude
                    .max((self.limits.ratio * f64::from(begins.median)) as f32),
            });
        }
        activations.sort_by(|a, b| b.activation.abs().total_cmp(&a.activation.abs()));
        let mut super_weights: Vec<SuperWeight> = self.weights.into_values().collect();
        super_weights.sort_by(|a, b| b.output.abs().total_cmp(&a.output.abs()));
        Massive {
            activations_found: activations.len(),
            activations,
            super_weights_found: super_weights.len(),
            super_weights,
        }
    }
}

/// The numbers of a value along its last axis at one place.
fn row(value: &Tensor, sample: usize, position: usize) -> Option<&[f32]> {
    let placing = Placing::of(value, -1)?;
    let start = (sample * placing.positions() + position) * placing.channels();
    value.floats()?.get(start..start + placing.channels())
}

/// The median |x|; 0 for nothing.
fn median_magnitude(values: &[f32]) -> f32 {
    let mut magnitudes: Vec<f32> = values.iter().map(|x| x.abs()).filter(|x| x.is_finite()).collect();
    if magnitudes.is_empty() {
        return 0.0;
    }
    let middle = magnitudes.len() / 2;
    *magnitudes.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Place of the largest |w| of the layer of `weight`, itself left out.
fn largest_other(network: &Network, weight: &SuperWeight) -> Result<usize, InferenceError> {
    let weights = network
        .weights(weight.index)
        .map_err(|error| InferenceError::Data(error.to_string()))?;
    let others = weights.iter().enumerate().filter(|(place, _)| *place != weight.place);
    Ok(others
        .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
        .map_or(0, |(place, _)| place))
}

/// What changed networks are compared on.
struct Bench<'a> {
    data: &'a Dataset,
    whole: &'a Outputs,
}

impl Bench<'_> {
    /// Runs a changed network, or says why it cannot be run.
    fn run(
        &self,
        changed: Result<Network, crate::network::NetworkError>,
        (without, not_run): (&mut Option<Without>, &mut Option<String>),
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        let run = || -> Result<Without, InferenceError> {
            let changed = changed.map_err(|error| InferenceError::Data(error.to_string()))?;
            let engine = float_engine(&changed)?;
            let outputs = run_samples(&engine, self.data, self.whole.range(), &progress.part())?;
            let evaluation = evaluate(self.whole, &outputs, self.data);
            Ok(Without {
                metrics: evaluation.quantized,
                sqnr_db: evaluation.sqnr_db,
            })
        };
        match run() {
            Ok(found) => *without = Some(found),
            Err(error @ InferenceError::Cancelled(_)) => return Err(error),
            Err(error) => *not_run = Some(error.to_string()),
        }
        progress.advance(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
