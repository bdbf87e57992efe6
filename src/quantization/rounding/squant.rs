//! SQuant (Guo et al., ICLR 2022, arXiv 2202.07471): rounding without data that keeps sums of errors small.
//!
//! The expected error of a layer's outputs is least where the rounding errors of each kernel, and of each output channel, add up
//! to nearly nothing (section 3: the Hessian approximated by an element-wise, a kernel-wise and a channel-wise part). With
//! `e = code - w / scale`:
//!
//! 1. nearest rounding;
//! 2. in each kernel (one input channel of one output channel) the `round(|sum e|)` codes with the largest error of the sum's
//!    sign flip to their other neighbour, so that `|sum e| <= 1/2`;
//! 3. in each output channel single codes flip, kernel by kernel from the largest `|sum|` of the sign of the channel's sum,
//!    until the channel's `|sum e| <= 1/2` too.
//!
//! In a matrix each kernel is one weight, so that only step 3 acts. With scales in blocks a block takes the part of the output
//! channel: errors of different scales do not add up. Linear time but for sorting a channel's kernels; ties go to the first.

use super::super::layer_error::Expanded;
use super::super::{Grid, PlacedScales};
use crate::network::OutAxis;
use rayon::prelude::*;
use std::ops::Range;

/// The codes of all weights.
pub(super) fn round(split: Expanded<'_>, grid: Grid, scales: PlacedScales<'_>) -> Vec<i8> {
    let mut codes = vec![0_i8; split.values.len()];
    let layout = split.layout;
    let row = layout.channels * layout.inner;
    if row == 0 {
        return codes;
    }
    match layout.out_axis {
        OutAxis::Outer => codes
            .par_chunks_mut(row)
            .zip(split.values.par_chunks(row))
            .with_min_len((1 << 12) / row + 1)
            .enumerate()
            .for_each_init(Work::default, |work, (number, (codes, weights))| {
                for (range, scale) in scales.runs(number) {
                    let grid = scale.grid(grid);
                    let kernels = Kernels {
                        start: range.start % layout.inner,
                        length: layout.inner,
                    };
                    work.round(&weights[range.clone()], kernels, grid, &mut codes[range]);
                }
            }),
        // Output channels are columns: each is gathered, rounded and put back.
        OutAxis::Inner => {
            let columns: Vec<Vec<i8>> = (0..layout.groups * layout.outer * layout.inner)
                .into_par_iter()
                .map_init(Work::default, |work, number| {
                    let (row_number, column) = (number / layout.inner, number % layout.inner);
                    let rows = &split.values[row_number * row..][..row];
                    let weights: Vec<f32> = rows.iter().skip(column).step_by(layout.inner).copied().collect();
                    let mut codes = vec![0; weights.len()];
                    for (range, scale) in scales.of_column(row_number, column) {
                        let grid = scale.grid(grid);
                        let kernels = Kernels { start: 0, length: 1 };
                        work.round(&weights[range.clone()], kernels, grid, &mut codes[range]);
                    }
                    codes
                })
                .collect();
            for (number, column_codes) in columns.iter().enumerate() {
                let first = number / layout.inner * row + number % layout.inner;
                let places = codes[first..].iter_mut().step_by(layout.inner);
                places.zip(column_codes).for_each(|(to, code)| *to = *code);
            }
        }
    }
    codes
}

/// How a run of weights is cut into kernels.
#[derive(Clone, Copy)]
struct Kernels {
    /// Place of the first weight in its kernel.
    start: usize,
    /// Weights of a kernel.
    length: usize,
}

impl Kernels {
    /// The places of kernel `number` among the first `count` weights.
    fn places(self, number: usize, count: usize) -> Range<usize> {
        let first = (number * self.length).saturating_sub(self.start);
        let last = ((number + 1) * self.length - self.start).min(count);
        first..last
    }

    /// Kernels that `count` weights are of.
    fn count(self, count: usize) -> usize {
        (self.start + count).div_ceil(self.length)
    }
}

/// Memory that the channels of one thread use in turn.
#[derive(Default)]
struct Work {
    /// Errors of the codes, in steps.
    errors: Vec<f32>,
    /// Sums of the errors of each kernel.
    sums: Vec<f64>,
    /// Places or kernels in the order in which they flip.
    order: Vec<usize>,
}

impl Work {
    /// Rounds the weights of one output channel, or of a block of one.
    fn round(&mut self, weights: &[f32], kernels: Kernels, grid: Grid, codes: &mut [i8]) {
        grid.indices(weights, codes);
        self.errors.clear();
        let error = |(code, weight): (&i8, &f32)| {
            let error = (i32::from(*code) - grid.zero()) as f32 - weight / grid.step;
            if error.is_finite() { error } else { 0.0 }
        };
        self.errors.extend(codes.iter().zip(weights).map(error));
        self.sums.clear();
        for number in 0..kernels.count(weights.len()) {
            let sum = self.flip_kernel(kernels.places(number, weights.len()), grid, codes);
            self.sums.push(sum);
        }
        self.flip_channel(kernels, grid, codes);
    }

    /// Step 2 for the kernel at `places`; what its errors then add up to.
    fn flip_kernel(&mut self, places: Range<usize>, grid: Grid, codes: &mut [i8]) -> f64 {
        let sum: f64 = self.errors[places.clone()].iter().map(|error| f64::from(*error)).sum();
        let flips = (sum.abs() + 0.5).floor() as usize;
        if places.len() < 2 || flips == 0 {
            return sum;
        }
        let sign = sum.signum();
        let errors = &self.errors;
        self.order.clear();
        self.order
            .extend(places.filter(|place| can_flip(errors[*place], codes[*place], sign, grid)));
        let size = |place: &usize| errors[*place].abs();
        self.order.sort_by(|a, b| size(b).total_cmp(&size(a)));
        self.order.truncate(flips);
        for place in &self.order {
            flip(&mut self.errors[*place], &mut codes[*place], sign);
        }
        sum - sign * self.order.len() as f64
    }

