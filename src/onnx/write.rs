//! Writing: the model as bytes, or as a file that is written beside and renamed.

use super::{ModelProto, OnnxError};
use std::path::Path;

/// The model as the bytes of an `.onnx` file.
///
/// # Errors
/// [`OnnxError::Encode`] above the 2 GiB that protobuf can hold.
pub fn encode(_model: &ModelProto) -> Result<Vec<u8>, OnnxError> {
    todo!()
}

/// Writes the model; above 2 GiB its tensors go to `NAME.onnx.data` beside it.
///
/// # Errors
/// [`OnnxError::Io`]; an existing file is then untouched.
pub fn write_file(_model: &ModelProto, _path: &Path) -> Result<(), OnnxError> {
    todo!()
}
