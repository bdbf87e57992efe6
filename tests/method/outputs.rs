//! Grids of the values between layers: every kernel of a residual network has integers before and behind it.

use crate::common::{graph, open};
use splitscope::format::demo::Demo;
use splitscope::inference::{DataOptions, Dataset, Rten, calibrate, data_free_activations, run_outputs};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, int_attribute, ints_attribute, node};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{Graph, GraphProto, ModelProto, NodeProto, encode, float_values, numbers};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, Granularity, Preset, Products, Recipe, SplitExport, Storage, exported_bytes, plan, prepare, rewrite,
};

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
    Recipe::preset(Preset::Deploy)
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
    let inputs_alone = Recipe {
        quantize_outputs: false,
        ..deploy()
    };
    let (_, model) = exported(&inputs_alone);
    assert!(
        !float_nodes(model.graph.as_ref().unwrap()).is_empty(),
        "the check sees what is float"
    );
}

/// An integer kernel adds the bias as an integer of scale `s_x s_w`, into which onnxruntime turns it: the exported float is one.
#[test]
fn biases_of_convolutions_are_what_integer_kernels_add() {
    for (split_export, quantize_outputs) in [
        (SplitExport::Gather, false),
        (SplitExport::Widen, true),
        (SplitExport::Merge, true),
    ] {
        let recipe = Recipe {
            expand_ratio: 0.05,
            split_export,
            quantize_outputs,
            ..deploy()
        };
        let (_, model) = exported(&recipe);
        let proto = model.graph.as_ref().unwrap();
        let graph = Graph::main(proto);
        let constant = |name: &str| float_values(graph.constant(name).unwrap()).unwrap().to_vec();
        let scales_of = |value: &str| {
            let mut maker = graph.maker_node(value).unwrap();
            while maker.op_type() == "Gather" {
                maker = graph.maker_node(&maker.input[0]).unwrap();
            }
            assert_eq!(maker.op_type(), "DequantizeLinear");
            constant(&maker.input[1])
        };
        let mut biases = 0;
        for conv in proto.node.iter().filter(|node| node.op_type() == "Conv") {
            let (input, weights) = (scales_of(&conv.input[0])[0], scales_of(&conv.input[1]));
            for (channel, bias) in constant(&conv.input[2]).iter().enumerate() {
                let steps = f64::from(*bias) / (f64::from(input) * f64::from(weights[channel]));
                // Floats have 24 bits.
                let least = 1e-6 * steps.abs().max(1.0);
                assert!(
                    (steps - steps.round()).abs() <= least,
                    "{} {channel}: {steps}",
                    conv.name()
                );
                biases += usize::from(steps != 0.0);
            }
        }
        assert!(biases > 500, "{biases}");
    }
}

