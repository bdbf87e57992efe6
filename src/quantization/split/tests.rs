//! Tests of channel splitting, against a full search.

use super::choice::Side;
use super::*;
use crate::network::OutAxis;
use crate::quantization::Grid;
use proptest::prelude::*;

fn conv(groups: usize, outer: usize, channels: usize, inner: usize) -> Layout {
    Layout {
        groups,
        outer,
        channels,
        inner,
        out_axis: OutAxis::Outer,
        out_run: 1,
    }
}

/// The splits as one would write them down: all maxima again for every split, tensors as lists of channels.
fn naive_choice(
    values: &[f32],
    layout: &Layout,
    count: usize,
    half: f32,
) -> (Vec<Vec<Vec<f32>>>, Vec<usize>, Vec<usize>) {
    let (mut all, mut index, mut order) = (Vec::new(), Vec::new(), Vec::new());
    for g in 0..layout.groups {
        let mut channels: Vec<Vec<f32>> = (0..layout.channels)
            .map(|c| {
                (0..layout.outer)
                    .flat_map(|o| {
                        let at = ((g * layout.outer + o) * layout.channels + c) * layout.inner;
                        values[at..at + layout.inner].to_vec()
                    })
                    .collect()
            })
            .collect();
        let mut sources: Vec<usize> = (0..layout.channels).map(|c| g * layout.channels + c).collect();
        for _ in 0..count {
            let max = |c: &Vec<f32>| c.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            let mut best = 0;
            for (i, channel) in channels.iter().enumerate() {
                if max(channel) > max(&channels[best]) {
                    best = i;
                }
            }
            let upper = channels[best].iter().map(|w| (w + half) * 0.5).collect();
            channels[best] = channels[best].iter().map(|w| (w - half) * 0.5).collect();
            order.push(sources[best]);
            sources.push(sources[best]);
            channels.push(upper);
        }
        all.push(channels);
        index.extend(sources);
    }
    (all, index, order)
}

fn strategy() -> impl Strategy<Value = (Layout, Vec<f32>, usize, bool)> {
    (
        1_usize..3,
        1_usize..5,
        1_usize..7,
        1_usize..5,
        0_usize..9,
        any::<bool>(),
    )
        .prop_flat_map(|(groups, outer, channels, inner, count, qa)| {
            let layout = conv(groups, outer, channels, inner);
            // A coarse lattice makes exact ties common.
            let values = proptest::collection::vec((-8_i8..=8).prop_map(|x| f32::from(x) / 4.0), layout.elements());
            (Just(layout), values, Just(count), Just(qa))
        })
}

proptest! {
    #[test]
    fn heap_and_ranges_choose_what_a_full_search_chooses((layout, values, count, qa) in strategy()) {
        let (kind, step) = if qa { (SplitKind::Qa, 0.3) } else { (SplitKind::Naive, 0.3) };
        let split = split_channels(&values, &layout, count, kind, step);
        let (channels, index, order) = naive_choice(&values, &layout, count, half_step(kind, step));
        prop_assert_eq!(&split.index, &index);
        prop_assert_eq!(&split.order, &order);
        for (g, group) in channels.iter().enumerate() {
            for (c, channel) in group.iter().enumerate() {
                for o in 0..layout.outer {
                    let at = ((g * layout.outer + o) * split.layout.channels + c) * layout.inner;
                    prop_assert_eq!(&split.values[at..at + layout.inner], &channel[o * layout.inner..][..layout.inner]);
                }
            }
        }
        let max = split.values.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        prop_assert_eq!(Splitter::new(&values, &layout).max_abs_after(count, kind, step), max);
    }

    #[test]
    fn copies_add_up_to_the_channel_they_came_from((layout, values, count, qa) in strategy()) {
        let kind = if qa { SplitKind::Qa } else { SplitKind::Naive };
        let split = split_channels(&values, &layout, count, kind, 0.3);
        let mut sums = vec![0.0_f32; values.len()];
        for row in 0..layout.groups * layout.outer {
            for channel in 0..split.layout.channels {
                let group = row / layout.outer;
                let source = split.index[group * split.layout.channels + channel] - group * layout.channels;
                for i in 0..layout.inner {
                    sums[(row * layout.channels + source) * layout.inner + i] +=
                        split.values[(row * split.layout.channels + channel) * layout.inner + i];
                }
            }
        }
        for (sum, value) in sums.iter().zip(&values) {
            prop_assert!((sum - value).abs() <= 1e-5, "{sum} {value}");
        }
    }
}

/// Hermite's identity for n = 2: floor((u - 1/2)/2 + 1/2) + floor((u + 1/2)/2 + 1/2) = floor(u + 1/2).
#[test]
fn the_quantization_aware_split_keeps_the_sum_of_the_rounded_halves() {
    let grid = Grid {
        bits: 8,
        step: 1.0,
        unsigned: false,
        zero_point: None,
    };
    for i in -64_000..=64_000 {
        let u = i as f32 / 1000.0;
        let (lower, upper) = (Side::Lower.apply(u, 0.5), Side::Upper.apply(u, 0.5));
        assert_eq!(grid.index(lower) + grid.index(upper), grid.index(u), "u = {u}");
    }
}

/// What the naive split does instead: it loses half a step where both halves round the same way.
#[test]
fn the_naive_split_does_not() {
    let grid = Grid {
        bits: 8,
        step: 1.0,
        unsigned: false,
        zero_point: None,
    };
    assert_ne!(2 * grid.index(1.5), grid.index(3.0));
}

#[test]
fn the_number_of_splits_is_rounded_up_from_what_was_meant() {
    let layout = |channels| conv(1, 1, channels, 1);
    let count = |channels, r| split_count(&layout(channels), r);
    assert_eq!(
        [
            count(64, 0.0),
            count(64, 0.01),
            count(64, 0.05),
            count(100, 0.07),
            count(3, 0.02)
        ],
        [0, 1, 4, 7, 1]
    );
    assert_eq!(split_count(&conv(4, 8, 16, 9), 0.1), 2);
}

#[test]
fn the_level_falls_as_the_largest_channel_is_halved_each_time() {
    let layout = Layout {
        groups: 1,
        outer: 1,
        channels: 3,
        inner: 1,
        out_axis: OutAxis::Inner,
        out_run: 1,
    };
    // 8 -> 4 4; 6 -> 3 3; then both 4 -> 2 2 2 2; then 3.
    assert_eq!(
        split_levels(&[8.0, 6.0, 1.0], &layout, 5),
        [8.0, 6.0, 4.0, 4.0, 3.0, 3.0]
    );
    let values = [8.0_f32, -6.0, 1.0];
    for (splits, level) in split_levels(&[8.0, 6.0, 1.0], &layout, 5).into_iter().enumerate() {
        let left = Splitter::new(&values, &layout).max_abs_after(splits, SplitKind::Naive, 0.0);
        assert_eq!(left, level, "{splits} splits");
    }
}
