//! The tokens that a decoder reads, their positions, and which of them each step may look at.

use super::net::{Axis, Net};
use super::transformer::HIDDEN;
use crate::network::{LOOKED_AT, POSITIONS};
use crate::onnx::build::{i64_tensor, int_attribute, scalar_f32, scalar_i64};
use crate::onnx::schema::data_type;
use std::collections::HashMap;

/// The steps of a sequence: their number, and their positions as a column and as a row.
#[derive(Debug, Clone)]
pub(super) struct Steps {
    /// Positions from 0 on, integers `[steps]`.
    pub(super) positions: String,
    /// `[steps, 1]`
    pub(super) column: String,
    /// `[1, steps]`
    pub(super) row: String,
}

impl Steps {
    /// The steps of `tokens` `[batch, sequence]`. Names of their nodes begin with `stack`, which is empty where a network is one
    /// decoder: by those names it is found to be one that can read on from a past.
    pub(super) fn of(net: &mut Net<'_>, tokens: &str, stack: &str) -> Self {
        let name = |part: &str| format!("{stack}{part}");
        let shape = net.node("Shape", &name("steps.shape"), [tokens], vec![]);
        let axis = net.constant(scalar_i64(name("steps.axis"), 1));
        let inputs = [shape, axis];
        let count = net.node("Gather", &name("steps.count"), inputs, vec![int_attribute("axis", 0)]);
        let [zero, one] = [0, 1].map(|number| net.constant(scalar_i64(name(&format!("steps.{number}")), number)));
        let positions = net.node("Range", &name(POSITIONS), [zero, count, one], vec![]);
        let mut along = |part: &str, axis: i64| {
            let axes = net.constant(i64_tensor(name(&format!("{part}.axis")), &[1], &[axis]));
            net.node("Unsqueeze", &name(part), [positions.clone(), axes], vec![])
        };
        let (column, row) = (along("steps.column", 1), along(LOOKED_AT[0], 0));
        Self { positions, column, row }
    }
}

/// The input of token ids `[batch, sequence]`, and its steps.
pub(super) fn read_tokens(net: &mut Net<'_>) -> (String, Steps) {
    let axes = [Axis::Free("batch"), Axis::Free("sequence")];
    let tokens = net.input("input_ids", data_type::INT64, &axes);
    let steps = Steps::of(net, &tokens, "");
    (tokens, steps)
}

/// The masks of a network: one for each kind of attention.
pub(super) struct Masks {
    steps: Steps,
    made: HashMap<Option<usize>, String>,
}

impl Masks {
    pub(super) fn new(steps: &Steps) -> Self {
        Self {
            steps: steps.clone(),
            made: HashMap::new(),
        }
    }

    /// What is added to the scores `[…, steps, steps]`: 0 where a step may look, far below 0 at later steps and, with a
    /// window, at those `window` and more steps before.
    pub(super) fn mask(&mut self, net: &mut Net<'_>, window: Option<usize>) -> String {
        if let Some(mask) = self.made.get(&window) {
            return mask.clone();
        }
        let name = |part: &str| match window {
            None => format!("mask.{part}"),
            Some(window) => format!("mask.{window}.{part}"),
        };
        let (column, row) = (self.steps.column.clone(), self.steps.row.clone());
        let mut hidden = net.node("Greater", &name("later"), [row.clone(), column.clone()], vec![]);
        if let Some(window) = window {
            let width = i64::try_from(window).unwrap_or(i64::MAX);
            let width = net.constant(scalar_i64(name("width"), width));
            let ago = net.node("Sub", &name("ago"), [column, row], vec![]);
            let gone = net.node("GreaterOrEqual", &name("gone"), [ago, width], vec![]);
            hidden = net.node("Or", &name("hidden"), [hidden, gone], vec![]);
        }
        let [below, zero] =
            [("below", -HIDDEN), ("zero", 0.0)].map(|(part, value)| net.constant(scalar_f32(name(part), value)));
        let mask = net.node("Where", &name("scores"), [hidden, below, zero], vec![]);
        self.made.insert(window, mask.clone());
        mask
    }
}