/// onnxruntime puts the bias of a transposed convolution on the same integers, though it has no integer kernel that adds it.
#[test]
fn biases_of_transposed_convolutions_are_whole_too() {
    let weights: Vec<f32> = (0..4 * 2 * 9).map(|i| (i as f32 * 0.618_034).fract() - 0.5).collect();
    let recipe = Recipe {
        weight_bits: Bits::Grid(3),
        activation_bits: Bits::Grid(8),
        storage: Storage::Int8,
        scales: Granularity::Channel,
        float_first_layer: false,
        float_last_layer: false,
        ..Recipe::default()
    };
    for groups in [1, 2] {
        let bias: Vec<f32> = (0..2 * groups).map(|channel| 0.37 * channel as f32 - 0.41).collect();
        let attributes = vec![int_attribute("group", groups as i64)];
        let constants = vec![
            float_tensor("w", &[4, 2, 3, 3], &weights),
            float_tensor("b", &[2 * groups], &bias),
        ];
        let network = graph::network(graph::model(
            17,
            (
                vec![node("ConvTranspose", "layer", ["x", "w", "b"], ["y"], attributes)],
                constants,
            ),
            vec![graph::floats("x", &[1, 4, 6, 6])],
            vec![graph::value("y")],
        ));
        let progress = Progress::default();
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let activations = data_free_activations(&network, &engine, &DataOptions::default(), &progress).unwrap();
        let plan = plan(&network, &recipe, Some(&activations), &progress).unwrap();
        let model = rewrite(&network, &plan).unwrap();
        let graph = Graph::main(model.graph.as_ref().unwrap());
        let constant = |name: &str| float_values(graph.constant(name).unwrap()).unwrap().to_vec();
        let layer = graph.maker_node("y").unwrap();
        let scales_of = |slot: usize| constant(&graph.maker_node(&layer.input[slot]).unwrap().input[1]);
        let (input, weights) = (scales_of(0)[0], scales_of(1));
        let rounded = constant(&layer.input[2]);
        assert_eq!(rounded.len(), bias.len());
        for (channel, (rounded, bias)) in rounded.iter().zip(&bias).enumerate() {
            let step = f64::from(input) * f64::from(weights[channel % weights.len()]);
            let steps = f64::from(*rounded) / step;
            assert!(
                (steps - steps.round()).abs() <= 1e-5,
                "{groups} groups, {channel}: {steps}"
            );
            assert!(
                f64::from((rounded - bias).abs()) <= 0.501 * step,
                "{groups} groups, {channel}"
            );
        }
    }
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

/// `Gemm(x, w1, b) -> Relu -> MatMul w2 -> Add c -> Gemm(w3, d)`: a corrected bias goes into the Add that is there, and the bias
/// of a Gemm is an integer of scale `s_x s_w`.
#[test]
fn products_take_their_biases_as_kernels_do() {
    let ramp = |count: usize, seed: f32| -> Vec<f32> {
        (0..count)
            .map(|i| ((i as f32 * 0.618_034 + seed).fract() - 0.4).powi(3) * 4.0)
            .collect()
    };
    let (c, d) = (ramp(16, 0.3), ramp(10, 0.7));
    let nodes = vec![
        node("MatMul", "first", ["x", "w1"], ["p"], vec![]),
        node("Relu", "relu", ["p"], ["r"], vec![]),
        node("MatMul", "second", ["r", "w2"], ["q"], vec![]),
        node("Add", "add", ["q", "c"], ["s"], vec![]),
        node("Gemm", "last", ["s", "w3", "d"], ["y"], vec![]),
    ];
    let constants = vec![
        float_tensor("w1", &[8, 16], &ramp(128, 0.1)),
        float_tensor("w2", &[16, 16], &ramp(256, 0.2)),
        float_tensor("c", &[16], &c),
        float_tensor("w3", &[16, 10], &ramp(160, 0.5)),
        float_tensor("d", &[10], &d),
    ];
    let network = graph::network(graph::model(
        17,
        (nodes, constants),
        vec![graph::typed("x", data_type::FLOAT, &[0, 8])],
        vec![graph::value("y")],
    ));
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        storage: Storage::Int8,
        ..deploy()
    };
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let data = Dataset::noise(&network, &engine, 64, 3).unwrap();
    let progress = Progress::default();
    let seen = calibrate(&network, &engine, &data, 64, &progress).unwrap();
    let planned = plan(&network, &recipe, Some(&seen.activations), &progress).unwrap();
    let model = rewrite(&network, &planned).unwrap();
    let proto = model.graph.as_ref().unwrap();
    let graph = Graph::main(proto);
    let layer = |name: &str| {
        planned
            .layers
            .iter()
            .find(|layer| layer.name == name)
            .unwrap()
            .quantized()
            .unwrap()
    };
    let input_of = |name: &str, slot: usize| {
        let node = proto.node.iter().find(|node| node.name() == name).unwrap();
        node.input[slot].as_str()
    };

    // The product has no bias of its own: what the Add adds now is c and the correction.
    let correction = layer("second").bias.clone().unwrap();
    assert!(
        correction.iter().any(|value| value.abs() > 1e-5),
        "there is something to correct"
    );
    let constant = graph.constant(input_of("add", 1)).unwrap();
    let sums: Vec<f32> = c.iter().zip(&correction).map(|(c, more)| c + more).collect();
    assert_eq!(float_values(constant).unwrap().to_vec(), sums);

    // d, or what it was corrected to, in steps of s_x s_w.
    let dequantize = graph.maker_node(input_of("last", 2)).unwrap();
    assert_eq!(dequantize.op_type(), "DequantizeLinear");
    let codes = graph.constant(&dequantize.input[0]).unwrap();
    assert_eq!(codes.data_type(), data_type::INT32);
    let last = layer("last");
    let step = last.activation.unwrap().grid.step;
    let scales = float_values(graph.constant(&dequantize.input[1]).unwrap())
        .unwrap()
        .to_vec();
    let bias = last.bias.clone().unwrap_or(d);
    let codes = numbers(codes).unwrap().to_vec();
    for (channel, (bias, code)) in bias.iter().zip(&codes).enumerate() {
        let scale = step * last.scales.values()[channel];
        assert!((scales[channel] / scale - 1.0).abs() < 1e-6);
        assert!(
            (code * scale - bias).abs() <= 0.51 * scale + bias.abs() * 1e-6,
            "{channel}"
        );
    }
}

/// Without a Reshape, onnxruntime fuses the weights into a product that rounds its inputs; before a Transpose it stays.
#[test]
fn exact_products_pass_a_reshape_before_any_transpose() {
    let weight: Vec<f32> = (0..64).map(|i| (i as f32 * 0.618_034).fract() - 0.5).collect();
    let nodes = vec![
        node("Transpose", "turn", ["w"], ["t"], vec![ints_attribute("perm", [1, 0])]),
        node("MatMul", "product", ["x", "t"], ["y"], vec![]),
    ];
    let network = graph::network(graph::model(
        17,
        (nodes, vec![float_tensor("w", &[8, 8], &weight)]),
        vec![graph::typed("x", data_type::FLOAT, &[0, 8])],
        vec![graph::value("y")],
    ));
    let way = |products| {
        let recipe = Recipe {
            products,
            ..Recipe::default()
        };
        let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
        let model = rewrite(&network, &plan).unwrap();
        let proto = model.graph.unwrap();
        let operators: Vec<String> = proto.node.iter().map(|node| node.op_type().to_owned()).collect();
        operators
    };
    assert_eq!(
        way(Products::Exact),
        ["DequantizeLinear", "Reshape", "Transpose", "MatMul"]
    );
    assert_eq!(way(Products::Fast), ["DequantizeLinear", "Transpose", "MatMul"]);
}

