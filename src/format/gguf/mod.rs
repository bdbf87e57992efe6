//! GGUF files (llama.cpp's format): weights in blocks, what kind of network they are for, and its tokenizer, in one file.
//!
//! The container is read here and in `values`; `names` and `config` put it into the words of a hub folder, so that the
//! same architectures are recognised in both. Weights stay as they lie in the file until somebody reads them
//! ([`crate::onnx::BlockFormat`]).

mod config;
mod error;
mod names;
mod parts;
mod rows;
mod tokenizer;
mod values;

use super::FormatError;
use super::architecture::Config;
use crate::onnx::schema::data_type;
use crate::onnx::{BlockFormat, GraphProto, ModelProto, TensorProto, build, undecoded_name, undecoded_type};
use crate::printable::short;
use bytes::Bytes;
use error::GgufError;
pub use parts::{first_part, is_further_part, read_whole};
use std::collections::HashSet;
use values::{Cursor, read_metadata};
pub use values::{Metadata, Value};

const MAGIC: &[u8] = b"GGUF";
/// Versions that are read: 1 had other widths and is gone from the world.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
/// Where tensors begin, if the file does not say otherwise.
const ALIGNMENT: u64 = 32;
/// ggml's own limit is 4.
const MAX_AXES: u32 = 8;
/// Bytes that the description of a tensor takes at least: name, number of axes, type, place.
const MIN_TENSOR_BYTES: usize = 8 + 4 + 4 + 8;

/// Elements that a byte may stand for in blocks which are not decoded: twice those of one bit.
const MOST_IN_A_BYTE: usize = 16;

/// Element types that ONNX has too: ggml's number and ONNX's.
const PLAIN: [(u32, i32); 8] = [
    (0, data_type::FLOAT),
    (1, data_type::FLOAT16),
    (24, data_type::INT8),
    (25, data_type::INT16),
    (26, data_type::INT32),
    (27, data_type::INT64),
    (28, data_type::DOUBLE),
    (30, data_type::BFLOAT16),
];

/// A file as read.
#[derive(Debug)]
pub struct Gguf {
    /// What is said of the network.
    pub metadata: Metadata,
    /// The tensors in the order of the file, by GGUF's names.
    pub tensors: Vec<TensorProto>,
}

/// Whether `bytes` begin as a GGUF file does.
pub fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads a file; tensor data is not copied.
///
/// # Errors
/// [`FormatError::File`] naming the place or the tensor that does not hold together.
pub fn read(bytes: &Bytes, file: &str) -> Result<Gguf, FormatError> {
    parse(bytes).map_err(|error| FormatError::of(file, error))
}

/// The metadata alone.
///
/// # Errors
/// As [`read`].
pub fn metadata(bytes: &Bytes, file: &str) -> Result<Metadata, FormatError> {
    let read = || {
        let mut cursor = Cursor::new(bytes);
        let (_, fields) = begin(&mut cursor)?;
        read_metadata(&mut cursor, fields)
    };
    read().map_err(|error: GgufError| FormatError::of(file, error))
}

