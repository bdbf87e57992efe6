//! Second moments of layer inputs, for rounding that weighs errors by them (GPTQ).
//!
//! From data: samples run through the float network, the inputs of convolutions unfolded; of all positions of all samples at most
//! [`MAX_ROWS`] are taken, evenly spread. Without data: from mean and deviation of each channel
//! ([`moments_of_channels`]), which batch-norm statistics tell where they are known, else noise. Neighbouring pixels of noise have
//! nothing in common, so that its own moments round no better than to nearest.

use super::calibration::main_layers;
use super::data_free::run_noise;
use super::prefetch::each_batch;
use super::{Dataset, Engine, InferenceError};
use crate::data::Tensor;
use crate::engine::UNOPTIMIZED;
use crate::network::{Layer, LayerKind, Network};
use crate::onnx::NodeProto;
use crate::onnx::build::{attribute_ints, attribute_string};
use crate::progress::Progress;
use crate::quantization::{Activations, InputMoments, MAX_COLUMNS, NoMoments, batch_norm_moments, moments_of_channels};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// Rows of inputs that are taken of each layer (20 000 are enough: more change no accuracy beyond chance).
pub const MAX_ROWS: usize = 20_000;
/// Bytes that the moments of all layers may take; the layers that are left have none, and say so.
pub const MAX_MOMENT_BYTES: u64 = 4 << 30;
/// Rows that are unfolded at a time.
const CHUNK: usize = 512;

/// Adds the moments of the layers' inputs on up to `limit` samples of `data` to what is known; without data, those that
/// batch-norm statistics or noise tell of.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn add_moments(
    network: &Network,
    engine: &dyn Engine,
    data: Option<&Dataset>,
    limit: usize,
    activations: &mut Activations,
    progress: &Progress,
) -> Result<(), InferenceError> {
    let mut wanted = Wanted::of(network, activations);
    match data {
        Some(data) => {
            let samples = data.len().min(limit);
            progress.start(samples as u64, "Measuring what inputs have in common");
            let names = wanted.names();
            let batches = super::outputs::measured_batches(engine, data, 0..samples)?;
            let ranges: Vec<Range<usize>> = batches.iter().map(|batch| batch.run.clone()).collect();
            each_batch(data, &ranges, progress, |position, inputs| {
                let values = engine.run_with(inputs, &as_str(&names), UNOPTIMIZED)?;
                let share = ranges[position].len() as f64 / samples.max(1) as f64;
                wanted.add(&names, &values, share, progress)?;
                progress.advance(batches[position].wanted.len() as u64);
                Ok(())
            })?;
        }
        None => {
            let inputs = activations.inputs().to_vec();
            for (layer, moments) in batch_norm_moments(network, &inputs) {
                if let Some(known) = wanted.take(&layer) {
                    known
                        .iter()
                        .for_each(|name| activations.set_moments(name, Ok(Arc::clone(&moments))));
                }
            }
            let names = wanted.names();
            let mut channels: Vec<Channels> = wanted.groups.values().map(|_| Channels::default()).collect();
            run_noise(network, engine, &inputs, &as_str(&names), progress, |values, _| {
                for (group, channels) in wanted.groups.values().zip(&mut channels) {
                    if let Some(value) = value_of(&names, &values, group) {
                        channels.add(value, group.reading.axis);
                    }
                }
                Ok(())
            })?;
            for (group, channels) in wanted.groups.values_mut().zip(channels) {
                let first = group.layers.first().and_then(|name| network.layer_index(name));
                let layer = first.and_then(|index| network.layers.get(index));
                if let Some(moments) = layer.and_then(|layer| moments_of_channels(layer, &channels.moments())) {
                    group.moments = moments;
                }
            }
        }
    }
    for group in wanted.groups.into_values() {
        let moments = Arc::new(group.moments);
        for name in group.layers {
            activations.set_moments(&name, Ok(Arc::clone(&moments)));
        }
    }
    Ok(())
}

