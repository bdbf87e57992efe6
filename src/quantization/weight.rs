//! One weight tensor: split, given its grid, put on it.

use super::clip::{choose_thresholds, threshold_of};
use super::layer_error::{Expanded, LayerError, layer_error};
use super::{Bits, Buffers, Clip, Grid, LayerSettings, QuantizedLayer, Split, SplitKind, Splitter, split_count};
use crate::network::{Layout, OutAxis};
use rayon::prelude::*;
use std::borrow::Cow;

/// Splits, clips and quantizes one weight tensor (no activation). `settings.weight_bits` float is taken as 8.
///
/// The grid is found in two passes (`docs/method.md`, "Splitting weights"): the threshold is chosen on the naively split
/// weights, the step follows from it, the split is done again on that step, and the clamp of the grid catches what the
/// quantization-aware split moved past the end.
pub fn plan_layer(values: &[f32], layout: &Layout, settings: &LayerSettings) -> QuantizedLayer {
    plan_layer_in(&Buffers::default(), values, layout, settings)
}

/// [`plan_layer`] that writes the split weights to memory of `buffers`.
pub fn plan_layer_in(buffers: &Buffers, values: &[f32], layout: &Layout, settings: &LayerSettings) -> QuantizedLayer {
    let bits = settings.weight_bits.grid().unwrap_or(Bits::MAX);
    let count = split_count(layout, settings.expand_ratio);
    // Without splits the weights are put on the grid where they are.
    let splitter = (count > 0).then(|| Splitter::new(values, layout));
    let unquantized = Unquantized {
        values,
        layout,
        split: splitter.as_ref().map(|splitter| (splitter, count)),
        buffers,
    };
    let (threshold, steps) = if settings.per_channel {
        let thresholds = unquantized.channel_thresholds(bits, settings.clip);
        let steps: Vec<f32> = thresholds
            .iter()
            .map(|threshold| Grid::symmetric(bits, *threshold).step)
            .collect();
        (thresholds.into_iter().fold(0.0, f32::max), steps)
    } else {
        let threshold = unquantized.threshold(bits, settings.clip);
        (threshold, vec![Grid::symmetric(bits, threshold).step])
    };
    let grid = Grid::symmetric(bits, threshold);
    let split = splitter.map(|splitter| splitter.split(count, settings.split, &steps, buffers));
    let (layout_then, index, order, expanded) = match split {
        Some(split) => (split.layout, split.index, split.order, Cow::Owned(split.values)),
        None => (
            *layout,
            (0..layout.in_channels()).collect(),
            Vec::new(),
            Cow::Borrowed(values),
        ),
    };
    let unrounded = Expanded {
        values: &expanded,
        layout: layout_then,
        index: &index,
    };
    let steps = Steps::new(&steps, &layout_then);
    let indices = quantize(unrounded, grid, &steps);
    let LayerError { mse, clip_mse, sqnr_db } = layer_error(values, layout, unrounded, &indices, grid, &steps);
    if let Cow::Owned(expanded) = expanded {
        buffers.give_back(expanded);
    }
    QuantizedLayer {
        grid,
        channel_steps: if settings.per_channel {
            steps.steps.to_vec()
        } else {
            Vec::new()
        },
        threshold,
        layout: layout_then,
        values: indices,
        index,
        splits: order,
        mse,
        clip_mse,
        sqnr_db,
        activation: None,
        activation_splits: Vec::new(),
        bias: None,
    }
}

/// The split weights of a layer in float, before the grid: what [`plan_layer`] put on it.
pub fn split_weights(values: &[f32], layout: &Layout, settings: &LayerSettings, planned: &QuantizedLayer) -> Split {
    let count = planned.layout.channels - layout.channels;
    let one = [planned.grid.step];
    let steps = if planned.channel_steps.is_empty() {
        &one[..]
    } else {
        &planned.channel_steps
    };
    Splitter::new(values, layout).split(count, settings.split, steps, &Buffers::default())
}

/// The step at each place of a tensor: one for all, or one for each output channel.
pub(super) struct Steps<'a> {
    steps: &'a [f32],
    out_axis: OutAxis,
    inner: usize,
}

impl<'a> Steps<'a> {
    /// `steps` has one entry, or one for each output channel of `layout`.
    pub(super) fn new(steps: &'a [f32], layout: &Layout) -> Self {
        Self {
            steps,
            out_axis: layout.out_axis,
            inner: layout.inner.max(1),
        }
    }

    /// The step of a whole row, if it has one.
    pub(super) fn of_row(&self, row: usize) -> Option<f32> {
        match (self.steps, self.out_axis) {
            ([step], _) => Some(*step),
            (steps, OutAxis::Outer) => steps.get(row).copied(),
            (_, OutAxis::Inner) => None,
        }
    }

