//! How far the outputs of a recurrent layer may be apart since onnxruntime approximates the logistic function of its gates.
//!
//! ONNX says `1 / (1 + e^-x)`, which the built-in engine computes. onnxruntime 1.32 computes a quotient of polynomials that is off by
//! up to [`LOGISTIC`] everywhere: nothing beside 1, but several percent of what a closed gate lets through. The update gate of a GRU
//! is closed where it is beside 1: there 32 bits alone are off by [`BESIDE_ONE`], in either engine.

use super::ROUNDING;
use super::allowed::{made_by, run, value_or_constant};
use splitscope::data::Tensor;
use splitscope::onnx::build::{attribute_int, attribute_string, float_value_info};
use splitscope::onnx::{GraphProto, ModelProto, NodeProto};

/// Largest error of onnxruntime's logistic function: 1.66e-7 at 700 000 places from -20 to 20, 1.4e-7 where it is below one half.
const LOGISTIC: f64 = 1.7e-7;

/// What a number between one half and 1 may be off by in 32 bits, once its last operations were rounded: two units in the last place.
const BESIDE_ONE: f64 = 1.0 / (1 << 23) as f64;

/// A number and how far it may be off.
#[derive(Debug, Clone, Copy, Default)]
struct Off {
    is: f64,
    by: f64,
}

impl Off {
    fn exactly(is: f64) -> Self {
        Self { is, by: 0.0 }
    }

    fn plus(self, other: Self) -> Self {
        let (is, by) = (self.is + other.is, self.by + other.by);
        Self { is, by }
    }

    fn times(self, other: Self) -> Self {
        let by = self.is.abs() * other.by + self.by * other.is.abs();
        Self {
            is: self.is * other.is,
            by,
        }
    }

    /// The logistic function of an engine that is off by `error`.
    fn logistic(self, error: f64) -> Self {
        let is = 1.0 / (1.0 + (-self.is).exp());
        let by = is * (1.0 - is) * self.by + error;
        Self { is, by }
    }

    /// What is missing to 1.
    fn complement(self) -> Self {
        let is = 1.0 - self.is;
        Self { is, ..self }
    }

    fn tanh(self) -> Self {
        let is = self.is.tanh();
        let by = (1.0 - is * is) * self.by;
        Self { is, by }
    }
}

/// For each number of `y`, how far the logistic function of a recurrent layer moves it; `None` where the node is none with gates.
pub(super) fn approximated(model: &ModelProto, node: &NodeProto) -> Option<Vec<f32>> {
    // How far the built-in engine may be off besides.
    let ours = match node.op_type() {
        "LSTM" => 0.0,
        "GRU" => BESIDE_ONE,
        _ => return None,
    };
    let outputs = outputs(model, node, LOGISTIC + ours);
    let made = value_or_constant(model, &node.output[0]);
    let (made, shape) = (made.floats()?, made.shape());
    let largest = outputs.iter().fold(0.0_f64, |most, h| most.max(h.is.abs()));
    for (made, h) in made.iter().zip(&outputs) {
        let apart = (f64::from(*made) - h.is).abs();
        let allowed = f64::from(ROUNDING) * largest + h.by * ours / (LOGISTIC + ours);
        assert!(
            apart <= allowed,
            "the built-in engine is {apart:.1e} off what ONNX says"
        );
    }
    let moved: Vec<f32> = outputs.iter().map(|h| h.by as f32).collect();
    let moved = Tensor::from_shape(shape, moved).ok()?;
    Some(behind(model, &node.output[0], moved))
}

/// What `moved`, given as `value`, makes of `y`: units are chosen, nothing else is computed.
fn behind(model: &ModelProto, value: &str, moved: Tensor) -> Vec<f32> {
    let graph = model.graph.as_ref().unwrap();
    let mut nodes = Vec::new();
    let mut last = "y".to_owned();
    while last != value {
        let node = made_by(graph, &last).unwrap();
        assert_eq!(
            node.op_type(),
            "Gather",
            "what is behind a recurrent layer is not followed"
        );
        last.clone_from(&node.input[0]);
        nodes.insert(0, node.clone());
    }
    let floats = |moved: &Tensor| moved.floats().unwrap().to_vec();
    if nodes.is_empty() {
        return floats(&moved);
    }
    let dims: Vec<i64> = moved.shape().iter().map(|size| *size as i64).collect();
    let chosen = ModelProto {
        graph: Some(GraphProto {
            initializer: (graph.initializer.iter())
                .filter(|tensor| nodes.iter().any(|node| node.input[1] == tensor.name()))
                .cloned()
                .collect(),
            node: nodes,
            input: vec![float_value_info(value, &dims)],
            ..graph.clone()
        }),
        ..model.clone()
    };
    floats(&run(&chosen, &[(value.to_owned(), moved)], &["y"])[0])
}

