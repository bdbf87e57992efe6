//! Second moments of a layer's inputs: what GPTQ must know of them.
//!
//! A layer computes `y = W x` for each of its positions; `x` has one number for each weight of an output channel (of a group): the
//! input channels and, for a convolution, the places of the kernel below each of them. The squared error of the outputs is
//! `tr(E H E')` for an error `E` of the weights and `H = E[x x']` (Frantar et al. 2022, section 3.1).

use crate::network::{Layer, LayerKind, OutAxis};
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};

/// Inputs of an output channel beyond which moments are kept for blocks of that many only, as if inputs of different blocks
/// had nothing in common: memory and time grow with the square and the cube.
pub const MAX_COLUMNS: usize = 4608;

/// Why the second moments of a layer's inputs are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMoments {
    /// They were not gathered.
    #[error("nothing is known of its inputs")]
    Unknown,
    /// A transposed convolution.
    #[error("the inputs of a transposed convolution are not unfolded")]
    Transposed,
    /// A recurrent cell.
    #[error("the inputs of a recurrent cell are its own states")]
    Recurrent,
    /// A table.
    #[error("the rows of an embedding are looked up, not multiplied")]
    Embedding,
    /// A layer that is looked at only.
    #[error("it is not run")]
    NotRun,
    /// The layer reads no value of the graph.
    #[error("its input is not known")]
    NoInput,
    /// The graph lacks its node.
    #[error("it has no node")]
    NoNode,
    /// Those of the layers before it take all the memory that there is for them, in GiB.
    #[error("the moments of all layers' inputs would take more than {0} GiB")]
    TooLarge(u64),
}

/// `H = E[x x']` of one layer, a matrix for each group and block of inputs.
#[derive(Clone, PartialEq)]
pub struct InputMoments {
    /// Inputs of an output channel.
    columns: usize,
    /// Inputs of a block; the last may have fewer.
    block: usize,
    /// Rows x that were added, over all groups alike.
    rows: u64,
    /// For each group, for each block of it, the sum of `x x'`, row-major; only the lower triangle holds.
    sums: Vec<Vec<f32>>,
    /// In the same way the sum of `(z - x) x'`, where z are the inputs in the float network, if they are others.
    shifts: Option<Vec<Vec<f32>>>,
    /// For each group, where inputs count from their mean.
    centres: Option<Vec<Centre>>,
    /// For each group the sums of the rows as they are, x and z; empty where moments were not gathered from rows.
    firsts: Vec<[Vec<f64>; 2]>,
}

/// Where the inputs of a group are counted from: what does the mean of the outputs is left to the bias.
#[derive(Clone, PartialEq, Default)]
struct Centre {
    /// Means of the first rows, x and z: all rows are taken less these, so that large means cost no digits.
    pivots: [Vec<f32>; 2],
    /// Sums of the rows less their pivots.
    sums: [Vec<f64>; 2],
}

