//! Outlier channel splitting of a weight tensor (Zhao et al. 2019, sections 3.2 and 3.3).
//!
//! Splitting a channel maps all its weights by one monotone function, so the largest |w| of every copy follows from the
//! least and greatest weight of the channel. The choice of channels therefore needs one pass over the weights and a heap
//! over channels; the weights themselves are written once, at the end: O(weights + splits * channel size).

use crate::network::{Layout, OutAxis};
use multiversion::multiversion;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

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

/// Splits `count` channels of each group, one at a time, each time the one that then holds the group's largest |w| (a
/// channel or a copy may be split again; of equals, the lowest index in the expanded layer). `step` is the grid's d, used by
/// [`SplitKind::Qa`].
///
/// The copy that keeps its place gets `(w - d/2)/2`, the new one `(w + d/2)/2`.
pub fn split_channels(values: &[f32], layout: &Layout, count: usize, kind: SplitKind, step: f32) -> Split {
    let half = half_step(kind, step);
    carry_out(values, layout, count, &chosen(values, layout, count, half), &[half])
}

/// [`split_channels`] for grids with one step an output channel: `steps` has one entry for each. The channels are chosen as
/// for halves, since a channel's range moves by another amount in every output channel.
pub fn split_channels_per_channel(
    values: &[f32],
    layout: &Layout,
    count: usize,
    kind: SplitKind,
    steps: &[f32],
) -> Split {
    let halves: Vec<f32> = steps.iter().map(|step| half_step(kind, *step)).collect();
    carry_out(values, layout, count, &chosen(values, layout, count, 0.0), &halves)
}

/// Writes the expanded tensor. `halves` has one entry, or one for each output channel.
fn carry_out(values: &[f32], layout: &Layout, count: usize, groups: &[Choice], halves: &[f32]) -> Split {
    let expanded = Layout {
        channels: layout.channels + count,
        ..*layout
    };
    let mut split = Split {
        values: vec![0.0; expanded.elements()],
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
                    let half = halves[output_channel(layout, number, i) % halves.len()];
                    *to = part.halves.iter().fold(*from, |w, side| side.apply(w, half));
                }
            }
        });
    split
}

/// Output channel of the element at `place` in a line of row `row` (rows of all groups counted through).
fn output_channel(layout: &Layout, row: usize, place: usize) -> usize {
    match layout.out_axis {
        OutAxis::Outer => row,
        OutAxis::Inner => place,
    }
}

/// The largest |w| that [`split_channels`] would leave, without writing the split tensor.
pub fn max_abs_after_split(values: &[f32], layout: &Layout, count: usize, kind: SplitKind, step: f32) -> f32 {
    let groups = chosen(values, layout, count, half_step(kind, step));
    groups
        .iter()
        .flat_map(|choice| &choice.parts)
        .fold(0.0, |max, part| max.max(part.max_abs()))
}

fn half_step(kind: SplitKind, step: f32) -> f32 {
    match kind {
        SplitKind::Qa => step * 0.5,
        SplitKind::Naive => 0.0,
    }
}

/// Which of the two a copy became at one split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Lower,
    Upper,
}

impl Side {
    fn apply(self, w: f32, half: f32) -> f32 {
        match self {
            Self::Lower => (w - half) * 0.5,
            Self::Upper => (w + half) * 0.5,
        }
    }
}

/// A channel or a copy of one: its source in the group, the splits it went through, its range.
#[derive(Debug, Clone)]
struct Part {
    source: usize,
    halves: Vec<Side>,
    min: f32,
    max: f32,
}

impl Part {
    fn max_abs(&self) -> f32 {
        self.min.abs().max(self.max.abs())
    }

    fn half(&self, side: Side, half: f32) -> Self {
        let mut halves = self.halves.clone();
        halves.push(side);
        Self {
            source: self.source,
            halves,
            min: side.apply(self.min, half),
            max: side.apply(self.max, half),
        }
    }
}

struct Choice {
    /// Channels of the expanded group.
    parts: Vec<Part>,
    /// Source channels in the order they were split.
    order: Vec<usize>,
    /// The largest |w| before each of these splits.
    levels: Vec<f32>,
}

