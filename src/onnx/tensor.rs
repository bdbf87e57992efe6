//! Constant tensors as floats, without a copy where the file allows it.

use super::{OnnxError, TensorProto};
use bytes::Bytes;
use std::sync::Arc;

/// The elements of a float tensor in row-major order. Cheap to clone; dereferences to `[f32]`.
#[derive(Clone, Debug)]
pub struct FloatData(Storage);

#[derive(Clone, Debug)]
enum Storage {
    /// Aligned little-endian f32 inside the file's memory map.
    Mapped(Bytes),
    /// Converted or copied.
    Owned(Arc<[f32]>),
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
        Self(Storage::Owned(values.into()))
    }
}

impl FloatData {
    /// From raw little-endian f32 bytes, without a copy when they are aligned; `None` when the length is no multiple of 4.
    pub fn from_le_bytes(bytes: Bytes) -> Option<Self> {
        if bytes.len() % 4 != 0 {
            return None;
        }
        if cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, f32>(&bytes).is_ok() {
            return Some(Self(Storage::Mapped(bytes)));
        }
        let values = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Some(Self(Storage::Owned(values.collect())))
    }
}

/// Number of elements that `dims` say.
///
/// # Errors
/// [`OnnxError::Tensor`] on negative sizes or overflow.
pub fn element_count(_tensor: &TensorProto) -> Result<usize, OnnxError> {
    todo!()
}

/// Whether the element type is F32, F16, BF16 or F64: what [`float_values`] takes.
pub fn is_float(_tensor: &TensorProto) -> bool {
    todo!()
}

/// The elements as little-endian bytes whatever field holds them (raw or typed); no copy for raw data.
///
/// # Errors
/// [`OnnxError::Tensor`] when element count and data do not fit, or the type has no fixed size (STRING).
pub fn tensor_bytes(_tensor: &TensorProto) -> Result<Bytes, OnnxError> {
    todo!()
}

/// The elements of an F32, F16, BF16 or F64 tensor as f32.
///
/// # Errors
/// [`OnnxError::Tensor`] for another element type, or when element count and data do not fit.
pub fn float_values(_tensor: &TensorProto) -> Result<FloatData, OnnxError> {
    todo!()
}
