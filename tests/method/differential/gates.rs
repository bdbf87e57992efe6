//! How far the outputs of a recurrent layer may be apart since onnxruntime approximates the logistic function of its gates.
//!
//! ONNX says `1 / (1 + e^-x)`, which the built-in engine computes. onnxruntime 1.32 computes a quotient of polynomials that is off by
//! up to [`LOGISTIC`] everywhere: nothing beside 1, but several percent of what a closed gate lets through.

use super::ROUNDING;
use super::allowed::{made_by, run, value_or_constant};
use splitscope::data::Tensor;
use splitscope::onnx::build::{attribute_string, float_value_info};
use splitscope::onnx::{GraphProto, ModelProto, NodeProto};

/// Largest error of onnxruntime's logistic function: 1.66e-7 at 700 000 places from -20 to 20, 1.4e-7 where it is below one half.
const LOGISTIC: f64 = 1.7e-7;

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

    fn logistic(self) -> Self {
        let is = 1.0 / (1.0 + (-self.is).exp());
        let by = is * (1.0 - is) * self.by + LOGISTIC;
        Self { is, by }
    }

    fn tanh(self) -> Self {
        let is = self.is.tanh();
        let by = (1.0 - is * is) * self.by;
        Self { is, by }
    }
}

/// For each number of `y`, how far the logistic function of `lstm` moves it; `None` where it is no LSTM.
pub(super) fn approximated(model: &ModelProto, lstm: &NodeProto) -> Option<Vec<f32>> {
    if lstm.op_type() != "LSTM" {
        return None;
    }
    let outputs = outputs(model, lstm);
    let made = value_or_constant(model, &lstm.output[0]);
    let (made, shape) = (made.floats()?, made.shape());
    let largest = outputs.iter().fold(0.0_f64, |most, h| most.max(h.is.abs()));
    for (made, h) in made.iter().zip(&outputs) {
        let apart = (f64::from(*made) - h.is).abs();
        assert!(
            apart <= f64::from(ROUNDING) * largest,
            "the built-in engine is {apart:.1e} off what ONNX says"
        );
    }
    let moved: Vec<f32> = outputs.iter().map(|h| h.by as f32).collect();
    let moved = Tensor::from_shape(shape, moved).ok()?;
    Some(behind(model, &lstm.output[0], moved))
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

/// Y `[steps, directions, samples, units]` of an LSTM by its definition, in double precision.
fn outputs(model: &ModelProto, lstm: &NodeProto) -> Vec<Off> {
    assert_ne!(attribute_string(lstm, "direction"), Some("reverse"), "is not followed");
    let read = |slot: usize| {
        let tensor = value_or_constant(model, &lstm.input[slot]);
        let values: Vec<f64> = tensor.floats().unwrap().iter().map(|x| f64::from(*x)).collect();
        (tensor.shape().to_vec(), values)
    };
    let ((of_x, x), (of_w, w), (of_r, r), (_, b)) = (read(0), read(1), read(2), read(3));
    let [steps, samples, inputs] = of_x[..] else {
        panic!("x has three axes");
    };
    let (directions, units) = (of_w[0], of_r[2]);
    let mut y = vec![Off::default(); steps * directions * samples * units];
    for (direction, sample) in (0..directions).flat_map(|d| (0..samples).map(move |s| (d, s))) {
        let (mut h, mut c) = (vec![Off::default(); units], vec![Off::default(); units]);
        for step in 0..steps {
            let step = if direction == 1 { steps - 1 - step } else { step };
            let x = &x[(step * samples + sample) * inputs..][..inputs];
            let sum = |gate: usize, unit: usize| {
                let row = direction * 4 * units + gate * units + unit;
                let of_bias = direction * 8 * units + gate * units + unit;
                let mut sum = Off::exactly(b[of_bias] + b[of_bias + 4 * units]);
                for (x, w) in x.iter().zip(&w[row * inputs..]) {
                    sum = sum.plus(Off::exactly(x * w));
                }
                for (h, r) in h.iter().zip(&r[row * units..][..units]) {
                    sum = sum.plus(h.times(Off::exactly(*r)));
                }
                sum
            };
            // In the order of ONNX: input, output, forget, cell.
            let next: (Vec<Off>, Vec<Off>) = (0..units)
                .map(|unit| {
                    let [i, o, f] = [0, 1, 2].map(|gate| sum(gate, unit).logistic());
                    let next = f.times(c[unit]).plus(i.times(sum(3, unit).tanh()));
                    (o.times(next.tanh()), next)
                })
                .unzip();
            (h, c) = next;
            let at = ((step * directions + direction) * samples + sample) * units;
            y[at..at + units].copy_from_slice(&h);
        }
    }
    y
}
