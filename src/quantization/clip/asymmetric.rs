//! The range of weights on a grid with a zero point: a threshold for each end.
//!
//! With [`Clip::None`] the grid reaches from the least weight to the greatest. A way to clip chooses each end on the weights of its
//! side alone; least squared error goes on from there, end by end. Beside that stands the symmetric grid of the same way to clip,
//! which is one of the grids with a zero point (0 in the middle, with one value more below): of all these the one with the least
//! squared error is taken, so that a zero point never makes the error of nearest rounding larger.

use super::{Clip, threshold_of, threshold_of_part};
use crate::quantization::Grid;
use multiversion::multiversion;
use rayon::prelude::*;

/// Values that ends are searched on; of more, so many evenly spread ones.
const SEARCHED: usize = 1 << 14;
/// How far an end is moved at most in a search: parts of it, and how many of them are tried.
const STEPS: i32 = 24;
/// How often both ends are moved in turn.
const TURNS: usize = 2;

/// The grid for the values that share a scale; `is_part` says that they are not the whole tensor (see
/// [`threshold_of_part`](super::threshold_of_part)).
pub(in crate::quantization) fn asymmetric_grid(values: &[f32], bits: u8, clip: Clip, is_part: bool) -> Grid {
    let threshold = |values: &[f32]| match is_part {
        true => threshold_of_part(values, bits, clip),
        false => threshold_of(values, bits, clip),
    };
    let (low, high) = (values.iter().filter(|x| x.is_finite()))
        .fold((0.0_f32, 0.0_f32), |(low, high), x| (low.min(*x), high.max(*x)));
    let whole = Grid::asymmetric(bits, low, high);
    let both = threshold(values);
    let symmetric = Grid::symmetric(bits, both).with_middle_zero_point();
    let mut grids = match clip {
        Clip::None => vec![whole],
        Clip::Manual(_) | Clip::Percentile(_) => vec![Grid::asymmetric(bits, low.max(-both), high.min(both))],
        Clip::Mse | Clip::Aciq | Clip::Aciq2019 | Clip::Kl | Clip::Octav => {
            let side = |sign: f32| -> Vec<f32> { values.iter().map(|x| x * sign).filter(|x| *x > 0.0).collect() };
            let end = |sign: f32| -> f32 {
                let side = side(sign);
                if side.is_empty() { 0.0 } else { threshold(&side) }
            };
            vec![Grid::asymmetric(bits, low.max(-end(-1.0)), high.min(end(1.0)))]
        }
    };
    if clip == Clip::Mse {
        grids.push(whole);
        grids.push(least_error(values, bits, &grids));
    }
    // Of equals the first.
    grids.push(symmetric);
    let error = |grid: &Grid| squared_error(values, *grid);
    let best = grids.iter().min_by(|a, b| error(a).total_cmp(&error(b)));
    best.copied().unwrap_or(symmetric)
}

/// The best grid that is found by moving one end at a time, from the best of `grids`.
fn least_error(values: &[f32], bits: u8, grids: &[Grid]) -> Grid {
    let sampled: Vec<f32>;
    let values = match values.len().div_ceil(SEARCHED) {
        0 | 1 => values,
        step => {
            sampled = values.iter().step_by(step).copied().collect();
            &sampled
        }
    };
    let error = |grid: &Grid| squared_error(values, *grid);
    let start = grids.iter().min_by(|a, b| error(a).total_cmp(&error(b))).copied();
    let Some(start) = start else {
        return Grid::asymmetric(bits, 0.0, 0.0);
    };
    let mut ends = [start.value(start.low()), start.value(start.high())];
    let mut best = (error(&start), start);
    for turn in 0..TURNS {
        for moved in [0, 1] {
            let from = ends;
            for part in -STEPS..=STEPS / 4 {
                // In the second turn by smaller parts.
                let share = 1.0 + part as f32 / (STEPS as f32 * (1.25 + 4.0 * turn as f32));
                let mut tried = from;
                tried[moved] *= share;
                let grid = Grid::asymmetric(bits, tried[0], tried[1]);
                let error = error(&grid);
                if error < best.0 {
                    best = (error, grid);
                    ends = tried;
                }
            }
        }
    }
    best.1
}

/// Sum of the squared errors of the finite values on `grid`, each on the nearest point.
pub(super) fn squared_error(values: &[f32], grid: Grid) -> f64 {
    let zero = grid.zero();
    let ends = [(grid.low() - zero) as f32, (grid.high() - zero) as f32];
    values
        .par_chunks(1 << 15)
        .map(|chunk| {
            chunk
                .chunks(2048)
                .map(|block| of_block(block, grid.step, ends))
                .sum::<f64>()
        })
        .sum()
}

#[multiversion(targets = "simd")]
fn of_block(block: &[f32], step: f32, [low, high]: [f32; 2]) -> f64 {
    // Adding and taking away 1.5 * 2^23 rounds an f32 to a whole number without a call; ties cost the same either way.
    const ROUND: f32 = 12_582_912.0;
    let square = |x: f32| {
        let place = x / step;
        let place = if place > high { high } else { place };
        let place = if place < low { low } else { place };
        let error = f64::from(x - ((place + ROUND) - ROUND) * step);
        if x.abs() < f32::INFINITY { error * error } else { 0.0 }
    };
    block.iter().map(|x| square(*x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weights_of_one_side_get_twice_as_fine_a_grid() {
        let values: Vec<f32> = (0..=150).map(|i| i as f32 / 10.0).collect();
        let grid = asymmetric_grid(&values, 4, Clip::None, false);
        assert_eq!((grid.step, grid.zero_point), (1.0, Some(-8)));
        assert_eq!((grid.value(grid.low()), grid.value(grid.high())), (0.0, 15.0));
    }

    /// An outlier on one side is cut, the other side stays as it is.
    #[test]
    fn each_end_is_cut_by_itself() {
        let mut values: Vec<f32> = (0..4000).map(|i| (i as f32 * 0.618_034).fract() * 2.0 - 1.0).collect();
        values.push(9.0);
        let whole = asymmetric_grid(&values, 3, Clip::None, false);
        let grid = asymmetric_grid(&values, 3, Clip::Mse, false);
        assert!(squared_error(&values, grid) < 0.5 * squared_error(&values, whole));
        assert!(
            grid.value(grid.high()) < 2.5 && grid.value(grid.low()) > -1.5,
            "{grid:?}"
        );
        let given = asymmetric_grid(&values, 3, Clip::Manual(1.5), false);
        assert!((given.value(given.high()) - 1.5).abs() <= given.step, "{given:?}");
    }

    proptest! {
        #[test]
        fn a_zero_point_never_makes_the_error_larger(
            values in prop::collection::vec(-2.0_f32..6.0, 1..200), shift in -4.0_f32..4.0, bits in 2_u8..=8, which in 0_usize..7,
        ) {
            let values: Vec<f32> = values.iter().map(|x| x + shift).collect();
            let clip = Clip::CHOICES[which];
            let symmetric = Grid::symmetric(bits, threshold_of_part(&values, bits, clip));
            let found = squared_error(&values, asymmetric_grid(&values, bits, clip, true));
            prop_assert!(found <= squared_error(&values, symmetric) * 1.000_001, "{found}");
        }
    }
}
