//! Finding the layers of a graph.

use super::{Format, Layer, NetworkError};
use crate::onnx::ModelProto;

/// The layers of `model`, in graph order.
pub(super) fn layers(_model: &ModelProto, _format: Format) -> Result<Vec<Layer>, NetworkError> {
    todo!()
}
