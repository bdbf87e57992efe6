//! Constant tensors as bytes and as floats, without a copy where the file allows it.

use super::blocks::BlockFormat;
use super::schema::{EXTERNAL, data_type};
use super::{OnnxError, TensorProto};
use crate::printable::short;
use bytes::Bytes;
use rayon::prelude::*;
use std::sync::Arc;

/// The elements of a float tensor in row-major order. Cheap to clone; dereferences to `[f32]`.
#[derive(Clone, Debug)]
pub struct FloatData(Storage);

#[derive(Clone, Debug)]
enum Storage {
    /// Aligned little-endian f32 inside the file's memory map.
    Mapped(Bytes),
    /// Converted or copied.
    Owned(Arc<Vec<f32>>),
}

impl std::ops::Deref for FloatData {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match &self.0 {
            Storage::Mapped(bytes) => bytemuck::cast_slice(bytes),
            Storage::Owned(values) => values,
        }
    }
}

impl From<Vec<f32>> for FloatData {
    fn from(values: Vec<f32>) -> Self {
        Self(Storage::Owned(Arc::new(values)))
    }
}

impl FloatData {
    /// From raw little-endian f32 bytes, without a copy when they are aligned; `None` when the length is no multiple of 4.
    pub fn from_le_bytes(bytes: Bytes) -> Option<Self> {
        if !bytes.len().is_multiple_of(4) {
            return None;
        }
        if cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, f32>(&bytes).is_ok() {
            return Some(Self(Storage::Mapped(bytes)));
        }
        Some(convert::<4>(&bytes, f32::from_le_bytes).into())
    }
}

/// Axes of a tensor at most, as in NumPy.
pub const MOST_AXES: usize = 64;

/// Number of elements that `dims` say.
///
/// # Errors
/// [`OnnxError::Tensor`] on negative sizes, more than [`MOST_AXES`] of them, or overflow.
pub fn element_count(tensor: &TensorProto) -> Result<usize, OnnxError> {
    let axes = tensor.dims.len();
    if axes > MOST_AXES {
        return Err(fault(
            tensor,
            format!("its shape has {axes} axes, more than {MOST_AXES}"),
        ));
    }
    if let Some(size) = tensor.dims.iter().find(|&&size| size < 0) {
        return Err(fault(tensor, format!("its shape holds the negative size {size}")));
    }
    if tensor.dims.contains(&0) {
        return Ok(0);
    }
    tensor
        .dims
        .iter()
        .try_fold(1_usize, |count, &size| count.checked_mul(usize::try_from(size).ok()?))
        .ok_or_else(|| {
            let shape = shape_text(tensor);
            fault(
                tensor,
                format!("its shape {shape} has more elements than a computer can count"),
            )
        })
}

/// Bytes that the elements take in `raw_data`: packed types are rounded up to a whole byte.
///
/// # Errors
/// [`OnnxError::Tensor`] on an impossible shape, or a type without fixed size.
pub fn byte_count(tensor: &TensorProto) -> Result<usize, OnnxError> {
    if let Some(format) = BlockFormat::from_element_type(tensor.data_type()) {
        element_count(tensor)?;
        return format.bytes_of(&tensor.dims).ok_or_else(|| {
            let (shape, name, elements) = (shape_text(tensor), format.name(), format.elements());
            fault(
                tensor,
                format!("its shape {shape} does not fit {name}, whose rows are blocks of {elements} elements"),
            )
        });
    }
    let bits = element_bits(tensor)?;
    element_count(tensor)?
        .checked_mul(bits)
        .map(|total| total.div_ceil(8))
        .ok_or_else(|| {
            let shape = shape_text(tensor);
            fault(
                tensor,
                format!("its shape {shape} has more bytes than a computer can count"),
            )
        })
}

/// Whether the element type is F32, F16, BF16, F64 or floats in blocks ([`BlockFormat`]): what [`float_values`] takes.
pub fn is_float(tensor: &TensorProto) -> bool {
    use data_type::{BFLOAT16, DOUBLE, FLOAT, FLOAT16};
    let element_type = tensor.data_type();
    matches!(element_type, FLOAT | FLOAT16 | BFLOAT16 | DOUBLE)
        || BlockFormat::from_element_type(element_type).is_some()
}

