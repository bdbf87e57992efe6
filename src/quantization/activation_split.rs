//! Activation OCS (Zhao et al. 2019, section 3.4): an input channel is halved and sent twice, and both
//! copies meet the channel's whole weights.
//!
//! Activations are split after the weights: where weight OCS has already shared out a channel's weights among several copies,
//! each of those copies is halved and repeated with its own column, so that whatever the copies add up to stays. The weights'
//! grid and error are those without activation OCS: repeated columns are copies of columns on the grid.

use super::{Grid, PlannedInputs, SplitKind};
use crate::network::Layout;
use crate::statistics::ActivationStatistics;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

/// Which part of its source's activation a channel of the expanded layer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All of it.
    Whole,
    /// `x/2 - d/4`, or `x/2` for [`SplitKind::Naive`].
    Lower,
    /// `x/2 + d/4`, or `x/2`.
    Upper,
}

impl Share {
    /// What x is multiplied by.
    pub fn factor(self) -> f32 {
        match self {
            Self::Whole => 1.0,
            Self::Lower | Self::Upper => 0.5,
        }
    }

    /// What is added then, on a grid of this step. For the quantization-aware split the rounded halves add up to what x is
    /// rounded to: `floor((u - 1/2)/2 + 1/2) + floor((u + 1/2)/2 + 1/2) = floor(u + 1/2)`.
    pub fn offset(self, kind: SplitKind, grid: Grid) -> f32 {
        match (self, kind) {
            (Self::Whole, _) | (_, SplitKind::Naive) => 0.0,
            (Self::Lower, SplitKind::Qa) => -0.25 * grid.step,
            (Self::Upper, SplitKind::Qa) => 0.25 * grid.step,
        }
    }
}

/// A channel of the expanded layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The input channel of the layer that it reads.
    pub source: usize,
    /// The column of its group in [`super::QuantizedLayer::values`] that it multiplies; `None` for a channel without weights, which
    /// only makes the groups equal.
    pub column: Option<usize>,
    /// What it sees of the source's activation.
    pub share: Share,
}

/// A layer with its weights' splits and, after them, its activations': what the exported graph holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// Input channels of each group.
    pub channels: usize,
    /// The input channels of the layer: group by group, those of [`super::QuantizedLayer::index`] first, then the upper halves in
    /// the same order.
    pub copies: Vec<Copied>,
}

impl Expansion {
    /// The expansion that a plan asks for.
    pub fn of<'a>(planned: impl Into<PlannedInputs<'a>>) -> Self {
        let planned = planned.into();
        let groups = planned.layout.groups;
        let splits: HashSet<usize> = planned.activation_splits.iter().copied().collect();
        let is_split = |source: usize| splits.contains(&source);
        let mut lists: Vec<Vec<Copied>> = Vec::with_capacity(groups);
        for index in planned.index.chunks(planned.layout.channels.max(1)) {
            let copy = |(column, &source): (usize, &usize)| Copied {
                source,
                column: Some(column),
                share: if is_split(source) { Share::Lower } else { Share::Whole },
            };
            let mut copies: Vec<Copied> = index.iter().enumerate().map(copy).collect();
            let lower = copies.iter().filter(|copy| copy.share == Share::Lower);
            let upper: Vec<Copied> = lower
                .map(|copy| Copied {
                    share: Share::Upper,
                    ..*copy
                })
                .collect();
            copies.extend(upper);
            lists.push(copies);
        }
        // Weight OCS may have split a chosen channel in one group and not in another.
        let channels = lists.iter().map(Vec::len).max().unwrap_or(0);
        Self::filled(lists, channels)
    }

    /// The groups of `lists`, each with channels without weights up to `channels`.
    fn filled(mut lists: Vec<Vec<Copied>>, channels: usize) -> Self {
        for copies in &mut lists {
            let filler = copies.first().map(|first| Copied {
                source: first.source,
                column: None,
                share: Share::Whole,
            });
            if let Some(filler) = filler {
                copies.resize(channels, filler);
            }
        }
        Self {
            channels,
            copies: lists.concat(),
        }
    }

    /// The same with channels without weights in each group, so that there are a multiple of `multiple` of them: it computes the
    /// same.
    pub(super) fn up_to_multiple_of(self, multiple: usize) -> Self {
        let channels = self.channels.next_multiple_of(multiple.max(1));
        if channels == self.channels {
            return self;
        }
        let groups = self.copies.chunks(self.channels.max(1));
        Self::filled(groups.map(<[Copied]>::to_vec).collect(), channels)
    }

    /// Channels without weights.
    pub(super) fn without_weights(&self) -> usize {
        self.copies.iter().filter(|copy| copy.column.is_none()).count()
    }

    /// Whether any activation is split.
    pub fn splits_activations(&self) -> bool {
        self.copies.iter().any(|copy| copy.share != Share::Whole)
    }

    /// The source of each channel.
    pub fn sources(&self) -> Vec<i64> {
        self.copies.iter().map(|copy| copy.source as i64).collect()
    }

    /// `values`, weights of `layout` (those of [`super::QuantizedLayer::layout`]), with the columns of the expanded layer. What
    /// stands for 0 at a place within a row, `zero` says.
    pub(super) fn columns<'a, T: Copy>(
        &self,
        values: &'a [T],
        layout: &Layout,
        zero: impl Fn(usize, usize) -> T,
    ) -> Cow<'a, [T]> {
        if self.channels == layout.channels {
            return Cow::Borrowed(values);
        }
        let row = layout.channels * layout.inner;
        let mut expanded = Vec::with_capacity(layout.groups * layout.outer * self.channels * layout.inner);
        for (number, row) in values.chunks_exact(row.max(1)).enumerate() {
            let group = number / layout.outer.max(1);
            for copy in &self.copies[group * self.channels..][..self.channels] {
                match copy.column {
                    Some(column) => expanded.extend_from_slice(&row[column * layout.inner..][..layout.inner]),
                    None => expanded.extend((0..layout.inner).map(|place| zero(number, place))),
                }
            }
        }
        Cow::Owned(expanded)
    }
}

