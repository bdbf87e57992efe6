//! Data sets: IDX, CIFAR binary, image folders, `.npy`/`.npz`, text; the demos' own. Preprocessing is in one place.

use super::Port;
use crate::format::demo::Demo;
use rten::Value;
use std::path::PathBuf;

/// How to read data: everything that the files do not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataOptions {
    /// A preprocessing preset by name (`imagenet`, `unit`, `raw`, `cifar`, …), before the single fields below.
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
    /// Inputs by name, each a `.npy` file.
    pub inputs: Vec<(String, PathBuf)>,
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

/// An opened data set: samples in order, with labels if known.
pub struct Dataset {
    _private: (),
}

impl Dataset {
    /// Opens a file or folder, or the data of a demo (`demo:fashion`). `ports` are the inputs of the network it is for.
    ///
    /// # Errors
    /// [`DatasetError`] naming the file.
    pub fn open(_path: &str, _options: &DataOptions, _ports: &[Port]) -> Result<Self, DatasetError> {
        todo!()
    }

    /// The labelled test data of a demo.
    pub fn demo(_demo: Demo) -> Self {
        todo!()
    }

    /// The calibration data of a demo.
    pub fn demo_calibration(_demo: Demo) -> Self {
        todo!()
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// Number of samples (images), or of tokens (text).
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label of a sample, if labelled.
    pub fn label(&self, _sample: usize) -> Option<usize> {
        todo!()
    }

    /// Name of a class, if known.
    pub fn class_name(&self, _class: usize) -> Option<&str> {
        todo!()
    }

    /// Whether this is text for a language model (else images or arrays).
    pub fn is_text(&self) -> bool {
        todo!()
    }

    /// What is done to a sample before the network sees it, in one line for a person.
    pub fn preprocessing(&self) -> String {
        todo!()
    }

    /// The network's inputs for samples `range`, by input name.
    ///
    /// # Errors
    /// [`DatasetError`] naming the sample that cannot be read.
    pub fn batch(&self, _range: std::ops::Range<usize>) -> Result<Vec<(String, Value)>, DatasetError> {
        todo!()
    }

    /// A small picture of a sample (width, height, RGB bytes), if it is an image.
    pub fn thumbnail(&self, _sample: usize) -> Option<(usize, usize, Vec<u8>)> {
        todo!()
    }
}