/// The elements as little-endian bytes whatever field holds them (raw or typed); no copy for raw data.
///
/// # Errors
/// [`OnnxError::Tensor`] when element count and data do not fit, or the type has no fixed size (STRING).
pub fn tensor_bytes(tensor: &TensorProto) -> Result<Bytes, OnnxError> {
    if tensor.data_location() == EXTERNAL {
        return Err(fault(tensor, "its elements are in another file, which was not read"));
    }
    let wanted = byte_count(tensor)?;
    let bytes = match &tensor.raw_data {
        Some(raw) if !raw.is_empty() => raw.clone(),
        _ => Bytes::from(typed_bytes(tensor)?),
    };
    if bytes.len() == wanted {
        Ok(bytes)
    } else {
        let (shape, has) = (shape_text(tensor), bytes.len());
        Err(fault(
            tensor,
            format!("its shape {shape} needs {wanted} bytes, its data has {has}"),
        ))
    }
}

/// The elements of an F32, F16, BF16 or F64 tensor, or of one in blocks, as f32.
///
/// # Errors
/// [`OnnxError::Tensor`] for another element type, or when element count and data do not fit.
pub fn float_values(tensor: &TensorProto) -> Result<FloatData, OnnxError> {
    if !is_float(tensor) {
        let kind = data_type_name(tensor.data_type());
        return Err(fault(tensor, format!("its elements are {kind}, not floats")));
    }
    let bytes = tensor_bytes(tensor)?;
    if let Some(format) = BlockFormat::from_element_type(tensor.data_type()) {
        return Ok(format.decode(&bytes).into());
    }
    let values = match tensor.data_type() {
        data_type::FLOAT16 => convert::<2>(&bytes, |b| half::f16::from_le_bytes(b).to_f32()),
        data_type::BFLOAT16 => convert::<2>(&bytes, |b| half::bf16::from_le_bytes(b).to_f32()),
        data_type::DOUBLE => convert::<8>(&bytes, |b| f64::from_le_bytes(b) as f32),
        _ => {
            return FloatData::from_le_bytes(bytes)
                .ok_or_else(|| fault(tensor, "the length of its data is no multiple of 4"));
        }
    };
    Ok(values.into())
}

/// The elements of an INT64 or INT32 tensor.
///
/// # Errors
/// [`OnnxError::Tensor`] for another element type, or when element count and data do not fit.
pub(crate) fn integer_values(tensor: &TensorProto) -> Result<Vec<i64>, OnnxError> {
    let bytes = tensor_bytes(tensor)?;
    match tensor.data_type() {
        data_type::INT64 => Ok(bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b))
            .collect()),
        data_type::INT32 => {
            let elements = bytes.as_chunks::<4>().0.iter();
            Ok(elements.map(|b| i64::from(i32::from_le_bytes(*b))).collect())
        }
        other => {
            let kind = data_type_name(other);
            Err(fault(tensor, format!("its elements are {kind}, not indices")))
        }
    }
}

/// The name of an element type as ONNX spells it; of blocks, as GGUF does.
pub fn data_type_name(element_type: i32) -> &'static str {
    #[rustfmt::skip]
    const NAMES: [&str; 29] = [
        "UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16",
        "DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ",
        "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "UINT4", "INT4", "FLOAT4E2M1", "FLOAT8E8M0", "UINT2", "INT2", "FLOAT6E2M3",
        "FLOAT6E3M2",
    ];
    usize::try_from(element_type)
        .ok()
        .and_then(|index| NAMES.get(index).copied())
        .or_else(|| BlockFormat::from_element_type(element_type).map(BlockFormat::name))
        .unwrap_or("of an unknown type")
}

/// Below this many bytes a thread costs more than it saves.
const PARALLEL_BYTES: usize = 1 << 18;

fn convert<const SIZE: usize>(bytes: &[u8], element: impl Fn([u8; SIZE]) -> f32 + Sync) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    if bytes.len() < PARALLEL_BYTES {
        elements.iter().map(|&b| element(b)).collect()
    } else {
        elements.par_iter().with_min_len(1 << 14).map(|&b| element(b)).collect()
    }
}

