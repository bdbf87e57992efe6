//! A walk over every tensor of a model, wherever it is kept.

use super::schema::SparseTensorProto;
use super::{AttributeProto, GraphProto, ModelProto, NodeProto, OnnxError, TensorProto};

type Visit<'visit> = dyn FnMut(&mut TensorProto) -> Result<(), OnnxError> + 'visit;

/// Calls `visit` for every tensor: initializers, attributes, sparse tensors, subgraphs, functions, training graphs.
///
/// The depth of subgraphs is bounded by the decoder's limit of 100 nested messages.
///
/// # Errors
/// The first error of `visit`.
pub(super) fn tensors(model: &mut ModelProto, visit: &mut Visit<'_>) -> Result<(), OnnxError> {
    if let Some(graph) = &mut model.graph {
        in_graph(graph, visit)?;
    }
    for training in &mut model.training_info {
        for graph in training.initialization.iter_mut().chain(&mut training.algorithm) {
            in_graph(graph, visit)?;
        }
    }
    for function in &mut model.functions {
        in_nodes(&mut function.node, visit)?;
        in_attributes(&mut function.attribute_proto, visit)?;
    }
    Ok(())
}

fn in_graph(graph: &mut GraphProto, visit: &mut Visit<'_>) -> Result<(), OnnxError> {
    graph.initializer.iter_mut().try_for_each(&mut *visit)?;
    in_sparse(&mut graph.sparse_initializer, visit)?;
    in_nodes(&mut graph.node, visit)
}

fn in_nodes(nodes: &mut [NodeProto], visit: &mut Visit<'_>) -> Result<(), OnnxError> {
    nodes
        .iter_mut()
        .try_for_each(|node| in_attributes(&mut node.attribute, visit))
}

fn in_attributes(attributes: &mut [AttributeProto], visit: &mut Visit<'_>) -> Result<(), OnnxError> {
    for attribute in attributes {
        attribute.t.iter_mut().try_for_each(&mut *visit)?;
        attribute.tensors.iter_mut().try_for_each(&mut *visit)?;
        in_sparse(attribute.sparse_tensor.as_mut_slice(), visit)?;
        in_sparse(&mut attribute.sparse_tensors, visit)?;
        for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            in_graph(graph, visit)?;
        }
    }
    Ok(())
}

fn in_sparse(sparse: &mut [SparseTensorProto], visit: &mut Visit<'_>) -> Result<(), OnnxError> {
    for tensor in sparse {
        tensor.values.iter_mut().try_for_each(&mut *visit)?;
        tensor.indices.iter_mut().try_for_each(&mut *visit)?;
    }
    Ok(())
}
