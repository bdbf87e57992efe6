//! Two weight tensors beside each other: how far apart they are, and how each is spread.

use super::seen::Seen;
use crate::statistics::{Histogram, histogram};
use rayon::prelude::*;

/// Bins of the histograms; odd, so that 0 lies in the middle of one.
const BINS: usize = 121;
/// Elements of a task; the order of the sums does not depend on the number of threads.
const TASK: usize = 1 << 14;

/// How the weights of a layer differ between two networks.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightDifference {
    /// Elements that were compared.
    pub elements: u64,
    /// Elements that are NaN or infinite on either side; they are left out of all else.
    pub not_finite: u64,
    /// Greatest |difference|.
    pub max_abs: f64,
    /// Mean squared difference.
    pub mse: f64,
    /// `10 log10(sum w^2 / sum difference^2)` with w of the first network, decibels; infinite when equal.
    pub sqnr_db: f64,
    /// The weights of both sides, counted over the same range around 0.
    pub histograms: [Histogram; 2],
}

impl WeightDifference {
    /// Whether all weights are equal.
    pub fn is_equal(&self) -> bool {
        self.max_abs == 0.0 && self.not_finite == 0
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    signal: f64,
    noise: f64,
    difference: f64,
    largest: f32,
    not_finite: u64,
}

impl Sums {
    fn of(one: &[f32], other: &[f32]) -> Self {
        let mut sums = Self::default();
        for (w, seen) in one.iter().zip(other) {
            if !(w.is_finite() && seen.is_finite()) {
                sums.not_finite += 1;
                continue;
            }
            let difference = f64::from(*seen) - f64::from(*w);
            sums.signal += f64::from(*w) * f64::from(*w);
            sums.noise += difference * difference;
            sums.difference = sums.difference.max(difference.abs());
            sums.largest = sums.largest.max(w.abs()).max(seen.abs());
        }
        sums
    }

    fn and(self, more: Self) -> Self {
        Self {
            signal: self.signal + more.signal,
            noise: self.noise + more.noise,
            difference: self.difference.max(more.difference),
            largest: self.largest.max(more.largest),
            not_finite: self.not_finite + more.not_finite,
        }
    }
}

/// Compares two tensors of the same size.
pub(super) fn compare([one, other]: &[Seen; 2]) -> WeightDifference {
    let tasks = one.values.par_chunks(TASK).zip(other.values.par_chunks(TASK));
    let tasks: Vec<Sums> = tasks.map(|(one, other)| Sums::of(one, other)).collect();
    let sums = tasks.into_iter().fold(Sums::default(), Sums::and);
    let elements = one.values.len() as u64;
    let reach = f64::from(sums.largest) * 1.05;
    let reach = if reach > 0.0 { reach } else { 1.0 };
    let counted = |seen: &Seen| histogram(&seen.values, -reach, reach, BINS);
    WeightDifference {
        elements,
        not_finite: sums.not_finite,
        max_abs: sums.difference,
        mse: sums.noise / (elements - sums.not_finite).max(1) as f64,
        sqnr_db: if sums.noise > 0.0 {
            10.0 * (sums.signal / sums.noise).log10()
        } else {
            f64::INFINITY
        },
        histograms: [counted(one), counted(other)],
    }
}
