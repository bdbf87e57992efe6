use super::equalize;
use crate::network::{Format, Network, fold_batch_norm};
use crate::onnx::build::{float_attribute, float_tensor, int_attribute, ints_attribute, node, scalar_f32};
use crate::onnx::schema::OperatorSetIdProto;
use crate::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use prost::Message as _;
use rten_tensor::{NdTensor, prelude::*};

/// Deterministic numbers between -1 and 1.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    // Neighbouring seeds alone would begin alike.
    let mut state = seed.wrapping_mul(2_654_435_761);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tensor(name: &str, dims: &[usize], seed: u32) -> TensorProto {
    float_tensor(name, dims, &noise(dims.iter().product(), seed))
}

/// A weight whose channels along `axis` differ in range by up to 100 to 1.
fn uneven(name: &str, dims: &[usize], seed: u32, axis: usize) -> TensorProto {
    let inner: usize = dims[axis + 1..].iter().product();
    let values = noise(dims.iter().product(), seed).into_iter().enumerate();
    let values: Vec<f32> = values
        .map(|(place, x)| x * 10.0_f32.powi((place / inner % dims[axis] % 3) as i32 - 1))
        .collect();
    float_tensor(name, dims, &values)
}

fn kernel(groups: i64, pad: i64) -> Vec<AttributeProto> {
    vec![
        int_attribute("group", groups),
        ints_attribute("strides", [1, 1]),
        ints_attribute("dilations", [1, 1]),
        ints_attribute("pads", [pad; 4]),
    ]
}

fn network(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>, x: &[usize], output: &str) -> Network {
    let sizes: Vec<i64> = x.iter().map(|&size| size as i64).collect();
    let graph = GraphProto {
        name: Some("g".into()),
        node: nodes,
        initializer: initializers,
        input: vec![crate::onnx::build::float_value_info("x", &sizes)],
        output: vec![ValueInfoProto {
            name: Some(output.into()),
            ..ValueInfoProto::default()
        }],
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(13),
        }],
        ..ModelProto::default()
    };
    Network::new("test", None, Format::Onnx, model).unwrap()
}

/// Pointwise, depthwise, pointwise, pool, classifier: 4 layers in a row, of uneven channels.
fn depthwise() -> Network {
    let relu = |x: &str, y: &str| node("Relu", "", [x], [y], vec![]);
    let nodes = vec![
        node("Conv", "expand", ["x", "w1", "b1"], ["c1"], kernel(1, 0)),
        relu("c1", "r1"),
        node("Conv", "depthwise", ["r1", "w2", "b2"], ["c2"], kernel(6, 1)),
        node("LeakyRelu", "", ["c2"], ["r2"], vec![float_attribute("alpha", 0.1)]),
        node("Conv", "project", ["r2", "w3"], ["c3"], kernel(1, 0)),
        node("GlobalAveragePool", "", ["c3"], ["p"], vec![]),
        node("Flatten", "", ["p"], ["f"], vec![]),
        node(
            "Gemm",
            "classify",
            ["f", "w4", "b4"],
            ["y"],
            vec![float_attribute("alpha", 0.5), float_attribute("beta", 2.0)],
        ),
    ];
    let constants = vec![
        uneven("w1", &[6, 3, 1, 1], 1, 0),
        tensor("b1", &[6], 2),
        uneven("w2", &[6, 1, 3, 3], 3, 0),
        tensor("b2", &[6], 4),
        uneven("w3", &[4, 6, 1, 1], 5, 1),
        uneven("w4", &[4, 5], 7, 0),
        tensor("b4", &[5], 8),
    ];
    network(nodes, constants, &[1, 3, 7, 7], "y")
}

fn run(network: &Network, seed: u32) -> Vec<f32> {
    let model = rten::Model::load(network.model.encode_to_vec()).unwrap();
    let dims = {
        let graph = network.model.graph.as_ref().unwrap();
        graph.input[0].r#type.clone().unwrap()
    };
    let sizes: Vec<usize> = match dims.value.unwrap() {
        crate::onnx::schema::type_proto::Value::TensorType(tensor) => tensor
            .shape
            .unwrap()
            .dim
            .iter()
            .map(|dim| match dim.value {
                Some(crate::onnx::schema::tensor_shape_proto::Value::DimValue(size)) => size as usize,
                _ => 1,
            })
            .collect(),
        _ => unreachable!(),
    };
    let input = noise(sizes.iter().product(), seed);
    let output = match sizes[..] {
        [a, b] => model.run_one(NdTensor::from_data([a, b], input).into(), None),
        [a, b, c, d] => model.run_one(NdTensor::from_data([a, b, c, d], input).into(), None),
        _ => unreachable!(),
    };
    output.unwrap().into_tensor::<f32>().unwrap().to_vec()
}

