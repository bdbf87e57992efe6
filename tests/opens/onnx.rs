//! ONNX as other programs write it. Every network here is saved, opened, measured, planned at 6 bits with splits, and, where
//! the engine runs it, its splits alone must leave the outputs as they were.

use super::common::relative_difference;
use splitscope::inference::{Dataset, Engine, run_outputs};
use splitscope::network::{LayerKind, Network, Support};
use splitscope::onnx::build::{
    float_attribute, float_tensor, i8_tensor, i64_tensor, int_attribute, ints_attribute, node, opset_version,
    raw_tensor, scalar_f32, scalar_i8, string_attribute, tensor_attribute,
};
use splitscope::onnx::schema::{
    EXTERNAL, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto, TypeProto, data_type, tensor_shape_proto,
    type_proto,
};
use splitscope::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, plan, rewrite, split_only};
use splitscope::statistics::tensor_statistics;
use std::path::Path;

/// An input or output; a size of 0 is free.
fn port(name: &str, sizes: &[i64]) -> ValueInfoProto {
    let dimension = |(axis, size): (usize, &i64)| tensor_shape_proto::Dimension {
        value: Some(if *size == 0 {
            tensor_shape_proto::Value::DimParam(format!("axis{axis}"))
        } else {
            tensor_shape_proto::Value::DimValue(*size)
        }),
        denotation: None,
    };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: Some(data_type::FLOAT),
                shape: Some(TensorShapeProto {
                    dim: sizes.iter().enumerate().map(dimension).collect(),
                }),
            })),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}

/// Values that go up and down, with an outlier.
fn weights(name: &str, dims: &[usize]) -> TensorProto {
    let count: usize = dims.iter().product();
    let value = |i: usize| {
        if i == count / 2 {
            3.0
        } else {
            ((i * 37) % 101) as f32 / 100.0 - 0.5
        }
    };
    float_tensor(name, dims, &(0..count).map(value).collect::<Vec<_>>())
}

struct File {
    opset: i64,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
}

impl File {
    /// Operator set 17, one input, one output.
    fn new(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, input: &[i64], output: &[i64]) -> Self {
        Self {
            opset: 17,
            nodes,
            constants,
            inputs: vec![port("x", input)],
            outputs: vec![port("y", output)],
        }
    }

