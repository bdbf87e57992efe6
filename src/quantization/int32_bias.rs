//! Scales that keep biases within 32-bit integers.
//!
//! An integer kernel adds the bias to its sums as an integer of scale `s_x s_w`, the scales of the input and of the channel's
//! weights (Jacob et al. 2018, arXiv 1712.05877, section 2.4). Where a channel has tiny weights and a bias that is not,
//! `bias / (s_x s_w)` passes 2^31, and runtimes saturate it. Such a channel gets a larger scale: its weights are too small to
//! matter beside its bias, and it loses next to nothing.

use super::bias_correction::constant_bias;
use super::{ActivationPlan, Scales};
use crate::network::{Layer, LayerKind, Network};
use crate::onnx::NodeProto;
use crate::onnx::build::attribute_float;

/// The largest `|bias| / (s_x s_w)`: half of what an int32 holds, since a bias may still be corrected after that.
const MAX_CODE: f64 = (1_u32 << 30) as f64;

/// The least scale of each output channel of `layer` with which its bias fits, its input being on the grid of `input`; empty
/// where it has no bias that is a constant, or the layer has no integer kernel with one.
pub(super) fn least_scales(network: &Network, layer: &Layer, input: &ActivationPlan) -> Vec<f32> {
    let known = || {
        let node = network.node(layer)?;
        let factor = product_factor(layer, node)? * f64::from(input.grid.step);
        let bias = constant_bias(network, node, layer.layout.out_channels()).ok()?;
        // One part in a million up, so that rounding to f32 stays above.
        let least = |bias: &f64| (bias.abs() / (factor * MAX_CODE) * (1.0 + 1e-6)) as f32;
        let least: Vec<f32> = bias.iter().map(least).collect();
        least.iter().all(|least| least.is_finite()).then_some(least)
    };
    known().unwrap_or_default()
}

/// What the products of a layer are multiplied by before the bias is added, as a multiple of the bias's own factor; `None` where
/// there is no integer kernel that adds it.
pub(super) fn product_factor(layer: &Layer, node: &NodeProto) -> Option<f64> {
    match layer.kind {
        LayerKind::Conv => Some(1.0),
        LayerKind::Gemm => {
            let factor = |name: &str| f64::from(attribute_float(node, name).unwrap_or(1.0));
            let (alpha, beta) = (factor("alpha"), factor("beta"));
            (alpha != 0.0 && beta != 0.0).then_some((alpha / beta).abs())
        }
        _ => None,
    }
}

/// Whether any of `scales` is below the least of its channel.
pub(super) fn is_below(scales: &Scales, least: &[f32]) -> bool {
    raise(&mut scales.clone(), least) > 0
}

/// Raises those of `scales` that are below the least of their channel; of how many channels. Blocks stay: no kernel adds up
/// integers of several scales.
pub(super) fn raise(scales: &mut Scales, least: &[f32]) -> usize {
    match scales {
        Scales::Tensor(scale) => {
            let largest = least.iter().copied().fold(0.0, f32::max);
            let below = least.iter().filter(|least| *scale < **least).count();
            *scale = scale.max(largest);
            below
        }
        Scales::Channel(scales) if scales.len() == least.len() => {
            let mut below = 0;
            for (scale, least) in scales.iter_mut().zip(least).filter(|(scale, least)| **scale < **least) {
                *scale = *least;
                below += 1;
            }
            below
        }
        Scales::Channel(_) | Scales::Block { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Activations, Recipe, plan};
    use super::*;
    use crate::network::Format;
    use crate::onnx::GraphProto;
    use crate::onnx::build::{float_tensor, float_value_info, model_of, node};
    use crate::progress::Progress;
    use crate::quantization::{Bits, Granularity, InputSettings, WeightSettings, plan_layer};
    use crate::statistics::{ActivationStatistics, RangeSource};

    const WEIGHTS: [f32; 6] = [0.5, -1.0, 3e-9, -1e-9, 0.25, 0.125];
    const BIAS: [f32; 3] = [0.1, 40.0, 0.0];

    /// A convolution of one pixel with two input and three output channels; the second has tiny weights and a large bias.
    fn network() -> Network {
        let graph = GraphProto {
            node: vec![node("Conv", "conv", ["x", "w", "b"], ["y"], vec![])],
            initializer: vec![
                float_tensor("w", &[3, 2, 1, 1], &WEIGHTS),
                float_tensor("b", &[3], &BIAS),
            ],
            input: vec![float_value_info("x", &[1, 2, 1, 1])],
            output: vec![float_value_info("y", &[1, 3, 1, 1])],
            ..GraphProto::default()
        };
        let model = model_of(17, graph);
        Network::new("tiny", None, Format::Onnx, model).unwrap()
    }

    #[test]
    fn a_bias_fits_in_32_bits_whatever_the_weights() {
        let network = network();
        let mut seen = ActivationStatistics::new(RangeSource::Calibration);
        seen.add(&[-2.0, 2.0]);
        let activations = Activations::from([("x".to_owned(), seen)]);
        for scales in [Granularity::Tensor, Granularity::Channel] {
            let recipe = |activation_bits| Recipe {
                scales,
                activation_bits,
                ..Recipe::default()
            };
            let planned = |bits| plan(&network, &recipe(bits), Some(&activations), &Progress::default()).unwrap();
            let quantized = planned(Bits::Grid(8)).layers[0].quantized().unwrap().clone();
            let input = quantized.activation.unwrap().grid.step;
            assert!((input - 2.0 / 127.0).abs() < 1e-6);
            let of_channel = |scales: &Scales, channel: usize| match scales {
                Scales::Tensor(scale) => *scale,
                scales => scales.values()[channel],
            };
            for (channel, bias) in BIAS.iter().enumerate() {
                let code = f64::from(*bias) / (f64::from(input) * f64::from(of_channel(&quantized.scales, channel)));
                assert!(code.abs() < f64::from(i32::MAX), "channel {channel}: {code}");
            }
            // Without integers behind it nothing is changed.
            let float = planned(Bits::Float).layers[0].quantized().unwrap().clone();
            let settings = WeightSettings {
                scales,
                ..WeightSettings::default()
            };
            assert_eq!(
                float.scales,
                plan_layer(&WEIGHTS, &network.layers[0].layout, &settings).scales
            );
            if scales == Granularity::Channel {
                let of = |channel| of_channel(&float.scales, channel);
                assert!(
                    40.0 / f64::from(input) / f64::from(of(1)) > f64::from(i32::MAX),
                    "it would overflow"
                );
                assert_eq!(quantized.raised_scales, 1);
                assert_eq!(of_channel(&quantized.scales, 0), of(0));
                assert_eq!(of_channel(&quantized.scales, 2), of(2));
                // What is lost is nothing beside the bias: half a step for each weight.
                assert!(of_channel(&quantized.scales, 1) * 2.0 < 40.0 * 1e-6);
            } else {
                assert_eq!(quantized.raised_scales, 0, "the largest weight's scale is far above");
                assert_eq!(quantized.scales, float.scales);
            }
        }
        let input = InputSettings {
            bits: Bits::Grid(8),
            ..InputSettings::default()
        };
        let plan = super::super::plan_input(&network.layers[0], &input, &activations)
            .unwrap()
            .unwrap();
        let least = least_scales(&network, &network.layers[0], &plan);
        // |b| = s_x s_w 2^30 at the least scale, closed form.
        let step = f64::from(plan.grid.step);
        assert!((f64::from(least[1]) * step * f64::from(1_u32 << 30) / 40.0 - 1.0).abs() < 1e-5);
        assert_eq!(least[2], 0.0);
    }
}
