//! `QLinearConv` and its like (the format "QOperator" of onnxruntime's tools): products of integers, brought onto the grid of
//! the output.
//!
//! Convolutions and products run on floats that hold the integers, so that their sums are those of the operator; they are
//! scaled once, rounded half to even and saturated. Sums, products and means have roundings of their own ([`super::elementwise`]).
//! The others are what their definition says: off the grid, the operator, onto the grid.

use super::{Writer, shape};
use crate::onnx::build::{float_tensor, node};
use crate::onnx::{AttributeProto, NodeProto, numbers};

/// Whether `node` is one of these operators.
pub(super) fn is_linear(node: &NodeProto) -> bool {
    let standard = super::is_standard_domain(node.domain());
    match node.op_type() {
        "QLinearConv" | "QLinearMatMul" => standard || node.domain() == "com.microsoft",
        "QLinearAdd" | "QLinearMul" | "QLinearConcat" => node.domain() == "com.microsoft",
        op => node.domain() == "com.microsoft" && unary(op).is_some(),
    }
}

/// The operator on floats of one with a single quantized input.
fn unary(op: &str) -> Option<&'static str> {
    Some(match op {
        "QLinearGlobalAveragePool" => "GlobalAveragePool",
        "QLinearAveragePool" => "AveragePool",
        "QLinearSigmoid" => "Sigmoid",
        "QLinearLeakyRelu" => "LeakyRelu",
        "QLinearSoftmax" => "Softmax",
        _ => return None,
    })
}

impl Writer<'_> {
    pub(super) fn linear(&mut self, old: &NodeProto) -> Option<()> {
        let y = old.output.first()?.clone();
        let input = |slot: usize| old.input.get(slot).map(String::as_str).filter(|name| !name.is_empty());
        match old.op_type() {
            "QLinearConv" => self.product(old, "Conv", &y),
            "QLinearMatMul" => self.product(old, "MatMul", &y),
            "QLinearAdd" => self.linear_sum(old),
            "QLinearMul" => self.linear_product(old),
            "QLinearConcat" => {
                let parts: Vec<&[String]> = old.input.get(2..)?.chunks(3).collect();
                let mut floats = Vec::new();
                for part in parts {
                    let [x, scale, zero] = part else { return None };
                    floats.push(self.off([x, scale, zero], &y, "part"));
                }
                let inputs: Vec<&str> = floats.iter().map(String::as_str).collect();
                let to = self.names.fresh(&format!("{y}.float"));
                self.last("Concat", "", &inputs, &to, old.attribute.clone());
                self.onto([&to, input(0)?, input(1).unwrap_or("")], old, &y);
                Some(())
            }
            op => {
                let channels_last = super::attribute_int(old, "channels_last").unwrap_or(0) != 0;
                // Beyond the pads of a last window, onnxruntime counts places here that AveragePool does not count.
                let is_set = |name: &str| super::attribute_int(old, name).unwrap_or(0) != 0;
                let counts_more = op == "QLinearAveragePool" && is_set("ceil_mode") && is_set("count_include_pad");
                let float = unary(op).filter(|_| !channels_last && !counts_more)?;
                let ours = |attribute: &&AttributeProto| !["channels_last", "opset"].contains(&attribute.name());
                let attributes = old.attribute.iter().filter(ours).cloned().collect();
                match float {
                    "AveragePool" => return self.linear_pool(old, attributes),
                    "GlobalAveragePool" => return self.linear_mean(old),
                    _ => {}
                }
                let x = self.off([input(0)?, input(1)?, input(2).unwrap_or("")], &y, "off");
                let to = self.names.fresh(&format!("{y}.float"));
                self.last(float, "", &[&x], &to, attributes);
                self.onto([&to, input(3)?, input(4).unwrap_or("")], old, &y);
                Some(())
            }
        }
    }

    /// A convolution or matrix product: inputs x, its scale and zero point, w likewise, y likewise, and a bias of integers.
    fn product(&mut self, old: &NodeProto, op: &str, y: &str) -> Option<()> {
        let input = |slot: usize| old.input.get(slot).filter(|name| !name.is_empty());
        let constants = |slot: usize| numbers(self.constants.find(input(slot)?)?).ok();
        let is_conv = op == "Conv";
        let weight = self.constants.find(input(3)?)?;
        let sizes = shape(weight)?;
        let axis = if is_conv { 0 } else { sizes.len().checked_sub(1)? };
        // The weights from their zero points, as floats.
        let zeros = match input(5) {
            Some(_) => constants(5)?.to_vec(),
            None => vec![0.0],
        };
        let inner: usize = sizes.iter().skip(axis + 1).product();
        let channels = *sizes.get(axis)?;
        if ![1, channels].contains(&zeros.len()) || channels == 0 {
            return None;
        }
        let mut values = numbers(weight).ok()?.to_vec();
        for (at, value) in values.iter_mut().enumerate() {
            *value -= zeros[at / inner.max(1) % channels % zeros.len()];
        }
        // What the sum of products is multiplied by.
        let (x_scale, w_scale, y_scale) = (constants(1)?, constants(4)?, constants(6)?);
        let ([x_scale], [y_scale]) = (&x_scale[..], &y_scale[..]) else {
            return None;
        };
        let factors: Vec<f32> = w_scale.iter().map(|scale| x_scale * scale / y_scale).collect();
        let mut factor_shape = vec![factors.len()];
        if is_conv {
            factor_shape.resize(sizes.len().saturating_sub(1).max(1), 1);
        }
        let bias = match input(8) {
            Some(_) if is_conv => Some(constants(8)?.to_vec()),
            _ => None,
        };
        let x = input(0)?.clone();
        let zero = input(2).cloned().unwrap_or_default();
        let y_zero = input(7).cloned().unwrap_or_default();

        let one = self.scalar(y, "one", 1.0);
        let from_zero = self.off([&x, &one, &zero], y, "from_zero");
        let w = self.names.fresh(&format!("{y}.weight"));
        self.made.push(float_tensor(w.clone(), &sizes, &values));
        let mut inputs = vec![from_zero, w];
        if let Some(bias) = bias {
            inputs.push(self.constant(y, "bias", &[bias.len()], &bias));
        }
        let sum = self.names.fresh(&format!("{y}.sum"));
        self.nodes
            .push(node(op, "", inputs, [sum.clone()], old.attribute.clone()));
        let factor = self.constant(y, "factor", &factor_shape, &factors);
        let scaled = self.step("Mul", &[&sum, &factor], y, "scaled");
        self.onto([&scaled, &one, &y_zero], old, y);
        Some(())
    }

    /// A quantized value as numbers.
    pub(super) fn off(&mut self, [x, scale, zero]: [&str; 3], y: &str, part: &str) -> String {
        let to = self.names.fresh(&format!("{y}.{part}"));
        let inputs: Vec<&str> = [x, scale, zero].into_iter().filter(|name| !name.is_empty()).collect();
        self.last("DequantizeLinear", "", &inputs, &to, vec![]);
        to
    }

    /// Numbers on the grid of the output, `y`.
    pub(super) fn onto(&mut self, [x, scale, zero]: [&str; 3], old: &NodeProto, y: &str) {
        let inputs: Vec<&str> = [x, scale, zero].into_iter().filter(|name| !name.is_empty()).collect();
        self.last("QuantizeLinear", old.name(), &inputs, y, vec![]);
    }
}
