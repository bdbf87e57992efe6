//! Cross-layer equalization (Nagel et al. 2019, arXiv 1906.04721, section 4.1): where a channel goes from one layer to the
//! next through nothing but functions with `f(s x) = s f(x)` and cuts at constants, its weights may be divided by s in the first layer and
//! multiplied by s in the next. The network computes the same; the scale makes the ranges of both alike.

mod bounds;
mod pairs;

#[cfg(test)]
mod tests;

use super::fold::{replace_bias, replace_weight};
use super::{Layer, Layout, Network, NetworkError, OutAxis};
use crate::onnx::{Graph, GraphEdit};
use pairs::{Found, Pair, find_pairs};
use std::collections::BTreeMap;

/// Sweeps over all pairs at most; chains of layers settle in a few.
const SWEEPS: usize = 100;

/// A sweep that scales no channel by more than this ratio from 1 is the last.
const SETTLED: f64 = 1e-4;

/// End of the names of new constants.
const EQUALIZED: &str = "equalized";

/// An equalized network.
#[derive(Clone)]
pub struct Equalization {
    /// Computes what the original computed. Layer names, order and the names of values stay.
    pub network: Network,
    /// Names of the layers of each pair that was equalized, producer first.
    pub pairs: Vec<(String, String)>,
    /// Layers whose outputs could not be equalized with the next layer's weights: name and reason.
    pub skipped: Vec<(String, String)>,
}

/// Equalizes every pair of layers (Conv, Gemm) that is joined by a value which nobody else reads, directly or through
/// Relu, LeakyRelu, PRelu, Identity, pooling or Flatten, or through a Clip, Min or Max with constant ends: those are divided by
/// the scale of each channel too, so that a ReLU6 becomes a ReLU and a Min with a cap for each channel. Channel i of a pair is scaled by `s = sqrt(r1 r2) / r2`, where r1
/// and r2 are the largest weights of the channel in the first and in the second layer, over and over until chains of
/// layers have settled.
///
/// # Errors
/// [`NetworkError`] when a weight or a bias cannot be read.
pub fn equalize(network: &Network) -> Result<Equalization, NetworkError> {
    let Some(graph) = &network.model.graph else {
        return Ok(Equalization {
            network: network.clone(),
            pairs: Vec::new(),
            skipped: Vec::new(),
        });
    };
    let mut edit = GraphEdit::new(network.model.as_ref().clone());
    let Found { pairs, skipped } = find_pairs(network, &Graph::main(graph), &edit)?;
    let mut weights: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for index in pairs.iter().flat_map(|pair| [pair.first, pair.second]) {
        if let std::collections::btree_map::Entry::Vacant(place) = weights.entry(index) {
            place.insert(network.weights(index)?.iter().map(|&x| f64::from(x)).collect());
        }
    }
    let scales = settle(network, &pairs, &mut weights);

    let mut preparation = network.preparation.as_ref().clone();
    for (pair, scales) in pairs.iter().zip(&scales) {
        for value in &pair.values {
            let normalized = preparation.normalized.get_mut(value);
            let channels = normalized.into_iter().flatten().zip(scales);
            channels.for_each(|(channel, scale)| *channel = channel.map(|number| (f64::from(number) / scale) as f32));
        }
        divide_bias(network, &mut edit, pair, scales)?;
        let axes = network.layers[pair.first].shape.len().saturating_sub(2);
        for bound in &pair.bounds {
            bound.divide(&mut edit, scales, axes, pair.repeats);
        }
    }
    for (index, values) in weights {
        let layer = &network.layers[index];
        let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
        if let Some(path) = &layer.node {
            replace_weight(
                &mut edit,
                network,
                path.node,
                EQUALIZED,
                &network.tensor(layer)?.dims,
                &values,
            );
        }
    }
    preparation
        .steps
        .push(format!("equalized {} pairs of layers", pairs.len()));
    let skips = skipped
        .iter()
        .map(|(layer, why)| format!("not equalized behind '{layer}': {why}"));
    preparation.steps.extend(skips);
    let name = |index: usize| network.layers[index].name.clone();
    Ok(Equalization {
        network: network.prepared(edit.finish(), preparation)?,
        pairs: pairs.iter().map(|pair| (name(pair.first), name(pair.second))).collect(),
        skipped,
    })
}

