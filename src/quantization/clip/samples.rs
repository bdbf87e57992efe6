//! What a method may ask of the values it clips, whether they are at hand (weights) or were counted as they went by
//! (activations).

use super::magnitudes::Magnitudes;
use crate::statistics::{ActivationStatistics, Counters, histogram};
use multiversion::multiversion;
use rayon::prelude::*;
use std::sync::OnceLock;

/// Values to clip. What a method does not ask for is not computed.
pub(super) struct Samples<'a> {
    source: Source<'a>,
    max_abs: OnceLock<f32>,
    magnitudes: OnceLock<Magnitudes>,
}

enum Source<'a> {
    Values(&'a [f32]),
    Activation(&'a ActivationStatistics),
    Counted(&'a Counted),
}

/// Values that were counted: what is known of a split tensor that nobody wrote.
#[derive(Debug, Clone)]
pub(in crate::quantization) struct Counted {
    /// Least value.
    pub(in crate::quantization) min: f32,
    /// Greatest value.
    pub(in crate::quantization) max: f32,
    /// The bins cover `[-edge, edge]`.
    pub(in crate::quantization) edge: f64,
    /// Counts of an even number of equal bins.
    pub(in crate::quantization) counts: Vec<u64>,
}

impl Counted {
    fn max_abs(&self) -> f32 {
        self.min.abs().max(self.max.abs())
    }
}

/// The few sums that fits of distributions need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    /// Finite values.
    pub(super) count: f64,
    /// Least value.
    pub(super) min: f64,
    /// Greatest value.
    pub(super) max: f64,
    /// Mean of |x|.
    pub(super) mean_abs: f64,
    /// Mean of x^2.
    pub(super) mean_square: f64,
}

impl<'a> Samples<'a> {
    pub(super) fn of_values(values: &'a [f32]) -> Self {
        Self {
            source: Source::Values(values),
            max_abs: OnceLock::new(),
            magnitudes: OnceLock::new(),
        }
    }

    pub(super) fn of_activation(activation: &'a ActivationStatistics) -> Self {
        Self {
            source: Source::Activation(activation),
            max_abs: OnceLock::new(),
            magnitudes: OnceLock::new(),
        }
    }

    pub(super) fn of_counted(counted: &'a Counted) -> Self {
        Self {
            source: Source::Counted(counted),
            max_abs: OnceLock::new(),
            magnitudes: OnceLock::new(),
        }
    }

    /// Greatest finite |x|.
    pub(super) fn max_abs(&self) -> f32 {
        *self.max_abs.get_or_init(|| match self.source {
            Source::Values(values) => values
                .par_chunks(1 << 15)
                .map(greatest_magnitude)
                .reduce(|| 0.0, f32::max),
            Source::Activation(activation) => activation.max_abs(),
            Source::Counted(counted) => counted.max_abs(),
        })
    }

    /// The values themselves, where they are at hand.
    pub(super) fn values(&self) -> Option<&'a [f32]> {
        match self.source {
            Source::Values(values) => Some(values),
            Source::Activation(_) | Source::Counted(_) => None,
        }
    }

    /// Counts over `[-max_abs, max_abs]`; for an activation from its own finer histogram.
    pub(super) fn signed_counts(&self, bins: usize) -> Vec<u64> {
        let edge = f64::from(self.max_abs());
        match self.source {
            Source::Values(values) => histogram(values, -edge, edge, bins).counts,
            Source::Activation(activation) => {
                let (range, counts) = activation.bins();
                rebinned(f64::from(range), counts, edge, bins)
            }
            Source::Counted(counted) => rebinned(counted.edge, &counted.counts, edge, bins),
        }
    }

    /// Histogram of |x|.
    pub(super) fn magnitudes(&self) -> &Magnitudes {
        self.magnitudes.get_or_init(|| match self.source {
            Source::Values(values) => {
                let counts = self.magnitude_counts(values, Magnitudes::BINS);
                Magnitudes::of_magnitude_counts(self.max_abs(), f64::from(self.max_abs()), &counts)
            }
            Source::Activation(activation) => {
                let (range, counts) = activation.bins();
                Magnitudes::of_counts(activation.max_abs(), f64::from(range), counts)
            }
            Source::Counted(counted) => Magnitudes::of_counts(counted.max_abs(), counted.edge, &counted.counts),
        })
    }

    /// Counts of |x| over `[0, max_abs]`, in f32: a value within rounding of an edge may be counted beside it.
    fn magnitude_counts(&self, values: &[f32], bins: usize) -> Vec<u64> {
        let scale = bins as f32 / self.max_abs();
        let scale = if scale.is_finite() { scale } else { 0.0 };
        let counts = values
            .par_chunks(1 << 15)
            .with_min_len(2)
            .fold(
                || Counters::new(bins),
                |mut counters, chunk| {
                    count_magnitudes(chunk, scale, bins as u32, &mut counters);
                    counters
                },
            )
            .map(|counters| counters.totals().collect::<Vec<u64>>());
        counts.reduce(
            || vec![0; bins],
            |mut a, b| {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                a
            },
        )
    }

    /// Sums for fits: exact for values, from the histogram for an activation.
    pub(super) fn moments(&self) -> Moments {
        match self.source {
            Source::Values(values) => {
                let parts: Vec<[f64; 5]> = values.par_chunks(1 << 15).map(chunk_sums).collect();
                let sums = parts
                    .into_iter()
                    .fold([0.0, f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0], |a, b| {
                        [a[0] + b[0], a[1].min(b[1]), a[2].max(b[2]), a[3] + b[3], a[4] + b[4]]
                    });
                let count = sums[0].max(1.0);
                Moments {
                    count: sums[0],
                    min: sums[1].min(sums[2]),
                    max: sums[2].max(sums[1]),
                    mean_abs: sums[3] / count,
                    mean_square: sums[4] / count,
                }
            }
            Source::Activation(activation) => self.counted_moments(activation.min, activation.max),
            Source::Counted(counted) => self.counted_moments(counted.min, counted.max),
        }
    }

    /// Sums from the histogram, between known ends.
    fn counted_moments(&self, min: f32, max: f32) -> Moments {
        let [count, sum, squares] = self.magnitudes().total();
        let at_least_one = count.max(1.0);
        Moments {
            count,
            min: f64::from(min),
            max: f64::from(max),
            mean_abs: sum / at_least_one,
            mean_square: squares / at_least_one,
        }
    }

    /// Mean squared error at each threshold: measured on values, expected from the histogram for an activation.
    pub(super) fn mean_squared_errors(&self, levels: i32, thresholds: &[f32]) -> Vec<f64> {
        match self.source {
            Source::Values(values) => mean_squared_errors(values, levels, thresholds),
            Source::Activation(_) | Source::Counted(_) => thresholds
                .iter()
                .map(|t| self.magnitudes().expected_mse(*t, levels))
                .collect(),
        }
    }
}