fn as_str(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Sums over the numbers of each channel of a value.
#[derive(Default)]
pub(super) struct Channels {
    /// Of a channel: how many, their sum, the sum of their squares.
    sums: Vec<[f64; 3]>,
}

impl Channels {
    /// Takes in a value whose channels lie along `axis` (negative counts from the end).
    fn add(&mut self, value: &Tensor, axis: i64) {
        if let Some(values) = value.floats() {
            self.add_values(value.shape(), values, axis);
        }
    }

    /// The same for numbers of that shape.
    pub(super) fn add_values(&mut self, shape: &[usize], values: &[f32], axis: i64) {
        let Some(axis) = place_of(axis, shape.len()) else {
            return;
        };
        let inner: usize = shape[axis + 1..].iter().product();
        self.sums.resize(shape[axis], [0.0; 3]);
        for (run, values) in values.chunks(inner.max(1)).enumerate() {
            let sums = &mut self.sums[run % shape[axis]];
            for x in values.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x)) {
                *sums = [sums[0] + 1.0, sums[1] + x, sums[2] + x * x];
            }
        }
    }

    /// Mean and deviation of each channel.
    pub(super) fn moments(&self) -> Vec<[f64; 2]> {
        let of = |[count, sum, squares]: &[f64; 3]| {
            let mean = sum / count.max(1.0);
            [mean, (squares / count.max(1.0) - mean * mean).max(0.0).sqrt()]
        };
        self.sums.iter().map(of).collect()
    }
}

/// The axis of a value of `rank` axes; `None` where it has no such axis.
fn place_of(axis: i64, rank: usize) -> Option<usize> {
    let count = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + count } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}

/// What takes in rows of what the weights of an output meet: `[count, columns]`, row-major.
pub(super) trait Rows {
    /// Numbers in a row.
    fn columns(&self) -> usize;
    /// Takes in rows of a group.
    fn add(&mut self, group: usize, rows: &mut [f32]);
    /// Takes in rows of a group, and those at the same places in the float network.
    fn add_pairs(&mut self, group: usize, rows: &mut [f32], float_rows: &mut [f32]);
}

impl Rows for InputMoments {
    fn columns(&self) -> usize {
        Self::columns(self)
    }

    fn add(&mut self, group: usize, rows: &mut [f32]) {
        Self::add(self, group, rows);
    }

    fn add_pairs(&mut self, group: usize, rows: &mut [f32], float_rows: &mut [f32]) {
        Self::add_pairs(self, group, rows, float_rows);
    }
}

/// The mean of each number of a row, for layers that ask for nothing else.
pub(super) struct PlaceSums {
    columns: usize,
    /// Of each group: how many rows, and their sums.
    sums: Vec<(f64, Vec<f64>)>,
}

impl PlaceSums {
    pub(super) fn new(groups: usize, columns: usize) -> Self {
        Self {
            columns,
            sums: vec![(0.0, vec![0.0; columns]); groups],
        }
    }

    /// Group by group; `None` where nothing was seen.
    pub(super) fn means(self) -> Option<Vec<f64>> {
        let is_seen = !self.sums.is_empty() && self.sums.iter().all(|(count, _)| *count > 0.0);
        let of = |(count, sums): (f64, Vec<f64>)| sums.into_iter().map(move |sum| sum / count);
        is_seen.then(|| self.sums.into_iter().flat_map(of).collect())
    }
}

impl Rows for PlaceSums {
    fn columns(&self) -> usize {
        self.columns
    }

    fn add(&mut self, group: usize, rows: &mut [f32]) {
        let Some((count, sums)) = self.sums.get_mut(group) else {
            return;
        };
        for row in rows.chunks_exact(self.columns.max(1)) {
            *count += 1.0;
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
    }

    fn add_pairs(&mut self, group: usize, rows: &mut [f32], _: &mut [f32]) {
        self.add(group, rows);
    }
}

/// Layers that see the same rows.
struct Group {
    value: String,
    layers: Vec<String>,
    reading: Reading,
    moments: InputMoments,
}

/// What is to be measured: layers by value and how they read it.
struct Wanted {
    groups: BTreeMap<String, Group>,
    /// The key of a layer's group by the name of the layer.
    keys: HashMap<String, String>,
}

/// The value that a group reads, of those of the sorted `names`.
fn value_of<'a>(names: &[String], values: &'a [Tensor], group: &Group) -> Option<&'a Tensor> {
    let at = names.binary_search(&group.value).ok()?;
    values.get(at)
}

