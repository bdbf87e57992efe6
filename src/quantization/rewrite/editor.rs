//! What a rewrite does to the nodes of layers: their inputs, their bias, and what stands between a weight and its layer.

use super::super::QuantizationError;
use super::cast_target;
use crate::network::{Layer, LayerKind, Network, TensorPlace};
use crate::onnx::build::{float_tensor, int_attribute, node};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphEdit, ModelProto, NodeProto, spell_out_defaults};

/// Starts to rewrite `model`.
///
/// # Errors
/// [`QuantizationError::Rewrite`] when it has no graph.
pub(super) fn edit(model: &ModelProto) -> Result<GraphEdit, QuantizationError> {
    if model.graph.is_none() {
        return Err(QuantizationError::Rewrite("the model has no graph".to_owned()));
    }
    // While the weights are there to tell the shape of a kernel: the engine wants to know it.
    let mut edited = model.clone();
    spell_out_defaults(&mut edited);
    Ok(GraphEdit::new(edited))
}

/// The node at `position` as it is by now.
pub(super) fn node_at(edit: &mut GraphEdit, position: usize) -> Result<&mut NodeProto, QuantizationError> {
    edit.node_mut(position)
        .ok_or_else(|| QuantizationError::Rewrite(format!("node {position} is missing")))
}

/// Lets input `slot` of the node at `position`, which has one there, read `value`.
pub(super) fn replace_input(
    edit: &mut GraphEdit,
    position: usize,
    slot: usize,
    value: String,
) -> Result<(), QuantizationError> {
    if slot >= node_at(edit, position)?.input.len() {
        let reason = format!("node {position} has no input {slot}");
        return Err(QuantizationError::Rewrite(reason));
    }
    edit.replace_input(position, slot, value);
    Ok(())
}

/// Has output `slot` of the node at `position`, if it has one, go through `Gather` on its last axis: who reads it sees the
/// elements `index` (a constant) under the same name.
pub(super) fn select_from_output(
    edit: &mut GraphEdit,
    position: usize,
    slot: usize,
    layer: &str,
    index: &str,
) -> Result<(), QuantizationError> {
    let Some(output) = node_at(edit, position)?.output.get(slot).cloned() else {
        return Ok(());
    };
    if output.is_empty() {
        return Ok(());
    }
    let wide = edit.fresh(&format!("{output}.wide"));
    let name = edit.fresh(&format!("{layer}/select"));
    node_at(edit, position)?.output[slot] = wide.clone();
    let attributes = vec![int_attribute("axis", -1)];
    let gather = node("Gather", name, [wide, index.to_owned()], [output], attributes);
    edit.append(position, gather);
    Ok(())
}

/// Casts a value before the node at position `before`; returns the cast value's name.
pub(super) fn cast(edit: &mut GraphEdit, before: usize, layer: &str, value: &str, element_type: i32) -> String {
    let to = edit.fresh(&format!("{value}.cast"));
    let name = edit.fresh(&format!("{layer}/cast"));
    let attributes = vec![int_attribute("to", i64::from(element_type))];
    edit.insert(before, node("Cast", name, [value.to_owned()], [to.clone()], attributes));
    to
}

/// Gives a layer a new bias, one number for each output channel: as the third input of a convolution or Gemm, else added
/// behind the node.
pub(super) fn set_bias(
    edit: &mut GraphEdit,
    position: usize,
    layer: &Layer,
    bias: &[f32],
) -> Result<(), QuantizationError> {
    // The output channels of `W @ x` are its rows.
    let is_column = layer.kind == LayerKind::MatMul && matches!(&layer.input, Some((_, -2)));
    let shape: &[usize] = if is_column { &[bias.len(), 1] } else { &[bias.len()] };
    let tensor = float_tensor("", shape, bias);
    let bias = edit.add_initializer(&format!("{}.corrected_bias", layer.weight), tensor);
    let missing = || QuantizationError::Rewrite(format!("layer '{}': its node is missing", layer.name));
    let layer_node = edit.node(position).ok_or_else(missing)?;
    let output = layer_node.output.first().cloned().ok_or_else(missing)?;
    if layer.kind == LayerKind::MatMul {
        let product = edit.fresh(&format!("{output}.product"));
        let name = edit.fresh(&format!("{}/correct_bias", layer.name));
        let add = node("Add", name, [product.clone(), bias], [output], vec![]);
        edit.append(position, add);
        node_at(edit, position)?.output[0] = product;
    } else {
        edit.replace_input(position, 2, bias);
        // A Gemm that left its bias out adds the new one.
        let attributes = &mut node_at(edit, position)?.attribute;
        attributes.retain(|attribute| attribute.name() != "beta" || attribute.f() != 0.0);
    }
    Ok(())
}

/// The element type that the layer reads its weight as.
pub(super) fn element_type(edit: &GraphEdit, network: &Network, layer: &Layer) -> Result<i32, QuantizationError> {
    let chain = layer.source.chain.iter().rev();
    match chain.filter_map(|position| edit.node(*position)).find_map(cast_target) {
        Some(element_type) => Ok(element_type),
        None => Ok(crate::onnx::computed_type(network.tensor(layer)?)),
    }
}

/// Repeats, for the new weight `value`, what stood between its weight tensor and the layer; casts are made good by one cast.
pub(super) fn repeat_chain(
    edit: &mut GraphEdit,
    before: usize,
    layer: &Layer,
    mut value: String,
    element_type: i32,
) -> Result<String, QuantizationError> {
    for position in &layer.source.chain {
        let link = node_at(edit, *position)
            .map_err(|error| QuantizationError::Rewrite(format!("layer '{}': {error}", layer.name)))?;
        if link.op_type() == "Transpose" {
            let attributes = link.attribute.clone();
            value = edit.shared(format!("transpose {value} {attributes:?}"), |edit| {
                let to = edit.fresh(&format!("{value}.transposed"));
                let name = edit.fresh(&format!("{}/transpose_weight", layer.name));
                edit.insert(before, node("Transpose", name, [value], [to.clone()], attributes));
                to
            });
        }
    }
    Ok(if element_type == data_type::FLOAT {
        value
    } else {
        edit.shared(format!("cast {value} {element_type}"), |edit| {
            cast(edit, before, &layer.name, &value, element_type)
        })
    })
}

/// Whether the layer's weight is an initializer of the main graph.
pub(super) fn initializer_of(layer: &Layer) -> Option<usize> {
    match layer.source.tensor {
        TensorPlace::Initializer(index) if layer.source.subgraphs.is_empty() => Some(index),
        _ => None,
    }
}
