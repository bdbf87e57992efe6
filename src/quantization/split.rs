//! Outlier channel splitting of a weight tensor (Zhao et al. 2019, sections 3.2 and 3.3).
//!
//! Splitting a channel maps all its weights by one monotone function, so the largest |w| of every copy follows from the
//! least and greatest weight of the channel. The choice of channels therefore needs one pass over the weights and a heap
//! over channels; the weights themselves are written once, at the end: O(weights + splits * channel size).

mod buffers;
mod choice;
mod ranges;

use super::ValueError;
use crate::network::Layout;
pub use buffers::Buffers;
use choice::{Choice, chosen_by_range};
use ranges::channel_ranges;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How one weight becomes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// Quantization-aware: `(w - d/2)/2` and `(w + d/2)/2` (section 3.3).
    #[default]
    Qa,
    /// Halves.
    Naive,
}

impl std::fmt::Display for SplitKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Qa => "qa",
            Self::Naive => "naive",
        })
    }
}

impl std::str::FromStr for SplitKind {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "qa" => Ok(Self::Qa),
            "naive" => Ok(Self::Naive),
            _ => Err(ValueError::Needed("a split is qa or naive")),
        }
    }
}

/// A weight tensor with some input channels in two or more copies.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Elements, as [`Split::layout`] says; the copies of each group stand after its own channels.
    pub values: Vec<f32>,
    /// Layout of `values`: `channels` is larger by the splits of each group.
    pub layout: Layout,
    /// For each input channel of the expanded layer (`groups * channels`), the input channel of the layer it copies.
    pub index: Vec<usize>,
    /// The input channels (of the layer) in the order they were split, group by group.
    pub order: Vec<usize>,
}

/// Number of splits in each group: `ceil(expand_ratio * channels)`. Groups must stay equal, so a grouped layer expands by
/// the same number in each.
pub fn split_count(layout: &Layout, expand_ratio: f64) -> usize {
    // 0.07 * 100 is 7.000000000000001 in binary; seven splits were meant.
    (expand_ratio * layout.channels as f64 - 1e-9).ceil().max(0.0) as usize
}

/// A weight tensor of which the range of every input channel is known: all that the choice of splits asks of the weights, in one
/// pass for the threshold and the splits that follow from it.
pub struct Splitter<'a> {
    values: &'a [f32],
    layout: &'a Layout,
    ranges: Vec<(f32, f32)>,
}

impl<'a> Splitter<'a> {
    /// Reads `values`, elements as `layout` says.
    pub fn new(values: &'a [f32], layout: &'a Layout) -> Self {
        Self {
            values,
            layout,
            ranges: channel_ranges(values, layout),
        }
    }

    /// Splits `count` channels of each group, one at a time, each time the one that then holds the group's largest |w| (a
    /// channel or a copy may be split again; of equals, the lowest index in the expanded layer). `steps` holds the grid's d,
    /// used by [`SplitKind::Qa`], or one for each output channel. In that case the channels are chosen as for halves, since a
    /// channel's range moves by another amount in every output channel.
    ///
    /// The copy that keeps its place gets `(w - d/2)/2`, the new one `(w + d/2)/2`. The tensor is written to memory of
    /// `buffers`, where [`Buffers::give_back`] may return it.
    pub fn split(&self, count: usize, kind: SplitKind, steps: &[f32], buffers: &Buffers) -> Split {
        let halves: Vec<f32> = steps.iter().map(|step| half_step(kind, *step)).collect();
        let chosen = match halves[..] {
            [half] => self.chosen(count, half),
            _ => self.chosen(count, 0.0),
        };
        carry_out(self.values, self.layout, count, &chosen, &halves, buffers)
    }

    /// The largest |w| that [`Splitter::split`] with one step would leave, without writing the split tensor.
    pub fn max_abs_after(&self, count: usize, kind: SplitKind, step: f32) -> f32 {
        let groups = self.chosen(count, half_step(kind, step));
        groups
            .iter()
            .flat_map(|choice| &choice.parts)
            .fold(0.0, |max, part| max.max(part.max_abs()))
    }

    fn chosen(&self, count: usize, half: f32) -> Vec<Choice> {
        chosen_by_range(&self.ranges, self.layout, count, half)
    }
}

