//! Tensors as rten takes and gives them. Nothing is copied but what lies otherwise in memory than row by row.

use crate::data::{Tensor, TensorValues};
use rten::{Value, ValueOrView, ValueView};

/// A tensor as an input.
pub(super) fn view<'a>(name: &str, tensor: &'a Tensor) -> Result<ValueOrView<'a>, String> {
    let shape = tensor.shape();
    let wrong = |error: &dyn std::fmt::Display| format!("the input '{name}': {error}");
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

/// A value that was computed.
pub(super) fn tensor(value: Value) -> Result<Tensor, String> {
    use rten_tensor::prelude::*;
    fn made<T>(tensor: rten_tensor::Tensor<T>) -> Result<Tensor, String>
    where
        T: Clone,
        TensorValues: From<Vec<T>>,
    {
        let shape = tensor.shape().to_vec();
        Tensor::from_shape(shape, tensor.into_data()).map_err(|error| error.to_string())
    }
    match value {
        Value::FloatTensor(tensor) => made(tensor),
        Value::Int32Tensor(tensor) => made(tensor),
        Value::Int8Tensor(tensor) => made(tensor),
        Value::UInt8Tensor(tensor) => made(tensor),
        _ => Err("it is a sequence, not a tensor".to_owned()),
    }
}
