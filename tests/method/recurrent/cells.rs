//! Small networks of one recurrent node, with and without everything that is optional.

use super::reference::Tensor;
use crate::common::graph::{self, model, value};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, i32_tensor, int_attribute, node, string_attribute};
use splitscope::onnx::{NodeProto, TensorProto};

pub(crate) const STEPS: usize = 4;

const BATCH: usize = 2;

pub(crate) const INPUTS: usize = 3;

const HIDDEN: usize = 5;

const OUTPUTS: [&str; 3] = ["Y", "Y_h", "Y_c"];

/// Deterministic numbers between -1 and 1, a few of them large.
pub(crate) fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let x = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
        if state >> 28 == 3 { 2.0 * x } else { x }
    };
    (0..count).map(|_| next()).collect()
}

/// A small recurrent network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) op: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) linear_before_reset: bool,
    pub(crate) bias: bool,
    /// Initial states: none, constants, or inputs of the graph.
    pub(crate) states: States,
    pub(crate) peepholes: bool,
    pub(crate) lengths: bool,
    pub(crate) batch_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum States {
    None,
    Constant,
    Input,
}

impl Case {
    pub(crate) fn plain(op: &'static str) -> Self {
        Self {
            op,
            direction: "forward",
            linear_before_reset: op == "GRU",
            bias: true,
            states: States::None,
            peepholes: false,
            lengths: false,
            batch_first: false,
        }
    }

    /// Whether the engine computes such a node; of the rest it refuses some and leaves out parts of others.
    pub(crate) fn engine_knows(&self) -> bool {
        let reset = self.op != "GRU" || self.linear_before_reset;
        self.op != "RNN" && reset && !self.peepholes && !self.lengths && !self.batch_first
    }

    pub(crate) fn outputs(&self) -> &'static [&'static str] {
        if self.op == "LSTM" { &OUTPUTS } else { &OUTPUTS[..2] }
    }

    fn state_shape(&self) -> [usize; 3] {
        let directions = self.directions();
        if self.batch_first {
            [BATCH, directions, HIDDEN]
        } else {
            [directions, BATCH, HIDDEN]
        }
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.direction == "bidirectional")
    }

    pub(crate) fn network(&self) -> Network {
        let d = self.directions();
        let gates = match self.op {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let mut constants = vec![
            float_tensor(
                "W",
                &[d, gates * HIDDEN, INPUTS],
                &noise(d * gates * HIDDEN * INPUTS, 1),
            ),
            float_tensor(
                "R",
                &[d, gates * HIDDEN, HIDDEN],
                &noise(d * gates * HIDDEN * HIDDEN, 2),
            ),
        ];
        let mut names = vec!["X", "W", "R", "", "", "", "", ""];
        if self.bias {
            names[3] = "B";
            constants.push(float_tensor(
                "B",
                &[d, 2 * gates * HIDDEN],
                &noise(d * 2 * gates * HIDDEN, 3),
            ));
        }
        if self.lengths {
            names[4] = "lengths";
            constants.push(i32_tensor("lengths", &[BATCH], &[3, 4]));
        }
        let mut inputs = vec!["X"];
        if self.states != States::None {
            for (slot, name) in [(5, "h"), (6, "c")].into_iter().take(self.outputs().len() - 1) {
                names[slot] = name;
                if self.states == States::Input {
                    inputs.push(name);
                } else {
                    let shape = self.state_shape();
                    constants.push(float_tensor(name, &shape, &noise(shape.iter().product(), slot as u32)));
                }
            }
        }
        if self.peepholes {
            names[7] = "P";
            constants.push(float_tensor("P", &[d, 3 * HIDDEN], &noise(d * 3 * HIDDEN, 8)));
        }
        while names.last() == Some(&"") {
            names.pop();
        }
        let mut attributes = vec![
            int_attribute("hidden_size", HIDDEN as i64),
            string_attribute("direction", self.direction),
        ];
        if self.op == "GRU" {
            attributes.push(int_attribute(
                "linear_before_reset",
                i64::from(self.linear_before_reset),
            ));
        }
        if self.batch_first {
            attributes.push(int_attribute("layout", 1));
        }
        let cell = node(self.op, "cell", names, self.outputs().iter().copied(), attributes);
        of_cell(vec![cell], constants, &inputs, self.outputs())
    }

    pub(crate) fn inputs(&self) -> Vec<(&'static str, Tensor)> {
        let tensor = |shape: &[usize], seed| Tensor {
            shape: shape.to_vec(),
            values: noise(shape.iter().product(), seed)
                .iter()
                .map(|x| f64::from(*x))
                .collect(),
        };
        let x = if self.batch_first {
            [BATCH, STEPS, INPUTS]
        } else {
            [STEPS, BATCH, INPUTS]
        };
        let mut inputs = vec![("X", tensor(&x, 10))];
        if self.states == States::Input {
            inputs.push(("h", tensor(&self.state_shape(), 11)));
            if self.op == "LSTM" {
                inputs.push(("c", tensor(&self.state_shape(), 12)));
            }
        }
        inputs
    }
}

fn of_cell(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, inputs: &[&str], outputs: &[&str]) -> Network {
    let values = |names: &[&str]| names.iter().map(|name| value(name)).collect();
    graph::network(model(14, (nodes, constants), values(inputs), values(outputs)))
}

/// Every kind of cell in every direction, with and without what is optional.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["LSTM", "GRU", "RNN"] {
        for direction in ["forward", "reverse", "bidirectional"] {
            for states in [States::None, States::Constant, States::Input] {
                let plain = Case {
                    direction,
                    states,
                    ..Case::plain(op)
                };
                cases.push(plain);
                cases.push(Case { bias: false, ..plain });
                cases.push(Case { lengths: true, ..plain });
                cases.push(Case {
                    batch_first: true,
                    ..plain
                });
                match op {
                    "LSTM" => cases.push(Case {
                        peepholes: true,
                        ..plain
                    }),
                    "GRU" => cases.push(Case {
                        linear_before_reset: false,
                        ..plain
                    }),
                    _ => {}
                }
            }
        }
    }
    cases
}