/// Y `[steps, directions, samples, units]` of an LSTM or GRU by its definition, in double precision, where the logistic function is off
/// by `error`.
fn outputs(model: &ModelProto, node: &NodeProto, error: f64) -> Vec<Off> {
    assert_ne!(attribute_string(node, "direction"), Some("reverse"), "is not followed");
    let read = |slot: usize| {
        let tensor = value_or_constant(model, &node.input[slot]);
        let values: Vec<f64> = tensor.floats().unwrap().iter().map(|x| f64::from(*x)).collect();
        (tensor.shape().to_vec(), values)
    };
    let ((of_x, x), (of_w, w), (of_r, r), (_, b)) = (read(0), read(1), read(2), read(3));
    let [steps, samples, inputs] = of_x[..] else {
        panic!("x has three axes");
    };
    let (directions, units) = (of_w[0], of_r[2]);
    let gates = of_w[1] / units;
    let resets_behind = attribute_int(node, "linear_before_reset").unwrap_or(0) != 0;
    let mut y = vec![Off::default(); steps * directions * samples * units];
    for (direction, sample) in (0..directions).flat_map(|d| (0..samples).map(move |s| (d, s))) {
        let (mut h, mut c) = (vec![Off::default(); units], vec![Off::default(); units]);
        for step in 0..steps {
            let step = if direction == 1 { steps - 1 - step } else { step };
            let x = &x[(step * samples + sample) * inputs..][..inputs];
            let row = |gate: usize, unit: usize| direction * gates * units + gate * units + unit;
            let of_bias = |gate: usize, unit: usize| 2 * direction * gates * units + gate * units + unit;
            let of_input = |gate: usize, unit: usize| {
                let weights = &w[row(gate, unit) * inputs..];
                let products = x.iter().zip(weights).map(|(x, w)| Off::exactly(x * w));
                products.fold(Off::exactly(b[of_bias(gate, unit)]), Off::plus)
            };
            let of_state = |gate: usize, unit: usize, h: &[Off]| {
                let weights = &r[row(gate, unit) * units..];
                let products = h.iter().zip(weights).map(|(h, r)| h.times(Off::exactly(*r)));
                products.fold(Off::exactly(b[of_bias(gate, unit) + gates * units]), Off::plus)
            };
            let sum = |gate: usize, unit: usize| of_input(gate, unit).plus(of_state(gate, unit, &h));
            if gates == 4 {
                // In the order of ONNX: input, output, forget, cell.
                let next: (Vec<Off>, Vec<Off>) = (0..units)
                    .map(|unit| {
                        let [i, o, f] = [0, 1, 2].map(|gate| sum(gate, unit).logistic(error));
                        let next = f.times(c[unit]).plus(i.times(sum(3, unit).tanh()));
                        (o.times(next.tanh()), next)
                    })
                    .unzip();
                (h, c) = next;
            } else {
                // Update, reset, hidden.
                let reset: Vec<Off> = (0..units).map(|unit| sum(1, unit).logistic(error)).collect();
                let seen: Vec<Off> = h.iter().zip(&reset).map(|(h, r)| h.times(*r)).collect();
                let next = (0..units).map(|unit| {
                    let update = sum(0, unit).logistic(error);
                    let of_state = match resets_behind {
                        true => reset[unit].times(of_state(2, unit, &h)),
                        false => of_state(2, unit, &seen),
                    };
                    let new = of_input(2, unit).plus(of_state).tanh();
                    update.complement().times(new).plus(update.times(h[unit]))
                });
                h = next.collect();
            }
            let at = ((step * directions + direction) * samples + sample) * units;
            y[at..at + units].copy_from_slice(&h);
        }
    }
    y
}
