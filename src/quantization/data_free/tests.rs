use super::{Known, Order, batch_norm_activations, propagate, second_axis};
use crate::format::demo::Demo;
use crate::network::{Format, Network, fold_batch_norm};
use crate::onnx::build::{float_attribute, float_tensor, i64_tensor, int_attribute, node, scalar_f32};
use crate::onnx::schema::OperatorSetIdProto;
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::statistics::{ChannelDistribution, RangeSource};
use std::collections::HashMap;

/// Means and scales of the batch-norm that makes "n".
const BIAS: [f32; 2] = [1.0, -2.0];
const SCALE: [f32; 2] = [0.5, -1.0];

/// A graph with a batch-norm from `x` to `n` before `nodes`.
fn known(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> HashMap<String, Known> {
    let norm = node(
        "BatchNormalization",
        "",
        ["x", "scale", "bias", "m", "v"],
        ["n"],
        vec![],
    );
    let statistics = [("scale", SCALE), ("bias", BIAS), ("m", [9.0; 2]), ("v", [9.0; 2])];
    let statistics = statistics.map(|(name, values)| float_tensor(name, &[2], &values));
    let graph = GraphProto {
        node: [vec![norm], nodes].concat(),
        initializer: [statistics.to_vec(), constants].concat(),
        ..GraphProto::default()
    };
    let model = ModelProto {
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(13),
        }],
        ..ModelProto::default()
    };
    let network = Network::new("test", None, Format::Onnx, model).unwrap();
    propagate(&network, network.model.graph.as_ref().unwrap(), &[])
}

/// Ends of the channels of "y", which `op` makes of "n" and `others`.
fn ends(
    op: &str,
    others: &[&str],
    attributes: Vec<crate::onnx::AttributeProto>,
    constants: Vec<TensorProto>,
) -> Vec<(f64, f64)> {
    let inputs: Vec<&str> = ["n"].iter().chain(others).copied().collect();
    let known = known(vec![node(op, "", inputs, ["y"], attributes)], constants);
    known["y"]
        .channels
        .iter()
        .map(|channel| (channel.low(), channel.high()))
        .collect()
}

#[test]
fn ranges_behind_a_batch_norm_are_six_deviations_about_its_bias() {
    let known = known(vec![], vec![]);
    assert_eq!(known["n"], second_axis([[1.0, 0.5], [-2.0, 1.0]]));
    assert!(!known.contains_key("x"));
    assert_eq!(ends("Identity", &[], vec![], vec![]), [(-2.0, 4.0), (-8.0, 4.0)]);
}

#[test]
fn activations_cut_or_bend_the_range() {
    assert_eq!(ends("Relu", &[], vec![], vec![]), [(0.0, 4.0), (0.0, 4.0)]);
    let relu6 = vec![scalar_f32("low", 0.0), scalar_f32("high", 3.0)];
    assert_eq!(ends("Clip", &["low", "high"], vec![], relu6), [(0.0, 3.0), (0.0, 3.0)]);
    let old = vec![float_attribute("min", -1.0), float_attribute("max", 3.5)];
    assert_eq!(ends("Clip", &[], old, vec![]), [(-1.0, 3.5), (-1.0, 3.5)]);
    let leaky = ends("LeakyRelu", &[], vec![float_attribute("alpha", 0.5)], vec![]);
    assert_eq!(leaky, [(-1.0, 4.0), (-4.0, 4.0)]);
    let swish = ends("HardSwish", &[], vec![], vec![]);
    assert!((swish[0].0 + 0.375).abs() < 1e-4 && swish[0].1 == 4.0, "{swish:?}");
    let sigmoid = ends("Sigmoid", &[], vec![], vec![]);
    assert!((sigmoid[0].1 - 1.0 / (1.0 + (-4.0_f64).exp())).abs() < 1e-12);
}

#[test]
fn constants_shift_and_scale_each_channel() {
    let constant = |dims: &[usize]| vec![float_tensor("k", dims, &[2.0, -1.0])];
    assert_eq!(
        ends("Mul", &["k"], vec![], constant(&[1, 2, 1, 1])),
        [(-4.0, 8.0), (-4.0, 8.0)]
    );
    assert_eq!(
        ends("Add", &["k"], vec![], constant(&[2, 1, 1])),
        [(0.0, 6.0), (-9.0, 3.0)]
    );
    assert_eq!(
        ends("Sub", &["k"], vec![], vec![scalar_f32("k", 1.0)]),
        [(-3.0, 3.0), (-9.0, 3.0)]
    );
    assert_eq!(
        ends("Div", &["k"], vec![], vec![scalar_f32("k", 2.0)]),
        [(-1.0, 2.0), (-4.0, 2.0)]
    );
    // A vector stands beside the last axis, which is not known to be that of the channels.
    let known = known(vec![node("Add", "", ["n", "k"], ["y"], vec![])], constant(&[2]));
    assert!(!known.contains_key("y"));
}

