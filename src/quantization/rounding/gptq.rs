//! GPTQ (Frantar et al. 2022, arXiv 2210.17323): weight by weight in the order of the inputs, the rounding error is pushed on
//! the weights of the same output channel that are not yet rounded.
//!
//! With `H = E[x x']` of the layer's inputs, damped by a hundredth of its mean diagonal, and `U` upper triangular with
//! `U' U = H^-1`, the error `e_j = (w_j - scale * code_j) / U_jj` moves each later weight by `-e_j U_jk` (algorithm 1, without
//! its batches of columns: here channels are batched instead). Scales are fixed before, blocks too. A row whose objective
//! `e H e'` nearest rounding beats keeps nearest rounding, so that no row is worse for it.
//!
//! Where the inputs `x` are those behind quantized layers, the outputs that are wanted are still those of the float network, `W z`
//! for its inputs `z`. The weights that come nearest to them are `W + W E[(z - x) x'] H^-1` (asymmetric calibration: Li et al.
//! 2025, GPTAQ, arXiv 2504.02692): these are rounded in place of `W`, on the grid of `W`. With `H` damped by `d` this is the least
//! `E|W z - Q x|^2 + d |Q - W|^2` over weights `Q`, and no row has more of it than with the codes nearest to `W`.

use super::super::layer_error::Expanded;
use super::super::{Grid, PlacedScale, PlacedScales};
use super::nearest;
use super::{InputMoments, NoMoments};
use crate::network::{Layout, OutAxis};
use faer::linalg::solvers::{Llt, Solve};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::{Mat, Par, Side};
use multiversion::multiversion;
use rayon::prelude::*;

/// Share of the mean diagonal of `H` that is added to it (section 4.1 of the paper).
const DAMPING: f64 = 0.01;
/// Output channels that go through the columns together, so that a row of `U` is read once for all.
const TILE: usize = 16;

/// Why a layer cannot be rounded by GPTQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotRounded {
    /// The moments of its inputs are not known.
    #[error(transparent)]
    Inputs(#[from] NoMoments),
    /// The moments are of inputs of another shape.
    #[error("its inputs are not those that were seen")]
    OtherInputs,
    /// `H` is not positive definite, in spite of the damping.
    #[error("the moments of its inputs have no Cholesky factor")]
    NoFactor,
    /// Moments beyond floats.
    #[error("its inputs were not finite")]
    NotFinite,
}

/// The codes, and what a person should know of them.
///
/// # Errors
/// Why the layer cannot be rounded this way.
pub(super) fn round(
    split: Expanded<'_>,
    grid: Grid,
    scales: PlacedScales<'_>,
    inputs: &InputMoments,
) -> Result<(Vec<i8>, Option<String>), NotRounded> {
    let layout = split.layout;
    let columns = Columns::of(split, inputs)?;
    // Where nothing better is found, the nearest code stays.
    let mut codes = nearest::round(split, grid, scales);
    let row = layout.channels * layout.inner;
    if row == 0 {
        return Ok((codes, None));
    }
    let aims = columns.aims(split, inputs)?;
    let split = Expanded {
        values: aims.as_deref().unwrap_or(split.values),
        ..split
    };
    for group in 0..layout.groups {
        for places in columns.blocks(group) {
            let factor = Factor::of(&places, group, inputs)?;
            let rows = group * layout.outer..(group + 1) * layout.outer;
            match layout.out_axis {
                OutAxis::Outer => {
                    let part = rows.start * row..rows.end * row;
                    let tiles = codes[part.clone()].par_chunks_mut(TILE * row);
                    tiles
                        .zip(split.values[part].par_chunks(TILE * row))
                        .enumerate()
                        .for_each(|(tile, (codes, weights))| {
                            let first = rows.start + tile * TILE;
                            let lines: Vec<Line> = (0..weights.len() / row).map(|line| Line::row(line, row)).collect();
                            factor.round(&places, weights, codes, &lines, grid, |line, place| {
                                scales.both_at(first + line, place)
                            });
                        });
                }
                // Output channels are columns of each row of the layout (there is one).
                OutAxis::Inner => {
                    for number in rows {
                        let part = number * row..(number + 1) * row;
                        let weights = &split.values[part.clone()];
                        let tiles: Vec<(Vec<Line>, Vec<i8>)> = (0..layout.inner.div_ceil(TILE))
                            .into_par_iter()
                            .map(|tile| {
                                let outputs = tile * TILE..((tile + 1) * TILE).min(layout.inner);
                                let lines: Vec<Line> =
                                    outputs.map(|column| Line::column(column, layout.inner)).collect();
                                let mut own = codes[part.clone()].to_vec();
                                factor.round(&places, weights, &mut own, &lines, grid, |line, place| {
                                    scales.both_at(number, place * layout.inner + lines[line].start)
                                });
                                let gathered = lines
                                    .iter()
                                    .flat_map(|line| places.iter().map(|place| own[line.at(place.0)]));
                                let gathered = gathered.collect();
                                (lines, gathered)
                            })
                            .collect();
                        for (lines, gathered) in tiles {
                            let targets = lines
                                .iter()
                                .flat_map(|line| places.iter().map(|place| line.at(place.0)));
                            for (at, code) in targets.zip(gathered) {
                                codes[number * row + at] = code;
                            }
                        }
                    }
                }
            }
        }
    }
    Ok((codes, columns.note))
}

