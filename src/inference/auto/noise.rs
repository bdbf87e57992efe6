//! What a layer's choice does to the outputs: measured where it matters, elsewhere in proportion to the error of the weights.
//!
//! With one layer quantized, the noise of the outputs grows in proportion to the squared error of that layer's weights as long
//! as it is small, and noises of different layers add up, because they are independent (Zhou et al., *Adaptive Quantization for
//! Deep Neural Network*, AAAI 2018). How much of an error comes through is the layer's gain. Rounding and clipping have a gain
//! each: rounding errors are as good as random, those of clipping all pull the largest weights towards zero. Each way to round has a
//! gain of its own, on the error that the nearest points have: SQuant and GPTQ make larger errors of which less comes through.

use super::lattice::{Choice, LayerChoices, ratio_of};
use super::runs::{RunKey, RunLog, RunSamples};
use super::settings::Scores;
use super::settings::isolated;
use super::{InferenceError, Judged, Pipeline};
use crate::inference::Dataset;
use crate::inference::incremental::{Incremental, Keep, Signature};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Clip, Recipe, Rounding};

/// The noise of the outputs for the choices of one layer.
pub(super) struct LayerNoise {
    of: LayerChoices,
    /// Positions of the choices that were run, and the share of noise in the outputs' power.
    measured: Vec<(usize, f64)>,
}

/// What measurements are made on.
#[derive(Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) network: &'a Network,
    pub(super) pipeline: Pipeline<'a>,
    /// All that is not chosen; inputs of layers are float in it.
    pub(super) base: &'a Recipe,
    pub(super) judged: Judged<'a>,
    /// Values between the layers on those samples.
    pub(super) kept: &'a Incremental<&'a Dataset>,
    /// The network with all layers float, as it is rewritten.
    pub(super) float: &'a Signature,
}

impl LayerNoise {
    pub(super) fn new(of: LayerChoices) -> Self {
        Self {
            of,
            measured: Vec::new(),
        }
    }

    pub(super) fn layer(&self) -> usize {
        self.of.layer
    }

    pub(super) fn choices(&self) -> &[Choice] {
        &self.of.choices
    }

    /// The noise that was measured for a choice.
    pub(super) fn measured(&self, choice: usize) -> Option<f64> {
        let found = self.measured.iter().find(|(at, _)| *at == choice);
        found.map(|(_, noise)| *noise)
    }

    /// Choices whose noise tells all gains: near `bits` bits without splits, one for each way to round that clips nothing, and
    /// one that clips most.
    pub(super) fn anchors(&self, bits: u8) -> Vec<usize> {
        let choices = &self.of.choices;
        let distance = |at: &usize| (choices[*at].bits.abs_diff(bits), choices[*at].splits);
        let places = || 0..choices.len();
        let mut roundings: Vec<Rounding> = Vec::new();
        for choice in choices {
            if !roundings.contains(&choice.rounding) {
                roundings.push(choice.rounding);
            }
        }
        let unclipped = roundings.iter().filter_map(|rounding| {
            places()
                .filter(|at| choices[*at].clipping_error == 0.0 && choices[*at].rounding == *rounding)
                .min_by_key(distance)
        });
        let clipped = places()
            .filter(|at| choices[*at].clipping_error > 0.0 && choices[*at].clip != Clip::None)
            .min_by_key(distance);
        unclipped.chain(clipped).collect()
    }

    /// What a run of a choice is called.
    pub(super) fn key(&self, bench: &Bench<'_>, choice: usize) -> RunKey {
        let layer = &bench.network.layers[self.of.layer];
        let chosen = &self.of.choices[choice];
        RunKey {
            on: RunSamples::Choose,
            layer: Some(layer.name.clone()),
            bits: chosen.bits,
            expand_ratio: ratio_of(chosen.splits, layer.layout.channels),
            clip: chosen.clip,
            scales: chosen.scales,
            rounding: chosen.rounding,
            zero_points: chosen.zero_points,
            bias_correction: bench.base.bias_correction,
        }
    }

    /// Runs the network with this layer alone quantized by `choice`, unless that was done before, now or in another run.
    pub(super) fn measure(
        &mut self,
        bench: &Bench<'_>,
        choice: usize,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        if self.measured(choice).is_some() {
            return Ok(());
        }
        let key = self.key(bench, choice);
        if let Some(known) = log.known(&key) {
            self.measured.push((choice, known.noise()));
            return Ok(());
        }
        let layer = &bench.network.layers[self.of.layer];
        let mut recipe = isolated(bench.network, bench.base);
        let exception = self.of.choices[choice].exception(layer.layout.channels);
        recipe.layers.insert(layer.name.clone(), exception);
        let part = progress.part();
        let plan = bench.pipeline.plan(&recipe, &part)?;
        let keep = Keep::BeforeChangeFrom(bench.float);
        let outputs = bench
            .kept
            .run_plan(bench.network, &plan, bench.judged.float.range(), keep, &part)?;
        let scores = Scores::of(bench.judged, &outputs);
        self.measured.push((choice, scores.noise()));
        log.take(&key, scores)
    }

