//! Recurrent networks computed as the ONNX specification writes them down: slowly, in 64-bit floats, and all of it (the
//! engine knows neither RNN, peepholes, sequence lengths, `layout` nor `linear_before_reset = 0`).

use splitscope::onnx::build::{attribute_int, attribute_string};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{ModelProto, NodeProto, TensorProto, float_values, tensor_bytes};
use std::collections::HashMap;

/// A tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
}

impl Tensor {
    pub(crate) fn zeros(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            values: vec![0.0; shape.iter().product()],
        }
    }

    pub(crate) fn of(tensor: &TensorProto) -> Self {
        let bytes = tensor_bytes(tensor).unwrap();
        let values = match tensor.data_type() {
            data_type::INT8 => bytes.iter().map(|byte| f64::from(*byte as i8)).collect(),
            // Two codes a byte, the first in the low half.
            data_type::INT4 => {
                let nibbles = bytes.iter().flat_map(|byte| [byte << 4, byte & 0xf0]);
                let codes = nibbles.map(|nibble| f64::from(nibble as i8 >> 4));
                codes.take(tensor.dims.iter().product::<i64>() as usize).collect()
            }
            data_type::INT32 => (bytes.chunks(4))
                .map(|b| f64::from(i32::from_le_bytes(b.try_into().unwrap())))
                .collect(),
            data_type::INT64 => (bytes.chunks(8))
                .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64)
                .collect(),
            _ => float_values(tensor).unwrap().iter().map(|x| f64::from(*x)).collect(),
        };
        Self {
            shape: tensor.dims.iter().map(|size| *size as usize).collect(),
            values,
        }
    }

    /// The element at `index`.
    fn at(&self, index: &[usize]) -> f64 {
        self.values[self.place(index)]
    }

    fn place(&self, index: &[usize]) -> usize {
        assert_eq!(index.len(), self.shape.len());
        index.iter().zip(&self.shape).fold(0, |place, (i, size)| {
            assert!(i < size);
            place * size + i
        })
    }
}

/// Runs the graph of `model`; all its values by name.
pub(crate) fn run(model: &ModelProto, inputs: &[(&str, Tensor)]) -> HashMap<String, Tensor> {
    let graph = model.graph.as_ref().unwrap();
    let mut values: HashMap<String, Tensor> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name().to_owned(), Tensor::of(tensor)))
        .collect();
    values.extend(inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())));
    for node in &graph.node {
        let inputs: Vec<Option<&Tensor>> = node
            .input
            .iter()
            .map(|name| (!name.is_empty()).then(|| values.get(name).unwrap_or_else(|| panic!("no value {name}"))))
            .collect();
        let outputs = match node.op_type() {
            "Gather" => vec![gather(node, inputs[0].unwrap(), inputs[1].unwrap())],
            "Concat" => vec![concat(node, &inputs)],
            "DequantizeLinear" => vec![dequantize(node, inputs[0].unwrap(), inputs[1].unwrap())],
            "Reshape" => vec![reshape(inputs[0].unwrap(), inputs[1].unwrap())],
            "LSTM" | "GRU" | "RNN" => recurrent(node, &inputs),
            op => panic!("the reference does not know {op}"),
        };
        for (name, value) in node.output.iter().zip(outputs) {
            values.insert(name.clone(), value);
        }
    }
    values
}

fn gather(node: &NodeProto, data: &Tensor, index: &Tensor) -> Tensor {
    let axis = attribute_int(node, "axis").unwrap_or(0);
    let axis = axis.rem_euclid(data.shape.len() as i64) as usize;
    let inner: usize = data.shape[axis + 1..].iter().product();
    let mut values = Vec::new();
    for block in data.values.chunks(data.shape[axis] * inner) {
        for place in &index.values {
            values.extend_from_slice(&block[*place as usize * inner..][..inner]);
        }
    }
    let mut shape = data.shape.clone();
    shape[axis] = index.values.len();
    Tensor { shape, values }
}