/// Where the weights of one output channel lie in a run of weights.
#[derive(Clone, Copy)]
struct Line {
    start: usize,
    stride: usize,
}

impl Line {
    fn row(number: usize, length: usize) -> Self {
        Self {
            start: number * length,
            stride: 1,
        }
    }

    fn column(number: usize, stride: usize) -> Self {
        Self { start: number, stride }
    }

    fn at(self, place: usize) -> usize {
        self.start + place * self.stride
    }
}

/// A weight of an output channel: its place, and the input that it meets.
type Place = (usize, usize);

/// Which input each weight of an output channel meets.
struct Columns<'a> {
    layout: Layout,
    index: &'a [usize],
    /// Weights of an output channel for each input channel.
    kernel: usize,
    /// Input channels of a group before splitting.
    channels: usize,
    block: usize,
    note: Option<String>,
}

impl<'a> Columns<'a> {
    fn of(split: Expanded<'a>, inputs: &InputMoments) -> Result<Self, NotRounded> {
        let kernel = match split.layout.out_axis {
            OutAxis::Outer => split.layout.inner.max(1),
            OutAxis::Inner => 1,
        };
        if inputs.rows() == 0 || !inputs.columns().is_multiple_of(kernel) {
            return Err(NoMoments::Unknown.into());
        }
        let channels = inputs.columns() / kernel;
        let known = split.layout.groups * channels;
        if channels > split.layout.channels || split.index.iter().any(|source| *source >= known) {
            return Err(NotRounded::OtherInputs);
        }
        let blocks = inputs.columns().div_ceil(inputs.block());
        Ok(Self {
            layout: split.layout,
            index: split.index,
            kernel,
            channels,
            block: inputs.block(),
            note: (blocks > 1).then(|| {
                let size = inputs.block();
                format!("GPTQ in {blocks} blocks of {size} inputs: their moments together would be too large")
            }),
        })
    }

    /// The weights of an output channel, apart by the blocks of moments that their inputs are in. Copies of a channel meet the same
    /// input.
    fn blocks(&self, group: usize) -> Vec<Vec<Place>> {
        let mut blocks = vec![Vec::new(); (self.channels * self.kernel).div_ceil(self.block)];
        for channel in 0..self.layout.channels {
            let source = self.index[group * self.layout.channels + channel] - group * self.channels;
            for k in 0..self.kernel {
                let input = source * self.kernel + k;
                blocks[input / self.block].push((channel * self.kernel + k, input));
            }
        }
        blocks
    }
}

