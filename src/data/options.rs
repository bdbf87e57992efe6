//! How to read data: what a person chooses, and what the network's own files say.

use super::tokenizer;
use crate::network::{Interpolation, Network, PreprocessHint};
use crate::onnx::schema::{data_type, tensor_shape_proto, type_proto};
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
    /// How text becomes tokens: characters or words and their ids (JSON), a `tokenizer.json`, or a GGUF file; else looked for
    /// beside the text.
    pub vocabulary: Option<PathBuf>,
    /// Tokens that a language model reads at a time, each window of the text alone; else the text is read in long streams.
    pub window: Option<usize>,
    /// Whether a person chose vocabulary or window, which other data than text have no use for.
    pub chosen_for_text: bool,
    /// Numbers that the network answers at each token, where that is known: a vocabulary's, or the width of an embedding.
    pub answer_width: Option<usize>,
    /// Inputs by name, each a `.npy` file.
    pub inputs: Vec<(String, PathBuf)>,
    /// The output of the network that counts; the first of floats where none is chosen.
    pub output: Option<String>,
    /// Samples that are wanted at most: no more are read of arrays. Other data are opened whole.
    pub limit: Option<usize>,
}

/// Tokens of a window where none is chosen: what common comparisons of small networks take.
const USUAL_WINDOW: usize = 256;

/// A network that keeps nothing from step to step but what it sees reads windows; a recurrent one reads streams.
fn usual_window(network: &Network) -> Option<usize> {
    let recurrent = network.layers.iter().any(|layer| layer.kind.is_recurrent());
    (!recurrent).then_some(USUAL_WINDOW)
}

/// The last axis of the output that counts, if it is one row of numbers for each token.
fn answer_width(network: &Network, chosen: Option<&str>) -> Option<usize> {
    let outputs = network.model.graph.iter().flat_map(|graph| &graph.output);
    let mut widths = outputs
        .filter(|output| chosen.is_none_or(|name| output.name() == name))
        .filter_map(|output| {
            let type_proto::Value::TensorType(tensor) = output.r#type.as_ref()?.value.as_ref()? else {
                return None;
            };
            (tensor.elem_type() == data_type::FLOAT).then_some(tensor.shape.as_ref()?)
        });
    match widths.next()?.dim.as_slice() {
        [_, _, last] => match last.value {
            Some(tensor_shape_proto::Value::DimValue(size)) => usize::try_from(size).ok(),
            _ => None,
        },
        _ => None,
    }
}

impl DataOptions {
    /// The same with what the files of `network` tell: its vocabulary, how it wants its pictures, its classes.
    #[must_use]
    pub fn for_network(self, network: &Network) -> Self {
        let options = Self {
            hint: self.hint.or_else(|| network.preprocess.clone()),
            window: self.window.or_else(|| usual_window(network)),
            answer_width: answer_width(network, self.output.as_deref()),
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
            let arrays = (options.inputs.clone(), options.limit);
            (labels, vocabulary, arrays, options.classes.clone(), options.window)
        };
        files(self) == files(other)
    }

    /// The same with the tokenizer that lies beside a model (`MODEL.vocab.json`, `tokenizer.json`, `vocab.json`) or in it (GGUF), if there
    /// is one and none was chosen.
    #[must_use]
    pub fn with_vocabulary_of(mut self, model: &Path) -> Self {
        self.vocabulary = self.vocabulary.or_else(|| tokenizer::beside_model(model));
        self
    }

    /// Whether anything is asked for that only pictures can have.
    pub(super) fn wants_pictures(&self) -> bool {
        let chosen = self.preprocess.as_deref().is_some_and(|preset| preset != "raw");
        let fields = self.size.is_some() || self.crop.is_some() || self.mean.is_some() || self.std.is_some();
        chosen || fields || self.interpolation.is_some() || self.blue_first
    }
}
