//! Ranges of layer inputs without data: what batch-norm statistics tell, carried forward through the graph.
//!
//! Behind a batch-norm, channel c is taken for a Gaussian of mean `bias[c]` and deviation `|scale[c]|` (data-free
//! quantization, Nagel et al. 2019, arXiv 1906.04721), independent of the others. What a layer computes is not known, until
//! the next batch-norm. Of an input of the network whose preprocessing is stated the interval of each channel is known.

mod known_input;
mod moments;
mod operators;

#[cfg(test)]
mod tests;

pub use known_input::{ChannelPlace, KnownInput};
pub use moments::{batch_norm_moments, moments_of_channels};

use super::{Activations, joined_values};
use crate::network::{Layer, LayerKind, Network};
use crate::onnx::build::is_standard_domain;
use crate::onnx::{Graph, GraphProto, float_values};
use crate::statistics::{ActivationStatistics, ChannelDistribution, RangeSource};
use std::collections::HashMap;

/// Statistics of the layer inputs of the main graph that follow from batch-norms, those still in the graph and those that
/// were folded (see [`crate::network::Preparation`]), and from what is stated of the network's `inputs`, and of the values
/// between layers that can go on a grid ([`joined_values`]). Those of which nothing is known are missing.
pub fn batch_norm_activations(network: &Network, inputs: &[KnownInput]) -> Activations {
    let Some(graph) = &network.model.graph else {
        return Activations::new();
    };
    let known = propagate(network, graph, inputs);
    let mut activations = Activations::new();
    activations.set_inputs(inputs.to_vec());
    for layer in &network.layers {
        let Some((input, axis)) = &layer.input else { continue };
        let main = layer.node.as_ref().is_some_and(|path| path.subgraphs.is_empty());
        let Some(value) = known.get(input).filter(|_| main && !activations.contains_key(input)) else {
            continue;
        };
        let statistics = ActivationStatistics::of_channels(value.source, &value.channels);
        let statistics = match value.channels_for(layer, *axis) {
            Some(channels) if value.means => {
                let means = channels.iter().map(|channel| channel.moments().0);
                statistics.with_channel_means(means.collect()).with_channels(&channels)
            }
            Some(channels) => statistics.with_channels(&channels),
            None => statistics,
        };
        activations.insert(input.clone(), statistics);
    }
    for value in joined_values(network) {
        if let Some(known) = known.get(&value) {
            let statistics = ActivationStatistics::of_channels(known.source, &known.channels);
            activations.entry(value).or_insert(statistics);
        }
    }
    activations
}

/// What is known of a value.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    /// Its channels, each as many elements as the others.
    channels: Vec<ChannelDistribution>,
    order: Order,
    /// Whether the means are right; a maximum of neighbours is greater than the mean that it had.
    means: bool,
    /// What told it.
    source: RangeSource,
}

/// Where the channels of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Along axis 1.
    SecondAxis,
    /// Along the last axis of a picture.
    LastAxis,
    /// The value is `[n, channels * elements]`, each channel's elements next to each other.
    Flat,
    /// Somewhere: elements were moved about.
    Mixed,
}

impl Known {
    /// The input channels of `layer`, which lie along `axis` of this value.
    fn channels_for(&self, layer: &Layer, axis: i64) -> Option<Vec<ChannelDistribution>> {
        let inputs = layer.layout.in_channels();
        let count = self.channels.len();
        // The input of a Gemm is a matrix: its last axis is its second.
        let second = axis == 1 || (axis == -1 && layer.kind == LayerKind::Gemm);
        let repeats = match self.order {
            Order::SecondAxis if second && inputs == count => 1,
            Order::LastAxis if axis == -1 && inputs == count => 1,
            Order::Flat if (second || axis == -1) && count > 0 && inputs.is_multiple_of(count) => inputs / count,
            _ => return None,
        };
        let repeated = |channel| std::iter::repeat_n(channel, repeats);
        Some(self.channels.iter().copied().flat_map(repeated).collect())
    }
}

/// Everything that is known of the values of a graph.
fn propagate(network: &Network, graph: &GraphProto, inputs: &[KnownInput]) -> HashMap<String, Known> {
    let graph = Graph::main(graph);
    let stated = |input: &KnownInput| (input.name.clone(), Known::of_input(input));
    let mut known: HashMap<String, Known> = inputs.iter().map(stated).collect();
    for node in &graph.proto.node {
        let Some(output) = node.output.first().filter(|output| !output.is_empty()) else {
            continue;
        };
        let value = match network.preparation.normalized.get(output) {
            Some(channels) => Some(second_axis(channels.iter().copied())),
            None if is_standard_domain(node.domain()) => operators::output(node, &known, &graph),
            None => None,
        };
        let finite =
            |value: &Known| !value.channels.is_empty() && value.channels.iter().all(ChannelDistribution::is_finite);
        if let Some(value) = value.filter(finite) {
            known.insert(output.clone(), value);
        }
    }
    known
}

/// A value behind a batch-norm, from mean and deviation of its channels.
fn second_axis(channels: impl IntoIterator<Item = [f32; 2]>) -> Known {
    let gaussian = |[mean, deviation]: [f32; 2]| ChannelDistribution::gaussian(mean.into(), deviation.into());
    Known {
        channels: channels.into_iter().map(gaussian).collect(),
        order: Order::SecondAxis,
        means: true,
        source: RangeSource::BatchNorm,
    }
}

/// Shape and elements of a constant of floats.
fn floats(graph: &Graph<'_>, name: &str) -> Option<(Vec<usize>, Vec<f64>)> {
    let tensor = graph.constant(name)?;
    let sizes = tensor.dims.iter().map(|&size| usize::try_from(size).ok());
    let values = float_values(tensor).ok()?;
    Some((
        sizes.collect::<Option<_>>()?,
        values.iter().map(|&x| f64::from(x)).collect(),
    ))
}