    /// Noise of a choice: as measured, or by the gains, scaled so that the most similar measured choice comes out right.
    pub(super) fn noise_of(&self, choice: usize) -> f64 {
        if let Some(measured) = self.measured(choice) {
            return measured;
        }
        let wanted = &self.of.choices[choice];
        let predicted = self.gains(wanted.rounding).noise(wanted);
        let distance = |at: usize| {
            let other = &self.of.choices[at];
            let error = |choice: &Choice| {
                (choice.rounding_error + choice.clipping_error)
                    .max(f64::MIN_POSITIVE)
                    .ln()
            };
            let differs = |differs: bool| if differs { 1.0 } else { 0.0 };
            let far = differs(wanted.clip != other.clip) + differs(wanted.rounding != other.rounding);
            (error(wanted) - error(other)).abs() + far
        };
        let nearest = (self.measured.iter()).min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
        let scale = nearest.map_or(1.0, |(at, noise)| {
            let other = &self.of.choices[*at];
            let by_gains = self.gains(other.rounding).noise(other);
            if by_gains > 0.0 { noise / by_gains } else { 1.0 }
        });
        predicted * scale
    }

    fn gains(&self, of: Rounding) -> Gains {
        let points = self.measured.iter().map(|(at, noise)| (&self.of.choices[*at], *noise));
        let rounding_gain = |of: Rounding| {
            let unclipped = |(choice, _): &(&Choice, f64)| choice.clipping_error == 0.0 && choice.rounding_error > 0.0;
            let same = points.clone().find(|point| unclipped(point) && point.0.rounding == of);
            let found = same
                .or_else(|| points.clone().find(unclipped))
                .or_else(|| points.clone().next());
            found.map_or(1.0, |(choice, noise)| {
                noise / (choice.rounding_error + choice.clipping_error).max(f64::MIN_POSITIVE)
            })
        };
        let rounding = rounding_gain(of);
        let clipped = points.clone().find(|(choice, _)| choice.clipping_error > 0.0);
        let clipping = clipped.map(|(choice, noise)| {
            let left = noise - rounding_gain(choice.rounding) * choice.rounding_error;
            (left / choice.clipping_error).max(0.0)
        });
        Gains {
            rounding,
            clipping: clipping.unwrap_or(rounding),
        }
    }
}

/// Noise of the outputs for each unit of squared error of the weights.
struct Gains {
    rounding: f64,
    clipping: f64,
}

impl Gains {
    fn noise(&self, choice: &Choice) -> f64 {
        self.rounding * choice.rounding_error + self.clipping * choice.clipping_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::Granularity;

    fn choice(bits: u8, clip: Clip, rounding_error: f64, clipping_error: f64) -> Choice {
        Choice {
            bits,
            splits: 0,
            clip,
            scales: Granularity::Tensor,
            zero_points: false,
            rounding: Rounding::Nearest,
            bytes: u64::from(bits),
            rounding_error,
            clipping_error,
        }
    }

    fn noise() -> LayerNoise {
        LayerNoise::new(LayerChoices {
            layer: 0,
            choices: vec![
                choice(3, Clip::None, 16.0, 0.0),
                choice(3, Clip::Mse, 4.0, 2.0),
                choice(4, Clip::None, 4.0, 0.0),
                choice(4, Clip::Mse, 1.0, 1.0),
            ],
        })
    }

    #[test]
    fn rounding_and_clipping_have_a_gain_each() {
        let mut noise = noise();
        assert_eq!(noise.anchors(4), [2, 3]);
        noise.measured = vec![(2, 2.0), (3, 3.5)];
        // Half of each unit of rounding, three of clipping.
        assert_eq!((noise.noise_of(2), noise.noise_of(3)), (2.0, 3.5));
        assert_eq!((noise.noise_of(0), noise.noise_of(1)), (8.0, 8.0));
    }

    #[test]
    fn each_way_to_round_has_a_gain_of_its_own_on_the_same_error() {
        let mut noise = noise();
        let gptq = |at: usize| Choice {
            rounding: Rounding::Gptq,
            ..noise.of.choices[at]
        };
        let more = [gptq(0), gptq(2), gptq(3)];
        noise.of.choices.extend(more);
        assert_eq!(noise.anchors(4), [2, 5, 3]);
        // Half of each unit with the nearest points, an eighth by GPTQ, three of clipping.
        noise.measured = vec![(2, 2.0), (5, 0.5), (3, 3.5)];
        assert_eq!((noise.noise_of(0), noise.noise_of(4)), (8.0, 2.0));
        assert_eq!(noise.noise_of(6), 0.125 + 3.0);
    }

    #[test]
    fn what_is_measured_counts_and_its_neighbours_follow_it() {
        let mut noise = noise();
        noise.measured = vec![(2, 2.0), (3, 3.5), (1, 16.0)];
        assert_eq!(noise.noise_of(1), 16.0);
        noise.measured.swap(1, 2);
        noise.measured.truncate(2);
        // Gains of 0.5 and 7 give 7.5 for the last choice.
        assert_eq!(noise.noise_of(3), 7.5);
    }
}
