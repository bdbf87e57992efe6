//! The range and histogram of an activation, from a stream of batches, in memory that does not grow.

mod data_free;
mod extent;

use super::tails::{ChannelTails, Tail, tail_bin};
use extent::Extent;
use rayon::prelude::*;

/// Bins of the histogram: a ReLU's output fills at least a quarter of them, 8 bins a step at 8 bits.
const BINS: usize = 8192;

/// Largest range of the histogram; elements beyond it are counted in the outermost bins.
const WIDEST: f32 = 1.7014118e38; // 2^127

/// Elements that one thread takes at a time.
const CHUNK: usize = 1 << 17;

/// Where an activation's range comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeSource {
    /// Samples that were run through the float network.
    Calibration,
    /// Batch-norm statistics.
    BatchNorm,
    /// The stated preprocessing of the network's input: what pixels can become.
    Preprocessing,
    /// Seeded noise.
    Noise,
}

/// What a stream of batches told of one value: range, and a histogram that grows its range.
///
/// The range is the least power of two above every |element|, and doubles (neighbouring bins are merged) when a larger
/// element comes. Because ranges and bin counts are powers of two, the result does not depend on how the stream was cut
/// into batches, nor on their order.
#[derive(Clone, PartialEq)]
pub struct ActivationStatistics {
    /// Where the numbers come from.
    pub source: RangeSource,
    /// Finite elements seen.
    pub count: u64,
    /// Elements that were NaN or infinite; they are in nothing else.
    pub not_finite: u64,
    /// Least element, 0 before the first.
    pub min: f32,
    /// Greatest element, 0 before the first.
    pub max: f32,
    /// Upper end of the histogram, 0 before the first element that is not 0.
    range: f32,
    /// Counts of elements in equal bins over `[-range, range)`.
    counts: Vec<u64>,
    /// Sum of the finite elements of each channel; empty where channels were not told apart.
    channel_sums: Vec<f64>,
    /// Sum of their squares; empty where channels were not told apart, or not run.
    channel_squares: Vec<f64>,
    /// Finite elements of each channel.
    channel_counts: Vec<f64>,
    /// How far each channel reaches; `None` where channels were not told apart.
    tails: Option<ChannelTails>,
}

/// How the channels of an activation differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelSpread {
    /// Channels with elements beyond the bounds; `None` of what was not run, where the bounds are not known.
    pub outliers: Option<usize>,
    /// See [`ratio_to_median`].
    pub ratio_to_median: Option<f64>,
}

/// The greatest of `reach`, the largest |x| of each channel, over their median; `None` where that is 0.
pub fn ratio_to_median(mut reach: Vec<f32>) -> Option<f64> {
    let largest = reach.iter().copied().max_by(f32::total_cmp).map(f64::from)?;
    let middle = reach.len() / 2;
    let (_, median, _) = reach.select_nth_unstable_by(middle, f32::total_cmp);
    let median = f64::from(*median);
    (median > 0.0).then(|| largest / median)
}

impl ActivationStatistics {
    /// Nothing seen yet.
    pub fn new(source: RangeSource) -> Self {
        Self {
            source,
            count: 0,
            not_finite: 0,
            min: 0.0,
            max: 0.0,
            range: 0.0,
            counts: vec![0; BINS],
            channel_sums: Vec::new(),
            channel_squares: Vec::new(),
            channel_counts: Vec::new(),
            tails: None,
        }
    }

