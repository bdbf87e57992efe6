//! How far a number seen on some samples may lie from that of all samples of their kind: 95 % confidence intervals.
//!
//! Shares have Wilson's interval (see [`super::Metrics::top1_interval`]); here are those of the signal-to-noise ratio and of
//! a mean loss. Both take the samples as drawn independently; tokens of a text are not, so a text is cut into blocks of
//! [`BLOCK`] tokens and the blocks are taken as independent (batch means).

use super::Outputs;

/// The standard normal distribution lies within this many deviations with probability 0.95.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// Tokens of a text that count as one draw.
pub(super) const BLOCK: usize = 50;

/// Draws below which there is no interval: the normal approximation says nothing then.
const FEWEST: usize = 10;

/// The interval of `10 log10(sum float^2 / sum (float - quantized)^2)` over all outputs, decibels, low and high.
///
/// With `s` and `e` the energies of signal and error in each of `n` draws, the logarithm of the ratio of their means is
/// near to normal, with the variance `Var(s / mean(s) - e / mean(e)) / n` (delta method; Cochran, *Sampling Techniques*,
/// 1977, section 6.4). `block` rows make one draw.
///
/// `None` for fewer than ten draws, and where the ratio is not finite.
pub(super) fn sqnr_interval(float: &Outputs, quantized: &Outputs, block: usize) -> Option<[f64; 2]> {
    if float.logits.len() != quantized.logits.len() {
        return None;
    }
    let draw = (float.classes * block).max(1);
    let pairs = float.logits.chunks(draw).zip(quantized.logits.chunks(draw));
    let energies = pairs.map(|(float, quantized)| {
        let rows = float.iter().zip(quantized);
        rows.fold((0.0, 0.0), |(signal, error), (float, quantized)| {
            let (float, quantized) = (f64::from(*float), f64::from(*quantized));
            (signal + float * float, error + (float - quantized).powi(2))
        })
    });
    log_ratio_interval(&energies.collect::<Vec<(f64, f64)>>())
}

/// The same from the energies of signal and error of each draw.
fn log_ratio_interval(energies: &[(f64, f64)]) -> Option<[f64; 2]> {
    if energies.len() < FEWEST {
        return None;
    }
    let n = energies.len() as f64;
    let (signal, error) = energies
        .iter()
        .fold((0.0, 0.0), |(s, e), draw| (s + draw.0, e + draw.1));
    let (signal, error) = (signal / n, error / n);
    if !(signal > 0.0 && error > 0.0 && signal.is_finite() && error.is_finite()) {
        return None;
    }
    let squares = energies
        .iter()
        .map(|(s, e)| (s / signal - e / error).powi(2))
        .sum::<f64>();
    let deviation = (squares / (n - 1.0) / n).sqrt();
    let decibels = |log: f64| 10.0 * log / std::f64::consts::LN_10;
    let centre = (signal / error).ln();
    Some([-1.0, 1.0].map(|side| decibels(centre + side * Z * deviation)))
}

/// The interval of the mean of `values`, of which `block` make one draw; `None` for fewer than ten draws.
pub(super) fn mean_interval(values: &[f64], block: usize) -> Option<[f64; 2]> {
    let means: Vec<(f64, f64)> = (values.chunks(block.max(1)))
        .map(|chunk| (chunk.iter().sum::<f64>(), chunk.len() as f64))
        .collect();
    if means.len() < FEWEST {
        return None;
    }
    let n = means.len() as f64;
    let (sum, count) = means.iter().fold((0.0, 0.0), |(s, c), draw| (s + draw.0, c + draw.1));
    let mean = sum / count;
    // The last block may be shorter: a ratio of sums, as above.
    let squares = means
        .iter()
        .map(|(sum, count)| (sum - mean * count).powi(2))
        .sum::<f64>();
    let deviation = (squares / (n - 1.0) * n).sqrt() / count;
    deviation
        .is_finite()
        .then(|| [-1.0, 1.0].map(|side| mean + side * Z * deviation))
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::wilson_interval;
    use super::*;

    /// A seeded stream of numbers evenly over 0..1 (splitmix64).
    struct Uniform(u64);

    impl Uniform {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            let radius = (-2.0 * (1.0 - self.next()).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.next()).cos()
        }
    }

    /// Share of `repetitions` in which the interval holds the truth.
    fn coverage(repetitions: usize, mut holds: impl FnMut() -> bool) -> f64 {
        (0..repetitions).filter(|_| holds()).count() as f64 / repetitions as f64
    }

    #[test]
    fn the_interval_of_the_ratio_holds_the_truth_in_95_of_100_experiments() {
        let mut random = Uniform(7);
        // Few draws of a skewed error fall a little short of the 95 %.
        for (samples, least) in [(100, 0.91), (400, 0.93)] {
            let covered = coverage(2000, || {
                // Errors that grow with the signal and scatter by a factor of two beyond that; E[exp(σx)] = exp(σ²/2).
                let draw = |random: &mut Uniform| {
                    let signal = (0.5 * random.normal()).exp();
                    (signal, 0.01 * signal * (0.7 * random.normal()).exp())
                };
                let energies: Vec<(f64, f64)> = (0..samples).map(|_| draw(&mut random)).collect();
                let truth = 20.0 - 10.0 * 0.7_f64.powi(2) / 2.0 / std::f64::consts::LN_10;
                let [low, high] = log_ratio_interval(&energies).unwrap();
                (low..=high).contains(&truth)
            });
            assert!((least..=0.97).contains(&covered), "{samples} samples: {covered}");
        }
    }

    #[test]
    fn wilsons_interval_holds_the_truth_where_the_standard_error_does_not() {
        let mut random = Uniform(11);
        for (share, samples) in [(0.5, 60), (0.92, 60), (0.92, 1000), (0.99, 60)] {
            let covered = coverage(3000, || {
                let right = (0..samples).filter(|_| random.next() < share).count();
                let [low, high] = wilson_interval(right as f64 / samples as f64, samples);
                (low..=high).contains(&share)
            });
            assert!((0.92..=0.985).contains(&covered), "{share} of {samples}: {covered}");
        }
    }

    #[test]
    fn the_interval_of_a_mean_of_dependent_values_needs_blocks() {
        let mut random = Uniform(3);
        let mut covered = |block: usize| {
            coverage(600, || {
                // Each value keeps 0.7 of the one before it.
                let mut last = random.normal();
                let values: Vec<f64> = (0..2000)
                    .map(|_| {
                        last = 0.7 * last + 0.51_f64.sqrt() * random.normal();
                        3.0 + last
                    })
                    .collect();
                let [low, high] = mean_interval(&values, block).unwrap();
                (low..=high).contains(&3.0)
            })
        };
        let (alone, blocks) = (covered(1), covered(BLOCK));
        assert!(alone < 0.75, "taken as independent: {alone}");
        assert!((0.90..=0.98).contains(&blocks), "{blocks}");
    }

    #[test]
    fn few_draws_or_no_error_have_no_interval() {
        assert_eq!(log_ratio_interval(&[(1.0, 0.1); 9]), None);
        assert_eq!(log_ratio_interval(&[(1.0, 0.0); 20]), None);
        let [low, high] = log_ratio_interval(&[(1.0, 0.1); 20]).unwrap();
        assert!(
            (low - 10.0).abs() < 1e-9 && (high - 10.0).abs() < 1e-9,
            "all alike: no doubt"
        );
        assert_eq!(mean_interval(&[1.0; 9], 1), None);
    }
}
