//! Data sets: IDX, CIFAR binary, image folders, `.npy`/`.npz`, text; the demos' own. Preprocessing is in one place.
//!
//! What a file is, its content says, not its name (CIFAR's, which has no mark, goes by its length).

mod arrays;
mod cifar;
mod classes;
mod fitted;
mod folder;
mod idx;
mod labels;
mod noise;
mod open;
mod picture;
mod preprocess;
mod presets;
mod prompt;
mod single;
mod text;
mod vocabulary;

#[cfg(test)]
mod tests;

use super::Port;
use crate::files;
use crate::format::demo::Demo;
use crate::network::{Interpolation, Network, PreprocessHint};
use arrays::InputArray;
pub use classes::CLASS_LISTS;
use fitted::Fitted;
use picture::Picture;
use preprocess::{Origin, Preprocess};
pub use preprocess::{PreprocessFields, interpolation_name};
pub use presets::PreprocessPreset;
use rayon::prelude::*;
use rten::Value;
use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use text::Text;
pub(crate) use text::TextLayout;

/// Longest side of a thumbnail, pixels.
const THUMBNAIL: usize = 96;

/// How to read data: everything that the files do not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataOptions {
    /// A preprocessing by name, before the single fields below: a [`PreprocessPreset`], or `network` for what the network's
    /// own files say.
    pub preprocess: Option<String>,
    /// Shorter side after resizing, pixels.
    pub size: Option<usize>,
    /// Centre crop, pixels.
    pub crop: Option<usize>,
    /// How pictures are resized.
    pub interpolation: Option<Interpolation>,
    /// Mean of each channel, red first, after scaling to 0..1.
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of each channel, red first, after scaling to 0..1.
    pub std: Option<Vec<f32>>,
    /// `nhwc` instead of `nchw`.
    pub channels_last: Option<bool>,
    /// Blue before green before red.
    pub blue_first: bool,
    /// Names of the classes: one of [`CLASS_LISTS`], or a file of names.
    pub classes: Option<String>,
    /// What the network's own files say.
    pub hint: Option<Arc<PreprocessHint>>,
    /// Labels beside the data.
    pub labels: Option<PathBuf>,
    /// Characters or words and their token ids (JSON), for text; else looked for beside the text.
    pub vocabulary: Option<PathBuf>,
    /// Inputs by name, each a `.npy` file.
    pub inputs: Vec<(String, PathBuf)>,
}

impl DataOptions {
    /// The same with what the files of `network` tell: its vocabulary, how it wants its pictures, its classes.
    #[must_use]
    pub fn for_network(self, network: &Network) -> Self {
        let options = Self {
            hint: self.hint.or_else(|| network.preprocess.clone()),
            ..self
        };
        match &network.path {
            Some(model) => options.with_vocabulary_of(model),
            None => options,
        }
    }

    /// Whether the same files are read as with `other`, so that pictures need not be opened anew for these options.
    pub fn reads_the_same_files(&self, other: &Self) -> bool {
        let files = |options: &Self| {
            let (labels, vocabulary) = (options.labels.clone(), options.vocabulary.clone());
            (labels, vocabulary, options.inputs.clone(), options.classes.clone())
        };
        files(self) == files(other)
    }

    /// The same with the vocabulary that lies beside a model (`MODEL.vocab.json`, `vocab.json`, `tokenizer.json`), if there
    /// is one and none was chosen.
    #[must_use]
    pub fn with_vocabulary_of(mut self, model: &Path) -> Self {
        self.vocabulary = self.vocabulary.or_else(|| vocabulary::beside_model(model));
        self
    }

    /// Whether anything is asked for that only pictures can have.
    fn wants_pictures(&self) -> bool {
        let chosen = self.preprocess.as_deref().is_some_and(|preset| preset != "raw");
        let fields = self.size.is_some() || self.crop.is_some() || self.mean.is_some() || self.std.is_some();
        chosen || fields || self.interpolation.is_some() || self.blue_first
    }
}

/// What is wrong with a data set.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct DatasetError {
    /// The file or folder.
    pub path: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// The number of elements of `shape`; `None` if that, or the product of the sizes that are not 0, cannot be counted: so no
/// product of some of the sizes can overflow either.
fn element_count(shape: &[usize]) -> Option<usize> {
    let mut filled = shape.iter().filter(|size| **size > 0);
    let product = filled.try_fold(1_usize, |product, size| product.checked_mul(*size))?;
    Some(if shape.contains(&0) { 0 } else { product })
}

