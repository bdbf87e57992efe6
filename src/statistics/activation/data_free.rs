//! An activation of which distributions of its channels are known and no data: range and histogram all the same.

use super::{ActivationStatistics, BINS, RangeSource, sum};
use crate::statistics::ChannelDistribution;
use crate::statistics::normal::cumulative;
use crate::statistics::tails::ChannelTails;
use rayon::prelude::*;

/// Elements that stand for a distribution.
const EXPECTED: f64 = (1_u64 << 22) as f64;

/// Steps of the table of the normal distribution for one deviation.
const TABLE_STEPS: f64 = 256.0;

/// Its ends, deviations.
const TABLE_END: f64 = 7.0;

impl ActivationStatistics {
    /// What distributions of the channels, each as frequent as the others, tell of a value without data. The range is
    /// that of the widest channel; the histogram holds about four million elements.
    pub fn of_channels(source: RangeSource, channels: &[ChannelDistribution]) -> Self {
        let mut all = Self::new(source);
        let finite: Vec<&ChannelDistribution> = channels.iter().filter(|channel| channel.is_finite()).collect();
        all.not_finite = (channels.len() - finite.len()) as u64;
        if finite.is_empty() {
            return all;
        }
        let narrow = |x: f64| (x as f32).clamp(f32::MIN, f32::MAX);
        all.min = narrow(finite.iter().map(|channel| channel.low()).fold(f64::INFINITY, f64::min));
        all.max = narrow(
            finite
                .iter()
                .map(|channel| channel.high())
                .fold(f64::NEG_INFINITY, f64::max),
        );
        all.grow(all.max_abs());
        let each = EXPECTED / finite.len() as f64;
        let table = normal_table();
        let range = f64::from(all.range);
        let shares = finite
            .par_iter()
            .fold(
                || vec![0.0_f64; BINS],
                |mut shares, channel| {
                    add_shares(&mut shares, channel, range, &table);
                    shares
                },
            )
            .reduce_with(sum);
        for (count, share) in all.counts.iter_mut().zip(shares.unwrap_or_default()) {
            *count = (share * each).round() as u64;
        }
        all.count = all.counts.iter().sum();
        all
    }

    /// Sets how far each channel of the layer's input reaches, for who knows it without data.
    #[must_use]
    pub fn with_channels(mut self, channels: &[ChannelDistribution]) -> Self {
        let table = normal_table();
        let tails = ChannelTails::of_distributions(channels, self.range, |z| look_up(&table, z));
        self.tails = Some(tails);
        self
    }

    /// Sets the mean of each channel, for who knows it without data.
    #[must_use]
    pub fn with_channel_means(mut self, means: Vec<f64>) -> Self {
        self.channel_counts = vec![1.0; means.len()];
        self.channel_sums = means;
        self
    }
}

/// The normal distribution at steps of 1 / 256 deviation: interpolated, it is right to 1e-6.
fn normal_table() -> Vec<f64> {
    let count = (2.0 * TABLE_END * TABLE_STEPS) as u32;
    (0..=count)
        .map(|step| cumulative(f64::from(step) / TABLE_STEPS - TABLE_END))
        .collect()
}

fn look_up(table: &[f64], z: f64) -> f64 {
    let place = (z + TABLE_END) * TABLE_STEPS;
    if place < 0.0 {
        return 0.0;
    }
    match (table.get(place as usize), table.get(place as usize + 1)) {
        (Some(here), Some(next)) => here + (next - here) * place.fract(),
        _ => 1.0,
    }
}

/// Adds the share of a channel's elements in each bin over `[-range, range)`, 1 in all.
fn add_shares(shares: &mut [f64], channel: &ChannelDistribution, range: f64, table: &[f64]) {
    let bins = shares.len();
    let width = 2.0 * range / bins as f64;
    let bin = |x: f64| match width {
        0.0 => bins / 2,
        width => ((x + range) / width).clamp(0.0, bins as f64 - 1.0) as usize,
    };
    let (first, last) = (bin(channel.low()), bin(channel.high()));
    let mut below = 0.0;
    for (place, share) in shares.iter_mut().enumerate().take(last).skip(first) {
        let edge = (place + 1) as f64 * width - range;
        let next = channel.share_below(edge, |z| look_up(table, z));
        *share += next - below;
        below = next;
    }
    shares[last] += 1.0 - below;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_fills_the_histogram_as_its_samples_would() {
        let channels = [
            ChannelDistribution::gaussian(0.5, 1.0).clamped(0.0, f64::INFINITY),
            ChannelDistribution::gaussian(-1.0, 0.1).clamped(0.0, f64::INFINITY),
            ChannelDistribution::constant(2.0),
        ];
        let statistics = ActivationStatistics::of_channels(RangeSource::BatchNorm, &channels);
        assert_eq!(
            (statistics.min, statistics.max, statistics.source),
            (0.0, 6.5, RangeSource::BatchNorm)
        );
        let (range, counts) = statistics.bins();
        assert_eq!(range, 8.0);
        let share = |low: f32, high: f32| {
            let bin = |x: f32| ((x + range) / (2.0 * range) * BINS as f32) as usize;
            counts[bin(low)..bin(high)].iter().sum::<u64>() as f64 / statistics.count as f64
        };
        assert!(
            counts[..BINS / 2].iter().all(|count| *count == 0),
            "nothing is negative"
        );
        // The constant is all in one bin; zeros are a third (the dead channel) and what is below 0 in the first.
        let of_first = |low: f64, high: f64| (cumulative(high - 0.5) - cumulative(low - 0.5)) / 3.0;
        assert!((share(2.0, 2.002) - 1.0 / 3.0 - of_first(2.0, 2.002)).abs() < 1e-4);
        assert!((share(0.0, 1.0) - 1.0 / 3.0 - of_first(-9.0, 1.0)).abs() < 1e-4);
        assert!((share(1.0, 1.5) - of_first(1.0, 1.5)).abs() < 1e-4);
        let nothing = ActivationStatistics::of_channels(RangeSource::BatchNorm, &[ChannelDistribution::constant(0.0)]);
        assert_eq!((nothing.max_abs(), nothing.bins().0), (0.0, 0.0));
    }

    #[test]
    fn channels_known_without_data_have_the_outliers_of_their_distributions() {
        let relu = |mean, deviation| ChannelDistribution::gaussian(mean, deviation).clamped(0.0, f64::INFINITY);
        let channels = [
            relu(0.0, 1.0),
            relu(0.0, 3.0),
            relu(-9.0, 3.0),
            ChannelDistribution::constant(2.0),
        ];
        let statistics = ActivationStatistics::of_channels(RangeSource::BatchNorm, &channels).with_channels(&channels);
        let outliers = statistics.channel_outliers().unwrap();
        let all: f64 = outliers.iter().map(|(count, _)| count).sum();
        // A hundredth of four channels: the wide one has 4 % of its values beyond 1.75 deviations.
        assert!((all / EXPECTED - 0.04).abs() < 1e-3, "{all}");
        assert!(outliers[1].0 > 0.95 * all, "{outliers:?}");
        assert_eq!(outliers[3], (0.0, 2.0));
        let halved = statistics.halving(&[1]).unwrap();
        assert_eq!((halved.min, halved.max), (0.0, 9.0));
    }
}