/// A way to choose `count` channels of each group; `None` when the channels were not told apart.
pub(super) type Chooser = fn(&ActivationStatistics, &Layout, usize) -> Option<Vec<usize>>;

/// The `count` channels of each group with the largest |x|, the largest first; of equals the lowest. What Oracle OCS splits.
pub(super) fn largest_channels(seen: &ActivationStatistics, layout: &Layout, count: usize) -> Option<Vec<usize>> {
    let reach: Vec<f32> = seen.channel_outliers()?.into_iter().map(|(_, reach)| reach).collect();
    choose(layout, count, reach.len(), |a, b| reach[b].total_cmp(&reach[a]))
}

/// The `count` channels of each group with the most values above the 99th percentile of the layer's |x|, those with most
/// first; of equals the one with the largest |x|, then the lowest. `None` when the channels were not told apart.
pub(super) fn outlier_channels(seen: &ActivationStatistics, layout: &Layout, count: usize) -> Option<Vec<usize>> {
    let outliers = seen.channel_outliers()?;
    choose(layout, count, outliers.len(), |a, b| {
        let ((more_a, reach_a), (more_b, reach_b)) = (outliers[a], outliers[b]);
        more_b.total_cmp(&more_a).then(reach_b.total_cmp(&reach_a))
    })
}

