//! What a layer may become: bits, splits, a way to clip, scales, zero points and a way to round, each with the bytes it takes and
//! the error of its weights.

use super::cost::{Cost, Stored};
use super::{AutoOptions, InferenceError};
use crate::network::{Network, Support};
use crate::progress::Progress;
use crate::quantization::{
    Activations, Bits, Buffers, Clip, Granularity, LayerRecipe, NO_INPUTS, Recipe, Rounding, WeightSettings,
    plan_layer_in,
};
use rayon::prelude::*;

/// One way to quantize a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    /// Bits of its weights.
    pub(super) bits: u8,
    /// Splits in each of its groups.
    pub(super) splits: usize,
    /// How the threshold is chosen.
    pub(super) clip: Clip,
    /// What has a scale of its own.
    pub(super) scales: Granularity,
    /// Whether each scale has a zero point.
    pub(super) zero_points: bool,
    /// How the weights are rounded.
    pub(super) rounding: Rounding,
    /// What the quantized weights take with this choice, other layers as in the plain network.
    pub(super) bytes: u64,
    /// Mean squared error of the weights from rounding, each to the nearest point.
    pub(super) rounding_error: f64,
    /// The same from clipping.
    pub(super) clipping_error: f64,
}

impl Choice {
    /// The exception that makes a recipe take this choice for a layer of that many channels in a group.
    pub(super) fn exception(&self, channels: usize) -> LayerRecipe {
        LayerRecipe {
            weight_bits: Some(Bits::Grid(self.bits)),
            expand_ratio: Some(ratio_of(self.splits, channels)),
            clip: Some(self.clip),
            scales: Some(self.scales),
            rounding: Some(self.rounding),
            weight_zero_points: Some(self.zero_points),
            ..LayerRecipe::default()
        }
    }

    /// What its bytes depend on.
    pub(super) fn stored(&self) -> Stored {
        Stored {
            bits: self.bits,
            splits: self.splits,
            scales: self.scales,
            zero_points: self.zero_points,
        }
    }

    /// Whether `other` is no larger and makes neither kind of error larger.
    fn is_bettered_by(&self, other: &Self) -> bool {
        other.bytes <= self.bytes
            && other.rounding_error <= self.rounding_error
            && other.clipping_error <= self.clipping_error
    }
}

/// The choices of one layer.
#[derive(Debug, Clone)]
pub(super) struct LayerChoices {
    /// Position of the layer.
    pub(super) layer: usize,
    /// What it may become, fewest bytes first; of each way to round, none is bettered by another in bytes and both kinds of error.
    pub(super) choices: Vec<Choice>,
}

/// An expand ratio with few digits that gives exactly `splits` of `channels`.
pub(super) fn ratio_of(splits: usize, channels: usize) -> f64 {
    let share = splits as f64 / channels.max(1) as f64;
    let least = splits.saturating_sub(1) as f64 / channels.max(1) as f64;
    let digits = [1e2, 1e3, 1e4, 1e5, 1e6];
    let shorter = digits.map(|unit| (share * unit).floor() / unit);
    let gives_all = |ratio: &f64| (ratio * channels as f64 - 1e-9).ceil() == splits as f64 && *ratio >= least;
    shorter.into_iter().find(gives_all).unwrap_or(share)
}

/// Numbers of splits worth a try: each up to four, then in steps of about a third.
fn split_counts(channels: usize, most_ratio: f64) -> Vec<usize> {
    let most = (most_ratio * channels as f64).floor() as usize;
    let mut counts: Vec<usize> = (0..=most.min(4)).collect();
    let mut count = 6;
    while count <= most {
        counts.push(count);
        count = (count * 4 / 3).max(count + 2);
    }
    counts
}