/// Counts over `[-range, range]` as `bins` counts over `[-edge, edge]`, each old bin in that of its centre.
fn rebinned(range: f64, counts: &[u64], edge: f64, bins: usize) -> Vec<u64> {
    let mut rebinned = vec![0; bins];
    let width = 2.0 * range / counts.len().max(1) as f64;
    for (i, count) in counts.iter().enumerate() {
        let center = (i as f64 + 0.5) * width - range;
        let bin = ((center + edge) / (2.0 * edge) * bins as f64).clamp(0.0, bins as f64 - 1.0) as usize;
        rebinned[bin] += count;
    }
    rebinned
}

/// Count, least, greatest, sum of |x| and sum of x^2 of the finite values of a chunk. Blocks are summed in f32 lanes.
fn chunk_sums(chunk: &[f32]) -> [f64; 5] {
    let mut sums = [0.0, f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0];
    for block in chunk.chunks(2048) {
        let block = match block_sums(block) {
            sums if sums[4].is_finite() => sums,
            _ => wide_block_sums(block),
        };
        sums[0] += block[0];
        sums[1] = sums[1].min(block[1]);
        sums[2] = sums[2].max(block[2]);
        sums[3] += block[3];
        sums[4] += block[4];
    }
    sums
}

/// [`block_sums`] where squares are beyond f32.
fn wide_block_sums(block: &[f32]) -> [f64; 5] {
    let finite = block.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x));
    finite.fold([0.0, f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0], |sums, x| {
        [
            sums[0] + 1.0,
            sums[1].min(x),
            sums[2].max(x),
            sums[3] + x.abs(),
            sums[4] + x * x,
        ]
    })
}

#[multiversion(targets = "simd")]
fn block_sums(block: &[f32]) -> [f64; 5] {
    const LANES: usize = 16;
    let (mut abs, mut square, mut finite) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let mut add = |lane: usize, x: f32| {
        let is_finite = x.abs() < f32::INFINITY;
        let (kept, below, above, one) = if is_finite {
            (x, x, x, 1.0)
        } else {
            (0.0, f32::INFINITY, f32::NEG_INFINITY, 0.0)
        };
        finite[lane] += one;
        abs[lane] += kept.abs();
        square[lane] += kept * kept;
        low[lane] = if below < low[lane] { below } else { low[lane] };
        high[lane] = if above > high[lane] { above } else { high[lane] };
    };
    let (parts, tail) = block.as_chunks::<LANES>();
    for part in parts {
        for (lane, x) in part.iter().enumerate() {
            add(lane, *x);
        }
    }
    for (lane, x) in tail.iter().enumerate() {
        add(lane, *x);
    }
    let total = |lanes: [f32; LANES]| lanes.iter().map(|s| f64::from(*s)).sum::<f64>();
    [
        total(finite),
        f64::from(low.into_iter().fold(f32::INFINITY, f32::min)),
        f64::from(high.into_iter().fold(f32::NEG_INFINITY, f32::max)),
        total(abs),
        total(square),
    ]
}

