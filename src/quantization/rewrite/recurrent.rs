//! Hidden units of LSTM, GRU and RNN repeated inside the cell (Zhao et al. 2019, section 5.3).
//!
//! The input of R is the hidden state, which no `Gather` can reach. So the cell itself is made wider: a copy of a hidden
//! unit has the unit's rows of W, R, the biases and peepholes in every gate, and its initial state; it therefore always
//! holds the unit's state, and R's column can be shared out between the two. Behind the node, `Gather` leaves the units that
//! were there before. In a layer of both directions a unit is repeated in both.

use super::super::{Plan, QuantizationError};
use super::editor::{node_at, replace_input, select_from_output};
use super::gather::gather;
use crate::network::{Layer, Network};
use crate::onnx::build::{i64_tensor, int_attribute, node};
use crate::onnx::{GraphEdit, TensorProto};

// Inputs of a recurrent node.
const INPUT_WEIGHT: usize = 1;
const BIAS: usize = 3;
const INITIAL_STATES: [usize; 2] = [5, 6];
const PEEPHOLES: usize = 7;

/// Gates that look at the cell state: input, output, forget.
const PEEPHOLE_GATES: usize = 3;

/// A recurrent node whose hidden units are repeated.
#[derive(Clone, Copy)]
pub(super) struct WideCell<'a> {
    gates: usize,
    /// Hidden units of the original.
    hidden: usize,
    /// For each hidden unit of the wide cell, the one that it copies.
    units: &'a [usize],
}

impl<'a> WideCell<'a> {
    /// The cell that `layer` (its W or its R) belongs to; `None` when `plan` does not split its R.
    pub(super) fn of(network: &Network, plan: &'a Plan, layer: &Layer) -> Option<Self> {
        let gates = layer.kind.gates()?;
        let place = network.recurrent_layer_of(layer)?;
        let inputs = plan.layers.get(place)?.inputs()?;
        (!inputs.splits.is_empty()).then_some(Self {
            gates,
            hidden: network.layers[place].layout.channels,
            units: inputs.index,
        })
    }

    /// The places, in the original, of what the wide cell has in `blocks` blocks of hidden units.
    fn places(&self, blocks: usize) -> Vec<usize> {
        (0..blocks)
            .flat_map(|block| self.units.iter().map(move |unit| block * self.hidden + unit))
            .collect()
    }

    /// W or R `[D, gates*H, …]` with the rows of the copies.
    pub(super) fn rows(&self, weight: &TensorProto) -> Result<TensorProto, QuantizationError> {
        gather(weight, 1, &self.places(self.gates))
    }

    /// The scales (or zero points) of W or R with those of the copies; one for the whole tensor stays one.
    pub(super) fn scales(&self, scales: &TensorProto) -> Result<TensorProto, QuantizationError> {
        if scales.dims.is_empty() {
            return Ok(scales.clone());
        }
        gather(scales, 0, &self.places(self.gates))
    }

    /// Widens all of the node of R's layer `layer` but the weights that are planned.
    pub(super) fn widen(
        &self,
        editor: &mut GraphEdit,
        network: &Network,
        plan: &Plan,
        layer: &Layer,
    ) -> Result<(), QuantizationError> {
        let Some(path) = &layer.node else {
            return Ok(());
        };
        let position = path.node;
        let input_weight_is_planned = network
            .layers_of_node(path)
            .iter()
            .any(|other| network.layers[*other].weight_input == INPUT_WEIGHT && plan.layers[*other].inputs().is_some());
        if !input_weight_is_planned {
            self.widen_input(editor, position, layer, INPUT_WEIGHT, 1, self.gates)?;
        }
        self.widen_input(editor, position, layer, BIAS, 1, 2 * self.gates)?;
        self.widen_input(editor, position, layer, PEEPHOLES, 1, PEEPHOLE_GATES)?;
        for state in INITIAL_STATES {
            self.widen_input(editor, position, layer, state, 2, 1)?;
        }

        let size = int_attribute("hidden_size", self.units.len() as i64);
        let attributes = &mut node_at(editor, position)?.attribute;
        attributes.retain(|attribute| attribute.name() != "hidden_size");
        attributes.push(size);

        let originals: Vec<i64> = (0..self.hidden as i64).collect();
        let originals = editor.shared(format!("first {}", self.hidden), |editor| {
            editor.add_initializer(
                &format!("{}.hidden_index", layer.weight),
                i64_tensor("", &[originals.len()], &originals),
            )
        });
        for output in 0..node_at(editor, position)?.output.len() {
            select_from_output(editor, position, output, &layer.name, &originals)?;
        }
        Ok(())
    }

    /// Repeats the copies in input `slot` of the node, if it is given: in place if it is a constant, else by `Gather`.
    fn widen_input(
        &self,
        editor: &mut GraphEdit,
        position: usize,
        layer: &Layer,
        slot: usize,
        axis: usize,
        blocks: usize,
    ) -> Result<(), QuantizationError> {
        let Some(value) = node_at(editor, position)?.input.get(slot).cloned() else {
            return Ok(());
        };
        if value.is_empty() {
            return Ok(());
        }
        let places = self.places(blocks);
        let key = format!("wide {value} {axis} {places:?}");
        let constant = editor.initializer(&value).map(|tensor| gather(tensor, axis, &places));
        let wide = match constant {
            Some(tensor) => {
                let tensor = tensor?;
                editor.shared(key, |editor| editor.add_initializer(&format!("{value}.wide"), tensor))
            }
            None => editor.shared(key, |editor| {
                let places: Vec<i64> = places.iter().map(|place| *place as i64).collect();
                let index = i64_tensor("", &[places.len()], &places);
                let index = editor.add_initializer(&format!("{value}.wide_index"), index);
                let to = editor.fresh(&format!("{value}.wide"));
                let name = editor.fresh(&format!("{}/widen", layer.name));
                let attributes = vec![int_attribute("axis", axis as i64)];
                editor.insert(position, node("Gather", name, [value, index], [to.clone()], attributes));
                to
            }),
        };
        replace_input(editor, position, slot, wide)
    }
}
