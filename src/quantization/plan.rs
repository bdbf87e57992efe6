//! A recipe applied to a network: for each layer its splits, its grid and its error.

use super::activation_split::{Chooser, largest_channels, outlier_channels};
use super::bias_correction::{InputMeans, NotCorrected, corrected_bias};
use super::clip::choose_activation_threshold;
use super::int32_bias::{is_below, least_scales};
use super::outputs::{ValueGrids, value_grids};
use super::rounding::{InputMoments, NoMoments};
use super::sequential::{self, MeasuredInput};
use super::shared::first_readers;
use super::weight::{NO_INPUTS, plan_layer_above};
use super::{
    Activations, Buffers, Clip, Codes, FloatLayer, Grid, InputSettings, LayerSettings, PlacedScales, PlannedInputs,
    QuantizationError, Recipe, RecipeError, Rounded, Scales, split_count,
};
use crate::files::{self, Spool};
use crate::network::{Layer, Layout, Network, NetworkError, Support};
use crate::onnx::FloatData;
use crate::progress::Progress;
use crate::statistics::{ActivationStatistics, RangeSource};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

/// The plan for a whole network.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The recipe that it carries out.
    pub recipe: Recipe,
    /// One entry for each layer of the network, in its order.
    pub layers: Vec<LayerPlan>,
    /// Grids of values between layers; empty unless the recipe quantizes outputs.
    pub values: ValueGrids,
}

/// The plan for one layer.
#[derive(Debug, Clone)]
pub struct LayerPlan {
    /// Name of the layer.
    pub name: String,
    /// What holds for it: what was asked for, as far as the layer can do it.
    pub settings: LayerSettings,
    /// What comes of it.
    pub outcome: Outcome,
}

/// What becomes of a layer.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It stays as it is; the reason.
    Float(String),
    /// Its weights stay float, but its input channels are split or its input goes on a grid.
    Expanded(Arc<FloatLayer>),
    /// It goes on a grid.
    Quantized(Arc<QuantizedLayer>),
}

/// A layer on its grid.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedLayer {
    /// The grid of the weights; with more scales than one, that of the largest threshold.
    pub grid: Grid,
    /// The scales of the weights.
    pub scales: Scales,
    /// The code of 0 for each scale, in the order of the scales; empty where the grid is symmetric.
    pub zero_points: Vec<i8>,
    /// How the weights were rounded.
    pub rounding: Rounded,
    /// Clip threshold a of the weights; with more scales than one, the largest.
    pub threshold: f32,
    /// Layout of the expanded weights.
    pub layout: Layout,
    /// Grid indices q of the expanded weights.
    pub values: Codes,
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
    /// Why the bias is not corrected, where the recipe asks for it.
    pub bias_note: Option<String>,
    /// Output channels whose scale is larger than their weights ask for, so that their bias fits in a 32-bit integer.
    pub raised_scales: usize,
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

impl ActivationPlan {
    /// The grid of `bits` for values of which `seen` is known, cut at the threshold that `clip` chooses. An `unsigned` one reaches from
    /// 0 where they are never negative; where they are, it has a zero point and ends at the threshold or, on the side where they do not
    /// reach it, at the last of them.
    pub(super) fn of(seen: &ActivationStatistics, bits: u8, unsigned: bool, clip: Clip) -> Self {
        let never_negative = unsigned && seen.min >= 0.0;
        let threshold = choose_activation_threshold(seen, bits, never_negative, clip).threshold;
        let grid = match (unsigned, never_negative) {
            (true, true) => Grid::unsigned(bits, threshold),
            (true, false) => Grid::asymmetric(bits, seen.min.max(-threshold), seen.max.min(threshold)),
            (false, _) => Grid::symmetric(bits, threshold),
        };
        Self {
            grid,
            threshold,
            source: seen.source,
        }
    }
}

impl LayerPlan {
    /// The quantized layer, if it is one.
    pub fn quantized(&self) -> Option<&QuantizedLayer> {
        match &self.outcome {
            Outcome::Quantized(layer) => Some(layer),
            Outcome::Float(_) | Outcome::Expanded(_) => None,
        }
    }