/// Along the last axis.
fn concat(node: &NodeProto, parts: &[Option<&Tensor>]) -> Tensor {
    assert_eq!(attribute_int(node, "axis"), Some(-1));
    let width = |part: &Tensor| *part.shape.last().unwrap();
    let parts: Vec<&Tensor> = parts.iter().map(|part| part.unwrap()).collect();
    let mut shape = parts[0].shape.clone();
    *shape.last_mut().unwrap() = parts.iter().map(|part| width(part)).sum();
    let rows = parts[0].values.len() / width(parts[0]);
    let of_row = |row: usize| {
        parts
            .iter()
            .flat_map(move |part| &part.values[row * width(part)..][..width(part)])
    };
    let values = (0..rows).flat_map(of_row).copied().collect();
    Tensor { shape, values }
}

/// To a shape that is spelled out.
fn reshape(data: &Tensor, shape: &Tensor) -> Tensor {
    let shape: Vec<usize> = shape.values.iter().map(|size| *size as usize).collect();
    assert_eq!(shape.iter().product::<usize>(), data.values.len());
    let values = data.values.clone();
    Tensor { shape, values }
}

fn dequantize(node: &NodeProto, data: &Tensor, scale: &Tensor) -> Tensor {
    let axis = attribute_int(node, "axis").unwrap_or(1) as usize;
    let inner: usize = data.shape.iter().skip(axis + 1).product();
    let values = data.values.iter().enumerate();
    let values = values.map(|(i, q)| match scale.values.as_slice() {
        [scale] => q * scale,
        scales => {
            assert_eq!(scales.len(), data.shape[axis]);
            q * scales[i / inner % scales.len()]
        }
    });
    Tensor {
        shape: data.shape.clone(),
        values: values.collect(),
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// One step of one direction for one sample: `x`, `h` and `c` to the next `h` and `c`.
struct Cell<'a> {
    op: &'a str,
    linear_before_reset: bool,
    direction: usize,
    hidden: usize,
    w: &'a Tensor,
    r: &'a Tensor,
    b: Option<&'a Tensor>,
    p: Option<&'a Tensor>,
}

impl Cell<'_> {
    /// `x W_gate` for unit `unit`, without bias.
    fn input(&self, gate: usize, unit: usize, x: &[f64]) -> f64 {
        let row = gate * self.hidden + unit;
        (x.iter().enumerate())
            .map(|(i, x)| x * self.w.at(&[self.direction, row, i]))
            .sum()
    }

    fn state(&self, gate: usize, unit: usize, h: &[f64]) -> f64 {
        let row = gate * self.hidden + unit;
        (h.iter().enumerate())
            .map(|(i, h)| h * self.r.at(&[self.direction, row, i]))
            .sum()
    }

    /// Bias of block `block` (the gates' W biases, then their R biases).
    fn bias(&self, block: usize, unit: usize) -> f64 {
        self.b
            .map_or(0.0, |b| b.at(&[self.direction, block * self.hidden + unit]))
    }

    fn peephole(&self, block: usize, unit: usize) -> f64 {
        self.p
            .map_or(0.0, |p| p.at(&[self.direction, block * self.hidden + unit]))
    }

    fn gate(&self, gates: usize, gate: usize, unit: usize, x: &[f64], h: &[f64]) -> f64 {
        self.input(gate, unit, x) + self.state(gate, unit, h) + self.bias(gate, unit) + self.bias(gates + gate, unit)
    }

    fn step(&self, x: &[f64], h: &[f64], c: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let units = 0..self.hidden;
        match self.op {
            "RNN" => (units.map(|u| self.gate(1, 0, u, x, h).tanh()).collect(), c.to_vec()),
            "GRU" => {
                let z: Vec<f64> = units.clone().map(|u| sigmoid(self.gate(3, 0, u, x, h))).collect();
                let r: Vec<f64> = units.clone().map(|u| sigmoid(self.gate(3, 1, u, x, h))).collect();
                let reset: Vec<f64> = r.iter().zip(h).map(|(r, h)| r * h).collect();
                let next = |u: usize| {
                    let inside = if self.linear_before_reset {
                        r[u] * (self.state(2, u, h) + self.bias(5, u))
                    } else {
                        self.state(2, u, &reset) + self.bias(5, u)
                    };
                    let candidate = (self.input(2, u, x) + inside + self.bias(2, u)).tanh();
                    (1.0 - z[u]) * candidate + z[u] * h[u]
                };
                (units.map(next).collect(), c.to_vec())
            }
            _ => units
                .map(|u| {
                    let i = sigmoid(self.gate(4, 0, u, x, h) + self.peephole(0, u) * c[u]);
                    let f = sigmoid(self.gate(4, 2, u, x, h) + self.peephole(2, u) * c[u]);
                    let next = f * c[u] + i * self.gate(4, 3, u, x, h).tanh();
                    let o = sigmoid(self.gate(4, 1, u, x, h) + self.peephole(1, u) * next);
                    (o * next.tanh(), next)
                })
                .unzip(),
        }
    }
}

