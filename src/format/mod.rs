//! Files to networks: `.onnx`, `.safetensors`, the embedded demos.

pub mod demo;
pub mod safetensors;

use crate::network::{Format, Network, NetworkError};
use crate::onnx::{ModelProto, OnnxError};
use std::path::{Path, PathBuf};

/// Why a file could not be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A fault inside the file.
    #[error("{file}: {source}")]
    Network {
        /// The file.
        file: String,
        /// The fault.
        source: NetworkError,
    },
    /// The file is none of the known kinds, or is broken.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// Opens a model: a file of a known kind, or `demo:fashion`, `demo:shakespeare`.
///
/// # Errors
/// [`FormatError`] naming the file and what is wrong with it.
pub fn open(_path: &Path) -> Result<Network, FormatError> {
    todo!()
}

/// Finds the layers of a model that was read, or says which file could not be.
fn network(
    name: &str,
    path: Option<PathBuf>,
    format: Format,
    model: Result<ModelProto, OnnxError>,
) -> Result<Network, FormatError> {
    model
        .map_err(NetworkError::from)
        .and_then(|model| Network::new(name, path, format, model))
        .map_err(|source| FormatError::Network {
            file: name.to_owned(),
            source,
        })
}
