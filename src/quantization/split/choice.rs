//! Which channels are split, from their ranges alone: a heap over channels and their copies.

use crate::network::Layout;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Which of the two a copy became at one split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Lower,
    Upper,
}

impl Side {
    pub(super) fn apply(self, w: f32, half: f32) -> f32 {
        match self {
            Self::Lower => (w - half) * 0.5,
            Self::Upper => (w + half) * 0.5,
        }
    }
}

/// A channel or a copy of one: its source in the group, the splits it went through, its range.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) source: usize,
    pub(super) halves: Vec<Side>,
    min: f32,
    max: f32,
}

impl Part {
    pub(super) fn max_abs(&self) -> f32 {
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

/// Which channels of a group are split.
pub(super) struct Choice {
    /// Channels of the expanded group.
    pub(super) parts: Vec<Part>,
    /// Source channels in the order they were split.
    pub(super) order: Vec<usize>,
    /// The largest |w| before each of these splits.
    pub(super) levels: Vec<f32>,
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

/// The splits of each group, one at a time, each time the channel or copy with the largest |w|.
pub(super) fn chosen_by_range(ranges: &[(f32, f32)], layout: &Layout, count: usize, half: f32) -> Vec<Choice> {
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
