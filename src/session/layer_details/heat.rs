//! Counts over channel and value: the picture of a layer in which an outlier channel is a long column.

use crate::network::Layout;

/// Bins of the values.
const BINS: usize = 97;
/// Channels that are counted at most; of more, the first ones.
const MOST_CHANNELS: usize = 1 << 15;

/// How the weights of each channel are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Channels counted.
    pub channels: usize,
    /// Bins of the values, equally wide over `[-reach, reach]`.
    pub bins: usize,
    /// End of the values, in the units of the weights.
    pub reach: f64,
    /// Weights, `[channels, bins]`.
    pub counts: Vec<u32>,
}

/// What a column is.
pub(super) enum Axis {
    /// An input channel: for each channel of the expanded layer, its source.
    Input(Vec<usize>),
    /// An output channel.
    Output,
}

impl Axis {
    /// The input channels of a layer as it is.
    pub(super) fn input(layout: &Layout) -> Self {
        Self::Input((0..layout.in_channels()).collect())
    }

    /// The same columns of the layer after splitting.
    pub(super) fn after(&self, index: &[usize]) -> Self {
        match self {
            Self::Input(_) => Self::Input(index.to_vec()),
            Self::Output => Self::Output,
        }
    }
}

impl Heat {
    /// Counts `values` of `layout` up to `reach`; what is not finite is left out.
    pub(super) fn of(values: &[f32], layout: &Layout, axis: &Axis, reach: f32) -> Self {
        let channels = match axis {
            Axis::Input(sources) => sources.iter().max().map_or(0, |last| last + 1),
            Axis::Output => layout.out_channels(),
        };
        let channels = channels.min(MOST_CHANNELS);
        let reach = if reach > 0.0 && reach.is_finite() { reach } else { 1.0 };
        let mut counts = vec![0_u32; channels * BINS];
        let scale = BINS as f32 / (2.0 * reach);
        let row = (layout.channels * layout.inner).max(1);
        for (number, row) in values.chunks(row).enumerate() {
            let group = number / layout.outer.max(1);
            for (within, line) in row.chunks(layout.inner.max(1)).enumerate() {
                for (place, x) in line.iter().enumerate() {
                    let channel = match axis {
                        Axis::Input(sources) => sources[group * layout.channels + within],
                        Axis::Output => layout.out_channel(number, place),
                    };
                    if channel < channels && x.is_finite() {
                        let bin = ((x + reach) * scale).clamp(0.0, (BINS - 1) as f32) as usize;
                        counts[channel * BINS + bin] += 1;
                    }
                }
            }
        }
        Self {
            channels,
            bins: BINS,
            reach: f64::from(reach),
            counts,
        }
    }

    /// Counts of one channel, lowest values first.
    pub fn column(&self, channel: usize) -> &[u32] {
        self.counts
            .get(channel * self.bins..(channel + 1) * self.bins)
            .unwrap_or_default()
    }

    /// The largest count.
    pub fn most(&self) -> u32 {
        self.counts.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;

    #[test]
    fn each_weight_is_counted_in_its_input_and_in_its_output_channel() {
        // Two groups of two rows, three channels, two elements each: the value tells where it stands.
        for out_axis in [OutAxis::Outer, OutAxis::Inner] {
            let groups = if out_axis == OutAxis::Outer { 2 } else { 1 };
            let layout = Layout {
                groups,
                outer: if out_axis == OutAxis::Outer { 2 } else { 1 },
                channels: 3,
                inner: 2,
                out_axis,
                out_run: 1,
            };
            let mut values = vec![0.0_f32; layout.elements()];
            values[layout.elements() - 1] = 1.0;
            let input = Heat::of(&values, &layout, &Axis::input(&layout), 1.0);
            assert_eq!(input.column(layout.in_channels() - 1)[BINS - 1], 1);
            assert_eq!(
                input.counts.iter().map(|n| *n as usize).sum::<usize>(),
                layout.elements()
            );
            let output = Heat::of(&values, &layout, &Axis::Output, 1.0);
            assert_eq!(output.channels, layout.out_channels());
            assert_eq!(output.column(layout.out_channels() - 1)[BINS - 1], 1);
            assert_eq!(output.most() as usize, layout.elements() / layout.out_channels());
        }
    }

    #[test]
    fn copies_are_counted_in_the_channel_that_they_copy() {
        let layout = Layout {
            groups: 1,
            outer: 1,
            channels: 3,
            inner: 1,
            out_axis: OutAxis::Inner,
            out_run: 1,
        };
        let heat = Heat::of(&[0.5, 0.1, 0.5], &layout, &Axis::Input(vec![0, 1, 0]), 1.0);
        assert_eq!(heat.channels, 2);
        assert_eq!(heat.column(0).iter().sum::<u32>(), 2);
    }
}
