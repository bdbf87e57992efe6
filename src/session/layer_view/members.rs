//! Whose weights lie in a bin that holds few of them.

use crate::network::Layout;
use crate::statistics::Histogram;
use std::collections::BTreeMap;

/// The input channels that have weights in a bin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// The first ones, ascending by their place in the tensor, each once.
    pub channels: Vec<usize>,
    /// There are others.
    pub more: bool,
}

/// A bin with more weights doesn't tell its channels.
const FEW: u64 = 24;
/// Channels told of a bin.
const TOLD: usize = 6;

/// The channels in the bins that hold few weights.
pub(super) fn members(weights: &[f32], layout: Layout, bins: &Histogram) -> BTreeMap<usize, Members> {
    let mut members: BTreeMap<usize, Members> = BTreeMap::new();
    let width = bins.bin_width();
    let group = layout.outer * layout.channels * layout.inner;
    for (place, &weight) in weights.iter().enumerate() {
        let bin = ((f64::from(weight) - bins.low) / width).floor();
        // Also false for NaN.
        if !(bin >= 0.0
            && bins
                .counts
                .get(bin as usize)
                .is_some_and(|count| (1..=FEW).contains(count)))
        {
            continue;
        }
        let channel = place / group.max(1) * layout.channels + place / layout.inner.max(1) % layout.channels.max(1);
        let told = members.entry(bin as usize).or_default();
        if !told.channels.contains(&channel) {
            if told.channels.len() < TOLD {
                told.channels.push(channel);
            } else {
                told.more = true;
            }
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;
    use crate::statistics::histogram;

    #[test]
    fn a_bin_with_few_weights_names_their_input_channels() {
        let layout = Layout {
            groups: 2,
            outer: 1,
            channels: 2,
            inner: 2,
            out_axis: OutAxis::Outer,
            out_run: 1,
        };
        let weights = [0.1, 0.1, 0.1, 0.9, 0.1, 0.9, 0.1, f32::NAN];
        let found = members(&weights, layout, &histogram(&weights, 0.0, 1.0, 2));
        assert_eq!(
            found[&1].channels,
            [1, 2],
            "the second of the first group, the first of the second"
        );
        assert_eq!(found[&0].channels, [0, 1, 2, 3]);
        assert!(!found[&1].more);
    }
}