impl Wanted {
    /// All layers whose moments can be gathered; of the others `activations` are told why not.
    fn of(network: &Network, activations: &mut Activations) -> Self {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        let mut keys = HashMap::new();
        let mut bytes = 0_u64;
        for layer in main_layers(network).filter(|layer| layer.support.can_quantize()) {
            let reading = match Reading::of(network, layer) {
                Ok(reading) => reading,
                Err(why) => {
                    activations.set_moments(&layer.name, Err(why));
                    continue;
                }
            };
            let Some((value, _)) = &layer.input else { continue };
            let key = format!("{value} {reading:?}");
            keys.insert(layer.name.clone(), key.clone());
            if let Some(group) = groups.get_mut(&key) {
                group.layers.push(layer.name.clone());
                continue;
            }
            let more = InputMoments::bytes_of(layer);
            if bytes + more > MAX_MOMENT_BYTES {
                let why = NoMoments::TooLarge(MAX_MOMENT_BYTES >> 30);
                activations.set_moments(&layer.name, Err(why));
                continue;
            }
            bytes += more;
            let group = Group {
                value: value.clone(),
                layers: vec![layer.name.clone()],
                moments: InputMoments::new(reading.groups, InputMoments::columns_of(layer)),
                reading,
            };
            groups.insert(key, group);
        }
        Self { groups, keys }
    }

    /// The values that are read, each once, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.groups.values().map(|group| group.value.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Takes out the group of a layer: its layers.
    fn take(&mut self, layer: &str) -> Option<Vec<String>> {
        let key = self.keys.get(layer)?;
        self.groups.remove(key).map(|group| group.layers)
    }

    /// Takes in the values of a batch, which is `share` of all samples.
    fn add(
        &mut self,
        names: &[String],
        values: &[Tensor],
        share: f64,
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        for group in self.groups.values_mut() {
            progress.check()?;
            if let Some(value) = value_of(names, values, group) {
                group.reading.add(value, share, &mut group.moments);
            }
        }
        Ok(())
    }
}

/// How a layer reads its input: which numbers of it meet the weights of one output at one position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    groups: usize,
    /// Input channels of a group.
    channels: usize,
    /// Axis of the channels.
    axis: i64,
    /// The kernel of a convolution; `None` for a matrix.
    kernel: Option<Kernel>,
}

#[derive(Debug, Clone, PartialEq)]
struct Kernel {
    sizes: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Pads,
}

#[derive(Debug, Clone, PartialEq)]
enum Pads {
    /// Before each spatial axis; those after follow from the positions that fit.
    Given(Vec<usize>, Vec<usize>),
    /// As many positions as the stride leaves; the odd pixel before the axis, or after it.
    Same { before: bool },
}

impl Reading {
    pub(super) fn of(network: &Network, layer: &Layer) -> Result<Self, NoMoments> {
        if let Some(why) = InputMoments::why_not(layer) {
            return Err(why);
        }
        let Some((_, axis)) = &layer.input else {
            return Err(NoMoments::NoInput);
        };
        let kernel = match layer.kind {
            LayerKind::Conv => {
                let node = network.node(layer).ok_or(NoMoments::NoNode)?;
                Some(Kernel::of(node, layer.shape.get(2..).unwrap_or_default()))
            }
            _ => None,
        };
        Ok(Self {
            groups: layer.layout.groups,
            channels: layer.layout.channels,
            axis: if kernel.is_some() { 1 } else { *axis },
            kernel,
        })
    }

    /// Adds rows of a value.
    fn add(&self, value: &Tensor, share: f64, moments: &mut InputMoments) {
        let Some(values) = value.floats() else { return };
        self.add_rows(value.shape(), [values, values], share, moments);
    }