    /// What becomes of its input; `None` for a layer that stays as it is.
    pub fn inputs(&self) -> Option<PlannedInputs<'_>> {
        match &self.outcome {
            Outcome::Quantized(layer) => Some(layer.as_ref().into()),
            Outcome::Expanded(layer) => Some(layer.as_ref().into()),
            Outcome::Float(_) => None,
        }
    }

    /// The layer without what concerns its input, if its weights were asked the same as by `settings`.
    pub(super) fn with_weights_of(&self, settings: &LayerSettings) -> Option<QuantizedLayer> {
        // Rounding by the layer's inputs is done anew: other inputs may be known by now.
        let same = self.settings.weights == settings.weights && !settings.weights.rounding.needs_moments();
        // Raised scales belong to the grid of the input that they were raised for.
        let quantized = self.quantized().filter(|layer| same && layer.raised_scales == 0)?;
        Some(QuantizedLayer {
            activation: None,
            activation_splits: Vec::new(),
            bias: None,
            bias_note: None,
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
    plan_all(network, recipe, activations, (known, None), progress)
}

/// [`plan`] with the codes of the weights in the file of `spool`, if there is one, and without keeping what was read of the network
/// in memory: for networks larger than it.
///
/// # Errors
/// As [`plan`].
pub fn plan_spooled(
    network: &Network,
    recipe: &Recipe,
    activations: Option<&Activations>,
    spool: Option<&Spool>,
    progress: &Progress,
) -> Result<Plan, QuantizationError> {
    plan_all(network, recipe, activations, (None, spool), progress)
}

/// Weights of a layer that are 64 MiB as floats.
const LARGE_LAYER: usize = 1 << 24;

fn plan_all(
    network: &Network,
    recipe: &Recipe,
    activations: Option<&Activations>,
    (known, spool): (Option<&Plan>, Option<&Spool>),
    progress: &Progress,
) -> Result<Plan, QuantizationError> {
    recipe.check(network)?;
    if let Some(why) = recipe.lacks(activations.is_some()) {
        return Err(RecipeError::Lacks(why).into());
    }
    progress.start(network.layers.len() as u64, "planning layers");
    let planning = Planning {
        network,
        activations,
        means: activations.filter(|_| recipe.bias_correction),
        buffers: Buffers::default(),
        spool,
    };
    let planned = |index: usize, twin: Option<&LayerPlan>| -> Result<LayerPlan, QuantizationError> {
        progress.check()?;
        let layer = &network.layers[index];
        let settings = recipe.effective(network, index);
        let known = known.and_then(|known| known.layers.get(index)?.with_weights_of(&settings));
        let known = known.or_else(|| twin?.with_weights_of(&settings));
        let weights = network.weights(index);
        let outcome = planning.outcome(layer, &settings, weights, known, None);
        progress.advance(1);
        Ok(LayerPlan {
            name: layer.name.clone(),
            settings,
            outcome,
        })
    };
    let samples = activations.and_then(Activations::samples);
    if let Some(samples) = samples.filter(|_| recipe.plans_in_sequence()) {
        let layers = sequential::plan_in_sequence(&planning, recipe, samples, known, progress)?;
        return Ok(Plan {
            recipe: recipe.clone(),
            values: value_grids(network, recipe, &layers, activations),
            layers,
        });
    }
    // Layers that share a weight take over what the first of them made of it.
    let firsts = first_readers(network);
    // Where memory counts, those that take much of it come one after the other.
    let is_large = |index: usize| spool.is_some() && network.layers[index].layout.elements() >= LARGE_LAYER;
    let first = |(index, first): (usize, &usize)| {
        let is_now = index == *first && !is_large(index);
        is_now.then(|| planned(index, None)).transpose()
    };
    let mut unshared: Vec<Option<LayerPlan>> = (firsts.par_iter().enumerate().map(first)).collect::<Result<_, _>>()?;
    for (index, first) in firsts.iter().enumerate() {
        if index == *first && is_large(index) {
            unshared[index] = Some(planned(index, None)?);
        }
    }
    let rest = |(index, first): (usize, &usize)| match &unshared[index] {
        Some(layer) => Ok(layer.clone()),
        None => planned(index, unshared[*first].as_ref()),
    };
    let layers = (firsts.par_iter().enumerate().map(rest)).collect::<Result<Vec<_>, QuantizationError>>()?;
    Ok(Plan {
        recipe: recipe.clone(),
        values: value_grids(network, recipe, &layers, activations),
        layers,
    })
}

/// What [`plan`] gives layer `index` alone; a recipe is tried on one layer without planning all others. It is rounded by the inputs
/// of the float network, as [`Recipe::of_layers_apart`] says.
///
/// # Errors
/// As [`plan`]; [`QuantizationError::Network`] when there is no such layer.
pub fn plan_one(
    network: &Network,
    recipe: &Recipe,
    activations: Option<&Activations>,
    index: usize,
) -> Result<LayerPlan, QuantizationError> {
    recipe.check(network)?;
    if let Some(why) = recipe.lacks(activations.is_some()) {
        return Err(RecipeError::Lacks(why).into());
    }
    let no_layer = || NetworkError::Graph(format!("there is no layer number {index}"));
    let layer = network.layers.get(index).ok_or_else(no_layer)?;
    let planning = Planning {
        network,
        activations,
        means: activations.filter(|_| recipe.bias_correction),
        buffers: Buffers::default(),
        spool: None,
    };
    let settings = recipe.effective(network, index);
    Ok(LayerPlan {
        name: layer.name.clone(),
        outcome: planning.outcome(layer, &settings, network.weights(index), None, None),
        settings,
    })
}

/// `plan` with the grids and splits of the layers' inputs for those samples alone that `activations` was gathered from, the
/// channels with the largest |x| split: Oracle OCS (Zhao et al. 2019), which no exported network can do. A layer
/// whose input was not seen, or was not finite, stays as planned.
pub fn oracle_plan(network: &Network, plan: &Plan, activations: &Activations) -> Plan {
    let replan = |(layer, planned): (&Layer, &LayerPlan)| {
        let mut planned = planned.clone();
        let chosen = plan_activation(layer, &planned.settings.input, Some(activations), largest_channels);
        match (&mut planned.outcome, chosen) {
            (Outcome::Quantized(quantized), Ok(Some((activation, splits)))) => {
                let quantized = Arc::make_mut(quantized);
                quantized.activation = Some(activation);
                quantized.activation_splits = splits;
            }
            (Outcome::Expanded(float), Ok(Some((activation, splits)))) => {
                let float = Arc::make_mut(float);
                float.activation = Some(activation);
                float.activation_splits = splits;
            }
            _ => {}
        }
        planned
    };
    Plan {
        recipe: plan.recipe.clone(),
        layers: network.layers.iter().zip(&plan.layers).map(replan).collect(),
        values: plan.values.clone(),
    }
}

/// What all layers of one plan share.
pub(super) struct Planning<'a> {
    pub(super) network: &'a Network,
    pub(super) activations: Option<&'a Activations>,
    /// `activations` where the recipe corrects biases.
    means: Option<&'a Activations>,
    buffers: Buffers,
    /// Where codes wait until they are written; in memory without.
    spool: Option<&'a Spool>,
}

impl Planning<'_> {
    /// What becomes of a layer; `measured` is what was seen of its input behind quantized layers, else that of the float network
    /// counts.
    pub(super) fn outcome(
        &self,
        layer: &Layer,
        settings: &LayerSettings,
        weights: Result<FloatData, NetworkError>,
        known: Option<QuantizedLayer>,
        measured: Option<&MeasuredInput>,
    ) -> Outcome {
        if let Support::View(why) = &layer.support {
            return Outcome::Float(why.to_string());
        }
        let is_float = settings.weights.bits.grid().is_none();
        if is_float && settings.weights.expand_ratio == 0.0 && settings.input.bits.grid().is_none() {
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
        let (activation, activation_splits) =
            match plan_activation(layer, &settings.input, self.activations, outlier_channels) {
                Ok(Some((activation, splits))) => (Some(activation), splits),
                Ok(None) => (None, Vec::new()),
                Err(reason) => return Outcome::Float(reason.to_string()),
            };
        if is_float {
            let count = split_count(&layer.layout, settings.weights.expand_ratio);
            if count == 0 && activation.is_none() {
                return Outcome::Float("kept float by the recipe".to_owned());
            }
            return Outcome::Expanded(Arc::new(FloatLayer {
                activation,
                activation_splits,
                ..FloatLayer::split(&weights, &layer.layout, count)
            }));
        }
        let inputs: Result<&InputMoments, NoMoments> = match measured.and_then(|measured| measured.moments.as_ref()) {
            Some(moments) => Ok(moments),
            None => self.activations.map_or(NO_INPUTS, |all| all.moments_of(&layer.name)),
        };
        let least = activation.map_or_else(Vec::new, |input| least_scales(self.network, layer, &input));
        let known = known.filter(|known| !is_below(&known.scales, &least));
        let quantized = known.unwrap_or_else(|| {
            let (layout, settings) = (&layer.layout, &settings.weights);
            plan_layer_above(&self.buffers, &weights, layout, settings, inputs, &least)
        });
        if quantized.raised_scales > 0 {
            log::info!("{}: {}", layer.name, raised_text(quantized.raised_scales));
        }
        let corrected = self
            .means
            .map(|all| correct(self.network, layer, &weights, &quantized, all, measured));
        let (bias, bias_note) = match corrected {
            Some(Ok(bias)) => (Some(bias), None),
            Some(Err(why)) => (None, Some(why.to_string())),
            None => (None, None),
        };
        let mut quantized = QuantizedLayer {
            activation,
            activation_splits,
            bias,
            bias_note,
            ..quantized
        };
        if let Some(spool) = self.spool {
            quantized.values = quantized.values.kept_in(spool);
            drop(weights);
            if let Some(stored) = (self.network.tensor(layer).ok()).and_then(|tensor| tensor.raw_data.as_deref()) {
                files::release(stored);
            }
        }
        Outcome::Quantized(Arc::new(quantized))
    }
}

/// Why so many channels have larger scales than their weights ask for.
fn raised_text(channels: usize) -> String {
    format!(
        "the scales of {channels} output channels are raised: their biases would not fit in 32-bit integers beside weights as \
         small as theirs"
    )
}

impl QuantizedLayer {
    /// The scale and the zero point of each of its weights.
    pub fn placed(&self) -> PlacedScales<'_> {
        self.scales.on(&self.layout).with_zero_points(&self.zero_points)
    }

    /// What was done to the layer in another way than asked for, and why.
    pub fn notes(&self) -> Vec<String> {
        let bias = (self.bias_note.as_ref()).map(|why| format!("its bias is not corrected: {why}"));
        let raised = (self.raised_scales > 0).then(|| raised_text(self.raised_scales));
        self.rounding.note.iter().cloned().chain(bias).chain(raised).collect()
    }
}

