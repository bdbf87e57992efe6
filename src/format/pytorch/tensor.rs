//! Tensors of a pickle: views of storages, which are made whole where they are not as they lie.

use super::CheckpointError;
use super::pickle::{Id, Pickle, Tensor, Value};
use crate::onnx::build::{float_tensor, i64_tensor, raw_tensor};
use crate::onnx::schema::data_type;
use crate::onnx::{MOST_AXES, TensorProto, one_line};
use bytes::Bytes;

/// What of a tensor does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TensorError {
    #[error("a tensor has no storage")]
    NoStorage,
    #[error("a storage is not described as torch does")]
    Undescribed,
    #[error("a storage has no name")]
    NoName,
    #[error("a storage has no type")]
    NoType,
    #[error("a storage is of the type {0}, which is not read")]
    StorageType(String),
    #[error("its element type is not known")]
    ElementType,
    #[error("its storage '{0}' is not in the file")]
    NotThere(String),
    #[error("its sizes make no sense")]
    Sizes,
    #[error("its elements lie outside of its storage")]
    Outside,
    #[error("it repeats its numbers too often")]
    Repeats,
    #[error("its scales and zero points are not those of rows or of the whole tensor")]
    Quantizer,
}

/// Where the numbers of storages are.
pub(super) trait Storages {
    /// Those of the storage called `key`.
    fn bytes(&self, key: &str) -> Option<Bytes>;
}

/// An element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) element_type: i32,
    pub(super) bytes: usize,
}

/// What a persistent id says.
pub(super) struct Storage {
    pub(super) key: String,
    /// `None` for a storage of bytes whose tensor tells the type.
    pub(super) kind: Option<Kind>,
}

/// The element type of a class of storages or of a torch.dtype.
fn kind_of(name: &str) -> Option<Kind> {
    let name = name.rsplit('.').next().unwrap_or(name);
    let (element_type, bytes) = match name {
        "FloatStorage" | "float32" | "float" => (data_type::FLOAT, 4),
        "DoubleStorage" | "float64" | "double" => (data_type::DOUBLE, 8),
        "HalfStorage" | "float16" | "half" => (data_type::FLOAT16, 2),
        "BFloat16Storage" | "bfloat16" => (data_type::BFLOAT16, 2),
        "LongStorage" | "int64" | "long" => (data_type::INT64, 8),
        "IntStorage" | "int32" | "int" | "QInt32Storage" | "qint32" => (data_type::INT32, 4),
        "ShortStorage" | "int16" | "short" => (data_type::INT16, 2),
        "CharStorage" | "int8" | "QInt8Storage" | "qint8" => (data_type::INT8, 1),
        "ByteStorage" | "uint8" | "QUInt8Storage" | "quint8" => (data_type::UINT8, 1),
        "BoolStorage" | "bool" => (data_type::BOOL, 1),
        "uint16" => (data_type::UINT16, 2),
        "uint32" => (data_type::UINT32, 4),
        "uint64" => (data_type::UINT64, 8),
        "float8_e4m3fn" => (data_type::FLOAT8E4M3FN, 1),
        "float8_e4m3fnuz" => (data_type::FLOAT8E4M3FNUZ, 1),
        "float8_e5m2" => (data_type::FLOAT8E5M2, 1),
        "float8_e5m2fnuz" => (data_type::FLOAT8E5M2FNUZ, 1),
        "float8_e8m0fnu" => (data_type::FLOAT8E8M0, 1),
        "ComplexFloatStorage" | "complex64" => (data_type::COMPLEX64, 8),
        "ComplexDoubleStorage" | "complex128" => (data_type::COMPLEX128, 16),
        _ => return None,
    };
    Some(Kind { element_type, bytes })
}

/// The storage that the persistent id `id` stands for: `('storage', class, key, device, elements)`.
///
/// # Errors
/// Where it is none, or of a class that is not known.
pub(super) fn storage_of(pickle: &Pickle, id: Id) -> Result<Storage, TensorError> {
    let Value::Persistent(told) = pickle.value(id) else {
        return Err(TensorError::NoStorage);
    };
    let parts = pickle
        .items(*told)
        .filter(|parts| parts.len() >= 3)
        .ok_or(TensorError::Undescribed)?;
    let key = match pickle.value(parts[2]) {
        Value::Text(key) => key.clone(),
        Value::Int(key) => key.to_string(),
        _ => return Err(TensorError::NoName),
    };
    let Value::Global(class) = pickle.value(parts[1]) else {
        return Err(TensorError::NoType);
    };
    let kind = kind_of(class);
    if kind.is_none() && !class.ends_with("UntypedStorage") {
        return Err(TensorError::StorageType(one_line(class)));
    }
    Ok(Storage { key, kind })
}

/// Makes tensors of one file. What it copies is bounded by the file's length: a view can repeat one number any number of times.
pub(super) struct Maker<'a> {
    pub(super) pickle: &'a Pickle,
    pub(super) storages: &'a dyn Storages,
    /// Bytes that may still be copied.
    pub(super) left: usize,
}