    /// Adds rows of a value, with those at the same places of what it is in the float network, `values` being the numbers of both,
    /// the float network's last.
    pub(super) fn add_rows(&self, shape: &[usize], values: [&[f32]; 2], share: f64, taken: &mut impl Rows) {
        let Some(places) = Places::of(self, shape) else { return };
        let total = places.count();
        let wanted = ((MAX_ROWS as f64 * share).ceil() as usize).min(total);
        let columns = taken.columns();
        let elements = shape.iter().product::<usize>();
        if total == 0 || columns == 0 || values.iter().any(|values| values.len() != elements) {
            return;
        }
        let pairs = !std::ptr::eq(values[0], values[1]);
        // Evenly spread over all positions and in no step with the width of a picture (golden ratio).
        let chosen: Vec<usize> = (0..wanted)
            .map(|i| match wanted == total {
                true => i,
                false => ((i as f64 * 0.618_033_988_749_894_9).fract() * total as f64) as usize,
            })
            .collect();
        let mut buffers = [(); 2].map(|()| vec![0.0_f32; CHUNK.min(wanted) * columns]);
        for group in 0..self.groups {
            for chosen in chosen.chunks(CHUNK) {
                let [rows, float_rows] = buffers.each_mut().map(|rows| &mut rows[..chosen.len() * columns]);
                let read = |rows: &mut [f32], values: &[f32]| {
                    rows.par_chunks_mut(columns).zip(chosen).for_each(|(row, position)| {
                        places.read(values, *position, group * self.channels, row);
                    });
                    rows.iter().all(|x| x.is_finite())
                };
                if !read(rows, values[0]) {
                    continue;
                }
                if !pairs {
                    taken.add(group, rows);
                } else if read(&mut *float_rows, values[1]) {
                    taken.add_pairs(group, rows, float_rows);
                }
            }
        }
    }
}

impl Kernel {
    fn of(node: &NodeProto, sizes: &[usize]) -> Self {
        let rank = sizes.len();
        let numbers = |name: &str, usual: usize, count: usize| -> Vec<usize> {
            let given = attribute_ints(node, name).filter(|given| given.len() == count);
            let given = given.map(|given| given.iter().map(|x| usize::try_from(*x).unwrap_or(0)).collect());
            given.unwrap_or_else(|| vec![usual; count])
        };
        let pads = match attribute_string(node, "auto_pad") {
            Some("SAME_UPPER") => Pads::Same { before: false },
            Some("SAME_LOWER") => Pads::Same { before: true },
            Some("VALID") => Pads::Given(vec![0; rank], vec![0; rank]),
            _ => {
                let pads = numbers("pads", 0, 2 * rank);
                Pads::Given(pads[..rank].to_vec(), pads[rank..].to_vec())
            }
        };
        Self {
            sizes: sizes.to_vec(),
            strides: numbers("strides", 1, rank),
            dilations: numbers("dilations", 1, rank),
            pads,
        }
    }

    /// Positions along a spatial axis of that size, and the pixels before it.
    fn along(&self, axis: usize, size: usize) -> Option<(usize, usize)> {
        let reach = (self.sizes[axis].checked_sub(1)?) * self.dilations[axis] + 1;
        let stride = self.strides[axis].max(1);
        match &self.pads {
            Pads::Given(before, after) => {
                let padded = size + before[axis] + after[axis];
                Some((padded.checked_sub(reach)? / stride + 1, before[axis]))
            }
            Pads::Same { before } => {
                let positions = size.div_ceil(stride);
                let pads = ((positions.checked_sub(1)?) * stride + reach).saturating_sub(size);
                Some((positions, if *before { pads.div_ceil(2) } else { pads / 2 }))
            }
        }
    }
}

/// The positions of a value at which a layer's outputs are made.
enum Places<'a> {
    /// Rows of a matrix: numbers before and after the axis of the channels.
    Matrix {
        outer: usize,
        channels: usize,
        inner: usize,
    },
    Conv {
        kernel: &'a Kernel,
        samples: usize,
        /// Channels of all groups.
        channels: usize,
        sizes: Vec<usize>,
        /// Along each spatial axis: positions, and pixels before it.
        along: Vec<(usize, usize)>,
    },
}

