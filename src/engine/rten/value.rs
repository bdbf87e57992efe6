//! Tensors as rten takes and gives them. Nothing is copied but what lies otherwise in memory than row by row.

use crate::data::{ShapeMismatch, Tensor, TensorValues};
use crate::engine::EngineFault;
use rten::{Value, ValueOrView, ValueView};

/// A tensor as an input.
pub(super) fn view<'a>(name: &str, tensor: &'a Tensor) -> Result<ValueOrView<'a>, EngineFault> {
    let shape = tensor.shape();
    let wrong = |error: &dyn std::fmt::Display| EngineFault::Input {
        input: name.to_owned(),
        reason: error.to_string(),
    };
    match tensor.values() {
        TensorValues::F32(values) => ValueView::from_shape(shape, values)
            .map(Into::into)
            .map_err(|e| wrong(&e)),
        TensorValues::I32(values) => ValueView::from_shape(shape, values)
            .map(Into::into)
            .map_err(|e| wrong(&e)),
        TensorValues::I8(values) => ValueView::from_shape(shape, values)
            .map(Into::into)
            .map_err(|e| wrong(&e)),
        TensorValues::U8(values) => ValueView::from_shape(shape, values)
            .map(Into::into)
            .map_err(|e| wrong(&e)),
        TensorValues::I64(values) => {
            let narrow = |value: &i64| {
                i32::try_from(*value).map_err(|_| wrong(&format!("{value} is beyond the engine's 32-bit integers")))
            };
            let values = values.iter().map(narrow).collect::<Result<Vec<i32>, _>>()?;
            Value::from_shape(shape, values).map(Into::into).map_err(|e| wrong(&e))
        }
    }
}

/// Why a value is no tensor.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTensor {
    #[error(transparent)]
    Shape(#[from] ShapeMismatch),
    #[error("it is a sequence, not a tensor")]
    Sequence,
}

/// A value that was computed.
pub(super) fn tensor(value: Value) -> Result<Tensor, NoTensor> {
    use rten_tensor::prelude::*;
    fn made<T>(tensor: rten_tensor::Tensor<T>) -> Result<Tensor, NoTensor>
    where
        T: Clone,
        TensorValues: From<Vec<T>>,
    {
        let shape = tensor.shape().to_vec();
        Ok(Tensor::from_shape(shape, tensor.into_data())?)
    }
    match value {
        Value::FloatTensor(tensor) => made(tensor),
        Value::Int32Tensor(tensor) => made(tensor),
        Value::Int8Tensor(tensor) => made(tensor),
        Value::UInt8Tensor(tensor) => made(tensor),
        _ => Err(NoTensor::Sequence),
    }
}
