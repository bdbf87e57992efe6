//! Grids of the values between layers: every kernel of a residual network has integers before and behind it.

use crate::common::open;
use splitscope::format::demo::Demo;
use splitscope::inference::{Dataset, Rten, calibrate, run_outputs};
use splitscope::network::Network;
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{Graph, GraphProto, ModelProto, NodeProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Preset, Recipe, SplitExport, plan, prepare, rewrite};

fn exported(recipe: &Recipe) -> (Network, ModelProto) {
    let network = prepare(&open("demo:fashion"), recipe).unwrap();
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let data = Dataset::demo_calibration(Demo::Fashion);
    let progress = Progress::default();
    let seen = calibrate(&network, &engine, &data, 60, &progress).unwrap();
    let plan = plan(&network, recipe, Some(&seen.activations), &progress).unwrap();
    let model = rewrite(&network, &plan).unwrap();
    (network, model)
}

fn deploy() -> Recipe {
    Recipe {
        quantize_outputs: true,
        ..Recipe::preset(Preset::Deploy)
    }
}

fn logits(model: &ModelProto) -> Vec<f32> {
    let engine = Rten::load(encode(model).unwrap()).unwrap();
    run_outputs(&engine, &Dataset::demo(Demo::Fashion), 200, &Progress::default())
        .unwrap()
        .logits
}

/// Whether everything that reads `value` is a `QuantizeLinear`, or a Relu before nothing else.
fn ends_on_a_grid(graph: &Graph<'_>, value: &str) -> bool {
    let readers = graph.readers(value);
    let of = |node: &NodeProto| match node.op_type() {
        "QuantizeLinear" => true,
        "Relu" => ends_on_a_grid(graph, &node.output[0]),
        _ => false,
    };
    !readers.is_empty() && readers.iter().all(|position| graph.node(*position).is_some_and(of))
}

/// The nodes that do not stand between `DequantizeLinear` and `QuantizeLinear`, those before an output of the network left out.
fn float_nodes(proto: &GraphProto) -> Vec<&str> {
    let graph = Graph::main(proto);
    let kernels = ["Conv", "Gemm", "Add", "GlobalAveragePool"];
    let is_output = |value: &str| proto.output.iter().any(|output| output.name() == value);
    let from_grid = |value: &String| {
        graph
            .maker_node(value)
            .is_some_and(|node| node.op_type() == "DequantizeLinear")
    };
    let is_float = |node: &&NodeProto| {
        let data = node.input.iter().filter(|input| graph.constant(input).is_none());
        let output = &node.output[0];
        !data.into_iter().all(from_grid) || !(is_output(output) || ends_on_a_grid(&graph, output))
    };
    let nodes = proto.node.iter().filter(|node| kernels.contains(&node.op_type()));
    nodes.filter(is_float).map(NodeProto::name).collect()
}

#[test]
fn every_kernel_of_the_demo_stands_between_integers() {
    for split_export in [SplitExport::Gather, SplitExport::Merge] {
        let recipe = Recipe {
            expand_ratio: 0.05,
            split_export,
            ..deploy()
        };
        let (_, model) = exported(&recipe);
        let graph = model.graph.as_ref().unwrap();
        assert_eq!(float_nodes(graph), [""; 0], "{split_export:?}");
        assert!(
            graph.node.iter().all(|node| node.op_type() != "Clip"),
            "no kernel could hold it"
        );
        let codes = graph.node.iter().filter(|node| node.op_type() == "QuantizeLinear");
        for zero in codes.map(|node| &node.input[2]) {
            let zero = graph.initializer.iter().find(|tensor| tensor.name() == zero).unwrap();
            assert_eq!(zero.data_type(), data_type::UINT8, "one type of codes throughout");
        }
    }
    let inputs_alone = Recipe::preset(Preset::Deploy);
    let (_, model) = exported(&inputs_alone);
    assert!(
        !float_nodes(model.graph.as_ref().unwrap()).is_empty(),
        "the check sees what is float"
    );
}

#[test]
fn grids_between_layers_cost_the_demo_little() {
    let (network, model) = exported(&deploy());
    let classes = 10;
    let predictions = |logits: &[f32]| -> Vec<usize> {
        let class = |row: &[f32]| (0..classes).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        logits.chunks(classes).map(class).collect()
    };
    let (float, quantized) = (logits(&network.runnable_model()), logits(&model));
    assert_ne!(float, quantized);
    let (float, quantized) = (predictions(&float), predictions(&quantized));
    let same = float.iter().zip(&quantized).filter(|(a, b)| a == b).count();
    assert!(same >= 196, "{same} of 200 predictions are the same");
}