#[test]
fn values_join_and_move_about() {
    let twice = ends("Add", &["n"], vec![], vec![]);
    let wide = 3.0 * 2.0_f64.sqrt();
    assert!(
        (twice[0].0 - (2.0 - wide)).abs() < 1e-9 && (twice[0].1 - (2.0 + wide)).abs() < 1e-9,
        "{twice:?}"
    );
    assert_eq!(ends("Concat", &["n"], vec![int_attribute("axis", 1)], vec![]).len(), 4);
    let channels = vec![i64_tensor("pads", &[8], &[0, 1, 0, 0, 0, 0, 0, 0])];
    assert_eq!(
        ends("Pad", &["pads"], vec![], channels),
        [(0.0, 0.0), (-2.0, 4.0), (-8.0, 4.0)]
    );
    let ints = |name: &str, values: &[i64]| i64_tensor(name, &[values.len()], values);
    let slice = |axis: i64, start: i64, step: i64| {
        let constants = vec![
            ints("starts", &[start]),
            ints("ends", &[i64::MAX]),
            ints("axes", &[axis]),
            ints("steps", &[step]),
        ];
        ends("Slice", &["starts", "ends", "axes", "steps"], vec![], constants)
    };
    assert_eq!(slice(2, 0, 2), [(-2.0, 4.0), (-8.0, 4.0)], "every second row");
    assert_eq!(slice(1, -1, 1), [(-8.0, 4.0)], "the last channel");
    assert_eq!(slice(1, 0, 2), [(-2.0, 4.0)], "every second channel");
    let gated = known(
        vec![
            node("Sigmoid", "", ["n"], ["s"], vec![]),
            node("Mul", "", ["n", "s"], ["y"], vec![]),
        ],
        vec![],
    );
    // The least of x sigmoid(x) is -0.2785, not -8.
    assert!(gated["y"].channels[1].low() > -0.279, "{:?}", gated["y"]);
    let moved = known(vec![node("Transpose", "", ["n"], ["t"], vec![])], vec![]);
    assert_eq!((moved["t"].order, moved["t"].channels.len()), (Order::Mixed, 2));
    let unknown = known(
        vec![
            node("Conv", "", ["n", "w"], ["c"], vec![]),
            node("Relu", "", ["c"], ["r"], vec![]),
        ],
        vec![],
    );
    assert!(!unknown.contains_key("r"));
}

#[test]
fn means_go_with_the_channels_of_a_layer() {
    let weight = |dims: &[usize]| float_tensor("w", dims, &vec![0.5; dims.iter().product()]);
    let of = |nodes: Vec<NodeProto>, weight: TensorProto| {
        let network_known = |nodes: Vec<NodeProto>| {
            let norm = node(
                "BatchNormalization",
                "",
                ["x", "scale", "bias", "m", "v"],
                ["n"],
                vec![],
            );
            let statistics = [("scale", SCALE), ("bias", BIAS), ("m", [9.0; 2]), ("v", [9.0; 2])];
            let statistics = statistics.map(|(name, values)| float_tensor(name, &[2], &values));
            let model = ModelProto {
                graph: Some(GraphProto {
                    node: [vec![norm], nodes].concat(),
                    initializer: [statistics.to_vec(), vec![weight.clone()]].concat(),
                    ..GraphProto::default()
                }),
                ..ModelProto::default()
            };
            Network::new("test", None, Format::Onnx, model).unwrap()
        };
        let network = network_known(nodes);
        let (input, _) = network.layers[0].input.clone().unwrap();
        batch_norm_activations(&network, &[])[&input].channel_means()
    };
    let conv = vec![node("Conv", "", ["n", "w"], ["y"], vec![])];
    assert_eq!(of(conv, weight(&[1, 2, 1, 1])).unwrap(), vec![1.0, -2.0]);
    let flat = vec![
        node("Flatten", "", ["n"], ["f"], vec![]),
        node("Gemm", "", ["f", "w"], ["y"], vec![]),
    ];
    assert_eq!(of(flat, weight(&[4, 3])).unwrap(), vec![1.0, 1.0, -2.0, -2.0]);
    let pooled = vec![
        node("MaxPool", "", ["n"], ["p"], vec![]),
        node("Conv", "", ["p", "w"], ["y"], vec![]),
    ];
    assert_eq!(of(pooled, weight(&[1, 2, 1, 1])), None, "a maximum moves the mean");
    let rectified = vec![
        node("Relu", "", ["n"], ["r"], vec![]),
        node("Conv", "", ["r", "w"], ["y"], vec![]),
    ];
    let means = of(rectified, weight(&[1, 2, 1, 1])).unwrap();
    // E[max(0, N(m, s))] = m P(m / s) + s p(m / s).
    assert!(
        (means[0] - 1.004_245).abs() < 1e-5 && (means[1] - 0.008_491).abs() < 1e-5,
        "{means:?}"
    );
}

#[test]
fn the_demo_knows_every_layer_input_but_the_first_folded_or_not() {
    let network = Demo::Fashion.network().unwrap();
    let plain = batch_norm_activations(&network, &[]);
    let folded = batch_norm_activations(&fold_batch_norm(&network).unwrap(), &[]);
    assert!(plain == folded);
    for layer in &network.layers {
        let (input, _) = layer.input.as_ref().unwrap();
        let known = plain.get(input);
        assert_eq!(known.is_some(), input != "input", "{}", layer.name);
        let Some(known) = known else { continue };
        assert_eq!((known.source, known.not_finite), (RangeSource::BatchNorm, 0));
        assert!(
            known.min >= 0.0 && known.max > 0.5 && known.max < 100.0,
            "{}: {known:?}",
            layer.name
        );
        assert_eq!(known.channel_means().unwrap().len(), layer.layout.in_channels());
    }
}

#[test]
fn what_is_not_finite_is_not_known() {
    let nan = second_axis([[f32::NAN, 1.0]]);
    assert!(!nan.channels[0].is_finite());
    assert!(!ChannelDistribution::gaussian(0.0, f64::INFINITY).is_finite());
}