/// Y, Y_h and Y_c.
fn recurrent(node: &NodeProto, inputs: &[Option<&Tensor>]) -> Vec<Tensor> {
    let given = |slot: usize| inputs.get(slot).copied().flatten();
    let (x, w, r) = (given(0).unwrap(), given(1).unwrap(), given(2).unwrap());
    let hidden = attribute_int(node, "hidden_size").map_or(r.shape[2], |size| size as usize);
    let gates = match node.op_type() {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let directions = w.shape[0];
    assert_eq!(w.shape[1], gates * hidden);
    assert_eq!(r.shape, [directions, gates * hidden, hidden]);
    assert!(given(3).is_none_or(|b| b.shape == [directions, 2 * gates * hidden]));
    assert!(given(7).is_none_or(|p| p.shape == [directions, 3 * hidden]));
    let batch_first = attribute_int(node, "layout") == Some(1);
    let order = |time: usize, batch: usize| if batch_first { (batch, time) } else { (time, batch) };
    let (times, batches) = order(x.shape[0], x.shape[1]);
    let state_shape = |a: usize, b: usize| {
        let (a, b) = order(a, b);
        [a, b, hidden]
    };
    let y_shape = if batch_first {
        [batches, times, directions, hidden]
    } else {
        [times, directions, batches, hidden]
    };
    let mut y = Tensor::zeros(&y_shape);
    let mut last = [(); 2].map(|()| Tensor::zeros(&state_shape(directions, batches)));
    let direction_name = attribute_string(node, "direction").unwrap_or("forward");
    for direction in 0..directions {
        let cell = Cell {
            op: node.op_type(),
            linear_before_reset: attribute_int(node, "linear_before_reset").unwrap_or(0) != 0,
            direction,
            hidden,
            w,
            r,
            b: given(3),
            p: given(7),
        };
        for batch in 0..batches {
            let (first, second) = order(direction, batch);
            let initial = |slot: usize| -> Vec<f64> {
                let state = given(slot);
                assert!(state.is_none_or(|s| s.shape == state_shape(directions, batches)));
                (0..hidden)
                    .map(|u| state.map_or(0.0, |s| s.at(&[first, second, u])))
                    .collect()
            };
            let (mut h, mut c) = (initial(5), initial(6));
            let length = given(4).map_or(times, |lengths| lengths.values[batch] as usize);
            for step in 0..length {
                let backward = direction_name == "reverse" || direction == 1;
                let time = if backward { length - 1 - step } else { step };
                let (a, b) = order(time, batch);
                let row: Vec<f64> = (0..x.shape[2]).map(|i| x.at(&[a, b, i])).collect();
                (h, c) = cell.step(&row, &h, &c);
                for (u, h) in h.iter().enumerate() {
                    let place = if batch_first {
                        y.place(&[batch, time, direction, u])
                    } else {
                        y.place(&[time, direction, batch, u])
                    };
                    y.values[place] = *h;
                }
            }
            for u in 0..hidden {
                let place = last[0].place(&[first, second, u]);
                last[0].values[place] = h[u];
                last[1].values[place] = c[u];
            }
        }
    }
    let [y_h, y_c] = last;
    vec![y, y_h, y_c]
}
