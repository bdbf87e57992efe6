//! What a layer's choice does to the outputs: measured where it matters, elsewhere in proportion to the error of the weights.
//!
//! With one layer quantized, the noise of the outputs grows in proportion to the squared error of that layer's weights as long
//! as it is small, and noises of different layers add up, because they are independent (Zhou et al., *Adaptive Quantization for
//! Deep Neural Network*, AAAI 2018). How much of an error comes through is the layer's gain. Rounding and clipping have a gain
//! each: rounding errors are as good as random, those of clipping all pull the largest weights towards zero.

use super::lattice::{Choice, LayerChoices};
use super::settings::isolated;
use super::{InferenceError, Judged, Pipeline, noise_share};
use crate::inference::Dataset;
use crate::inference::incremental::{Incremental, Keep, Signature};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Clip, Recipe};

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

    /// Choices whose noise tells both gains: near `bits` bits without splits, one that clips nothing and one that clips most.
    pub(super) fn anchors(&self, bits: u8) -> Vec<usize> {
        let choices = &self.of.choices;
        let distance = |at: &usize| (choices[*at].bits.abs_diff(bits), choices[*at].splits);
        let places = || 0..choices.len();
        let unclipped = places().filter(|at| choices[*at].clipping == 0.0).min_by_key(distance);
        let clipped = places()
            .filter(|at| choices[*at].clipping > 0.0 && choices[*at].clip != Clip::None)
            .min_by_key(distance);
        unclipped.into_iter().chain(clipped).collect()
    }

    /// Runs the network with this layer alone quantized by `choice`, unless that was done before.
    pub(super) fn measure(
        &mut self,
        bench: &Bench<'_>,
        choice: usize,
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        if self.measured(choice).is_some() {
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
        self.measured.push((choice, noise_share(bench.judged.float, &outputs)));
        Ok(())
    }

    /// Noise of a choice: as measured, or by the gains, scaled so that the most similar measured choice comes out right.
    pub(super) fn noise_of(&self, choice: usize) -> f64 {
        if let Some(measured) = self.measured(choice) {
            return measured;
        }
        let gains = self.gains();
        let (wanted, predicted) = (&self.of.choices[choice], gains.noise(&self.of.choices[choice]));
        let distance = |at: usize| {
            let other = &self.of.choices[at];
            let error = |choice: &Choice| (choice.rounding + choice.clipping).max(f64::MIN_POSITIVE).ln();
            (error(wanted) - error(other)).abs() + if wanted.clip == other.clip { 0.0 } else { 1.0 }
        };
        let nearest = (self.measured.iter()).min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
        let scale = nearest.map_or(1.0, |(at, noise)| {
            let by_gains = gains.noise(&self.of.choices[*at]);
            if by_gains > 0.0 { noise / by_gains } else { 1.0 }
        });
        predicted * scale
    }

    fn gains(&self) -> Gains {
        let points = self.measured.iter().map(|(at, noise)| (&self.of.choices[*at], *noise));
        let mut rounding = 1.0;
        let mut clipping = None;
        let unclipped = points
            .clone()
            .find(|(choice, _)| choice.clipping == 0.0 && choice.rounding > 0.0);
        if let Some((choice, noise)) = unclipped.or_else(|| points.clone().next()) {
            rounding = noise / (choice.rounding + choice.clipping).max(f64::MIN_POSITIVE);
        }
        if let Some((choice, noise)) = points.clone().find(|(choice, _)| choice.clipping > 0.0) {
            clipping = Some(((noise - rounding * choice.rounding) / choice.clipping).max(0.0));
        }
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
        self.rounding * choice.rounding + self.clipping * choice.clipping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(bits: u8, clip: Clip, rounding: f64, clipping: f64) -> Choice {
        Choice {
            bits,
            splits: 0,
            clip,
            bytes: u64::from(bits),
            rounding,
            clipping,
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