fn assert_same(before: &Network, after: &Network) {
    let (a, b) = (run(before, 9), run(after, 9));
    let largest = a.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    assert!(largest > 0.0 && a.len() == b.len());
    for (a, b) in a.iter().zip(&b) {
        assert!(
            (a - b).abs() <= 1e-5 * largest,
            "{a} became {b}, the largest is {largest}"
        );
    }
    let names = |network: &Network| -> Vec<String> { network.layers.iter().map(|layer| layer.name.clone()).collect() };
    assert_eq!(names(before), names(after));
}

fn pairs(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect()
}

/// Largest weight of each channel along `axis`.
fn ranges(network: &Network, layer: &str, axis: usize) -> Vec<f32> {
    let index = network.layer_index(layer).unwrap();
    let shape = &network.layers[index].shape;
    let inner: usize = shape[axis + 1..].iter().product();
    let mut ranges = vec![0.0_f32; shape[axis]];
    for (place, weight) in network.weights(index).unwrap().iter().enumerate() {
        let range = &mut ranges[place / inner % shape[axis]];
        *range = range.max(weight.abs());
    }
    ranges
}

#[test]
fn a_depthwise_network_is_equalized_through_and_computes_the_same() {
    let before = depthwise();
    let equalization = equalize(&before).unwrap();
    assert_eq!(
        pairs(&equalization.pairs),
        [
            ("expand", "depthwise"),
            ("depthwise", "project"),
            ("project", "classify")
        ]
    );
    assert!(equalization.skipped.is_empty(), "{:?}", equalization.skipped);
    let after = equalization.network;
    assert_same(&before, &after);
    let uneven = ranges(&before, "expand", 0);
    assert!(uneven[2] > 10.0 * uneven[0], "{uneven:?}");
    // Settled: what ends a pair has the range of what begins it, in every channel.
    for (first, axis, second, other) in [
        ("expand", 0, "depthwise", 0),
        ("depthwise", 0, "project", 1),
        ("project", 0, "classify", 0),
    ] {
        for (a, b) in ranges(&after, first, axis).iter().zip(ranges(&after, second, other)) {
            assert!((a / b - 1.0).abs() < 1e-2, "{first} {a}, {second} {b}");
        }
    }
    assert_eq!(after.preparation.steps, ["equalized 3 pairs of layers"]);
}

