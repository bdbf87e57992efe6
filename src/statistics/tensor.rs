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
                (channels, self.places)
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(values: &[f32], layout: &Layout) -> TensorStatistics {
        let finite: Vec<f64> = values.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x)).collect();
        let n = finite.len().max(1) as f64;
        let mean = finite.iter().sum::<f64>() / n;
        let moment = |p: i32| finite.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / n;
        let mut in_channel = vec![0.0_f32; layout.in_channels()];
        let mut out_channel = vec![0.0_f32; layout.out_channels()];
        let mut at = 0;
        for g in 0..layout.groups {
            for o in 0..layout.outer {
                for c in 0..layout.channels {
                    for i in 0..layout.inner {
                        let x = if values[at].is_finite() { values[at].abs() } else { 0.0 };
                        at += 1;
                        let j = g * layout.channels + c;
                        in_channel[j] = in_channel[j].max(x);
                        let k = if layout.out_axis == OutAxis::Outer {
                            g * layout.outer + o
                        } else {
                            i
                        };
                        out_channel[k] = out_channel[k].max(x);
                    }
                }
            }
        }
        let fold = |f: fn(f64, f64) -> f64| finite.iter().copied().reduce(f).unwrap_or(0.0) as f32;
        let (min, max) = (fold(f64::min), fold(f64::max));
        TensorStatistics {
            count: finite.len() as u64,
            nan: values.iter().filter(|x| x.is_nan()).count() as u64,
            infinite: values.iter().filter(|x| x.is_infinite()).count() as u64,
            min,
            max,
            max_abs: min.abs().max(max.abs()),
            mean,
            std: moment(2).sqrt(),
            kurtosis: if moment(2) > 0.0 {
                moment(4) / moment(2).powi(2)
            } else {
                0.0
            },
            in_channel_max_abs: in_channel,
            out_channel_max_abs: out_channel,
        }
    }

    fn agree(values: &[f32], layout: &Layout) {
        let (fast, slow) = (tensor_statistics(values, layout), naive(values, layout));
        let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-5 * scale.max(1e-30);
        assert!(
            near(fast.mean, slow.mean, f64::from(slow.max_abs)),
            "mean {} {}",
            fast.mean,
            slow.mean
        );
        assert!(
            near(fast.std, slow.std, slow.std.max(1e-6 * f64::from(slow.max_abs))),
            "std {} {}",
            fast.std,
            slow.std
        );
        if slow.std > 1e-5 * f64::from(slow.max_abs) {
            assert!(
                near(fast.kurtosis, slow.kurtosis, 10.0 * slow.kurtosis),
                "{} {}",
                fast.kurtosis,
                slow.kurtosis
            );
        }
        let exact = |s: &TensorStatistics| {
            (
                s.count,
                s.nan,
                s.infinite,
                s.min,
                s.max,
                s.in_channel_max_abs.clone(),
                s.out_channel_max_abs.clone(),
            )
        };
        assert_eq!(exact(&fast), exact(&slow));
    }

    fn layouts() -> impl Strategy<Value = Layout> {
        (1_usize..4, 1_usize..6, 1_usize..9, 1_usize..10, any::<bool>()).prop_map(
            |(groups, outer, channels, inner, out)| {
                if out {
                    Layout {
                        groups,
                        outer,
                        channels,
                        inner,
                        out_axis: OutAxis::Outer,
                    }
                } else {
                    Layout {
                        groups: 1,
                        outer: 1,
                        channels,
                        inner,
                        out_axis: OutAxis::Inner,
                    }
                }
            },
        )
    }

    proptest! {
        #[test]
        fn one_pass_tells_what_a_naive_count_tells(
            layout in layouts(), seed in any::<u64>(), scale in prop_oneof![Just(1.0_f32), Just(1e-12), Just(1e12)],
        ) {
            let mut state = seed | 1;
            let values: Vec<f32> = (0..layout.elements()).map(|_| {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                match state % 50 { 0 => f32::NAN, 1 => f32::NEG_INFINITY, _ => ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale }
            }).collect();
            agree(&values, &layout);
        }
    }

    #[test]
    fn tensors_of_many_tasks_agree_too() {
        let noise = |n: usize| -> Vec<f32> {
            (0..n)
                .map(|i| ((i as f32 * 0.618_034).fract() - 0.5).powi(3) + 0.3)
                .collect()
        };
        for layout in [
            Layout {
                groups: 1,
                outer: 700,
                channels: 130,
                inner: 9,
                out_axis: OutAxis::Outer,
            },
            Layout {
                groups: 1,
                outer: 900,
                channels: 1000,
                inner: 1,
                out_axis: OutAxis::Outer,
            },
            Layout {
                groups: 1,
                outer: 1,
                channels: 1000,
                inner: 900,
                out_axis: OutAxis::Inner,
            },
        ] {
            agree(&noise(layout.elements()), &layout);
        }
    }

    #[test]
    fn an_empty_tensor_and_one_of_nans_have_zeros_and_no_nan() {
        let layout = Layout {
            groups: 1,
            outer: 2,
            channels: 2,
            inner: 1,
            out_axis: OutAxis::Outer,
        };
        let nothing = tensor_statistics(&[f32::NAN; 4], &layout);
        assert_eq!(
            (nothing.count, nothing.nan, nothing.max_abs, nothing.mean, nothing.std),
            (0, 4, 0.0, 0.0, 0.0)
        );
        let layout = Layout {
            groups: 1,
            outer: 0,
            channels: 0,
            inner: 1,
            out_axis: OutAxis::Outer,
        };
        assert_eq!(tensor_statistics(&[], &layout).count, 0);
    }
}
