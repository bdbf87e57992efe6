//! Reading: a memory map, decoded without copying tensor data; external data resolved into `raw_data`.

use super::{ModelProto, OnnxError};
use bytes::Bytes;
use std::path::Path;

/// Opens a file by memory map. External data is looked for in the file's folder.
///
/// # Errors
/// [`OnnxError`] naming the file, tensor or byte at fault.
pub fn read_file(_path: &Path) -> Result<ModelProto, OnnxError> {
    todo!()
}

/// Decodes a model from memory; tensors share the memory of `bytes`. `folder` holds external data, if any is allowed.
///
/// # Errors
/// [`OnnxError`] naming the tensor or byte at fault.
pub fn read_bytes(_bytes: Bytes, _folder: Option<&Path>) -> Result<ModelProto, OnnxError> {
    todo!()
}
