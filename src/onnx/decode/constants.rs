//! The constants that a graph sees: its own, and those of the graphs around it.

use crate::onnx::build::attribute_tensor;
use crate::onnx::{NodeProto, TensorProto};
use std::collections::HashMap;

/// Constants by name, with those of the graphs around.
#[derive(Default)]
pub(super) struct Constants<'a> {
    own: HashMap<&'a str, &'a TensorProto>,
    outer: Option<&'a Constants<'a>>,
}

impl<'a> Constants<'a> {
    /// Those of a graph with these initializers and nodes.
    pub(super) fn of(initializers: &'a [TensorProto], nodes: &'a [NodeProto], outer: &'a Constants<'a>) -> Self {
        let mut own: HashMap<&str, &TensorProto> = initializers.iter().map(|tensor| (tensor.name(), tensor)).collect();
        for node in nodes.iter().filter(|node| node.op_type() == "Constant") {
            if let (Some(tensor), [output]) = (attribute_tensor(node, "value"), node.output.as_slice()) {
                own.insert(output, tensor);
            }
        }
        Self {
            own,
            outer: Some(outer),
        }
    }

    /// The constant called `name`, of the innermost graph that has one.
    pub(super) fn find(&self, name: &str) -> Option<&'a TensorProto> {
        self.own.get(name).copied().or_else(|| self.outer?.find(name))
    }
}
