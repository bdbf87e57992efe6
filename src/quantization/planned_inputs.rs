//! What a plan makes of a layer's input channels, whether its weights go on a grid or stay float: the network is split either
//! way, and an input goes on a grid of its own.

use super::{ActivationPlan, QuantizedLayer, SplitKind, split_channels};
use crate::network::Layout;

/// A layer whose weights stay float, but not its input: channels are split, or it goes on a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLayer {
    /// Layout of the expanded weights.
    pub layout: Layout,
    /// Source channel of each channel of the expanded layer.
    pub index: Vec<usize>,
    /// Input channels in the order they were split.
    pub splits: Vec<usize>,
    /// The grid of the layer's input, if it is quantized.
    pub activation: Option<ActivationPlan>,
    /// Input channels whose activation is halved and sent twice.
    pub activation_splits: Vec<usize>,
}

impl FloatLayer {
    /// A layer with `count` channels of each group split. There is no grid that a split could be aware of: a weight becomes two
    /// halves, whose sum is the weight to the bit (but for halves too small for an f32).
    pub(super) fn split(values: &[f32], layout: &Layout, count: usize) -> Self {
        if count == 0 {
            return Self {
                layout: *layout,
                index: (0..layout.in_channels()).collect(),
                splits: Vec::new(),
                activation: None,
                activation_splits: Vec::new(),
            };
        }
        let split = split_channels(values, layout, count, SplitKind::Naive, 0.0);
        Self {
            layout: split.layout,
            index: split.index,
            splits: split.order,
            activation: None,
            activation_splits: Vec::new(),
        }
    }

    /// The split weights.
    pub(super) fn weights(&self, values: &[f32], layout: &Layout) -> Vec<f32> {
        let count = self.layout.channels - layout.channels;
        split_channels(values, layout, count, SplitKind::Naive, 0.0).values
    }

    /// In a few words: "float weights, 3 channels split, input on 8 bits".
    pub fn describe(&self) -> String {
        let mut parts = vec!["float weights".to_owned()];
        let plural = |count: usize| if count == 1 { "channel" } else { "channels" };
        if !self.splits.is_empty() {
            let count = self.splits.len();
            parts.push(format!("{count} {} split", plural(count)));
        }
        if let Some(activation) = &self.activation {
            parts.push(format!("input on {} bits", activation.grid.bits));
        }
        if !self.activation_splits.is_empty() {
            let count = self.activation_splits.len();
            parts.push(format!("{count} {} of the input halved", plural(count)));
        }
        parts.join(", ")
    }
}

/// What becomes of the input of a planned layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedInputs<'a> {
    /// Layout of the expanded weights.
    pub layout: &'a Layout,
    /// Source channel of each channel of the expanded layer.
    pub index: &'a [usize],
    /// Input channels in the order they were split.
    pub splits: &'a [usize],
    /// The grid of the layer's input, if it is quantized.
    pub activation: Option<&'a ActivationPlan>,
    /// Input channels whose activation is halved and sent twice.
    pub activation_splits: &'a [usize],
}

impl PlannedInputs<'_> {
    /// Whether the layer has other input channels than in the network.
    pub fn is_expanded(&self) -> bool {
        !self.splits.is_empty() || !self.activation_splits.is_empty()
    }
}

impl<'a> From<&'a QuantizedLayer> for PlannedInputs<'a> {
    fn from(layer: &'a QuantizedLayer) -> Self {
        Self {
            layout: &layer.layout,
            index: &layer.index,
            splits: &layer.splits,
            activation: layer.activation.as_ref(),
            activation_splits: &layer.activation_splits,
        }
    }
}

impl<'a> From<&'a FloatLayer> for PlannedInputs<'a> {
    fn from(layer: &'a FloatLayer) -> Self {
        Self {
            layout: &layer.layout,
            index: &layer.index,
            splits: &layer.splits,
            activation: layer.activation.as_ref(),
            activation_splits: &layer.activation_splits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;

    #[test]
    fn halves_of_float_weights_add_up_to_the_bit() {
        let layout = Layout {
            groups: 2,
            outer: 3,
            channels: 4,
            inner: 2,
            out_run: 1,
            out_axis: OutAxis::Outer,
        };
        let values: Vec<f32> = (0..layout.elements())
            .map(|i| ((i as f32 * 0.618_034).fract() - 0.5).powi(5))
            .collect();
        let layer = FloatLayer::split(&values, &layout, 3);
        assert_eq!(
            (layer.layout.channels, layer.splits.len(), layer.index.len()),
            (7, 6, 14)
        );
        let split = layer.weights(&values, &layout);
        for (row, (before, after)) in values.chunks(8).zip(split.chunks(14)).enumerate() {
            let group = row / 3;
            let mut sums = [0.0_f32; 8];
            for (copy, pair) in after.chunks(2).enumerate() {
                let source = layer.index[group * 7 + copy] - group * 4;
                sums[2 * source] += pair[0];
                sums[2 * source + 1] += pair[1];
            }
            assert_eq!(sums, before, "row {row}");
        }
        assert_eq!(layer.describe(), "float weights, 6 channels split");
    }
}
