//! The input of one layer, channel by channel: how far each reaches, how large it is on average, how much of it lies beyond the
//! bounds, and where in the sample it is large. What shows the outlier channels of activations, as LLM.int8 (Dettmers et al.
//! 2022) and SmoothQuant (Xiao et al. 2023) draw them.

use super::prefetch::each_batch;
use super::{Dataset, Engine, InferenceError};
use crate::data::Tensor;
use crate::engine::UNOPTIMIZED;
use crate::network::Layer;
use crate::progress::Progress;
use crate::statistics::{ActivationStatistics, ratio_to_median};
use std::ops::Range;

/// Positions of a map at most; of more, neighbours share a cell, which holds the largest of them.
const MAX_POSITIONS: usize = 128;
/// Samples that have a map of their own at most, and cells of all these maps together.
const MAX_SAMPLES_APART: usize = 16;
const MAX_CELLS: usize = 1 << 21;
/// Channels that are counted apart at most, and the share of all channels that they may be.
const STACKED: usize = 4;

/// What is known of one channel of a layer's input.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct InputChannel {
    /// Least element.
    pub min: f32,
    /// Greatest element.
    pub max: f32,
    /// Mean of |x|.
    pub mean_abs: f64,
    /// Share of its elements beyond the bounds, 0 to 1.
    pub beyond: f64,
}

impl InputChannel {
    /// Greatest |x|.
    pub fn max_abs(&self) -> f32 {
        self.min.abs().max(self.max.abs())
    }

    /// The element of greatest |x|.
    pub fn extreme(&self) -> f32 {
        if self.max.abs() >= self.min.abs() {
            self.max
        } else {
            self.min
        }
    }
}

/// One of the channels with the greatest |x|, counted apart.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedInput {
    /// Its position.
    pub channel: usize,
    /// Its elements in the bins of [`ActivationStatistics::bins`].
    pub counts: Vec<u64>,
}

/// The greatest |x| of each channel at each position.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionMap {
    /// Cells along the positions.
    pub cells: usize,
    /// `[channels, cells]`.
    pub values: Vec<f32>,
}

impl PositionMap {
    fn new(channels: usize, cells: usize) -> Self {
        Self {
            cells,
            values: vec![0.0; channels * cells],
        }
    }

    /// The cells of one channel.
    pub fn channel(&self, channel: usize) -> &[f32] {
        let start = channel * self.cells;
        self.values.get(start..start + self.cells).unwrap_or_default()
    }

    fn take(&mut self, channel: usize, cell: usize, magnitude: f32) {
        if let Some(value) = self.values.get_mut(channel * self.cells + cell) {
            *value = value.max(magnitude);
        }
    }
}

/// The input of one layer, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct InputChannels {
    /// Samples that were run.
    pub samples: usize,
    /// Where they came from, for a person.
    pub data_name: String,
    /// Mean of all finite elements.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// Standard deviations from the mean at which the bounds lie.
    pub sigma: f64,
    /// In their order.
    pub channels: Vec<InputChannel>,
    /// Those of the greatest |x|, largest first: at most four, and at most a quarter of all.
    pub stacked: Vec<StackedInput>,
    /// Positions of a sample: of a picture its pixels row by row, of a sequence its steps.
    pub positions: usize,
    /// Over all samples.
    pub map: PositionMap,
    /// Of the first samples, each by itself.
    pub map_of_sample: Vec<PositionMap>,
}

impl InputChannels {
    /// Whether an element lies beyond the bounds.
    pub fn is_outlier(&self, x: f64) -> bool {
        (x - self.mean).abs() > self.sigma * self.std
    }

    /// Channels that have elements beyond the bounds.
    pub fn outlier_channels(&self) -> usize {
        self.channels.iter().filter(|channel| channel.beyond > 0.0).count()
    }

    /// Greatest |x| of the largest channel over that of the median one; `None` where the median is 0.
    pub fn ratio_to_median(&self) -> Option<f64> {
        ratio_to_median(self.channels.iter().map(InputChannel::max_abs).collect())
    }
}

