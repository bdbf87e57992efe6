//! What quantization does to a layer's weights, as the network sees them: copies of a channel added up.

use super::{Grid, PlacedScales};
use crate::network::Layout;
use multiversion::multiversion;
use rayon::prelude::*;

/// Error of a quantized layer against its original weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LayerError {
    /// Mean squared error over the original elements.
    pub(super) mse: f64,
    /// The part from elements of which a copy was clipped.
    pub(super) clip_mse: f64,
    /// Signal to quantization noise, decibels.
    pub(super) sqnr_db: f64,
}

/// The expanded weights of a layer before the grid.
#[derive(Clone, Copy)]
pub(super) struct Expanded<'a> {
    /// Elements, as `layout` says.
    pub(super) values: &'a [f32],
    pub(super) layout: Layout,
    /// The input channel that each channel copies.
    pub(super) index: &'a [usize],
}

/// Error of `indices` (the expanded weights on `grid`) against the original `values`.
pub(super) fn layer_error(
    values: &[f32],
    layout: &Layout,
    split: Expanded<'_>,
    indices: &[i8],
    grid: Grid,
    scales: PlacedScales<'_>,
) -> LayerError {
    let (row, expanded_row) = (layout.channels * layout.inner, split.layout.channels * layout.inner);
    if row == 0 || values.is_empty() {
        return LayerError {
            mse: 0.0,
            clip_mse: 0.0,
            sqnr_db: f64::INFINITY,
        };
    }
    let rows: Vec<[f64; 3]> = values
        .par_chunks(row)
        .zip(indices.par_chunks(expanded_row))
        .zip(split.values.par_chunks(expanded_row))
        .with_min_len((1 << 14) / row + 1)
        .enumerate()
        .map_init(
            || Seen {
                weights: vec![0.0; row],
                clipped: vec![0.0; row],
            },
            |seen, (number, ((original, indices), expanded))| {
                seen.read(layout, split, number, indices, expanded, grid, scales);
                error_sums(original, &seen.weights, &seen.clipped)
            },
        )
        .collect();
    let [signal, noise, clip_noise] = rows
        .into_iter()
        .fold([0.0; 3], |sum, row| [sum[0] + row[0], sum[1] + row[1], sum[2] + row[2]]);
    let count = values.len() as f64;
    LayerError {
        mse: noise / count,
        clip_mse: clip_noise / count,
        sqnr_db: 10.0 * (signal / noise).log10(),
    }
    .without_nan(noise)
}

impl LayerError {
    /// A layer of zeros without error has no ratio; it has no noise either.
    fn without_nan(self, noise: f64) -> Self {
        if noise > 0.0 {
            self
        } else {
            Self {
                sqnr_db: f64::INFINITY,
                ..self
            }
        }
    }
}

/// One row as the network sees it.
struct Seen {
    /// Sums over the copies of each weight.
    weights: Vec<f32>,
    /// 1 where a copy was beyond the grid, else 0.
    clipped: Vec<f32>,
}

impl Seen {
    #[allow(
        clippy::too_many_arguments,
        reason = "one row of everything; a struct would only rename them"
    )]
    fn read(
        &mut self,
        layout: &Layout,
        split: Expanded<'_>,
        row: usize,
        indices: &[i8],
        expanded: &[f32],
        grid: Grid,
        scales: PlacedScales<'_>,
    ) {
        let is_cut = |x: f32, [low, high]: [f32; 2]| x > high || x < low;
        let width = self.weights.len();
        match scales.of_row(row) {
            Some(scale) => dequantize(
                &indices[..width],
                &expanded[..width],
                scale.grid(grid),
                &mut self.weights,
                &mut self.clipped,
            ),
            None => {
                for (run, scale) in scales.runs(row).filter(|(run, _)| run.start < width) {
                    let ends = scale.grid(grid).ends();
                    for i in run.start..run.end.min(width) {
                        self.weights[i] = scale.value(indices[i]);
                        self.clipped[i] = f32::from(u8::from(is_cut(expanded[i], ends)));
                    }
                }
            }
        }
        let group = row / layout.outer;
        for channel in layout.channels..split.layout.channels {
            let source = split.index[group * split.layout.channels + channel] - group * layout.channels;
            let (to, from) = (source * layout.inner, channel * layout.inner);
            for i in 0..layout.inner {
                let scale = scales.both_at(row, from + i);
                self.weights[to + i] += scale.value(indices[from + i]);
                if is_cut(expanded[from + i], scale.grid(grid).ends()) {
                    self.clipped[to + i] = 1.0;
                }
            }
        }
    }
}

#[multiversion(targets = "simd")]
fn dequantize(indices: &[i8], expanded: &[f32], grid: Grid, weights: &mut [f32], clipped: &mut [f32]) {
    let (step, zero, [low, high]) = (grid.step, grid.zero(), grid.ends());
    let places = weights.iter_mut().zip(clipped);
    for ((weight, clipped), (index, x)) in places.zip(indices.iter().zip(expanded)) {
        *weight = (i32::from(*index) - zero) as f32 * step;
        *clipped = if *x > high || *x < low { 1.0 } else { 0.0 };
    }
}

/// As [`error_sums`], slowly and for all numbers.
fn wide_error_sums(original: &[f32], seen: &[f32], clipped: &[f32]) -> [f64; 3] {
    let places = original.iter().zip(seen.iter().zip(clipped));
    places.fold([0.0; 3], |[signal, noise, clip_noise], (w, (seen, clipped))| {
        let (w, seen) = (f64::from(*w), f64::from(*seen));
        let error = (seen - w) * (seen - w);
        [signal + w * w, noise + error, clip_noise + error * f64::from(*clipped)]
    })
}

/// Sums of w^2, of the squared error, and of the squared error where clipped. Blocks are summed in f32 lanes.
#[multiversion(targets = "simd")]
fn error_sums(original: &[f32], seen: &[f32], clipped: &[f32]) -> [f64; 3] {
    const LANES: usize = 16;
    const BLOCK: usize = 2048;
    let mut total = [0.0_f64; 3];
    let blocks = original
        .chunks(BLOCK)
        .zip(seen.chunks(BLOCK).zip(clipped.chunks(BLOCK)));
    for (whole, (whole_seen, whole_clipped)) in blocks {
        let mut sums = [[0.0_f32; LANES]; 3];
        let mut add = |lane: usize, w: f32, seen: f32, clipped: f32| {
            let error = (seen - w) * (seen - w);
            sums[0][lane] += w * w;
            sums[1][lane] += error;
            sums[2][lane] += error * clipped;
        };
        let (original, original_tail) = whole.as_chunks::<LANES>();
        let (seen, seen_tail) = whole_seen.as_chunks::<LANES>();
        let (clipped, clipped_tail) = whole_clipped.as_chunks::<LANES>();
        for (original, (seen, clipped)) in original.iter().zip(seen.iter().zip(clipped)) {
            for (lane, (w, (seen, clipped))) in original.iter().zip(seen.iter().zip(clipped)).enumerate() {
                add(lane, *w, *seen, *clipped);
            }
        }
        let tails = original_tail.iter().zip(seen_tail.iter().zip(clipped_tail));
        for (lane, (w, (seen, clipped))) in tails.enumerate() {
            add(lane, *w, *seen, *clipped);
        }
        let sums = sums.map(|lanes| lanes.iter().map(|s| f64::from(*s)).sum::<f64>());
        // Squares of weights above 1e19 are beyond f32.
        let sums = if sums.iter().all(|sum| sum.is_finite()) {
            sums
        } else {
            wide_error_sums(whole, whole_seen, whole_clipped)
        };
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    total
}
