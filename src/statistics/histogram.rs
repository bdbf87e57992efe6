//! Exact counts over any range.

use super::Counters;
use crate::onnx::FloatSource;
use multiversion::multiversion;
use rayon::prelude::*;

/// Counts of elements in equal bins over `[low, high]`; the last bin holds `high` too.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Lower end of the first bin.
    pub low: f64,
    /// Upper end of the last bin.
    pub high: f64,
    /// Elements in each bin.
    pub counts: Vec<u64>,
    /// Elements below `low`.
    pub below: u64,
    /// Elements above `high`.
    pub above: u64,
    /// Elements that are NaN.
    pub nan: u64,
}

/// Elements of a task: its counters must not cost more than its elements.
const TASK: usize = 1 << 16;

impl Histogram {
    pub(super) fn empty(low: f64, high: f64, bins: usize) -> Self {
        Self {
            low,
            high,
            counts: vec![0; bins.max(1)],
            below: 0,
            above: 0,
            nan: 0,
        }
    }

    /// Width of a bin.
    pub fn bin_width(&self) -> f64 {
        (self.high - self.low) / self.counts.len() as f64
    }

    /// All elements counted: inside, below, above and NaN.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.below + self.above + self.nan
    }

    pub(super) fn count(mut self, values: &[f32]) -> Self {
        const BLOCK: usize = 256;
        let bins = self.counts.len();
        let scale = bins as f64 / (self.high - self.low);
        let mut counters = Counters::new(bins + 4);
        let mut slots = [0_u32; BLOCK];
        for block in values.chunks(BLOCK) {
            let slots = &mut slots[..block.len()];
            find_slots(block, self.low, self.high, scale, bins as u32, slots);
            counters.add(slots);
        }
        let mut totals = counters.totals();
        for count in &mut self.counts {
            *count += totals.next().unwrap_or(0);
        }
        // A slot of its own for what lands on the upper end: it belongs to the last bin.
        self.counts[bins - 1] += totals.next().unwrap_or(0);
        self.below += totals.next().unwrap_or(0);
        self.above += totals.next().unwrap_or(0);
        self.nan += totals.next().unwrap_or(0);
        self
    }

    fn merge(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.below += other.below;
        self.above += other.above;
        self.nan += other.nan;
        self
    }
}

/// Where each value is counted: its bin, or `bins` for the upper end, one more below the range, above it, NaN.
#[multiversion(targets = "simd")]
fn find_slots(values: &[f32], low: f64, high: f64, scale: f64, bins: u32, slots: &mut [u32]) {
    // Adding 2^52 leaves the nearest whole number in the low bits of an f64; where that is above, the one below is meant. That
    // takes few instructions where a cast, which is defined for every number, takes many.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    let limit = f64::from(bins);
    for (slot, x) in slots.iter_mut().zip(values) {
        let x = f64::from(*x);
        // A range of no width has an infinite scale and makes this NaN, which is counted in the first bin.
        let place = (x - low) * scale;
        let place = if place > 0.0 { place } else { 0.0 };
        let place = if place < limit { place } else { limit };
        let shifted = place + WHOLE;
        let above = u32::from(shifted - WHOLE > place);
        let inside = (shifted.to_bits() as u32).wrapping_sub(above);
        let outside = if x < low {
            bins + 1
        } else if x > high {
            bins + 2
        } else {
            bins + 3
        };
        *slot = if x >= low && x <= high { inside } else { outside };
    }
}

/// Counts `values` in `bins` bins over `[low, high]`, in parallel. All counts together are `values.len()`.
pub fn histogram(values: &[f32], low: f64, high: f64, bins: usize) -> Histogram {
    let task = TASK.max(bins * 4);
    values
        .par_chunks(task)
        .map(|chunk| Histogram::empty(low, high, bins).count(chunk))
        .reduce(|| Histogram::empty(low, high, bins), |a, b| a.merge(&b))
}

/// Number of elements with `|x - mean| > threshold`.
pub fn outlier_count(values: &[f32], mean: f64, threshold: f64) -> u64 {
    streamed_outlier_count(values, mean, threshold)
}

/// [`outlier_count`] of numbers that are read piece by piece.
pub fn streamed_outlier_count(values: &(impl FloatSource + ?Sized), mean: f64, threshold: f64) -> u64 {
    let count = values.count();
    (0..count.div_ceil(TASK))
        .into_par_iter()
        .map_init(Vec::new, |scratch, task| {
            let start = task * TASK;
            let values = values.piece(start..count.min(start + TASK), scratch).iter();
            let beyond = |x: &&f32| (f64::from(**x) - mean).abs() > threshold;
            values.filter(beyond).count() as u64
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_are_exact_and_add_up(
            values in proptest::collection::vec(prop_oneof![9 => -2.0_f32..2.0, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)], 0..400),
            low in -2.5_f64..0.0, width in 0.01_f64..4.0, bins in 1_usize..40,
        ) {
            let high = low + width;
            let fast = histogram(&values, low, high, bins);
            prop_assert_eq!(fast.total(), values.len() as u64);
            let edge = |i: usize| low + width * i as f64 / bins as f64;
            for (i, count) in fast.counts.iter().enumerate() {
                // An element closer to an edge than f64 can tell may count on either side.
                let near = |x: f64| (x - edge(i)).abs() < 1e-12 || (x - edge(i + 1)).abs() < 1e-12;
                let inside = |x: f64| x >= edge(i) && (x < edge(i + 1) || (i + 1 == bins && x <= high));
                let sure = values.iter().filter(|x| inside(f64::from(**x)) && !near(f64::from(**x))).count() as u64;
                let unsure = values.iter().filter(|x| near(f64::from(**x))).count() as u64;
                prop_assert!((sure..=sure + unsure).contains(count));
            }
            prop_assert_eq!(fast.below, values.iter().filter(|x| f64::from(**x) < low).count() as u64);
            prop_assert_eq!(fast.above, values.iter().filter(|x| f64::from(**x) > high).count() as u64);
        }
    }

    #[test]
    fn the_ends_of_the_range_are_inside_it() {
        let h = histogram(&[-1.0, 1.0, 0.999], -1.0, 1.0, 4);
        assert_eq!(h.counts, [1, 0, 0, 2]);
        assert_eq!((h.below, h.above), (0, 0));
    }

    #[test]
    fn a_range_of_one_point_counts_that_point() {
        let h = histogram(&[0.5, 0.5, 1.0], 0.5, 0.5, 8);
        assert_eq!((h.counts[0], h.above), (2, 1));
    }

    #[test]
    fn outliers_lie_beyond_the_threshold_on_either_side() {
        assert_eq!(outlier_count(&[-5.0, -1.0, 0.0, 1.0, 4.5, f32::NAN], 0.0, 4.0), 2);
    }
}