/// The first `count` channels of each group in the order that `compare` says, of equals the lowest index; `known` is how many
/// channels are known.
fn choose(
    layout: &Layout,
    count: usize,
    known: usize,
    compare: impl Fn(usize, usize) -> Ordering,
) -> Option<Vec<usize>> {
    if known != layout.in_channels() {
        return None;
    }
    let mut chosen = Vec::with_capacity(count * layout.groups);
    for group in 0..layout.groups {
        let mut channels: Vec<usize> = (group * layout.channels..(group + 1) * layout.channels).collect();
        // The sort is stable.
        channels.sort_by(|a, b| compare(*a, *b));
        chosen.extend(channels.into_iter().take(count));
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;
    use crate::quantization::{QuantizedLayer, WeightSettings, plan_layer};
    use crate::statistics::RangeSource;

    #[test]
    fn the_rounded_halves_add_up_to_the_rounded_activation() {
        let asymmetric = Grid::asymmetric(8, -95.0 * 0.37, 160.0 * 0.37);
        for grid in [
            Grid::symmetric(8, 127.0 * 0.37),
            Grid::unsigned(6, 63.0 * 0.37),
            asymmetric,
        ] {
            let zero = grid.zero();
            let half = |share: Share, x: f32| grid.index(x * share.factor() + share.offset(SplitKind::Qa, grid));
            // Away from the ties, which an odd number of thousandths never is; inside the grid.
            for i in -90_000_i32..=90_000 {
                let x = (i as f32 + 0.25) / 1000.0 * grid.step;
                if x < 0.0 && grid.unsigned || x > 60.0 * grid.step {
                    continue;
                }
                let sum = half(Share::Lower, x) + half(Share::Upper, x);
                assert_eq!(sum - zero, grid.index(x), "{x}");
            }
            let twice = |x: f32| 2 * grid.index(x * 0.5 + Share::Lower.offset(SplitKind::Naive, grid));
            assert_ne!(
                twice(3.1 * grid.step),
                grid.index(3.1 * grid.step),
                "halves alone do not"
            );
        }
    }

    fn grouped() -> Layout {
        Layout {
            groups: 2,
            outer: 2,
            channels: 3,
            inner: 1,
            out_axis: OutAxis::Outer,
            out_run: 1,
        }
    }

    /// Channel 1 has the largest weights of group 0 and is split there; in group 1 it is channel 5, and 3 is chosen.
    fn planned(activation_splits: Vec<usize>) -> QuantizedLayer {
        let values = [1.0, 8.0, 2.0, 3.0, -9.0, 1.0, 1.0, 2.0, 7.0, 3.0, 2.0, 6.0];
        let settings = WeightSettings {
            expand_ratio: 0.3,
            ..WeightSettings::default()
        };
        QuantizedLayer {
            activation_splits,
            ..plan_layer(&values, &grouped(), &settings)
        }
    }

    #[test]
    fn activations_are_split_after_the_weights_and_groups_stay_equal() {
        let planned = planned(vec![1, 3]);
        assert_eq!(planned.index, [0, 1, 2, 1, 3, 4, 5, 5]);
        let expansion = Expansion::of(&planned);
        // Group 0: both copies of channel 1 come again. Group 1: channel 3 does, and one channel without weights fills up.
        assert_eq!(expansion.channels, 6);
        assert_eq!(expansion.sources(), [0, 1, 2, 1, 1, 1, 3, 4, 5, 5, 3, 3]);
        let shares: Vec<f32> = expansion.copies.iter().map(|copy| copy.share.factor()).collect();
        assert_eq!(shares, [1.0, 0.5, 1.0, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 0.5, 1.0]);
        let columns = expansion.columns(&planned.values, &planned.layout, |row, _| 50 + row as i8);
        for (row, (to, from)) in columns.chunks(6).zip(planned.values.chunks(4)).enumerate() {
            let zero = 50 + row as i8;
            let repeated = if row < 2 { [from[1], from[3]] } else { [from[0], zero] };
            assert_eq!((&to[..4], &to[4..]), (from, &repeated[..]), "row {row}");
        }
        let wide = expansion.clone().up_to_multiple_of(4);
        assert_eq!(wide.sources(), [0, 1, 2, 1, 1, 1, 0, 0, 3, 4, 5, 5, 3, 3, 3, 3]);
        assert_eq!((expansion.without_weights(), wide.without_weights()), (1, 5));
        assert_eq!(expansion.clone().up_to_multiple_of(3), expansion);
        let none = Expansion::of(&super::tests::planned(Vec::new()));
        assert!(!none.splits_activations() && none.channels == 4);
    }

    #[test]
    fn channels_with_most_values_above_the_99th_percentile_are_chosen_in_each_group() {
        // 100 values a channel: 6 are the 99th percentile's share.
        let mut seen = ActivationStatistics::new(RangeSource::Calibration);
        let mut values = vec![0.1_f32; 600];
        values[100] = 50.0; // Channel 1: one value, the largest.
        values[200..203].fill(-9.0); // Channel 2: three.
        values[500..502].fill(9.0); // Channel 5: two.
        seen.add_channels(&values, &[1, 6, 100], 1);
        assert_eq!(outlier_channels(&seen, &grouped(), 1), Some(vec![2, 5]));
        assert_eq!(outlier_channels(&seen, &grouped(), 2), Some(vec![2, 1, 5, 3]));
        let other = Layout {
            channels: 4,
            ..grouped()
        };
        assert_eq!(outlier_channels(&seen, &other, 1), None);
        assert_eq!(largest_channels(&seen, &grouped(), 2), Some(vec![1, 2, 5, 3]));
    }
}
