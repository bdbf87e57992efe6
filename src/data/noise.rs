//! Inputs without data: seeded noise in the shapes that a network declares. It has no labels; what a network answers on it
//! can be compared with what another answers.

use super::arrays::{Array, Elements, InputArray};
use super::free_axes::{FreeShape, FreeSizes, shapes_of_samples};
use super::integers::{embedded, made_up_integers};
use super::{Dataset, DatasetError, Samples, fault};
use crate::data::{ElementKind, Port};
use crate::network::Network;
use std::f64::consts::TAU;

/// Most numbers of one input: 1 GiB of floats.
const MAX_NUMBERS: usize = 1 << 28;

impl Dataset {
    /// `samples` samples of noise for `ports`, the inputs of `network`: numbers of a standard normal distribution (what
    /// preprocessed pictures are by and large), token ids evenly over those that its embedding has. The height and width of a
    /// picture are `side` where they are free, every other free axis that no sample lies on is `steps` long. The same `seed`
    /// gives the same noise.
    ///
    /// # Errors
    /// [`DatasetError`] when an input would be too large.
    pub(crate) fn noise_of_size(
        network: &Network,
        ports: &[Port],
        samples: usize,
        free: FreeSizes,
        seed: u64,
    ) -> Result<Self, DatasetError> {
        made(network, ports, samples, free, &mut Random(seed), normal)
    }

    /// The same with numbers whose power falls with the frequency, as in natural pictures and signals.
    ///
    /// # Errors
    /// [`DatasetError`] when an input would be too large.
    pub(crate) fn made_up_of_size(
        network: &Network,
        ports: &[Port],
        samples: usize,
        free: FreeSizes,
        seed: u64,
    ) -> Result<Self, DatasetError> {
        made(network, ports, samples, free, &mut Random(seed), natural)
    }
}

/// What noise is.
const NOISE_NOTE: &str = "no data was given: seeded noise, judged against the float network's answers";

fn made(
    network: &Network,
    ports: &[Port],
    samples: usize,
    free: FreeSizes,
    random: &mut Random,
    fill: fn(&[usize], &mut Random) -> Vec<f32>,
) -> Result<Dataset, DatasetError> {
    let name = "noise";
    let shapes = shapes_of_samples(ports, free, samples);
    let sizes: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.sizes.clone()).collect();
    let sizes: Vec<&[usize]> = sizes.iter().map(Vec::as_slice).collect();
    let arrays = ports.iter().zip(shapes).enumerate().map(|(at, (port, shape))| {
        let FreeShape {
            sizes: shape,
            sample_axis: axis,
        } = shape;
        let numbers = (shape
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size)))
        .filter(|numbers| *numbers <= MAX_NUMBERS)
        .ok_or_else(|| fault(name, format!("{samples} samples of {} are too many", port.describe())))?;
        let elements = if port.is_integer() {
            let (least, most) = made_up_integers(network, ports, &sizes, at).into_inner();
            let drawn = (0..numbers).map(|_| random.below(most - least + 1).saturating_add_unsigned(least));
            Elements::Integer(drawn.collect())
        } else if port.kind == ElementKind::Byte {
            Elements::Integer((0..numbers).map(|_| random.below(256)).collect())
        } else if port.kind == ElementKind::SignedByte {
            Elements::Integer((0..numbers).map(|_| random.below(256) - 128).collect())
        } else {
            Elements::Float(fill(&shape, random))
        };
        InputArray::new(&port.name, Array::new(shape, elements), port.kind, axis, name)
    });
    Ok(Dataset {
        name: name.to_owned(),
        arrays: arrays.collect::<Result<_, _>>()?,
        samples: Samples::Arrays(samples),
        labels: None,
        classes: Vec::new(),
        output: None,
        maps: None,
        boxes: None,
        notes: vec![NOISE_NOTE.to_owned()],
    })
}

/// Independent numbers of a standard normal distribution.
fn normal(shape: &[usize], random: &mut Random) -> Vec<f32> {
    (0..shape.iter().product()).map(|_| random.normal()).collect()
}

/// Share of a picture's variance that all its channels have in common.
const COMMON: f32 = 0.9;

/// Samples `[N, C, H, W]` or `[N, ..., T]` of 1/f noise, each with mean 0 and variance 1; every second one with a dark ground, as
/// things have that are alone in their picture.
fn natural(shape: &[usize], random: &mut Random) -> Vec<f32> {
    let [samples, channels, plane @ ..] = shape else {
        return normal(shape, random);
    };
    let (height, width) = match plane {
        [] => return normal(shape, random),
        [width] => (1, *width),
        [height, width] => (*height, *width),
        [.., width] => (plane.iter().product::<usize>() / width.max(&1), *width),
    };
    let mut numbers = Vec::with_capacity(shape.iter().product());
    for sample in 0..*samples {
        let common = octaves(height, width, random);
        let first = numbers.len();
        for _ in 0..*channels {
            let own = octaves(height, width, random);
            let mixed = common.iter().zip(&own);
            numbers.extend(mixed.map(|(common, own)| COMMON.sqrt() * common + (1.0 - COMMON).sqrt() * own));
        }
        standardize(&mut numbers[first..]);
        if sample % 2 == 1 {
            numbers[first..].iter_mut().for_each(|x| *x = x.max(0.0));
            standardize(&mut numbers[first..]);
        }
    }
    numbers
}