/// The corrected bias of a layer, or why it stays as it is.
fn correct(
    network: &Network,
    layer: &Layer,
    weights: &[f32],
    quantized: &QuantizedLayer,
    all: &Activations,
    measured: Option<&MeasuredInput>,
) -> Result<Vec<f32>, NotCorrected> {
    let input = layer.input.as_ref().map_or("", |(input, _)| input.as_str());
    let seen = all.get(input);
    // What noise becomes inside of a network is not what pictures or words become there: a correction by it can do more harm than
    // rounding does. What comes in is another matter: noise is made as the network declares its inputs.
    let is_noise = seen.is_some_and(|seen| seen.source == RangeSource::Noise);
    if is_noise && !network.is_input(input) {
        return Err(NotCorrected::Noise);
    }
    // What weights meet at each place of a kernel tells more than the means of channels: beside the border there are zeros.
    let measured = match measured {
        Some(measured) => measured.means.clone(),
        None => all.moments_of(&layer.name).ok().and_then(InputMoments::means),
    };
    let channels = || seen.and_then(ActivationStatistics::channel_means).unwrap_or_default();
    let [float, behind] = measured.unwrap_or_else(|| [channels(), channels()]);
    let means = InputMeans {
        float: &float,
        quantized: &behind,
    };
    corrected_bias(network, layer, weights, quantized, means)
        .inspect_err(|why| log::info!("{}: its bias is not corrected: {why}", layer.name))
}

