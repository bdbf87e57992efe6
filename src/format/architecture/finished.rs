//! A graph that fits its state dict, put around the tensors of the file.

use super::Recognised;
use super::net::{Axis, as_i64};
use crate::network::PreprocessHint;
use crate::onnx::schema::{OperatorSetIdProto, TensorShapeProto, TypeProto, tensor_shape_proto, type_proto};
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use std::collections::HashSet;

/// Operator set of the graphs made here: it has all that the families need, and every engine of today reads it.
const OPSET: i64 = 17;
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

pub(super) fn value_info(name: &str, element_type: i32, axes: &[Axis]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, Value};
    let dim = axes.iter().map(|axis| Dimension {
        value: Some(match axis {
            Axis::Size(size) => Value::DimValue(as_i64(*size)),
            Axis::Free(name) => Value::DimParam((*name).to_owned()),
        }),
        denotation: None,
    });
    let tensor = type_proto::Tensor {
        elem_type: Some(element_type),
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}
