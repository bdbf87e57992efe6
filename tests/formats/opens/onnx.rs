//! ONNX as other programs write it. Every network here is saved, opened, measured, planned at 6 bits with splits, and, where
//! the engine runs it, its splits alone must leave the outputs as they were.

mod graphs;
mod sources;

use crate::common::graph::{self, floats};
use crate::common::relative_difference;
use splitscope::inference::{Dataset, Engine, Rten, run_outputs};
use splitscope::network::{LayerKind, Network, Support};
use splitscope::onnx::build::{
    float_attribute, float_tensor, i8_tensor, i64_tensor, int_attribute, ints_attribute, node, opset_version,
    raw_tensor, scalar_f32, scalar_i8, string_attribute, tensor_attribute,
};
use splitscope::onnx::schema::{EXTERNAL, OperatorSetIdProto, StringStringEntryProto, data_type};
use splitscope::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Granularity, Recipe, plan, rewrite, split_only};
use splitscope::statistics::tensor_statistics;
use std::path::Path;

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
            inputs: vec![floats("x", input)],
            outputs: vec![floats("y", output)],
        }
    }

    fn model(&self) -> ModelProto {
        let parts = (self.nodes.clone(), self.constants.clone());
        let mut model = graph::model(self.opset, parts, self.inputs.clone(), self.outputs.clone());
        model.opset_import.push(OperatorSetIdProto {
            domain: Some("com.example".to_owned()),
            version: Some(1),
        });
        model
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
    let engine = Rten::load(encode(model).unwrap()).unwrap();
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
    let engine = Rten::load(encode(&float).unwrap()).unwrap();
    let data = Dataset::noise(network, &engine, 2, 5).unwrap();
    let original = run(&float, &data);
    assert!(original.iter().any(|x| *x != 0.0));
    let difference = relative_difference(&original, &run(&split, &data));
    assert!(difference <= 1e-5, "{difference}");
    assert!(run(&quantized, &data).iter().all(|x| x.is_finite()));
}

fn why(network: &Network, layer: usize) -> String {
    match &network.layers[layer].support {
        Support::View(why) | Support::Quantize(why) => why.to_string(),
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
    // One scale for each output channel of a group: the groups share their axis.
    let per_channel = Recipe {
        scales: Granularity::Channel,
        ..recipe()
    };
    let planned = plan(&network, &per_channel, None, &Progress::default()).unwrap();
    let quantized = planned.layers.iter().filter_map(|layer| layer.quantized());
    let counts: Vec<usize> = quantized.map(|layer| layer.scales.values().len()).collect();
    assert_eq!(counts, [4, 3, 1]);
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
    file.inputs = vec![floats("x", &[1, 1, 3])];
    check(&file.open(), 2);
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
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let data = Dataset::open(folder.path().to_str().unwrap(), &Default::default(), engine.inputs()).unwrap();
    assert!(data.preprocessing().ends_with("NHWC"), "{}", data.preprocessing());
    assert_eq!(run_outputs(&engine, &data, 1, &Progress::default()).unwrap().classes, 4);
}
