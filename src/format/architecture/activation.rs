//! Activations, and the gates that are made of them.

use super::convolution::Conv;
use super::misfit::Fault;
use super::net::Net;
use super::picture::Map;
use crate::onnx::build::{float_attribute, scalar_f32};

/// What stands behind a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x * sigmoid(x)`
    Silu,
    /// `x * min(max(x + 3, 0), 6) / 6`
    HardSwish,
}

/// What [`Net::squeeze_excite`] has to know.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) module: String,
    /// What the names of its two convolutions end with.
    pub(super) parts: [&'static str; 2],
    /// What stands between them.
    pub(super) inner: Activation,
    /// Whether the gate is `min(max(x + 3, 0), 6) / 6` and not a sigmoid.
    pub(super) hard: bool,
}

impl Net<'_> {
    /// An activation; its node is called `name`.
    pub(super) fn activate(&mut self, x: &Map, name: &str, activation: Activation) -> Map {
        Map {
            value: self.activate_value(&x.value, name, activation),
            ..x.clone()
        }
    }

    /// [`Net::activate`] for a value of any shape.
    pub(super) fn activate_value(&mut self, value: &str, name: &str, activation: Activation) -> String {
        match activation {
            Activation::Relu => self.node("Relu", name, [value], vec![]),
            Activation::HardSwish => self.node("HardSwish", name, [value], vec![]),
            Activation::Relu6 => {
                let bounds = [("min", 0.0), ("max", 6.0)];
                let [low, high] = bounds.map(|(end, bound)| self.constant(scalar_f32(format!("{name}.{end}"), bound)));
                self.node("Clip", name, [value.to_owned(), low, high], vec![])
            }
            Activation::Silu => {
                let gate = self.node("Sigmoid", &format!("{name}.sigmoid"), [value], vec![]);
                self.node("Mul", name, [value.to_owned(), gate], vec![])
            }
        }
    }

    /// A ReLU called `name`.
    pub(super) fn relu(&mut self, x: &Map, name: &str) -> Map {
        self.activate(x, name, Activation::Relu)
    }

    /// Squeeze and excitation (Hu et al. 2018): each channel is scaled by a gate, which two 1 x 1 convolutions make from the
    /// means of all channels.
    pub(super) fn squeeze_excite(&mut self, x: &Map, gate: &Gate) -> Map {
        let module = &gate.module;
        let [reduce, expand] = gate.parts.map(|part| format!("{module}.{part}"));
        let squeezed = self.pool_to_pixel(x, &format!("{module}.pool"));
        let reduced = self.conv(&squeezed, &reduce, Conv::square(1));
        let reduced = self.activate(&reduced, &format!("{module}.inner"), gate.inner);
        let expanded = self.conv(&reduced, &expand, Conv::square(1));
        if expanded.channels != x.channels {
            let reason = format!("makes {} gates for {} channels", expanded.channels, x.channels);
            self.fail(&format!("{expand}.weight"), Fault::Other(reason));
        }
        let name = format!("{module}.gate");
        let share = if gate.hard {
            let attributes = vec![float_attribute("alpha", 1.0 / 6.0), float_attribute("beta", 0.5)];
            self.node("HardSigmoid", &name, [expanded.value.as_str()], attributes)
        } else {
            self.node("Sigmoid", &name, [expanded.value.as_str()], vec![])
        };
        Map {
            value: self.node("Mul", &format!("{module}.scale"), [x.value.clone(), share], vec![]),
            ..x.clone()
        }
    }
}
