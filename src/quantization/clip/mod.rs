//! How the clip threshold is chosen: one file a method.
//!
//! A new way to choose is a file beside this one, a variant of [`Clip`], and a row in each of its few tables below: weights,
//! activations, the window's menu, the command line and recipe files take it from here.

mod aciq;
mod kl;
mod magnitudes;
mod octav;
mod percentile;
mod samples;

use super::grid::symmetric_levels;
use crate::statistics::ActivationStatistics;
use samples::Samples;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

pub(super) use magnitudes::Magnitudes;
pub(super) use samples::Counted;
pub use samples::mean_squared_errors;

/// A way to choose the clip threshold. Written `none`, `mse`, `aciq`, `aciq-2019`, `kl`, `percentile[:P]`, `octav`,
/// `manual:T` on the command line and in recipes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Clip {
    /// The largest |x|.
    #[default]
    None,
    /// The threshold with the least mean squared quantization error (Sung et al. 2015; Shin et al. 2016).
    Mse,
    /// The optimum of a fitted Gaussian or Laplacian (Banner et al. 2018), with the optima of this grid.
    Aciq,
    /// The same with the constants and the range-based deviation of the code of Zhao et al. 2019.
    Aciq2019,
    /// The least Kullback-Leibler divergence between the histogram before and after (Migacz 2017, TensorRT).
    Kl,
    /// The magnitude below which this percentage of the elements lie.
    Percentile(f32),
    /// The optimum of clipping and rounding noise by a fixed point (Sakr et al. 2022).
    Octav,
    /// As given, in the units of the tensor.
    Manual(f32),
}

/// A threshold and what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipChoice {
    /// The threshold a: values beyond it are cut to it.
    pub threshold: f32,
    /// Mean squared error at that threshold: measured for weights, expected from the histogram for activations.
    pub mse: f64,
}

impl Clip {
    /// The percentile that is meant when none is given.
    pub const DEFAULT_PERCENTILE: f32 = 99.9;

    /// Every way that needs no number from the user, for menus and comparisons.
    pub const CHOICES: [Self; 7] = [
        Self::None,
        Self::Mse,
        Self::Aciq,
        Self::Aciq2019,
        Self::Kl,
        Self::Percentile(Self::DEFAULT_PERCENTILE),
        Self::Octav,
    ];

    /// Name for a person.
    pub fn label(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mse => "MSE",
            Self::Aciq => "ACIQ",
            Self::Aciq2019 => "ACIQ (2019)",
            Self::Kl => "KL",
            Self::Percentile(_) => "percentile",
            Self::Octav => "OCTAV",
            Self::Manual(_) => "manual",
        }
    }

    /// The threshold for `samples` on a grid of `bits` whose greatest index is `levels`.
    fn choose(self, samples: &Samples, bits: u8, levels: i32) -> f32 {
        match self {
            Self::None => samples.max_abs(),
            Self::Mse => magnitudes::least_mse(samples, levels),
            Self::Aciq => aciq::threshold(samples, bits),
            Self::Aciq2019 => aciq::threshold_2019(samples, bits),
            Self::Kl => kl::threshold(samples, levels),
            Self::Percentile(percent) => percentile::threshold(samples, percent),
            Self::Octav => octav::threshold(samples, levels),
            Self::Manual(threshold) => threshold,
        }
    }
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Mse => f.write_str("mse"),
            Self::Aciq => f.write_str("aciq"),
            Self::Aciq2019 => f.write_str("aciq-2019"),
            Self::Kl => f.write_str("kl"),
            Self::Percentile(percent) => write!(f, "percentile:{percent}"),
            Self::Octav => f.write_str("octav"),
            Self::Manual(threshold) => write!(f, "manual:{threshold}"),
        }
    }
}

impl FromStr for Clip {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number.parse::<f32>().unwrap_or(f32::NAN))),
            None => (text, None),
        };
        match (name, number) {
            ("none", None) => Ok(Self::None),
            ("mse", None) => Ok(Self::Mse),
            ("aciq", None) => Ok(Self::Aciq),
            ("aciq-2019", None) => Ok(Self::Aciq2019),
            ("kl", None) => Ok(Self::Kl),
            ("octav", None) => Ok(Self::Octav),
            ("percentile", None) => Ok(Self::Percentile(Self::DEFAULT_PERCENTILE)),
            ("percentile", Some(percent)) if percent > 0.0 && percent <= 100.0 => Ok(Self::Percentile(percent)),
            ("manual", Some(threshold)) if threshold > 0.0 && threshold.is_finite() => Ok(Self::Manual(threshold)),
            _ => Err(format!(
                "clip is none, mse, aciq, aciq-2019, kl, percentile[:P] with 0 < P <= 100, octav or manual:T with T > 0, \
                 not '{text}'"
            )),
        }
    }
}

impl Serialize for Clip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Clip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The threshold that `clip` chooses for `values` on the symmetric grid of `bits`.
pub fn choose_threshold(values: &[f32], bits: u8, clip: Clip) -> ClipChoice {
    let levels = symmetric_levels(bits);
    let samples = Samples::of_values(values);
    let threshold = clip.choose(&samples, bits, levels);
    ClipChoice {
        threshold,
        mse: samples.mean_squared_errors(levels, &[threshold])[0],
    }
}

