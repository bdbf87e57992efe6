//! Safetensors files: weights without a graph, both ways.
//!
//! The format has no integers of fewer than 8 bits. A tensor of them is written as U8 in one axis, as ONNX packs it (the first
//! element in the low end of its byte), and [`PACKED`] in the metadata tells its type and its shape.

mod packed;

use super::FormatError;
use crate::files;
use crate::onnx::schema::StringStringEntryProto;
use crate::onnx::{GraphProto, ModelProto, OnnxError, TensorProto, as_written, build, schema::data_type, tensor_bytes};
use crate::printable::short;
use crate::replacement::Replacement;
use ::safetensors::tensor::{SafeTensorError, SafeTensors};
use ::safetensors::{Dtype, tensor::Metadata};
use bytes::Bytes;
pub use packed::PACKED;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

/// Bytes before the header: its length as a little-endian u64.
const LENGTH_BYTES: usize = 8;

/// Bytes that are written at a time.
const PART_BYTES: usize = 1 << 26;

/// The name in the header that is no tensor.
const METADATA: &str = "__metadata__";

/// Element types as safetensors and as ONNX knows them.
const TYPES: [(Dtype, i32); 20] = [
    (Dtype::F64, data_type::DOUBLE),
    (Dtype::I64, data_type::INT64),
    (Dtype::U64, data_type::UINT64),
    (Dtype::C64, data_type::COMPLEX64),
    (Dtype::F32, data_type::FLOAT),
    (Dtype::I32, data_type::INT32),
    (Dtype::U32, data_type::UINT32),
    (Dtype::F16, data_type::FLOAT16),
    (Dtype::BF16, data_type::BFLOAT16),
    (Dtype::I16, data_type::INT16),
    (Dtype::U16, data_type::UINT16),
    (Dtype::F8_E4M3, data_type::FLOAT8E4M3FN),
    (Dtype::F8_E4M3FNUZ, data_type::FLOAT8E4M3FNUZ),
    (Dtype::F8_E5M2, data_type::FLOAT8E5M2),
    (Dtype::F8_E5M2FNUZ, data_type::FLOAT8E5M2FNUZ),
    (Dtype::F8_E8M0, data_type::FLOAT8E8M0),
    (Dtype::I8, data_type::INT8),
    (Dtype::U8, data_type::UINT8),
    (Dtype::BOOL, data_type::BOOL),
    (Dtype::F4, data_type::FLOAT4E2M1),
];

