//! Layers of transformers, as calls on a [`Net`]. A matrix is read where it lies: torch keeps it as `[outputs, inputs]`, so
//! that it passes a Transpose on its way into the MatMul that has the module's name.

use super::image::Features;
use super::misfit::Fault;
use super::net::{Axis, Net, Output, as_i64};
use crate::onnx::build::{float_attribute, i64_tensor, int_attribute, ints_attribute, scalar_f32};
use crate::onnx::schema::data_type;

/// Taken from the score of a step that is not to be looked at: its share is 0 in 32 bits.
pub(super) const HIDDEN: f32 = 1e9;
/// Width of an attention head where nothing tells it, as in Vaswani et al. 2017.
const USUAL_HEAD: usize = 64;

/// A row of numbers for each step of each sample: `[batch, steps, width]`.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) value: String,
    pub(super) width: usize,
}

impl Sequence {
    /// As what the network gives, for any number of steps.
    pub(super) fn output(self) -> Output {
        Output {
            axes: vec![Axis::Free("batch"), Axis::Free("sequence"), Axis::Size(self.width)],
            value: self.value,
        }
    }
}

/// The function between the two matrices of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// `x/2 (1 + erf(x / sqrt 2))` (Hendrycks and Gimpel 2016).
    Gelu,
    /// Its approximation by tanh, from the same paper.
    GeluTanh,
    /// Its approximation by `x sigmoid(1.702 x)`, from the same paper.
    QuickGelu,
    Relu,
    Silu,
}

impl Between {
    /// By the name that transformers gives it in `hidden_act`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Self::GeluTanh,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            _ => return None,
        })
    }
}