/// The threshold that `clip` chooses for an activation, from the histogram gathered while it was seen.
pub fn choose_activation_threshold(
    activation: &ActivationStatistics,
    bits: u8,
    unsigned: bool,
    clip: Clip,
) -> ClipChoice {
    let levels = if unsigned {
        (1 << bits) - 1
    } else {
        symmetric_levels(bits)
    };
    let samples = Samples::of_activation(activation);
    let threshold = clip.choose(&samples, bits, levels);
    ClipChoice {
        threshold,
        mse: samples.mean_squared_errors(levels, &[threshold])[0],
    }
}

/// Thresholds for values that were counted: what the ways to choose share is computed once.
pub(super) struct CountedThresholds<'a>(Samples<'a>);

impl<'a> CountedThresholds<'a> {
    /// For these counts.
    pub(super) fn new(counted: &'a Counted) -> Self {
        Self(Samples::of_counted(counted))
    }

    /// The threshold that `clip` chooses on the symmetric grid of `bits`.
    pub(super) fn choose(&self, bits: u8, clip: Clip) -> f32 {
        clip.choose(&self.0, bits, symmetric_levels(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::Grid;
    use proptest::prelude::*;

    fn true_mse(values: &[f32], bits: u8, threshold: f32) -> f64 {
        let grid = Grid::symmetric(bits, threshold);
        values
            .iter()
            .map(|x| f64::from(x - grid.round(*x)).powi(2))
            .sum::<f64>()
            / values.len() as f64
    }

    /// The search of the paper's code: 201 bins, candidates 0.01 to 0.99 of the largest |x|.
    fn reference_mse_threshold(values: &[f32], bits: u8) -> f32 {
        let max = values.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        let width = 2.0 * max / 201.0;
        let mut counts = [0_u32; 201];
        for x in values {
            counts[(((x + max) / width) as usize).min(200)] += 1;
        }
        let mse = |threshold: f32| -> f32 {
            let grid = Grid::symmetric(bits, threshold);
            counts
                .iter()
                .enumerate()
                .map(|(i, c)| {
                    let center = (i as f32 + 0.5) * width - max;
                    *c as f32 * (center - grid.round(center)).powi(2)
                })
                .sum()
        };
        (1..100)
            .map(|i| i as f32 * 0.01 * max)
            .min_by(|a, b| mse(*a).total_cmp(&mse(*b)))
            .unwrap()
    }

    /// Gaussian values by Box and Muller's method, without a dependency.
    fn gaussian(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed | 1;
        let mut uniform = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        (0..n)
            .map(|_| ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn mse_is_never_worse_than_the_papers_search_nor_than_no_clipping(
            n in 20_usize..3000, seed in any::<u64>(), bits in 2_u8..=8, outlier in 1.0_f32..30.0, scale in 0.001_f32..10.0,
        ) {
            let mut values = gaussian(n, seed);
            values[0] = outlier;
            values.iter_mut().for_each(|x| *x *= scale);
            let ours = choose_threshold(&values, bits, Clip::Mse);
            let found = true_mse(&values, bits, ours.threshold);
            prop_assert!((ours.mse - found).abs() <= 1e-4 * found + 1e-12);
            let reference = true_mse(&values, bits, reference_mse_threshold(&values, bits));
            let none = true_mse(&values, bits, choose_threshold(&values, bits, Clip::None).threshold);
            prop_assert!(found <= reference * 1.000_01, "ours {found} reference {reference}");
            prop_assert!(found <= none * 1.000_01, "ours {found} none {none}");
        }
    }

    /// The optimal thresholds of the grid with 2^k - 1 values for a Gaussian, in units of its deviation (METHOD section 4).
    #[test]
    fn mse_finds_the_optimum_of_a_gaussian() {
        let values = gaussian(400_000, 7);
        for (bits, optimum) in [(2, 1.224), (3, 1.952), (4, 2.474), (5, 2.899), (6, 3.270)] {
            let found = choose_threshold(&values, bits, Clip::Mse).threshold;
            assert!(
                (found - optimum).abs() < 0.06,
                "{bits} bits: {found}, expected {optimum}"
            );
        }
    }

    #[test]
    fn no_clipping_keeps_the_largest_value_and_manual_what_was_given() {
        let values = [0.1, -0.7, 0.3];
        assert_eq!(choose_threshold(&values, 4, Clip::None).threshold, 0.7);
        assert_eq!(choose_threshold(&values, 4, Clip::Manual(0.25)).threshold, 0.25);
        assert_eq!(choose_threshold(&[0.0; 5], 4, Clip::Mse).threshold, 0.0);
        assert_eq!(choose_threshold(&[], 4, Clip::Mse).threshold, 0.0);
    }

    #[test]
    fn names_read_back_as_what_was_written() {
        for clip in Clip::CHOICES
            .into_iter()
            .chain([Clip::Manual(0.123_456_79), Clip::Percentile(99.99)])
        {
            assert_eq!(clip.to_string().parse(), Ok(clip));
        }
        for wrong in [
            "",
            "manual",
            "manual:-1",
            "manual:NaN",
            "manual:inf",
            "best",
            "mse:3",
            "percentile:0",
            "percentile:101",
        ] {
            assert!(wrong.parse::<Clip>().is_err(), "{wrong}");
        }
    }
}