/// How a value lies in memory: which channel, position and sample an element is of.
pub(super) struct Placing {
    samples: usize,
    /// Rows of channels in a sample, and elements of a channel in a row.
    rows: usize,
    inner: usize,
    channels: usize,
}

impl Placing {
    /// Of a value whose channels lie along `axis` (negative counts from the end) and whose samples along the first.
    pub(super) fn of(value: &Tensor, axis: i64) -> Option<Self> {
        let shape = value.shape();
        let axis = usize::try_from(if axis < 0 { axis + shape.len() as i64 } else { axis }).ok()?;
        let channels = shape.get(axis).copied().filter(|channels| *channels > 0)?;
        let samples = if axis == 0 { 1 } else { shape.first().copied()? };
        let outer: usize = shape.get(..axis)?.iter().product();
        let inner: usize = shape.get(axis + 1..)?.iter().product();
        let rows = outer.checked_div(samples)?;
        (rows * inner > 0).then_some(Self {
            samples,
            rows,
            inner,
            channels,
        })
    }

    pub(super) fn positions(&self) -> usize {
        self.rows * self.inner
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Calls `each` with sample, channel, position and element, in the order of memory. What is not finite is left out.
    pub(super) fn each(&self, values: &[f32], mut each: impl FnMut(usize, usize, usize, f32)) {
        for (line, elements) in values.chunks_exact(self.inner).enumerate() {
            let (channel, row) = (line % self.channels, line / self.channels);
            let (sample, row) = (row / self.rows, row % self.rows);
            for (place, &x) in elements.iter().enumerate().filter(|(_, x)| x.is_finite()) {
                each(sample, channel, row * self.inner + place, x);
            }
        }
    }
}

/// Sums of the first run.
#[derive(Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
    magnitudes: f64,
    min: f32,
    max: f32,
}

/// Runs up to `limit` samples of `data` twice through `engine` (the float network) and looks at the input of `layer`, which
/// `seen` knows of the same samples. Bounds lie `sigma` standard deviations from the mean.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`; of a layer whose input has no channels.
pub fn input_channels(
    engine: &dyn Engine,
    data: &Dataset,
    limit: usize,
    layer: &Layer,
    seen: &ActivationStatistics,
    sigma: f64,
    progress: &Progress,
) -> Result<InputChannels, InferenceError> {
    let no_channels = || InferenceError::Data(format!("the input of {} has no channels to tell apart", layer.name));
    let (name, axis) = layer.input.as_ref().ok_or_else(no_channels)?;
    let samples = data.len().min(limit);
    progress.start(2 * samples as u64, format!("Looking at the input of {}", layer.name));

    let (mut sums, mut positions, mut map, mut apart) = (Vec::<Sums>::new(), 0, None, Vec::new());
    let mut first = 0;
    each_value(engine, data, samples, name, progress, |value| {
        let (placing, values) = Placing::of(value, *axis).zip(value.floats()).ok_or_else(no_channels)?;
        if sums.is_empty() {
            sums.resize_with(placing.channels, Sums::default);
            positions = placing.positions();
        }
        if sums.len() != placing.channels {
            return Err(no_channels());
        }
        let cells = positions.min(MAX_POSITIONS);
        let all = map.get_or_insert_with(|| PositionMap::new(placing.channels, cells));
        let most = (MAX_CELLS / (placing.channels * cells).max(1)).min(MAX_SAMPLES_APART);
        while apart.len() < most.min(first + placing.samples) {
            apart.push(PositionMap::new(placing.channels, cells));
        }
        let here = placing.positions();
        placing.each(values, |sample, channel, position, x| {
            let sums = &mut sums[channel];
            (sums.min, sums.max) = if sums.count == 0.0 {
                (x, x)
            } else {
                (sums.min.min(x), sums.max.max(x))
            };
            let wide = f64::from(x);
            sums.count += 1.0;
            sums.sum += wide;
            sums.squares += wide * wide;
            sums.magnitudes += wide.abs();
            let cell = position * cells / here;
            all.take(channel, cell, x.abs());
            if let Some(own) = apart.get_mut(first + sample) {
                own.take(channel, cell, x.abs());
            }
        });
        first += placing.samples;
        Ok(())
    })?;
    let map = map.ok_or_else(no_channels)?;
    let total = |of: fn(&Sums) -> f64| sums.iter().map(of).sum::<f64>();
    let count = total(|sums| sums.count).max(1.0);
    let mean = total(|sums| sums.sum) / count;
    let std = (total(|sums| sums.squares) / count - mean * mean).max(0.0).sqrt();
    let channel = |sums: &Sums| InputChannel {
        min: sums.min,
        max: sums.max,
        mean_abs: sums.magnitudes / sums.count.max(1.0),
        beyond: 0.0,
    };
    let mut found = InputChannels {
        samples,
        data_name: data.name().to_owned(),
        mean,
        std,
        sigma,
        channels: sums.iter().map(channel).collect(),
        stacked: Vec::new(),
        positions,
        map,
        map_of_sample: apart,
    };
    found.count_apart(seen, |each| {
        each_value(engine, data, samples, name, progress, |value| {
            let (placing, values) = Placing::of(value, *axis).zip(value.floats()).ok_or_else(no_channels)?;
            placing.each(values, |_, channel, _, x| each(channel, x));
            Ok(())
        })
    })?;
    for (channel, sums) in found.channels.iter_mut().zip(&sums) {
        channel.beyond /= sums.count.max(1.0);
    }
    Ok(found)
}