    /// Takes in a batch and tells its channels apart, which lie along `axis` (negative counts from the end) of `shape`.
    /// Where shape and values do not fit, or the channels of the batches before were others, there are no means.
    pub fn add_channels(&mut self, values: &[f32], shape: &[usize], axis: i64) {
        let first = self.count == 0 && self.not_finite == 0;
        self.add(values);
        let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
        let channels = shape.get(axis).copied().unwrap_or(0);
        let fits = channels > 0 && shape.iter().product::<usize>() == values.len() && !values.is_empty();
        if first && fits {
            self.channel_sums = vec![0.0; channels];
            self.channel_squares = vec![0.0; channels];
            self.channel_counts = vec![0.0; channels];
            self.tails = Some(ChannelTails::new(channels));
        }
        if !fits || self.channel_sums.len() != channels {
            self.channel_sums.clear();
            self.channel_squares.clear();
            self.channel_counts.clear();
            self.tails = None;
            return;
        }
        let inner: usize = shape[axis + 1..].iter().product();
        let end = self.range;
        let (sums, seen): (Vec<[f64; 3]>, Vec<Tail>) = (0..channels)
            .into_par_iter()
            .with_min_len((CHUNK * channels / values.len()).max(1))
            .map(|channel| {
                let (mut sum, mut squares, mut count, mut tail) = (0.0, 0.0, 0.0, Tail::EMPTY);
                for row in values.chunks_exact(inner).skip(channel).step_by(channels) {
                    for &value in row.iter().filter(|value| value.is_finite()) {
                        let wide = f64::from(value);
                        sum += wide;
                        squares += wide * wide;
                        count += 1.0;
                        tail.add(value, end);
                    }
                }
                ([sum, squares, count], tail)
            })
            .unzip();
        for (channel, [sum, squares, count]) in sums.into_iter().enumerate() {
            self.channel_sums[channel] += sum;
            self.channel_squares[channel] += squares;
            self.channel_counts[channel] += count;
        }
        if let Some(tails) = &mut self.tails {
            tails.add(seen, end);
        }
    }

    /// For each channel of the layer's input, how many elements lie above the 99th percentile of all |x|, and the largest
    /// |x|; `None` where channels were not told apart. Without data, the counts are of as many elements as stand for a
    /// channel. From bins 9 to 12 % wide.
    pub fn channel_outliers(&self) -> Option<Vec<(f64, f32)>> {
        self.tails.as_ref().map(ChannelTails::outliers)
    }

    /// How the channels of the layer's input differ, with bounds `sigma` standard deviations from the mean; `None` where channels
    /// were not told apart.
    pub fn channel_spread(&self, sigma: f64) -> Option<ChannelSpread> {
        let tails = self.tails.as_ref()?;
        let count: f64 = self.channel_counts.iter().sum();
        let bounds = (self.channel_squares.len() == tails.len() && count > 0.0).then(|| {
            let mean = self.channel_sums.iter().sum::<f64>() / count;
            let square = self.channel_squares.iter().sum::<f64>() / count;
            (mean, sigma * (square - mean * mean).max(0.0).sqrt())
        });
        let outliers = bounds.map(|(mean, bound)| {
            let is_far = |(low, high): &(f32, f32)| [*low, *high].iter().any(|x| (f64::from(*x) - mean).abs() > bound);
            tails.ends().filter(is_far).count()
        });
        let reach = tails.ends().map(|(low, high)| low.abs().max(high.abs())).collect();
        Some(ChannelSpread {
            outliers,
            ratio_to_median: ratio_to_median(reach),
        })
    }

    /// What would have been seen if each of `channels` came twice, at half its size (activation OCS, Zhao et al. 2019,
    /// section 3.4). The ends are exact; in the histogram, bins of the channels decide how many elements move. `None` where
    /// channels were not told apart.
    pub fn halving(&self, channels: &[usize]) -> Option<Self> {
        let tails = self.tails.as_ref()?;
        let mut chosen = vec![false; tails.len()];
        for channel in channels {
            *chosen.get_mut(*channel)? = true;
        }
        let shares = tails.shares(&chosen);
        let mut halved = Self {
            range: self.range,
            not_finite: self.not_finite,
            ..Self::new(self.source)
        };
        (halved.min, halved.max) = tails.ends_after_halving(&chosen);
        let max_abs = f64::from(halved.max_abs());
        let width = 2.0 * f64::from(self.range) / BINS as f64;
        for (bin, &count) in self.counts.iter().enumerate() {
            let center = (bin as f64 + 0.5 - (BINS / 2) as f64) * width;
            let share = shares[tail_bin(center.abs() as f32, tails.end())];
            // Only what was halved can have lain beyond the new ends.
            let moved = if center.abs() - width > max_abs {
                count
            } else {
                (share * count as f64).round() as u64
            };
            // A bin half as far out: the bins on either side of 0 stay where they are.
            let half = (bin + BINS / 2) / 2;
            halved.counts[half] += 2 * moved;
            halved.counts[bin] += count - moved;
            halved.count += count + moved;
        }
        Some(halved)
    }