/// Why the input of a layer cannot be put on a grid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoInputGrid {
    /// Nothing tells its range; the value.
    #[error("its input '{0}' was not seen while calibrating")]
    NotSeen(String),
    /// What was seen has no range.
    #[error("its input '{input}' held {count} NaN or infinite values while calibrating")]
    NotFinite {
        /// The value.
        input: String,
        /// How many of its numbers.
        count: u64,
    },
}

/// The grid that [`plan`] gives to the input of a layer, `None` if it stays float.
///
/// # Errors
/// Why the input cannot be put on a grid.
pub fn plan_input(
    layer: &Layer,
    settings: &InputSettings,
    activations: &Activations,
) -> Result<Option<ActivationPlan>, NoInputGrid> {
    let chosen = plan_activation(layer, settings, Some(activations), outlier_channels)?;
    Ok(chosen.map(|(plan, _)| plan))
}

/// The grid of the layer's input and the channels whose activation is split; `None` if it stays float.
fn plan_activation(
    layer: &Layer,
    settings: &InputSettings,
    activations: Option<&Activations>,
    choose: Chooser,
) -> Result<Option<(ActivationPlan, Vec<usize>)>, NoInputGrid> {
    let Some(bits) = settings.bits.grid() else {
        return Ok(None);
    };
    let Some((input, _)) = layer.input.as_ref() else {
        return Ok(None);
    };
    let Some(seen) = activations.and_then(|all| all.get(input)) else {
        return Err(NoInputGrid::NotSeen(input.clone()));
    };
    if seen.not_finite > 0 {
        return Err(NoInputGrid::NotFinite {
            input: input.clone(),
            count: seen.not_finite,
        });
    }
    let (splits, seen) = split_activation(layer, settings, seen, choose);
    let plan = ActivationPlan::of(&seen, bits, settings.unsigned, settings.clip);
    Ok(Some((plan, splits)))
}

/// The channels whose activation is split, and what was seen of the input as it is then: the grid follows from that.
fn split_activation<'a>(
    layer: &Layer,
    settings: &InputSettings,
    seen: &'a ActivationStatistics,
    choose: Chooser,
) -> (Vec<usize>, Cow<'a, ActivationStatistics>) {
    let whole = (Vec::new(), Cow::Borrowed(seen));
    let count = split_count(&layer.layout, settings.expand_ratio);
    if count == 0 {
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