    fn model(&self) -> ModelProto {
        let opset = |domain: Option<&str>, version| OperatorSetIdProto {
            domain: domain.map(str::to_owned),
            version: Some(version),
        };
        ModelProto {
            ir_version: Some(8),
            opset_import: vec![opset(None, self.opset), opset(Some("com.example"), 1)],
            graph: Some(GraphProto {
                name: Some("g".into()),
                node: self.nodes.clone(),
                initializer: self.constants.clone(),
                input: self.inputs.clone(),
                output: self.outputs.clone(),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    fn open(&self) -> Network {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        std::fs::write(&path, encode(&self.model()).unwrap()).unwrap();
        splitscope::format::open(&path).unwrap()
    }
}

fn recipe() -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(6),
        expand_ratio: 0.02,
        ..Recipe::default()
    }
}

fn run(model: &ModelProto, data: &Dataset) -> Vec<f32> {
    let engine = Engine::load(encode(model).unwrap()).unwrap();
    run_outputs(&engine, data, 2, &Progress::default()).unwrap().logits
}

/// Measures and plans; splits layers `split` and, where it `runs`, compares.
fn check(network: &Network, split: usize) {
    for index in 0..network.layers.len() {
        if let Ok(values) = network.weights(index) {
            let statistics = tensor_statistics(&values, &network.layers[index].layout);
            assert_eq!(statistics.count as usize, values.len());
        }
    }
    let planned = plan(network, &recipe(), None, &Progress::default()).unwrap();
    let layers = planned.layers.iter().filter_map(|layer| layer.quantized());
    assert_eq!(layers.filter(|layer| !layer.splits.is_empty()).count(), split);
    let (split, quantized) = (
        split_only(network, &planned).unwrap(),
        rewrite(network, &planned).unwrap(),
    );
    assert!(opset_version(&quantized) >= Some(13));
    let float = network.runnable_model();
    let engine = Engine::load(encode(&float).unwrap()).unwrap();
    let data = Dataset::noise(network, &engine, 2, 5).unwrap();
    let original = run(&float, &data);
    assert!(original.iter().any(|x| *x != 0.0));
    let difference = relative_difference(&original, &run(&split, &data));
    assert!(difference <= 1e-5, "{difference}");
    assert!(run(&quantized, &data).iter().all(|x| x.is_finite()));
}

fn why(network: &Network, layer: usize) -> &str {
    match &network.layers[layer].support {
        Support::View(why) | Support::Quantize(why) => why,
        Support::Split => panic!("{} can be split", network.layers[layer].name),
    }
}

fn kernel(sides: &[i64]) -> AttributeProto {
    ints_attribute("kernel_shape", sides.to_vec())
}

#[test]
fn onnx_convolutions_and_matrix_products() {
    let nodes = vec![
        node("Conv", "conv", ["x", "k"], ["c"], vec![kernel(&[3, 3])]),
        node("Relu", "", ["c"], ["r"], vec![]),
        node("GlobalAveragePool", "", ["r"], ["p"], vec![]),
        node("Flatten", "", ["p"], ["f"], vec![]),
        node("Gemm", "gemm", ["f", "w", "b"], ["g"], vec![int_attribute("transB", 1)]),
        node("MatMul", "matmul", ["g", "m"], ["y"], vec![]),
    ];
    let constants = vec![
        weights("k", &[8, 3, 3, 3]),
        weights("w", &[6, 8]),
        weights("b", &[6]),
        weights("m", &[6, 4]),
    ];
    check(&File::new(nodes, constants, &[0, 3, 6, 6], &[0, 4]).open(), 3);
}

#[test]
fn onnx_grouped_convolutions() {
    let attributes = vec![kernel(&[1, 1]), int_attribute("group", 2)];
    let nodes = vec![node("Conv", "conv", ["x", "k"], ["y"], attributes)];
    let network = File::new(nodes, vec![weights("k", &[4, 3, 1, 1])], &[0, 6, 4, 4], &[0, 4, 4, 4]).open();
    check(&network, 1);
    let planned = plan(&network, &recipe(), None, &Progress::default()).unwrap();
    assert_eq!(
        planned.layers[0].quantized().unwrap().splits.len(),
        2,
        "one in each group"
    );
}

#[test]
fn onnx_depthwise_convolutions() {
    let attributes = vec![kernel(&[1, 1]), int_attribute("group", 3)];
    let nodes = vec![node("Conv", "conv", ["x", "k"], ["y"], attributes)];
    let network = File::new(nodes, vec![weights("k", &[3, 1, 1, 1])], &[0, 3, 4, 4], &[0, 3, 4, 4]).open();
    assert!(why(&network, 0).contains("nothing to split") && network.layers[0].support.can_quantize());
    check(&network, 0);
}

#[test]
fn onnx_transposed_convolutions() {
    let strides = || ints_attribute("strides", [2, 2]);
    let nodes = vec![
        node(
            "ConvTranspose",
            "up",
            ["x", "k"],
            ["u"],
            vec![kernel(&[2, 2]), strides()],
        ),
        node("Relu", "", ["u"], ["r"], vec![]),
        node(
            "ConvTranspose",
            "groups",
            ["r", "g", "b"],
            ["h"],
            vec![
                kernel(&[3, 3]),
                int_attribute("group", 2),
                ints_attribute("pads", [1; 4]),
            ],
        ),
        node(
            "ConvTranspose",
            "each",
            ["h", "d"],
            ["y"],
            vec![kernel(&[2, 2]), int_attribute("group", 6)],
        ),
    ];
    let constants = vec![
        weights("k", &[5, 4, 2, 2]),
        weights("g", &[4, 3, 3, 3]),
        weights("b", &[6]),
        weights("d", &[6, 1, 2, 2]),
    ];
    let network = File::new(nodes, constants, &[0, 5, 4, 4], &[0, 6, 9, 9]).open();
    let layouts: Vec<[usize; 4]> = (network.layers.iter())
        .map(|layer| layer.layout)
        .map(|l| [l.groups, l.outer, l.channels, l.inner])
        .collect();
    assert_eq!(layouts, [[1, 1, 5, 16], [2, 1, 2, 27], [6, 1, 1, 4]]);
    assert!(why(&network, 2).starts_with("depthwise"));
    check(&network, 2);
    // One scale for all channels, whatever the recipe asks for: theirs would not lie on one axis of the layout.
    let per_channel = Recipe {
        per_channel: true,
        ..recipe()
    };
    let planned = plan(&network, &per_channel, None, &Progress::default()).unwrap();
    let mut quantized = planned.layers.iter().filter_map(|layer| layer.quantized());
    assert!(quantized.all(|layer| layer.channel_steps.is_empty()));
}

fn lstm(weight: &str, recurrent: &str) -> NodeProto {
    let hidden = vec![int_attribute("hidden_size", 2)];
    node("LSTM", "rnn", ["x", weight, recurrent], ["", "h"], hidden)
}

#[test]
fn onnx_recurrent_layers() {
    let nodes = vec![lstm("w", "r"), node("Squeeze", "", ["h", "zero"], ["y"], vec![])];
    let constants = vec![
        weights("w", &[1, 8, 3]),
        weights("r", &[1, 8, 2]),
        i64_tensor("zero", &[1], &[0]),
    ];
    let mut file = File::new(nodes, constants, &[4, 0, 3], &[0, 2]);
    file.inputs = vec![port("x", &[1, 1, 3])];
    check(&file.open(), 2);
}

#[test]
fn onnx_weights_in_constant_nodes() {
    let value = tensor_attribute("value", weights("", &[5, 4]));
    let nodes = vec![
        node("Constant", "", [""; 0], ["w"], vec![value]),
        node("Identity", "", ["w"], ["v"], vec![]),
        node("MatMul", "fc", ["x", "v"], ["y"], vec![]),
    ];
    check(&File::new(nodes, vec![], &[0, 5], &[0, 4]).open(), 1);
}

#[test]
fn onnx_weights_behind_transpose_reshape_and_cast() {
    let half = |name: &str, count: usize| -> TensorProto {
        let bytes: Vec<u8> = (0..count)
            .flat_map(|i| half::f16::from_f32(i as f32 / 8.0 - 1.0).to_le_bytes())
            .collect();
        raw_tensor(name, data_type::FLOAT16, &[4, 3], bytes)
    };
    let nodes = vec![
        node("Transpose", "", ["a"], ["at"], vec![ints_attribute("perm", [1, 0])]),
        node("MatMul", "transposed", ["x", "at"], ["h"], vec![]),
        node("Reshape", "", ["b", "shape"], ["br"], vec![]),
        node("MatMul", "reshaped", ["h", "br"], ["i"], vec![]),
        node(
            "Cast",
            "",
            ["c"],
            ["cf"],
            vec![int_attribute("to", i64::from(data_type::FLOAT))],
        ),
        node("MatMul", "cast", ["i", "cf"], ["y"], vec![]),
    ];
    let constants = vec![
        weights("a", &[6, 5]),
        weights("b", &[3, 8]),
        i64_tensor("shape", &[2], &[6, -1]),
        half("c", 12),
    ];
    let network = File::new(nodes, constants, &[0, 5], &[0, 3]).open();
    let shapes: Vec<&[usize]> = network.layers.iter().map(|layer| layer.shape.as_slice()).collect();
    assert_eq!(shapes, [&[6, 5][..], &[6, 4], &[4, 3]]);
    check(&network, 3);
}

#[test]
fn onnx_weights_computed_from_constants() {
    // Gates in torch's order i, f, g, o put into ONNX's i, o, f, c, as its exporter writes them.
    let number = |name: &str, value| i64_tensor(name, &[1], &[value]);
    let mut nodes = Vec::new();
    for (source, target) in [("w", "wu"), ("r", "ru")] {
        for (part, from, to) in [("i", "0", "2"), ("o", "6", "8"), ("fg", "2", "6")] {
            let output = format!("{source}.{part}");
            nodes.push(node("Slice", "", [source, from, to, "0"], [output], vec![]));
        }
        let parts = [format!("{source}.i"), format!("{source}.o"), format!("{source}.fg")];
        let joined = format!("{source}.joined");
        nodes.push(node(
            "Concat",
            "",
            parts,
            [joined.clone()],
            vec![int_attribute("axis", 0)],
        ));
        nodes.push(node(
            "Unsqueeze",
            "",
            [joined, "0".to_owned()],
            [target.to_owned()],
            vec![],
        ));
    }
    nodes.push(lstm("wu", "ru"));
    nodes.push(node("Squeeze", "", ["h", "0"], ["y"], vec![]));
    let mut constants = vec![weights("w", &[8, 3]), weights("r", &[8, 2])];
    constants.extend([number("0", 0), number("2", 2), number("6", 6), number("8", 8)]);
    let file = File::new(nodes, constants, &[1, 1, 3], &[0, 2]);
    let network = file.open();
    assert_eq!(network.layers.len(), 2);
    check(&network, 2);
    // The engine computes from the constants what was worked out beforehand.
    let engine = Engine::load(encode(&file.model()).unwrap()).unwrap();
    let data = Dataset::noise(&network, &engine, 2, 5).unwrap();
    assert_eq!(run(&file.model(), &data), run(&network.runnable_model(), &data));
}

#[test]
fn onnx_pictures_with_channels_last() {
    let nodes = vec![
        node(
            "Transpose",
            "",
            ["x"],
            ["t"],
            vec![ints_attribute("perm", [0, 3, 1, 2])],
        ),
        node("Conv", "conv", ["t", "k"], ["c"], vec![kernel(&[3, 3])]),
        node("GlobalAveragePool", "", ["c"], ["p"], vec![]),
        node("Flatten", "", ["p"], ["y"], vec![]),
    ];
    let network = File::new(nodes, vec![weights("k", &[4, 3, 3, 3])], &[0, 8, 8, 3], &[0, 4]).open();
    check(&network, 1);
    let folder = tempfile::tempdir().unwrap();
    let picture = image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([x as u8 * 30, y as u8 * 30, 7]));
    picture.save(folder.path().join("a.png")).unwrap();
    let engine = Engine::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let data = Dataset::open(folder.path().to_str().unwrap(), &Default::default(), engine.inputs()).unwrap();
    assert!(data.preprocessing().ends_with("NHWC"), "{}", data.preprocessing());
    assert_eq!(run_outputs(&engine, &data, 1, &Progress::default()).unwrap().classes, 4);
}

#[test]
fn onnx_with_several_inputs() {
    let nodes = vec![
        node("MatMul", "first", ["x", "a"], ["p"], vec![]),
        node("MatMul", "second", ["z", "b"], ["q"], vec![]),
        node("Add", "", ["p", "q"], ["y"], vec![]),
    ];
    let mut file = File::new(
        nodes,
        vec![weights("a", &[5, 4]), weights("b", &[3, 4])],
        &[0, 5],
        &[0, 4],
    );
    file.inputs.push(port("z", &[0, 3]));
    check(&file.open(), 2);
}

#[test]
fn onnx_with_free_sizes() {
    let nodes = vec![
        node("Conv", "conv", ["x", "k"], ["c"], vec![kernel(&[3, 3])]),
        node("GlobalAveragePool", "", ["c"], ["p"], vec![]),
        node("Flatten", "", ["p"], ["y"], vec![]),
    ];
    check(
        &File::new(nodes, vec![weights("k", &[4, 3, 3, 3])], &[0, 3, 0, 0], &[0, 4]).open(),
        1,
    );
}

#[test]
fn onnx_with_branches() {
    let branch = |name: &str, weight: &str| AttributeProto {
        name: Some(name.into()),
        r#type: Some(5),
        g: Some(GraphProto {
            name: Some(name.into()),
            node: vec![node("MatMul", name, ["r", weight], [format!("{name}.y")], vec![])],
            output: vec![port(&format!("{name}.y"), &[0, 4])],
            ..GraphProto::default()
        }),
        ..AttributeProto::default()
    };
    let yes = tensor_attribute("value", raw_tensor("", data_type::BOOL, &[1], vec![1]));
    let nodes = vec![
        node("Constant", "", [""; 0], ["condition"], vec![yes]),
        node("MatMul", "before", ["x", "m"], ["r"], vec![]),
        node(
            "If",
            "if",
            ["condition"],
            ["y"],
            vec![branch("then_branch", "a"), branch("else_branch", "b")],
        ),
    ];
    let constants = vec![weights("m", &[5, 5]), weights("a", &[5, 4]), weights("b", &[5, 4])];
    let network = File::new(nodes, constants, &[0, 5], &[0, 4]).open();
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["before", "then_branch", "else_branch"]);
    assert!(why(&network, 1).starts_with("inside an If"));
    check(&network, 1);
}