/// Why a tensor is neither read nor written. Names are short and printable.
#[derive(Debug, thiserror::Error)]
enum TensorsError {
    #[error("tensor '{0}' is not in its header")]
    NotInHeader(String),
    #[error("tensor '{name}' has elements of type {dtype}, which ONNX lacks")]
    NotInOnnx { name: String, dtype: Dtype },
    #[error("the data of tensor '{0}' lie outside of the file")]
    Outside(String),
    #[error(transparent)]
    Tensor(#[from] OnnxError),
    #[error("tensor '{name}' has elements of type {kind}, which safetensors lacks")]
    NotInSafetensors { name: String, kind: &'static str },
    #[error("two things are called '{0}': names must differ")]
    Twice(String),
    #[error("tensor '{0}' makes the file too large")]
    TooLarge(String),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("its metadata '{PACKED}' cannot be read: {0}")]
    Metadata(String),
    #[error("its metadata '{PACKED}' tells the type '{kind}' of tensor '{name}', which is not known")]
    PackedType { name: String, kind: String },
    #[error("its metadata '{PACKED}' tells of tensor '{0}', which is not of U8")]
    NotBytes(String),
    #[error("its metadata '{PACKED}' does not fit: {0}")]
    PackedSize(OnnxError),
}

/// Whether `bytes` begin as a safetensors file does: a header length that fits, then an opening brace.
pub fn looks_like(bytes: &[u8]) -> bool {
    header(bytes).is_some_and(|header| header.first() == Some(&b'{'))
}

/// The tensors of a safetensors file as initializers of a model without nodes, in the order of their data;
/// `__metadata__` becomes `metadata_props`. Tensor data is not copied.
///
/// # Errors
/// [`FormatError::File`] on a header or offsets that do not hold together, naming the tensor.
pub fn read(mut bytes: Bytes, file: &str) -> Result<ModelProto, FormatError> {
    let broken = |error: TensorsError| FormatError::of(file, error);
    let (header_length, metadata) =
        SafeTensors::read_metadata(&bytes).map_err(|error| FormatError::of(file, reason(&error, &bytes)))?;
    // The crate has checked that this lies inside of the file.
    let data = bytes.split_off(LENGTH_BYTES + header_length);
    // Empty tensors share their place; the crate leaves their order to chance, the name settles it.
    let mut names = metadata.offset_keys();
    names.sort_by(|a, b| {
        let place = |name: &String| metadata.info(name).map(|info| info.data_offsets);
        place(a).cmp(&place(b)).then_with(|| a.cmp(b))
    });
    let mut sorted: BTreeMap<_, _> = metadata.metadata().iter().flatten().collect();
    let packed = packed::of_metadata(sorted.remove(&PACKED.to_owned()).map(String::as_str)).map_err(broken)?;
    let initializer = names
        .iter()
        .map(|name| {
            let tensor = tensor(name, &metadata, &data)?;
            match packed.get(name) {
                Some(packed) => packed.restored(tensor),
                None => Ok(tensor),
            }
        })
        .collect::<Result<_, _>>()
        .map_err(broken)?;
    let metadata_props = sorted.into_iter().map(|(key, value)| StringStringEntryProto {
        key: Some(key.clone()),
        value: Some(value.clone()),
    });
    Ok(ModelProto {
        metadata_props: metadata_props.collect(),
        graph: Some(GraphProto {
            initializer,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    })
}

fn tensor(name: &str, metadata: &Metadata, data: &Bytes) -> Result<TensorProto, TensorsError> {
    let info = metadata
        .info(name)
        .ok_or_else(|| TensorsError::NotInHeader(short(name)))?;
    let (_, element_type) = TYPES
        .into_iter()
        .find(|(dtype, _)| *dtype == info.dtype)
        .ok_or_else(|| TensorsError::NotInOnnx {
            name: short(name),
            dtype: info.dtype,
        })?;
    let (begin, end) = info.data_offsets;
    if begin > end || end > data.len() {
        return Err(TensorsError::Outside(short(name)));
    }
    Ok(build::raw_tensor(
        name,
        element_type,
        &info.shape,
        data.slice(begin..end),
    ))
}

/// Writes named tensors with metadata, beside and renamed. Tensors with wide elements come first, so that all are
/// aligned, and keep their order otherwise.
///
/// # Errors
/// [`FormatError::File`] for a tensor type that the format lacks, or the system's reason.
pub fn write(path: &Path, tensors: &[TensorProto], metadata: &[(String, String)]) -> Result<(), FormatError> {
    let file = path.display().to_string();
    let failed = |error: TensorsError| FormatError::of(&file, error);
    let mut entries = tensors
        .iter()
        .map(Entry::of)
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.dtype.bitsize()));
    let packed = packed::to_metadata(tensors).map_err(failed)?;
    let all: Vec<_> = metadata
        .iter()
        .filter(|(key, _)| key != PACKED)
        .cloned()
        .chain(packed)
        .collect();
    let header = write_header(&entries, &all).map_err(failed)?;
    let put = || {
        let mut file = Replacement::new(path)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for part in entries.iter().flat_map(|entry| entry.bytes.chunks(PART_BYTES)) {
            file.write_all(part)?;
            // What was mapped need not stay in memory: the file may be larger than that.
            files::release(part);
        }
        files::check_all()?;
        file.commit()
    };
    // A write out of a map that was cut off fails as a bad address: what is wrong is the file that was read.
    put().map_err(|error: std::io::Error| FormatError::of(&file, files::check_all().err().unwrap_or(error)))
}

/// A tensor as it is written.
struct Entry<'tensor> {
    name: &'tensor str,
    dtype: Dtype,
    dims: Cow<'tensor, [i64]>,
    bytes: Bytes,
}

