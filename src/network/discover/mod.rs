//! Finding the layers of a graph: a walk over its nodes, subgraphs where their node stands.

mod convolution;
mod embedding;
mod matmul;
mod names;
mod other;
mod quantized;
mod recurrent;
mod site;
mod tensors;
mod weight_source;

#[cfg(test)]
mod tests;

pub(super) use site::axis_layout;
pub(super) use weight_source::shape;

use super::{Format, Layer, NetworkError, StoredWeights};
use crate::onnx::{Graph, ModelProto};
use site::Site;
pub(super) use tensors::is_companion;

/// The layers of `model`, in graph order; `stored` describes the weights on a grid of a file without a graph.
///
/// # Errors
/// [`NetworkError::Graph`] when the model has no graph.
pub(super) fn layers(model: &ModelProto, format: Format, stored: &StoredWeights) -> Result<Vec<Layer>, NetworkError> {
    let graph = model.graph.as_ref().ok_or_else(|| {
        NetworkError::Graph("the file holds no graph: it is no network, or only a part of one".to_owned())
    })?;
    let mut found = Vec::new();
    match format {
        weights if weights.is_weights() && graph.node.is_empty() => tensors::layers(graph, stored, &mut found),
        _ => walk(&Graph::main(graph), &mut found),
    }
    names::make_unique(&mut found);
    Ok(found)
}

/// Subgraphs nest no deeper than the decoder lets messages nest, so that recursion is safe.
fn walk(scope: &Graph<'_>, found: &mut Vec<Layer>) {
    for (position, node) in scope.proto.node.iter().enumerate() {
        layers_of_node(&Site { scope, position, node }, found);
        for attribute in &node.attribute {
            if let Some(body) = &attribute.g {
                walk(&scope.inner(body, position, node, attribute.name()), found);
            }
        }
    }
}

fn layers_of_node(site: &Site<'_>, found: &mut Vec<Layer>) {
    if !site.is_standard() {
        return quantized::layers(site, found);
    }
    match site.node.op_type() {
        "Conv" => found.extend(convolution::conv(site)),
        "ConvTranspose" => found.extend(convolution::conv_transpose(site)),
        "Gemm" => found.extend(matmul::gemm(site)),
        "MatMul" => found.extend(matmul::matmul(site)),
        "Gather" => found.extend(embedding::embedding(site)),
        "LSTM" | "GRU" | "RNN" => recurrent::layers(site, found),
        _ => quantized::layers(site, found),
    }
}