#[test]
fn onnx_with_loop_bodies() {
    let scalar = |name: &str, element_type: i32| ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: Some(element_type),
                shape: Some(TensorShapeProto::default()),
            })),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    };
    // Three times the same layer, whose weights are the body's own; a second one reads the weights of the graph around it.
    let body = GraphProto {
        name: Some("body".into()),
        node: vec![
            node("MatMul", "own", ["state", "b"], ["s"], vec![]),
            node("Tanh", "", ["s"], ["t"], vec![]),
            node("MatMul", "outer", ["t", "w"], ["next"], vec![]),
            node("Identity", "", ["go"], ["go_on"], vec![]),
        ],
        initializer: vec![weights("b", &[5, 5])],
        input: vec![
            scalar("turn", data_type::INT64),
            scalar("go", data_type::BOOL),
            port("state", &[0, 5]),
        ],
        output: vec![scalar("go_on", data_type::BOOL), port("next", &[0, 5])],
        ..GraphProto::default()
    };
    let body_of = |model: &ModelProto| {
        let mut nodes = model.graph.iter().flat_map(|graph| &graph.node);
        let found = nodes.find(|node| node.op_type() == "Loop").unwrap();
        found.attribute[0].g.clone().unwrap()
    };
    let attribute = AttributeProto {
        name: Some("body".into()),
        r#type: Some(5),
        g: Some(body.clone()),
        ..AttributeProto::default()
    };
    let nodes = vec![
        node("MatMul", "before", ["x", "m"], ["r"], vec![]),
        node("Loop", "loop", ["turns", "", "r"], ["y"], vec![attribute]),
    ];
    let constants = vec![
        weights("m", &[5, 5]),
        weights("w", &[5, 5]),
        i64_tensor("turns", &[], &[3]),
    ];
    let network = File::new(nodes, constants, &[0, 5], &[0, 5]).open();
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["before", "own", "outer"]);
    for layer in [1, 2] {
        assert!(
            why(&network, layer).starts_with("inside a Loop"),
            "{}",
            why(&network, layer)
        );
        let statistics = tensor_statistics(&network.weights(layer).unwrap(), &network.layers[layer].layout);
        assert_eq!((statistics.count, statistics.max), (25, 3.0));
    }
    check(&network, 1);
    let planned = plan(&network, &recipe(), None, &Progress::default()).unwrap();
    assert_eq!(body_of(&rewrite(&network, &planned).unwrap()), body);
}

