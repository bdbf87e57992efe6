//! Moments and channel ranges of a weight tensor, in one parallel pass.
//!
//! The tensor is cut into tasks; a task walks blocks that fit the first-level cache and reads each block from memory once.
//! Blocks are merged in order, so the result does not depend on the number of threads.

use super::moments::{Moments, larger_magnitude, raise_all};
use crate::network::{Layout, OutAxis};
use crate::onnx::FloatSource;
use multiversion::multiversion;
use rayon::prelude::*;

/// What one pass over a tensor tells. NaN and infinities are counted and left out of everything else.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorStatistics {
    /// Finite elements.
    pub count: u64,
    /// Elements that are NaN.
    pub nan: u64,
    /// Elements that are infinite.
    pub infinite: u64,
    /// Least element; 0 if there is none.
    pub min: f32,
    /// Greatest element; 0 if there is none.
    pub max: f32,
    /// Greatest |element|.
    pub max_abs: f32,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the elements (divided by n).
    pub std: f64,
    /// Fourth central moment over the squared variance; 3 for a Gaussian, 0 if all elements are equal.
    pub kurtosis: f64,
    /// Greatest |element| of each input channel.
    pub in_channel_max_abs: Vec<f32>,
    /// Greatest |element| of each output channel.
    pub out_channel_max_abs: Vec<f32>,
}

impl TensorStatistics {
    /// How far from the mean the farthest element lies, in standard deviations; the elements cut at ±`threshold`. 0 where all
    /// elements are equal, `None` where the deviation is not finite.
    pub fn farthest_in_sigma(&self, threshold: f32) -> Option<f64> {
        let cut = |end: f32| f64::from(end.min(threshold).max(-threshold));
        let distance = (cut(self.max) - self.mean).max(self.mean - cut(self.min)).max(0.0);
        if self.std == 0.0 {
            return Some(0.0);
        }
        Some(distance / self.std).filter(|sigmas| sigmas.is_finite())
    }
}

/// Elements of a task at most, but for tensors of very many channels: large enough that its channel arrays do not matter.
const TASK: usize = 1 << 18;
const LEAST_TASK: usize = 1 << 15;
/// Tasks whose channel arrays are held at a time.
const GROUP: usize = 64;
/// Elements of a block: small enough for its f32 sums, and for what is known of its places to stay in the cache.
const BLOCK: usize = 1 << 12;
/// Runs from this length on are read once for everything; the blocks of shorter ones hold many of them and are read again,
/// from the first-level cache, for the maxima of each: that takes less than the sums of many small blocks put together.
const LONG: usize = 1 << 11;

/// Statistics of `values`, read as `layout` says. Elements beyond `layout.elements()` are ignored.
pub fn tensor_statistics(values: &[f32], layout: &Layout) -> TensorStatistics {
    streamed_statistics(values, layout)
}

/// [`tensor_statistics`] of numbers that are read piece by piece: the memory that it takes does not grow with the tensor.
pub fn streamed_statistics(values: &(impl FloatSource + ?Sized), layout: &Layout) -> TensorStatistics {
    let count = values.count().min(layout.elements());
    let runs = Runs::of(layout);
    let mut total = runs.read(values, count, NotFinite::AsTheyAre);
    if total.moments.infinite + total.moments.nan > 0 {
        // They have raised the maxima of their channels.
        let Part { places, runs, .. } = runs.read(values, count, NotFinite::Zero);
        total = Part { places, runs, ..total };
    }
    total.finish(layout)
}

/// What NaN and infinities are taken for.
#[derive(Clone, Copy, PartialEq)]
enum NotFinite {
    AsTheyAre,
    Zero,
}

/// A tensor as runs of neighbouring elements that share one channel and differ in the other: rows `[I/g, k…]` of one output
/// channel each, or lines `[O]` of one input channel each.
struct Runs {
    /// Elements of a run.
    length: usize,
    /// Runs in a row that have the same places.
    in_group: usize,
    /// Runs of the tensor.
    count: usize,
    /// Groups of places.
    groups: usize,
}

impl Runs {
    fn of(layout: &Layout) -> Self {
        let line = layout.inner.max(1);
        let (length, count, groups) = match layout.out_axis {
            OutAxis::Outer => ((layout.channels * line).max(1), layout.out_channels(), layout.groups),
            OutAxis::Inner => (line, layout.in_channels() * layout.outer, 1),
        };
        Self {
            length,
            in_group: (count / groups.max(1)).max(1),
            count,
            groups,
        }
    }