impl Columns<'_> {
    /// The weights to round in place of the split ones, so that the outputs come nearest to those of the float network; `None`
    /// where the inputs are the same in both. What a weight moves by is shared out among its copies.
    fn aims(&self, split: Expanded<'_>, inputs: &InputMoments) -> Result<Option<Vec<f32>>, NotRounded> {
        if !inputs.is_shifted() {
            return Ok(None);
        }
        let layout = self.layout;
        let row = layout.channels * layout.inner;
        let mut aims = split.values.to_vec();
        for group in 0..layout.groups {
            for places in self.blocks(group) {
                let Some(first) = places.iter().map(|(_, input)| *input).min() else {
                    continue;
                };
                let last = places.iter().map(|(_, input)| *input).max().unwrap_or(first);
                let size = last + 1 - first;
                let mut copies = vec![0.0_f64; size];
                places.iter().for_each(|(_, input)| copies[input - first] += 1.0);
                let rows = group * layout.outer..(group + 1) * layout.outer;
                let lines: Vec<(usize, Line)> = match layout.out_axis {
                    OutAxis::Outer => rows.map(|number| (number * row, Line::row(0, row))).collect(),
                    OutAxis::Inner => rows
                        .flat_map(|number| {
                            (0..layout.inner).map(move |column| (number * row, Line::column(column, layout.inner)))
                        })
                        .collect(),
                };
                let mut whole = Mat::<f64>::zeros(lines.len(), size);
                for (number, (start, line)) in lines.iter().enumerate() {
                    for (place, input) in &places {
                        whole[(number, input - first)] += f64::from(split.values[start + line.at(*place)]);
                    }
                }
                let shift = Mat::from_fn(size, size, |i, j| {
                    inputs.shift(group, first + i, first + j).unwrap_or(0.0)
                });
                let mut moves = (whole * shift).transpose().to_owned();
                let damping = damping(size, |i| inputs.moment(group, first + i, first + i))?;
                let moments = Mat::from_fn(size, size, |i, j| {
                    inputs.moment(group, first + i, first + j) + if i == j { damping } else { 0.0 }
                });
                let llt = Llt::new(moments.as_ref(), Side::Lower).map_err(|_| NotRounded::NoFactor)?;
                llt.solve_in_place(moves.as_mut());
                for (number, (start, line)) in lines.iter().enumerate() {
                    for (place, input) in &places {
                        let moved = moves[(input - first, number)] / copies[input - first];
                        aims[start + line.at(*place)] += moved as f32;
                    }
                }
            }
        }
        let finite = aims.iter().all(|weight| weight.is_finite());
        finite.then_some(Some(aims)).ok_or(NotRounded::NotFinite)
    }
}

/// What is added to the diagonal of `H`: a share of its mean.
fn damping(size: usize, diagonal: impl Fn(usize) -> f64) -> Result<f64, NotRounded> {
    let mean = (0..size).map(diagonal).sum::<f64>() / size.max(1) as f64;
    if !mean.is_finite() {
        return Err(NotRounded::NotFinite);
    }
    // An input that is always 0 has no say: its weights are rounded to nearest.
    Ok(if mean > 0.0 { DAMPING * mean } else { 1.0 })
}

/// `U`, upper triangular with `U' U = H^-1`.
struct Factor {
    /// Row j begins at its diagonal.
    upper: Vec<Vec<f32>>,
}

impl Factor {
    fn of(places: &[Place], group: usize, inputs: &InputMoments) -> Result<Self, NotRounded> {
        let size = places.len();
        let damping = damping(size, |i| inputs.moment(group, places[i].1, places[i].1))?;
        let moment = |i: usize, j: usize| {
            let own = if i == j { damping } else { 0.0 };
            inputs.moment(group, places[i].1, places[j].1) + own
        };
        // With the rows and columns of H in reverse order, P H P = L L': then U = P L^-1 P is upper triangular and U' U = H^-1.
        let reversed = Mat::from_fn(size, size, |i, j| moment(size - 1 - i, size - 1 - j));
        let llt = Llt::new(reversed.as_ref(), Side::Lower).map_err(|_| NotRounded::NoFactor)?;
        let mut inverse = Mat::<f64>::zeros(size, size);
        invert_lower_triangular(inverse.as_mut(), llt.L(), Par::rayon(0));
        let row = |row: usize| {
            let of = |column: usize| inverse[(size - 1 - row, size - 1 - column)] as f32;
            (row..size).map(of).collect()
        };
        Ok(Self {
            upper: (0..size).map(row).collect(),
        })
    }