#[test]
fn onnx_of_old_operator_sets() {
    let nodes = vec![
        node("Unsqueeze", "", ["x"], ["u"], vec![ints_attribute("axes", [1])]),
        node("Squeeze", "", ["u"], ["s"], vec![ints_attribute("axes", [1])]),
        node("MatMul", "fc", ["s", "w"], ["y"], vec![]),
    ];
    for opset in [7, 9, 11, 12] {
        let mut file = File::new(nodes.clone(), vec![weights("w", &[5, 4])], &[0, 5], &[0, 4]);
        file.opset = opset;
        check(&file.open(), 1);
    }
}

#[test]
fn onnx_that_is_quantized_already() {
    let nodes = vec![
        node("QuantizeLinear", "", ["x", "s", "z"], ["xq"], vec![]),
        node("DequantizeLinear", "", ["xq", "s", "z"], ["xf"], vec![]),
        node("DequantizeLinear", "", ["w", "s", "z"], ["wf"], vec![]),
        node("MatMul", "fc", ["xf", "wf"], ["y"], vec![]),
    ];
    let values: Vec<i8> = (0..20).map(|i| (i * 13 % 255) as u8 as i8).collect();
    let constants = vec![
        i8_tensor("w", &[5, 4], &values),
        scalar_f32("s", 0.05),
        scalar_i8("z", 0),
    ];
    let network = File::new(nodes, constants, &[0, 5], &[0, 4]).open();
    assert_eq!(network.layers[0].kind, LayerKind::Quantized);
    assert_eq!(
        why(&network, 0),
        "quantized already: int8 weights behind DequantizeLinear"
    );
    let shown = network.weights(0).unwrap();
    assert!(
        shown
            .iter()
            .zip(&values)
            .all(|(shown, value)| *shown == f32::from(*value))
    );
    let grid = network.integer_grid(0).unwrap().unwrap();
    assert_eq!((grid.used(), grid.zero_point()), (20, Some(0)));
    assert_eq!(grid.scale.unwrap().values, [0.05]);
    check(&network, 0);
}