impl Maker<'_> {
    /// The tensor called `name`.
    ///
    /// # Errors
    /// What of it does not hold together, with its name.
    pub(super) fn tensor(&mut self, name: &str, tensor: &Tensor) -> Result<TensorProto, CheckpointError> {
        self.make(name, tensor).map_err(|error| CheckpointError::Tensor {
            name: one_line(name),
            error,
        })
    }

    /// Scale and zero point of the codes of `tensor`, as tensors beside the module's weight: what tells of a grid in other files of
    /// weights.
    ///
    /// # Errors
    /// Of a scheme that is not read.
    pub(super) fn grid(&mut self, module: &str, quantizer: Id) -> Result<[TensorProto; 2], TensorError> {
        let pickle = self.pickle;
        let parts = pickle.items(quantizer).ok_or(TensorError::Quantizer)?;
        let part = |place: usize| parts.get(place).map_or(&Value::Opaque, |id| pickle.value(*id));
        let names = ["weight_scale", "weight_zero_point"].map(|part| format!("{module}.{part}"));
        match (part(0), part(1), part(2), part(3)) {
            (Value::Global(scheme), Value::Float(scale), Value::Int(zero), _)
                if scheme == "torch.per_tensor_affine" =>
            {
                Ok([
                    float_tensor(&names[0], &[1], &[*scale as f32]),
                    i64_tensor(&names[1], &[1], &[*zero]),
                ])
            }
            (Value::Global(scheme), Value::Tensor(scales), Value::Tensor(zeros), Value::Int(0))
                if scheme == "torch.per_channel_affine" =>
            {
                Ok([self.make(&names[0], scales)?, self.make(&names[1], zeros)?])
            }
            _ => Err(TensorError::Quantizer),
        }
    }

    fn make(&mut self, name: &str, tensor: &Tensor) -> Result<TensorProto, TensorError> {
        let pickle = self.pickle;
        let storage = storage_of(pickle, tensor.storage)?;
        let told = tensor.dtype.and_then(|id| match pickle.value(id) {
            Value::Global(name) => kind_of(name),
            _ => None,
        });
        let kind = told.or(storage.kind).ok_or(TensorError::ElementType)?;
        let bytes = self.storages.bytes(&storage.key);
        let bytes = bytes.ok_or_else(|| TensorError::NotThere(one_line(&storage.key)))?;
        let sizes = pickle.sizes(tensor.sizes).ok_or(TensorError::Sizes)?;
        let strides = pickle.sizes(tensor.strides).ok_or(TensorError::Sizes)?;
        let offset = pickle
            .int(tensor.offset)
            .and_then(|offset| usize::try_from(offset).ok())
            .ok_or(TensorError::Sizes)?;
        if strides.len() != sizes.len() || sizes.len() > MOST_AXES {
            return Err(TensorError::Sizes);
        }
        let count = sizes
            .iter()
            .try_fold(1_usize, |count, size| count.checked_mul(*size))
            .ok_or(TensorError::Sizes)?;
        if count == 0 {
            return Ok(raw_tensor(name, kind.element_type, &sizes, Bytes::new()));
        }
        // The place of the last element, from the first.
        let span = sizes.iter().zip(&strides).try_fold(0_usize, |span, (size, stride)| {
            span.checked_add((size - 1).checked_mul(*stride)?)
        });
        let end = span.and_then(|span| offset.checked_add(span)?.checked_add(1)?.checked_mul(kind.bytes));
        if end.is_none_or(|end| end > bytes.len()) {
            return Err(TensorError::Outside);
        }
        let start = offset * kind.bytes;
        if is_row_major(&sizes, &strides) {
            let data = bytes.slice(start..start + count * kind.bytes);
            return Ok(raw_tensor(name, kind.element_type, &sizes, data));
        }
        let length = count.checked_mul(kind.bytes).and_then(|length| {
            self.left = self.left.checked_sub(length)?;
            Some(length)
        });
        let length = length.ok_or(TensorError::Repeats)?;
        let mut data = Vec::with_capacity(length);
        let (mut index, mut place) = (vec![0_usize; sizes.len()], offset);
        for _ in 0..count {
            data.extend_from_slice(&bytes[place * kind.bytes..][..kind.bytes]);
            for axis in (0..sizes.len()).rev() {
                index[axis] += 1;
                place += strides[axis];
                if index[axis] < sizes[axis] {
                    break;
                }
                place -= strides[axis] * sizes[axis];
                index[axis] = 0;
            }
        }
        Ok(raw_tensor(name, kind.element_type, &sizes, data))
    }
}

/// Whether the elements lie one behind the other in row-major order. Strides of axes of size 1 say nothing.
fn is_row_major(sizes: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    sizes.iter().zip(strides).rev().all(|(size, stride)| {
        let fits = *size == 1 || *stride == step;
        step *= size;
        fits
    })
}