impl<'tensor> Entry<'tensor> {
    fn of(tensor: &'tensor TensorProto) -> Result<Self, TensorsError> {
        let written = as_written(tensor)?;
        if packed::type_name(written.data_type()).is_some() {
            let bytes = tensor_bytes(&written)?;
            return Ok(Self {
                name: tensor.name(),
                dtype: Dtype::U8,
                dims: Cow::Owned(vec![i64::try_from(bytes.len()).unwrap_or(i64::MAX)]),
                bytes,
            });
        }
        let (dtype, _) = TYPES
            .into_iter()
            .find(|(_, element_type)| *element_type == written.data_type())
            .ok_or_else(|| {
                let kind = crate::onnx::data_type_name(tensor.data_type());
                let name = short(tensor.name());
                TensorsError::NotInSafetensors { name, kind }
            })?;
        Ok(Self {
            name: tensor.name(),
            dtype,
            dims: Cow::Borrowed(&tensor.dims),
            bytes: tensor_bytes(&written)?,
        })
    }
}

/// The JSON header, padded with spaces so that the data begin on a multiple of 8.
fn write_header(entries: &[Entry<'_>], metadata: &[(String, String)]) -> Result<String, TensorsError> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        let pairs: Map<String, Value> = metadata.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        header.insert(METADATA.to_owned(), Value::Object(pairs));
    }
    let mut names = HashSet::new();
    let mut position = 0_usize;
    for entry in entries {
        let shown = short(entry.name);
        if entry.name == METADATA || !names.insert(entry.name) {
            return Err(TensorsError::Twice(shown));
        }
        let end = position
            .checked_add(entry.bytes.len())
            .ok_or(TensorsError::TooLarge(shown))?;
        let tensor = json!({ "dtype": entry.dtype, "shape": entry.dims, "data_offsets": [position, end] });
        header.insert(entry.name.to_owned(), tensor);
        position = end;
    }
    let mut text = Value::Object(header).to_string();
    let padding = text.len().next_multiple_of(LENGTH_BYTES) - text.len();
    text.extend(std::iter::repeat_n(' ', padding));
    Ok(text)
}

/// The JSON header, if its length fits into the file.
fn header(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

/// What is wrong with the file, for a person.
fn reason(error: &SafeTensorError, bytes: &[u8]) -> String {
    match error {
        SafeTensorError::HeaderTooSmall => "not a safetensors file: it is too short for a header".into(),
        SafeTensorError::HeaderTooLarge | SafeTensorError::InvalidHeaderLength => {
            "not a safetensors file, or cut off: its header is longer than the file".into()
        }
        SafeTensorError::InvalidHeader(_) => "not a safetensors file: its header is no text".into(),
        SafeTensorError::InvalidHeaderDeserialization(error) => {
            format!(
                "not a safetensors file: its header cannot be read: {}",
                short(&error.to_string())
            )
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            "its tensors do not take up the data that follow the header: cut off, or with something appended".into()
        }
        SafeTensorError::InvalidOffset(name) => {
            format!(
                "the data of tensor '{}' overlap with another's, leave a hole or end before they begin",
                short(name)
            )
        }
        SafeTensorError::TensorInvalidInfo | SafeTensorError::ValidationOverflow | SafeTensorError::MisalignedSlice => {
            match misfit(bytes) {
                Some(name) => format!("shape, type and data of tensor '{}' do not fit", short(&name)),
                None => "shape, type and data of a tensor do not fit".into(),
            }
        }
        other => short(&other.to_string()),
    }
}

/// The first tensor whose shape does not explain the length of its data: the crate tells that there is one, not which.
fn misfit(bytes: &[u8]) -> Option<String> {
    let tensors: BTreeMap<String, Value> = serde_json::from_slice(header(bytes)?).ok()?;
    let fits = |tensor: &Value| -> Option<bool> {
        let dtype: Dtype = serde_json::from_value(tensor.get("dtype")?.clone()).ok()?;
        let shape = tensor.get("shape")?.as_array()?;
        let bits = shape.iter().try_fold(dtype.bitsize(), |bits, size| {
            bits.checked_mul(usize::try_from(size.as_u64()?).ok()?)
        })?;
        let offset = |index: usize| usize::try_from(tensor.get("data_offsets")?.get(index)?.as_u64()?).ok();
        Some(bits % 8 == 0 && offset(1)?.checked_sub(offset(0)?)? == bits / 8)
    };
    tensors
        .into_iter()
        .find(|(name, tensor)| name != METADATA && fits(tensor) != Some(true))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests;