impl Gguf {
    /// The network in the words of a hub folder: its tensors by the names of transformers, rows of queries and keys in its
    /// order, and its configuration. An architecture that is not known keeps GGUF's names.
    ///
    /// # Errors
    /// [`FormatError::File`] naming a tensor that the metadata do not fit.
    pub fn into_model(self, file: &str) -> Result<(ModelProto, Config), FormatError> {
        let config = config::config(&self.metadata);
        let mut tensors = self.tensors;
        let named = names::rename(&mut tensors, &self.metadata);
        if named {
            rows::restore_rows(&mut tensors, &self.metadata).map_err(|error| FormatError::of(file, error))?;
        }
        let graph = GraphProto {
            initializer: tensors,
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        Ok((
            model,
            Config::from_value(if named { config } else { serde_json::Value::Null }),
        ))
    }
}

/// A file's tokenizer as the text of a `tokenizer.json`.
///
/// # Errors
/// [`FormatError::File`] naming the kind of tokenizer that is not known, or what is missing.
pub fn tokenizer_json(bytes: &Bytes, file: &str) -> Result<String, FormatError> {
    let metadata = metadata(bytes, file)?;
    tokenizer::json(&metadata).map_err(|error| FormatError::of(file, error))
}

/// Magic and version; returns the numbers of tensors and of metadata entries.
fn begin(cursor: &mut Cursor<'_>) -> Result<(u64, u64), GgufError> {
    if cursor.take(MAGIC.len()) != Some(MAGIC) {
        return Err(GgufError::NotGguf);
    }
    let version = cursor.u32("the version")?;
    if version & 0xffff == 0 {
        return Err(GgufError::BigEndian);
    }
    if !VERSIONS.contains(&version) {
        return Err(GgufError::Version(version));
    }
    Ok((
        cursor.u64("the number of tensors")?,
        cursor.u64("the number of metadata entries")?,
    ))
}

fn parse(bytes: &Bytes) -> Result<Gguf, GgufError> {
    let mut cursor = Cursor::new(bytes);
    let (tensors, fields) = begin(&mut cursor)?;
    let metadata = read_metadata(&mut cursor, fields)?;
    let alignment = match metadata.get("general.alignment") {
        None => ALIGNMENT,
        Some(value) => value
            .count()
            .filter(|alignment| alignment.is_power_of_two())
            .map(|alignment| alignment as u64)
            .ok_or(GgufError::Alignment)?,
    };
    let room = cursor.left() / MIN_TENSOR_BYTES;
    let count = usize::try_from(tensors).ok().filter(|count| *count <= room);
    let count = count.ok_or(GgufError::Tensors(tensors))?;
    let mut described = Vec::with_capacity(count);
    for _ in 0..count {
        described.push(Described::read(&mut cursor)?);
    }
    let start = (cursor.position() as u64)
        .checked_next_multiple_of(alignment)
        .ok_or(GgufError::AlignmentBeyond)?;
    let mut names = HashSet::new();
    let tensors = described.iter().map(|tensor| {
        if !names.insert(tensor.name.as_str()) {
            return Err(GgufError::TensorTwice(short(&tensor.name)));
        }
        tensor.tensor(bytes, start, alignment)
    });
    let tensors = tensors.collect::<Result<_, _>>()?;
    Ok(Gguf { metadata, tensors })
}

/// A tensor as the file describes it.
struct Described {
    name: String,
    /// Row-major, the slowest axis first (the file has the fastest first).
    sizes: Vec<u64>,
    ggml_type: u32,
    offset: u64,
}

impl Described {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, GgufError> {
        let name = cursor.text("the name of a tensor")?;
        let shown = short(&name);
        let axes = cursor.u32(&format!("the number of axes of '{shown}'"))?;
        if axes > MAX_AXES {
            return Err(GgufError::Axes { name: shown, axes });
        }
        let sizes = (0..axes).map(|_| cursor.u64(&format!("the shape of '{shown}'")));
        let mut sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        sizes.reverse();
        Ok(Self {
            ggml_type: cursor.u32(&format!("the type of '{shown}'"))?,
            offset: cursor.u64(&format!("the place of '{shown}'"))?,
            name,
            sizes,
        })
    }

    fn tensor(&self, bytes: &Bytes, start: u64, alignment: u64) -> Result<TensorProto, GgufError> {
        let beyond = || GgufError::Outside(short(&self.name));
        let plain = PLAIN.iter().find(|(ggml, _)| *ggml == self.ggml_type);
        let element_type = plain.map(|(_, onnx)| *onnx);
        let in_blocks = || BlockFormat::from_ggml(self.ggml_type).map(BlockFormat::element_type);
        let undecoded = || u16::try_from(self.ggml_type).ok().map(undecoded_type);
        let element_type = element_type.or_else(in_blocks).or_else(undecoded);
        let element_type = element_type.ok_or_else(|| GgufError::TensorType {
            name: short(&self.name),
            kind: self.ggml_type,
        })?;
        let sizes: Option<Vec<usize>> = self.sizes.iter().map(|size| usize::try_from(*size).ok()).collect();
        let sizes = sizes.filter(|sizes| sizes.iter().all(|size| i64::try_from(*size).is_ok()));
        let sizes = sizes.ok_or_else(beyond)?;
        let empty = build::raw_tensor(self.name.as_str(), element_type, &sizes, Bytes::new());
        // Of blocks that are not decoded nobody knows how long they are: they are listed, and the rest goes on.
        let length = match undecoded_name(element_type) {
            Some(_) => {
                let most = bytes.len().saturating_mul(MOST_IN_A_BYTE);
                crate::onnx::element_count(&empty)
                    .ok()
                    .filter(|count| *count <= most)
                    .ok_or_else(beyond)?;
                0
            }
            None => crate::onnx::byte_count(&empty)?,
        };
        if !self.offset.is_multiple_of(alignment) {
            let name = short(&self.name);
            return Err(GgufError::Unaligned { name, alignment });
        }
        let from = start
            .checked_add(self.offset)
            .and_then(|from| usize::try_from(from).ok());
        let range = from.and_then(|from| Some(from..from.checked_add(length)?));
        let range = range.filter(|range| range.end <= bytes.len()).ok_or_else(beyond)?;
        Ok(TensorProto {
            raw_data: Some(bytes.slice(range)),
            ..empty
        })
    }
}

#[cfg(test)]
mod tests;