#[test]
fn onnx_with_external_data_in_a_hubs_cache() {
    let cache = tempfile::tempdir().unwrap();
    let at = |path: &str| cache.path().join(path);
    std::fs::create_dir_all(at("blobs")).unwrap();
    std::fs::create_dir_all(at("snapshots/v1")).unwrap();
    let held = weights("w", &[5, 4]);
    let entry = StringStringEntryProto {
        key: Some("location".into()),
        value: Some("model.onnx_data".into()),
    };
    let outside = TensorProto {
        raw_data: None,
        data_location: Some(EXTERNAL),
        external_data: vec![entry],
        ..held.clone()
    };
    let nodes = vec![node("MatMul", "fc", ["x", "w"], ["y"], vec![])];
    let model = File::new(nodes, vec![outside], &[0, 5], &[0, 4]).model();
    std::fs::write(at("blobs/aa"), encode(&model).unwrap()).unwrap();
    std::fs::write(at("blobs/bb"), held.raw_data.unwrap()).unwrap();
    let link = |blob: &str, name: &str| place(Path::new("../../blobs").join(blob).as_path(), &at(name));
    link("aa", "snapshots/v1/model.onnx");
    link("bb", "snapshots/v1/model.onnx_data");
    check(&splitscope::format::open(&at("snapshots/v1/model.onnx")).unwrap(), 1);
}

