//! Output channels repeated in the layer that makes them and in the nodes up to the split layer (see `quantization::widen`).

use super::super::{Plan, QuantizationError};
use super::editor::{element_type, node_at, repeat_chain, replace_input};
use super::gather::gather;
use super::recurrent::WideCell;
use crate::network::Network;
use crate::onnx::build::{float_tensor, int_attribute};
use crate::onnx::{GraphEdit, TensorProto};
use crate::quantization::widen::{Way, Widening};

/// Output channels of a layer that come more than once.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// Hidden units of a recurrent cell.
    Cell(WideCell<'a>),
    /// Those that another layer reads split.
    Way {
        /// The channel that each channel copies.
        index: &'a [usize],
        /// Axis of the output channels of the stored weight.
        axis: usize,
    },
}

impl<'a> Rows<'a> {
    /// What is repeated of layer `index`, if anything is.
    pub(super) fn of(network: &Network, plan: &'a Plan, widening: &'a Widening, index: usize) -> Option<Self> {
        let layer = &network.layers[index];
        if let Some(cell) = WideCell::of(network, plan, layer) {
            return Some(Self::Cell(cell));
        }
        let way = widening.of_outputs(index)?;
        Some(Self::Way {
            index: &way.index,
            axis: layer.output_axis(),
        })
    }

    /// The layer's weight with the rows of the copies.
    pub(super) fn weight(&self, weight: &TensorProto) -> Result<TensorProto, QuantizationError> {
        match self {
            Self::Cell(cell) => cell.rows(weight),
            Self::Way { index, axis } => gather(weight, *axis, index),
        }
    }

    /// Its scales (or zero points) likewise; one for the whole tensor stays one.
    pub(super) fn scales(&self, scales: &TensorProto) -> Result<TensorProto, QuantizationError> {
        match self {
            Self::Cell(cell) => cell.scales(scales),
            Self::Way { .. } if scales.dims.is_empty() => Ok(scales.clone()),
            Self::Way { index, .. } => gather(scales, 0, index),
        }
    }

    /// One number for each output channel likewise. (Those of a cell are widened with the cell.)
    pub(super) fn vector(&self, values: &[f32]) -> Vec<f32> {
        match self {
            Self::Cell(_) => values.to_vec(),
            Self::Way { index, .. } => index.iter().filter_map(|place| values.get(*place).copied()).collect(),
        }
    }
}

/// Repeats output channels of layer `index`, which stays float.
pub(super) fn widen_float_layer(
    editor: &mut GraphEdit,
    network: &Network,
    index: usize,
    rows: &Rows<'_>,
) -> Result<(), QuantizationError> {
    let layer = &network.layers[index];
    let Some(path) = &layer.node else { return Ok(()) };
    let element_type = element_type(editor, network, layer)?;
    let values = network.weights(index)?;
    let weight = rows.weight(&float_tensor("", &layer.shape, &values))?;
    let weight = editor.add_initializer(&format!("{}.wide", layer.weight), weight);
    let weight = repeat_chain(editor, path.node, layer, weight, element_type)?;
    replace_input(editor, path.node, layer.weight_input, weight)
}

/// Repeats channels in the constants on `way` that are no weights. `has_own_bias` says of a layer that its bias is a new one,
/// with the copies in it.
pub(super) fn widen_constants(
    editor: &mut GraphEdit,
    network: &Network,
    way: &Way,
    has_own_bias: impl Fn(usize) -> bool,
) -> Result<(), QuantizationError> {
    for step in &way.steps {
        // What the file says of its shape holds no longer. The names are those of the file: a corrected bias behind a product
        // has taken over the output's.
        let outputs = network.model.graph.iter().filter_map(|graph| graph.node.get(step.node));
        for output in outputs.flat_map(|node| &node.output) {
            editor.forget_shape(output.clone());
        }
        if let Some(index) = step.layer {
            let layer = &network.layers[index];
            if layer.layout.groups > 1 {
                let groups = int_attribute("group", way.index.len() as i64);
                let attributes = &mut node_at(editor, step.node)?.attribute;
                attributes.retain(|attribute| attribute.name() != "group");
                attributes.push(groups);
            }
            if has_own_bias(index) {
                continue;
            }
        }
        for (slot, axis) in &step.constants {
            let name = node_at(editor, step.node)?
                .input
                .get(*slot)
                .cloned()
                .unwrap_or_default();
            let Some(tensor) = editor.constant(&name) else {
                return Err(QuantizationError::Rewrite(format!("'{name}' is no constant")));
            };
            let wide = gather(tensor, *axis, &way.index)?;
            let wide = editor.add_initializer(&format!("{name}.wide"), wide);
            replace_input(editor, step.node, *slot, wide)?;
        }
    }
    Ok(())
}