/// Heap entry: the largest |w| first, of equals the lowest index.
struct Candidate {
    max_abs: f32,
    index: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.max_abs
            .total_cmp(&other.max_abs)
            .then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

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

fn chosen(values: &[f32], layout: &Layout, count: usize, half: f32) -> Vec<Choice> {
    chosen_by_range(&channel_ranges(values, layout), layout, count, half)
}

fn chosen_by_range(ranges: &[(f32, f32)], layout: &Layout, count: usize, half: f32) -> Vec<Choice> {
    (0..layout.groups)
        .map(|group| {
            let ranges = &ranges[group * layout.channels..][..layout.channels];
            let mut parts: Vec<Part> = ranges
                .iter()
                .enumerate()
                .map(|(source, &(min, max))| Part {
                    source,
                    halves: Vec::new(),
                    min,
                    max,
                })
                .collect();
            let mut heap: BinaryHeap<Candidate> = if count == 0 {
                BinaryHeap::new()
            } else {
                parts
                    .iter()
                    .enumerate()
                    .map(|(index, part)| Candidate {
                        max_abs: part.max_abs(),
                        index,
                    })
                    .collect()
            };
            let (mut order, mut levels) = (Vec::with_capacity(count), Vec::with_capacity(count));
            for _ in 0..count {
                let Some(Candidate { index, max_abs }) = heap.pop() else {
                    break;
                };
                levels.push(max_abs);
                order.push(parts[index].source);
                let upper = parts[index].half(Side::Upper, half);
                parts[index] = parts[index].half(Side::Lower, half);
                heap.push(Candidate {
                    max_abs: parts[index].max_abs(),
                    index,
                });
                heap.push(Candidate {
                    max_abs: upper.max_abs(),
                    index: parts.len(),
                });
                parts.push(upper);
            }
            Choice { parts, order, levels }
        })
        .collect()
}

/// Least and greatest weight of each input channel.
fn channel_ranges(values: &[f32], layout: &Layout) -> Vec<(f32, f32)> {
    let row = layout.channels * layout.inner;
    if row == 0 || layout.outer == 0 {
        return vec![(0.0, 0.0); layout.in_channels()];
    }
    if layout.outer == 1 {
        // Rows are the groups; the channels of a row are apart, so they go to the threads.
        return values
            .par_chunks(layout.inner)
            .with_min_len((1 << 14) / layout.inner + 1)
            .map(range)
            .collect();
    }
    let places = values
        .par_chunks(row)
        .enumerate()
        .with_min_len((1 << 18) / row + 1)
        .fold(
            || Places::empty(layout.groups * row),
            |mut places, (number, values)| {
                places.widen(number / layout.outer * row, values);
                places
            },
        )
        .reduce(
            || Places::empty(layout.groups * row),
            |mine, theirs| mine.take_in(&theirs),
        );
    let lines = places.low.chunks(layout.inner).zip(places.high.chunks(layout.inner));
    lines.map(|(low, high)| (range(low).0, range(high).1)).collect()
}

/// Least and greatest weight at each place of a row, group by group: places lie side by side in memory as the weights do,
/// which channels of 3x3 kernels do not.
struct Places {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Places {
    fn empty(count: usize) -> Self {
        Self {
            low: vec![f32::INFINITY; count],
            high: vec![f32::NEG_INFINITY; count],
        }
    }

    fn widen(&mut self, first: usize, row: &[f32]) {
        widen_places(&mut self.low[first..], &mut self.high[first..], row, row);
    }

    fn take_in(mut self, other: &Self) -> Self {
        widen_places(&mut self.low, &mut self.high, &other.low, &other.high);
        self
    }
}

#[multiversion(targets = "simd")]
fn widen_places(low: &mut [f32], high: &mut [f32], lower: &[f32], higher: &[f32]) {
    for ((low, high), (a, b)) in low.iter_mut().zip(high).zip(lower.iter().zip(higher)) {
        *low = if *a < *low { *a } else { *low };
        *high = if *b > *high { *b } else { *high };
    }
}

/// Least and greatest of a line.
#[multiversion(targets = "simd")]
fn range(line: &[f32]) -> (f32, f32) {
    const LANES: usize = 16;
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let mut widen = |lane: usize, x: f32| {
        low[lane] = if x < low[lane] { x } else { low[lane] };
        high[lane] = if x > high[lane] { x } else { high[lane] };
    };
    let (parts, tail) = line.as_chunks::<LANES>();
    for part in parts {
        for (lane, x) in part.iter().enumerate() {
            widen(lane, *x);
        }
    }
    for (lane, x) in tail.iter().enumerate() {
        widen(lane, *x);
    }
    (
        low.into_iter().fold(f32::INFINITY, f32::min),
        high.into_iter().fold(f32::NEG_INFINITY, f32::max),
    )
}

#[cfg(test)]
mod tests;
