//! Data sets: IDX, CIFAR binary, image folders, `.npy`/`.npz`, text; the demos' own. Preprocessing is in one place.
//!
//! What a file is, its content says, not its name (CIFAR's, which has no mark, goes by its length).

mod arrays;
mod cifar;
mod folder;
mod idx;
mod labels;
mod noise;
mod open;
mod picture;
mod preprocess;
mod text;

#[cfg(test)]
mod tests;

use super::Port;
use crate::format::demo::Demo;
use arrays::InputArray;
use picture::Picture;
use preprocess::Preprocess;
use rayon::prelude::*;
use rten::Value;
use std::ops::Range;
use std::path::{Path, PathBuf};
use text::Text;
pub(crate) use text::TextLayout;

/// Longest side of a thumbnail, pixels.
const THUMBNAIL: usize = 96;

/// How to read data: everything that the files do not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataOptions {
    /// A preprocessing preset by name (`imagenet`, `cifar`, `fashion`, `unit`, `raw`), before the single fields below.
    pub preprocess: Option<String>,
    /// Shorter side after resizing, pixels.
    pub size: Option<usize>,
    /// Centre crop, pixels.
    pub crop: Option<usize>,
    /// Mean of each channel, after scaling to 0..1.
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of each channel, after scaling to 0..1.
    pub std: Option<Vec<f32>>,
    /// `nhwc` instead of `nchw`.
    pub channels_last: Option<bool>,
    /// Labels beside the data.
    pub labels: Option<PathBuf>,
    /// Characters and their token ids (JSON), for text; else looked for beside the text.
    pub vocabulary: Option<PathBuf>,
    /// Inputs by name, each a `.npy` file.
    pub inputs: Vec<(String, PathBuf)>,
}

impl DataOptions {
    /// The same with the vocabulary that lies beside a model (`MODEL.vocab.json`), if there is one and none was chosen.
    #[must_use]
    pub fn with_vocabulary_of(mut self, model: &Path) -> Self {
        let beside = model.with_extension("vocab.json");
        if self.vocabulary.is_none() && beside.is_file() {
            self.vocabulary = Some(beside);
        }
        self
    }

    /// Whether anything is asked for that only pictures can have.
    fn wants_pictures(&self) -> bool {
        let chosen = self.preprocess.as_deref().is_some_and(|preset| preset != "raw");
        chosen || self.size.is_some() || self.crop.is_some() || self.mean.is_some() || self.std.is_some()
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
    Pictures {
        pictures: Pictures,
        preprocess: Preprocess,
        /// The network's input.
        input: String,
    },
    /// Number of samples.
    Arrays(usize),
    Text(Text),
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

impl Pictures {
    fn len(&self) -> usize {
        match self {
            Self::Stored(stored) => stored.bytes.len().checked_div(stored.record).unwrap_or(0),
            Self::Files(files) => files.len(),
        }
    }

    fn picture(&self, sample: usize) -> Result<Picture, DatasetError> {
        match self {
            Self::Files(files) => {
                let file = files
                    .get(sample)
                    .ok_or_else(|| fault("images", format!("there is no sample {sample}")))?;
                let wrong = |reason: String| fault(&file.display().to_string(), reason);
                let content = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
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
            Samples::Pictures { pictures, .. } => pictures.len(),
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
        tokens
            .map(|token| self.class_name(usize::try_from(*token).ok()?))
            .collect()
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
            Samples::Pictures { preprocess, .. } => preprocess.describe(),
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
            Samples::Pictures {
                pictures,
                preprocess,
                input,
            } => inputs.push((input.clone(), self.pictures(pictures, preprocess, range)?)),
        }
        Ok(inputs)
    }

    fn pictures(
        &self,
        pictures: &Pictures,
        preprocess: &Preprocess,
        range: Range<usize>,
    ) -> Result<Value, DatasetError> {
        let samples = range.len();
        let decoded = range
            .into_par_iter()
            .map(|sample| {
                let picture = preprocess.fit(pictures.picture(sample)?);
                let numbers = preprocess.numbers(&picture);
                Ok(((picture.height, picture.width), numbers))
            })
            .collect::<Result<Vec<_>, DatasetError>>()?;
        let (height, width) = decoded.first().map(|(size, _)| *size).unwrap_or_default();
        if decoded.iter().any(|(size, _)| *size != (height, width)) {
            return Err(fault(&self.name, open::DIFFERING_SIZES.to_owned()));
        }
        let numbers: Vec<f32> = decoded.into_iter().flat_map(|(_, numbers)| numbers).collect();
        Value::from_shape(preprocess.shape(samples, height, width), numbers)
            .map_err(|error| fault(&self.name, error.to_string()))
    }

    /// A small picture of a sample (width, height, RGB bytes), if it is an image.
    pub fn thumbnail(&self, sample: usize) -> Option<(usize, usize, Vec<u8>)> {
        let Samples::Pictures { pictures, .. } = &self.samples else {
            return None;
        };
        let picture = pictures.picture(sample).ok()?.with_channels(3);
        let longer = picture.width.max(picture.height);
        let small = if longer > THUMBNAIL {
            let side = |side: usize| (side * THUMBNAIL / longer).max(1);
            let (width, height) = (side(picture.width), side(picture.height));
            picture.resized(width, height)
        } else {
            picture
        };
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
