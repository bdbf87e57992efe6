//! A recipe applied to a network: for each layer its splits, its grid and its error.

use super::activation_split::{Chooser, largest_channels, outlier_channels};
use super::bias_correction::corrected_bias;
use super::clip::choose_activation_threshold;
use super::weight::plan_layer_in;
use super::{Buffers, Grid, LayerSettings, QuantizationError, Recipe, split_count};
use crate::network::{Layer, Layout, Network, NetworkError, Support};
use crate::onnx::FloatData;
use crate::progress::Progress;
use crate::statistics::{ActivationStatistics, RangeSource};
use rayon::prelude::*;
use std::borrow::Cow;
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
    /// The grid of the weights; with one scale an output channel, that of the largest.
    pub grid: Grid,
    /// The step of each output channel; empty with one scale for the tensor.
    pub channel_steps: Vec<f32>,
    /// Clip threshold a of the weights; with one scale an output channel, the largest.
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
    /// The part of `mse` from original elements of which a copy was clipped (rounded beyond the ends of the grid).
    pub clip_mse: f64,
    /// `10 log10(sum w^2 / sum error^2)`, decibels; infinite when there is no error.
    pub sqnr_db: f64,
    /// The grid of the layer's input, if it is quantized.
    pub activation: Option<ActivationPlan>,
    /// Input channels whose activation is halved and sent twice (activation OCS), those with the most outliers first, group by
    /// group. The copies are in none of the fields above: see [`super::Expansion`].
    pub activation_splits: Vec<usize>,
    /// The bias that makes good how far rounding moves the mean outputs, as the node adds it; `None` where the recipe leaves
    /// the bias as it is, or it cannot be corrected.
    pub bias: Option<Vec<f32>>,
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

    /// The layer without what concerns its input, if its weights were asked the same as by `settings`.
    fn with_weights_of(&self, settings: &LayerSettings) -> Option<QuantizedLayer> {
        let of_weights = |of: &LayerSettings| (of.weight_bits, of.expand_ratio, of.split, of.clip, of.per_channel);
        let same = of_weights(&self.settings) == of_weights(settings);
        let quantized = self.quantized().filter(|_| same)?;
        Some(QuantizedLayer {
            activation: None,
            activation_splits: Vec::new(),
            bias: None,
            ..quantized.clone()
        })
    }
}

/// Plans all layers of `network` in parallel. `network` must be prepared as the recipe says ([`super::prepare`]).
/// `activations` is needed when [`Recipe::needs_activations`].
///
/// # Errors
/// [`QuantizationError::Recipe`] when the recipe is out of range or lacks activations, `Cancelled` when cancelled.
pub fn plan(
    network: &Network,
    recipe: &Recipe,
    activations: Option<&Activations>,
    progress: &Progress,
) -> Result<Plan, QuantizationError> {
    replan(network, recipe, activations, None, progress)
}

/// [`plan`] that takes over the weights of each layer of which `known`, a plan for the same network, asked the same: another
/// choice for the activations splits and clips no weight again.
///
/// # Errors
/// As [`plan`].
pub fn replan(
    network: &Network,
    recipe: &Recipe,
    activations: Option<&Activations>,
    known: Option<&Plan>,
    progress: &Progress,
) -> Result<Plan, QuantizationError> {
    recipe.check(network).map_err(QuantizationError::Recipe)?;
    if recipe.quantizes_activations() && activations.is_none() {
        let reason = "quantized activations need calibration data; give some, or leave activation_bits at \"float\"";
        return Err(QuantizationError::Recipe(reason.to_owned()));
    }
    if recipe.bias_correction && activations.is_none() {
        let reason = "bias correction needs the means of the layers' inputs, from calibration data or data-free; give \
                      some, or set bias_correction = false";
        return Err(QuantizationError::Recipe(reason.to_owned()));
    }
    progress.start(network.layers.len() as u64, "planning layers");
    let planning = Planning {
        network,
        activations,
        means: activations.filter(|_| recipe.bias_correction),
        buffers: Buffers::default(),
    };
    let layers = network
        .layers
        .par_iter()
        .enumerate()
        .map(|(index, layer)| {
            progress.check()?;
            let mut settings = recipe.settings(network, index);
            settings.per_channel &= layer.takes_scales_per_channel();
            let known = known.and_then(|known| known.layers.get(index)?.with_weights_of(&settings));
            let weights = network.weights(index);
            let outcome = planning.outcome(layer, &settings, weights, known);
            progress.advance(1);
            Ok(LayerPlan {
                name: layer.name.clone(),
                settings,
                outcome,
            })
        })
        .collect::<Result<Vec<_>, QuantizationError>>()?;
    Ok(Plan {
        recipe: recipe.clone(),
        layers,
    })
}

/// `plan` with the grids and splits of the layers' inputs for those samples alone that `activations` was gathered from, the
/// channels with the largest |x| split: Oracle OCS (Zhao et al. 2019), which no exported network can do. A layer
/// whose input was not seen, or was not finite, stays as planned.
pub fn oracle_plan(network: &Network, plan: &Plan, activations: &Activations) -> Plan {
    let replan = |(layer, planned): (&Layer, &LayerPlan)| {
        let mut planned = planned.clone();
        let chosen = plan_activation(layer, &planned.settings, Some(activations), largest_channels);
        if let (Outcome::Quantized(quantized), Ok(Some((activation, splits)))) = (&mut planned.outcome, chosen) {
            let quantized = Arc::make_mut(quantized);
            quantized.activation = Some(activation);
            quantized.activation_splits = splits;
        }
        planned
    };
    Plan {
        recipe: plan.recipe.clone(),
        layers: network.layers.iter().zip(&plan.layers).map(replan).collect(),
    }
}