fn fault(path: &str, reason: String) -> DatasetError {
    DatasetError {
        path: path.to_owned(),
        reason,
    }
}

/// An opened data set: samples in order, with labels if known.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    samples: Samples,
    labels: Option<Vec<usize>>,
    classes: Vec<String>,
    /// Inputs that are given as arrays; all inputs when `samples` is `Arrays`.
    arrays: Vec<InputArray>,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Samples {
    Pictures(PictureSamples),
    /// Number of samples.
    Arrays(usize),
    Text(Text),
}

/// What a network gets of a picture, as a small picture: resized and cropped as it gets it, mean and deviation taken back, the
/// network's first channel as red.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenPicture {
    /// Width of the small picture, pixels.
    pub width: usize,
    /// Height of the small picture, pixels.
    pub height: usize,
    /// Its bytes, red, green, blue.
    pub rgb: Vec<u8>,
    /// Width and height of what the network gets, pixels.
    pub size: [usize; 2],
    /// The least and the greatest number.
    pub range: [f32; 2],
    /// The order of colours and of axes: `BGR, NCHW`.
    pub order: String,
}

#[derive(Debug)]
struct PictureSamples {
    pictures: Arc<Pictures>,
    /// Where they come from and how many channels they have: what decides how they are read without a choice.
    origin: Origin,
    channels: usize,
    preprocess: Preprocess,
    /// Pictures in their final size.
    fitted: Fitted,
    /// The network's input.
    input: String,
}

impl PictureSamples {
    fn fitted(&self, sample: usize) -> Result<Cow<'_, Picture>, DatasetError> {
        let make = || {
            let picture = self.pictures.picture(sample)?;
            let fitted = self.preprocess.fit(picture);
            fitted.map_err(|reason| fault(&self.pictures.name(sample), reason))
        };
        self.fitted.get(sample, make)
    }
}

#[derive(Debug)]
enum Pictures {
    /// Equal records of bytes.
    Stored(Stored),
    /// Image files, decoded when they are needed.
    Files(Vec<PathBuf>),
}

#[derive(Debug)]
struct Stored {
    bytes: Vec<u8>,
    /// Bytes from one picture to the next.
    record: usize,
    /// Bytes before the pixels.
    offset: usize,
    width: usize,
    height: usize,
    channels: usize,
    /// Whether all of one channel comes before the next.
    planes: bool,
}

impl From<Picture> for Stored {
    fn from(picture: Picture) -> Self {
        Self {
            record: picture.pixels.len(),
            bytes: picture.pixels,
            offset: 0,
            width: picture.width,
            height: picture.height,
            channels: picture.channels,
            planes: false,
        }
    }
}

impl Pictures {
    fn len(&self) -> usize {
        match self {
            Self::Stored(stored) => stored.bytes.len().checked_div(stored.record).unwrap_or(0),
            Self::Files(files) => files.len(),
        }
    }

    /// What to call a sample in a message.
    fn name(&self, sample: usize) -> String {
        match self {
            Self::Files(files) => (files.get(sample)).map_or_else(String::new, |file| file.display().to_string()),
            Self::Stored(_) => format!("image {sample}"),
        }
    }

    fn picture(&self, sample: usize) -> Result<Picture, DatasetError> {
        match self {
            Self::Files(files) => {
                let file = files
                    .get(sample)
                    .ok_or_else(|| fault("images", format!("there is no sample {sample}")))?;
                let wrong = |reason: String| fault(&file.display().to_string(), reason);
                let content = files::read(file, picture::LARGEST).map_err(|error| wrong(error.to_string()))?;
                Picture::decode(&content).map_err(wrong)
            }
            Self::Stored(stored) => {
                let from = sample.saturating_mul(stored.record).saturating_add(stored.offset);
                let pixels = (stored.bytes.get(from..))
                    .and_then(|rest| rest.get(..stored.width * stored.height * stored.channels))
                    .ok_or_else(|| fault("images", format!("there is no sample {sample}")))?;
                Ok(if stored.planes {
                    Picture::from_planes(stored.width, stored.height, stored.channels, pixels)
                } else {
                    Picture {
                        width: stored.width,
                        height: stored.height,
                        channels: stored.channels,
                        pixels: pixels.to_vec(),
                    }
                })
            }
        }
    }
}

