//! Tests of the running range and histogram of an activation.

use super::*;
use proptest::prelude::*;

fn statistics_of(values: &[f32], batch: usize) -> ActivationStatistics {
    let mut statistics = ActivationStatistics::new(RangeSource::Calibration);
    for batch in values.chunks(batch.max(1)) {
        statistics.add(batch);
    }
    statistics
}

#[test]
fn counts_are_those_of_a_naive_count() {
    let values = [-3.0, -0.5, 0.0, 0.25, 1.0, 3.999, f32::NAN, f32::INFINITY];
    let statistics = statistics_of(&values, 3);
    let (range, counts) = statistics.bins();
    assert_eq!((range, statistics.count, statistics.not_finite), (4.0, 6, 2));
    assert_eq!((statistics.min, statistics.max), (-3.0, 3.999));
    let width = 2.0 * f64::from(range) / counts.len() as f64;
    for (bin, &count) in counts.iter().enumerate() {
        let low = -f64::from(range) + bin as f64 * width;
        let naive = values
            .iter()
            .filter(|v| v.is_finite() && (low..low + width).contains(&f64::from(**v)));
        assert_eq!(count, naive.count() as u64, "bin {bin}");
    }
}

#[test]
fn only_zeros_have_no_range_and_keep_their_bin_when_it_grows() {
    let mut statistics = statistics_of(&[0.0; 5], 2);
    assert_eq!(statistics.bins().0, 0.0);
    statistics.add(&[-1.0]);
    let (range, counts) = statistics.bins();
    assert_eq!((range, counts[BINS / 2], counts[BINS / 4]), (2.0, 5, 1));
}

#[test]
fn the_ends_of_f32_are_counted_too() {
    let values = [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45, 0.0];
    for batch in 1..=values.len() {
        let statistics = statistics_of(&values, batch);
        assert_eq!(statistics.bins().1.iter().sum::<u64>(), 6);
        assert_eq!(statistics, statistics_of(&values, 6));
    }
}

#[test]
fn means_of_channels_are_those_of_all_batches() {
    let mut statistics = ActivationStatistics::new(RangeSource::Calibration);
    statistics.add_channels(&[1.0, 3.0, 10.0, 20.0], &[1, 2, 2], 1);
    statistics.add_channels(&[5.0, f32::NAN, 30.0, 40.0], &[1, 2, 2], -2);
    assert_eq!(statistics.channel_means(), Some(vec![3.0, 25.0]));
    statistics.add_channels(&[1.0, 2.0, 3.0], &[1, 3, 1], 1);
    assert_eq!(statistics.channel_means(), None, "other channels have no common mean");
    assert_eq!(statistics.count, 10);
}

/// Channels of very different reach, the second with few large values.
fn channels(count: usize) -> Vec<f32> {
    let number = |i: usize| ((i as f32 * 0.618_034).fract() - 0.5) * 2.0;
    let channel = |c: usize| {
        move |i: usize| match c {
            0 => number(i),
            1 => number(i) * if i.is_multiple_of(50) { 20.0 } else { 0.2 },
            _ => number(i).powi(3) * 6.0,
        }
    };
    (0..3).flat_map(|c| (0..count).map(channel(c))).collect()
}

#[test]
fn outliers_of_channels_are_those_of_a_naive_count_whatever_the_batches() {
    let values = channels(4000);
    let mut whole = ActivationStatistics::new(RangeSource::Calibration);
    whole.add_channels(&values, &[1, 3, 4000], 1);
    let mut parts = ActivationStatistics::new(RangeSource::Calibration);
    // Small ranges first, so that the bins grow.
    for start in (0..4000).step_by(1000) {
        let part = |channel: &[f32]| channel[start..start + 1000].to_vec();
        let batch: Vec<f32> = values.chunks(4000).flat_map(part).collect();
        parts.add_channels(&batch, &[3, 1000], 0);
    }
    assert_eq!(parts.tails, whole.tails);
    let mut sorted: Vec<f32> = values.iter().map(|x| x.abs()).collect();
    sorted.sort_by(f32::total_cmp);
    let percentile = sorted[sorted.len() * 99 / 100];
    for (channel, (count, reach)) in values.chunks(4000).zip(whole.channel_outliers().unwrap()) {
        let naive = channel.iter().filter(|x| x.abs() >= percentile).count() as f64;
        // 120 elements are above it; a bin may hold some on either side.
        assert!((count - naive).abs() <= 12.0, "{count} {naive}");
        assert_eq!(reach, channel.iter().fold(0.0, |m: f32, x| m.max(x.abs())));
    }
}

#[test]
fn halving_channels_gives_what_halved_channels_would_have() {
    let values = channels(4000);
    let mut whole = ActivationStatistics::new(RangeSource::Calibration);
    whole.add_channels(&values, &[3, 4000], 0);
    let halved = whole.halving(&[1]).unwrap();
    let mut really = values.clone();
    really[4000..8000].iter_mut().for_each(|x| *x *= 0.5);
    really.extend_from_within(4000..8000);
    let really = statistics_of(&really, 1000);
    assert_eq!((halved.min, halved.max), (really.min, really.max));
    assert!(
        halved.count.abs_diff(really.count) < 40,
        "{} {}",
        halved.count,
        really.count
    );
    // Above any magnitude there are as many elements, but for what a bin 12 % wide blurs, and the first, which ends at
    // 32 / 256 = 0.125.
    let above = |statistics: &ActivationStatistics, x: f32| {
        let (range, counts) = statistics.bins();
        let bin = (x / range * (BINS / 2) as f32) as usize;
        let beyond = counts[BINS / 2 + bin..].iter().chain(&counts[..BINS / 2 - bin]);
        beyond.sum::<u64>() as f64 / statistics.count as f64
    };
    for x in [0.125, 0.3, 1.0, 3.0, 5.0, 8.0, 9.5] {
        let (mine, wanted) = (above(&halved, x), above(&really, x));
        assert!((mine - wanted).abs() < 0.02, "{x}: {mine} {wanted}");
    }
    assert_eq!(above(&halved, 10.01), 0.0);
    assert!(whole.halving(&[3]).is_none(), "there is no channel 3");
    assert!(
        statistics_of(&values, 100).halving(&[1]).is_none(),
        "channels were not told apart"
    );
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_the_batches(
        values in prop::collection::vec(prop_oneof![
            any::<f32>(), -2.0_f32..2.0, Just(0.0), Just(1.0), Just(-4.0), Just(f32::NAN),
        ], 0..200),
        batch in 1_usize..50,
    ) {
        let whole = statistics_of(&values, values.len());
        prop_assert_eq!(&statistics_of(&values, batch), &whole);
        prop_assert_eq!(whole.bins().1.iter().sum::<u64>(), whole.count);
        prop_assert_eq!(whole.count + whole.not_finite, values.len() as u64);
        let mut backwards = values;
        backwards.reverse();
        prop_assert_eq!(&statistics_of(&backwards, batch), &whole);
    }
}
