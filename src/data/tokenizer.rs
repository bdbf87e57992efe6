//! How a text becomes tokens: by a list of characters or words, or by a tokenizer of word pieces.

use super::pieces::Pieces;
use super::vocabulary::{Encoded, Vocabulary};
use super::{DatasetError, fault};
use crate::files;
use crate::format::gguf;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// See the module.
#[derive(Debug, Clone)]
pub(super) enum Tokenizer {
    /// Characters, or words between spaces.
    List(Vocabulary),
    /// Word pieces.
    Pieces(Arc<Pieces>),
}

impl Tokenizer {
    /// Reads a list or map of pieces (JSON), a `tokenizer.json`, or the tokenizer of a GGUF file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn read(path: &Path) -> Result<Self, DatasetError> {
        let file = path.display().to_string();
        let wrong = |error: std::io::Error| fault(&file, error.to_string());
        if is_gguf(path).map_err(wrong)? {
            let bytes = files::contents(path).map_err(wrong)?;
            let json = gguf::tokenizer_json(&bytes, &file).map_err(|error| fault(&file, error.reason()))?;
            return Pieces::parse(json.as_bytes(), &file).map(|pieces| Self::Pieces(Arc::new(pieces)));
        }
        let json = files::read(path, files::LARGEST_TEXT).map_err(wrong)?;
        Self::parse(&json, &file)
    }

    /// Reads the text of a JSON file called `name`.
    ///
    /// # Errors
    /// As [`Tokenizer::read`].
    pub(super) fn parse(json: &[u8], name: &str) -> Result<Self, DatasetError> {
        let json = files::without_mark(json);
        if Pieces::is_tokenizer(json) {
            return Pieces::parse(json, name).map(|pieces| Self::Pieces(Arc::new(pieces)));
        }
        Vocabulary::parse(json, name).map(Self::List)
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    /// When so much of the text called `name` has no token that the vocabulary is another text's.
    pub(super) fn encode(&self, text: &str, name: &str) -> Result<Encoded, DatasetError> {
        match self {
            Self::List(vocabulary) => vocabulary.encode(text, name),
            Self::Pieces(pieces) => pieces.encode(text, name),
        }
    }

    /// The text of each token, by id; empty where an id has none.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::List(vocabulary) => vocabulary.names(),
            Self::Pieces(pieces) => pieces.names(),
        }
    }

    /// What stands between two tokens of a text that is shown.
    pub(super) fn separator(&self) -> &'static str {
        match self {
            Self::List(vocabulary) => vocabulary.separator(),
            Self::Pieces(_) => "",
        }
    }

    /// The tokenizer of word pieces, if it is one.
    pub(super) fn pieces(&self) -> Option<Arc<Pieces>> {
        match self {
            Self::List(_) => None,
            Self::Pieces(pieces) => Some(Arc::clone(pieces)),
        }
    }
}

/// The file of the tokenizer beside a model: the model itself if it is a GGUF file, `MODEL.vocab.json`, else what the hubs
/// call it, beside the model or its folder `onnx`.
pub(super) fn beside_model(model: &Path) -> Option<PathBuf> {
    if is_gguf(model).unwrap_or(false) {
        return Some(model.to_owned());
    }
    let general = ["tokenizer.json", "vocab.json"];
    let above = model
        .parent()
        .filter(|folder| folder.file_name().is_some_and(|name| name == "onnx"));
    let beside = general.iter().map(|name| model.with_file_name(name));
    let above = general.iter().filter_map(|name| Some(above?.with_file_name(name)));
    let mut found = std::iter::once(model.with_extension("vocab.json"))
        .chain(beside)
        .chain(above);
    found.find(|path| path.is_file())
}

fn is_gguf(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    files::open_ordinary(path)?.take(4).read_to_end(&mut start)?;
    Ok(gguf::looks_like(&start))
}
