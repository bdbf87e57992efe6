//! Networks of operator sets before 13 are exported at 13: quantization operators need it, old nodes must follow.

use crate::common::graph::{self, floats, model};
use crate::common::{open, relative_difference, shared};
use splitscope::data::Tensor;
use splitscope::inference::{Engine, Rten};
use splitscope::network::Network;
use splitscope::onnx::build::{float_attribute, float_tensor, int_attribute, ints_attribute, node, opset_version};
use splitscope::onnx::{ModelProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, QuantizationError, Recipe, plan, rewrite, split_only};

/// Values that go up and down, each axis with its own period.
fn wave(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect()
}

/// A small classifier in the forms of operator set 9; `pads` is what its Pad node says, if anything.
fn network(pads: Option<&[i64]>) -> Network {
    let pads = pads.map(|pads| ints_attribute("pads", pads));
    let bounds = vec![float_attribute("min", 0.0), float_attribute("max", 6.0)];
    // Logits of a few units, so that the softmax does not blow up what rounding does.
    let small: Vec<f32> = wave(100).iter().map(|value| value / 16.0).collect();
    let kernel = vec![ints_attribute("kernel_shape", [3, 3])];
    let nodes = vec![
        node("Pad", "pad", ["x"], ["padded"], pads.into_iter().collect()),
        node("Conv", "conv", ["padded", "w", "b"], ["c"], kernel),
        node("Clip", "relu6", ["c"], ["r"], bounds),
        node("ReduceSum", "sum", ["r"], ["s"], vec![ints_attribute("axes", [2])]),
        node("Squeeze", "squeeze", ["s"], ["q"], vec![ints_attribute("axes", [2])]),
        node("Flatten", "flatten", ["q"], ["f"], vec![]),
        node("Gemm", "fc", ["f", "v", "d"], ["l"], vec![int_attribute("transB", 1)]),
        node("Softmax", "softmax", ["l"], ["y"], vec![]),
    ];
    let constants = vec![
        float_tensor("w", &[4, 3, 3, 3], &wave(108)),
        float_tensor("b", &[4], &[0.1, -0.2, 0.3, 0.5]),
        float_tensor("v", &[5, 20], &small),
        float_tensor("d", &[5], &[0.0; 5]),
    ];
    let (x, y) = (floats("x", &[1, 3, 5, 5]), floats("y", &[1, 5]));
    let mut model = model(9, (nodes, constants), vec![x], vec![y]);
    model.ir_version = Some(4);
    graph::network(model)
}

fn run(model: &ModelProto, input: &str, shape: &[usize]) -> Vec<f32> {
    let engine = Rten::load(encode(model).unwrap()).unwrap();
    let x = Tensor::from_shape(shape, wave(shape.iter().product())).unwrap();
    let output = engine.outputs()[0].name.clone();
    let values = engine.run(&[(input, &x)], &[&output]).unwrap();
    values[0].floats().unwrap().to_vec()
}

fn recipe(bits: u8) -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(bits),
        expand_ratio: 0.1,
        ..Recipe::default()
    }
}

#[test]
fn a_network_of_operator_set_9_is_exported_at_13_and_computes_the_same() {
    let network = network(Some(&[0, 0, 1, 1, 0, 0, 1, 1]));
    let float = run(&network.model, "x", &[1, 3, 5, 5]);
    let plan = plan(&network, &recipe(8), None, &Progress::default()).unwrap();

    let split = split_only(&network, &plan).unwrap();
    assert!(relative_difference(&float, &run(&split, "x", &[1, 3, 5, 5])) < 1e-5);

    let quantized = rewrite(&network, &plan).unwrap();
    assert_eq!(opset_version(&quantized), Some(13));
    assert_eq!(quantized.ir_version, Some(7));
    let operators = |name: &str| {
        let nodes = &quantized.graph.as_ref().unwrap().node;
        nodes.iter().filter(|node| node.op_type() == name).count()
    };
    assert_eq!((operators("DequantizeLinear"), operators("Gather")), (2, 2));
    let difference = relative_difference(&float, &run(&quantized, "x", &[1, 3, 5, 5]));
    assert!(difference > 0.0 && difference < 0.05, "{difference}");
}

#[test]
fn a_node_that_cannot_follow_is_named() {
    let network = network(None);
    let plan = plan(&network, &recipe(8), None, &Progress::default()).unwrap();
    let error = rewrite(&network, &plan).unwrap_err();
    assert!(matches!(error, QuantizationError::Rewrite(_)));
    assert_eq!(
        error.to_string(),
        "node 'pad' (Pad) cannot be upgraded from operator set 9 to 13: its attribute pads is missing"
    );
}

#[test]
#[ignore = "needs ../shared"]
fn a_classifier_of_operator_set_11_is_exported_at_13() {
    let network = open(shared("models/ch_ppocr_mobile_v2.0_cls_infer.onnx").to_str().unwrap());
    assert_eq!(opset_version(&network.model), Some(11));
    let shape = [1, 3, 48, 192];
    let input = network.graph_inputs()[0].to_owned();
    let float = run(&network.model, &input, &shape);
    let plan = plan(&network, &recipe(8), None, &Progress::default()).unwrap();
    let exports = [(split_only(&network, &plan), 1e-5), (rewrite(&network, &plan), 0.2)];
    for (exported, allowed) in exports {
        let exported = exported.unwrap();
        assert_eq!(opset_version(&exported), Some(13));
        let difference = relative_difference(&float, &run(&exported, &input, &shape));
        assert!(difference < allowed, "{difference}");
    }
}

/// A batch-norm of operator set 9 has four more outputs, which serve training only and are left out by name or not at all.
#[test]
fn a_batch_norm_with_the_five_outputs_of_training_runs_and_is_exported() {
    let of = |outputs: &[&str]| {
        let nodes = vec![
            node(
                "Conv",
                "conv",
                ["x", "w"],
                ["c"],
                vec![ints_attribute("kernel_shape", [3, 3])],
            ),
            node(
                "BatchNormalization",
                "norm",
                ["c", "g", "b", "m", "v"],
                outputs.to_vec(),
                vec![],
            ),
        ];
        let constants = vec![
            float_tensor("w", &[4, 3, 3, 3], &wave(108)),
            float_tensor("g", &[4], &[1.0, 0.5, 2.0, 1.5]),
            float_tensor("b", &[4], &[0.1, -0.2, 0.3, 0.5]),
            float_tensor("m", &[4], &[0.5, -0.5, 0.0, 1.0]),
            float_tensor("v", &[4], &[1.0, 4.0, 0.25, 2.0]),
        ];
        let mut model = model(
            9,
            (nodes, constants),
            vec![floats("x", &[1, 3, 5, 5])],
            vec![floats("y", &[1, 4, 3, 3])],
        );
        model.ir_version = Some(4);
        graph::network(model)
    };
    let (one, five) = (of(&["y"]), of(&["y", "om", "ov", "sm", "sv"]));
    let shape = [1, 3, 5, 5];
    let expected = run(&one.runnable_model(), "x", &shape);
    assert!(relative_difference(&expected, &run(&five.runnable_model(), "x", &shape)) < 1e-6);
    let exported = |network: &Network| {
        let plan = plan(network, &recipe(8), None, &Progress::default()).unwrap();
        run(&rewrite(network, &plan).unwrap(), "x", &shape)
    };
    assert_eq!(exported(&one), exported(&five));
}
