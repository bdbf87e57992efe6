//! A plan carried out on the graph, with standard operators only.

use super::{Plan, QuantizationError};
use crate::network::Network;
use crate::onnx::{ModelProto, TensorProto};

/// The quantized network: `Gather` for the splits, int8 weights behind `DequantizeLinear`, `Clip`, `QuantizeLinear` and
/// `DequantizeLinear` on activations; the recipe in `metadata_props`.
///
/// # Errors
/// [`QuantizationError::Rewrite`] naming the node that cannot be rewritten.
pub fn rewrite(_network: &Network, _plan: &Plan) -> Result<ModelProto, QuantizationError> {
    todo!()
}

/// The plan's splits alone, in float and without a grid: computes what the original network computes.
///
/// # Errors
/// [`QuantizationError::Rewrite`] naming the node that cannot be rewritten.
pub fn split_only(_network: &Network, _plan: &Plan) -> Result<ModelProto, QuantizationError> {
    todo!()
}

/// The tensors and metadata of a safetensors export: for each quantized layer `NAME` (dequantized, expanded), `NAME.q`,
/// `NAME.scale`, `NAME.ocs_index`; everything else as it was.
///
/// # Errors
/// [`QuantizationError::Network`] when a tensor cannot be read.
pub fn quantized_tensors(
    _network: &Network,
    _plan: &Plan,
) -> Result<(Vec<TensorProto>, Vec<(String, String)>), QuantizationError> {
    todo!()
}
