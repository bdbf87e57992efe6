//! Values between layers put on their grids, so that runtimes compute in integers from layer to layer.

use super::super::{Plan, QuantizationError};
use super::editor::element_type;
use super::input::{GridStep, Place, SignedCodes};
use crate::network::Network;
use crate::onnx::schema::data_type;
use crate::onnx::{Graph, GraphEdit, NodeProto};
use std::collections::HashMap;

/// Puts the values that `plan` has grids for on them, right behind where they are made, and lets their readers read them there.
/// A signed grid reaches to the end of its type, -128, without a `Clip`, which no integer kernel could hold.
pub(super) fn quantize_values(
    editor: &mut GraphEdit,
    network: &Network,
    plan: &Plan,
    opset: i64,
) -> Result<(), QuantizationError> {
    let Some(proto) = network.model.graph.as_ref().filter(|_| !plan.values.is_empty()) else {
        return Ok(());
    };
    for (layer, planned) in network.layers.iter().zip(&plan.layers) {
        if planned.inputs().is_some() && element_type(editor, network, layer)? != data_type::FLOAT {
            log::info!(
                "outputs stay float: '{}' computes in another element type than F32",
                layer.name
            );
            return Ok(());
        }
    }
    let graph = Graph::main(proto);
    // Layers find their input on its grid by themselves, with the copies of split channels.
    let layers = network.layers.iter().zip(&plan.layers).filter_map(|(layer, planned)| {
        planned.inputs()?.activation?;
        let path = layer.node.as_ref().filter(|path| path.subgraphs.is_empty())?;
        Some((path.node, layer.input.as_ref()?.0.as_str()))
    });
    let inputs: HashMap<usize, &str> = layers.collect();
    let signed = SignedCodes::of(plan, opset);
    for (value, activation) in &plan.values {
        let place = graph.maker(value).map_or(Place::Before(0), Place::Behind);
        let label = graph.maker_node(value).map_or(value.as_str(), NodeProto::name);
        let name = if label.is_empty() { value } else { label };
        let step = GridStep::at(place, name, value, activation.grid, signed);
        let codes = step.codes(editor, false);
        for &position in graph.readers(value) {
            let reads = graph.node(position).map_or(&[][..], |node| node.input.as_slice());
            let slots = reads.iter().enumerate().filter(|(_, input)| *input == value);
            for (slot, _) in slots.filter(|_| inputs.get(&position) != Some(&value.as_str())) {
                let dequantized = step.dequantized(editor, codes.clone());
                editor.replace_input(position, slot, dequantized);
            }
        }
    }
    Ok(())
}
