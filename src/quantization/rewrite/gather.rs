//! Slices of a constant, repeated.

use super::super::QuantizationError;
use crate::onnx::build::raw_tensor;
use crate::onnx::{TensorProto, as_written, tensor_bytes};

/// `tensor` with the slices `places` of `axis`, as the operator `Gather` has it; of any element type of whole bytes.
pub(super) fn gather(tensor: &TensorProto, axis: usize, places: &[usize]) -> Result<TensorProto, QuantizationError> {
    let unfit = || {
        QuantizationError::Rewrite(format!(
            "tensor '{}' of shape {:?} does not have the channels of its node on axis {axis}",
            tensor.name(),
            tensor.dims
        ))
    };
    let unread = |error: crate::onnx::OnnxError| QuantizationError::Rewrite(error.to_string());
    let tensor = &*as_written(tensor).map_err(unread)?;
    let bytes = tensor_bytes(tensor).map_err(unread)?;
    let sizes: Option<Vec<usize>> = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect();
    let mut sizes = sizes.ok_or_else(unfit)?;
    let size = *sizes.get(axis).ok_or_else(unfit)?;
    let outer: usize = sizes[..axis].iter().product();
    if places.iter().any(|place| *place >= size) || bytes.is_empty() || !bytes.len().is_multiple_of(outer * size) {
        return Err(unfit());
    }
    let slice = bytes.len() / (outer * size);
    let mut gathered = Vec::with_capacity(outer * places.len() * slice);
    for block in bytes.chunks(size * slice) {
        for place in places {
            gathered.extend_from_slice(&block[place * slice..][..slice]);
        }
    }
    sizes[axis] = places.len();
    Ok(raw_tensor("", tensor.data_type(), &sizes, gathered))
}