    /// The step of element `place` of row `row` (rows of all groups counted through).
    pub(super) fn at(&self, row: usize, place: usize) -> f32 {
        match (self.steps, self.out_axis) {
            ([step], _) => *step,
            (steps, OutAxis::Outer) => steps[row],
            (steps, OutAxis::Inner) => steps[place % self.inner],
        }
    }
}

fn quantize(split: Expanded<'_>, grid: Grid, steps: &Steps) -> Vec<i8> {
    const TASK: usize = 1 << 14;
    let mut indices = vec![0_i8; split.values.len()];
    let row = split.layout.channels * split.layout.inner;
    if let [step] = steps.steps {
        let grid = Grid { step: *step, ..grid };
        indices
            .par_chunks_mut(TASK)
            .zip(split.values.par_chunks(TASK))
            .for_each(|(to, from)| grid.indices(from, to));
    } else if row > 0 {
        indices
            .par_chunks_mut(row)
            .zip(split.values.par_chunks(row))
            .with_min_len(TASK / row + 1)
            .enumerate()
            .for_each(|(number, (to, from))| match steps.out_axis {
                OutAxis::Outer => Grid {
                    step: steps.at(number, 0),
                    ..grid
                }
                .indices(from, to),
                OutAxis::Inner => {
                    for (place, (to, x)) in to.iter_mut().zip(from).enumerate() {
                        *to = Grid {
                            step: steps.at(number, place),
                            ..grid
                        }
                        .index(*x) as i8;
                    }
                }
            });
    }
    indices
}

/// The threshold that [`plan_layer`] would take with each of `clips` in place of `settings.clip`; with one scale an output
/// channel, the largest of them.
pub fn clip_thresholds(values: &[f32], layout: &Layout, settings: &LayerSettings, clips: &[Clip]) -> Vec<f32> {
    let bits = settings.weight_bits.grid().unwrap_or(Bits::MAX);
    let count = split_count(layout, settings.expand_ratio);
    let splitter = (count > 0).then(|| Splitter::new(values, layout));
    let unquantized = Unquantized {
        values,
        layout,
        split: splitter.as_ref().map(|splitter| (splitter, count)),
        buffers: &Buffers::default(),
    };
    if settings.per_channel {
        let of = |clip: &Clip| unquantized.channel_thresholds(bits, *clip);
        return clips
            .iter()
            .map(|clip| of(clip).into_iter().fold(0.0, f32::max))
            .collect();
    }
    unquantized.halved(|_, values| choose_thresholds(values, bits, clips))
}

/// A tensor before its grid is known.
struct Unquantized<'a> {
    values: &'a [f32],
    layout: &'a Layout,
    /// How it is split, and how often in each group.
    split: Option<(&'a Splitter<'a>, usize)>,
    buffers: &'a Buffers,
}

impl Unquantized<'_> {
    /// What `choose` says to the naively split weights, on which thresholds are chosen.
    fn halved<T>(&self, choose: impl FnOnce(&Layout, &[f32]) -> T) -> T {
        let Some((splitter, count)) = self.split else {
            return choose(self.layout, self.values);
        };
        let split = splitter.split(count, SplitKind::Naive, &[0.0], self.buffers);
        let chosen = choose(&split.layout, &split.values);
        self.buffers.give_back(split.values);
        chosen
    }

    /// The threshold of the whole tensor.
    fn threshold(&self, bits: u8, clip: Clip) -> f32 {
        match (clip, self.split) {
            (Clip::None, Some((splitter, count))) => splitter.max_abs_after(count, SplitKind::Naive, 0.0),
            (Clip::None, None) => Splitter::new(self.values, self.layout).max_abs_after(0, SplitKind::Naive, 0.0),
            (Clip::Manual(threshold), _) => threshold,
            _ => self.halved(|_, values| threshold_of(values, bits, clip)),
        }
    }

    /// The threshold of each output channel.
    fn channel_thresholds(&self, bits: u8, clip: Clip) -> Vec<f32> {
        self.halved(|layout, values| thresholds_of_channels(values, layout, bits, clip))
    }
}

