//! Why a layer hurts and what mends it: a named cause, and fixes that were run before they are proposed.
//!
//! A fix changes the settings of one layer. It is judged as layers are ranked ([`super::sensitivity`]): the network runs with only
//! this layer quantized, once as the recipe says and once with the fix, on the same samples. What it wins is told in decibels of
//! the outputs (and in points of accuracy or perplexity, where the data tell them), what it costs in bytes.

mod cause;
mod fix;
mod mend;

pub use cause::{Cause, NetworkEnd};
pub use fix::Fix;
pub use mend::{ChosenFix, Mended, mend, worst_layers};

use super::incremental::{Incremental, Signature};
use super::sensitivity::{LayerSensitivity, all_float, run_alone};
use super::sweep::SweepSubject;
use super::{Dataset, InferenceError};
use crate::progress::Progress;
use crate::quantization::{
    self, Bits, LayerPlan, LayerRecipe, Outcome, Plan, QuantizedLayer, Recipe, plan_one, rewrite, weight_bytes,
};
use cause::Evidence;
use serde::Serialize;
use std::sync::Arc;

/// What is wrong with one layer and what was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cure {
    /// The network with only this layer quantized, as the recipe says.
    #[serde(flatten)]
    pub before: LayerSensitivity,
    /// Why it hurts, the main cause first; at least one.
    pub causes: Vec<Cause>,
    /// Share of its weights that are on the three innermost values of the grid.
    pub share_of_three: f64,
    /// What was tried, in the order of bytes that it costs.
    pub fixes: Vec<TriedFix>,
    /// Position of the fix to take: the cheapest of those that come near the best.
    pub recommended: Option<usize>,
}

/// A fix that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriedFix {
    /// What is changed.
    pub fixes: Vec<Fix>,
    /// The same for a person.
    pub text: String,
    /// The layer's exceptions with the fix.
    pub settings: LayerRecipe,
    /// Output SQNR with only this layer quantized, decibels; infinite for a layer that stays float (null in JSON).
    pub sqnr_db: f64,
    /// What that is more than without the fix, decibels.
    pub gain_db: f64,
    /// Points of top-1 accuracy that it wins, where there are labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points_won: Option<f64>,
    /// Perplexity that it takes away, of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity_won: Option<f64>,
    /// Bytes that the quantized network grows by.
    pub bytes_added: i64,
}

impl TriedFix {
    /// Power of the error that the layer makes with the fix, as a share of the outputs' power.
    pub fn noise(&self) -> f64 {
        10_f64.powf(-self.sqnr_db / 10.0)
    }

    /// Whether it takes a part of the layer off its grid, which is the last resort.
    pub fn leaves_float(&self) -> bool {
        self.fixes.iter().any(|fix| fix.leaves_float())
    }
}

impl Cure {
    /// The fix to take, if any helps.
    pub fn best(&self) -> Option<&TriedFix> {
        self.fixes.get(self.recommended?)
    }
}

/// Looks at the layers of one network under one recipe: what they share is computed once.
pub struct Examination<'a> {
    subject: &'a SweepSubject<'a>,
    /// With each layer planned by itself, as it is looked at.
    recipe: Recipe,
    whole: Plan,
    float: Plan,
    float_signature: Signature,
    kept: Incremental<&'a Dataset>,
    /// Of the quantized network.
    bytes: u64,
}

impl<'a> Examination<'a> {
    /// Plans the recipe.
    ///
    /// # Errors
    /// [`InferenceError`] of recipe or graph, or `Cancelled`.
    pub fn new(subject: &'a SweepSubject<'a>, recipe: &'a Recipe, progress: &Progress) -> Result<Self, InferenceError> {
        let recipe = recipe.of_layers_apart();
        let whole = quantization::plan(subject.network, &recipe, subject.activations, &progress.part())?;
        let float = all_float(&whole);
        Ok(Self {
            float_signature: Signature::of(&rewrite(subject.network, &float)?),
            kept: Incremental::new(subject.data, Incremental::<&Dataset>::MOST_BYTES),
            bytes: bytes(subject, &whole),
            subject,
            recipe,
            whole,
            float,
        })
    }

    /// Bytes of the quantized network under the recipe.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Every layer with only it quantized, as [`super::sensitivity`] gives them.
    ///
    /// # Errors
    /// [`InferenceError`] of graph, engine or data, or `Cancelled`.
    pub fn layers(&self, progress: &Progress) -> Result<Vec<LayerSensitivity>, InferenceError> {
        progress.start(self.whole.layers.len() as u64, "Quantizing one layer at a time");
        let mut rows = Vec::new();
        for (place, planned) in self.whole.layers.iter().enumerate() {
            progress.check()?;
            progress.stage_is(format!("Only {}", planned.name));
            rows.extend(self.alone(place, planned, progress)?);
            progress.advance(1);
        }
        Ok(rows)
    }