    /// The mean of each channel of the layer's input; `None` where channels were not told apart.
    pub fn channel_means(&self) -> Option<Vec<f64>> {
        let mean = |(sum, count): (&f64, &f64)| sum / count.max(1.0);
        (!self.channel_sums.is_empty()).then(|| self.channel_sums.iter().zip(&self.channel_counts).map(mean).collect())
    }

    /// Takes in a batch: values of any shape, in the units of the activation. However the values are cut into batches, the
    /// result is the same.
    ///
    /// # Example
    ///
    /// ```
    /// use splitscope::statistics::{ActivationStatistics, RangeSource};
    ///
    /// let mut seen = ActivationStatistics::new(RangeSource::Calibration);
    /// seen.add(&[0.0, 0.5, -0.25]);
    /// seen.add(&[3.0, f32::NAN]);
    /// assert_eq!((seen.min, seen.max, seen.count, seen.not_finite), (-0.25, 3.0, 4, 1));
    ///
    /// let mut at_once = ActivationStatistics::new(RangeSource::Calibration);
    /// at_once.add(&[0.0, 0.5, -0.25, 3.0, f32::NAN]);
    /// assert!(at_once == seen);
    /// ```
    pub fn add(&mut self, values: &[f32]) {
        let extent = values
            .par_chunks(CHUNK)
            .map(Extent::of)
            .reduce(Extent::default, Extent::join);
        self.not_finite += extent.not_finite;
        if extent.count == 0 {
            return;
        }
        let seen_before = self.count > 0;
        self.min = if seen_before {
            self.min.min(extent.min)
        } else {
            extent.min
        };
        self.max = if seen_before {
            self.max.max(extent.max)
        } else {
            extent.max
        };
        self.count += extent.count;
        self.grow(self.max_abs());

        // Exact in f64 for every finite f32: both factors of the scale are powers of two.
        let scale = if self.range > 0.0 {
            (BINS / 2) as f64 / f64::from(self.range)
        } else {
            0.0
        };
        let counts = values
            .par_chunks(CHUNK)
            .map(|chunk| {
                let mut counts = vec![0_u64; BINS];
                for &value in chunk.iter().filter(|value| value.is_finite()) {
                    let bin = (f64::from(value) * scale).floor() as i64 + (BINS / 2) as i64;
                    counts[bin.clamp(0, BINS as i64 - 1) as usize] += 1;
                }
                counts
            })
            .reduce_with(sum);
        if let Some(counts) = counts {
            for (mine, more) in self.counts.iter_mut().zip(counts) {
                *mine += more;
            }
        }
    }

    /// Greatest |element| seen.
    pub fn max_abs(&self) -> f32 {
        self.max.abs().max(self.min.abs())
    }

    /// The bins: `(range, counts over [-range, range))`, equally wide. The range is 0 while all elements were 0; they are
    /// in the bin that begins at 0 then as ever.
    pub fn bins(&self) -> (f32, &[u64]) {
        (self.range, &self.counts)
    }

    /// Widens the histogram until it holds `max_abs`. Zeros stay in the bin that begins at 0 whatever the range.
    fn grow(&mut self, max_abs: f32) {
        if self.range == 0.0 && max_abs > 0.0 {
            self.range = power_of_two_above(max_abs);
        }
        while self.range <= max_abs && self.range > 0.0 && self.range < WIDEST {
            self.range *= 2.0;
            let merged: Vec<u64> = self.counts.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect();
            self.counts.fill(0);
            self.counts[BINS / 4..][..BINS / 2].copy_from_slice(&merged);
        }
    }
}

/// Without the thousands of counts.
impl std::fmt::Debug for ActivationStatistics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivationStatistics")
            .field("source", &self.source)
            .field("count", &self.count)
            .field("not_finite", &self.not_finite)
            .field("min", &self.min)
            .field("max", &self.max)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// Place by place.
fn sum<T: std::ops::AddAssign>(mut left: Vec<T>, right: Vec<T>) -> Vec<T> {
    for (l, r) in left.iter_mut().zip(right) {
        *l += r;
    }
    left
}

/// The least power of two above `value` (> 0), at most [`WIDEST`].
fn power_of_two_above(value: f32) -> f32 {
    let mut range = 1.0_f32;
    while range <= value && range < WIDEST {
        range *= 2.0;
    }
    // Halving stops at the least positive f32, whose half is 0.
    while range * 0.5 > value {
        range *= 0.5;
    }
    range
}

#[cfg(test)]
mod tests;