/// The operators of one layer between `x` and `y` exported by `recipe`, and the element type of its codes.
fn one_layer(operator: &str, recipe: &Recipe) -> (Vec<String>, i32) {
    let (weight, input): (&[usize], &[i64]) = match operator {
        "MatMul" | "Gemm" => (&[32, 8], &[2, 32]),
        _ => (&[8, 8, 3, 3], &[1, 8, 6, 6]),
    };
    let values: Vec<f32> = (0..weight.iter().product::<usize>())
        .map(|i| (i as f32 * 0.618_034).fract() - 0.5)
        .collect();
    let network = graph::network(graph::model(
        17,
        (
            vec![node(operator, "layer", ["x", "w"], ["y"], vec![])],
            vec![float_tensor("w", weight, &values)],
        ),
        vec![graph::typed("x", data_type::FLOAT, input)],
        vec![graph::value("y")],
    ));
    let progress = Progress::default();
    let activations = recipe.needs_activations().then(|| {
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        data_free_activations(&network, &engine, &DataOptions::default(), &progress).unwrap()
    });
    let plan = plan(&network, recipe, activations.as_ref(), &progress).unwrap();
    let model = rewrite(&network, &plan).unwrap();
    assert_eq!(
        exported_bytes(&network, &plan).unwrap(),
        encode(&model).unwrap().len() as u64
    );
    let proto = model.graph.unwrap();
    let codes = proto.initializer.iter().find(|tensor| tensor.name() == "w.q").unwrap();
    let operators = proto.node.iter().map(|node| node.op_type().to_owned());
    (operators.collect(), codes.data_type())
}

/// onnxruntime 1.32 makes QLinearConv, QLinearMatMul and QGemm of weights of 2 bits too, and refuses the file; of 4 bits it does not,
/// nor of scales in blocks, nor of a transposed convolution.
#[test]
fn codes_of_two_bits_between_grids_are_stored_in_four() {
    let of = |operator, activation_bits, scales, weight_zero_points| {
        let recipe = Recipe {
            weight_bits: Bits::Grid(2),
            activation_bits,
            scales,
            weight_zero_points,
            ..Recipe::default()
        };
        one_layer(operator, &recipe).1
    };
    let (channel, tensor, block) = (Granularity::Channel, Granularity::Tensor, Granularity::Block(16));
    for operator in ["Conv", "MatMul", "Gemm"] {
        for scales in [channel, tensor] {
            assert_eq!(
                of(operator, Bits::Grid(8), scales, false),
                data_type::INT4,
                "{operator}"
            );
            assert_eq!(
                of(operator, Bits::Grid(8), scales, true),
                data_type::UINT4,
                "{operator}"
            );
            assert_eq!(of(operator, Bits::Float, scales, false), data_type::INT2, "{operator}");
        }
        assert_eq!(of(operator, Bits::Grid(8), block, false), data_type::INT2, "{operator}");
    }
    assert_eq!(of("ConvTranspose", Bits::Grid(8), channel, true), data_type::UINT2);
}

/// Of these products onnxruntime 1.32 makes an operator that computes other numbers than the file, or fails.
#[test]
fn products_that_would_be_fused_wrongly_pass_a_reshape() {
    let is_kept = |operator, weight_bits, activation_bits, scales, storage| {
        let recipe = Recipe {
            weight_bits: Bits::Grid(weight_bits),
            activation_bits,
            scales,
            storage,
            products: Products::Fast,
            ..Recipe::default()
        };
        let (operators, _) = one_layer(operator, &recipe);
        operators.iter().any(|operator| operator == "Reshape")
    };
    let (channel, block) = (Granularity::Channel, Granularity::Block(16));
    // MatMulIntegerToFloat, of bytes in blocks.
    assert!(is_kept("MatMul", 4, Bits::Grid(8), block, Storage::Int8));
    assert!(is_kept("MatMul", 8, Bits::Grid(8), block, Storage::Auto));
    assert!(!is_kept("MatMul", 4, Bits::Grid(8), block, Storage::Auto));
    assert!(!is_kept("MatMul", 8, Bits::Grid(8), channel, Storage::Auto));
    assert!(!is_kept("Gemm", 8, Bits::Grid(8), block, Storage::Auto));
    // MatMulNBits, of 2 bits.
    for operator in ["MatMul", "Gemm"] {
        for scales in [channel, block] {
            assert!(is_kept(operator, 2, Bits::Float, scales, Storage::Auto));
            assert!(!is_kept(operator, 2, Bits::Float, scales, Storage::Int8));
            assert!(!is_kept(operator, 4, Bits::Float, scales, Storage::Auto));
        }
    }
}
