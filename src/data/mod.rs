//! Data sets: IDX, CIFAR binary, image folders, `.npy`/`.npz`, text; the demos' own. Preprocessing is in one place.
//!
//! What a file is, its content says, not its name (CIFAR's, which has no mark, goes by its length).

mod arrays;
mod boxes;
mod cifar;
mod classes;
mod companions;
mod encoder;
mod fitted;
mod folder;
mod free_axes;
mod idx;
mod integers;
mod jpeg;
mod label_maps;
mod label_table;
mod labels;
mod masked;
mod noise;
mod npy;
mod open;
mod options;
mod picture;
mod pictures;
mod pieces;
mod port;
mod preprocess;
mod presets;
mod prompt;
mod seen;
mod sentence_pairs;
mod single;
mod stated;
mod tensor;
mod text;
mod text_unit;
mod tokenizer;
mod vocabulary;

#[cfg(test)]
mod tests;

use crate::format::demo::Demo;
use arrays::InputArray;
pub use boxes::{Boxes, Category, PictureBoxes, TrueBox};
pub use classes::CLASS_LISTS;
use fitted::Fitted;
pub(crate) use free_axes::{FreeSizes, shapes_of_a_run, shared_name};
pub(crate) use integers::made_up_integers;
pub use label_maps::LabelMaps;
use masked::Masked;
pub(crate) use noise::Random;
pub use options::DataOptions;
use pictures::{PictureSamples, Pictures};
pub use port::{ElementKind, Port};
use preprocess::Preprocess;
pub use preprocess::{PreprocessError, PreprocessFields, interpolation_name};
pub use presets::PreprocessPreset;
use rayon::prelude::*;
pub use seen::SeenPicture;
use sentence_pairs::SentencePairs;
use std::ops::Range;
use std::sync::Arc;
pub use tensor::{ShapeMismatch, Tensor, TensorValues, by_name};
use text::Text;
pub(crate) use text::{DECODER_TOKENS, TextLayout};
pub use text_unit::TextUnit;

/// What is wrong with a data set.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct DatasetError {
    /// The file or folder.
    pub path: String,
    /// What is wrong and what to do.
    pub reason: Reason,
}

/// What is wrong with a file: the error of whatever reads it, or a sentence.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// The number of elements of `shape`; `None` if that, or the product of the sizes that are not 0, cannot be counted: so no
/// product of some of the sizes can overflow either.
fn element_count(shape: &[usize]) -> Option<usize> {
    let mut filled = shape.iter().filter(|size| **size > 0);
    let product = filled.try_fold(1_usize, |product, size| product.checked_mul(*size))?;
    Some(if shape.contains(&0) { 0 } else { product })
}

