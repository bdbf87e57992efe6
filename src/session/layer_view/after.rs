//! A layer after splitting, and how often each value of its grid is taken.

use crate::network::Layout;
use crate::quantization::{
    Buffers, InputMoments, NoMoments, QuantizedLayer, WeightSettings, plan_layer_in, split_weights,
};
use crate::statistics::tensor_statistics;

/// A layer after splitting.
#[derive(Debug, Clone)]
pub struct After {
    /// The layer on its grid.
    pub quantized: QuantizedLayer,
    /// The split weights before they are rounded.
    pub split: Vec<f32>,
    /// Greatest |w| over the copies of each input channel.
    pub channels: Vec<f32>,
    /// Copies of each input channel, 1 for those that were not split.
    pub copies: Vec<usize>,
    /// The rounded weights: how many take each value of the grid.
    pub staircase: Staircase,
}

/// How many weights take each index of the grid, from its lowest to its highest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Staircase {
    /// Index of the first count.
    pub low: i32,
    /// Weights at each index.
    pub counts: Vec<u64>,
}

impl Staircase {
    /// Counts indices between `low` and `high`.
    fn of(indices: &[i8], low: i32, high: i32) -> Self {
        // Every index of a byte has a counter: no check inside the loop.
        let mut all = [0_u64; 256];
        for index in indices {
            all[usize::from(index.cast_unsigned())] += 1;
        }
        let count = |index: i32| i8::try_from(index).map_or(0, |index| all[usize::from(index.cast_unsigned())]);
        Self {
            low,
            counts: (low..=high).map(count).collect(),
        }
    }

    /// The indices with their counts.
    pub fn steps(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        (self.low..).zip(self.counts.iter().copied())
    }
}

impl After {
    pub(super) fn compute(
        weights: &[f32],
        layout: Layout,
        settings: &WeightSettings,
        inputs: Result<&InputMoments, NoMoments>,
    ) -> Self {
        let quantized = plan_layer_in(&Buffers::default(), weights, &layout, settings, inputs);
        Self::of(weights, layout, settings, quantized)
    }

    /// The layer as it was planned.
    pub(super) fn of(weights: &[f32], layout: Layout, settings: &WeightSettings, quantized: QuantizedLayer) -> Self {
        let split = split_weights(weights, &layout, settings, &quantized);
        let expanded = tensor_statistics(&split.values, &split.layout).in_channel_max_abs;
        let mut channels = vec![0.0_f32; layout.in_channels()];
        let mut copies = vec![0; layout.in_channels()];
        for (&source, &max) in split.index.iter().zip(&expanded) {
            channels[source] = channels[source].max(max);
            copies[source] += 1;
        }
        let staircase = Staircase::of(&quantized.values, quantized.grid.low(), quantized.grid.high());
        Self {
            quantized,
            split: split.values,
            channels,
            copies,
            staircase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;
    use crate::quantization::{Bits, Clip, NO_INPUTS, SplitKind};

    #[test]
    fn every_split_weight_stands_on_one_step() {
        let layout = Layout {
            groups: 1,
            outer: 8,
            channels: 10,
            inner: 9,
            out_axis: OutAxis::Outer,
            out_run: 1,
        };
        let weights: Vec<f32> = (0..layout.elements())
            .map(|i| ((i as f32 * 0.618_034).fract() - 0.5).powi(3))
            .collect();
        let settings = WeightSettings {
            bits: Bits::Grid(3),
            expand_ratio: 0.25,
            split: SplitKind::Qa,
            clip: Clip::Mse,
            ..WeightSettings::default()
        };
        let after = After::compute(&weights, layout, &settings, NO_INPUTS);
        assert_eq!(after.staircase.counts.len(), 7);
        assert_eq!(after.staircase.counts.iter().sum::<u64>(), 8 * (10 + 3) * 9);
        let grid = after.quantized.grid;
        for (index, count) in after.staircase.steps() {
            let rounded = after.split.iter().filter(|w| grid.index(**w) == index).count();
            assert_eq!(rounded as u64, count, "index {index}");
        }
    }
}
