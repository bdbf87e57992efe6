//! Scales of layers whose output channels are not the first axis of their weight: what the export computes is what the weights
//! times their scales compute.

use crate::common::graph::{floats, model, network, run, value};
use crate::common::relative_difference;
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, int_attribute, ints_attribute, node, string_attribute};
use splitscope::onnx::{ModelProto, NodeProto, TensorProto};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Granularity, Plan, Recipe, Scales, Storage, plan, quantized_tensors, rewrite};

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.618_034).fract() - 0.5).collect()
}

fn of(node: NodeProto, weights: Vec<TensorProto>, x: &[i64]) -> Network {
    network(model(15, (vec![node], weights), vec![floats("x", x)], vec![value("y")]))
}

fn planned(network: &Network, scales: Granularity) -> Plan {
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        scales,
        ..Recipe::default()
    };
    plan(network, &recipe, None, &Progress::default()).unwrap()
}

/// The network with the weights that an export of tensors holds, dequantized.
fn with_weights_of(network: &Network, plan: &Plan) -> ModelProto {
    let mut plan = plan.clone();
    plan.recipe.storage = Storage::Float;
    let (tensors, _) = quantized_tensors(network, &plan).unwrap();
    let mut model = network.model.as_ref().clone();
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        let own = tensors.iter().find(|other| other.name() == tensor.name()).unwrap();
        *tensor = own.clone();
    }
    model
}

fn check(network: &Network, scales: Granularity, count: usize, shape: &[usize]) {
    let plan = planned(network, scales);
    for layer in &plan.layers {
        let own = &layer.quantized().unwrap().scales;
        assert!(
            matches!(own, Scales::Channel(scales) if scales.len() == count),
            "{own:?}"
        );
    }
    let x = numbers(shape.iter().product());
    let exported = run(&rewrite(network, &plan).unwrap(), shape, &x);
    let expected = run(&with_weights_of(network, &plan), shape, &x);
    assert!(relative_difference(&expected, &exported) < 1e-5);
    // Channels of very different size: with one scale for all the small ones would be gone.
    let per_tensor = planned(network, Granularity::Tensor);
    for (one, each) in per_tensor.layers.iter().zip(&plan.layers) {
        assert!(each.quantized().unwrap().mse < 0.8 * one.quantized().unwrap().mse);
    }
}

#[test]
fn each_output_channel_of_a_transposed_convolution_has_a_scale() {
    let mut weight = numbers(4 * 3 * 4);
    for (place, weight) in weight.iter_mut().enumerate() {
        *weight *= [1.0, 0.5, 0.01][place / 4 % 3];
    }
    let attributes = vec![
        ints_attribute("strides", [2, 2]),
        ints_attribute("kernel_shape", [2, 2]),
    ];
    let network = of(
        node("ConvTranspose", "up", ["x", "w"], ["y"], attributes),
        vec![float_tensor("w", &[4, 3, 2, 2], &weight)],
        &[1, 4, 5, 5],
    );
    check(&network, Granularity::Channel, 3, &[1, 4, 5, 5]);
    // Blocks of inputs are no neighbours in the file: the nearest that it can do is a scale for each channel.
    check(&network, Granularity::Block(16), 3, &[1, 4, 5, 5]);
    let layer = &network.layers[0];
    assert_eq!((layer.layout.out_channels(), layer.layout.out_run), (3, 4));
}

/// Groups share the axis of the output channels, and so the scales.
#[test]
fn the_groups_of_a_transposed_convolution_share_their_scales() {
    let mut weight = numbers(4 * 3);
    for (place, weight) in weight.iter_mut().enumerate() {
        *weight *= [1.0, 0.5, 0.01][place % 3];
    }
    let attributes = vec![int_attribute("group", 2), ints_attribute("kernel_shape", [1, 1])];
    let network = of(
        node("ConvTranspose", "up", ["x", "w"], ["y"], attributes),
        vec![float_tensor("w", &[4, 3, 1, 1], &weight)],
        &[1, 4, 5, 5],
    );
    let plan = planned(&network, Granularity::Channel);
    let quantized = plan.layers[0].quantized().unwrap();
    // W[2 groups, 2, 3]: the scale of channel o reaches the largest of both groups.
    for (channel, scale) in quantized.scales.values().iter().enumerate() {
        let largest = (0..4).map(|i| weight[i * 3 + channel].abs()).fold(0.0, f32::max);
        assert!((scale * 7.0 - largest).abs() < 1e-6, "{channel}");
    }
}

#[test]
fn both_directions_of_a_recurrent_layer_have_a_scale_for_each_row() {
    let (hidden, inputs) = (3, 5);
    let rows = 4 * hidden;
    let uneven = |columns: usize| -> Vec<f32> {
        let size = |place: usize| 10.0_f32.powi(-((place / columns % 4) as i32));
        let values = numbers(2 * rows * columns).into_iter().enumerate();
        values.map(|(place, x)| x * size(place)).collect()
    };
    let attributes = vec![
        int_attribute("hidden_size", hidden as i64),
        string_attribute("direction", "bidirectional"),
    ];
    let network = of(
        node("LSTM", "cell", ["x", "w", "r"], ["y"], attributes),
        vec![
            float_tensor("w", &[2, rows, inputs], &uneven(inputs)),
            float_tensor("r", &[2, rows, hidden], &uneven(hidden)),
        ],
        &[7, 1, inputs as i64],
    );
    check(&network, Granularity::Channel, 2 * rows, &[7, 1, inputs]);
}