/// The true mean squared error of `values` for each threshold, on a grid of greatest index `levels`. NaN and infinities are
/// left out.
pub fn mean_squared_errors(values: &[f32], levels: i32, thresholds: &[f32]) -> Vec<f64> {
    const BLOCK: usize = 2048;
    let sums: Vec<Vec<f64>> = values
        .par_chunks(1 << 15)
        .map(|chunk| {
            let mut sums = vec![0.0_f64; thresholds.len()];
            for block in chunk.chunks(BLOCK) {
                for (sum, &threshold) in sums.iter_mut().zip(thresholds) {
                    let (step, limit) = (threshold / levels as f32, levels as f32);
                    *sum += match squared_error(block, step, limit) {
                        error if error.is_finite() => error,
                        _ => wide_squared_error(block, step, limit),
                    };
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

/// [`squared_error`] where squares are beyond f32.
fn wide_squared_error(block: &[f32], step: f32, limit: f32) -> f64 {
    let (step, limit) = (f64::from(step), f64::from(limit));
    let finite = block.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x));
    let square = |x: f64| (x - (x / step).round_ties_even().clamp(-limit, limit) * step).powi(2);
    finite.map(square).sum()
}

/// Sum of squared errors of a short block on a grid of `step` with indices up to `limit`; infinite where squares are beyond f32.
#[multiversion(targets = "simd")]
fn squared_error(block: &[f32], step: f32, limit: f32) -> f64 {
    // Adding and taking away 1.5 * 2^23 rounds an f32 to a whole number without a call; ties cost the same either way.
    const ROUND: f32 = 12_582_912.0;
    const LANES: usize = 16;
    let inverse = 1.0 / step;
    let square = |x: f32| {
        let q = x * inverse;
        let q = if q > limit { limit } else { q };
        let q = if q < -limit { -limit } else { q };
        let error = x - ((q + ROUND) - ROUND) * step;
        if x.abs() < f32::INFINITY { error * error } else { 0.0 }
    };
    let mut lanes = [0.0_f32; LANES];
    let (parts, tail) = block.as_chunks::<LANES>();
    for part in parts {
        for lane in 0..LANES {
            lanes[lane] += square(part[lane]);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(tail) {
        *lane += square(*x);
    }
    lanes.iter().map(|s| f64::from(*s)).sum()
}

/// Greatest finite |x| of a chunk.
#[multiversion(targets = "simd")]
fn greatest_magnitude(chunk: &[f32]) -> f32 {
    const LANES: usize = 32;
    // What is not finite is 0 here; the comparison is written so that it becomes one instruction.
    let magnitude = |x: f32| if x.abs() < f32::INFINITY { x.abs() } else { 0.0 };
    let greater = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [0.0_f32; LANES];
    let (parts, tail) = chunk.as_chunks::<LANES>();
    for part in parts {
        for lane in 0..LANES {
            lanes[lane] = greater(magnitude(part[lane]), lanes[lane]);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(tail) {
        *lane = greater(magnitude(*x), *lane);
    }
    lanes.into_iter().fold(0.0, f32::max)
}

/// Counts the bins of |x| over `[0, bins / scale]`; what is no number is left out.
fn count_magnitudes(chunk: &[f32], scale: f32, bins: u32, counters: &mut Counters) {
    const BLOCK: usize = 512;
    let mut slots = [0_u32; BLOCK];
    for block in chunk.chunks(BLOCK) {
        let slots = &mut slots[..block.len()];
        magnitude_slots(block, scale, bins, slots);
        counters.add(slots);
    }
}

/// The bin of each |x|; `bins` for what is no number.
#[multiversion(targets = "simd")]
fn magnitude_slots(block: &[f32], scale: f32, bins: u32, slots: &mut [u32]) {
    // Adding 2^23 leaves a whole number in the low bits of an f32, rounded: half a bin less makes that the bin's number.
    // That takes one instruction where a cast, which is defined for every number, takes many.
    const WHOLE: f32 = 8_388_608.0;
    let last = (bins - 1) as f32;
    for (slot, x) in slots.iter_mut().zip(block) {
        let place = x.abs() * scale - 0.5;
        let place = if place > 0.0 { place } else { 0.0 };
        let place = if place < last { place } else { last };
        let bin = (place + WHOLE).to_bits() - WHOLE.to_bits();
        *slot = if x.abs() < f32::INFINITY { bin } else { bins };
    }
}
