//! Inputs of a network of which the preprocessing tells the range.

use super::{Known, Order};
use crate::statistics::{ChannelDistribution, RangeSource};

/// Where the channels of an input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelPlace {
    /// On axis 1.
    Second,
    /// On the last axis.
    Last,
    /// In runs of neighbours on axis 1: pictures flattened channel by channel.
    Flat,
}

/// An input of a network of which the range is known.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownInput {
    /// Its name.
    pub name: String,
    /// Least and greatest number of each channel, in the network's order.
    pub channels: Vec<[f32; 2]>,
    /// Where the channels are.
    pub place: ChannelPlace,
}

/// Mean and standard deviation of photographs, pixels from 0 to 1 (of ImageNet's three channels the middle).
const PHOTOGRAPH: [f64; 2] = [0.45, 0.225];

/// An interval of so many stated deviations was made by a mean and a deviation of real pictures: theirs are less than 0.4 of
/// the whole range (Fashion-MNIST's 0.353, ImageNet's 0.225). -1 to 1 is 2 wide, and nobody's deviation.
const STANDARDIZED: std::ops::Range<f64> = 2.5..16.0;

impl KnownInput {
    /// What the numbers of a channel are taken to be like: the ends are those of its interval. Where pictures are standardized
    /// (`(x - mean) / std` with numbers of their own, which makes the interval several deviations wide) they have mean 0 and
    /// deviation 1; else pixels are as bright as photographs' are.
    pub fn distribution(&self, channel: usize) -> Option<ChannelDistribution> {
        let [low, high] = self.channels.get(channel)?.map(f64::from);
        let width = high - low;
        let is_standardized = STANDARDIZED.contains(&width) && low < 0.0 && high > 0.0;
        let [mean, deviation] = if is_standardized {
            [0.0, 1.0]
        } else {
            let [mean, deviation] = PHOTOGRAPH;
            [low + width * mean, width * deviation]
        };
        Some(ChannelDistribution::gaussian(mean, deviation).within(low, high))
    }
}

impl Known {
    /// What is known of an input.
    pub(super) fn of_input(input: &KnownInput) -> Self {
        Self {
            channels: (0..input.channels.len())
                .filter_map(|channel| input.distribution(channel))
                .collect(),
            order: match input.place {
                ChannelPlace::Second => Order::SecondAxis,
                ChannelPlace::Last => Order::LastAxis,
                ChannelPlace::Flat => Order::Flat,
            },
            means: true,
            source: RangeSource::Preprocessing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(channel: [f32; 2]) -> ChannelDistribution {
        let input = KnownInput {
            name: "x".to_owned(),
            channels: vec![channel],
            place: ChannelPlace::Second,
        };
        input.distribution(0).unwrap()
    }

    #[test]
    fn the_ends_are_those_of_the_interval_and_standardized_pictures_have_mean_0() {
        let raw = of([0.0, 255.0]);
        assert_eq!((raw.low(), raw.high()), (0.0, 255.0));
        let (mean, deviation) = raw.moments();
        assert!(
            (mean / 255.0 - 0.45).abs() < 0.02 && (deviation / 255.0 - 0.225).abs() < 0.02,
            "{mean} {deviation}"
        );
        let imagenet = of([-2.118, 2.249]);
        let (mean, deviation) = imagenet.moments();
        assert!(
            mean.abs() < 0.01 && (deviation - 1.0).abs() < 0.05,
            "{mean} {deviation}"
        );
        assert_eq!((imagenet.low() as f32, imagenet.high() as f32), (-2.118, 2.249));
        let signed = of([-1.0, 1.0]);
        assert!((signed.moments().0 + 0.1).abs() < 0.01, "{signed:?}");
    }
}