impl<'a> Places<'a> {
    fn of(reading: &'a Reading, shape: &[usize]) -> Option<Self> {
        let axis = place_of(reading.axis, shape.len())?;
        let channels = shape[axis];
        if channels != reading.groups * reading.channels {
            return None;
        }
        let Some(kernel) = &reading.kernel else {
            return Some(Self::Matrix {
                outer: shape[..axis].iter().product(),
                channels,
                inner: shape[axis + 1..].iter().product(),
            });
        };
        let sizes = shape
            .get(2..)
            .filter(|sizes| sizes.len() == kernel.sizes.len())?
            .to_vec();
        let along = sizes.iter().enumerate().map(|(axis, size)| kernel.along(axis, *size));
        Some(Self::Conv {
            kernel,
            samples: shape[0],
            channels,
            along: along.collect::<Option<_>>()?,
            sizes,
        })
    }

    fn count(&self) -> usize {
        match self {
            Self::Matrix { outer, inner, .. } => outer * inner,
            Self::Conv { samples, along, .. } => {
                samples * along.iter().map(|(positions, _)| positions).product::<usize>()
            }
        }
    }

    /// Writes what the weights meet at a position, from input channel `first` on, to `row`: channel by channel, each with the places
    /// of its kernel. Beyond the border there are zeros.
    fn read(&self, values: &[f32], position: usize, first: usize, row: &mut [f32]) {
        match self {
            Self::Matrix { channels, inner, .. } => {
                let start = position / inner * channels * inner + position % inner;
                for (channel, to) in row.iter_mut().enumerate() {
                    *to = values[start + (first + channel) * inner];
                }
            }
            Self::Conv {
                kernel,
                channels,
                sizes,
                along,
                ..
            } => {
                let mut rest = position;
                let mut corner = vec![0_isize; sizes.len()];
                for axis in (0..sizes.len()).rev() {
                    let (positions, before) = along[axis];
                    corner[axis] = (rest % positions * kernel.strides[axis]) as isize - before as isize;
                    rest /= positions;
                }
                let plane: usize = sizes.iter().product();
                let area: usize = kernel.sizes.iter().product::<usize>().max(1);
                // The places of the kernel in a plane, the same for each channel.
                let places: Vec<Option<usize>> = (0..area).map(|place| kernel.place(place, &corner, sizes)).collect();
                for (channel, to) in row.chunks_mut(area).enumerate() {
                    let from = (rest * channels + first + channel) * plane;
                    for (to, place) in to.iter_mut().zip(&places) {
                        *to = place.map_or(0.0, |place| values[from + place]);
                    }
                }
            }
        }
    }
}

impl Kernel {
    /// Where place `place` of the kernel lies in a plane; `None` beyond its border.
    fn place(&self, mut place: usize, corner: &[isize], sizes: &[usize]) -> Option<usize> {
        let mut at = vec![0_usize; sizes.len()];
        for axis in (0..sizes.len()).rev() {
            let offset = (place % self.sizes[axis] * self.dilations[axis]) as isize;
            place /= self.sizes[axis];
            at[axis] = usize::try_from(corner[axis] + offset)
                .ok()
                .filter(|at| *at < sizes[axis])?;
        }
        Some(at.iter().zip(sizes).fold(0, |sum, (at, size)| sum * size + at))
    }
}

