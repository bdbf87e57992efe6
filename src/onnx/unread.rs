//! Constants that no node reads.

use super::{GraphProto, ModelProto, TensorProto, ValueInfoProto};
use std::collections::HashSet;

/// Removes the initializers of the main graph that no node reads, in subgraphs neither, and that are no output. The model
/// computes what it computed.
pub fn remove_unread_initializers(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let mut read = HashSet::new();
    gather_read(graph, &mut read);
    graph
        .initializer
        .retain(|tensor: &TensorProto| read.contains(tensor.name()));
}

fn gather_read(graph: &GraphProto, read: &mut HashSet<String>) {
    read.extend(graph.output.iter().map(ValueInfoProto::name).map(str::to_owned));
    for node in &graph.node {
        read.extend(node.input.iter().cloned());
        for attribute in &node.attribute {
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                gather_read(graph, read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::AttributeProto;
    use crate::onnx::build::{float_tensor, node};

    #[test]
    fn what_a_node_a_subgraph_or_an_output_reads_stays() {
        let constant = |name: &str| float_tensor(name, &[1], &[0.0]);
        let inner = GraphProto {
            node: vec![node("Relu", "", ["inside"], ["r"], vec![])],
            ..GraphProto::default()
        };
        let branch = AttributeProto {
            name: Some("then_branch".into()),
            g: Some(inner),
            ..AttributeProto::default()
        };
        let graph = GraphProto {
            initializer: ["read", "unread", "inside", "given"].map(constant).to_vec(),
            node: vec![
                node("Relu", "", ["read"], ["a"], vec![]),
                node("If", "", ["c"], ["b"], vec![branch]),
            ],
            output: vec![ValueInfoProto {
                name: Some("given".into()),
                ..ValueInfoProto::default()
            }],
            ..GraphProto::default()
        };
        let mut model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        remove_unread_initializers(&mut model);
        let left = model.graph.unwrap().initializer;
        assert_eq!(
            left.iter().map(TensorProto::name).collect::<Vec<_>>(),
            ["read", "inside", "given"]
        );
    }
}