#[test]
fn the_spread_of_uneven_channels_is_undone() {
    // The pair computes what even weights compute: channel i divided by k in one layer and multiplied in the other.
    let factors = [0.01_f32, 1.0, 30.0, 5.0];
    let (even1, even2) = (noise(12, 1), noise(20, 2));
    let first: Vec<f32> = even1.iter().enumerate().map(|(i, x)| x * factors[i / 3]).collect();
    let second: Vec<f32> = even2.iter().enumerate().map(|(i, x)| x / factors[i % 4]).collect();
    let build = |first: &[f32], second: &[f32]| {
        let nodes = vec![
            node("Gemm", "a", ["x", "w1"], ["h"], vec![int_attribute("transB", 1)]),
            node("Relu", "", ["h"], ["r"], vec![]),
            node("Gemm", "b", ["r", "w2"], ["y"], vec![int_attribute("transB", 1)]),
        ];
        let constants = vec![float_tensor("w1", &[4, 3], first), float_tensor("w2", &[5, 4], second)];
        network(nodes, constants, &[2, 3], "y")
    };
    let equal = |network: &Network| equalize(network).unwrap().network;
    let (even, uneven) = (equal(&build(&even1, &even2)), equal(&build(&first, &second)));
    for index in 0..2 {
        let (even, uneven) = (even.weights(index).unwrap(), uneven.weights(index).unwrap());
        for (a, b) in even.iter().zip(uneven.iter()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

#[test]
fn what_bars_the_way_is_told() {
    let nodes = vec![
        node("Conv", "a", ["x", "w1"], ["c"], kernel(1, 0)),
        node("Sigmoid", "", ["c"], ["r"], vec![]),
        node("Conv", "b", ["r", "w2"], ["d"], kernel(1, 0)),
        node("Conv", "c", ["d", "w3"], ["e"], kernel(1, 0)),
        node("Add", "", ["d", "e"], ["y"], vec![]),
    ];
    let constants = vec![
        tensor("w1", &[4, 3, 1, 1], 1),
        tensor("w2", &[4, 4, 1, 1], 2),
        tensor("w3", &[4, 4, 1, 1], 3),
    ];
    let network = network(nodes, constants, &[1, 3, 5, 5], "y");
    let equalization = equalize(&network).unwrap();
    assert!(equalization.pairs.is_empty());
    let why = |layer: &str| {
        equalization
            .skipped
            .iter()
            .find(|(name, _)| name == layer)
            .unwrap()
            .1
            .clone()
    };
    assert!(why("a").contains("Sigmoid"), "{}", why("a"));
    assert!(why("b").contains("more than once"), "{}", why("b"));
    assert!(why("c").contains("Add"), "{}", why("c"));
    assert_same(&network, &equalization.network);
}

#[test]
fn pictures_flattened_scale_all_pixels_of_a_channel() {
    let nodes = vec![
        node("Conv", "a", ["x", "w1", "b1"], ["c"], kernel(1, 0)),
        node(
            "MaxPool",
            "",
            ["c"],
            ["p"],
            vec![
                ints_attribute("kernel_shape", [2, 2]),
                ints_attribute("strides", [2, 2]),
            ],
        ),
        node("Flatten", "", ["p"], ["f"], vec![]),
        node("MatMul", "b", ["f", "w2"], ["y"], vec![]),
    ];
    let constants = vec![
        uneven("w1", &[3, 2, 1, 1], 1, 0),
        tensor("b1", &[3], 2),
        uneven("w2", &[12, 5], 3, 0),
    ];
    let network = network(nodes, constants, &[1, 2, 4, 4], "y");
    let equalization = equalize(&network).unwrap();
    assert_eq!(pairs(&equalization.pairs), [("a", "b")]);
    assert_same(&network, &equalization.network);
}

#[test]
fn a_weight_that_another_layer_reads_too_is_copied() {
    let nodes = vec![
        node("Conv", "", ["x", "w"], ["a"], kernel(1, 0)),
        node("Relu", "", ["a"], ["b"], vec![]),
        node("Conv", "", ["b", "w"], ["y"], kernel(1, 0)),
    ];
    let network = network(nodes, vec![uneven("w", &[3, 3, 1, 1], 1, 0)], &[1, 3, 4, 4], "y");
    let equalization = equalize(&network).unwrap();
    assert_eq!(equalization.pairs.len(), 1);
    assert_same(&network, &equalization.network);
}

#[test]
fn channels_of_zeros_and_weights_that_are_no_numbers_stay() {
    let build = |first: &[f32]| {
        let nodes = vec![
            node("Gemm", "a", ["x", "w1"], ["h"], vec![]),
            node("Gemm", "b", ["h", "w2"], ["y"], vec![]),
        ];
        let constants = vec![float_tensor("w1", &[2, 2], first), tensor("w2", &[2, 3], 2)];
        network(nodes, constants, &[1, 2], "y")
    };
    let zeros = build(&[0.0, 1.0, 0.0, 2.0]);
    let after = equalize(&zeros).unwrap().network;
    assert_same(&zeros, &after);
    assert!(after.weights(1).unwrap().iter().all(|x| x.is_finite()));
    let broken = equalize(&build(&[f32::NAN, 1.0, 0.0, 2.0])).unwrap();
    assert!(
        broken.pairs.is_empty() && broken.skipped[0].1.contains("NaN"),
        "{:?}",
        broken.skipped
    );
}

#[test]
fn statistics_of_folded_batch_norms_are_scaled_as_the_values_are() {
    let mut constants = vec![uneven("w1", &[3, 2, 1, 1], 1, 0), uneven("w2", &[2, 3, 1, 1], 2, 1)];
    constants.extend([
        float_tensor("g", &[3], &[1.0, -2.0, 0.5]),
        float_tensor("s", &[3], &[0.5, 0.0, -1.0]),
        float_tensor("m", &[3], &[0.0; 3]),
        float_tensor("v", &[3], &[1.0; 3]),
    ]);
    let nodes = vec![
        node("Conv", "a", ["x", "w1"], ["c"], kernel(1, 0)),
        node("BatchNormalization", "", ["c", "g", "s", "m", "v"], ["n"], vec![]),
        node("Conv", "b", ["n", "w2"], ["y"], kernel(1, 0)),
    ];
    let original = network(nodes, constants, &[1, 2, 4, 4], "y");
    let folded = fold_batch_norm(&original).unwrap();
    assert_eq!(
        folded.preparation.normalized["n"],
        [[0.5, 1.0], [0.0, 2.0], [-1.0, 0.5]]
    );
    let equal = equalize(&folded).unwrap().network;
    let weights = |network: &Network| network.weights(0).unwrap().to_vec();
    let (before, after) = (weights(&folded), weights(&equal));
    for (channel, [mean, deviation]) in equal.preparation.normalized["n"].iter().enumerate() {
        let scale = before[2 * channel] / after[2 * channel];
        let [old_mean, old_deviation] = folded.preparation.normalized["n"][channel];
        assert!((mean * scale - old_mean).abs() < 1e-5 && (deviation * scale - old_deviation).abs() < 1e-5);
        assert!((scale - 1.0).abs() > 1e-3, "channel {channel} is scaled");
    }
    assert_eq!(equal.preparation.steps.len(), 2);
    // Without folding the batch-norm bars the way.
    assert!(equalize(&original).unwrap().skipped[0].1.contains("BatchNormalization"));
}

/// A convolution, `between` from "c" to "r", another convolution.
fn through(between: Vec<NodeProto>, ends: Vec<TensorProto>, opset: i64) -> Network {
    let first = node("Conv", "a", ["x", "w1", "b1"], ["c"], kernel(1, 0));
    let second = node("Conv", "b", ["r", "w2"], ["y"], kernel(1, 0));
    let nodes = [vec![first], between, vec![second]].concat();
    // Large enough to be cut off often.
    let large = |mut tensor: TensorProto| {
        let values: Vec<f32> = crate::onnx::numbers(&tensor).unwrap().iter().map(|x| x * 8.0).collect();
        tensor = float_tensor(tensor.name(), &[6, 3, 1, 1], &values);
        tensor
    };
    let mut constants = vec![
        large(uneven("w1", &[6, 3, 1, 1], 1, 0)),
        tensor("b1", &[6], 2),
        uneven("w2", &[4, 6, 1, 1], 3, 1),
    ];
    constants.extend(ends);
    let network = network(nodes, constants, &[1, 3, 9, 9], "y");
    let mut model = network.model.as_ref().clone();
    model.opset_import[0].version = Some(opset);
    Network::new("test", None, Format::Onnx, model).unwrap()
}

/// The same function to 1e-5, also by the engine that upgrades old operator sets; the pair is equalized.
fn assert_passes(before: &Network) -> Network {
    let equalization = equalize(before).unwrap();
    assert_eq!(pairs(&equalization.pairs), [("a", "b")], "{:?}", equalization.skipped);
    let after = equalization.network;
    assert_same(before, &after);
    for (a, b) in ranges(&after, "a", 0).iter().zip(ranges(&after, "b", 1)) {
        assert!((a / b - 1.0).abs() < 1e-2, "{a} {b}");
    }
    let outputs = [before, &after].map(|network| {
        let engine = crate::engine::load_model(network.runnable_model()).unwrap();
        let x = crate::data::Tensor::from_shape([1, 3, 9, 9], noise(243, 9)).unwrap();
        let output = engine.run(&[("x", &x)], &["y"]).unwrap().remove(0);
        output.floats().unwrap().to_vec()
    });
    let largest = outputs[0].iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    for (a, b) in outputs[0].iter().zip(&outputs[1]) {
        assert!((a - b).abs() <= 1e-5 * largest, "{a} {b}");
    }
    after
}

fn operators(network: &Network) -> Vec<&str> {
    let graph = network.model.graph.as_ref().unwrap();
    graph.node.iter().map(NodeProto::op_type).collect()
}

#[test]
fn a_relu6_gets_a_cap_for_each_channel() {
    let ends = || vec![scalar_f32("low", 0.0), scalar_f32("high", 6.0)];
    let inputs = node("Clip", "relu6", ["c", "low", "high"], ["r"], vec![]);
    let attributes = vec![float_attribute("min", 0.0), float_attribute("max", 6.0)];
    let attributes = node("Clip", "relu6", ["c"], ["r"], attributes);
    for before in [through(vec![inputs], ends(), 13), through(vec![attributes], vec![], 7)] {
        let after = assert_passes(&before);
        assert_eq!(operators(&after), ["Conv", "Relu", "Min", "Conv"]);
        // The cap falls as the weights do.
        let graph = after.model.graph.as_ref().unwrap();
        let caps = graph
            .initializer
            .iter()
            .find(|tensor| tensor.name() == graph.node[2].input[1])
            .unwrap();
        assert_eq!(caps.dims, [6, 1, 1]);
        let caps = crate::onnx::numbers(caps).unwrap();
        let (was, now) = (ranges(&before, "a", 0), ranges(&after, "a", 0));
        for (channel, cap) in caps.iter().enumerate() {
            let scale = was[channel] / now[channel];
            assert!((cap * scale - 6.0).abs() < 1e-4, "channel {channel}: {cap} {scale}");
        }
        // Once more: caps of channels are bounds like any other.
        let again = assert_passes(&after);
        assert_eq!(operators(&again), ["Conv", "Relu", "Min", "Conv"]);
    }
}

#[test]
fn every_form_of_a_bound_is_divided_and_what_is_none_stays() {
    let scalar = |name: &str, value: f32| scalar_f32(name, value);
    let clip = |inputs: &[&str]| node("Clip", "", inputs.to_vec(), ["r"], vec![]);
    let low = through(
        vec![clip(&["c", "low", "high"])],
        vec![scalar("low", -3.0), scalar("high", 6.0)],
        13,
    );
    assert_eq!(operators(&assert_passes(&low)), ["Conv", "Max", "Min", "Conv"]);
    let only_high = through(vec![clip(&["c", "", "high"])], vec![scalar("high", 2.0)], 13);
    assert_eq!(operators(&assert_passes(&only_high)), ["Conv", "Min", "Conv"]);
    let only_low = through(vec![clip(&["c", "low"])], vec![scalar("low", 0.0)], 13);
    assert_eq!(
        operators(&assert_passes(&only_low)),
        ["Conv", "Clip", "Conv"],
        "a ReLU by another name"
    );
    let relu_min = vec![
        node("Relu", "", ["c"], ["p"], vec![]),
        node("Min", "", ["six", "p"], ["r"], vec![]),
    ];
    let relu_min = through(relu_min, vec![scalar("six", 6.0)], 13);
    assert_eq!(operators(&assert_passes(&relu_min)), ["Conv", "Relu", "Min", "Conv"]);
    // Ends that are computed while the network runs, and a vector along the columns of the picture, bar the way.
    let computed = vec![
        node("ReduceMax", "", ["x"], ["m"], vec![int_attribute("keepdims", 0)]),
        node("Clip", "", ["c", "", "m"], ["r"], vec![]),
    ];
    assert!(equalize(&through(computed, vec![], 13)).unwrap().pairs.is_empty());
    let columns = vec![node("Min", "", ["c", "v"], ["r"], vec![])];
    let columns = through(columns, vec![float_tensor("v", &[9], &[1.0; 9])], 13);
    assert!(equalize(&columns).unwrap().pairs.is_empty());
}

#[test]
fn a_uniform_scale_keeps_the_clip_and_a_bound_behind_flatten_covers_its_pixels() {
    // One channel: one cap.
    let nodes = vec![
        node("Gemm", "a", ["x", "w1"], ["c"], vec![]),
        node("Clip", "", ["c", "low", "high"], ["r"], vec![]),
        node("Gemm", "b", ["r", "w2"], ["y"], vec![]),
    ];
    let constants = vec![
        float_tensor("w1", &[2, 1], &[8.0, 4.0]),
        float_tensor("w2", &[1, 3], &[0.5, 0.25, 0.1]),
        scalar_f32("low", 0.0),
        scalar_f32("high", 6.0),
    ];
    let one = network(nodes, constants, &[5, 2], "y");
    let after = equalize(&one).unwrap().network;
    assert_same(&one, &after);
    assert_eq!(operators(&after), ["Gemm", "Clip", "Gemm"]);
    // 8 and 0.5 meet at 2: s = 4, so the cap is 1.5.
    let graph = after.model.graph.as_ref().unwrap();
    let high = graph
        .initializer
        .iter()
        .find(|tensor| tensor.name() == graph.node[1].input[2])
        .unwrap();
    assert!((crate::onnx::numbers(high).unwrap()[0] - 1.5).abs() < 1e-6);

    let nodes = vec![
        node("Conv", "a", ["x", "w1", "b1"], ["c"], kernel(1, 0)),
        node("Flatten", "", ["c"], ["f"], vec![]),
        node("Clip", "", ["f", "low", "high"], ["r"], vec![]),
        node("MatMul", "b", ["r", "w2"], ["y"], vec![]),
    ];
    let constants = vec![
        uneven("w1", &[3, 2, 1, 1], 1, 0),
        tensor("b1", &[3], 2),
        uneven("w2", &[12, 5], 3, 0),
        scalar_f32("low", 0.0),
        scalar_f32("high", 0.25),
    ];
    let flat = network(nodes, constants, &[1, 2, 2, 2], "y");
    let equalization = equalize(&flat).unwrap();
    assert_eq!(pairs(&equalization.pairs), [("a", "b")]);
    assert_same(&flat, &equalization.network);
}
