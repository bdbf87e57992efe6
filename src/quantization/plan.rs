//! A recipe applied to a network: for each layer its splits, its grid and its error.

use super::{Grid, LayerSettings, QuantizationError, Recipe};
use crate::network::{Layout, Network};
use crate::progress::Progress;
use crate::statistics::{ActivationStatistics, RangeSource};
use std::collections::HashMap;
use std::sync::Arc;

/// Statistics of layer inputs, by the value's name.
pub type Activations = HashMap<String, ActivationStatistics>;

/// The plan for a whole network.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The recipe that it carries out.
    pub recipe: Recipe,
    /// One entry for each layer of the network, in its order.
    pub layers: Vec<LayerPlan>,
}

/// The plan for one layer.
#[derive(Debug, Clone)]
pub struct LayerPlan {
    /// Name of the layer.
    pub name: String,
    /// What was asked for.
    pub settings: LayerSettings,
    /// What comes of it.
    pub outcome: Outcome,
}

/// What becomes of a layer.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It stays as it is; the reason.
    Float(String),
    /// It goes on a grid.
    Quantized(Arc<QuantizedLayer>),
}

/// A layer on its grid.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedLayer {
    /// The grid of the weights.
    pub grid: Grid,
    /// Clip threshold a of the weights.
    pub threshold: f32,
    /// Layout of the expanded weights.
    pub layout: Layout,
    /// Grid indices q of the expanded weights.
    pub values: Vec<i8>,
    /// Source channel of each channel of the expanded layer.
    pub index: Vec<usize>,
    /// Input channels in the order they were split.
    pub splits: Vec<usize>,
    /// Mean squared error of the weights that the network sees: the copies of a channel added up, against the original.
    pub mse: f64,
    /// The part of `mse` from original elements that a copy of which was clipped.
    pub clip_mse: f64,
    /// `10 log10(sum w^2 / sum error^2)`, decibels.
    pub sqnr_db: f64,
    /// The grid of the layer's input, if it is quantized.
    pub activation: Option<ActivationPlan>,
}

/// The grid of a layer's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationPlan {
    /// The grid.
    pub grid: Grid,
    /// Clip threshold.
    pub threshold: f32,
    /// Where the range comes from.
    pub source: RangeSource,
}

impl LayerPlan {
    /// The quantized layer, if it is one.
    pub fn quantized(&self) -> Option<&QuantizedLayer> {
        match &self.outcome {
            Outcome::Quantized(layer) => Some(layer),
            Outcome::Float(_) => None,
        }
    }
}

/// Splits, clips and quantizes one weight tensor (no activation).
pub fn plan_layer(_values: &[f32], _layout: &Layout, _settings: &LayerSettings) -> QuantizedLayer {
    todo!()
}

/// Plans all layers of `network` in parallel. `network` must be folded already if the recipe folds
/// ([`crate::network::fold_batch_norm`]). `activations` is needed when the recipe quantizes activations.
///
/// # Errors
/// [`QuantizationError::Recipe`] when the recipe is out of range or lacks activations, `Cancelled` when cancelled.
pub fn plan(
    _network: &Network,
    _recipe: &Recipe,
    _activations: Option<&Activations>,
    _progress: &Progress,
) -> Result<Plan, QuantizationError> {
    todo!()
}