    /// Rounds the `lines` of `weights` at `places`; `codes` hold the nearest codes, and keep them where they are better.
    /// `scale` says the scale of a place of a line.
    ///
    /// The objective `e H e'` of errors e is the sum of the squares of `e U^-1`, which the same elimination gives for the errors
    /// of nearest rounding.
    fn round(
        &self,
        places: &[Place],
        weights: &[f32],
        codes: &mut [i8],
        lines: &[Line],
        grid: Grid,
        scale: impl Fn(usize, usize) -> PlacedScale,
    ) {
        let size = places.len();
        // Of each line: the weights that are left to round, and the errors of the nearest codes.
        let mut left: Vec<f32> = Vec::with_capacity(lines.len() * size);
        let mut nearest: Vec<f32> = Vec::with_capacity(lines.len() * size);
        for (number, line) in lines.iter().enumerate() {
            for (place, _) in places {
                let at = line.at(*place);
                left.push(weights[at]);
                nearest.push(weights[at] - scale(number, *place).value(codes[at]));
            }
        }
        let mut chosen = vec![0_i8; lines.len() * size];
        let mut objectives = vec![[0.0_f64; 2]; lines.len()];
        for (column, (place, _)) in places.iter().enumerate() {
            let upper = &self.upper[column];
            for (line, objectives) in objectives.iter_mut().enumerate() {
                let rest = line * size + column..(line + 1) * size;
                let grid = scale(line, *place).grid(grid);
                let left = &mut left[rest.clone()];
                let code = grid.index(left[0]);
                chosen[line * size + column] = code as i8;
                let error = (left[0] - grid.value(code)) / upper[0];
                subtract(left, upper, error);
                let nearest = &mut nearest[rest];
                let nearest_error = nearest[0] / upper[0];
                subtract(nearest, upper, nearest_error);
                objectives[0] += f64::from(error).powi(2);
                objectives[1] += f64::from(nearest_error).powi(2);
            }
        }
        for (number, (line, [pushed, nearest])) in lines.iter().zip(objectives).enumerate() {
            if pushed < nearest {
                for (column, (place, _)) in places.iter().enumerate() {
                    codes[line.at(*place)] = chosen[number * size + column];
                }
            }
        }
    }
}