/// Scales the weights until no pair changes any more; returns what the channels of each pair were scaled by in all.
fn settle(network: &Network, pairs: &[Pair], weights: &mut BTreeMap<usize, Vec<f64>>) -> Vec<Vec<f64>> {
    let layout = |index: usize| &network.layers[index].layout;
    let mut scales: Vec<Vec<f64>> = pairs
        .iter()
        .map(|pair| vec![1.0; layout(pair.first).out_channels()])
        .collect();
    for _ in 0..SWEEPS {
        let mut largest_change = 0.0_f64;
        for (pair, all) in pairs.iter().zip(&mut scales) {
            let (first, second) = (layout(pair.first), layout(pair.second));
            let mut ranges = [vec![0.0_f64; all.len()], vec![0.0; all.len()]];
            let mut gather = |range: usize, index: usize, channel: &dyn Fn(usize) -> usize| {
                for (place, weight) in weights.get(&index).into_iter().flatten().enumerate() {
                    let range = &mut ranges[range][channel(place)];
                    *range = range.max(weight.abs());
                }
            };
            gather(0, pair.first, &|place| out_channel(first, place));
            gather(1, pair.second, &|place| in_channel(second, place) / pair.repeats);
            let step: Vec<f64> = ranges[0]
                .iter()
                .zip(&ranges[1])
                .map(|(r1, r2)| scale(*r1, *r2))
                .collect();
            for (place, weight) in weights.get_mut(&pair.first).into_iter().flatten().enumerate() {
                *weight /= step[out_channel(first, place)];
            }
            for (place, weight) in weights.get_mut(&pair.second).into_iter().flatten().enumerate() {
                *weight *= step[in_channel(second, place) / pair.repeats];
            }
            for (all, step) in all.iter_mut().zip(step) {
                *all *= step;
                largest_change = largest_change.max((step - 1.0).abs());
            }
        }
        if largest_change < SETTLED {
            break;
        }
    }
    scales
}

/// What makes both ranges `sqrt(r1 r2)`; a channel without weights on one side stays as it is.
fn scale(first: f64, second: f64) -> f64 {
    let scale = (first / second).sqrt();
    if scale.is_normal() { scale } else { 1.0 }
}

/// Output channel of a layer's weight element.
pub(super) fn out_channel(layout: &Layout, place: usize) -> usize {
    match layout.out_axis {
        OutAxis::Outer => place / (layout.channels * layout.inner),
        OutAxis::Inner => place % layout.inner / layout.out_run.max(1),
    }
}

/// Input channel of a layer's weight element.
fn in_channel(layout: &Layout, place: usize) -> usize {
    let channel = place / layout.inner % layout.channels;
    let group = place / (layout.outer * layout.channels * layout.inner);
    group * layout.channels + channel
}

/// The bias of a pair's first layer is scaled as its weights are.
fn divide_bias(network: &Network, edit: &mut GraphEdit, pair: &Pair, scales: &[f64]) -> Result<(), NetworkError> {
    let Some(path) = &network.layers[pair.first].node else {
        return Ok(());
    };
    let Some(node) = edit.node(path.node) else {
        return Ok(());
    };
    if node.input.get(2).is_none_or(String::is_empty) {
        return Ok(());
    }
    if let Some(bias) = super::fold::bias(edit, node, scales.len())? {
        let bias: Vec<f32> = bias
            .iter()
            .zip(scales)
            .map(|(bias, scale)| (bias / scale) as f32)
            .collect();
        let dims = [i64::try_from(bias.len()).unwrap_or(i64::MAX)];
        replace_bias(edit, path.node, EQUALIZED, &dims, &bias);
    }
    Ok(())
}

/// Whether a layer's weight is a constant of its own graph, read by the layer as it is stored.
fn reads_plain_weight(layer: &Layer) -> bool {
    layer.weight_input == 1
        && layer.support.can_quantize()
        && layer.source.chain.is_empty()
        && layer.source.subgraphs.is_empty()
        && layer.node.as_ref().is_some_and(|path| path.subgraphs.is_empty())
}
