//! Networks with batch-norms whose statistics hold for the noise that they are given.

use crate::common::graph::{floats, model, network, value};
use splitscope::network::Network;
use splitscope::onnx::build::{float_attribute, float_tensor, int_attribute, ints_attribute, node};
use splitscope::onnx::{AttributeProto, NodeProto, TensorProto};
use splitscope::statistics::ChannelDistribution;

/// Seeded numbers, uniform between -1 and 1.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn uniform(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }

    /// The sum of twelve uniform numbers, as good as normal here.
    pub(crate) fn normal(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| 0.5 * (0..12).map(|_| self.next()).sum::<f32>())
            .collect()
    }
}

pub(crate) fn kernel(groups: i64, pad: i64) -> Vec<AttributeProto> {
    vec![
        int_attribute("group", groups),
        ints_attribute("strides", [1, 1]),
        ints_attribute("dilations", [1, 1]),
        ints_attribute("pads", [pad; 4]),
    ]
}

/// A batch-norm from `x` to `y` that gives scale and bias to what has this mean and variance.
fn norm(x: &str, y: &str, [scale, bias, mean, variance]: [&[f32]; 4]) -> (NodeProto, Vec<TensorProto>) {
    let parts = [("scale", scale), ("bias", bias), ("mean", mean), ("var", variance)];
    let name = |part: &str| format!("{y}.{part}");
    let inputs = [x.to_owned()].into_iter().chain(parts.map(|(part, _)| name(part)));
    let tensors = parts.map(|(part, values)| float_tensor(name(part), &[values.len()], values));
    let epsilon = vec![float_attribute("epsilon", 1e-7)];
    (node("BatchNormalization", "", inputs, [y], epsilon), tensors.to_vec())
}

pub(crate) const CHANNELS: usize = 12;

fn of_layers(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, x: &[i64]) -> Network {
    network(model(13, (nodes, constants), vec![floats("x", x)], vec![value("y")]))
}

/// A depthwise separable block with batch-norms: pointwise, depthwise, pointwise. What the batch-norms make of channel c is
/// multiplied by a factor, and divided by it in the layer behind: the function is the same whatever the factors. The
/// batch-norms' means and variances are those of uniform noise.
pub(crate) fn separable(factors: &[f32]) -> Network {
    let mut noise = Noise(5);
    let w1 = noise.uniform(CHANNELS * 4);
    let mut w2 = noise.uniform(CHANNELS * 9);
    let mut w3 = noise.uniform(6 * CHANNELS);
    let shift = noise.uniform(CHANNELS);
    let others: Vec<f32> = (0..CHANNELS).map(|c| factors[(c + 5) % CHANNELS]).collect();

    let sum = |weights: &[f32], of: fn(f32) -> f32| weights.iter().map(|w| of(*w)).sum::<f32>();
    let var1: Vec<f32> = w1.chunks(4).map(|row| sum(row, |w| w * w) / 3.0).collect();
    let (mut mean2, mut var2) = (Vec::new(), Vec::new());
    for (shift, row) in shift.iter().zip(w2.chunks(9)) {
        let gaussian = ChannelDistribution::gaussian(f64::from(*shift), 1.0);
        let (mean, deviation) = gaussian.clamped(0.0, f64::INFINITY).moments();
        mean2.push(mean as f32 * sum(row, |w| w));
        var2.push((deviation * deviation) as f32 * sum(row, |w| w * w));
    }
    for (place, weight) in w2.iter_mut().enumerate() {
        *weight /= factors[place / 9];
    }
    for (place, weight) in w3.iter_mut().enumerate() {
        *weight /= others[place % CHANNELS];
    }
    let scaled = |factors: &[f32]| -> Vec<f32> {
        shift
            .iter()
            .zip(factors)
            .map(|(shift, factor)| shift * factor)
            .collect()
    };
    let (norm1, parts1) = norm("c1", "n1", [factors, &scaled(factors), &[0.0; CHANNELS], &var1]);
    let (norm2, parts2) = norm("c2", "n2", [&others, &scaled(&others), &mean2, &var2]);
    let mut constants = vec![
        float_tensor("w1", &[CHANNELS, 4, 1, 1], &w1),
        float_tensor("w2", &[CHANNELS, 1, 3, 3], &w2),
        float_tensor("w3", &[6, CHANNELS, 1, 1], &w3),
    ];
    constants.extend(parts1.into_iter().chain(parts2));
    let nodes = vec![
        node("Conv", "expand", ["x", "w1"], ["c1"], kernel(1, 0)),
        norm1,
        node("Relu", "", ["n1"], ["r1"], vec![]),
        node("Conv", "depthwise", ["r1", "w2"], ["c2"], kernel(CHANNELS as i64, 1)),
        norm2,
        node("Relu", "", ["n2"], ["r2"], vec![]),
        node("Conv", "project", ["r2", "w3"], ["y"], kernel(1, 0)),
    ];
    of_layers(nodes, constants, &[1, 4, 8, 8])
}

/// `x` (normal) through a batch-norm and ReLU, then through the layer that `nodes` are.
pub(crate) fn behind_a_norm(nodes: Vec<NodeProto>, weights: Vec<TensorProto>, x: &[i64], channels: usize) -> Network {
    let mut noise = Noise(3);
    let (scale, bias) = (noise.uniform(channels), noise.uniform(channels));
    let (zeros, ones) = (vec![0.0; channels], vec![1.0; channels]);
    let (norm, mut constants) = norm("x", "n", [&scale, &bias, &zeros, &ones]);
    constants.extend(weights);
    let relu = node("Relu", "", ["n"], ["r"], vec![]);
    of_layers([vec![norm, relu], nodes].concat(), constants, x)
}