/// The choices of the layers that are `quantized`, in parallel. `base` says all that is not chosen.
pub(super) fn lattice(
    network: &Network,
    base: &Recipe,
    quantized: &[usize],
    options: &AutoOptions,
    (cost, activations): (&Cost<'_>, Option<&Activations>),
    progress: &Progress,
) -> Result<Vec<LayerChoices>, InferenceError> {
    progress.start(quantized.len() as u64, "Errors of the weights at all settings");
    quantized
        .iter()
        .map(|&layer| {
            progress.check()?;
            let choices = choices_of(network, base, layer, options, (cost, activations))?;
            progress.advance(1);
            Ok(LayerChoices { layer, choices })
        })
        .collect()
}

fn choices_of(
    network: &Network,
    base: &Recipe,
    index: usize,
    options: &AutoOptions,
    (cost, activations): (&Cost<'_>, Option<&Activations>),
) -> Result<Vec<Choice>, InferenceError> {
    let layer = &network.layers[index];
    let weights = network
        .weights(index)
        .map_err(|error| InferenceError::Quantization(error.into()))?;
    let settings = base.effective(network, index).weights;
    // What the layer can do of the scales and the ways to round.
    let mut scales: Vec<Granularity> = Vec::new();
    for &wanted in &options.scales {
        let possible = WeightSettings {
            scales: wanted,
            ..settings
        };
        let possible = possible.effective(layer).scales;
        if !scales.contains(&possible) {
            scales.push(possible);
        }
    }
    let mut zero_points: Vec<bool> = Vec::new();
    for &wanted in &options.zero_points {
        let possible = WeightSettings {
            zero_points: wanted,
            ..settings
        };
        let possible = possible.effective(layer).zero_points;
        if !zero_points.contains(&possible) {
            zero_points.push(possible);
        }
    }
    let moments = activations.map_or(NO_INPUTS, |all| all.moments_of(&layer.name));
    let mut roundings: Vec<Rounding> = Vec::new();
    for &rounding in &options.roundings {
        let possible = WeightSettings { rounding, ..settings }.effective(layer).rounding;
        let possible = match moments {
            Err(_) if possible.needs_moments() => Rounding::Nearest,
            _ => possible,
        };
        if !roundings.contains(&possible) {
            roundings.push(possible);
        }
    }
    let counts = if layer.support == Support::Split {
        split_counts(layer.layout.channels, options.most_ratio)
    } else {
        vec![0]
    };
    let mut tried: Vec<(Stored, u64, Clip)> = Vec::new();
    for &bits in &options.bits {
        for &scales in &scales {
            for &zero_points in &zero_points {
                for &splits in &counts {
                    let stored = Stored {
                        bits,
                        splits,
                        scales,
                        zero_points,
                    };
                    let bytes = cost.with_one(index, stored);
                    tried.extend(options.clips.iter().map(|clip| (stored, bytes, *clip)));
                }
            }
        }
    }
    let buffers = Buffers::default();
    let mut choices: Vec<Choice> = tried
        .into_par_iter()
        .map(|(stored, bytes, clip)| {
            let Stored {
                bits,
                splits,
                scales,
                zero_points,
            } = stored;
            let settings = WeightSettings {
                bits: Bits::Grid(bits),
                expand_ratio: ratio_of(splits, layer.layout.channels),
                clip,
                scales,
                zero_points,
                rounding: Rounding::Nearest,
                ..settings
            };
            let planned = plan_layer_in(&buffers, &weights, &layer.layout, &settings, NO_INPUTS);
            Choice {
                bits,
                splits,
                clip,
                scales,
                zero_points,
                rounding: Rounding::Nearest,
                bytes,
                rounding_error: (planned.mse - planned.clip_mse).max(0.0),
                clipping_error: planned.clip_mse,
            }
        })
        .collect();
    // A stable order: of equal choices the one with fewer bits, fewer splits and the way to clip named first stays.
    choices.sort_by_key(|choice| choice.bytes);
    let mut kept: Vec<Choice> = Vec::new();
    for choice in choices {
        let is_finite = choice.rounding_error.is_finite() && choice.clipping_error.is_finite();
        if is_finite && !kept.iter().any(|other| choice.is_bettered_by(other)) {
            kept.retain(|other| !other.is_bettered_by(&choice));
            kept.push(choice);
        }
    }
    // How much of an error comes through depends on how it was made: each way to round is measured by itself.
    let rounded = kept
        .iter()
        .flat_map(|choice| roundings.iter().map(|&rounding| Choice { rounding, ..*choice }));
    Ok(rounded.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Layout, OutAxis};
    use crate::quantization::split_count;

    #[test]
    fn a_ratio_has_few_digits_and_gives_the_splits_it_was_made_of() {
        for channels in [1, 3, 16, 64, 100, 650, 2048] {
            let layout = Layout {
                groups: 1,
                outer: 1,
                channels,
                inner: 1,
                out_axis: OutAxis::Outer,
                out_run: 1,
            };
            for splits in 0..=channels {
                let ratio = ratio_of(splits, channels);
                assert_eq!(split_count(&layout, ratio), splits, "{splits} of {channels}: {ratio}");
            }
        }
        assert_eq!((ratio_of(1, 16), ratio_of(3, 64), ratio_of(0, 5)), (0.06, 0.04, 0.0));
    }

    #[test]
    fn few_splits_are_all_tried_and_many_in_growing_steps() {
        assert_eq!(split_counts(16, 0.25), [0, 1, 2, 3, 4]);
        assert_eq!(split_counts(3, 0.25), [0]);
        assert_eq!(split_counts(128, 0.25), [0, 1, 2, 3, 4, 6, 8, 10, 13, 17, 22, 29]);
    }
}
