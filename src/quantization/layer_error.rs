//! What quantization does to a layer's weights, as the network sees them: copies of a channel added up.

use super::weight::Steps;
use super::{Grid, Split};
use crate::network::Layout;
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

/// Error of `indices` (the expanded weights on `grid`) against the original `values`.
pub(super) fn layer_error(
    values: &[f32],
    layout: &Layout,
    split: &Split,
    indices: &[i8],
    grid: Grid,
    steps: &Steps,
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
            || (vec![0.0_f32; row], vec![false; row]),
            |(seen, clipped), (number, ((original, indices), expanded))| {
                let group = number / layout.outer;
                merge_copies(
                    seen,
                    clipped,
                    layout,
                    split,
                    group,
                    number,
                    (indices, expanded),
                    grid,
                    steps,
                );
                let (mut signal, mut noise, mut clip_noise) = (0.0_f64, 0.0_f64, 0.0_f64);
                for ((w, seen), clipped) in original.iter().zip(seen.iter()).zip(clipped.iter()) {
                    let error = f64::from(seen - w);
                    signal += f64::from(*w) * f64::from(*w);
                    noise += error * error;
                    if *clipped {
                        clip_noise += error * error;
                    }
                }
                [signal, noise, clip_noise]
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

/// One row as the network sees it: `seen` gets the sums over copies, `clipped` whether a copy was beyond the grid.
#[allow(
    clippy::too_many_arguments,
    reason = "one row of everything; a struct would only rename them"
)]
fn merge_copies(
    seen: &mut [f32],
    clipped: &mut [bool],
    layout: &Layout,
    split: &Split,
    group: usize,
    row: usize,
    (indices, expanded): (&[i8], &[f32]),
    grid: Grid,
    steps: &Steps,
) {
    let end = grid.high() as f32 + 0.5;
    for i in 0..seen.len() {
        let step = steps.at(row, i);
        seen[i] = f32::from(indices[i]) * step;
        clipped[i] = expanded[i].abs() > end * step;
    }
    for channel in layout.channels..split.layout.channels {
        let source = split.index[group * split.layout.channels + channel] - group * layout.channels;
        let (to, from) = (source * layout.inner, channel * layout.inner);
        for i in 0..layout.inner {
            let step = steps.at(row, from + i);
            seen[to + i] += f32::from(indices[from + i]) * step;
            clipped[to + i] |= expanded[from + i].abs() > end * step;
        }
    }
}
