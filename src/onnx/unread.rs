//! Constants that no node reads.

use super::{ModelProto, TensorProto, each_read};
use std::collections::HashSet;

/// Removes the initializers of the main graph that no node reads, in subgraphs neither, and that are no output. The model
/// computes what it computed.
pub fn remove_unread_initializers(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let mut read: HashSet<String> = graph.output.iter().map(|output| output.name().to_owned()).collect();
    for node in &graph.node {
        each_read(node, &mut |name| {
            read.insert(name.to_owned());
        });
    }
    graph
        .initializer
        .retain(|tensor: &TensorProto| read.contains(tensor.name()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, node};
    use crate::onnx::{AttributeProto, GraphProto, ValueInfoProto};

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
