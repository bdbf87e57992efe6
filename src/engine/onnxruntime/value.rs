//! Tensors as onnxruntime takes and gives them. What has the type that the network takes is not copied.

use crate::data::{ShapeMismatch, Tensor, TensorValues};
use crate::engine::EngineFault;
use half::f16;
use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorElementType, TensorRef};
use std::num::TryFromIntError;

/// A tensor as an input of elements `ty`.
pub(super) fn input<'a>(
    name: &str,
    tensor: &'a Tensor,
    ty: TensorElementType,
) -> Result<SessionInputValue<'a>, EngineFault> {
    use TensorElementType as Ty;
    let shape = tensor.shape().to_vec();
    let wrong = |error: &dyn std::fmt::Display| EngineFault::Input {
        input: name.to_owned(),
        reason: error.to_string(),
    };
    /// Another tensor with the same numbers.
    macro_rules! converted {
        ($values:expr, $convert:expr) => {
            ort::value::Tensor::from_array((shape, $values.iter().map($convert).collect::<Vec<_>>()))
                .map(Into::into)
                .map_err(|error| wrong(&error))
        };
    }
    /// The tensor itself.
    macro_rules! borrowed {
        ($values:expr) => {
            TensorRef::from_array_view((shape, $values.as_slice()))
                .map(Into::into)
                .map_err(|error| wrong(&error))
        };
    }
    match (tensor.values(), ty) {
        (TensorValues::F32(values), Ty::Float32) => borrowed!(values),
        (TensorValues::I32(values), Ty::Int32) => borrowed!(values),
        (TensorValues::I64(values), Ty::Int64) => borrowed!(values),
        (TensorValues::I8(values), Ty::Int8) => borrowed!(values),
        (TensorValues::U8(values), Ty::Uint8) => borrowed!(values),
        (TensorValues::F32(values), Ty::Float16) => converted!(values, |x| f16::from_f32(*x)),
        (TensorValues::F32(values), Ty::Float64) => converted!(values, |x| f64::from(*x)),
        (TensorValues::I32(values), Ty::Int64) => converted!(values, |x| i64::from(*x)),
        (TensorValues::I32(values), Ty::Bool) => converted!(values, |x| *x != 0),
        (values, ty) => Err(wrong(&format!("it takes {ty}, the data are {}", described(values)))),
    }
}

fn described(values: &TensorValues) -> &'static str {
    match values {
        TensorValues::F32(_) => "f32",
        TensorValues::I32(_) => "i32",
        TensorValues::I64(_) => "i64",
        TensorValues::I8(_) => "i8",
        TensorValues::U8(_) => "u8",
    }
}

/// Why a value is no tensor of numbers.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTensor {
    #[error("it is a {0}, not a tensor")]
    Kind(String),
    #[error("its elements are {0}")]
    Elements(TensorElementType),
    #[error(transparent)]
    Size(#[from] TryFromIntError),
    #[error(transparent)]
    Shape(#[from] ShapeMismatch),
    #[error(transparent)]
    Runtime(#[from] ort::Error),
}

/// A value that was computed: floats of any width as float32, truth values as 0 and 1.
pub(super) fn output(value: &DynValue) -> Result<Tensor, NoTensor> {
    use TensorElementType as Ty;
    let ty = value
        .dtype()
        .tensor_type()
        .ok_or_else(|| NoTensor::Kind(value.dtype().to_string()))?;
    macro_rules! tensor {
        ($from:ty, $convert:expr) => {{
            let (shape, values) = value.try_extract_tensor::<$from>()?;
            let sizes = shape
                .iter()
                .map(|size| usize::try_from(*size))
                .collect::<Result<Vec<usize>, _>>();
            let values = values.iter().map($convert).collect::<Vec<_>>();
            Ok(Tensor::from_shape(sizes?, values)?)
        }};
    }
    match ty {
        Ty::Float32 => tensor!(f32, |x| *x),
        Ty::Float16 => tensor!(f16, |x| x.to_f32()),
        Ty::Float64 => tensor!(f64, |x| *x as f32),
        Ty::Int32 => tensor!(i32, |x| *x),
        Ty::Int64 => tensor!(i64, |x| *x),
        Ty::Int8 => tensor!(i8, |x| *x),
        Ty::Uint8 => tensor!(u8, |x| *x),
        Ty::Bool => tensor!(bool, |x| i32::from(*x)),
        other => Err(NoTensor::Elements(other)),
    }
}