/// [`Splitter::split`] of a tensor that is split once, on a grid with one step.
pub fn split_channels(values: &[f32], layout: &Layout, count: usize, kind: SplitKind, step: f32) -> Split {
    Splitter::new(values, layout).split(count, kind, &[step], &Buffers::default())
}

/// Writes the expanded tensor. `halves` has one entry, or one for each output channel.
fn carry_out(
    values: &[f32],
    layout: &Layout,
    count: usize,
    groups: &[Choice],
    halves: &[f32],
    buffers: &Buffers,
) -> Split {
    let expanded = Layout {
        channels: layout.channels + count,
        ..*layout
    };
    let mut split = Split {
        values: buffers.take(expanded.elements()),
        layout: expanded,
        index: Vec::with_capacity(expanded.in_channels()),
        order: Vec::with_capacity(count * layout.groups),
    };
    for (group, choice) in groups.iter().enumerate() {
        let first = group * layout.channels;
        split.index.extend(choice.parts.iter().map(|part| first + part.source));
        split.order.extend(choice.order.iter().map(|source| first + source));
    }
    let (row, expanded_row) = (layout.channels * layout.inner, expanded.channels * layout.inner);
    if row == 0 {
        return split;
    }
    split
        .values
        .par_chunks_mut(expanded_row)
        .zip(values.par_chunks(row))
        .with_min_len((1 << 14) / row + 1)
        .enumerate()
        .for_each(|(number, (to, from))| {
            to[..row].copy_from_slice(from);
            for (channel, part) in groups[number / layout.outer].parts.iter().enumerate() {
                if part.halves.is_empty() {
                    continue;
                }
                let from = &from[part.source * layout.inner..][..layout.inner];
                let to = &mut to[channel * layout.inner..][..layout.inner];
                for (i, (to, from)) in to.iter_mut().zip(from).enumerate() {
                    let half = halves[layout.out_channel(number, i) % halves.len()];
                    *to = part.halves.iter().fold(*from, |w, side| side.apply(w, half));
                }
            }
        });
    split
}

fn half_step(kind: SplitKind, step: f32) -> f32 {
    match kind {
        SplitKind::Qa => step * 0.5,
        SplitKind::Naive => 0.0,
    }
}

/// The channels of the layer that a naive split takes, group by group in their order, and the range of every channel.
pub(super) fn split_orders(values: &[f32], layout: &Layout, count: usize) -> (Vec<Vec<usize>>, Vec<(f32, f32)>) {
    let ranges = channel_ranges(values, layout);
    let groups = chosen_by_range(&ranges, layout, count, 0.0).into_iter().enumerate();
    let orders = groups.map(|(group, choice)| {
        let first = group * layout.channels;
        choice.order.iter().map(|source| first + source).collect()
    });
    (orders.collect(), ranges)
}

/// The largest |w| that halving leaves after 0, 1, … `most` splits in each group, from the largest |w| of each channel: the
/// level above which channels are split. Ends earlier when nothing is left to halve.
pub fn split_levels(channel_max_abs: &[f32], layout: &Layout, most: usize) -> Vec<f32> {
    let ranges: Vec<(f32, f32)> = channel_max_abs.iter().map(|max| (-max, *max)).collect();
    if ranges.len() < layout.in_channels() {
        return Vec::new();
    }
    let groups = chosen_by_range(&ranges, layout, most, 0.0);
    let left = |choice: &Choice| choice.parts.iter().fold(0.0, |max: f32, part| max.max(part.max_abs()));
    let last = groups.iter().map(left).fold(0.0, f32::max);
    let longest = groups.iter().map(|choice| choice.levels.len()).max().unwrap_or(0);
    let level = |splits: usize| {
        let of_group = |choice: &Choice| choice.levels.get(splits).copied().unwrap_or(0.0);
        groups.iter().map(of_group).fold(0.0, f32::max)
    };
    (0..longest).map(level).chain([last]).collect()
}

/// How often each channel of the layer is split by [`split_channels`], from the ranges of its channels.
pub(super) fn split_times(
    ranges: &[(f32, f32)],
    layout: &Layout,
    count: usize,
    kind: SplitKind,
    step: f32,
) -> Vec<usize> {
    let mut times = vec![0; layout.in_channels()];
    let choices = chosen_by_range(ranges, layout, count, half_step(kind, step));
    for (group, choice) in choices.iter().enumerate() {
        for source in &choice.order {
            times[group * layout.channels + source] += 1;
        }
    }
    times
}

#[cfg(test)]
mod tests;