/// `from -= factor * row`, place by place.
#[multiversion(targets = "simd")]
fn subtract(from: &mut [f32], row: &[f32], factor: f32) {
    for (from, row) in from.iter_mut().zip(row) {
        *from -= factor * row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::{Bits, Buffers, Granularity, QuantizedLayer, Rounding, WeightSettings, plan_layer_in};
    use proptest::prelude::*;

    fn numbers(n: usize, seed: f32) -> Vec<f32> {
        (0..n)
            .map(|i| (((i as f32 + seed) * 0.618_034).fract() - 0.5).powi(3))
            .collect()
    }

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

    /// Inputs of which neighbours are alike, as pixels are.
    fn moments(columns: usize, seed: f32) -> InputMoments {
        let mut moments = InputMoments::new(1, columns);
        for row in 0..3 * columns {
            let noise = numbers(columns, seed + 7.3 * row as f32);
            let smooth: Vec<f32> = (0..columns)
                .map(|i| 0.2 + noise[i] + noise[(i + 1) % columns] + noise[0])
                .collect();
            moments.add(0, &smooth);
        }
        moments
    }

    fn plan(
        values: &[f32],
        layout: &Layout,
        rounding: Rounding,
        scales: Granularity,
        ratio: f64,
        inputs: &InputMoments,
    ) -> QuantizedLayer {
        let settings = WeightSettings {
            bits: Bits::Grid(3),
            expand_ratio: ratio,
            scales,
            rounding,
            ..WeightSettings::default()
        };
        plan_layer_in(&Buffers::default(), values, layout, &settings, Ok(inputs))
    }

    /// `tr(E H E')` straight from its definition, for the weights that the network sees.
    fn objective(values: &[f32], layout: &Layout, planned: &QuantizedLayer, inputs: &InputMoments) -> f64 {
        let (columns, width) = (layout.channels * layout.inner, planned.layout.channels * layout.inner);
        let placed = planned.scales.on(&planned.layout);
        let mut sum = 0.0;
        for row in 0..layout.outer {
            let mut error: Vec<f64> = values[row * columns..][..columns]
                .iter()
                .map(|w| f64::from(*w))
                .collect();
            for place in 0..width {
                let source = planned.index[place / layout.inner] * layout.inner + place % layout.inner;
                error[source] -= f64::from(planned.values[row * width + place]) * f64::from(placed.at(row, place));
            }
            for i in 0..columns {
                for j in 0..columns {
                    sum += error[i] * error[j] * inputs.moment(0, i, j);
                }
            }
        }
        sum
    }

    /// Another way to the same codes: the paper's derivation, optimal brain surgery with a fixed order, inverting what is left
    /// of H anew for each column.
    #[test]
    fn codes_are_those_of_optimal_brain_surgery_column_by_column() {
        let (layout, columns) = (rows(4, 6, 2), 12);
        let values = numbers(layout.elements(), 0.5);
        let inputs = moments(columns, 0.0);
        let planned = plan(&values, &layout, Rounding::Gptq, Granularity::Channel, 0.0, &inputs);
        let nearest = plan(&values, &layout, Rounding::Nearest, Granularity::Channel, 0.0, &inputs);
        assert_ne!(planned.values, nearest.values);
        let mean = (0..columns).map(|i| inputs.moment(0, i, i)).sum::<f64>() / columns as f64;
        let damped = |i: usize, j: usize| inputs.moment(0, i, j) + if i == j { DAMPING * mean } else { 0.0 };
        for row in 0..layout.outer {
            let mut left: Vec<f64> = values[row * columns..][..columns]
                .iter()
                .map(|w| f64::from(*w))
                .collect();
            let step = f64::from(planned.scales.values()[row]);
            let mut codes = Vec::new();
            for column in 0..columns {
                let rest = columns - column;
                let h = Mat::from_fn(rest, rest, |i, j| damped(column + i, column + j));
                let inverse =
                    Llt::new(h.as_ref(), Side::Lower).map(|llt| faer::linalg::solvers::DenseSolveCore::inverse(&llt));
                let inverse = inverse.unwrap();
                let code = (left[column] / step + 0.5).floor().clamp(-3.0, 3.0);
                codes.push(code as i8);
                let error = (left[column] - code * step) / inverse[(0, 0)];
                for j in 0..rest {
                    left[column + j] -= error * inverse[(0, j)];
                }
            }
            // A row that nearest rounding serves better keeps it.
            let own = &planned.values[row * columns..][..columns];
            assert!(
                own == codes || own == &nearest.values[row * columns..][..columns],
                "row {row}"
            );
        }
    }

    #[test]
    fn a_matrix_with_outputs_in_columns_is_rounded_as_its_transpose() {
        let (inputs, outputs) = (40, 20);
        let columns = Layout {
            inner: outputs,
            out_axis: OutAxis::Inner,
            ..rows(1, inputs, 1)
        };
        let values = numbers(inputs * outputs, 0.0);
        let places = || (0..outputs).flat_map(|o| (0..inputs).map(move |i| i * outputs + o));
        let transposed: Vec<f32> = places().map(|at| values[at]).collect();
        let seen = moments(inputs, 1.0);
        for scales in [Granularity::Tensor, Granularity::Channel, Granularity::Block(16)] {
            let one = plan(&values, &columns, Rounding::Gptq, scales, 0.0, &seen);
            let other = plan(
                &transposed,
                &rows(outputs, inputs, 1),
                Rounding::Gptq,
                scales,
                0.0,
                &seen,
            );
            let gathered: Vec<i8> = places().map(|at| one.values[at]).collect();
            assert_eq!(gathered, other.values, "{scales}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_outputs_never_change_more_than_by_nearest_rounding(seed in 0.0_f32..100.0, block in any::<bool>(), ratio in 0.0..0.4) {
            let layout = rows(5, 12, 3);
            let values = numbers(layout.elements(), seed);
            let inputs = moments(36, seed);
            let scales = if block { Granularity::Block(16) } else { Granularity::Channel };
            let [nearest, gptq] = [Rounding::Nearest, Rounding::Gptq]
                .map(|rounding| objective(&values, &layout, &plan(&values, &layout, rounding, scales, ratio, &inputs), &inputs));
            prop_assert!(gptq <= nearest * 1.000_1, "{gptq} {nearest}");
        }
    }
}
