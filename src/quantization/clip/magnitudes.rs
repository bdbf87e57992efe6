//! A histogram of |x| that answers "what would this threshold cost" without going back to the values.
//!
//! Inside a bin the values are taken as spread evenly, so count, sum and sum of squares up to any point are known from
//! prefix sums, and the error of a threshold costs a few look-ups a grid level instead of a pass.

use super::ClipChoice;
use super::samples::Samples;
use rayon::prelude::*;

/// Counts of |x| in equal bins over `[0, max]`, as prefix sums of 1, x and x^2.
pub(in crate::quantization) struct Magnitudes {
    max_abs: f32,
    width: f64,
    /// At each bin's lower edge: count, sum, and sum of squares of what lies below.
    below: Vec<[f64; 3]>,
    counts: Vec<f64>,
}

/// Candidates of the first search; a multiple of 100, so that all hundredths of the maximum are among them.
const CANDIDATES: usize = 500;
/// Candidates that are measured on the values themselves.
const SHORTLIST: usize = 6;
/// The same for tensors from [`LARGE`] elements on: the more values, the less a histogram is off.
const SHORTLIST_OF_LARGE: usize = 3;
const LARGE: usize = 1 << 16;
/// No clipping is measured unless the histogram makes its error this many times the least.
const HOPELESS: f64 = 1.1;
/// Tensors up to this size are measured at every candidate: with few values the error is too ragged for a histogram.
const SMALL: usize = 1 << 12;

impl Magnitudes {
    /// Bins of |x| that are counted when the values are at hand.
    pub(super) const BINS: usize = 4096;

    /// From counts over `[-edge, edge]`, an even number of bins.
    pub(super) fn of_counts(max_abs: f32, edge: f64, counts: &[u64]) -> Self {
        let half = counts.len() / 2;
        let folded: Vec<u64> = (0..half).map(|i| counts[half + i] + counts[half - 1 - i]).collect();
        Self::of_magnitude_counts(max_abs, edge, &folded)
    }

    /// From counts over `[0, edge]`.
    pub(in crate::quantization) fn of_magnitude_counts(max_abs: f32, edge: f64, counts: &[u64]) -> Self {
        let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
        let half = counts.len();
        let width = edge / half.max(1) as f64;
        let mut below = Vec::with_capacity(half + 1);
        let mut sums = [0.0; 3];
        below.push(sums);
        for (bin, count) in counts.iter().enumerate() {
            let (low, high) = (bin as f64 * width, (bin + 1) as f64 * width);
            sums = add(sums, within(*count, width, low, high));
            below.push(sums);
        }
        Self {
            max_abs,
            width,
            below,
            counts,
        }
    }

    /// Count, sum and sum of squares of all magnitudes.
    pub(in crate::quantization) fn total(&self) -> [f64; 3] {
        self.below[self.counts.len()]
    }

    /// Count, sum and sum of squares of the magnitudes below `t`.
    pub(super) fn up_to(&self, t: f64) -> [f64; 3] {
        let bin = (t / self.width) as usize;
        if bin >= self.counts.len() {
            return self.total();
        }
        let low = bin as f64 * self.width;
        add(self.below[bin], within(self.counts[bin], self.width, low, t))
    }

    /// Expected mean squared error on a grid with greatest index `levels` and outermost value `threshold`.
    pub(in crate::quantization) fn expected_mse(&self, threshold: f32, levels: i32) -> f64 {
        let count = self.total()[0];
        if count == 0.0 || threshold <= 0.0 {
            return 0.0;
        }
        let step = f64::from(threshold) / f64::from(levels);
        let mut error = 0.0;
        let mut lower = [0.0; 3];
        for q in 0..=levels {
            let upper = if q == levels {
                self.total()
            } else {
                self.up_to((f64::from(q) + 0.5) * step)
            };
            let value = f64::from(q) * step;
            error +=
                (upper[2] - lower[2]) - 2.0 * value * (upper[1] - lower[1]) + value * value * (upper[0] - lower[0]);
            lower = upper;
        }
        error.max(0.0) / count
    }

    /// The bin that holds the value of 0-based `rank`: its edges.
    pub(super) fn bin_of_rank(&self, rank: usize) -> (f64, f64) {
        let bin = self
            .below
            .partition_point(|sums| sums[0] <= rank as f64)
            .clamp(1, self.counts.len())
            - 1;
        // A hair wider than the bin: a value at an edge may have been rounded to either side.
        let slack = 1e-3 * self.width;
        (bin as f64 * self.width - slack, (bin + 1) as f64 * self.width + slack)
    }