fn thresholds_of_channels(values: &[f32], layout: &Layout, bits: u8, clip: Clip) -> Vec<f32> {
    let row = layout.channels * layout.inner;
    if row == 0 {
        return vec![0.0; layout.out_channels()];
    }
    match layout.out_axis {
        OutAxis::Outer => values
            .par_chunks(row)
            .map(|row| threshold_of(row, bits, clip))
            .collect(),
        OutAxis::Inner => (0..layout.inner)
            .into_par_iter()
            .map(|column| {
                let column: Vec<f32> = values.iter().skip(column).step_by(layout.inner).copied().collect();
                threshold_of(&column, bits, clip)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(bits: u8, expand_ratio: f64, per_channel: bool) -> LayerSettings {
        LayerSettings {
            weight_bits: Bits::Grid(bits),
            expand_ratio,
            split: SplitKind::Qa,
            clip: Clip::None,
            activation_bits: Bits::Float,
            activation_clip: Clip::None,
            activation_expand_ratio: 0.0,
            activation_split: SplitKind::Qa,
            unsigned_activations: false,
            per_channel,
        }
    }

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i as f32 * 0.618_034).fract() - 0.5).powi(3)).collect()
    }

    /// The error as a reader of `docs/method.md` would compute it: dequantize, add the copies up, compare.
    #[test]
    fn the_error_is_that_of_the_summed_copies() {
        let layout = Layout {
            groups: 2,
            outer: 3,
            channels: 4,
            inner: 5,
            out_axis: OutAxis::Outer,
        };
        let values = noise(layout.elements());
        for per_channel in [false, true] {
            let planned = plan_layer(&values, &layout, &settings(3, 0.5, per_channel));
            let (mut sum, mut signal) = (0.0_f64, 0.0_f64);
            for row in 0..6 {
                let step = if per_channel {
                    planned.channel_steps[row]
                } else {
                    planned.grid.step
                };
                for channel in 0..4 {
                    for i in 0..5 {
                        let mut seen = 0.0;
                        for expanded in 0..planned.layout.channels {
                            let group = row / 3;
                            if planned.index[group * planned.layout.channels + expanded] == group * 4 + channel {
                                let at = (row * planned.layout.channels + expanded) * 5 + i;
                                seen += f64::from(planned.values[at]) * f64::from(step);
                            }
                        }
                        let w = f64::from(values[(row * 4 + channel) * 5 + i]);
                        sum += (seen - w).powi(2);
                        signal += w * w;
                    }
                }
            }
            assert!(
                (planned.mse - sum / 120.0).abs() < 1e-6 * planned.mse,
                "{} {}",
                planned.mse,
                sum / 120.0
            );
            assert!((planned.sqnr_db - 10.0 * (signal / sum).log10()).abs() < 1e-4);
        }
    }

    #[test]
    fn a_scale_for_each_output_channel_reaches_that_channels_largest_weight() {
        for out_axis in [OutAxis::Outer, OutAxis::Inner] {
            let layout = match out_axis {
                OutAxis::Outer => Layout {
                    groups: 1,
                    outer: 6,
                    channels: 10,
                    inner: 1,
                    out_axis,
                },
                OutAxis::Inner => Layout {
                    groups: 1,
                    outer: 1,
                    channels: 10,
                    inner: 6,
                    out_axis,
                },
            };
            let values = noise(60);
            let one = plan_layer(&values, &layout, &settings(4, 0.0, false));
            let each = plan_layer(&values, &layout, &settings(4, 0.0, true));
            assert_eq!(each.channel_steps.len(), 6);
            for (channel, step) in each.channel_steps.iter().enumerate() {
                let weight = |i: usize| {
                    if out_axis == OutAxis::Outer {
                        values[channel * 10 + i]
                    } else {
                        values[i * 6 + channel]
                    }
                };
                let max = (0..10).map(|i| weight(i).abs()).fold(0.0, f32::max);
                assert!((step * 7.0 - max).abs() < 1e-6, "channel {channel}");
            }
            assert!(each.mse < one.mse, "{} {}", each.mse, one.mse);
        }
    }

    #[test]
    fn each_way_to_clip_is_told_the_threshold_that_the_plan_takes() {
        let layout = Layout {
            groups: 1,
            outer: 6,
            channels: 10,
            inner: 4,
            out_axis: OutAxis::Outer,
        };
        let values = noise(layout.elements());
        for (per_channel, expand_ratio) in [(false, 0.0), (false, 0.2), (true, 0.2)] {
            let settings = settings(4, expand_ratio, per_channel);
            let told = clip_thresholds(&values, &layout, &settings, &Clip::CHOICES);
            for (clip, told) in Clip::CHOICES.into_iter().zip(told) {
                let planned = plan_layer(&values, &layout, &LayerSettings { clip, ..settings });
                assert_eq!(
                    planned.threshold, told,
                    "{clip}, ratio {expand_ratio}, per channel {per_channel}"
                );
            }
        }
    }

    #[test]
    fn clipping_error_is_part_of_the_error_and_zero_without_clipping() {
        let layout = Layout {
            groups: 1,
            outer: 4,
            channels: 25,
            inner: 1,
            out_axis: OutAxis::Outer,
        };
        let values = noise(100);
        let plain = plan_layer(&values, &layout, &settings(4, 0.0, false));
        assert_eq!(plain.clip_mse, 0.0);
        let clipped = plan_layer(
            &values,
            &layout,
            &LayerSettings {
                clip: Clip::Manual(0.05),
                ..settings(4, 0.0, false)
            },
        );
        assert!(clipped.clip_mse > 0.0 && clipped.clip_mse < clipped.mse);
    }
}
