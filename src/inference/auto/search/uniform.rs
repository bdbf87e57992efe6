//! The uniform settings that a choice by layers must beat: the same bits, ratio, clip, scales and rounding for every layer.

use super::Search;
use crate::inference::InferenceError;
use crate::inference::auto::cost::Stored;
use crate::inference::auto::noise::LayerNoise;
use crate::inference::auto::runs::{RunLog, RunSamples};
use crate::inference::auto::settings::AutoSetting;
use crate::inference::auto::{Judged, Scores};
use crate::inference::{Dataset, Detections, Outputs};
use crate::network::Support;
use crate::progress::Progress;
use crate::quantization::{Bits, Granularity, Recipe, Rounding, split_count};

/// A uniform expand ratio is a multiple of this.
const RATIO_STEP: f64 = 0.001;

/// Bits of uniform settings that are tried: the most that the budget allows, and one less.
const UNIFORM_BITS: usize = 2;

/// Samples that all uniform settings are run on; the best of them are run on all to choose on. The noise of the outputs, by which
/// they are compared, is known to a fraction of a decibel from as many.
const SCREENED_ON: usize = 64;
/// Settings that are run on all samples to choose on, and on those to judge by.
const SURVIVORS: usize = 16;
/// Settings without splits, which take the least time, that are run beyond those where a latency is asked for.
const UNSPLIT: usize = 4;
/// Settings with another rounding that are tried with GPTQ too, which takes long to plan.
const WITH_GPTQ: usize = 6;

/// Of the best uniform settings, those that are planned layer by layer too where the recipe asks for that.
const IN_SEQUENCE: usize = 2;

/// Bits, what has a scale of its own, and whether each scale has a zero point: with the splits, what bytes depend on.
type Kind = (u8, Granularity, bool);

/// The first samples to choose on, and what the float network answers on them.
pub(super) struct Screen(Outputs);

impl Screen {
    /// `None` where there are not many more, or where samples are steps of a text, which come in streams.
    fn of(choose: Judged<'_>) -> Option<Self> {
        let float = choose.float;
        if choose.data.is_text() || float.samples < 2 * SCREENED_ON || !float.tokens.is_empty() {
            return None;
        }
        let logits = float.logits.get(..SCREENED_ON * float.classes)?.to_vec();
        let detections = match &float.detections {
            Some(Detections::Found(all)) => Some(Detections::Found(all.get(..SCREENED_ON)?.to_vec())),
            other => other.clone(),
        };
        Some(Self(Outputs {
            samples: SCREENED_ON,
            logits,
            ..Outputs {
                first: float.first,
                classes: float.classes,
                classification: float.classification,
                detections,
                ..Outputs::default()
            }
        }))
    }

    fn judged<'a>(&'a self, data: &'a Dataset) -> Judged<'a> {
        Judged { data, float: &self.0 }
    }
}

/// The uniform settings that were run on all samples to choose on, the one with the least noise first.
pub(super) struct Uniforms {
    pub(super) best_first: Vec<AutoSetting>,
    pub(super) tried: usize,
}