#[cfg(unix)]
fn place(target: &Path, link: &Path) {
    std::os::unix::fs::symlink(target, link).unwrap();
}

#[cfg(not(unix))]
fn place(target: &Path, link: &Path) {
    std::fs::copy(link.parent().unwrap().join(target), link).unwrap();
}

/// LRN as its definition has it.
fn lrn(x: &[f32], channels: usize, area: usize, size: usize, [alpha, beta, bias]: [f64; 3]) -> Vec<f32> {
    let mut y = Vec::new();
    for image in x.chunks(channels * area) {
        for channel in 0..channels {
            for place in 0..area {
                let first = channel.saturating_sub((size - 1) / 2);
                let last = (channel + size / 2).min(channels - 1);
                let sum: f64 = (first..=last).map(|c| f64::from(image[c * area + place]).powi(2)).sum();
                let divisor = (bias + alpha / size as f64 * sum).powf(beta);
                y.push((f64::from(image[channel * area + place]) / divisor) as f32);
            }
        }
    }
    y
}

#[test]
fn onnx_with_local_response_normalization() {
    for size in [5, 4, 1] {
        let attributes = vec![
            int_attribute("size", size),
            float_attribute("alpha", 0.3),
            float_attribute("beta", 0.6),
            float_attribute("bias", 1.5),
        ];
        let nodes = vec![
            node("LRN", "norm", ["x"], ["n"], attributes),
            node("Conv", "conv", ["n", "k"], ["y"], vec![kernel(&[1, 1])]),
        ];
        let network = File::new(nodes, vec![weights("k", &[2, 7, 1, 1])], &[0, 7, 3, 2], &[0, 2, 3, 2]).open();
        let engine = Engine::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let x: Vec<f32> = (0..84).map(|i| ((i * 29) % 17) as f32 / 4.0 - 2.0).collect();
        let input = rten::Value::from_shape([2, 7, 3, 2], x.clone()).unwrap();
        let output = engine.run(&[("x", input)], &["n"]).unwrap().remove(0);
        let rten::Value::FloatTensor(output) = output else {
            panic!("no floats")
        };
        use rten_tensor::prelude::*;
        let expected = lrn(&x, 7, 6, size as usize, [0.3, 0.6, 1.5]);
        let difference = relative_difference(&expected, &output.to_vec());
        assert!(difference < 1e-5, "size {size}: {difference}");
        check(&network, 1);
    }
}

#[test]
fn onnx_with_an_operator_that_the_engine_lacks() {
    let mut lacking = node("Fizz", "strange", ["x"], ["f"], vec![string_attribute("how", "much")]);
    lacking.domain = Some("com.example".into());
    let nodes = vec![lacking, node("MatMul", "fc", ["f", "w"], ["y"], vec![])];
    let network = File::new(nodes, vec![weights("w", &[5, 4])], &[0, 5], &[0, 4]).open();
    let planned = plan(&network, &recipe(), None, &Progress::default()).unwrap();
    let exported = rewrite(&network, &planned).unwrap();
    assert!(exported.graph.unwrap().node.iter().any(|node| node.op_type() == "Fizz"));
    let refusal = Engine::load(encode(&network.runnable_model()).unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(refusal.contains("strange") && refusal.contains("Fizz"), "{refusal}");
}
