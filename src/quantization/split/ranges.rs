//! The range of every input channel, in one parallel pass over the weights.

use crate::network::Layout;
use multiversion::multiversion;
use rayon::prelude::*;

/// Least and greatest weight of each input channel.
pub(super) fn channel_ranges(values: &[f32], layout: &Layout) -> Vec<(f32, f32)> {
    let row = layout.channels * layout.inner;
    if row == 0 || layout.outer == 0 {
        return vec![(0.0, 0.0); layout.in_channels()];
    }
    if layout.outer == 1 {
        // Rows are the groups; the channels of a row are apart, so they go to the threads.
        return values
            .par_chunks(layout.inner)
            .with_min_len((1 << 14) / layout.inner + 1)
            .map(range)
            .collect();
    }
    let places = values
        .par_chunks(row)
        .enumerate()
        .with_min_len((1 << 18) / row + 1)
        .fold(
            || Places::empty(layout.groups * row),
            |mut places, (number, values)| {
                places.widen(number / layout.outer * row, values);
                places
            },
        )
        .reduce(
            || Places::empty(layout.groups * row),
            |mine, theirs| mine.take_in(&theirs),
        );
    let lines = places.low.chunks(layout.inner).zip(places.high.chunks(layout.inner));
    lines.map(|(low, high)| (range(low).0, range(high).1)).collect()
}

/// Least and greatest weight at each place of a row, group by group: places lie side by side in memory as the weights do,
/// which channels of 3x3 kernels do not.
struct Places {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Places {
    fn empty(count: usize) -> Self {
        Self {
            low: vec![f32::INFINITY; count],
            high: vec![f32::NEG_INFINITY; count],
        }
    }

    fn widen(&mut self, first: usize, row: &[f32]) {
        widen_places(&mut self.low[first..], &mut self.high[first..], row, row);
    }

    fn take_in(mut self, other: &Self) -> Self {
        widen_places(&mut self.low, &mut self.high, &other.low, &other.high);
        self
    }
}

#[multiversion(targets = "simd")]
fn widen_places(low: &mut [f32], high: &mut [f32], lower: &[f32], higher: &[f32]) {
    for ((low, high), (a, b)) in low.iter_mut().zip(high).zip(lower.iter().zip(higher)) {
        // Not `if`: a choice between what stands there and another number becomes a masked store, which takes a dozen cycles
        // on an AVX2 machine of AMD.
        *low = low.min(*a);
        *high = high.max(*b);
    }
}

/// Least and greatest of a line.
#[multiversion(targets = "simd")]
fn range(line: &[f32]) -> (f32, f32) {
    const LANES: usize = 16;
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let mut widen = |lane: usize, x: f32| {
        low[lane] = if x < low[lane] { x } else { low[lane] };
        high[lane] = if x > high[lane] { x } else { high[lane] };
    };
    let (parts, tail) = line.as_chunks::<LANES>();
    for part in parts {
        for (lane, x) in part.iter().enumerate() {
            widen(lane, *x);
        }
    }
    for (lane, x) in tail.iter().enumerate() {
        widen(lane, *x);
    }
    (
        low.into_iter().fold(f32::INFINITY, f32::min),
        high.into_iter().fold(f32::NEG_INFINITY, f32::max),
    )
}