/// Noise of all octaves of frequency, each with the same power, `[height, width]`: normal numbers on grids of 1, 2, 4, ...
/// pixels, interpolated.
fn octaves(height: usize, width: usize, random: &mut Random) -> Vec<f32> {
    let mut sum = vec![0.0_f32; height * width];
    let mut spacing = 1;
    while spacing <= height.max(width) {
        let (rows, columns) = (height / spacing + 2, width / spacing + 2);
        let grid: Vec<f32> = (0..rows * columns).map(|_| random.normal()).collect();
        // The grid begins anywhere, so that octaves do not meet at the same pixels.
        let offset = [random.uniform() as f32, random.uniform() as f32];
        let place = |at: usize, offset: f32| {
            let at = at as f32 / spacing as f32 + offset;
            (at as usize, at.fract())
        };
        for y in 0..height {
            let (row, down) = place(y, if height > 1 { offset[0] } else { 0.0 });
            for x in 0..width {
                let (column, right) = place(x, offset[1]);
                let at = |row: usize, column: usize| grid[row.min(rows - 1) * columns + column.min(columns - 1)];
                let top = at(row, column) * (1.0 - right) + at(row, column + 1) * right;
                let bottom = at(row + 1, column) * (1.0 - right) + at(row + 1, column + 1) * right;
                sum[y * width + x] += top * (1.0 - down) + bottom * down;
            }
        }
        spacing *= 2;
    }
    sum
}

/// Mean 0 and variance 1.
fn standardize(numbers: &mut [f32]) {
    let count = numbers.len().max(1) as f64;
    let mean = numbers.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = numbers.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    numbers
        .iter_mut()
        .for_each(|x| *x = ((f64::from(*x) - mean) / scale) as f32);
}

impl Dataset {
    /// Shape and numbers of the one array of floats that this data set is, samples along the first axis.
    pub(crate) fn float_array(&self) -> Option<(&[usize], &[f32])> {
        match (self.arrays.as_slice(), &self.samples) {
            ([array], Samples::Arrays(_)) => array.floats(),
            _ => None,
        }
    }

    /// Other numbers in its place, of `samples` samples, with what they are instead of what was said of those before.
    pub(crate) fn set_float_array(&mut self, samples: usize, numbers: Vec<f32>, name: &str, note: String) {
        if let ([array], Samples::Arrays(count)) = (self.arrays.as_mut_slice(), &mut self.samples)
            && array.set_floats(samples, numbers)
        {
            *count = samples;
            self.name = name.to_owned();
            self.notes.retain(|known| known != NOISE_NOTE);
            self.notes.insert(0, note);
        }
    }

    /// Tokens that the input `port` of `network` takes: the rows of the table that it picks from, as far as the graph shows it.
    pub(crate) fn vocabulary_of(network: &Network, port: &str) -> Option<u64> {
        embedded(network, port)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, neither.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller's method.
    pub(crate) fn normal(&mut self) -> f32 {
        ((-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()) as f32
    }

    pub(crate) fn below(&mut self, end: u64) -> i64 {
        i64::try_from(self.next() % end.max(1)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;

    #[test]
    fn natural_noise_is_smooth_standardized_and_of_colours_that_go_together() {
        let shape = [4, 3, 32, 32];
        let numbers = natural(&shape, &mut Random(3));
        for sample in numbers.chunks(3 * 32 * 32) {
            let mean = |of: &mut dyn Iterator<Item = f32>| {
                let all: Vec<f32> = of.collect();
                f64::from(all.iter().sum::<f32>()) / all.len() as f64
            };
            assert!(mean(&mut sample.iter().copied()).abs() < 1e-3);
            assert!((mean(&mut sample.iter().map(|x| x * x)) - 1.0).abs() < 1e-3);
            // Neighbours are alike, and so are the channels; of independent numbers both were near 0.
            let neighbours = mean(&mut sample.windows(2).map(|pair| pair[0] * pair[1]));
            let channels = mean(
                &mut sample[..1024]
                    .iter()
                    .zip(&sample[1024..])
                    .map(|(one, other)| one * other),
            );
            assert!(neighbours > 0.6 && channels > 0.3, "{neighbours} {channels}");
        }
        assert_eq!(
            natural(&[2, 5], &mut Random(3)).len(),
            10,
            "no plane: independent numbers"
        );
    }

    #[test]
    fn token_ids_reach_over_the_whole_embedding_and_numbers_are_normal() {
        let network = Demo::Shakespeare.network().unwrap();
        assert_eq!(Dataset::vocabulary_of(&network, "tokens"), Some(65));
        assert_eq!(Dataset::vocabulary_of(&network, "absent"), None);
        let mut random = Random(0);
        let numbers: Vec<f64> = (0..20_000).map(|_| f64::from(random.normal())).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