impl InputChannels {
    /// Counts what lies beyond the bounds, and the largest channels apart in the bins of `seen`; `run` calls with each element
    /// and its channel.
    fn count_apart(
        &mut self,
        seen: &ActivationStatistics,
        run: impl FnOnce(&mut dyn FnMut(usize, f32)) -> Result<(), InferenceError>,
    ) -> Result<(), InferenceError> {
        let mut order: Vec<usize> = (0..self.channels.len()).collect();
        let reach = |channel: &usize| self.channels[*channel].max_abs();
        order.sort_by(|a, b| reach(b).total_cmp(&reach(a)).then(a.cmp(b)));
        order.truncate(STACKED.min(self.channels.len() / 4));
        let (end, bins) = (f64::from(seen.bins().0), seen.bins().1.len());
        // As the histogram counts: both factors are powers of two.
        let scale = if end > 0.0 { (bins / 2) as f64 / end } else { 0.0 };
        let mut ranks = vec![None; self.channels.len()];
        for (rank, channel) in order.iter().enumerate() {
            ranks[*channel] = Some(rank);
        }
        let mut counts = vec![vec![0_u64; bins]; order.len()];
        let mut beyond = vec![0_u64; self.channels.len()];
        let bound = self.sigma * self.std;
        let mean = self.mean;
        run(&mut |channel, x| {
            let x = f64::from(x);
            if (x - mean).abs() > bound {
                beyond[channel] += 1;
            }
            if let Some(rank) = ranks[channel] {
                let bin = (x * scale).floor() as i64 + (bins / 2) as i64;
                counts[rank][bin.clamp(0, bins as i64 - 1) as usize] += 1;
            }
        })?;
        for (channel, beyond) in self.channels.iter_mut().zip(beyond) {
            channel.beyond = beyond as f64;
        }
        let stacked = order.into_iter().zip(counts);
        self.stacked = stacked
            .map(|(channel, counts)| StackedInput { channel, counts })
            .collect();
        Ok(())
    }
}