/// The most that a network's moments take: what the documentation states.
const _: () = assert!(MAX_MOMENT_BYTES > (MAX_COLUMNS * MAX_COLUMNS * 4) as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{int_attribute, ints_attribute, node};

    fn tensor(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| ((i * 7 + 3) % 11) as f32 - 5.0).collect();
        Tensor::from_shape(shape, values).unwrap()
    }

    /// A convolution by its definition: the product of a row with the kernel is the output there.
    #[test]
    fn a_row_times_the_kernel_is_the_convolutions_output() {
        let attributes = vec![
            ints_attribute("pads", [1, 0, 2, 1]),
            ints_attribute("strides", [2, 1]),
            ints_attribute("dilations", [1, 2]),
            int_attribute("group", 2),
        ];
        let conv = node("Conv", "c", ["x", "w"], ["y"], attributes);
        let reading = Reading {
            groups: 2,
            channels: 3,
            axis: 1,
            kernel: Some(Kernel::of(&conv, &[3, 2])),
        };
        let (samples, channels, height, width) = (2, 6, 5, 6);
        let value = tensor(&[samples, channels, height, width]);
        let values = value.floats().unwrap();
        let places = Places::of(&reading, value.shape()).unwrap();
        // (5 + 1 + 2 - 3) / 2 + 1 and (6 + 0 + 1 - 3) / 1 + 1.
        let (rows, columns) = (3, 5);
        assert_eq!(places.count(), samples * rows * columns);
        let mut row = vec![0.0; 3 * 6];
        for group in 0..2 {
            for position in 0..places.count() {
                places.read(values, position, group * 3, &mut row);
                let (n, y, x) = (
                    position / (rows * columns),
                    position / columns % rows,
                    position % columns,
                );
                for (i, seen) in row.iter().enumerate() {
                    let (c, ky, kx) = (group * 3 + i / 6, i / 2 % 3, i % 2);
                    let (iy, ix) = ((y * 2 + ky) as isize - 1, (x + kx * 2) as isize);
                    let inside = (0..height as isize).contains(&iy) && (0..width as isize).contains(&ix);
                    let at = ((n * channels + c) * height) as isize + iy;
                    let expected = if inside {
                        values[(at * width as isize + ix) as usize]
                    } else {
                        0.0
                    };
                    assert_eq!(*seen, expected);
                }
            }
        }
    }

    /// Noise tells the mean and deviation of channels, and neighbours are alike as pixels are; behind a batch-norm nothing is asked
    /// of it.
    #[test]
    fn without_data_noise_fills_what_batch_norms_do_not_tell() {
        let network = crate::format::demo::Demo::Fashion.network().unwrap();
        let engine = crate::engine::load_model(network.runnable_model()).unwrap();
        let mut known = Activations::new();
        add_moments(&network, &engine, None, 0, &mut known, &Progress::default()).unwrap();
        let first = known.moments_of("conv1").unwrap();
        // Standard normal noise: E[x x] = 1, and .8^d between places of the kernel.
        let near = |i: usize, j: usize, expected: f64| (first.moment(0, i, j) - expected).abs() < 0.05;
        assert!(near(4, 4, 1.0) && near(4, 5, 0.8) && near(0, 2, 0.64) && near(0, 4, 0.8_f64.powf(2.0_f64.sqrt())));
        for layer in &network.layers {
            assert!(known.moments_of(&layer.name).is_ok(), "{}", layer.name);
        }
        let by_norms = batch_norm_moments(&network, &[]);
        assert_eq!(by_norms.len() + 1, network.layers.len());
    }

    #[test]
    fn same_padding_puts_the_odd_pixel_where_onnx_does() {
        let kernel = |mode: &str| {
            let attributes = vec![
                crate::onnx::build::string_attribute("auto_pad", mode),
                ints_attribute("strides", [2]),
            ];
            Kernel::of(&node("Conv", "c", ["x", "w"], ["y"], attributes), &[3])
        };
        // Six pixels, three positions: (3 - 1) * 2 + 3 - 6 = 1 pixel of padding.
        assert_eq!(kernel("SAME_UPPER").along(0, 6), Some((3, 0)));
        assert_eq!(kernel("SAME_LOWER").along(0, 6), Some((3, 1)));
        assert_eq!(kernel("VALID").along(0, 6), Some((2, 0)));
    }

    #[test]
    fn the_channels_of_a_matrix_lie_along_any_axis() {
        let value = tensor(&[2, 4, 3]);
        let values = value.floats().unwrap();
        for (axis, inner) in [(-1_i64, 1), (1, 3)] {
            let reading = Reading {
                groups: 1,
                channels: if axis == 1 { 4 } else { 3 },
                axis,
                kernel: None,
            };
            let places = Places::of(&reading, value.shape()).unwrap();
            let mut row = vec![0.0; reading.channels];
            assert_eq!(places.count(), 24 / reading.channels);
            places.read(values, places.count() - 1, 0, &mut row);
            let last = 23 - (reading.channels - 1) * inner;
            assert_eq!(row[0], values[last]);
        }
    }
}
