//! Settings that were run as a whole, and what is told of the chosen one.

use super::{AutoSubject, InferenceError, Judged};
use crate::inference::{Metrics, Outputs, evaluate, metrics, run_plan};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Bits, Clip, LayerRecipe, Recipe};
use serde::Serialize;

/// How a network with a setting answers some samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Scores {
    /// Samples (images) or tokens (text) that were run.
    pub samples: usize,
    /// Metrics; empty without labels.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Fraction of samples with the same first answer as the float network; see [`crate::inference::Evaluation::agreement`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// Signal to noise of the outputs against the float network, decibels; see [`crate::inference::Evaluation::sqnr_db`].
    pub sqnr_db: Option<f64>,
}

/// A recipe, what it takes and how it answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AutoSetting {
    /// The recipe.
    pub recipe: Recipe,
    /// Bytes of its quantized weights.
    pub bytes: u64,
    /// On the samples that settings were chosen on.
    pub chosen_on: Scores,
    /// On the samples that nothing was chosen on.
    pub judged_on: Scores,
}

/// Where the chosen setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Bits, splits and clips chosen layer by layer.
    Layers,
    /// Splits and clips chosen layer by layer, at the bits of the recipe.
    LayersAtSameBits,
    /// No choice by layers did better on the samples to choose on than the best uniform setting.
    Uniform,
}

/// What was chosen for a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AutoLayer {
    /// Name of the layer.
    pub name: String,
    /// Bits of its weights.
    pub weight_bits: Bits,
    /// Share of its input channels to split.
    pub expand_ratio: f64,
    /// Splits in each of its groups.
    pub splits: usize,
    /// How its threshold is chosen.
    pub clip: Clip,
    /// Bytes of its weights.
    pub bytes: u64,
    /// The same at the recipe's bits without splits.
    pub plain_bytes: u64,
    /// Noise of the outputs with this layer alone quantized, as a share of their power; predicted where it was not measured,
    /// `None` for a uniform setting that is none of the layer's choices.
    pub output_noise: Option<f64>,
}

/// The chosen setting beside those that it must better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AutoResult {
    /// The setting to take.
    pub auto: AutoSetting,
    /// How it was found.
    pub origin: Origin,
    /// Of the settings with the same bits, ratio and clip in all layers that take no more bytes, the one with the least noise on
    /// the samples to choose on.
    pub uniform: AutoSetting,
    /// The recipe's bits without splits or clipping.
    pub plain: AutoSetting,
    /// The float network, on the samples that nothing was chosen on.
    pub float: Metrics,
    /// Bytes that were allowed; those of `auto` where an accuracy was asked for.
    pub budget_bytes: u64,
    /// The layers that are quantized, in the network's order.
    pub layers: Vec<AutoLayer>,
    /// Times that the network was run on the samples to choose on.
    pub runs: usize,
}

impl AutoResult {
    /// By how many decibels the chosen setting's outputs are nearer to the float network's than the uniform setting's, on the
    /// samples that nothing was chosen on. `None` where one of them has no finite SQNR.
    pub fn gain_db(&self) -> Option<f64> {
        let difference = self.auto.judged_on.sqnr_db? - self.uniform.judged_on.sqnr_db?;
        Some(difference).filter(|gain| gain.is_finite())
    }
}

impl Scores {
    fn of(judged: Judged<'_>, outputs: &Outputs) -> Self {
        let evaluation = evaluate(judged.float, outputs, judged.data);
        Self {
            samples: evaluation.samples,
            metrics: evaluation.quantized,
            agreement: evaluation.agreement,
            sqnr_db: evaluation.sqnr_db,
        }
    }

    /// Right answers where there are labels, else answers that are the float network's; a share. `None` where the outputs are no
    /// classes.
    pub fn accuracy(&self) -> Option<f64> {
        self.metrics.top1.or(self.agreement)
    }

    /// Noise as a share of the outputs' power; infinite where it is unknown.
    pub(super) fn noise(&self) -> f64 {
        self.sqnr_db.map_or(f64::INFINITY, |db| 10_f64.powf(-db / 10.0))
    }
}

/// `base` with all layers and all inputs float: what it says of biases and preparation alone is left.
pub(super) fn isolated(network: &Network, base: &Recipe) -> Recipe {
    let mut recipe = Recipe {
        activation_bits: Bits::Float,
        ..base.clone()
    };
    recipe.layers.clear();
    for layer in &network.layers {
        let float = LayerRecipe {
            float: Some(true),
            ..LayerRecipe::default()
        };
        recipe.layers.insert(layer.name.clone(), float);
    }
    recipe
}

/// What the network under `recipe` answers, from the bytes that an export writes.
fn run_recipe(
    subject: &AutoSubject<'_>,
    recipe: &Recipe,
    judged: Judged<'_>,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    let part = progress.part();
    let plan = subject.pipeline().plan(recipe, &part)?;
    run_plan(subject.network, &plan, judged.data, judged.float.range(), &part)
}

impl AutoSetting {
    /// Runs `recipe` on the samples to choose on.
    pub(super) fn try_out(
        subject: &AutoSubject<'_>,
        recipe: Recipe,
        bytes: u64,
        progress: &Progress,
    ) -> Result<Self, InferenceError> {
        let outputs = run_recipe(subject, &recipe, subject.choose, progress)?;
        Ok(Self {
            recipe,
            bytes,
            chosen_on: Scores::of(subject.choose, &outputs),
            judged_on: Scores::default(),
        })
    }

    /// Runs it on the samples that nothing is chosen on.
    pub(super) fn judge(&mut self, subject: &AutoSubject<'_>, progress: &Progress) -> Result<(), InferenceError> {
        let outputs = run_recipe(subject, &self.recipe, subject.judge, progress)?;
        self.judged_on = Scores::of(subject.judge, &outputs);
        Ok(())
    }
}

/// The float network on the samples that nothing is chosen on.
pub(super) fn float_metrics(subject: &AutoSubject<'_>) -> Metrics {
    metrics(subject.judge.float, subject.judge.data)
}