    /// The cause of a layer's error and what each fix does about it; `None` for a layer that the recipe leaves float.
    ///
    /// # Errors
    /// [`InferenceError`] of graph, engine or data, or `Cancelled`.
    pub fn cure(&self, layer: usize, progress: &Progress) -> Result<Option<Cure>, InferenceError> {
        let Some(planned) = self.whole.layers.get(layer) else {
            return Ok(None);
        };
        let Some(quantized) = planned.quantized() else {
            return Ok(None);
        };
        progress.start(1, format!("Looking at {}", planned.name));
        let Some(before) = self.alone(layer, planned, progress)? else {
            return Ok(None);
        };
        let input_share = self.input_share(layer, planned, quantized, &before, progress)?;
        let weights = (self.subject.network.weights(layer)).map_err(|error| InferenceError::Data(error.to_string()))?;
        let evidence = Evidence {
            network: self.subject.network,
            layer,
            planned,
            quantized,
            weights: &weights,
            seen: self.seen(layer),
            input_share,
        };
        let causes = evidence.causes();
        let layout = &self.subject.network.layers[layer];
        let candidates = Fix::candidates(layout, &planned.settings, halvings(&causes));
        let mut fixes = Vec::with_capacity(candidates.len());
        self.try_all(layer, candidates, &before, &mut fixes, progress)?;
        let target = target_gain(&weights, quantized);
        if let Some(base) =
            best_without_bits(&fixes).filter(|base| fixes[*base].gain_db.is_nan() || fixes[*base].gain_db < target)
        {
            let further = Fix::further(&fixes[base].fixes, layout, &planned.settings);
            self.try_all(layer, further, &before, &mut fixes, progress)?;
        }
        fixes.sort_by_key(|tried| tried.bytes_added);
        Ok(Some(Cure {
            share_of_three: evidence.share_of_three(),
            recommended: recommended(&fixes, target),
            before,
            causes,
            fixes,
        }))
    }

    fn try_all(
        &self,
        layer: usize,
        candidates: Vec<Vec<Fix>>,
        before: &LayerSensitivity,
        tried: &mut Vec<TriedFix>,
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        progress.start(candidates.len() as u64, format!("Trying fixes of {}", before.name));
        for fixes in candidates {
            progress.check()?;
            tried.push(self.try_fix(layer, fixes, before, progress)?);
            progress.advance(1);
        }
        Ok(())
    }

    fn try_fix(
        &self,
        layer: usize,
        fixes: Vec<Fix>,
        before: &LayerSensitivity,
        progress: &Progress,
    ) -> Result<TriedFix, InferenceError> {
        let mut recipe = self.recipe.clone();
        let own = recipe.layers.entry(before.name.clone()).or_default();
        fixes.iter().for_each(|fix| fix.apply(own));
        let settings = own.clone();
        let planned = plan_one(self.subject.network, &recipe, self.subject.activations, layer)?;
        let mut whole = self.whole.clone();
        whole.layers[layer] = planned;
        let after = self.alone(layer, &whole.layers[layer], progress)?;
        // A layer that stays float makes no error.
        let lost = |of: fn(&LayerSensitivity) -> Option<f64>| Some(of(before)? - after.as_ref().map_or(Some(0.0), of)?);
        let sqnr_db = after.as_ref().map_or(f64::INFINITY, output_db);
        Ok(TriedFix {
            text: fixes.iter().map(Fix::to_string).collect::<Vec<_>>().join(" + "),
            fixes,
            settings,
            sqnr_db,
            gain_db: sqnr_db - output_db(before),
            points_won: lost(|row| row.points_lost),
            perplexity_won: lost(|row| row.perplexity_added),
            bytes_added: signed(bytes(self.subject, &whole)) - signed(self.bytes),
        })
    }

    /// The network with only this layer quantized; `None` if it is not.
    fn alone(
        &self,
        layer: usize,
        planned: &LayerPlan,
        progress: &Progress,
    ) -> Result<Option<LayerSensitivity>, InferenceError> {
        let float = (&self.float, &self.float_signature);
        run_alone(self.subject, float, (layer, planned), &self.kept, &progress.part())
    }

    /// Share of the layer's noise in the outputs that the grid of its input makes.
    fn input_share(
        &self,
        layer: usize,
        planned: &LayerPlan,
        quantized: &QuantizedLayer,
        before: &LayerSensitivity,
        progress: &Progress,
    ) -> Result<f64, InferenceError> {
        if quantized.activation.is_none() {
            return Ok(0.0);
        }
        let weights_only = QuantizedLayer {
            activation: None,
            activation_splits: Vec::new(),
            ..quantized.clone()
        };
        let planned = LayerPlan {
            outcome: Outcome::Quantized(Arc::new(weights_only)),
            ..planned.clone()
        };
        let Some(without) = self.alone(layer, &planned, progress)? else {
            return Ok(0.0);
        };
        let (both, weights) = (power(output_db(before)), power(output_db(&without)));
        Ok(if both > 0.0 {
            (1.0 - weights / both).clamp(0.0, 1.0)
        } else {
            0.0
        })
    }