impl Dataset {
    /// Opens a file or folder, or the data of a demo (`demo:fashion`). `ports` are the inputs of the network it is for.
    /// With an empty path all inputs come from [`DataOptions::inputs`].
    ///
    /// # Errors
    /// [`DatasetError`] naming the file.
    pub fn open(path: &str, options: &DataOptions, ports: &[Port]) -> Result<Self, DatasetError> {
        open::open(path, options, ports)
    }

    /// The content of a file that is in memory, called `name` in messages; for everything that is one file. Labels beside it
    /// and a vocabulary are those of the options.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, options: &DataOptions, ports: &[Port]) -> Result<Self, DatasetError> {
        open::of_bytes(name, bytes, options, ports)
    }

    /// The labelled test data of a demo.
    pub fn demo(demo: Demo) -> Self {
        Self::embedded(open::demo(demo, false, &DataOptions::default(), &[]), demo)
    }

    /// The calibration data of a demo: training images; for the text network, which has no other, its held-out text.
    pub fn demo_calibration(demo: Demo) -> Self {
        Self::embedded(open::demo(demo, true, &DataOptions::default(), &[]), demo)
    }

    /// Embedded data cannot fail unless the program was built wrong: then an empty data set says why.
    fn embedded(opened: Result<Self, DatasetError>, demo: Demo) -> Self {
        opened.unwrap_or_else(|error| {
            log::error!("{error}");
            Self {
                name: demo.name().to_owned(),
                samples: Samples::Arrays(0),
                labels: None,
                classes: Vec::new(),
                arrays: Vec::new(),
                notes: vec![error.to_string()],
            }
        })
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of samples (images), or of predicted tokens (text).
    pub fn len(&self) -> usize {
        match &self.samples {
            Samples::Pictures(samples) => samples.pictures.len(),
            Samples::Arrays(samples) => *samples,
            Samples::Text(text) => text.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label of a sample, if labelled; for text the token that comes next.
    pub fn label(&self, sample: usize) -> Option<usize> {
        match &self.samples {
            Samples::Text(text) => text.target(sample),
            _ => self.labels.as_ref()?.get(sample).copied(),
        }
    }

    /// What a language model has read of a text when it answers a sample: the last `most` tokens, from the beginning of
    /// their stream on. `None` for other data, or where a token has no name.
    pub fn context(&self, sample: usize, most: usize) -> Option<String> {
        let Samples::Text(text) = &self.samples else {
            return None;
        };
        let tokens = text.before(sample, most).iter();
        let names: Option<Vec<&str>> = tokens
            .map(|token| self.class_name(usize::try_from(*token).ok()?))
            .collect();
        names.map(|names| names.join(text.separator()))
    }

    /// Name of a class, if known.
    pub fn class_name(&self, class: usize) -> Option<&str> {
        self.classes.get(class).map(String::as_str)
    }

    /// Whether this is text for a language model (else images or arrays).
    pub fn is_text(&self) -> bool {
        matches!(self.samples, Samples::Text(_))
    }

    /// What is done to a sample before the network sees it, in one line for a person.
    pub fn preprocessing(&self) -> String {
        match &self.samples {
            Samples::Pictures(samples) => samples.preprocess.describe(),
            Samples::Arrays(_) => "arrays, as they are".to_owned(),
            Samples::Text(text) => text.describe(),
        }
    }

    /// What a person should know of the data, such as images that were left out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The network's inputs for samples `range`, by input name. For text: the streams that hold them, each from its
    /// beginning.
    ///
    /// # Errors
    /// [`DatasetError`] naming the sample that cannot be read.
    pub fn batch(&self, range: Range<usize>) -> Result<Vec<(String, Value)>, DatasetError> {
        if range.start >= range.end || range.end > self.len() {
            let reason = format!(
                "there are no samples {} to {} of {}",
                range.start,
                range.end,
                self.len()
            );
            return Err(fault(&self.name, reason));
        }
        let mut inputs = (self.arrays.iter())
            .map(|array| Ok((array.name.clone(), array.batch(&range, &self.name)?)))
            .collect::<Result<Vec<_>, DatasetError>>()?;
        match &self.samples {
            Samples::Arrays(_) => {}
            Samples::Text(text) => inputs.push(text.batch(&range, &self.name)?),
            Samples::Pictures(samples) => inputs.push((samples.input.clone(), self.pictures(samples, range)?)),
        }
        Ok(inputs)
    }

    fn pictures(&self, samples: &PictureSamples, range: Range<usize>) -> Result<Value, DatasetError> {
        let count = range.len();
        let decoded = range
            .into_par_iter()
            .map(|sample| {
                let picture = samples.fitted(sample)?;
                let numbers = samples.preprocess.numbers(&picture);
                Ok(((picture.height, picture.width), numbers))
            })
            .collect::<Result<Vec<_>, DatasetError>>()?;
        let (height, width) = decoded.first().map(|(size, _)| *size).unwrap_or_default();
        if decoded.iter().any(|(size, _)| *size != (height, width)) {
            return Err(fault(&self.name, open::DIFFERING_SIZES.to_owned()));
        }
        let numbers: Vec<f32> = decoded.into_iter().flat_map(|(_, numbers)| numbers).collect();
        Value::from_shape(samples.preprocess.shape(count, height, width), numbers)
            .map_err(|error| fault(&self.name, error.to_string()))
    }

    /// The same pictures made ready otherwise, without opening them anew; `None` for data that are no pictures.
    ///
    /// # Errors
    /// [`DatasetError`] when the options do not fit the pictures or the network.
    pub fn read_otherwise(&self, options: &DataOptions, ports: &[Port]) -> Option<Result<Self, DatasetError>> {
        let Samples::Pictures(samples) = &self.samples else {
            return None;
        };
        let port = ports.iter().find(|port| port.name == samples.input);
        let preprocess = Preprocess::new(options, port, samples.origin, samples.channels);
        Some(match preprocess {
            Err(reason) => Err(fault(&self.name, reason)),
            Ok(preprocess) => Ok(Self {
                name: self.name.clone(),
                samples: Samples::Pictures(PictureSamples {
                    pictures: Arc::clone(&samples.pictures),
                    fitted: Fitted::of(&samples.pictures),
                    preprocess,
                    input: samples.input.clone(),
                    ..*samples
                }),
                labels: self.labels.clone(),
                classes: self.classes.clone(),
                arrays: self.arrays.clone(),
                notes: self.notes.clone(),
            }),
        })
    }

    /// The name of the preprocessing and its fields as they hold; `None` for data that are no pictures.
    pub fn preprocess_fields(&self) -> Option<(&str, PreprocessFields)> {
        match &self.samples {
            Samples::Pictures(samples) => Some((samples.preprocess.preset(), samples.preprocess.fields())),
            _ => None,
        }
    }

    /// What the network really gets of a picture, made visible; `None` for data that are no pictures.
    pub fn seen_by_network(&self, sample: usize) -> Option<SeenPicture> {
        let Samples::Pictures(samples) = &self.samples else {
            return None;
        };
        let (seen, (low, high)) = samples.preprocess.seen(&*samples.fitted(sample).ok()?);
        let (full_width, full_height) = (seen.width, seen.height);
        let small = small(seen);
        Some(SeenPicture {
            width: small.width,
            height: small.height,
            rgb: small.pixels,
            size: [full_width, full_height],
            range: [low, high],
            order: samples.preprocess.order_text(),
        })
    }

    /// A small picture of a sample (width, height, RGB bytes), if it is an image.
    pub fn thumbnail(&self, sample: usize) -> Option<(usize, usize, Vec<u8>)> {
        let Samples::Pictures(samples) = &self.samples else {
            return None;
        };
        let small = small(samples.pictures.picture(sample).ok()?);
        Some((small.width, small.height, small.pixels))
    }

    /// Where a text's answers are in the network's output; `None` for other data.
    pub(crate) fn text_layout(&self) -> Option<TextLayout> {
        match &self.samples {
            Samples::Text(text) => Some(text.layout()),
            _ => None,
        }
    }
}

/// A picture in three channels and no larger than a thumbnail.
fn small(picture: Picture) -> Picture {
    let picture = picture.with_channels(3);
    let longer = picture.width.max(picture.height);
    if longer <= THUMBNAIL {
        return picture;
    }
    let side = |side: usize| (side * THUMBNAIL / longer).max(1);
    let (width, height) = (side(picture.width), side(picture.height));
    picture.resized(width, height, Interpolation::Bilinear)
}
