//! A graph that fits its state dict, put around the tensors of the file.

use super::Recognised;
use crate::network::PreprocessHint;
use crate::onnx::schema::OperatorSetIdProto;
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use std::collections::HashSet;

/// Operator set of the graphs made here: it has all that the families need, and every engine of today reads it.
pub(super) const OPSET: i64 = 17;
/// The file format that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// A graph that lacks only the tensors of the file.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) title: String,
    pub(super) notes: Vec<String>,
    pub(super) preprocess: PreprocessHint,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) constants: Vec<TensorProto>,
    pub(super) replaced: HashSet<String>,
    pub(super) inputs: Vec<ValueInfoProto>,
    pub(super) output: Vec<ValueInfoProto>,
}

impl Finished {
    /// The graph with the initializers of `model`, in their order, but for those that others replace.
    pub(super) fn around(self, model: ModelProto) -> Recognised {
        let mut initializer = model.graph.map(|graph| graph.initializer).unwrap_or_default();
        initializer.retain(|tensor| !self.replaced.contains(tensor.name()));
        initializer.extend(self.constants);
        let graph = GraphProto {
            name: Some(self.title.clone()),
            node: self.nodes,
            initializer,
            input: self.inputs,
            output: self.output,
            ..GraphProto::default()
        };
        let standard = OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(OPSET),
        };
        Recognised {
            model: ModelProto {
                ir_version: Some(IR_VERSION),
                producer_name: Some("Splitscope".to_owned()),
                opset_import: vec![standard],
                graph: Some(graph),
                ..model
            },
            name: self.title,
            preprocess: self.preprocess,
            notes: self.notes,
        }
    }
}