    /// The magnitude below which `share` (0 to 1) of the values lie.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let wanted = share * self.total()[0];
        let bin = self.below.partition_point(|sums| sums[0] < wanted).max(1) - 1;
        let inside = match self.counts.get(bin) {
            Some(count) if *count > 0.0 => (wanted - self.below[bin][0]) / count,
            _ => 0.0,
        };
        ((bin as f64 + inside) * self.width).min(f64::from(self.max_abs))
    }
}

/// The threshold of least mean squared error: a search over [`CANDIDATES`] on the histogram, a finer one around the best,
/// and a measurement of the best few on the values where they are at hand.
pub(super) fn least_mse(samples: &Samples, levels: i32) -> ClipChoice {
    let max_abs = samples.max_abs();
    if max_abs <= 0.0 {
        return ClipChoice {
            threshold: max_abs,
            mse: 0.0,
        };
    }
    let part = |share: f64| (f64::from(max_abs) * share) as f32;
    let best = |shares: &[f64], errors: &[f64], keep: usize| -> Vec<f64> {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by(|a, b| errors[*a].total_cmp(&errors[*b]));
        order.into_iter().take(keep).map(|i| shares[i]).collect()
    };
    let size = samples.values().map_or(0, <[f32]>::len);
    let small = samples.values().is_some() && size <= SMALL;
    let errors = |shares: &[f64]| -> Vec<f64> {
        if small {
            samples.mean_squared_errors(levels, &shares.iter().map(|s| part(*s)).collect::<Vec<_>>())
        } else {
            let magnitudes = samples.magnitudes();
            let expected = |share: &f64| magnitudes.expected_mse(part(*share), levels);
            shares.par_iter().with_min_len(64).map(expected).collect()
        }
    };
    let mut shares: Vec<f64> = (1..=CANDIDATES).map(|i| i as f64 / CANDIDATES as f64).collect();
    let mut all = errors(&shares);
    let unclipped = all[CANDIDATES - 1];
    let finer: Vec<f64> = best(&shares, &all, 3)
        .into_iter()
        .flat_map(|share| (-9..=9).map(move |i| share + f64::from(i) / (10.0 * CANDIDATES as f64)))
        .filter(|share| *share > 0.0 && *share <= 1.0)
        .collect();
    all.extend(errors(&finer));
    shares.extend(finer);
    let keep = if size >= LARGE { SHORTLIST_OF_LARGE } else { SHORTLIST };
    let mut shortlist: Vec<f32> = best(&shares, &all, keep).into_iter().map(part).collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    if unclipped <= HOPELESS * least {
        shortlist.push(max_abs);
    }
    let measured = samples.mean_squared_errors(levels, &shortlist);
    let winner = (shortlist.into_iter().zip(measured)).min_by(|a, b| a.1.total_cmp(&b.1));
    let (threshold, mse) = winner.unwrap_or((max_abs, unclipped));
    ClipChoice { threshold, mse }
}

/// Count, sum and sum of squares between `low` and `high` of `count` values spread evenly over `width`.
fn within(count: f64, width: f64, low: f64, high: f64) -> [f64; 3] {
    if width <= 0.0 {
        return [count, 0.0, 0.0];
    }
    let density = count / width;
    [
        density * (high - low),
        density * (high * high - low * low) / 2.0,
        density * (high * high * high - low * low * low) / 3.0,
    ]
}

fn add(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread values on `[-1, 1]`, threshold 1, n levels: every cell is uniform, so the error is d^2/12 but for the
    /// outermost half cells, which are the same.
    #[test]
    fn evenly_spread_values_cost_a_twelfth_of_a_step_squared() {
        let values: Vec<f32> = (0..100_001).map(|i| i as f32 / 50_000.0 - 1.0).collect();
        let samples = Samples::of_values(&values);
        let magnitudes = samples.magnitudes();
        for levels in [1, 3, 7, 127] {
            let step = 1.0 / f64::from(levels);
            let expected = step * step / 12.0;
            let found = magnitudes.expected_mse(1.0, levels);
            assert!(
                (found / expected - 1.0).abs() < 2e-3,
                "{levels} levels: {found} {expected}"
            );
        }
    }

    #[test]
    fn values_beyond_the_threshold_cost_their_distance_squared() {
        let mut values = vec![0.0_f32; 99];
        values.push(3.0);
        let samples = Samples::of_values(&values);
        let magnitudes = samples.magnitudes();
        assert!((magnitudes.expected_mse(1.0, 7) - 4.0 / 100.0).abs() < 1e-3);
    }
}
