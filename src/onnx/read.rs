//! Reading: a file in memory or mapped, decoded without copying tensor data; external data resolved into `raw_data`.

use super::sniff::foreign_kind;
use super::structure::{self, LARGEST_STRUCTURE};
use super::{ModelProto, OnnxError, external};
use crate::files;
use bytes::Bytes;
use prost::Message;
use std::path::Path;

/// The oldest file format whose graphs mean what they mean today.
const OLDEST_IR: i64 = 3;

/// Opens a file. External data is looked for in the file's folder.
///
/// # Errors
/// [`OnnxError`] naming the file, tensor or byte at fault.
pub fn read_file(path: &Path) -> Result<ModelProto, OnnxError> {
    let bytes = files::contents(path).map_err(|source| OnnxError::Io {
        path: path.to_owned(),
        source,
    })?;
    read_bytes(bytes, Some(path))
}

/// Decodes a model from memory; tensors share the memory of `bytes`. External data lie beside `file`, the model's own
/// ([`super::ModelFolder`]); without one there must be none.
///
/// # Errors
/// [`OnnxError`] naming the tensor or byte at fault.
pub fn read_bytes(bytes: Bytes, file: Option<&Path>) -> Result<ModelProto, OnnxError> {
    if let Some(kind) = foreign_kind(&bytes) {
        return Err(OnnxError::Decode(format!("the file is {kind}")));
    }
    if structure::memory(&bytes) > LARGEST_STRUCTURE {
        let most = LARGEST_STRUCTURE >> 20;
        return Err(OnnxError::Decode(format!(
            "its structure, without the weights, would take more than {most} MiB of memory"
        )));
    }
    let mut model = ModelProto::decode(bytes).map_err(|error| OnnxError::Decode(decode_reason(&error)))?;
    check_versions(&model)?;
    external::resolve(&mut model, file)?;
    Ok(model)
}

/// The decoder's message without its preamble: the path of fields and what is wrong there.
fn decode_reason(error: &prost::DecodeError) -> String {
    let text = error.to_string();
    let place = text
        .strip_prefix("failed to decode Protobuf message: ")
        .unwrap_or(&text);
    format!("broken at {place} (the file may be cut off, or is something else)")
}

fn check_versions(model: &ModelProto) -> Result<(), OnnxError> {
    let refuse = |reason: String| Err(OnnxError::Decode(reason));
    if model.graph.is_none() {
        return refuse("it holds no graph".into());
    }
    match model.ir_version {
        None => return refuse("it has no IR version".into()),
        Some(version) if version < OLDEST_IR => {
            return refuse(format!(
                "its IR version {version} is older than {OLDEST_IR}, the first with operator sets: export it anew"
            ));
        }
        Some(_) => {}
    }
    if model.opset_import.is_empty() {
        return refuse("it names no operator set (opset_import is empty): export it anew".into());
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod shared_tests;
#[cfg(test)]
mod tests;
