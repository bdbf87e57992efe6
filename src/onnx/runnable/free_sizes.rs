//! Names of free sizes that say too much.
//!
//! The engine (rten 0.27) takes two axes of one name for equally long, and works out shapes by that. Files call axes alike that
//! need not be: Paddle writes `?` for every free one, and a name given to height and width does not keep anybody from other
//! pictures than square ones, which onnxruntime runs.

use super::super::schema::{tensor_shape_proto, type_proto};
use super::super::{ModelProto, ValueInfoProto};
use tensor_shape_proto::{Dimension, Value};

/// Takes the names off axes of the main graph's values that are no identifiers, or that two axes of one value share.
pub(super) fn forget_shared_names(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let values = graph
        .input
        .iter_mut()
        .chain(&mut graph.output)
        .chain(&mut graph.value_info);
    values.for_each(in_value);
}

fn in_value(value: &mut ValueInfoProto) {
    let Some(type_proto::Value::TensorType(tensor)) = value.r#type.as_mut().and_then(|kind| kind.value.as_mut()) else {
        return;
    };
    let axes = tensor.shape.as_mut().map(|shape| &mut shape.dim);
    let Some(axes) = axes else { return };
    let names: Vec<Option<String>> = axes.iter().map(name).collect();
    for (axis, own) in axes.iter_mut().zip(&names) {
        let says_too_much = own
            .as_ref()
            .is_some_and(|own| !is_axis_name(own) || names.iter().flatten().filter(|name| *name == own).count() > 1);
        if says_too_much {
            axis.value = None;
        }
    }
}

/// The names of a value's axes as the file gives them; `None` for a fixed or unnamed one.
pub fn axis_names(value: &ValueInfoProto) -> Vec<Option<String>> {
    let Some(type_proto::Value::TensorType(tensor)) = value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Vec::new();
    };
    let axes = tensor.shape.iter().flat_map(|shape| &shape.dim);
    axes.map(name).collect()
}

fn name(axis: &Dimension) -> Option<String> {
    match &axis.value {
        Some(Value::DimParam(name)) => Some(name.clone()),
        _ => None,
    }
}

/// Whether ONNX lets an axis have this name: an identifier.
pub fn is_axis_name(name: &str) -> bool {
    let begins = name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    begins && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}
