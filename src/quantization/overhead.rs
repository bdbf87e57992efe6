//! What splitting costs (METHOD section 7; Zhao et al. 2019, table 4).

use super::{Expansion, Plan};
use crate::network::{Layer, LayerKind, Network, OutAxis};
use serde::Serialize;
use std::collections::HashMap;

/// Shapes of values for one sample, by name (batch dimension included).
pub type ValueShapes = HashMap<String, Vec<usize>>;

/// Cost of one layer: as it was and as planned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerOverhead {
    /// Name of the layer.
    pub name: String,
    /// Weights before and after.
    pub weights: (u64, u64),
    /// Bytes of the weights before and after; see [`Bytes`].
    pub bytes: (u64, u64),
    /// Input elements of one sample before and after, if shapes are known.
    pub activations: Option<(u64, u64)>,
    /// Multiply-accumulates of one sample before and after, if shapes are known.
    pub macs: Option<(u64, u64)>,
}

/// Room that the parameters take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// All parameters at 32 bits.
    pub float: u64,
    /// Quantized weights at the bits of their grid and everything else at 32, each layer rounded up to whole bytes. Steps of
    /// grids are not counted. (An exported file holds every quantized weight as 8 bits.)
    pub quantized: u64,
}

/// Cost of a plan as ratios to the original network (1 = nothing added).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overhead {
    /// Parameters of the whole model.
    pub weights: f64,
    /// Input elements over all layers; `None` while shapes are unknown.
    pub activations: Option<f64>,
    /// Multiply-accumulates over all layers; `None` while shapes are unknown.
    pub macs: Option<f64>,
    /// Bytes of all parameters.
    pub bytes: Bytes,
    /// The layers.
    #[serde(skip)]
    pub layers: Vec<LayerOverhead>,
}

/// The cost of `plan` on `network`; `shapes` are of that same network's values.
pub fn overhead(network: &Network, plan: &Plan, shapes: Option<&ValueShapes>) -> Overhead {
    let layers: Vec<LayerOverhead> = network
        .layers
        .iter()
        .zip(&plan.layers)
        .map(|(layer, planned)| {
            // Channels before and after: everything that a layer costs is in proportion to them.
            let before = layer.layout.channels as u64;
            let after = planned
                .quantized()
                .map_or(before, |quantized| Expansion::of(quantized).channels as u64);
            let grown = |cost: u64| (cost, cost.checked_div(before).map_or(cost, |each| each * after));
            // The copies inside a recurrent cell have rows of W and R too.
            let (units, wide) = hidden_units(network, plan, layer).unwrap_or((1, 1));
            let with_rows = |(before, after): (u64, u64)| (before, after / units.max(1) * wide);
            let weights = with_rows(grown(layer.parameters()));
            LayerOverhead {
                name: layer.name.clone(),
                weights,
                bytes: bytes(weights, planned.quantized().map(|quantized| quantized.grid.bits)),
                activations: shapes.and_then(|shapes| input_elements(layer, shapes)).map(grown),
                macs: shapes
                    .and_then(|shapes| macs(network, layer, shapes))
                    .map(grown)
                    .map(with_rows),
            }
        })
        .collect();
    let added: u64 = layers.iter().map(|layer| layer.weights.1 - layer.weights.0).sum();
    let parameters = network.parameters().max(1);
    let float = network.parameters().saturating_mul(FLOAT_BYTES);
    let (before, after) = (layers.iter()).fold((0_u64, 0_u64), |sum, layer| {
        (sum.0.saturating_add(layer.bytes.0), sum.1.saturating_add(layer.bytes.1))
    });
    Overhead {
        weights: (parameters + added) as f64 / parameters as f64,
        activations: ratio(layers.iter().filter(|l| l.weights.0 > 0).map(|layer| layer.activations)),
        macs: ratio(layers.iter().filter(|l| l.weights.0 > 0).map(|layer| layer.macs)),
        bytes: Bytes {
            float,
            quantized: float.saturating_sub(before).saturating_add(after),
        },
        layers,
    }
}

/// Bytes of a parameter that is on no grid.
const FLOAT_BYTES: u64 = 4;

/// Bytes of weights before and after, on a grid of `bits` if they are on one.
fn bytes((before, after): (u64, u64), bits: Option<u8>) -> (u64, u64) {
    let after = match bits {
        Some(bits) => after.saturating_mul(bits.into()).div_ceil(8),
        None => after.saturating_mul(FLOAT_BYTES),
    };
    (before.saturating_mul(FLOAT_BYTES), after)
}

/// Sum after over sum before, of those layers whose cost is known; `None` if none is.
fn ratio(costs: impl Iterator<Item = Option<(u64, u64)>>) -> Option<f64> {
    let (before, after) = costs
        .flatten()
        .fold((0, 0), |sum, cost| (sum.0 + cost.0, sum.1 + cost.1));
    (before > 0).then(|| after as f64 / before as f64)
}

/// Hidden units of the recurrent cell that `layer` belongs to, before and after.
fn hidden_units(network: &Network, plan: &Plan, layer: &Layer) -> Option<(u64, u64)> {
    let of_cell = |other: &Layer| {
        other.kind.is_recurrent() && other.node == layer.node && other.weight_input == Layer::RECURRENT_WEIGHT
    };
    let place = network.layers.iter().position(of_cell)?;
    let quantized = plan.layers.get(place)?.quantized()?;
    let units = network.layers[place].layout.channels;
    Some((units as u64, quantized.layout.channels as u64))
}

fn input_elements(layer: &Layer, shapes: &ValueShapes) -> Option<u64> {
    let (input, _) = layer.input.as_ref()?;
    Some(elements(shapes.get(input)?))
}

/// Multiply-accumulates of one sample: each weight is used once for each position of the output.
fn macs(network: &Network, layer: &Layer, shapes: &ValueShapes) -> Option<u64> {
    let positions = match layer.kind {
        LayerKind::Conv => {
            let output = network.node(layer)?.output.first()?;
            elements(shapes.get(output)?) / (layer.layout.out_channels() as u64).max(1)
        }
        LayerKind::Gemm | LayerKind::MatMul => {
            input_elements(layer, shapes)? / (layer.layout.in_channels() as u64).max(1)
        }
        LayerKind::Lstm | LayerKind::Gru | LayerKind::Rnn => {
            let input = shapes.get(network.node(layer)?.input.first()?)?;
            let (_, steps) = input.split_last()?;
            elements(steps)
        }
        LayerKind::ConvTranspose | LayerKind::Tensor | LayerKind::Quantized => return None,
    };
    debug_assert!(layer.layout.groups == 1 || layer.layout.out_axis == OutAxis::Outer);
    Some(positions * layer.parameters())
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|size| *size as u64).product()
}