/// Without the matrices.
impl std::fmt::Debug for InputMoments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InputMoments")
            .field("columns", &self.columns)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl InputMoments {
    /// Nothing seen yet of `groups` groups of `columns` inputs each.
    pub fn new(groups: usize, columns: usize) -> Self {
        let parts = columns.div_ceil(MAX_COLUMNS).max(1);
        let block = columns.div_ceil(parts).max(1);
        let sizes = (0..parts).map(|part| block.min(columns - (part * block).min(columns)));
        let sizes: Vec<usize> = sizes.collect();
        Self {
            columns,
            block,
            rows: 0,
            sums: (0..groups)
                .flat_map(|_| sizes.iter().map(|size| vec![0.0; size * size]))
                .collect(),
            shifts: None,
            centres: None,
            firsts: vec![Default::default(); groups],
        }
    }

    /// The same for inputs that are others in the float network: [`InputMoments::add_pairs`] adds both. Where they are `centred`,
    /// inputs count from their mean ([`InputMoments::finish`]): for a layer whose bias takes back what the mean of its outputs
    /// moves by.
    pub fn of_pairs(groups: usize, columns: usize, centred: bool) -> Self {
        let moments = Self::new(groups, columns);
        Self {
            shifts: Some(moments.sums.clone()),
            centres: centred.then(|| vec![Centre::default(); groups]),
            ..moments
        }
    }

    /// Inputs of an output channel of `layer` before splitting.
    pub fn columns_of(layer: &Layer) -> usize {
        match layer.layout.out_axis {
            OutAxis::Outer => layer.layout.channels * layer.layout.inner,
            OutAxis::Inner => layer.layout.channels,
        }
    }

    /// Why moments of the inputs of `layer` are not gathered, if they are not.
    pub fn why_not(layer: &Layer) -> Option<NoMoments> {
        match layer.kind {
            LayerKind::Conv | LayerKind::Gemm | LayerKind::MatMul => None,
            LayerKind::ConvTranspose => Some(NoMoments::Transposed),
            LayerKind::Lstm | LayerKind::Gru | LayerKind::Rnn => Some(NoMoments::Recurrent),
            LayerKind::Embedding => Some(NoMoments::Embedding),
            LayerKind::Tensor | LayerKind::Quantized | LayerKind::Other => Some(NoMoments::NotRun),
        }
    }

    /// Bytes that the moments of `layer` take.
    pub fn bytes_of(layer: &Layer) -> u64 {
        let columns = Self::columns_of(layer) as u64;
        let parts = columns.div_ceil(MAX_COLUMNS as u64).max(1);
        let block = columns.div_ceil(parts);
        block * block * parts * 4 * layer.layout.groups as u64
    }

    /// Inputs of an output channel.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Inputs of a block.
    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// Rows that were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds rows of inputs of group `group`: `rows` is row-major `[count, columns]`. Rows of the first group are counted.
    pub fn add(&mut self, group: usize, rows: &[f32]) {
        let count = rows.len() / self.columns.max(1);
        if count == 0 {
            return;
        }
        self.add_firsts(group, 0, rows);
        self.add_products(group, rows);
    }

    /// The part of [`InputMoments::add`] that second moments need.
    fn add_products(&mut self, group: usize, rows: &[f32]) {
        let count = rows.len() / self.columns.max(1);
        let parts = self.columns.div_ceil(self.block);
        let all = MatRef::from_row_major_slice(&rows[..count * self.columns], count, self.columns);
        for part in 0..parts {
            let first = part * self.block;
            let size = self.block.min(self.columns - first);
            let Some(sum) = self.sums.get_mut(group * parts + part) else {
                return;
            };
            let x = all.subcols(first, size);
            matmul(
                MatMut::from_row_major_slice_mut(sum, size, size),
                BlockStructure::TriangularLower,
                Accum::Add,
                x.transpose(),
                BlockStructure::Rectangular,
                x,
                BlockStructure::Rectangular,
                1.0_f32,
                Par::rayon(0),
            );
        }
        if group == 0 {
            self.rows += count as u64;
        }
    }

    /// Adds rows of inputs as [`InputMoments::add`] does, and what the inputs in the float network have in common with them:
    /// `float_rows` are those at the same places. Both are used up.
    pub fn add_pairs(&mut self, group: usize, rows: &mut [f32], float_rows: &mut [f32]) {
        let count = rows.len() / self.columns.max(1);
        if count == 0 || float_rows.len() != rows.len() {
            return;
        }
        self.add_firsts(group, 0, rows);
        self.add_firsts(group, 1, float_rows);
        if let Some(centre) = self.centres.as_mut().and_then(|centres| centres.get_mut(group)) {
            for (which, rows) in [&mut *rows, &mut *float_rows].into_iter().enumerate() {
                centre.take(which, rows, self.columns);
            }
        }
        self.add_products(group, rows);
        let parts = self.columns.div_ceil(self.block);
        let Some(shifts) = &mut self.shifts else { return };
        let more: Vec<f32> = float_rows.iter().zip(&*rows).map(|(z, x)| *z - x).collect();
        let more = MatRef::from_row_major_slice(&more[..count * self.columns], count, self.columns);
        let all = MatRef::from_row_major_slice(&rows[..count * self.columns], count, self.columns);
        for part in 0..parts {
            let first = part * self.block;
            let size = self.block.min(self.columns - first);
            let Some(sum) = shifts.get_mut(group * parts + part) else {
                return;
            };
            faer::linalg::matmul::matmul(
                MatMut::from_row_major_slice_mut(sum, size, size),
                Accum::Add,
                more.subcols(first, size).transpose(),
                all.subcols(first, size),
                1.0_f32,
                Par::rayon(0),
            );
        }
    }

    fn add_firsts(&mut self, group: usize, which: usize, rows: &[f32]) {
        let Some(sums) = self.firsts.get_mut(group).map(|firsts| &mut firsts[which]) else {
            return;
        };
        sums.resize(self.columns, 0.0);
        for row in rows.chunks_exact(self.columns.max(1)) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
    }

    /// The mean of each input, group by group, in the float network and in the quantized one (the same where the inputs are): of a
    /// convolution one for each place of the kernel in each channel, with the zeros beyond the border. `None` where the moments
    /// were not gathered from rows.
    pub fn means(&self) -> Option<[Vec<f64>; 2]> {
        let of = |which: usize| -> Option<Vec<f64>> {
            let mut means = Vec::with_capacity(self.firsts.len() * self.columns);
            for [own, float] in &self.firsts {
                let sums = if which == 1 && self.is_shifted() { float } else { own };
                means.extend(sums.iter().map(|sum| sum / self.rows.max(1) as f64));
                if sums.len() != self.columns {
                    return None;
                }
            }
            Some(means)
        };
        Some([of(1)?, of(0)?])
    }

    /// Takes the means out, where the inputs count from them; once, when all rows are added.
    #[must_use]
    pub fn finish(mut self) -> Self {
        let parts = self.columns.div_ceil(self.block);
        let count = self.rows.max(1) as f64;
        for (group, centre) in self.centres.take().into_iter().flatten().enumerate() {
            let [sums, float_sums] = &centre.sums;
            if sums.is_empty() {
                continue;
            }
            for part in 0..parts {
                let first = part * self.block;
                let size = self.block.min(self.columns - first);
                let at = group * parts + part;
                let less = |matrix: Option<&mut Vec<f32>>, left: &dyn Fn(usize) -> f64| {
                    for (place, sum) in matrix.into_iter().flatten().enumerate() {
                        let (i, j) = (first + place / size, first + place % size);
                        *sum = (f64::from(*sum) - left(i) * sums[j] / count) as f32;
                    }
                };
                less(self.sums.get_mut(at), &|i| sums[i]);
                let shifts = self.shifts.as_mut().and_then(|shifts| shifts.get_mut(at));
                less(shifts, &|i| float_sums[i] - sums[i]);
            }
        }
        self
    }

    /// `E[(z - x)_i x_j]` for inputs of one block, z in the float network; `None` where both are the same.
    pub(super) fn shift(&self, group: usize, i: usize, j: usize) -> Option<f64> {
        let shifts = self.shifts.as_ref()?;
        let parts = self.columns.div_ceil(self.block);
        let part = i / self.block;
        let first = part * self.block;
        let size = self.block.min(self.columns - first);
        let sum = shifts
            .get(group * parts + part)?
            .get((i - first) * size + (j - first))?;
        Some(f64::from(*sum) / self.rows.max(1) as f64)
    }

    /// Whether the inputs in the float network are others.
    pub(super) fn is_shifted(&self) -> bool {
        self.shifts.is_some()
    }

    /// Sets what the inputs of `group` have in common: `of(i, j)` is `E[x_i x_j]`.
    pub fn set(&mut self, group: usize, of: impl Fn(usize, usize) -> f64) {
        let parts = self.columns.div_ceil(self.block);
        for part in 0..parts {
            let first = part * self.block;
            let size = self.block.min(self.columns - first);
            let Some(sum) = self.sums.get_mut(group * parts + part) else {
                return;
            };
            for i in 0..size {
                for j in 0..=i {
                    sum[i * size + j] = of(first + i, first + j) as f32;
                }
            }
        }
        self.rows = 1;
    }

    /// `tr(E H E')` for the errors E of the weights of all outputs of `group`, row-major `[outputs, columns]`: how far they move the
    /// outputs in the mean, squared and added up.
    pub fn output_error(&self, group: usize, errors: &[f32]) -> f64 {
        // `tr(E H E') = sum H_ij (E'E)_ij`, and both are symmetric.
        let mut own = Self::new(1, self.columns);
        own.add(0, errors);
        let parts = self.columns.div_ceil(self.block);
        let mut total = 0.0;
        for part in 0..parts {
            let size = self.block.min(self.columns - part * self.block);
            let (Some(moments), Some(own)) = (self.sums.get(group * parts + part), own.sums.get(part)) else {
                return total;
            };
            for i in 0..size {
                let row = i * size;
                let below: f64 = (moments[row..row + i].iter().zip(&own[row..row + i]))
                    .map(|(h, e)| f64::from(*h) * f64::from(*e))
                    .sum();
                total += 2.0 * below + f64::from(moments[row + i]) * f64::from(own[row + i]);
            }
        }
        total / self.rows.max(1) as f64
    }

    /// `E[x_i x_j]` for inputs of one block.
    pub fn moment(&self, group: usize, i: usize, j: usize) -> f64 {
        let parts = self.columns.div_ceil(self.block);
        let part = i / self.block;
        let first = part * self.block;
        let size = self.block.min(self.columns - first);
        let (low, high) = (i.min(j) - first, i.max(j) - first);
        let sum = self
            .sums
            .get(group * parts + part)
            .and_then(|sum| sum.get(high * size + low));
        f64::from(sum.copied().unwrap_or(0.0)) / self.rows.max(1) as f64
    }
}

