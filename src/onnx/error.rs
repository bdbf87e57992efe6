//! What can be wrong with an ONNX file.

use std::path::PathBuf;

/// A fault of an ONNX file, with its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are no ONNX model.
    #[error("not an ONNX model: {0}")]
    Decode(String),
    /// A tensor's description and its data do not fit.
    #[error("tensor '{tensor}': {reason}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
    /// The model cannot be written.
    #[error("cannot write the model: {0}")]
    Encode(String),
    /// The operators cannot be brought to a newer operator set; the text names node, operator and reason.
    #[error("{0}")]
    Upgrade(String),
    /// The built-in engine would not compute what the model says; the text names node, operator and reason.
    #[error("{0}")]
    Unrunnable(String),
}
