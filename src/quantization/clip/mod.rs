//! How the clip threshold is chosen: one file a method.
//!
//! A new way to choose is a file beside this one, a variant of [`Clip`], and a row in each of its few tables below: weights,
//! activations, the window's menu, the command line and recipe files take it from here.

mod aciq;
mod asymmetric;
mod expected;
mod fit;
mod kl;
mod magnitudes;
mod octav;
mod percentile;
mod samples;

use super::ValueError;
use super::grid::symmetric_levels;
use crate::statistics::ActivationStatistics;
use samples::Samples;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

pub(super) use asymmetric::asymmetric_grid;
pub use expected::{ExpectedError, expected_error};
pub use fit::CentredFits;
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

    /// The threshold for `samples` on a grid of `bits` whose greatest index is `levels`, and its mean squared error if that
    /// was measured on the way.
    fn choose(self, samples: &Samples, bits: u8, levels: i32) -> (f32, Option<f64>) {
        let threshold = match self {
            Self::None => samples.max_abs(),
            Self::Mse => {
                let choice = magnitudes::least_mse(samples, levels);
                return (choice.threshold, Some(choice.mse));
            }
            Self::Aciq => aciq::threshold(samples, bits),
            Self::Aciq2019 => aciq::threshold_2019(samples, bits),
            Self::Kl => kl::threshold(samples, levels),
            Self::Percentile(percent) => percentile::threshold(samples, percent),
            Self::Octav => octav::threshold(samples, levels),
            Self::Manual(threshold) => threshold,
        };
        (threshold, None)
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
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
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
            _ => Err(ValueError::not(
                "clip is none, mse, aciq, aciq-2019, kl, percentile[:P] with 0 < P <= 100, octav or manual:T with T > 0",
                text,
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

/// The threshold that `clip` chooses for `values` on the symmetric grid of `bits`, and its error. Threshold and the root of
/// the error are in the units of the values; values that are not finite are left out.
///
/// # Example
///
/// ```
/// use splitscope::quantization::{Clip, choose_threshold};
///
/// // 300 weights between -1 and 1, and one outlier.
/// let mut weights: Vec<f32> = (0..300).map(|i| (i as f32 * 0.1).sin()).collect();
/// weights.push(8.0);
/// let unclipped = choose_threshold(&weights, 4, Clip::None);
/// assert_eq!(unclipped.threshold, 8.0);
/// let clipped = choose_threshold(&weights, 4, Clip::Mse);
/// assert!(clipped.threshold < 8.0 && clipped.mse < unclipped.mse);
/// ```
pub fn choose_threshold(values: &[f32], bits: u8, clip: Clip) -> ClipChoice {
    chosen(&Samples::of_values(values), bits, symmetric_levels(bits), clip)
}

/// The threshold of [`choose_threshold`] alone: one pass less where its error is not asked for.
pub(super) fn threshold_of(values: &[f32], bits: u8, clip: Clip) -> f32 {
    clip.choose(&Samples::of_values(values), bits, symmetric_levels(bits)).0
}

/// [`threshold_of`] for a part of a tensor with a scale of its own, which may be a few weights only. Fits and fixed points of so few
/// can be worse than no clipping; where they are, by the mean squared error that they minimize, nothing is cut.
pub(super) fn threshold_of_part(values: &[f32], bits: u8, clip: Clip) -> f32 {
    if clip == Clip::None {
        return values.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
    }
    let samples = Samples::of_values(values);
    let levels = symmetric_levels(bits);
    let threshold = clip.choose(&samples, bits, levels).0;
    if !matches!(clip, Clip::Aciq | Clip::Octav) {
        return threshold;
    }
    let whole = samples.max_abs();
    match samples.mean_squared_errors(levels, &[threshold, whole])[..] {
        [clipped, unclipped] if unclipped < clipped => whole,
        _ => threshold,
    }
}

fn chosen(samples: &Samples, bits: u8, levels: i32, clip: Clip) -> ClipChoice {
    let (threshold, mse) = clip.choose(samples, bits, levels);
    ClipChoice {
        threshold,
        mse: mse.unwrap_or_else(|| samples.mean_squared_errors(levels, &[threshold])[0]),
    }
}

/// The threshold that each of `clips` chooses for `values` on the symmetric grid of `bits`: what they share is computed once.
pub(super) fn choose_thresholds(values: &[f32], bits: u8, clips: &[Clip]) -> Vec<f32> {
    let samples = Samples::of_values(values);
    let levels = symmetric_levels(bits);
    clips.iter().map(|clip| clip.choose(&samples, bits, levels).0).collect()
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
    let choice = chosen(&samples, bits, levels, clip);
    if !matches!(clip, Clip::Aciq | Clip::Octav) {
        return choice;
    }
    // What follows an activation function is no Gaussian and no Laplacian: where the fit's threshold is worse than none by the
    // error that it minimizes, nothing is cut.
    let none = chosen(&samples, bits, levels, Clip::None);
    if none.mse < choice.mse { none } else { choice }
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
        clip.choose(&self.0, bits, symmetric_levels(bits)).0
    }
}

#[cfg(test)]
mod tests;