/// Calls `take` with the value `name` of each batch.
fn each_value(
    engine: &dyn Engine,
    data: &Dataset,
    samples: usize,
    name: &str,
    progress: &Progress,
    mut take: impl FnMut(&Tensor) -> Result<(), InferenceError>,
) -> Result<(), InferenceError> {
    let batches = super::outputs::measured_batches(engine, data, 0..samples)?;
    let ranges: Vec<Range<usize>> = batches.iter().map(|batch| batch.run.clone()).collect();
    each_batch(data, &ranges, progress, |position, inputs| {
        for value in engine.run_with(inputs, &[name], UNOPTIMIZED)? {
            take(&value)?;
        }
        progress.advance(batches[position].wanted.len() as u64);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use crate::inference::{Rten, calibrate};

    #[test]
    fn the_channels_of_an_input_add_up_to_its_histogram() {
        let network = Demo::Fashion.network().unwrap();
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let data = Dataset::demo_calibration(Demo::Fashion);
        let progress = Progress::default();
        let calibration = calibrate(&network, &engine, &data, 60, &progress).unwrap();
        let layer = &network.layers[network.layer_index("layer2.0.conv1").unwrap()];
        let (name, _) = layer.input.as_ref().unwrap();
        let seen = &calibration.activations[name];
        let found = input_channels(&engine, &data, 60, layer, seen, 4.0, &progress).unwrap();

        // Ends, means and outliers against the statistics of the same samples, which know nothing of this.
        let reach = seen.channel_outliers().unwrap();
        let maxima: Vec<f32> = reach.iter().map(|(_, reach)| *reach).collect();
        let found_maxima: Vec<f32> = found.channels.iter().map(InputChannel::max_abs).collect();
        assert_eq!(found_maxima, maxima);
        let means = seen.channel_means().unwrap();
        let mean = means.iter().sum::<f64>() / means.len() as f64;
        assert!((found.mean - mean).abs() < 1e-9, "all channels have as many elements");
        // After a ReLU |x| is x.
        for (channel, mean) in found.channels.iter().zip(&means) {
            assert!((channel.mean_abs - mean).abs() < 1e-9 * mean.max(1.0));
        }
        let (range, counts) = seen.bins();
        let width = 2.0 * f64::from(range) / counts.len() as f64;
        let centre = |bin: usize| (bin as f64 + 0.5) * width - f64::from(range);
        let far = |bin: &usize| found.is_outlier(centre(*bin));
        let far: u64 = (0..counts.len()).filter(far).map(|bin| counts[bin]).sum();
        let each = seen.count as f64 / means.len() as f64;
        let beyond: f64 = found.channels.iter().map(|channel| channel.beyond * each).sum();
        // The bound may lie inside of a bin.
        let bound = found.mean + found.sigma * found.std;
        let at_bound = counts[((bound + f64::from(range)) / width) as usize];
        assert!((beyond - far as f64).abs() <= at_bound as f64 + 0.5, "{beyond} {far}");
        assert!(found.outlier_channels() > 0 && found.ratio_to_median().unwrap() >= 1.0);
        // What is known of all layers at once is the same.
        let spread = seen.channel_spread(found.sigma).unwrap();
        assert_eq!(spread.outliers, Some(found.outlier_channels()));
        assert_eq!(spread.ratio_to_median, found.ratio_to_median());

        // No channel holds more of a bin than all of them.
        assert_eq!(found.stacked.len(), 4);
        for (bin, all) in counts.iter().enumerate() {
            let apart: u64 = found.stacked.iter().map(|stacked| stacked.counts[bin]).sum();
            assert!(apart <= *all, "bin {bin}: {apart} of {all}");
        }
        for stacked in &found.stacked {
            assert_eq!(stacked.counts.iter().sum::<u64>() as f64, each);
        }

        // The map holds each channel's largest, and no sample more than all.
        assert_eq!((found.positions, found.map.cells), (28 * 28, MAX_POSITIONS));
        for (channel, max) in maxima.iter().enumerate() {
            assert_eq!(found.map.channel(channel).iter().copied().fold(0.0, f32::max), *max);
        }
        assert_eq!(found.map_of_sample.len(), MAX_SAMPLES_APART);
        for own in &found.map_of_sample {
            assert!(own.values.iter().zip(&found.map.values).all(|(own, all)| own <= all));
        }
    }

    #[test]
    fn an_element_is_found_at_its_sample_channel_and_position_wherever_the_channels_lie() {
        let shape = [2, 3, 4];
        let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let value = Tensor::from_shape(shape, values.clone()).unwrap();
        for (axis, wanted) in [(1, (1, 2, 3)), (-1, (1, 3, 2))] {
            let placing = Placing::of(&value, axis).unwrap();
            let mut last = None;
            placing.each(&values, |sample, channel, position, x| {
                last = Some((sample, channel, position, x));
            });
            let (sample, channel, position) = wanted;
            assert_eq!(last, Some((sample, channel, position, 23.0)), "axis {axis}");
        }
        assert!(Placing::of(&value, 3).is_none());
    }
}
