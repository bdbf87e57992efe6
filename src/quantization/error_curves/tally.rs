//! The weights of a layer counted by how often their channel was split.

use super::super::clip::{Counted, Magnitudes};
use super::super::grid::symmetric_levels;
use super::super::split::split_times;
use super::super::{Grid, SplitKind};
use super::Subject;
use super::copies::{Share, copies, depths, error};
use rayon::prelude::*;

/// Bins of |w|. Halving a value halves its bin, so a few splits leave thousands of bins below the largest value.
const BINS: usize = 1 << 14;

/// All weights, counted by how often their channel was split.
pub(super) struct Tally {
    /// Width of a bin.
    width: f64,
    /// For each number of splits of a channel: counts of its weights, over `[-BINS, BINS]` widths.
    groups: Vec<Vec<u32>>,
    /// How often each channel of the layer was split.
    times: Vec<usize>,
    /// Sum of squares of the weights.
    pub(super) signal: f64,
}

impl Tally {
    pub(super) fn new(subject: &Subject, ranges: &[(f32, f32)]) -> Self {
        let max_abs = ranges
            .iter()
            .fold(0.0_f32, |max, (low, high)| max.max(low.abs()).max(high.abs()));
        let width = f64::from(max_abs) / BINS as f64;
        let (counts, signal) = subject
            .values
            .par_chunks(1 << 18)
            .map(|chunk| {
                let mut counts = vec![0_u32; 2 * BINS];
                let mut signal = 0.0;
                for x in chunk {
                    counts[bin(*x, width)] += 1;
                    signal += f64::from(*x) * f64::from(*x);
                }
                (counts, signal)
            })
            .reduce(
                || (vec![0; 2 * BINS], 0.0),
                |(mut counts, signal), (others, more)| {
                    counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
                    (counts, signal + more)
                },
            );
        Self {
            width,
            groups: vec![counts],
            times: vec![0; subject.layout.in_channels()],
            signal,
        }
    }

    /// One more split of `channel`: its weights move on.
    pub(super) fn split(&mut self, subject: &Subject, channel: usize) {
        let times = self.times[channel];
        self.times[channel] += 1;
        if self.groups.len() == times + 1 {
            self.groups.push(vec![0; 2 * BINS]);
        }
        for x in weights_of(subject, channel).flatten() {
            let bin = bin(*x, self.width);
            self.groups[times][bin] -= 1;
            self.groups[times + 1][bin] += 1;
        }
    }

    /// What it adds to the noise that a quantization-aware split on this grid takes other channels than a naive one. They are
    /// few, and their weights are at hand.
    pub(super) fn regrouped(&self, subject: &Subject, ranges: &[(f32, f32)], splits: usize, grid: Grid) -> f64 {
        let kind = subject.settings.split;
        if kind == SplitKind::Naive || splits == 0 {
            return 0.0;
        }
        let times = split_times(ranges, subject.layout, splits, kind, grid.step);
        let others = times.iter().zip(&self.times).enumerate();
        others
            .filter(|(_, (own, naive))| own != naive)
            .map(|(channel, (own, naive))| {
                let (own, naive) = (copies(*own, kind), copies(*naive, kind));
                let cost = |x: &f32| {
                    let weight = f64::from(x.abs()) / f64::from(grid.step);
                    error(weight, &own, grid).powi(2) - error(weight, &naive, grid).powi(2)
                };
                weights_of(subject, channel).flatten().map(cost).sum::<f64>()
            })
            .sum()
    }

