//! The channels with the largest weights, counted apart: what the grid has to reach for.

use super::After;
use crate::network::Layout;
use crate::statistics::{Histogram, histogram};

/// Channels that are counted apart at most.
pub const STACKED: usize = 4;

/// Values kept of a channel, so that its way can be shown when it is split.
const KEPT: usize = 1 << 14;

/// One of the input channels with the largest |w|.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedChannel {
    /// Its position.
    pub channel: usize,
    /// Its weights as they are, in the bins of [`super::LayerView::before`].
    pub before: Vec<u64>,
    /// The weights of all its copies after splitting, in the same bins; `None` for a float layer.
    pub after: Option<Vec<u64>>,
    /// The weights that it has now (of all its copies; as they are in a float layer), ascending; evenly picked when there
    /// are very many.
    pub sorted: Vec<f32>,
}

/// The channels of the largest |w|, largest first: at most [`STACKED`], and at most a quarter of all, so that most weights
/// are still what most weights are.
pub(super) fn largest(channel_max_abs: &[f32]) -> Vec<usize> {
    let mut channels: Vec<usize> = (0..channel_max_abs.len()).collect();
    channels.sort_by(|a, b| channel_max_abs[*b].total_cmp(&channel_max_abs[*a]).then(a.cmp(b)));
    channels.truncate(STACKED.min(channel_max_abs.len() / 4));
    channels
}

/// Counts those `channels` apart, in the bins of `bins`.
pub(super) fn stacked(
    weights: &[f32],
    layout: Layout,
    after: Option<&After>,
    channels: &[usize],
    bins: &Histogram,
) -> Vec<StackedChannel> {
    let count = |values: &[f32]| histogram(values, bins.low, bins.high, bins.counts.len()).counts;
    let one = |&channel: &usize| {
        let before = of_channel(weights, &layout, channel);
        let now = after.map(|after| {
            let copies = after.quantized.index.iter().enumerate();
            let copies = copies.filter(|(_, source)| **source == channel);
            copies
                .flat_map(|(copy, _)| of_channel(&after.split, &after.quantized.layout, copy))
                .collect::<Vec<f32>>()
        });
        StackedChannel {
            channel,
            before: count(&before),
            after: now.as_deref().map(count),
            sorted: sorted(now.unwrap_or(before)),
        }
    };
    channels.iter().map(one).collect()
}

/// The elements of one input channel.
fn of_channel(values: &[f32], layout: &Layout, channel: usize) -> Vec<f32> {
    let (group, within) = (channel / layout.channels.max(1), channel % layout.channels.max(1));
    let mut elements = Vec::with_capacity(layout.outer * layout.inner);
    for row in 0..layout.outer {
        let start = ((group * layout.outer + row) * layout.channels + within) * layout.inner;
        elements.extend_from_slice(values.get(start..start + layout.inner).unwrap_or_default());
    }
    elements
}

fn sorted(mut values: Vec<f32>) -> Vec<f32> {
    values.retain(|x| x.is_finite());
    values.sort_by(f32::total_cmp);
    if values.len() <= KEPT {
        return values;
    }
    // The ends are what one looks at: they stay.
    let last = values.len() - 1;
    (0..KEPT).map(|i| values[i * last / (KEPT - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;

    #[test]
    fn the_stacked_counts_of_all_channels_add_up_to_the_histogram() {
        for (groups, outer, channels, inner, out_axis) in [(2, 3, 4, 5, OutAxis::Outer), (1, 1, 12, 7, OutAxis::Inner)]
        {
            let layout = Layout {
                groups,
                outer,
                channels,
                inner,
                out_axis,
                out_run: 1,
            };
            let weights: Vec<f32> = (0..layout.elements())
                .map(|i| (i as f32 * 0.618_034).fract() - 0.5)
                .collect();
            let bins = histogram(&weights, -0.4, 0.45, 17);
            let all: Vec<usize> = (0..layout.in_channels()).collect();
            let found = stacked(&weights, layout, None, &all, &bins);
            for (bin, count) in bins.counts.iter().enumerate() {
                let sum: u64 = found.iter().map(|channel| channel.before[bin]).sum();
                assert_eq!(sum, *count, "bin {bin}");
            }
            assert_eq!(found[1].sorted.len(), outer * inner);
            assert!(found[1].sorted.is_sorted());
        }
    }

    #[test]
    fn the_largest_channels_come_first_and_leave_most_of_the_layer_alone() {
        let maxima: Vec<f32> = (0..40).map(|i| ((i * 7) % 40) as f32).collect();
        let found = largest(&maxima);
        assert_eq!(
            found.iter().map(|i| maxima[*i]).collect::<Vec<_>>(),
            [39.0, 38.0, 37.0, 36.0]
        );
        assert_eq!(largest(&[1.0, 2.0, 3.0]), [0_usize; 0]);
        assert_eq!(largest(&[2.0; 8]), [0, 1], "of equals the lowest index");
    }
}