fn fault(path: &str, reason: impl Into<Reason>) -> DatasetError {
    DatasetError {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// An opened data set: samples in order, with labels if known.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    samples: Samples,
    labels: Option<Vec<usize>>,
    /// A class for each pixel, where labels are maps.
    maps: Option<LabelMaps>,
    /// Boxes around objects, where labels are such.
    boxes: Option<Boxes>,
    classes: Vec<String>,
    /// Inputs that are given as arrays; all inputs when `samples` is `Arrays`.
    arrays: Vec<InputArray>,
    notes: Vec<String>,
    /// The output of the network that counts, where a person chose one.
    output: Option<String>,
}

#[derive(Debug)]
enum Samples {
    Pictures(PictureSamples),
    /// Number of samples.
    Arrays(usize),
    Text(Text),
    /// Hidden tokens of a text.
    Masked(Masked),
    /// Sentences, two after the other of which belong together.
    Pairs(SentencePairs),
}

/// What of a network's output counts for a sample of a text that an encoder reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EncoderAnswer {
    /// What it says at the place of this token.
    AtToken(usize),
    /// The mean over the first so many tokens, or the one answer for all of them.
    MeanOfTokens(usize),
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
        let data = open::of_bytes(name, bytes, options, ports)?;
        let notes = open::notes_of_arrays(&data);
        Ok(data.with_notes(notes))
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
                output: None,
                maps: None,
                boxes: None,
            }
        })
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The output of the network that counts, where a person chose one.
    pub fn output(&self) -> Option<&str> {
        self.output.as_deref()
    }

    /// The same, judged by the output of that name.
    #[must_use]
    pub fn judged_by(self, output: Option<String>) -> Self {
        Self { output, ..self }
    }

    /// The axis of the network's inputs that samples are on: 1 for sequences whose steps come first.
    pub(crate) fn sample_axis(&self) -> usize {
        match &self.samples {
            Samples::Arrays(_) => self.arrays.iter().find_map(|array| array.sample_axis).unwrap_or(0),
            Samples::Pictures(_) | Samples::Text(_) | Samples::Masked(_) | Samples::Pairs(_) => 0,
        }
    }

    /// Number of samples (images), or of predicted tokens (text).
    pub fn len(&self) -> usize {
        match &self.samples {
            Samples::Pictures(samples) => samples.pictures.len(),
            Samples::Arrays(samples) => *samples,
            Samples::Text(text) => text.len(),
            Samples::Masked(text) => text.len(),
            Samples::Pairs(pairs) => pairs.len(),
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
            Samples::Masked(text) => text.target(sample),
            _ => self.labels.as_ref()?.get(sample).copied(),
        }
    }

    /// What a language model has read of a text when it answers a sample: the last `most` tokens, from the beginning of
    /// their stream on. `None` for other data, or where a token has no name.
    pub fn context(&self, sample: usize, most: usize) -> Option<String> {
        let Samples::Text(text) = &self.samples else {
            return None;
        };
        if let Some(pieces) = text.pieces() {
            return Some(pieces.text(text.before(sample, most)));
        }
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

    /// Whether this is text whose tokens are guessed, by a language model or from both sides (else images, arrays or pairs of
    /// sentences).
    pub fn is_text(&self) -> bool {
        matches!(self.samples, Samples::Text(_) | Samples::Masked(_))
    }

    /// What is done to a sample before the network sees it, in one line for a person.
    pub fn preprocessing(&self) -> String {
        match &self.samples {
            Samples::Pictures(samples) => samples.preprocess.describe(),
            Samples::Arrays(_) => "arrays, as they are".to_owned(),
            Samples::Text(text) => text.describe(),
            Samples::Masked(text) => text.describe(),
            Samples::Pairs(_) => "pairs of sentences, one after the other".to_owned(),
        }
    }

    /// The same data with further notes.
    #[must_use]
    pub(crate) fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
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
    pub fn batch(&self, range: Range<usize>) -> Result<Vec<(String, Tensor)>, DatasetError> {
        if range.end > self.len() {
            return Err(self.no_samples(&range));
        }
        self.filled_batch(range)
    }

    fn no_samples(&self, range: &Range<usize>) -> DatasetError {
        let (start, end, all) = (range.start, range.end, self.len());
        fault(&self.name, format!("there are no samples {start} to {end} of {all}"))
    }

    /// [`Dataset::batch`] for a range that may reach beyond the last sample, which is repeated then: a network of a fixed batch
    /// size takes full batches only. A text has no sample to repeat.
    pub(crate) fn filled_batch(&self, range: Range<usize>) -> Result<Vec<(String, Tensor)>, DatasetError> {
        let beyond = range.start >= self.len() || (self.is_text() && range.end > self.len());
        if range.start >= range.end || beyond {
            return Err(self.no_samples(&range));
        }
        let mut inputs = (self.arrays.iter())
            .map(|array| Ok((array.name.clone(), array.batch(&range, &self.name)?)))
            .collect::<Result<Vec<_>, DatasetError>>()?;
        match &self.samples {
            Samples::Arrays(_) => {}
            Samples::Text(text) => inputs.extend(text.batch(&range, &self.name)?),
            Samples::Masked(text) => inputs.extend(text.batch(&range)?),
            Samples::Pairs(pairs) => inputs.extend(pairs.batch(&range)?),
            Samples::Pictures(samples) => inputs.push((samples.input.clone(), self.pictures(samples, range)?)),
        }
        Ok(inputs)
    }

    fn pictures(&self, samples: &PictureSamples, range: Range<usize>) -> Result<Tensor, DatasetError> {
        let count = range.len();
        let decoded = range
            .into_par_iter()
            .map(|sample| {
                let picture = samples.fitted(sample.min(samples.pictures.len().saturating_sub(1)))?;
                let numbers = samples.preprocess.numbers(&picture);
                Ok(((picture.height, picture.width), numbers))
            })
            .collect::<Result<Vec<_>, DatasetError>>()?;
        let (height, width) = decoded.first().map(|(size, _)| *size).unwrap_or_default();
        if decoded.iter().any(|(size, _)| *size != (height, width)) {
            return Err(fault(&self.name, open::DIFFERING_SIZES.to_owned()));
        }
        let numbers: Vec<f32> = decoded.into_iter().flat_map(|(_, numbers)| numbers).collect();
        let shape = samples.preprocess.shape(count, height, width);
        let tensor = if samples.preprocess.takes_bytes() {
            Tensor::from_shape(shape, numbers.into_iter().map(|byte| byte as u8).collect::<Vec<u8>>())
        } else {
            Tensor::from_shape(shape, numbers)
        };
        tensor.map_err(|error| fault(&self.name, error.to_string()))
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
                    preprocess: match self.boxes.as_ref().and_then(Boxes::stretched_to) {
                        Some([width, height]) => preprocess.or_exactly(height, width),
                        None => preprocess,
                    },
                    input: samples.input.clone(),
                    ..*samples
                }),
                labels: self.labels.clone(),
                maps: self.maps.clone(),
                boxes: self.boxes.clone(),
                classes: self.classes.clone(),
                arrays: self.arrays.clone(),
                notes: self.notes.clone(),
                output: options.output.clone(),
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

    /// How alike the sentences of each pair are, as people judged; samples 2i and 2i + 1 are pair i. `None` for other data.
    pub fn similarity_scores(&self) -> Option<&[f64]> {
        match &self.samples {
            Samples::Pairs(pairs) => Some(pairs.scores()),
            _ => None,
        }
    }

    /// What of the network's output counts for a sample; `None` for data that are no text for an encoder.
    pub(crate) fn encoder_answer(&self, sample: usize) -> Option<EncoderAnswer> {
        match &self.samples {
            Samples::Masked(text) => Some(EncoderAnswer::AtToken(text.hidden(sample))),
            Samples::Pairs(pairs) => Some(EncoderAnswer::MeanOfTokens(pairs.tokens(sample))),
            _ => None,
        }
    }

    /// Tokens that an encoder answers for each hidden one; `None` for other data.
    pub(crate) fn masked_length(&self) -> Option<usize> {
        match &self.samples {
            Samples::Masked(text) => Some(text.length()),
            _ => None,
        }
    }

    /// Samples of a text for an encoder that may run at once; `None` for other data.
    pub(crate) fn encoder_at_once(&self) -> Option<usize> {
        match &self.samples {
            Samples::Masked(text) => Some(text.at_once()),
            Samples::Pairs(pairs) => Some(pairs.at_once()),
            _ => None,
        }
    }

    /// A class for each pixel of each sample, for segmentation.
    pub fn label_maps(&self) -> Option<&LabelMaps> {
        self.maps.as_ref()
    }

    /// Boxes around the objects of each sample, for detection.
    pub fn boxes(&self) -> Option<&Boxes> {
        self.boxes.as_ref()
    }

    /// Width and height in which the network sees a picture, pixels; `None` for other data, or where the picture cannot be read.
    pub(crate) fn seen_size(&self, sample: usize) -> Option<[usize; 2]> {
        let Samples::Pictures(samples) = &self.samples else {
            return None;
        };
        let picture = samples.fitted(sample).ok()?;
        Some([picture.width, picture.height])
    }

    /// Whether samples that run at once are filled up to the length of the longest.
    pub(crate) fn is_padded(&self) -> bool {
        matches!(self.samples, Samples::Pairs(_))
    }

    /// Where a text's answers are in the network's output; `None` for other data.
    pub(crate) fn text_layout(&self) -> Option<TextLayout> {
        match &self.samples {
            Samples::Text(text) => Some(text.layout()),
            _ => None,
        }
    }
}