/// What all layers of one plan share.
struct Planning<'a> {
    network: &'a Network,
    activations: Option<&'a Activations>,
    /// `activations` where the recipe corrects biases.
    means: Option<&'a Activations>,
    buffers: Buffers,
}

impl Planning<'_> {
    fn outcome(
        &self,
        layer: &Layer,
        settings: &LayerSettings,
        weights: Result<FloatData, NetworkError>,
        known: Option<QuantizedLayer>,
    ) -> Outcome {
        if let Support::View(why) = &layer.support {
            return Outcome::Float(why.clone());
        }
        if settings.weight_bits.grid().is_none() {
            return Outcome::Float("kept float by the recipe".to_owned());
        }
        let weights = match weights {
            Ok(weights) => weights,
            Err(reason) => return Outcome::Float(reason.to_string()),
        };
        let not_finite = weights.iter().filter(|x| !x.is_finite()).count();
        if not_finite > 0 {
            return Outcome::Float(format!(
                "{not_finite} weights are NaN or infinite: repair them in the source network"
            ));
        }
        let (activation, activation_splits) = match plan_activation(layer, settings, self.activations, outlier_channels)
        {
            Ok(Some((activation, splits))) => (Some(activation), splits),
            Ok(None) => (None, Vec::new()),
            Err(reason) => return Outcome::Float(reason),
        };
        // A layer that cannot be split is quantized all the same.
        let expand_ratio = if layer.support == Support::Split {
            settings.expand_ratio
        } else {
            0.0
        };
        let own = LayerSettings {
            expand_ratio,
            ..*settings
        };
        let quantized = known.unwrap_or_else(|| plan_layer_in(&self.buffers, &weights, &layer.layout, &own));
        let bias = self
            .means
            .and_then(|all| correct(self.network, layer, &weights, &quantized, all));
        Outcome::Quantized(Arc::new(QuantizedLayer {
            activation,
            activation_splits,
            bias,
            ..quantized
        }))
    }
}

/// The corrected bias of a layer, `None` if it stays as it is.
fn correct(
    network: &Network,
    layer: &Layer,
    weights: &[f32],
    quantized: &QuantizedLayer,
    all: &Activations,
) -> Option<Vec<f32>> {
    let seen = layer.input.as_ref().and_then(|(input, _)| all.get(input));
    let means = seen.and_then(ActivationStatistics::channel_means).unwrap_or_default();
    corrected_bias(network, layer, weights, quantized, &means)
        .inspect_err(|why| log::info!("{}: its bias is not corrected: {why}", layer.name))
        .ok()
}

/// The grid that [`plan`] gives to the input of a layer, `None` if it stays float.
///
/// # Errors
/// Why the input cannot be put on a grid.
pub fn plan_input(
    layer: &Layer,
    settings: &LayerSettings,
    activations: &Activations,
) -> Result<Option<ActivationPlan>, String> {
    let chosen = plan_activation(layer, settings, Some(activations), outlier_channels)?;
    Ok(chosen.map(|(plan, _)| plan))
}

/// The grid of the layer's input and the channels whose activation is split; `None` if it stays float.
fn plan_activation(
    layer: &Layer,
    settings: &LayerSettings,
    activations: Option<&Activations>,
    choose: Chooser,
) -> Result<Option<(ActivationPlan, Vec<usize>)>, String> {
    let Some(bits) = settings.activation_bits.grid() else {
        return Ok(None);
    };
    // Recurrent layers have their weights quantized only (as in the paper).
    let Some((input, _)) = layer.input.as_ref().filter(|_| !layer.kind.is_recurrent()) else {
        return Ok(None);
    };
    let Some(seen) = activations.and_then(|all| all.get(input)) else {
        return Err(format!("its input '{input}' was not seen while calibrating"));
    };
    if seen.not_finite > 0 {
        return Err(format!(
            "its input '{input}' held {} NaN or infinite values while calibrating",
            seen.not_finite
        ));
    }
    let (splits, seen) = split_activation(layer, settings, seen, choose);
    let unsigned = settings.unsigned_activations && seen.min >= 0.0;
    let threshold = choose_activation_threshold(&seen, bits, unsigned, settings.activation_clip).threshold;
    let grid = if unsigned {
        Grid::unsigned(bits, threshold)
    } else {
        Grid::symmetric(bits, threshold)
    };
    let plan = ActivationPlan {
        grid,
        threshold,
        source: seen.source,
    };
    Ok(Some((plan, splits)))
}

/// The channels whose activation is split, and what was seen of the input as it is then: the grid follows from that.
fn split_activation<'a>(
    layer: &Layer,
    settings: &LayerSettings,
    seen: &'a ActivationStatistics,
    choose: Chooser,
) -> (Vec<usize>, Cow<'a, ActivationStatistics>) {
    let whole = (Vec::new(), Cow::Borrowed(seen));
    let count = split_count(&layer.layout, settings.activation_expand_ratio);
    if count == 0 || layer.support != Support::Split {
        return whole;
    }
    let splits = choose(seen, &layer.layout, count);
    match splits.and_then(|splits| Some((seen.halving(&splits)?, splits))) {
        Some((halved, splits)) => (splits, Cow::Owned(halved)),
        None => {
            log::info!(
                "{}: its activation is not split: its input channels cannot be told apart",
                layer.name
            );
            whole
        }
    }
}
