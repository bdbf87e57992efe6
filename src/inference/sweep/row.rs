//! One setting of a sweep and what came of it.

use crate::inference::Metrics;
use crate::network::Network;
use crate::quantization::{Plan, Recipe, ValueShapes, overhead};
use serde::Serialize;

/// One setting of a sweep and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepRow {
    /// The whole recipe.
    pub recipe: Recipe,
    /// Samples (images) or tokens (text) that were run.
    pub samples: usize,
    /// Metrics of the quantized network.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Fraction of samples with the same first answer as the float network; see [`crate::inference::Evaluation::agreement`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// Signal to noise of the outputs against the float network, decibels; see [`crate::inference::Evaluation::sqnr_db`].
    pub sqnr_db: Option<f64>,
    /// What the setting costs.
    pub overhead: SweepOverhead,
}

/// What a setting costs, as ratios to the float network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SweepOverhead {
    /// Number of parameters.
    pub weights: f64,
    /// Input elements over all layers, if shapes are known.
    pub activations: Option<f64>,
    /// Multiply-accumulates over all layers, if shapes are known.
    pub macs: Option<f64>,
    /// Bits of all parameters, a quantized weight at its own bits and everything else at 32; scales are not counted.
    pub size: f64,
}

/// Bits of a parameter that is on no grid.
const FLOAT_BITS: f64 = 32.0;

impl SweepOverhead {
    /// The cost of `plan` on `network`; `shapes` are of that same network's values.
    pub(super) fn of(network: &Network, plan: &Plan, shapes: Option<&ValueShapes>) -> Self {
        let cost = overhead(network, plan, shapes);
        let parameters = network.parameters().max(1) as f64;
        let saved: f64 = (plan.layers.iter().zip(&cost.layers))
            .filter_map(|(layer, cost)| {
                let bits = f64::from(layer.quantized()?.grid.bits);
                Some(cost.weights.0 as f64 * FLOAT_BITS - cost.weights.1 as f64 * bits)
            })
            .sum();
        Self {
            weights: cost.weights,
            activations: cost.activations,
            macs: cost.macs,
            size: 1.0 - saved / (parameters * FLOAT_BITS),
        }
    }
}