/// Size of one element in bits.
fn element_bits(tensor: &TensorProto) -> Result<usize, OnnxError> {
    Ok(match tensor.data_type() {
        data_type::UINT2 | data_type::INT2 => 2,
        data_type::UINT4 | data_type::INT4 | data_type::FLOAT4E2M1 => 4,
        data_type::FLOAT6E2M3 | data_type::FLOAT6E3M2 => 6,
        data_type::UINT8
        | data_type::INT8
        | data_type::BOOL
        | data_type::FLOAT8E4M3FN
        | data_type::FLOAT8E4M3FNUZ
        | data_type::FLOAT8E5M2
        | data_type::FLOAT8E5M2FNUZ
        | data_type::FLOAT8E8M0 => 8,
        data_type::UINT16 | data_type::INT16 | data_type::FLOAT16 | data_type::BFLOAT16 => 16,
        data_type::FLOAT | data_type::INT32 | data_type::UINT32 => 32,
        data_type::DOUBLE | data_type::INT64 | data_type::UINT64 | data_type::COMPLEX64 => 64,
        data_type::COMPLEX128 => 128,
        data_type::STRING => return Err(fault(tensor, "its elements are strings, which have no fixed size")),
        0 => return Err(fault(tensor, "it has no element type")),
        other => return Err(fault(tensor, format!("its element type {other} is not known to ONNX"))),
    })
}

/// The bytes of a tensor whose elements are in the field of their type.
fn typed_bytes(tensor: &TensorProto) -> Result<Vec<u8>, OnnxError> {
    // The narrow types keep their bits in the low end of an int32 (signed ones extended); so do packed pairs and fours.
    Ok(match tensor.data_type() {
        data_type::FLOAT | data_type::COMPLEX64 => le_bytes(&tensor.float_data, f32::to_le_bytes),
        data_type::DOUBLE | data_type::COMPLEX128 => le_bytes(&tensor.double_data, f64::to_le_bytes),
        data_type::INT64 => le_bytes(&tensor.int64_data, i64::to_le_bytes),
        data_type::UINT64 => le_bytes(&tensor.uint64_data, u64::to_le_bytes),
        data_type::INT32 => le_bytes(&tensor.int32_data, i32::to_le_bytes),
        data_type::UINT32 => tensor
            .uint64_data
            .iter()
            .flat_map(|&v| (v as u32).to_le_bytes())
            .collect(),
        data_type::UINT16 | data_type::INT16 | data_type::FLOAT16 | data_type::BFLOAT16 => tensor
            .int32_data
            .iter()
            .flat_map(|&v| (v as u16).to_le_bytes())
            .collect(),
        // Each code has a number of its own here, unlike the other packed types.
        data_type::FLOAT6E2M3 | data_type::FLOAT6E3M2 => {
            let codes: Vec<u8> = tensor.int32_data.iter().map(|&code| code as u8).collect();
            six_bit_bytes(&codes)
        }
        _ => tensor.int32_data.iter().map(|&v| v as u8).collect(),
    })
}

/// Codes of six bits one behind the other, the first in the low end of the first byte.
pub(super) fn six_bit_bytes(codes: &[u8]) -> Vec<u8> {
    let word = |codes: &[u8]| {
        let shifted = codes
            .iter()
            .enumerate()
            .map(|(at, code)| u32::from(code & 0x3f) << (6 * at));
        shifted.fold(0, |word, code| word | code).to_le_bytes()
    };
    let mut bytes: Vec<u8> = codes
        .chunks(4)
        .flat_map(|codes| word(codes).into_iter().take(3))
        .collect();
    bytes.truncate((codes.len() * 6).div_ceil(8));
    bytes
}

/// The bytes of whole elements: one copy where the machine keeps them as the file does.
fn le_bytes<T: bytemuck::NoUninit, const SIZE: usize>(values: &[T], bytes: impl Fn(T) -> [u8; SIZE]) -> Vec<u8> {
    if cfg!(target_endian = "little") {
        bytemuck::cast_slice(values).to_vec()
    } else {
        values.iter().flat_map(|&value| bytes(value)).collect()
    }
}

/// The shape as it stands in messages.
pub(super) fn shape_text(tensor: &TensorProto) -> String {
    let sizes: Vec<String> = tensor.dims.iter().map(i64::to_string).collect();
    format!("[{}]", sizes.join(", "))
}

/// A fault of `tensor`. Its name comes from the file and could hold anything: a message stays one line.
pub(super) fn fault(tensor: &TensorProto, reason: impl Into<String>) -> OnnxError {
    OnnxError::Tensor {
        tensor: short(tensor.name()),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests;
