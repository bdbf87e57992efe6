//! Moments and channel ranges of a weight tensor, in one parallel pass.
//!
//! The tensor is cut into tasks of whole rows or lines; a task walks blocks that fit the first-level cache and reads each
//! block from memory once. Blocks are merged in order, so the result does not depend on the number of threads.

use super::moments::Moments;
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

/// Elements of a task: large enough that its channel arrays do not matter.
const TASK: usize = 1 << 18;
/// Tasks whose channel arrays are held at a time.
const GROUP: usize = 64;
/// Elements of a block: small enough to stay in the first-level cache between its passes.
const BLOCK: usize = 1 << 12;
/// Independent maxima, so that the compiler can use vector registers.
const LANES: usize = 16;

/// Statistics of `values`, read as `layout` says. Elements beyond `layout.elements()` are ignored.
pub fn tensor_statistics(values: &[f32], layout: &Layout) -> TensorStatistics {
    streamed_statistics(values, layout)
}

/// [`tensor_statistics`] of numbers that are read piece by piece: the memory that it takes does not grow with the tensor.
pub fn streamed_statistics(values: &(impl FloatSource + ?Sized), layout: &Layout) -> TensorStatistics {
    let count = values.count().min(layout.elements());
    // A line is the run of elements of one input channel in one row.
    let line = layout.inner.max(1);
    let row = (layout.channels * line).max(1);
    let unit = if row > TASK { line } else { row };
    let task = (TASK.max(8 * (layout.in_channels() + layout.out_channels())) / unit).max(1) * unit;
    let mut total = Part::empty(layout);
    for group in (0..count.div_ceil(task)).collect::<Vec<_>>().chunks(GROUP) {
        let of_task = |scratch: &mut Vec<f32>, &number: &usize| {
            let start = number * task;
            Part::of(values.piece(start..count.min(start + task), scratch), start, layout)
        };
        let parts: Vec<Part> = group.par_iter().map_init(Vec::new, of_task).collect();
        for part in &parts {
            total.merge(part);
        }
    }
    total.finish()
}

struct Part {
    moments: Moments,
    in_channels: Vec<f32>,
    out_channels: Vec<f32>,
}

impl Part {
    fn empty(layout: &Layout) -> Self {
        Self {
            moments: Moments::default(),
            in_channels: vec![0.0; layout.in_channels()],
            out_channels: vec![0.0; layout.out_channels()],
        }
    }

    /// `chunk` begins at `offset` elements into the tensor, at the beginning of a line.
    fn of(chunk: &[f32], offset: usize, layout: &Layout) -> Self {
        let mut part = Self::empty(layout);
        let (line, row) = (layout.inner.max(1), (layout.channels * layout.inner).max(1));
        // Whole lines that fill a block, so that the second look at them finds them in the cache.
        let piece = (BLOCK / line).max(1) * line;
        let mut position = offset;
        let mut rest = chunk;
        while !rest.is_empty() {
            let (block, tail) = rest.split_at(piece.min(row - position % row).min(rest.len()));
            let mut all_finite = true;
            for block in block.chunks(BLOCK) {
                let moments = Moments::of(block);
                all_finite &= moments.nan + moments.infinite == 0;
                part.moments.merge(&moments);
            }
            if all_finite {
                part.channels(block, position, layout);
            } else {
                let block: Vec<f32> = block.iter().map(|x| if x.is_finite() { *x } else { 0.0 }).collect();
                part.channels(&block, position, layout);
            }
            position += block.len();
            rest = tail;
        }
        part
    }

    /// Takes in lines of one row; all elements are finite.
    fn channels(&mut self, lines: &[f32], position: usize, layout: &Layout) {
        let row = position / (layout.channels * layout.inner).max(1);
        let first =
            row / layout.outer.max(1) * layout.channels + position / layout.inner.max(1) % layout.channels.max(1);
        let in_channels = &mut self.in_channels[first..];
        match layout.out_axis {
            OutAxis::Outer => {
                let max = line_maxima(lines, layout.inner.max(1), in_channels);
                self.out_channels[row] = self.out_channels[row].max(max);
            }
            OutAxis::Inner => {
                for (max, line) in in_channels.iter_mut().zip(lines.chunks(layout.inner.max(1))) {
                    *max = max.max(column_maxima(line, &mut self.out_channels));
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        for (mine, theirs) in self.in_channels.iter_mut().zip(&other.in_channels) {
            *mine = mine.max(*theirs);
        }
        for (mine, theirs) in self.out_channels.iter_mut().zip(&other.out_channels) {
            *mine = mine.max(*theirs);
        }
    }

    fn finish(self) -> TensorStatistics {
        let moments = self.moments;
        let empty = moments.count == 0;
        let (min, max) = if empty { (0.0, 0.0) } else { (moments.min, moments.max) };
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
            in_channel_max_abs: self.in_channels,
            out_channel_max_abs: self.out_channels,
        }
    }
}

/// Raises `maxima` to the greatest |x| of each line, and returns the greatest of all.
#[multiversion(targets = "simd")]
fn line_maxima(lines: &[f32], length: usize, maxima: &mut [f32]) -> f32 {
    let greater = |a: f32, b: f32| if a > b { a } else { b };
    match length {
        1 => {
            let mut all = [0.0_f32; LANES];
            for (maxima, lines) in maxima.chunks_mut(LANES).zip(lines.chunks(LANES)) {
                for ((all, max), x) in all.iter_mut().zip(maxima).zip(lines) {
                    *max = greater(x.abs(), *max);
                    *all = greater(x.abs(), *all);
                }
            }
            all.into_iter().fold(0.0, greater)
        }
        9 => fixed_line_maxima::<9>(lines, maxima),
        25 => fixed_line_maxima::<25>(lines, maxima),
        49 => fixed_line_maxima::<49>(lines, maxima),
        _ => lines.chunks(length).zip(maxima).fold(0.0, |all, (line, max)| {
            let largest = line.iter().fold(0.0, |m, x| greater(x.abs(), m));
            *max = greater(largest, *max);
            greater(largest, all)
        }),
    }
}

/// [`line_maxima`] of kernels whose size the compiler knows: 3x3, 5x5, 7x7.
#[inline(always)]
fn fixed_line_maxima<const N: usize>(lines: &[f32], maxima: &mut [f32]) -> f32 {
    let greater = |a: f32, b: f32| if a > b { a } else { b };
    let (lines, _) = lines.as_chunks::<N>();
    lines.iter().zip(maxima).fold(0.0, |all, (line, max)| {
        let largest = line.iter().fold(0.0, |m, x| greater(x.abs(), m));
        *max = greater(largest, *max);
        greater(largest, all)
    })
}

/// Raises `maxima` to |x| place by place, and returns the greatest of all.
#[multiversion(targets = "simd")]
fn column_maxima(line: &[f32], maxima: &mut [f32]) -> f32 {
    let greater = |a: f32, b: f32| if a > b { a } else { b };
    let mut all = [0.0_f32; LANES];
    for (maxima, line) in maxima.chunks_mut(LANES).zip(line.chunks(LANES)) {
        for ((all, max), x) in all.iter_mut().zip(maxima).zip(line) {
            *max = greater(x.abs(), *max);
            *all = greater(x.abs(), *all);
        }
    }
    all.into_iter().fold(0.0, greater)
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