    /// The first `count` numbers of `values`.
    fn read(&self, values: &(impl FloatSource + ?Sized), count: usize, not_finite: NotFinite) -> Part {
        // A number of tasks that two or four threads share evenly.
        let tasks = count.div_ceil(TASK).next_multiple_of(4);
        let arrays = self.count + self.groups * self.length;
        let task = count.div_ceil(tasks.max(1)).max(LEAST_TASK).max(8 * arrays);
        let task = if self.length > task {
            task
        } else {
            task.next_multiple_of(self.length)
        };
        let of_task = |scratch: &mut Vec<f32>, &number: &usize| {
            let start = number * task;
            let chunk = values.piece(start..count.min(start + task), scratch);
            if not_finite == NotFinite::Zero {
                let finite: Vec<f32> = chunk.iter().map(|x| if x.is_finite() { *x } else { 0.0 }).collect();
                return self.part(&finite, start);
            }
            self.part(chunk, start)
        };
        let mut total: Option<Part> = None;
        for group in (0..count.div_ceil(task)).collect::<Vec<_>>().chunks(GROUP) {
            let parts: Vec<Part> = group.par_iter().map_init(Vec::new, of_task).collect();
            for part in parts {
                match &mut total {
                    Some(total) => total.merge(&part),
                    None => total = Some(part),
                }
            }
        }
        total.unwrap_or_else(|| self.empty())
    }

    fn empty(&self) -> Part {
        Part {
            moments: Moments::default(),
            places: vec![0.0; self.groups * self.length],
            runs: vec![0.0; self.count],
        }
    }

    /// `chunk` begins at `offset` elements into the tensor.
    fn part(&self, chunk: &[f32], offset: usize) -> Part {
        let mut part = self.empty();
        if self.length >= LONG {
            self.read_long(chunk, offset, &mut part);
        } else {
            // A chunk of short runs begins with a run.
            let whole = (BLOCK / self.length).max(1) * self.length;
            let mut run = offset / self.length;
            for block in chunk.chunks(whole) {
                let guess = part.moments.mean as f32;
                part.moments.merge(&Moments::of(block, guess, &mut []));
                for values in block.chunks(self.length) {
                    let first = run / self.in_group * self.length;
                    part.runs[run] = part.runs[run].max(maxima(values, &mut part.places[first..]));
                    run += 1;
                }
            }
        }
        part
    }

    fn read_long(&self, chunk: &[f32], offset: usize, part: &mut Part) {
        let (mut position, mut rest) = (offset, chunk);
        while !rest.is_empty() {
            let (run, place) = (position / self.length, position % self.length);
            let (block, tail) = rest.split_at(BLOCK.min(self.length - place).min(rest.len()));
            let first = run / self.in_group * self.length + place;
            let guess = part.moments.mean as f32;
            let moments = Moments::of(block, guess, &mut part.places[first..][..block.len()]);
            part.moments.merge(&moments);
            if moments.count > 0 {
                let largest = moments.min.abs().max(moments.max.abs());
                part.runs[run] = part.runs[run].max(largest);
            }
            position += block.len();
            rest = tail;
        }
    }
}

struct Part {
    moments: Moments,
    /// Greatest |x| of each place of a run, group by group.
    places: Vec<f32>,
    /// Greatest |x| of each run.
    runs: Vec<f32>,
}

impl Part {
    fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        raise_all(&mut self.places, &other.places);
        raise_all(&mut self.runs, &other.runs);
    }

    fn finish(self, layout: &Layout) -> TensorStatistics {
        let moments = self.moments;
        let empty = moments.count == 0;
        let (min, max) = if empty { (0.0, 0.0) } else { (moments.min, moments.max) };
        let greatest = |values: &[f32]| values.iter().copied().fold(0.0, f32::max);
        let (in_channels, mut out_channels) = match layout.out_axis {
            OutAxis::Outer => (
                self.places.chunks(layout.inner.max(1)).map(greatest).collect(),
                self.runs,
            ),
            OutAxis::Inner => {
                // Rows of one group hold the same channels.
                let mut channels = vec![0.0; layout.in_channels()];
                for (row, lines) in self.runs.chunks(layout.channels.max(1)).enumerate() {
                    raise_all(&mut channels[row / layout.outer.max(1) * layout.channels..], lines);
                }
                let outputs = self.places.chunks(layout.out_run.max(1)).map(greatest);
                (channels, outputs.collect())
            }
        };
        let mut in_channels: Vec<f32> = in_channels;
        in_channels.resize(layout.in_channels(), 0.0);
        out_channels.resize(layout.out_channels(), 0.0);
        TensorStatistics {
            count: moments.count,
            nan: moments.nan,
            infinite: moments.infinite,
            min,
            max,
            max_abs: min.abs().max(max.abs()),
            mean: moments.mean,
            std: moments.std(),
            kurtosis: moments.kurtosis(),
            in_channel_max_abs: in_channels,
            out_channel_max_abs: out_channels,
        }
    }
}

/// Raises `places` to |x| place by place, and returns the greatest of all.
#[multiversion(targets = "simd")]
fn maxima(values: &[f32], places: &mut [f32]) -> f32 {
    let mut all = 0.0;
    for (place, x) in places.iter_mut().zip(values) {
        *place = larger_magnitude(*place, *x);
        all = larger_magnitude(all, *x);
    }
    all
}

#[cfg(test)]
mod tests;
