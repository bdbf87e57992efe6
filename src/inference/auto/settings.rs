//! Settings that were run as a whole, and what is told of the chosen one.

use super::runs::{RunKey, RunLog, RunSamples};
use super::target::LatencyLimit;
use super::{AutoSubject, Goal, InferenceError, Judged};
use crate::inference::sweep::RowLatency;
use crate::inference::{Metrics, Outputs, Score, evaluate, metrics, run_plan};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Bits, Clip, Granularity, LayerRecipe, Plan, Recipe, Rounding};
use serde::Serialize;
use std::cmp::Ordering;

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
    /// On the samples to judge by.
    pub judged_on: Scores,
    /// How long a run takes, where a latency was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<RowLatency>,
    /// Why it was not timed, though a latency was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_timed: Option<String>,
}

/// Where the chosen setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Bits, splits, clips, scales and rounding chosen layer by layer.
    Layers,
    /// All but the bits chosen layer by layer, at the bits of the recipe.
    LayersAtSameBits,
    /// No choice by layers did better on the samples to judge by than the best uniform setting.
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
    /// What has a scale of its own.
    pub scales: Granularity,
    /// How its weights are rounded.
    pub rounding: Rounding,
    /// Whether its scales have zero points.
    pub zero_points: bool,
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
    /// Of the settings that are the same in all layers and take no more bytes, the one that does best on the samples to judge by.
    pub uniform: AutoSetting,
    /// How many uniform settings were run.
    pub uniform_tried: usize,
    /// The recipe's bits without splits or clipping.
    pub plain: AutoSetting,
    /// The float network, on the samples to judge by.
    pub float: Metrics,
    /// Bytes that were allowed; those of `auto` where an accuracy was asked for.
    pub budget_bytes: u64,
    /// The accuracy that was asked for, a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_accuracy: Option<f64>,
    /// How long a run was allowed to take, where a latency was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyLimit>,
    /// The layers that are quantized, in the network's order.
    pub layers: Vec<AutoLayer>,
    /// Times that the network was run on the samples to choose on.
    pub runs: usize,
}

impl AutoResult {
    /// This result, or that of a search for the same `goal` on the network prepared otherwise: of budgets the one that does better on
    /// the samples to judge by, of accuracies the one with fewer bytes; of equal ones this.
    #[must_use]
    pub fn or_better(self, other: Self, goal: Goal) -> Self {
        let order = match goal {
            Goal::Budget(_) => other.auto.compare(&self.auto),
            Goal::Accuracy(_) => (other.auto.bytes.cmp(&self.auto.bytes)).then_with(|| other.auto.compare(&self.auto)),
        };
        let runs = self.runs + other.runs;
        let better = if order.is_lt() { other } else { self };
        Self { runs, ..better }
    }

    /// Whether the accuracy that was asked for is reached, where it was chosen and where it is judged: a sentence for a person. `None`
    /// where none was asked for.
    pub fn target_note(&self) -> Option<String> {
        let asked = self.target_accuracy?;
        let (chosen, judged) = (self.auto.chosen_on.accuracy()?, self.auto.judged_on.accuracy()?);
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let missed = if judged < asked {
            ", which is less: nothing was chosen on these; ask for more, or choose on more samples"
        } else {
            ""
        };
        Some(format!(
            "asked for {}: {} on the samples to choose on, {} on those to judge by{missed}",
            percent(asked),
            percent(chosen),
            percent(judged)
        ))
    }

    /// By how many decibels the chosen setting's outputs are nearer to the float network's than the uniform setting's, on the
    /// samples to judge by. `None` where one of them has no finite SQNR.
    pub fn gain_db(&self) -> Option<f64> {
        let difference = self.auto.judged_on.sqnr_db? - self.uniform.judged_on.sqnr_db?;
        Some(difference).filter(|gain| gain.is_finite())
    }
}