    /// The tensor as split so far.
    pub(super) fn seen(&self, ranges: &[(f32, f32)], kind: SplitKind) -> Seen {
        // The largest copy of a channel has been halved as often as a tree of its copies is full.
        let ends = ranges.iter().zip(&self.times).map(|((low, high), times)| {
            let half = 0.5_f32.powi((times + 1).ilog2() as i32);
            (low * half, high * half)
        });
        let (min, max) = ends.fold((0.0_f32, 0.0_f32), |(min, max), (low, high)| {
            (min.min(low), max.max(high))
        });
        let max_abs = f64::from(min.abs().max(max.abs()));
        let used = if self.width > 0.0 {
            ((max_abs / self.width).ceil() as usize).clamp(1, BINS)
        } else {
            1
        };
        let mut counts = vec![0_u64; 2 * used];
        let mut split = Vec::new();
        for (times, group) in self.groups.iter().enumerate() {
            let (low, high) = group.split_at(BINS);
            let mut magnitudes = vec![0_u64; BINS];
            let depths = depths(times);
            let both = low.iter().rev().zip(high).enumerate();
            for (bin, (below, above)) in both.filter(|(_, (below, above))| **below + **above > 0) {
                magnitudes[bin] = u64::from(*below) + u64::from(*above);
                for (depth, copies) in depths {
                    // A halved value lies in the bin of half the number.
                    let place = bin.checked_shr(depth).unwrap_or(0).min(used - 1);
                    counts[used + place] += copies * u64::from(*above);
                    counts[used - 1 - place] += copies * u64::from(*below);
                }
            }
            split.push((magnitudes, copies(times, kind)));
        }
        // The first group has the channels that were not split.
        let mut groups = split.into_iter();
        let whole = groups.next().map(|(magnitudes, _)| magnitudes).unwrap_or_default();
        Seen {
            counted: Counted {
                min,
                max,
                edge: used as f64 * self.width,
                counts,
            },
            whole: Magnitudes::of_magnitude_counts(max_abs as f32, BINS as f64 * self.width, &whole),
            split: groups
                .map(|(counts, copies)| {
                    let bins = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
                    SplitGroup {
                        bins: bins.map(|(bin, count)| (bin, count as f64)).collect(),
                        copies,
                    }
                })
                .collect(),
            width: self.width,
        }
    }
}

/// The weights of one channel of the layer, row by row.
fn weights_of<'a>(subject: &Subject<'a>, channel: usize) -> impl Iterator<Item = &'a [f32]> {
    let (layout, values) = (subject.layout, subject.values);
    let (group, place) = (channel / layout.channels, channel % layout.channels);
    let rows = group * layout.outer..(group + 1) * layout.outer;
    rows.map(move |row| &values[(row * layout.channels + place) * layout.inner..][..layout.inner])
}

fn bin(x: f32, width: f64) -> usize {
    let place = if width > 0.0 {
        ((f64::from(x.abs()) / width) as usize).min(BINS - 1)
    } else {
        0
    };
    if x < 0.0 { BINS - 1 - place } else { BINS + place }
}

/// A tensor at one number of splits.
pub(super) struct Seen {
    /// The naively split values, which thresholds are chosen on.
    pub(super) counted: Counted,
    /// Weights of channels that are not split.
    whole: Magnitudes,
    /// Weights of the others: bins of |w| that hold any, and what becomes of them.
    split: Vec<SplitGroup>,
    width: f64,
}

impl Seen {
    /// Sum of the squared errors of the weights that the network sees.
    pub(super) fn noise(&self, grid: Grid) -> f64 {
        let levels = symmetric_levels(grid.bits);
        let mut noise = self.whole.expected_mse(grid.step * levels as f32, levels) * self.whole.total()[0];
        // Inside a bin the error is a straight line but for a jump of its sign: a bin of evenly spread values adds this.
        let spread = self.width * self.width / 12.0;
        for SplitGroup { bins, copies } in &self.split {
            for (bin, count) in bins {
                let weight = (*bin as f64 + 0.5) * self.width / f64::from(grid.step);
                noise += count * (error(weight, copies, grid).powi(2) + spread);
            }
        }
        noise
    }
}

/// The weights whose channels were split equally often.
struct SplitGroup {
    /// Bins of |w| that hold any, and how many they hold.
    bins: Vec<(usize, f64)>,
    /// What becomes of each weight.
    copies: Vec<Share>,
}