impl Search<'_> {
    /// The uniform settings within `budget`, but those whose rounding takes long to plan.
    pub(super) fn uniform_settings(&self, budget: u64) -> Vec<AutoSetting> {
        let quick: Vec<Rounding> = (self.options.roundings.iter().copied())
            .filter(|rounding| !rounding.needs_moments())
            .collect();
        let roundings = if quick.is_empty() {
            &self.options.roundings
        } else {
            &quick
        };
        let mut biases = vec![self.base.bias_correction];
        if self.options.try_bias_correction && self.subject.activations.is_some() {
            biases.push(true);
        }
        biases.dedup();
        let mut settings = Vec::new();
        let kinds = (self.options.scales.iter())
            .flat_map(|scales| self.options.zero_points.iter().map(move |has| (*scales, *has)));
        for (scales, weight_zero_points) in kinds {
            for bits in self.fitting_bits((scales, weight_zero_points), budget) {
                let of = (bits, scales, weight_zero_points);
                let mut ratios = vec![0.0, self.largest_ratio(of, budget)];
                ratios.dedup();
                for expand_ratio in ratios {
                    let bytes = self.uniform_bytes(of, expand_ratio);
                    for &clip in &self.options.clips {
                        // Those that differ in the bias alone stand together and share their weights.
                        for &rounding in roundings {
                            settings.extend(biases.iter().map(|&bias_correction| {
                                let recipe = Recipe {
                                    weight_bits: Bits::Grid(bits),
                                    expand_ratio,
                                    clip,
                                    scales,
                                    weight_zero_points,
                                    rounding,
                                    bias_correction,
                                    ..self.base.clone()
                                };
                                AutoSetting::new(recipe, bytes)
                            }));
                        }
                    }
                }
            }
        }
        settings
    }

    /// The bits whose plain network is within `budget`, the largest two of them; the fewest bits where none are.
    fn fitting_bits(&self, (scales, zero_points): (Granularity, bool), budget: u64) -> Vec<u8> {
        let mut bits: Vec<u8> = self.options.bits.clone();
        bits.push(self.base_bits);
        bits.sort_unstable();
        bits.dedup();
        let mut fitting: Vec<u8> = (bits.iter().copied())
            .filter(|bits| self.uniform_bytes((*bits, scales, zero_points), 0.0) <= budget)
            .collect();
        let smallest = (self.options.scales.first(), self.options.zero_points.first());
        if fitting.is_empty() && smallest == (Some(&scales), Some(&zero_points)) {
            fitting.extend(bits.first());
        }
        let left_out = fitting.len().saturating_sub(UNIFORM_BITS);
        fitting.drain(..left_out);
        fitting.reverse();
        fitting
    }

    /// Runs the uniform settings within `budget` on the first samples, the best of them on all to choose on.
    pub(super) fn uniform(
        &mut self,
        budget: u64,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<Uniforms, InferenceError> {
        let settings = self.uniform_settings(budget);
        let mut scored = self.screen(settings, log, progress)?;
        let slow: Vec<Rounding> = (self.options.roundings.iter().copied())
            .filter(|rounding| rounding.needs_moments())
            .collect();
        if scored
            .iter()
            .any(|(_, setting)| !setting.recipe.rounding.needs_moments())
            && !slow.is_empty()
        {
            let mut bases: Vec<AutoSetting> = Vec::new();
            for (_, setting) in &scored {
                let with = |rounding: Rounding| Recipe {
                    rounding,
                    ..setting.recipe.clone()
                };
                let of = |rounding: &Rounding| AutoSetting::new(with(*rounding), setting.bytes);
                let new: Vec<AutoSetting> = slow.iter().map(of).filter(|setting| !bases.contains(setting)).collect();
                bases.extend(new);
                if bases.len() >= WITH_GPTQ * slow.len() {
                    break;
                }
            }
            scored.extend(self.screen(bases, log, progress)?);
            scored.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let tried = scored.len();
        let mut best_first: Vec<AutoSetting> = scored.into_iter().map(|(_, setting)| setting).collect();
        let others = best_first.split_off(SURVIVORS.min(best_first.len()));
        if self.watch.is_some() {
            let unsplit = others.into_iter().filter(|setting| setting.recipe.expand_ratio == 0.0);
            best_first.extend(unsplit.take(UNSPLIT));
        }
        progress.start(best_first.len() as u64, "Trying the best uniform settings");
        for setting in &mut best_first {
            progress.check()?;
            self.runs += 1;
            setting.try_out(self.subject, log, progress)?;
            progress.advance(1);
        }
        best_first.sort_by(|a, b| a.chosen_on.noise().total_cmp(&b.chosen_on.noise()));
        let first: Vec<AutoSetting> = best_first.iter().take(IN_SEQUENCE).cloned().collect();
        for setting in first {
            best_first.extend(self.in_sequence(&setting, log, progress)?);
        }
        best_first.sort_by(|a, b| a.chosen_on.noise().total_cmp(&b.chosen_on.noise()));
        if best_first.is_empty() {
            return Err(InferenceError::OutOfReach(
                "no uniform setting could be tried".to_owned(),
            ));
        }
        Ok(Uniforms { best_first, tried })
    }

    /// The settings with the noise that they make on the first samples, the least first.
    pub(super) fn screen(
        &mut self,
        settings: Vec<AutoSetting>,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<Vec<(f64, AutoSetting)>, InferenceError> {
        let choose = self.subject.choose;
        let screen = Screen::of(choose);
        progress.start(settings.len() as u64, "Trying uniform settings");
        let mut newest = None;
        let mut scored = Vec::with_capacity(settings.len());
        for setting in settings {
            progress.check()?;
            self.runs += 1;
            let on = match &screen {
                Some(screen) => (RunSamples::Screen, screen.judged(choose.data)),
                None => (RunSamples::Choose, choose),
            };
            let scores: Scores = setting.scores(self.subject, on, log, &mut newest, progress)?;
            scored.push((scores.noise(), setting));
            progress.advance(1);
        }
        scored.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(scored)
    }

    /// Of `uniforms` the best on the samples to judge by.
    pub(super) fn best_uniform(
        &self,
        uniforms: Vec<AutoSetting>,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<Option<AutoSetting>, InferenceError> {
        let mut best: Option<AutoSetting> = None;
        for mut setting in uniforms {
            progress.check()?;
            setting.judge(self.subject, log, progress)?;
            if best.as_ref().is_none_or(|best| setting.compare(best).is_lt()) {
                best = Some(setting);
            }
        }
        Ok(best)
    }

    fn uniform_bytes(&self, (bits, scales, weight_zero_points): Kind, expand_ratio: f64) -> u64 {
        let network = self.subject.network;
        let uniform = Recipe {
            scales,
            weight_zero_points,
            ..self.base.clone()
        };
        let stored = |layer: usize| Stored {
            bits,
            splits: self.uniform_splits(layer, expand_ratio),
            scales: uniform.effective(network, layer).weights.scales,
            zero_points: uniform.effective(network, layer).weights.zero_points,
        };
        let layers = self.noises.iter().map(LayerNoise::layer);
        let chosen: Vec<(usize, Stored)> = layers.map(|layer| (layer, stored(layer))).collect();
        self.cost.total(&chosen)
    }

    pub(super) fn uniform_splits(&self, layer: usize, expand_ratio: f64) -> usize {
        let layer = &self.subject.network.layers[layer];
        match layer.support {
            Support::Split => split_count(&layer.layout, expand_ratio),
            _ => 0,
        }
    }

    /// The largest ratio that keeps a uniform setting within `budget`.
    fn largest_ratio(&self, of: Kind, budget: u64) -> f64 {
        let ratio = |steps: u32| f64::from(steps) * RATIO_STEP;
        let (mut fits, mut beyond) = (0, (1.0 / RATIO_STEP) as u32 + 1);
        while beyond - fits > 1 {
            let middle = fits + (beyond - fits) / 2;
            if self.uniform_bytes(of, ratio(middle)) <= budget {
                fits = middle;
            } else {
                beyond = middle;
            }
        }
        ratio(fits)
    }
}
