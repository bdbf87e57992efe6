//! The uniform settings that a choice by layers must beat: the same bits, ratio and clip for every layer.

use super::Search;
use crate::inference::InferenceError;
use crate::inference::auto::settings::AutoSetting;
use crate::network::Support;
use crate::progress::Progress;
use crate::quantization::{Bits, Recipe, split_count};

/// A uniform expand ratio is a multiple of this.
const RATIO_STEP: f64 = 0.001;

/// Bits of uniform settings that are tried: the most that the budget allows, and one less.
const UNIFORM_BITS: usize = 2;

impl Search<'_> {
    /// Of the uniform settings within `budget` the one with the least noise.
    pub(super) fn uniform(&mut self, budget: u64, progress: &Progress) -> Result<AutoSetting, InferenceError> {
        let mut bits: Vec<u8> = self.options.bits.clone();
        bits.push(self.base_bits);
        bits.sort_unstable();
        bits.dedup();
        let mut fitting: Vec<u8> = (bits.iter().copied())
            .filter(|bits| self.uniform_bytes(*bits, 0.0) <= budget)
            .collect();
        if fitting.is_empty() {
            fitting.extend(bits.first());
        }
        let tried = fitting.len().saturating_sub(UNIFORM_BITS);
        let mut recipes: Vec<(Recipe, u64)> = Vec::new();
        for &bits in fitting[tried..].iter().rev() {
            let mut ratios = vec![0.0, self.largest_ratio(bits, budget)];
            ratios.dedup();
            for expand_ratio in ratios {
                let bytes = self.uniform_bytes(bits, expand_ratio);
                recipes.extend(self.options.clips.iter().map(|clip| {
                    let recipe = Recipe {
                        weight_bits: Bits::Grid(bits),
                        expand_ratio,
                        clip: *clip,
                        ..self.base.clone()
                    };
                    (recipe, bytes)
                }));
            }
        }
        progress.start(recipes.len() as u64, "Trying uniform settings");
        let mut best: Option<AutoSetting> = None;
        for (recipe, bytes) in recipes {
            progress.check()?;
            self.runs += 1;
            let tried = AutoSetting::try_out(self.subject, recipe, bytes, progress)?;
            if best
                .as_ref()
                .is_none_or(|best| tried.chosen_on.noise() < best.chosen_on.noise())
            {
                best = Some(tried);
            }
            progress.advance(1);
        }
        best.ok_or_else(|| InferenceError::OutOfReach("no uniform setting could be tried".to_owned()))
    }

    fn uniform_bytes(&self, bits: u8, expand_ratio: f64) -> u64 {
        let chosen: Vec<(usize, u8, usize)> = (self.noises.iter())
            .map(|noise| (noise.layer(), bits, self.uniform_splits(noise.layer(), expand_ratio)))
            .collect();
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
    fn largest_ratio(&self, bits: u8, budget: u64) -> f64 {
        let ratio = |steps: u32| f64::from(steps) * RATIO_STEP;
        let (mut fits, mut beyond) = (0, (1.0 / RATIO_STEP) as u32 + 1);
        while beyond - fits > 1 {
            let middle = fits + (beyond - fits) / 2;
            if self.uniform_bytes(bits, ratio(middle)) <= budget {
                fits = middle;
            } else {
                beyond = middle;
            }
        }
        ratio(fits)
    }
}