impl Net<'_> {
    /// A matrix for every step, with a bias if the file has one.
    pub(super) fn project(&mut self, x: &Sequence, module: &str) -> Sequence {
        let bias = format!("{module}.bias");
        let bias = self.dict.has(&bias).then_some(bias);
        self.project_by(x, module, &format!("{module}.weight"), bias.as_deref())
    }

    /// [`Net::project`] with tensors of these names.
    pub(super) fn project_by(&mut self, x: &Sequence, module: &str, weight: &str, bias: Option<&str>) -> Sequence {
        let weight = self.parameter(weight, &[None, Some(x.width)]);
        let width = weight.shape[0];
        let turned = self.transpose(&weight.value, &format!("{module}.turned"), &[1, 0]);
        let mut value = self.node("MatMul", module, [x.value.clone(), turned], vec![]);
        if let Some(bias) = bias {
            let bias = self.parameter(bias, &[Some(width)]);
            value = self.node("Add", &format!("{module}.plus_bias"), [value, bias.value], vec![]);
        }
        Sequence { value, width }
    }

    /// A Transpose.
    pub(super) fn transpose(&mut self, value: &str, name: &str, order: &[i64]) -> String {
        self.node("Transpose", name, [value], vec![ints_attribute("perm", order)])
    }

    /// A Reshape; 0 keeps a size, -1 is what is left.
    pub(super) fn reshape(&mut self, value: &str, name: &str, shape: &[i64]) -> String {
        let shape = self.constant(i64_tensor(format!("{name}.shape"), &[shape.len()], shape));
        self.node("Reshape", name, [value.to_owned(), shape], vec![])
    }

    /// The sum of two values.
    pub(super) fn sum(&mut self, a: &str, b: &str, name: &str) -> String {
        self.node("Add", name, [a, b], vec![])
    }

    /// Layer normalization over the last axis. Old files call weight and bias gamma and beta.
    pub(super) fn layer_norm(&mut self, x: &Sequence, module: &str, epsilon: f32) -> Sequence {
        let parts = if self.dict.has(&format!("{module}.gamma")) {
            ["gamma", "beta"]
        } else {
            ["weight", "bias"]
        };
        let [scale, bias] = parts.map(|part| self.parameter(&format!("{module}.{part}"), &[Some(x.width)]).value);
        let attributes = vec![int_attribute("axis", -1), float_attribute("epsilon", epsilon)];
        Sequence {
            value: self.node("LayerNormalization", module, [x.value.clone(), scale, bias], attributes),
            width: x.width,
        }
    }

    /// RMSNorm (Zhang and Sennrich 2019) over the last axis, times `weight`: no mean is taken off, and there is no bias.
    pub(super) fn rms_norm(&mut self, value: &str, weight: String, module: &str, epsilon: f32) -> String {
        let name = |part: &str| format!("{module}.{part}");
        let two = self.constant(scalar_f32(name("two"), 2.0));
        let square = self.node("Pow", &name("square"), [value.to_owned(), two], vec![]);
        let last = vec![ints_attribute("axes", [-1]), int_attribute("keepdims", 1)];
        let mean = self.node("ReduceMean", &name("mean"), [square], last);
        let epsilon = self.constant(scalar_f32(name("epsilon"), epsilon));
        let above = self.node("Add", &name("above_zero"), [mean, epsilon], vec![]);
        let root = self.node("Sqrt", &name("root"), [above], vec![]);
        let inverse = self.node("Reciprocal", &name("inverse"), [root], vec![]);
        let normed = self.node("Mul", &name("normed"), [value.to_owned(), inverse], vec![]);
        self.node("Mul", module, [normed, weight], vec![])
    }

    /// A gate times the value beside it (Shazeer 2020); `blamed` does not fit if they are of different widths.
    pub(super) fn gated(
        &mut self,
        [gate, up]: [&Sequence; 2],
        between: Between,
        module: &str,
        blamed: &str,
    ) -> Sequence {
        if gate.width != up.width {
            let reason = format!("has {} rows, the gate {}", up.width, gate.width);
            self.fail(blamed, Fault::Other(reason));
        }
        let gate = self.between(gate, &format!("{module}.act"), between);
        let value = self.node("Mul", &format!("{module}.gated"), [&gate.value, &up.value], vec![]);
        Sequence { value, width: up.width }
    }

    /// What is added to the scores of attention, by a mask `[batch, steps]`: 0 for a step that counts (1 in the mask), far below 0
    /// for one that does not.
    pub(super) fn hide(&mut self, mask: &str, name: &str) -> String {
        let name = |part: &str| format!("{name}.{part}");
        let to = int_attribute("to", i64::from(data_type::FLOAT));
        let counts = self.node("Cast", &name("float"), [mask], vec![to]);
        let one = self.constant(scalar_f32(name("one"), 1.0));
        let less = self.node("Sub", &name("below_one"), [counts, one], vec![]);
        let scores = self.scale(&less, &name("scores"), HIDDEN);
        let axes = self.constant(i64_tensor(name("axes"), &[2], &[1, 2]));
        self.node("Unsqueeze", &name("by_head"), [scores, axes], vec![])
    }

    /// The function `between` for each number; its nodes are called after `name`.
    pub(super) fn between(&mut self, x: &Sequence, name: &str, between: Between) -> Sequence {
        let value = match between {
            Between::Relu => self.node("Relu", name, [x.value.as_str()], vec![]),
            Between::Silu => {
                let gate = self.node("Sigmoid", &format!("{name}.sigmoid"), [x.value.as_str()], vec![]);
                self.node("Mul", name, [x.value.clone(), gate], vec![])
            }
            Between::QuickGelu => {
                let scaled = self.scale(&x.value, &format!("{name}.scaled"), 1.702);
                let gate = self.node("Sigmoid", &format!("{name}.sigmoid"), [scaled], vec![]);
                self.node("Mul", name, [x.value.clone(), gate], vec![])
            }
            Between::Gelu => {
                let scaled = self.scale(&x.value, &format!("{name}.scaled"), std::f32::consts::FRAC_1_SQRT_2);
                let bent = self.node("Erf", &format!("{name}.erf"), [scaled], vec![]);
                self.gate_by(&x.value, name, bent)
            }
            Between::GeluTanh => {
                let square = self.node(
                    "Mul",
                    &format!("{name}.square"),
                    [x.value.clone(), x.value.clone()],
                    vec![],
                );
                let cube = self.node("Mul", &format!("{name}.cube"), [square, x.value.clone()], vec![]);
                let small = self.scale(&cube, &format!("{name}.small"), 0.044_715);
                let inner = self.sum(&x.value, &small, &format!("{name}.inner"));
                let root = (2.0 / std::f64::consts::PI).sqrt() as f32;
                let scaled = self.scale(&inner, &format!("{name}.scaled"), root);
                let bent = self.node("Tanh", &format!("{name}.tanh"), [scaled], vec![]);
                self.gate_by(&x.value, name, bent)
            }
        };
        Sequence { value, width: x.width }
    }

    /// `value / 2 * (1 + bent)`
    fn gate_by(&mut self, value: &str, name: &str, bent: String) -> String {
        let one = self.constant(scalar_f32(format!("{name}.one"), 1.0));
        let gate = self.node("Add", &format!("{name}.plus_one"), [bent, one], vec![]);
        let gated = self.node("Mul", &format!("{name}.gated"), [value.to_owned(), gate], vec![]);
        self.scale(&gated, name, 0.5)
    }

    /// A value times a number.
    pub(super) fn scale(&mut self, value: &str, name: &str, factor: f32) -> String {
        let factor = self.constant(scalar_f32(format!("{name}.factor"), factor));
        self.node("Mul", name, [value.to_owned(), factor], vec![])
    }

    /// Attention (Vaswani et al. 2017, section 3.2) of `heads` heads among the steps of a sample. `mask` is added to the
    /// scores `[batch, heads, steps, steps]`.
    pub(super) fn attend(
        &mut self,
        [query, key, value]: [&Sequence; 3],
        heads: usize,
        mask: Option<&str>,
        module: &str,
    ) -> Sequence {
        let head = query.width / heads.max(1);
        let parts = [heads, head].map(as_i64);
        let mut apart = |value: &str, part: &str, order: [i64; 4]| {
            let split = self.reshape(value, &format!("{module}.{part}.heads"), &[0, 0, parts[0], parts[1]]);
            self.transpose(&split, &format!("{module}.{part}.by_head"), &order)
        };
        let q = apart(&query.value, "query", [0, 2, 1, 3]);
        let k = apart(&key.value, "key", [0, 2, 3, 1]);
        let v = apart(&value.value, "value", [0, 2, 1, 3]);
        let q = self.scale(&q, &format!("{module}.query.scaled"), 1.0 / (head.max(1) as f32).sqrt());
        let mut scores = self.node("MatMul", &format!("{module}.scores"), [q, k], vec![]);
        if let Some(mask) = mask {
            scores = self.sum(&scores, mask, &format!("{module}.masked"));
        }
        let shares = self.node(
            "Softmax",
            &format!("{module}.shares"),
            [scores],
            vec![int_attribute("axis", -1)],
        );
        let mixed = self.node("MatMul", &format!("{module}.mixed"), [shares, v], vec![]);
        let together = self.transpose(&mixed, &format!("{module}.by_step"), &[0, 2, 1, 3]);
        let width = as_i64(query.width);
        Sequence {
            value: self.reshape(&together, &format!("{module}.together"), &[0, 0, width]),
            width: query.width,
        }
    }

    /// The step number `step` of each sample.
    pub(super) fn step(&mut self, x: &Sequence, name: &str, step: i64) -> Features {
        let step = self.constant(i64_tensor(format!("{name}.step"), &[], &[step]));
        Features {
            value: self.node("Gather", name, [x.value.clone(), step], vec![int_attribute("axis", 1)]),
            width: x.width,
        }
    }

    /// Number of attention heads for `width` channels: from the configuration, else `known`, else 64 channels each; what is
    /// not from the configuration is noted. `tensor` is blamed if the width does not divide.
    pub(super) fn heads(&mut self, width: usize, known: Option<usize>, tensor: &str) -> usize {
        let configured = ["num_attention_heads", "num_heads", "n_heads"]
            .iter()
            .find_map(|key| self.config.count(key));
        let heads = configured
            .or(known)
            .unwrap_or_else(|| (width / USUAL_HEAD).max(1))
            .max(1);
        if !width.is_multiple_of(heads) {
            let reason = format!("has {width} columns, which do not divide into {heads} attention heads");
            self.fail(tensor, Fault::Other(reason));
        }
        if configured.is_none() {
            self.note(format!(
                "no config.json tells the number of attention heads: {heads} of {} channels are taken, as is usual for a \
                 width of {width}",
                width / heads
            ));
        }
        heads
    }
}
