//! Each weight on the grid point nearest to it (Zhao et al. 2019, section 3.1).

use super::super::layer_error::Expanded;
use super::super::{Grid, PlacedScales};
use rayon::prelude::*;

/// Elements that one task rounds.
const TASK: usize = 1 << 14;

/// `clamp(floor(w / scale + 1/2))` of each weight.
pub(super) fn round(split: Expanded<'_>, grid: Grid, scales: PlacedScales<'_>) -> Vec<i8> {
    let mut codes = vec![0_i8; split.values.len()];
    let row = split.layout.channels * split.layout.inner;
    if let Some(scale) = scales.of_tensor() {
        let grid = scale.grid(grid);
        codes
            .par_chunks_mut(TASK)
            .zip(split.values.par_chunks(TASK))
            .for_each(|(to, from)| grid.indices(from, to));
    } else if row > 0 {
        codes
            .par_chunks_mut(row)
            .zip(split.values.par_chunks(row))
            .with_min_len(TASK / row + 1)
            .enumerate()
            .for_each(|(number, (to, from))| {
                for (range, scale) in scales.runs(number) {
                    let grid = scale.grid(grid);
                    match (&mut to[range.clone()], &from[range]) {
                        ([to], [x]) => *to = grid.index(*x) as i8,
                        (to, from) => grid.indices(from, to),
                    }
                }
            });
    }
    codes
}
