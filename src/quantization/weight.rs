//! One weight tensor: split, given its grid, put on it.

use super::clip::{asymmetric_grid, choose_thresholds, threshold_of, threshold_of_part};
use super::int32_bias::raise;
use super::layer_error::{Expanded, LayerError, layer_error};
use super::rounding::{self, InputMoments, NoMoments};
use super::{
    Bits, Buffers, Clip, Granularity, Grid, QuantizedLayer, Scales, Split, SplitKind, Splitter, WeightSettings,
    split_count,
};
use crate::network::{Layout, OutAxis};
use rayon::prelude::*;
use std::borrow::Cow;

/// Splits, clips, scales and rounds one weight tensor (no activation). Bits float are taken as 8, and [`super::Rounding::Gptq`] as
/// nearest: it needs to know the layer's inputs, see [`plan_layer_in`].
///
/// The grid is found in two passes (`docs/method.md`, "Splitting weights"): the threshold is chosen on the naively split
/// weights, the step follows from it, the split is done again on that step, and the clamp of the grid catches what the
/// quantization-aware split moved past the end.
pub fn plan_layer(values: &[f32], layout: &Layout, settings: &WeightSettings) -> QuantizedLayer {
    plan_layer_in(&Buffers::default(), values, layout, settings, NO_INPUTS)
}

/// What [`plan_layer_in`] is told of a layer's inputs where nothing is known of them.
pub const NO_INPUTS: Result<&InputMoments, NoMoments> = Err(NoMoments::Unknown);

/// [`plan_layer`] that writes the split weights to memory of `buffers` and rounds by what is known of the layer's inputs.
pub fn plan_layer_in(
    buffers: &Buffers,
    values: &[f32],
    layout: &Layout,
    settings: &WeightSettings,
    inputs: Result<&InputMoments, NoMoments>,
) -> QuantizedLayer {
    plan_layer_above(buffers, values, layout, settings, inputs, &[])
}

/// [`plan_layer_in`] with scales that are no smaller than `least`, one for each output channel or none.
pub(super) fn plan_layer_above(
    buffers: &Buffers,
    values: &[f32],
    layout: &Layout,
    settings: &WeightSettings,
    inputs: Result<&InputMoments, NoMoments>,
    least: &[f32],
) -> QuantizedLayer {
    let bits = settings.bits.grid().unwrap_or(Bits::MAX);
    let count = split_count(layout, settings.expand_ratio);
    // Without splits the weights are put on the grid where they are.
    let splitter = (count > 0).then(|| Splitter::new(values, layout));
    let unquantized = Unquantized {
        values,
        layout,
        split: splitter.as_ref().map(|splitter| (splitter, count)),
        buffers,
    };
    let Steps {
        threshold,
        mut scales,
        zero_points,
    } = unquantized.scales(bits, settings);
    let raised_scales = raise(&mut scales, least);
    let (threshold, grid) = match zero_points.as_slice() {
        [] if raised_scales == 0 => (threshold, Grid::symmetric(bits, threshold)),
        [] => {
            let n = Grid::symmetric(bits, 1.0).high() as f32;
            let reach = scales.values().iter().map(|scale| scale * n);
            let threshold = reach.fold(threshold, f32::max);
            (threshold, Grid::symmetric(bits, threshold))
        }
        zero_points => widest(bits, &scales, zero_points),
    };
    // One scale is the step of the grid itself.
    if let Scales::Tensor(scale) = &mut scales {
        *scale = grid.step;
    }
    let split = splitter.map(|splitter| splitter.split(count, settings.split, split_steps(&scales), buffers));
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
    let placed = scales.on(&layout_then).with_zero_points(&zero_points);
    let (codes, rounding) = rounding::round(settings.rounding, unrounded, grid, placed, inputs);
    let LayerError { mse, clip_mse, sqnr_db } = layer_error(values, layout, unrounded, &codes, grid, placed);
    if let Cow::Owned(expanded) = expanded {
        buffers.give_back(expanded);
    }
    QuantizedLayer {
        grid,
        scales,
        zero_points,
        rounding,
        threshold,
        layout: layout_then,
        values: codes.into(),
        index,
        splits: order,
        mse,
        clip_mse,
        sqnr_db,
        activation: None,
        activation_splits: Vec::new(),
        bias: None,
        bias_note: None,
        raised_scales,
    }
}

/// The split weights of a layer in float, before the grid: what [`plan_layer`] put on it.
pub fn split_weights(values: &[f32], layout: &Layout, settings: &WeightSettings, planned: &QuantizedLayer) -> Split {
    let count = planned.layout.channels - layout.channels;
    let steps = split_steps(&planned.scales);
    Splitter::new(values, layout).split(count, settings.split, steps, &Buffers::default())
}

