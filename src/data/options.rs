//! How to read data: what a person chooses, and what the network's own files say.

use super::vocabulary;
use crate::network::{Interpolation, Network, PreprocessHint};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to read data: everything that the files do not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataOptions {
    /// A preprocessing by name, before the single fields below: a [preset](super::PreprocessPreset), or `network` for what the
    /// network's own files say.
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
    /// Names of the classes: one of [`CLASS_LISTS`](super::CLASS_LISTS), or a file of names.
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
    pub(super) fn wants_pictures(&self) -> bool {
        let chosen = self.preprocess.as_deref().is_some_and(|preset| preset != "raw");
        let fields = self.size.is_some() || self.crop.is_some() || self.mean.is_some() || self.std.is_some();
        chosen || fields || self.interpolation.is_some() || self.blue_first
    }
}