    fn seen(&self, layer: usize) -> Option<&crate::statistics::ActivationStatistics> {
        let (input, _) = self.subject.network.layers[layer].input.as_ref()?;
        self.subject.activations?.get(input)
    }
}

/// Bytes of all parameters as an export stores them, scales included.
fn bytes(subject: &SweepSubject<'_>, plan: &Plan) -> u64 {
    weight_bytes(subject.network, plan)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// SQNR of the outputs; infinite where they have no error.
fn output_db(row: &LayerSensitivity) -> f64 {
    row.sqnr_db.unwrap_or(f64::INFINITY)
}

/// The power of an error that many decibels below the signal.
fn power(db: f64) -> f64 {
    10_f64.powf(-db / 10.0)
}

/// How often the outlier channels must be split until none is wider than the rest: a channel that is r times as wide as the others
/// becomes `ceil(r)` of them.
fn halvings(causes: &[Cause]) -> usize {
    let of = |cause: &Cause| match cause {
        Cause::OutlierChannel { channels, ratio } => {
            Some(channels.len().saturating_mul((ratio.ceil() as usize).saturating_sub(1)))
        }
        _ => None,
    };
    causes.iter().find_map(of).unwrap_or(0)
}

/// A fix that wins no more is not worth a setting of its own.
const MIN_GAIN_DB: f64 = 1.0;
/// Fixes this near to the best one do as well.
const NEAR_DB: f64 = 2.0;
/// SQNR of Gaussian weights on a grid of 2 to 8 bits with the threshold of least error, decibels; by numerical integration with
/// the thresholds of `docs/method.md`.
const GAUSSIAN_DB: [f64; 7] = [7.2, 13.3, 18.9, 24.3, 29.7, 35.1, 40.5];

/// What a fix must win for the layer to have no more error than its weights would have without outliers: Gaussian weights of the
/// deviation that their median tells, decibels.
fn target_gain(weights: &[f32], quantized: &QuantizedLayer) -> f64 {
    let place = usize::from(quantized.grid.bits.saturating_sub(Bits::MIN));
    let mut magnitudes: Vec<f32> = weights.iter().map(|weight| weight.abs()).collect();
    let middle = magnitudes.len() / 2;
    if magnitudes.is_empty() {
        return 0.0;
    }
    let (_, median, _) = magnitudes.select_nth_unstable_by(middle, f32::total_cmp);
    // Half of a Gaussian lies within 0.6745 deviations.
    let variance = (f64::from(*median) / 0.6745).powi(2);
    let error = 10.0 * (quantized.mse / variance).log10();
    GAUSSIAN_DB.get(place).map_or(0.0, |healthy| healthy + error)
}

/// The fix that wins most of those that keep bits and grids.
fn best_without_bits(fixes: &[TriedFix]) -> Option<usize> {
    let keeps = |tried: &TriedFix| {
        let bits = |fix: &Fix| matches!(fix, Fix::MoreBits { .. } | Fix::InputBits { .. });
        !tried.leaves_float() && !tried.fixes.iter().any(bits)
    };
    let of = (0..fixes.len()).filter(|place| keeps(&fixes[*place]) && fixes[*place].gain_db >= MIN_GAIN_DB);
    of.max_by(|one, other| fixes[*one].gain_db.total_cmp(&fixes[*other].gain_db))
}

/// The cheapest of the fixes that mend the layer (win `target`, or nearly as much as the best) and leave it on its grids; where no
/// other helps, its input stays float, or all of it. `fixes` stand in the order of their bytes.
fn recommended(fixes: &[TriedFix], target: f64) -> Option<usize> {
    let on_grid = |tried: &TriedFix| !tried.leaves_float();
    let best = fixes.iter().filter(|tried| on_grid(tried)).map(|tried| tried.gain_db);
    let best = best.fold(f64::NEG_INFINITY, f64::max);
    let only_float = best < MIN_GAIN_DB;
    let enough = if only_float {
        MIN_GAIN_DB
    } else {
        target.min(best - NEAR_DB).max(MIN_GAIN_DB)
    };
    let near = |tried: &TriedFix| tried.gain_db >= enough && (only_float || on_grid(tried));
    let near: Vec<usize> = (0..fixes.len()).filter(|place| near(&fixes[*place])).collect();
    let cheapest = near.iter().map(|place| fixes[*place].bytes_added).min()?;
    let choice = near.into_iter().filter(|place| fixes[*place].bytes_added == cheapest);
    choice.max_by(|one, other| fixes[*one].gain_db.total_cmp(&fixes[*other].gain_db))
}
