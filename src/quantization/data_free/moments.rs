//! Second moments of layer inputs without data, from the mean and deviation of each channel.
//!
//! Channel c has mean m and variance s^2 and is independent of the others; two places of its picture at distance d have the
//! correlation `0.8^d`, as neighbouring pixels do. So `E[x_i x_j] = m_i m_j`, and `+ s_i^2 0.8^d` within a channel. The exact
//! correlation matters little: anything from .6 to .9 rounds as well.

use super::super::InputMoments;
use super::{KnownInput, propagate};
use crate::network::{Layer, LayerKind, Network};
use std::sync::Arc;

/// Correlation of two places of a channel that are next to each other.
const CORRELATION: f64 = 0.8;

/// Second moments of the inputs of layers, by the layer's name, where batch-norms or what is stated of the network's `inputs` tell
/// the mean and deviation of each channel.
pub fn batch_norm_moments(network: &Network, inputs: &[KnownInput]) -> Vec<(String, Arc<InputMoments>)> {
    let Some(graph) = &network.model.graph else {
        return Vec::new();
    };
    let known = propagate(network, graph, inputs);
    let of = |layer: &Layer| {
        let main = layer.node.as_ref().is_some_and(|path| path.subgraphs.is_empty());
        let (input, axis) = layer.input.as_ref().filter(|_| main)?;
        let value = known.get(input).filter(|value| value.means)?;
        let channels = value.channels_for(layer, *axis)?;
        let channels: Vec<[f64; 2]> = channels.iter().map(|channel| channel.moments().into()).collect();
        Some((layer.name.clone(), Arc::new(moments_of_channels(layer, &channels)?)))
    };
    network.layers.iter().filter_map(of).collect()
}

/// Second moments of the input of `layer`, `[mean, deviation]` of each of its channels being known; `None` where a layer has no
/// such moments ([`InputMoments::why_not`]), or other channels.
pub fn moments_of_channels(layer: &Layer, channels: &[[f64; 2]]) -> Option<InputMoments> {
    if InputMoments::why_not(layer).is_some() || channels.len() != layer.layout.in_channels() {
        return None;
    }
    let kernel = match layer.kind {
        LayerKind::Conv => layer.shape.get(2..).unwrap_or_default(),
        _ => &[],
    };
    let area: usize = kernel.iter().product::<usize>().max(1);
    let correlations: Vec<f64> = (0..area * area)
        .map(|pair| CORRELATION.powf(distance(pair / area, pair % area, kernel)))
        .collect();
    let mut moments = InputMoments::new(layer.layout.groups, InputMoments::columns_of(layer));
    for (group, own) in channels.chunks(layer.layout.channels.max(1)).enumerate() {
        moments.set(group, |i, j| {
            let ([one, deviation], [other, _]) = (own[i / area], own[j / area]);
            let common = if i / area == j / area {
                deviation * deviation * correlations[i % area * area + j % area]
            } else {
                0.0
            };
            one * other + common
        });
    }
    Some(moments)
}

/// Distance of two places of a kernel, pixels.
fn distance(mut one: usize, mut other: usize, kernel: &[usize]) -> f64 {
    let mut squares = 0.0;
    for size in kernel.iter().rev() {
        let along = (one % size) as f64 - (other % size) as f64;
        squares += along * along;
        (one, other) = (one / size, other / size);
    }
    squares.sqrt()
}
