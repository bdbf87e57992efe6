//! Getting about in nested graphs.

use super::layer::{TensorPlace, WeightSource};
use crate::onnx::build::attribute;
use crate::onnx::{GraphProto, TensorProto, constant_tensor};

/// The graph at the end of `way`, starting from the main graph.
pub(super) fn graph_at<'a>(main: &'a GraphProto, way: &[(usize, String)]) -> Option<&'a GraphProto> {
    way.iter().try_fold(main, |graph, (position, name)| {
        attribute(graph.node.get(*position)?, name)?.g.as_ref()
    })
}

/// The tensor at `source`.
pub(super) fn tensor_at<'a>(main: &'a GraphProto, source: &WeightSource) -> Option<&'a TensorProto> {
    let graph = graph_at(main, &source.subgraphs)?;
    match source.tensor {
        TensorPlace::Initializer(position) => graph.initializer.get(position),
        TensorPlace::Constant(position) => constant_tensor(graph.node.get(position)?),
    }
}
