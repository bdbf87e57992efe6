//! The threshold of least Kullback-Leibler divergence (Migacz, *8-bit Inference with TensorRT*, 2017).
//!
//! p is the histogram with what is clipped added to its outermost bins, q what is left of it on the grid: merged to the levels
//! and spread back over the occupied bins. Nothing is spread back to a bin that holds clipped values: the grid has no level for
//! them, so that clipping costs in proportion to what is clipped. (MXNet's code, which the paper copied, does so at the right
//! end only, by an index that is one too small, and always. Without it the least divergence is that of the narrowest range, in
//! which each bin is a level: at 8 bits three quarters of the range were cut.) Where both ends are clipped, the divergence is
//! the mean of that with the left and that with the right end left empty: paid at both ends at once, clipping is half as dear
//! again, and at 3 bits a ResNet-20 lost nine points to the paper's search; this way mirrored weights have the same threshold.

use super::samples::Samples;
use rayon::prelude::*;

/// Bins over `[-max, max]`; odd, so that one is centred on zero.
const BINS: usize = 1001;
/// What every bin is given on top of its count, so that no logarithm is of zero (smoothing).
const EPSILON: f64 = 1e-4;

/// The threshold for a grid of `2 levels + 1` values.
pub(super) fn threshold(samples: &Samples, levels: i32) -> f32 {
    let max_abs = samples.max_abs();
    if max_abs <= 0.0 {
        return max_abs;
    }
    let counts = samples.signed_counts(BINS);
    let merged_levels = 2 * levels as usize + 1;
    let half = BINS / 2;
    let sums = Sums::of(&counts);
    let divergences: Vec<(usize, f64)> = (merged_levels / 2..half + 1)
        .into_par_iter()
        .with_min_len(32)
        .map(|reach| (reach, sums.divergence(reach, merged_levels)))
        .collect();
    let best = (divergences.into_iter())
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(half, |(reach, _)| reach);
    (f64::from(max_abs) * (2 * best + 1) as f64 / BINS as f64) as f32
}

/// Prefix sums over the bins: a candidate then costs a few look-ups a level, not a pass over its bins.
struct Sums {
    /// Below each bin: counts, occupied bins, and the sum of `(c + e) ln (c + e)` over them.
    below: Vec<[f64; 3]>,
}

impl Sums {
    fn of(counts: &[u64]) -> Self {
        let mut below = Vec::with_capacity(counts.len() + 1);
        let mut sums = [0.0; 3];
        below.push(sums);
        for count in counts {
            let count = *count as f64;
            sums = [
                sums[0] + count,
                sums[1] + f64::from(u8::from(count > 0.0)),
                sums[2] + entropy(count),
            ];
            below.push(sums);
        }
        Self { below }
    }

    /// Counts, occupied bins and entropy of the bins `from..to`.
    fn between(&self, from: usize, to: usize) -> [f64; 3] {
        let (a, b) = (self.below[from], self.below[to]);
        [b[0] - a[0], b[1] - a[1], b[2] - a[2]]
    }

    /// KL(p || q) when the bins within `reach` of the middle one are kept: p with what is cut off added to its outermost
    /// bins, q merged to `levels` and spread back evenly over the occupied bins of p.
    fn divergence(&self, reach: usize, levels: usize) -> f64 {
        let bins = self.below.len() - 1;
        let (first, end) = (bins / 2 - reach, bins / 2 + reach + 1);
        let cut = [self.between(0, first)[0] > 0.0, self.between(end, bins)[0] > 0.0];
        match cut {
            [true, true] => {
                let one_sided = [[true, false], [false, true]].map(|empty| self.with_empty(reach, levels, empty));
                0.5 * (one_sided[0] + one_sided[1])
            }
            empty => self.with_empty(reach, levels, empty),
        }
    }