impl Scores {
    pub(super) fn of(judged: Judged<'_>, outputs: &Outputs) -> Self {
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

    /// Samples to judge by decide between settings from so many on; of fewer, those to choose on tell more.
    const ENOUGH: usize = 100;

    /// The better first: by what the labels or the text tell, equal ones (and all without labels) by the noise.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let score = Score::of_metrics(&self.metrics);
        let by_labels = match (score.of(&self.metrics), score.of(&other.metrics)) {
            (Some(one), Some(other)) if score.better(one, other) => Ordering::Less,
            (Some(one), Some(other)) if score.better(other, one) => Ordering::Greater,
            _ => Ordering::Equal,
        };
        by_labels.then(self.noise().total_cmp(&other.noise()))
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

/// What the network under `recipe` answers, from the bytes that an export writes. Weights that the `newest` plan has are taken
/// from it.
fn run_recipe(
    subject: &AutoSubject<'_>,
    recipe: &Recipe,
    judged: Judged<'_>,
    newest: &mut Option<Plan>,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    let part = progress.part();
    let plan = subject.pipeline().replan(recipe, newest.as_ref(), &part)?;
    let outputs = run_plan(subject.network, &plan, judged.data, judged.float.range(), &part);
    *newest = Some(plan);
    outputs
}

impl AutoSetting {
    /// The better first: by the samples to judge by, or by the noise on those to choose on where those are too few.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        if self.judged_on.samples < Scores::ENOUGH {
            return self.chosen_on.noise().total_cmp(&other.chosen_on.noise());
        }
        self.judged_on.compare(&other.judged_on)
    }

    /// A setting that was not run yet.
    pub(super) fn new(recipe: Recipe, bytes: u64) -> Self {
        Self {
            recipe,
            bytes,
            chosen_on: Scores::default(),
            judged_on: Scores::default(),
            latency: None,
            not_timed: None,
        }
    }

    /// Runs it on the samples to choose on.
    pub(super) fn try_out(
        &mut self,
        subject: &AutoSubject<'_>,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        self.chosen_on = self.scores(subject, (RunSamples::Choose, subject.choose), log, &mut None, progress)?;
        Ok(())
    }

    /// Runs it on the samples to judge by.
    pub(super) fn judge(
        &mut self,
        subject: &AutoSubject<'_>,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        self.judged_on = self.scores(subject, (RunSamples::Judge, subject.judge), log, &mut None, progress)?;
        Ok(())
    }

    /// What it answers on some samples; a uniform setting is not run again.
    pub(super) fn scores(
        &self,
        subject: &AutoSubject<'_>,
        (on, judged): (RunSamples, Judged<'_>),
        log: &mut RunLog,
        newest: &mut Option<Plan>,
        progress: &Progress,
    ) -> Result<Scores, InferenceError> {
        let key = uniform_key(&self.recipe, on);
        if let Some(known) = key.as_ref().and_then(|key| log.known(key)) {
            return Ok(known.clone());
        }
        let outputs = run_recipe(subject, &self.recipe, judged, newest, progress)?;
        let scores = Scores::of(judged, &outputs);
        if let Some(key) = key {
            log.take(&key, scores.clone())?;
        }
        Ok(scores)
    }
}

/// What a run of `recipe` is called; `None` where layers have settings of their own or depend on those before them.
fn uniform_key(recipe: &Recipe, on: RunSamples) -> Option<RunKey> {
    let bits = recipe.weight_bits.grid()?;
    let is_uniform = recipe.layers == recipe.uniform().layers && !recipe.sequential;
    is_uniform.then_some(RunKey {
        on,
        layer: None,
        bits,
        expand_ratio: recipe.expand_ratio,
        clip: recipe.clip,
        scales: recipe.scales,
        rounding: recipe.rounding,
        zero_points: recipe.weight_zero_points,
        bias_correction: recipe.bias_correction,
    })
}

/// The float network on the samples to judge by.
pub(super) fn float_metrics(subject: &AutoSubject<'_>) -> Metrics {
    metrics(subject.judge.float, subject.judge.data)
}
