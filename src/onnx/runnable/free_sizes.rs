//! Names of free sizes that say too much.
//!
//! The engine (rten 0.27) takes two axes of one name for equally long, and works out shapes by that. Files call axes alike that
//! need not be: Paddle writes `?` for every free one, and a name given to height and width does not keep anybody from other
//! pictures than square ones, which onnxruntime runs.

use super::super::schema::{tensor_shape_proto, type_proto};
use super::super::{ModelProto, ValueInfoProto};
use tensor_shape_proto::{Dimension, Value};

/// Takes the names off axes of the main graph's values that are no identifiers, or that two axes of one value share. Tells whether
/// anything changed.
pub(super) fn forget_shared_names(model: &mut ModelProto) -> bool {
    let Some(graph) = &mut model.graph else { return false };
    let values = graph
        .input
        .iter_mut()
        .chain(&mut graph.output)
        .chain(&mut graph.value_info);
    values.map(in_value).fold(false, |changed, value| changed | value)
}

fn in_value(value: &mut ValueInfoProto) -> bool {
    let Some(type_proto::Value::TensorType(tensor)) = value.r#type.as_mut().and_then(|kind| kind.value.as_mut()) else {
        return false;
    };
    let axes = tensor.shape.as_mut().map(|shape| &mut shape.dim);
    let Some(axes) = axes else { return false };
    let name = |axis: &Dimension| match &axis.value {
        Some(Value::DimParam(name)) => Some(name.clone()),
        _ => None,
    };
    let names: Vec<Option<String>> = axes.iter().map(name).collect();
    let mut changed = false;
    for (axis, own) in axes.iter_mut().zip(&names) {
        let says_too_much = own
            .as_ref()
            .is_some_and(|own| !is_identifier(own) || names.iter().flatten().filter(|name| *name == own).count() > 1);
        if says_too_much {
            axis.value = None;
            changed = true;
        }
    }
    changed
}

/// Whether ONNX lets an axis have this name.
fn is_identifier(name: &str) -> bool {
    let begins = name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    begins && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}