    /// The divergence with nothing spread back to the outermost bins that are `empty`, left and right.
    fn with_empty(&self, reach: usize, levels: usize, empty: [bool; 2]) -> f64 {
        let bins = self.below.len() - 1;
        let (first, end) = (bins / 2 - reach, bins / 2 + reach + 1);
        let size = end - first;
        let (cut_left, cut_right) = (self.between(0, first)[0], self.between(end, bins)[0]);
        let kept = self.between(first, end);
        let smoothing = EPSILON * size as f64;
        let (total_p, total_q) = (kept[0] + cut_left + cut_right + smoothing, kept[0] + smoothing);
        // The two outermost bins of p hold more than was counted in them; where it is said, q has nothing there.
        let outermost = |bin: usize, extra: f64, empty: bool| {
            let count = self.between(bin, bin + 1)[0];
            let p_then = entropy(count + extra) - entropy(count);
            match empty {
                true => (p_then - (count + extra + EPSILON) * EPSILON.ln(), Some(count)),
                false => (p_then, None),
            }
        };
        let (left, right) = (
            outermost(first, cut_left, empty[0]),
            outermost(end - 1, cut_right, empty[1]),
        );
        let mut sum = kept[2] + left.0 + right.0;
        // What p holds beyond its count in an outermost bin to which q is spread as to any other.
        let beyond = [(cut_left, left.1), (cut_right, right.1)].map(|(extra, empty)| match empty {
            Some(_) => 0.0,
            None => extra,
        });
        let mut lost = 0.0;
        for level in 0..levels {
            let start = first + level * (size / levels);
            let stop = if level + 1 == levels {
                end
            } else {
                start + size / levels
            };
            let [held, mut occupied, _] = self.between(start, stop);
            let (mut p, mut bins) = (held, (stop - start) as f64);
            p += if level == 0 { beyond[0] } else { 0.0 };
            p += if level + 1 == levels { beyond[1] } else { 0.0 };
            // An outermost bin may be occupied by nothing but what was clipped.
            let filled = |bin: usize, extra: f64| extra > 0.0 && self.between(bin, bin + 1)[0] == 0.0;
            let more = [
                level == 0 && filled(first, beyond[0]),
                level + 1 == levels && filled(end - 1, beyond[1]),
            ];
            occupied += more.iter().filter(|more| **more).count() as f64;
            let ends = [(level == 0, left.1), (level + 1 == levels, right.1)];
            for count in ends
                .into_iter()
                .filter_map(|(is_end, clipped)| clipped.filter(|_| is_end))
            {
                p -= count;
                bins -= 1.0;
                occupied -= f64::from(u8::from(count > 0.0));
            }
            sum -= (bins - occupied) * EPSILON * EPSILON.ln();
            if occupied > 0.0 {
                sum -= (p + EPSILON * occupied) * (held / occupied + EPSILON).ln();
            } else {
                lost += held;
            }
        }
        sum / total_p + ((total_q - lost) / total_p).ln()
    }
}

/// `(c + e) ln (c + e)`.
fn entropy(count: f64) -> f64 {
    (count + EPSILON) * (count + EPSILON).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same divergence with lists, one step of the description after another.
    fn slow(counts: &[u64], reach: usize, levels: usize) -> f64 {
        let middle = counts.len() / 2;
        let left = counts[..middle - reach].iter().any(|count| *count > 0);
        let right = counts[middle + reach + 1..].iter().any(|count| *count > 0);
        if left && right {
            return 0.5
                * (one_sided(counts, reach, levels, [true, false]) + one_sided(counts, reach, levels, [false, true]));
        }
        one_sided(counts, reach, levels, [left, right])
    }

    fn one_sided(counts: &[u64], reach: usize, levels: usize, empty: [bool; 2]) -> f64 {
        let middle = counts.len() / 2;
        let kept: Vec<f64> = counts[middle - reach..=middle + reach]
            .iter()
            .map(|c| *c as f64)
            .collect();
        let mut p = kept.clone();
        let n = p.len();
        p[0] += counts[..middle - reach].iter().sum::<u64>() as f64;
        p[n - 1] += counts[middle + reach + 1..].iter().sum::<u64>() as f64;
        let clipped = |i: usize| (i == 0 && empty[0]) || (i == n - 1 && empty[1]);
        let mut q = vec![0.0; n];
        let width = n / levels;
        let mut start = 0;
        for j in 0..levels {
            let end = if j == levels - 1 { n } else { start + width };
            let sum: f64 = kept[start..end].iter().sum();
            let takes = |i: &usize| p[*i] > 0.0 && !clipped(*i);
            let occupied = (start..end).filter(takes).count() as f64;
            for i in (start..end).filter(takes) {
                q[i] = sum / occupied;
            }
            start = end;
        }
        let smooth = |x: &[f64]| -> Vec<f64> {
            let total: f64 = x.iter().map(|x| x + EPSILON).sum();
            x.iter().map(|x| (x + EPSILON) / total).collect()
        };
        smooth(&p).iter().zip(smooth(&q)).map(|(p, q)| p * (p / q).ln()).sum()
    }

    fn gaussian(n: u32) -> Vec<f32> {
        let mut state = 9_u64;
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

    #[test]
    fn every_candidate_has_the_divergence_of_the_direct_computation() {
        let values = gaussian(20_000);
        let counts = Samples::of_values(&values).signed_counts(BINS);
        let sums = Sums::of(&counts);
        for levels in [3, 15, 255] {
            for reach in (levels / 2..=500).step_by(7) {
                let (fast, slow) = (sums.divergence(reach, levels), slow(&counts, reach, levels));
                assert!(
                    (fast - slow).abs() <= 1e-9 * slow.abs().max(1e-6),
                    "{levels} {reach}: {fast} {slow}"
                );
            }
        }
    }

    /// `docs/method.md` says what was measured on Gaussian data at 4 bits: the KL threshold has 1.81 times the least error.
    #[test]
    fn on_a_gaussian_at_4_bits_it_costs_more_than_the_optimum_and_less_than_no_clipping() {
        let values = gaussian(1_000_000);
        let samples = Samples::of_values(&values);
        let candidates = [
            threshold(&samples, 7),
            super::super::magnitudes::least_mse(&samples, 7).threshold,
            samples.max_abs(),
        ];
        let errors = samples.mean_squared_errors(7, &candidates);
        eprintln!(
            "thresholds {candidates:?} errors {errors:?} ratio {}",
            errors[0] / errors[1]
        );
        assert!(errors[0] > errors[1] && errors[0] < errors[2]);
    }
}
