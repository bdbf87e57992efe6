//! What splitting costs (METHOD section 7).

use super::Plan;
use crate::network::Network;
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
    /// Input elements of one sample before and after, if shapes are known.
    pub activations: Option<(u64, u64)>,
    /// Multiply-accumulates of one sample before and after, if shapes are known.
    pub macs: Option<(u64, u64)>,
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
    /// The layers.
    #[serde(skip)]
    pub layers: Vec<LayerOverhead>,
}

/// The cost of `plan` on `network`.
pub fn overhead(_network: &Network, _plan: &Plan, _shapes: Option<&ValueShapes>) -> Overhead {
    todo!()
}
