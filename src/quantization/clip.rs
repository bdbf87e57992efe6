//! How the clip threshold is chosen.
//!
//! A new way to choose is a variant of [`Clip`] with its name, and its arm in [`Clip::choose`]: weights, activations, the
//! window's menu, the command line and recipe files take it from here.

use super::grid::symmetric_levels;
use super::magnitudes::Magnitudes;
use crate::statistics::ActivationStatistics;
use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A way to choose the clip threshold. Written `none`, `mse`, `manual:T` on the command line and in recipes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Clip {
    /// The largest |x|.
    #[default]
    None,
    /// The threshold with the least mean squared quantization error.
    Mse,
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
    /// The ways without a parameter, for menus.
    pub const CHOICES: [Self; 2] = [Self::None, Self::Mse];

    /// Name for a person.
    pub fn label(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mse => "MSE",
            Self::Manual(_) => "manual",
        }
    }

    /// The threshold for what `magnitudes` describes on a grid whose greatest index is `levels`. `exact` measures the true
    /// mean squared error of each of some thresholds, where the values are at hand.
    fn choose(self, magnitudes: &Magnitudes, levels: i32, exact: Option<&dyn Fn(&[f32]) -> Vec<f64>>) -> f32 {
        match self {
            Self::None => magnitudes.max_abs(),
            Self::Mse => magnitudes.least_mse(levels, exact),
            Self::Manual(threshold) => threshold,
        }
    }
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Mse => f.write_str("mse"),
            Self::Manual(threshold) => write!(f, "manual:{threshold}"),
        }
    }
}

impl FromStr for Clip {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "mse" => Ok(Self::Mse),
            _ => match text.strip_prefix("manual:").map(str::parse::<f32>) {
                Some(Ok(threshold)) if threshold > 0.0 && threshold.is_finite() => Ok(Self::Manual(threshold)),
                _ => Err(format!("clip is none, mse or manual:T with T > 0, not '{text}'")),
            },
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
    let exact = |thresholds: &[f32]| mean_squared_errors(values, levels, thresholds);
    let threshold = match clip {
        Clip::Manual(threshold) => threshold,
        _ => clip.choose(&Magnitudes::of_values(values), levels, Some(&exact)),
    };
    ClipChoice {
        threshold,
        mse: exact(&[threshold])[0],
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
    let magnitudes = Magnitudes::of_activation(activation);
    let threshold = clip.choose(&magnitudes, levels, None);
    ClipChoice {
        threshold,
        mse: magnitudes.expected_mse(threshold, levels),
    }
}

/// The true mean squared error of `values` for each threshold, on a grid of greatest index `levels`. NaN and infinities are
/// left out.
pub fn mean_squared_errors(values: &[f32], levels: i32, thresholds: &[f32]) -> Vec<f64> {
    // Adding and taking away 1.5 * 2^23 rounds an f32 to a whole number without a call; ties cost the same either way.
    const ROUND: f32 = 12_582_912.0;
    const BLOCK: usize = 2048;
    let sums: Vec<Vec<f64>> = values
        .par_chunks(1 << 15)
        .map(|chunk| {
            let mut sums = vec![0.0_f64; thresholds.len()];
            for block in chunk.chunks(BLOCK) {
                for (sum, &threshold) in sums.iter_mut().zip(thresholds) {
                    let step = threshold / levels as f32;
                    let (inverse, limit) = (1.0 / step, levels as f32);
                    let mut lanes = [0.0_f32; 8];
                    let mut add = |lane: usize, x: f32| {
                        let q = ((x * inverse).clamp(-limit, limit) + ROUND) - ROUND;
                        let error = x - q * step;
                        let square = error * error;
                        lanes[lane] += if square < f32::INFINITY { square } else { 0.0 };
                    };
                    let chunks = block.chunks_exact(8);
                    let tail = chunks.remainder();
                    for chunk in chunks {
                        for (lane, x) in chunk.iter().enumerate() {
                            add(lane, *x);
                        }
                    }
                    for (lane, x) in tail.iter().enumerate() {
                        add(lane, *x);
                    }
                    *sum += lanes.iter().map(|s| f64::from(*s)).sum::<f64>();
                }
            }
            sums
        })
        .collect();
    let count = values.len().max(1) as f64;
    (0..thresholds.len())
        .map(|i| sums.iter().map(|chunk| chunk[i]).sum::<f64>() / count)
        .collect()
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
        for clip in [Clip::None, Clip::Mse, Clip::Manual(0.123_456_79)] {
            assert_eq!(clip.to_string().parse(), Ok(clip));
        }
        for wrong in ["", "manual", "manual:-1", "manual:NaN", "manual:inf", "best"] {
            assert!(wrong.parse::<Clip>().is_err(), "{wrong}");
        }
    }
}