impl Centre {
    /// Takes rows (0: x, 1: z) less their pivot into the sums.
    fn take(&mut self, which: usize, rows: &mut [f32], columns: usize) {
        let sums_of = |rows: &[f32]| {
            let mut sums = vec![0.0_f64; columns];
            for row in rows.chunks_exact(columns) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            sums
        };
        if self.pivots[which].is_empty() {
            let count = (rows.len() / columns) as f64;
            self.pivots[which] = sums_of(rows).into_iter().map(|sum| (sum / count) as f32).collect();
            self.sums[which] = vec![0.0; columns];
        }
        for row in rows.chunks_exact_mut(columns) {
            row.iter_mut()
                .zip(&self.pivots[which])
                .for_each(|(x, pivot)| *x -= pivot);
        }
        let more = sums_of(rows);
        self.sums[which]
            .iter_mut()
            .zip(more)
            .for_each(|(sum, more)| *sum += more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covariances by their definition, of inputs whose means are large beside them.
    #[test]
    fn centred_pairs_are_covariances() {
        let numbers = |seed: f64, mean: f64| -> Vec<f32> {
            (0..40 * 3)
                .map(|i| ((f64::from(i) * seed).sin() + mean * f64::from(i % 3 + 1)) as f32)
                .collect()
        };
        let (x, z) = (numbers(1.7, 300.0), numbers(2.9, 310.0));
        let mut moments = InputMoments::of_pairs(1, 3, true);
        for run in [0..10, 10..40] {
            let part = run.start * 3..run.end * 3;
            moments.add_pairs(0, &mut x[part.clone()].to_vec(), &mut z[part].to_vec());
        }
        let moments = moments.finish();
        let column = |rows: &[f32], at: usize| -> Vec<f64> { rows.chunks(3).map(|row| f64::from(row[at])).collect() };
        let covariance = |one: &[f64], other: &[f64]| {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / 40.0;
            let (m, n) = (mean(one), mean(other));
            one.iter().zip(other).map(|(a, b)| (a - m) * (b - n)).sum::<f64>() / 40.0
        };
        for i in 0..3 {
            for j in 0..3 {
                let (xi, xj) = (column(&x, i), column(&x, j));
                let more: Vec<f64> = column(&z, i).iter().zip(&xi).map(|(z, x)| z - x).collect();
                assert!((moments.moment(0, i, j) - covariance(&xi, &xj)).abs() < 1e-3, "{i} {j}");
                assert!(
                    (moments.shift(0, i, j).unwrap() - covariance(&more, &xj)).abs() < 1e-3,
                    "{i} {j}"
                );
            }
        }
    }

    #[test]
    fn rows_add_up_to_their_mean_products() {
        let mut moments = InputMoments::new(2, 3);
        moments.add(0, &[1.0, 2.0, 3.0, -1.0, 0.5, 0.0]);
        moments.add(1, &[0.0, 1.0, 1.0, 2.0, 0.0, 0.0]);
        assert_eq!((moments.rows(), moments.columns()), (2, 3));
        assert_eq!(moments.moment(0, 0, 1), (2.0 - 0.5) / 2.0);
        assert_eq!(moments.moment(0, 1, 0), (2.0 - 0.5) / 2.0);
        assert_eq!(moments.moment(0, 2, 2), 4.5);
        assert_eq!(moments.moment(1, 0, 0), 2.0);
        assert_eq!(moments.moment(1, 0, 2), 0.0);
    }

    #[test]
    fn the_output_error_is_the_mean_square_of_what_the_outputs_move_by() {
        let rows = [1.0, 2.0, 3.0, -1.0, 0.5, 0.0_f32];
        let mut moments = InputMoments::new(1, 3);
        moments.add(0, &rows);
        let errors = [0.5, -1.0, 0.25, 2.0, 0.0, 1.0_f32];
        let moved = rows.chunks(3).flat_map(|x| {
            let output = |e: &[f32]| x.iter().zip(e).map(|(x, e)| f64::from(x * e)).sum::<f64>();
            errors.chunks(3).map(move |e| output(e).powi(2))
        });
        let expected = moved.sum::<f64>() / 2.0;
        assert!((moments.output_error(0, &errors) - expected).abs() < 1e-9);
    }

    #[test]
    fn many_inputs_are_cut_into_blocks() {
        let columns = MAX_COLUMNS + 2;
        let mut moments = InputMoments::new(1, columns);
        assert_eq!(moments.block(), columns / 2);
        let row: Vec<f32> = (0..columns).map(|i| i as f32).collect();
        moments.add(0, &row);
        let last = columns - 1;
        assert_eq!(moments.moment(0, last, last - 1), (last * (last - 1)) as f64);
    }
}