/// The scales that a quantization-aware split is made for. The two copies of a weight lie in different blocks, so that with
/// scales in blocks nothing makes their rounded sum whole: they are equal halves.
fn split_steps(scales: &Scales) -> &[f32] {
    match scales {
        Scales::Tensor(_) | Scales::Channel(_) => scales.values(),
        Scales::Block { .. } => &[0.0],
    }
}

/// The threshold that [`plan_layer`] would take with each of `clips` in place of `settings.clip`; with more scales than one,
/// the largest of them.
pub fn clip_thresholds(values: &[f32], layout: &Layout, settings: &WeightSettings, clips: &[Clip]) -> Vec<f32> {
    let bits = settings.bits.grid().unwrap_or(Bits::MAX);
    let count = split_count(layout, settings.expand_ratio);
    let splitter = (count > 0).then(|| Splitter::new(values, layout));
    let unquantized = Unquantized {
        values,
        layout,
        split: splitter.as_ref().map(|splitter| (splitter, count)),
        buffers: &Buffers::default(),
    };
    if settings.scales != Granularity::Tensor || settings.zero_points {
        let of = |clip: &Clip| {
            unquantized
                .scales(
                    bits,
                    &WeightSettings {
                        clip: *clip,
                        ..*settings
                    },
                )
                .threshold
        };
        return clips.iter().map(of).collect();
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

    /// The largest threshold, the scales and the zero points.
    fn scales(&self, bits: u8, settings: &WeightSettings) -> Steps {
        if settings.zero_points {
            return self.asymmetric(bits, settings);
        }
        let (threshold, scales) = self.symmetric(bits, settings);
        Steps {
            threshold,
            scales,
            zero_points: Vec::new(),
        }
    }

    fn asymmetric(&self, bits: u8, settings: &WeightSettings) -> Steps {
        let clip = settings.clip;
        let grids: Vec<Grid> = self.halved(|layout, values| match settings.scales {
            Granularity::Tensor => vec![asymmetric_grid(values, bits, clip, false)],
            Granularity::Channel => of_channels(values, layout, |part| asymmetric_grid(part, bits, clip, true)),
            Granularity::Block(size) => of_blocks(values, layout, size, |part| asymmetric_grid(part, bits, clip, true)),
        });
        let zero_points: Vec<i8> = grids.iter().map(|grid| grid.zero_point.unwrap_or(0)).collect();
        let steps: Vec<f32> = grids.iter().map(|grid| grid.step).collect();
        let scales = match settings.scales {
            Granularity::Tensor => Scales::Tensor(steps.first().copied().unwrap_or(1.0)),
            Granularity::Channel => Scales::Channel(steps),
            Granularity::Block(size) => Scales::Block { size, values: steps },
        };
        Steps {
            threshold: widest(bits, &scales, &zero_points).0,
            scales,
            zero_points,
        }
    }

    fn symmetric(&self, bits: u8, settings: &WeightSettings) -> (f32, Scales) {
        let scale = |threshold: f32| Grid::symmetric(bits, threshold).step;
        let clip = settings.clip;
        if settings.scales == Granularity::Tensor {
            let threshold = self.threshold(bits, clip);
            return (threshold, Scales::Tensor(scale(threshold)));
        }
        let thresholds = self.halved(|layout, values| match settings.scales {
            Granularity::Block(size) => of_blocks(values, layout, size, |part| threshold_of_part(part, bits, clip)),
            Granularity::Tensor | Granularity::Channel => {
                of_channels(values, layout, |part| threshold_of_part(part, bits, clip))
            }
        });
        let scales = thresholds.iter().map(|threshold| scale(*threshold)).collect();
        let largest = thresholds.into_iter().fold(0.0, f32::max);
        let scales = match settings.scales {
            Granularity::Block(size) => Scales::Block { size, values: scales },
            Granularity::Tensor | Granularity::Channel => Scales::Channel(scales),
        };
        (largest, scales)
    }
}

/// The scales of a tensor, with a zero point for each or none, and the largest threshold.
struct Steps {
    threshold: f32,
    scales: Scales,
    zero_points: Vec<i8>,
}

/// How far the scales reach at most, and the grid of the one that does.
fn widest(bits: u8, scales: &Scales, zero_points: &[i8]) -> (f32, Grid) {
    let grid = |(step, zero): (&f32, &i8)| Grid {
        step: *step,
        zero_point: Some(*zero),
        ..Grid::symmetric(bits, 1.0)
    };
    let reach = |grid: Grid| grid.value(grid.low()).abs().max(grid.value(grid.high()).abs());
    let first = (0.0, Grid::symmetric(bits, 0.0).with_middle_zero_point());
    let grids = scales.values().iter().zip(zero_points).map(grid);
    grids.fold(first, |widest, grid| match reach(grid) > widest.0 {
        true => (reach(grid), grid),
        false => widest,
    })
}

/// What `of_part` says of the weights of each output channel.
fn of_channels<T: Send>(values: &[f32], layout: &Layout, of_part: impl Fn(&[f32]) -> T + Sync) -> Vec<T> {
    let of_part = &of_part;
    let row = layout.channels * layout.inner;
    if row == 0 {
        return (0..layout.out_channels()).map(|_| of_part(&[])).collect();
    }
    match layout.out_axis {
        OutAxis::Outer => values.par_chunks(row).map(of_part).collect(),
        // The weights of a channel lie in every line; groups share their channels' scales.
        OutAxis::Inner => (0..layout.out_channels())
            .into_par_iter()
            .map(|channel| {
                let lines = values.chunks_exact(layout.inner);
                let of_line = |line: &[f32]| line[channel * layout.out_run..][..layout.out_run].to_vec();
                let own: Vec<f32> = match layout.out_run {
                    1 => lines.map(|line| line[channel]).collect(),
                    _ => lines.flat_map(of_line).collect(),
                };
                of_part(&own)
            })
            .collect(),
    }
}

/// What `of_part` says of the weights of each block, in the order of [`Scales::Block`].
fn of_blocks<T: Send>(values: &[f32], layout: &Layout, size: usize, of_part: impl Fn(&[f32]) -> T + Sync) -> Vec<T> {
    let of_part = &of_part;
    let row = layout.channels * layout.inner;
    if row == 0 || size == 0 {
        return Vec::new();
    }
    match layout.out_axis {
        OutAxis::Outer => values
            .par_chunks(row)
            .with_min_len((1 << 12) / row + 1)
            .flat_map_iter(|row| row.chunks(size).map(of_part))
            .collect(),
        OutAxis::Inner => values
            .par_chunks(row)
            .flat_map_iter(|row| row.chunks(size * layout.inner))
            .flat_map_iter(|lines| {
                (0..layout.inner).map(move |column| {
                    let block: Vec<f32> = lines.iter().skip(column).step_by(layout.inner).copied().collect();
                    of_part(&block)
                })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(bits: u8, expand_ratio: f64, scales: Granularity) -> WeightSettings {
        WeightSettings {
            bits: Bits::Grid(bits),
            expand_ratio,
            scales,
            ..WeightSettings::default()
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
            out_run: 1,
        };
        let values = noise(layout.elements());
        for scales in [Granularity::Tensor, Granularity::Channel, Granularity::Block(16)] {
            let planned = plan_layer(&values, &layout, &settings(3, 0.5, scales));
            let placed = planned.scales.on(&planned.layout);
            let (mut sum, mut signal) = (0.0_f64, 0.0_f64);
            for row in 0..6 {
                for channel in 0..4 {
                    for i in 0..5 {
                        let mut seen = 0.0;
                        for expanded in 0..planned.layout.channels {
                            let group = row / 3;
                            if planned.index[group * planned.layout.channels + expanded] == group * 4 + channel {
                                let at = (row * planned.layout.channels + expanded) * 5 + i;
                                let scale = placed.at(row, expanded * 5 + i);
                                seen += f64::from(planned.values[at]) * f64::from(scale);
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
                    out_run: 1,
                },
                OutAxis::Inner => Layout {
                    groups: 1,
                    outer: 1,
                    channels: 10,
                    inner: 6,
                    out_axis,
                    out_run: 1,
                },
            };
            let values = noise(60);
            let one = plan_layer(&values, &layout, &settings(4, 0.0, Granularity::Tensor));
            let each = plan_layer(&values, &layout, &settings(4, 0.0, Granularity::Channel));
            assert_eq!(each.scales.values().len(), 6);
            for (channel, step) in each.scales.values().iter().enumerate() {
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
            out_run: 1,
        };
        let values = noise(layout.elements());
        let ways = [
            (Granularity::Tensor, 0.0),
            (Granularity::Tensor, 0.2),
            (Granularity::Channel, 0.2),
            (Granularity::Block(16), 0.2),
        ];
        for (scales, expand_ratio) in ways {
            let settings = settings(4, expand_ratio, scales);
            let told = clip_thresholds(&values, &layout, &settings, &Clip::CHOICES);
            for (clip, told) in Clip::CHOICES.into_iter().zip(told) {
                let planned = plan_layer(&values, &layout, &WeightSettings { clip, ..settings });
                assert_eq!(planned.threshold, told, "{clip}, ratio {expand_ratio}, scales {scales}");
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
            out_run: 1,
        };
        let values = noise(100);
        let plain = plan_layer(&values, &layout, &settings(4, 0.0, Granularity::Tensor));
        assert_eq!(plain.clip_mse, 0.0);
        let clipped = plan_layer(
            &values,
            &layout,
            &WeightSettings {
                clip: Clip::Manual(0.05),
                ..settings(4, 0.0, Granularity::Tensor)
            },
        );
        assert!(clipped.clip_mse > 0.0 && clipped.clip_mse < clipped.mse);
    }
}
