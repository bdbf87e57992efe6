//! Reading: a memory map, decoded without copying tensor data; external data resolved into `raw_data`.

use super::sniff::foreign_kind;
use super::{ModelProto, OnnxError, external};
use bytes::Bytes;
use prost::Message;
use std::fs::File;
use std::io;
use std::path::Path;

/// The oldest file format whose graphs mean what they mean today.
const OLDEST_IR: i64 = 3;

/// Opens a file by memory map. External data is looked for in the file's folder.
///
/// # Errors
/// [`OnnxError`] naming the file, tensor or byte at fault.
pub fn read_file(path: &Path) -> Result<ModelProto, OnnxError> {
    let bytes = map_file(path).map_err(|source| OnnxError::Io {
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
    let mut model = ModelProto::decode(bytes).map_err(|error| OnnxError::Decode(decode_reason(&error)))?;
    check_versions(&model)?;
    external::resolve(&mut model, file)?;
    Ok(model)
}

/// Maps a file. An empty file gives no bytes.
///
/// # Errors
/// The system's reason, or that the path is no ordinary file.
pub fn map_file(path: &Path) -> io::Result<Bytes> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, not a file"));
    }
    // A pipe would be waited for, a device has no end.
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no ordinary file"));
    }
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    #[allow(
        unsafe_code,
        reason = "A map is how hundreds of megabytes open at once. Sound as long as nobody changes the file under it; \
                  we ourselves only ever replace files by renaming, which leaves the mapped one as it was."
    )]
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
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