    /// Step 3.
    fn flip_channel(&mut self, kernels: Kernels, grid: Grid, codes: &mut [i8]) {
        let mut total: f64 = self.sums.iter().sum();
        if total.abs() <= 0.5 {
            return;
        }
        let sign = total.signum();
        let sums = &self.sums;
        self.order.clear();
        self.order
            .extend((0..sums.len()).filter(|kernel| sums[*kernel] * sign > 0.0));
        self.order.sort_by(|a, b| sums[*b].abs().total_cmp(&sums[*a].abs()));
        for number in &self.order {
            if total * sign <= 0.5 {
                return;
            }
            let errors = &self.errors;
            let mut best: Option<usize> = None;
            for place in kernels.places(*number, codes.len()) {
                let larger = best.is_none_or(|best| errors[place].abs() > errors[best].abs());
                if larger && can_flip(errors[place], codes[place], sign, grid) {
                    best = Some(place);
                }
            }
            if let Some(place) = best {
                flip(&mut self.errors[place], &mut codes[place], sign);
                total -= sign;
            }
        }
    }
}

/// Whether a code with this error can go to its other neighbour to make a sum of this sign smaller.
fn can_flip(error: f32, code: i8, sign: f64, grid: Grid) -> bool {
    let other = i32::from(code) - sign as i32;
    f64::from(error) * sign > 0.0 && (grid.low()..=grid.high()).contains(&other)
}

fn flip(error: &mut f32, code: &mut i8, sign: f64) {
    *code -= sign as i8;
    *error -= sign as f32;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Layout;
    use crate::quantization::{Bits, Granularity, Rounding, Scales, WeightSettings, plan_layer};

    const WHOLE: Grid = Grid {
        bits: 8,
        step: 1.0,
        unsigned: false,
        zero_point: None,
    };

    fn rows(outer: usize, channels: usize, inner: usize) -> Layout {
        Layout {
            groups: 1,
            outer,
            channels,
            inner,
            out_axis: OutAxis::Outer,
            out_run: 1,
        }
    }

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i as f32 * 0.618_034).fract() - 0.5) * 6.0).collect()
    }

    fn squant(values: &[f32], layout: Layout) -> Vec<i8> {
        let index: Vec<usize> = (0..layout.channels).collect();
        let split = Expanded {
            values,
            layout,
            index: &index,
        };
        round(split, WHOLE, Scales::Tensor(1.0).on(&layout))
    }

    #[test]
    fn errors_of_kernels_and_channels_add_up_to_half_a_step_at_most() {
        let layout = rows(8, 16, 9);
        let values = noise(layout.elements());
        let codes = squant(&values, layout);
        for (codes, weights) in codes.chunks(16 * 9).zip(values.chunks(16 * 9)) {
            let error = |(q, w): (&i8, &f32)| f64::from(*q) - f64::from(*w);
            let errors: Vec<f64> = codes.iter().zip(weights).map(error).collect();
            assert!(errors.iter().sum::<f64>().abs() <= 0.5 + 1e-4);
            for kernel in errors.chunks(9) {
                // A flip of step 3 may push a kernel's sum to the other side.
                assert!(kernel.iter().sum::<f64>().abs() <= 1.0 + 1e-4);
            }
            assert!(
                errors.iter().all(|error| error.abs() <= 1.0 + 1e-4),
                "only neighbours are taken"
            );
        }
    }

    /// By hand: the errors .4, .45, .35, -.2 of one kernel add up to 1, so one flips: the second.
    #[test]
    fn the_code_with_the_largest_error_flips() {
        assert_eq!(squant(&[0.6, 1.55, 2.65, 3.2], rows(1, 1, 4)), [1, 1, 3, 3]);
    }

    /// By hand: kernels of one weight, errors .4, .3, .45, .2: their sum 1.35 asks for one flip, the largest.
    #[test]
    fn in_a_matrix_only_the_channels_sum_counts() {
        assert_eq!(squant(&[0.6, 1.7, 2.55, 3.8], rows(1, 4, 1)), [1, 2, 2, 4]);
    }

    #[test]
    fn columns_are_rounded_as_rows_of_the_transposed_matrix() {
        let (inputs, outputs) = (40, 6);
        let columns = Layout {
            inner: outputs,
            out_axis: OutAxis::Inner,
            ..rows(1, inputs, 1)
        };
        let values = noise(inputs * outputs);
        let at = |(o, i): (usize, usize)| values[i * outputs + o];
        let places = (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i)));
        let transposed: Vec<f32> = places.clone().map(at).collect();
        for scales in [Granularity::Tensor, Granularity::Channel, Granularity::Block(16)] {
            let settings = WeightSettings {
                bits: Bits::Grid(4),
                scales,
                rounding: Rounding::Squant,
                ..WeightSettings::default()
            };
            let one = plan_layer(&values, &columns, &settings);
            let other = plan_layer(&transposed, &rows(outputs, inputs, 1), &settings);
            let gathered: Vec<i8> = places.clone().map(|(o, i)| one.values[i * outputs + o]).collect();
            assert_eq!(gathered, other.values, "{scales}");
        }
    }
}
