//! Weights in the forms that exporters give them: each is a layer, or listed with its reason.

use crate::common::graph::{self, floats, model, value};
use crate::common::relative_difference;
use splitscope::data::Tensor;
use splitscope::inference::{Engine, Rten};
use splitscope::network::{Layer, Network, Support};
use splitscope::onnx::build::{
    float_attribute, float_tensor, i8_tensor, i64_tensor, int_attribute, ints_attribute, node, scalar_f32,
    string_attribute,
};
use splitscope::onnx::schema::{FunctionProto, OperatorSetIdProto, SparseTensorProto, data_type};
use splitscope::onnx::{AttributeProto, ModelProto, NodeProto, TensorProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, plan, rewrite};
use std::path::Path;

/// Numbers that go up and down.
fn wave(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect()
}

fn tensor(name: &str, shape: &[usize]) -> TensorProto {
    float_tensor(name, shape, &wave(shape.iter().product()))
}

fn runs(model: &ModelProto, shape: &[usize]) -> Vec<f32> {
    let engine = Rten::load(encode(model).unwrap()).unwrap();
    let x = Tensor::from_shape(shape, wave(shape.iter().product())).unwrap();
    let values = engine.run(&[("x", &x)], &["y"]).unwrap();
    values[0].floats().unwrap().to_vec()
}

fn layer<'a>(network: &'a Network, name: &str) -> &'a Layer {
    let found = network.layers.iter().find(|layer| layer.name == name);
    found.unwrap_or_else(|| {
        panic!(
            "{name}: {:?}",
            network.layers.iter().map(|l| &l.name).collect::<Vec<_>>()
        )
    })
}

fn close(ours: &[f32], theirs: &[f32], most: f32) {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(1e-6_f32, |most, x| most.max(x.abs()));
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= most * largest, "{a} {b}");
    }
}

/// The network opened, `name` a layer that can be split, what it computes unchanged, and a file of 8 bits near it. `plain` is
/// the same network in a form that the engine runs by itself.
fn splits(network: &Network, name: &str, plain: &ModelProto, shape: &[usize]) {
    assert_eq!(layer(network, name).support, Support::Split);
    let expected = runs(plain, shape);
    close(&runs(&network.runnable_model(), shape), &expected, 1e-5);
    let recipe = Recipe {
        weight_bits: Bits::Grid(8),
        activation_bits: Bits::Float,
        ..Recipe::default()
    };
    let plan = plan(network, &recipe, None, &Progress::default()).unwrap();
    assert!(
        plan.layers
            .iter()
            .any(|planned| planned.name == name && planned.quantized().is_some())
    );
    close(&runs(&rewrite(network, &plan).unwrap(), shape), &expected, 0.05);
}

fn of(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, sizes: &[i64]) -> ModelProto {
    model(17, (nodes, constants), vec![floats("x", sizes)], vec![value("y")])
}

#[test]
fn a_convolution_reads_its_kernel_through_a_transpose() {
    let nodes = vec![
        node(
            "Transpose",
            "",
            ["hwio"],
            ["w"],
            vec![ints_attribute("perm", [3, 2, 0, 1])],
        ),
        node(
            "Conv",
            "c",
            ["x", "w"],
            ["y"],
            vec![ints_attribute("kernel_shape", [3, 3])],
        ),
    ];
    let model = of(nodes, vec![tensor("hwio", &[3, 3, 4, 5])], &[1, 4, 6, 6]);
    let network = graph::network(model.clone());
    assert_eq!(layer(&network, "c").shape, [5, 4, 3, 3]);
    splits(&network, "c", &model, &[1, 4, 6, 6]);
}

/// Weight normalization: `g * v / |v|`, the norm over all axes but the first (Salimans and Kingma 2016).
#[test]
fn normalized_weights_are_worked_out() {
    let axes = vec![ints_attribute("axes", [1, 2, 3])];
    let nodes = vec![
        node("ReduceL2", "", ["v"], ["n"], axes),
        node("Div", "", ["v", "n"], ["u"], vec![]),
        node("Mul", "", ["u", "g"], ["w"], vec![]),
        node(
            "Conv",
            "c",
            ["x", "w"],
            ["y"],
            vec![ints_attribute("kernel_shape", [3, 3])],
        ),
    ];
    let constants = vec![tensor("v", &[6, 4, 3, 3]), tensor("g", &[6, 1, 1, 1])];
    let model = of(nodes, constants, &[1, 4, 5, 5]);
    let network = graph::network(model.clone());
    let (v, g) = (wave(6 * 36), wave(6));
    let expected: Vec<f32> = v
        .chunks(36)
        .zip(&g)
        .flat_map(|(v, g)| {
            let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            v.iter().map(move |x| (f64::from(*g) * f64::from(*x) / norm) as f32)
        })
        .collect();
    close(&network.weights(0).unwrap(), &expected, 1e-6);
    splits(&network, "c", &model, &[1, 4, 5, 5]);
}

#[test]
fn weights_on_a_grid_by_arithmetic_are_worked_out() {
    let conv = || {
        node(
            "Conv",
            "c",
            ["x", "w"],
            ["y"],
            vec![ints_attribute("kernel_shape", [1, 1])],
        )
    };
    let nodes = vec![
        node("Div", "", ["v", "s"], ["a"], vec![]),
        node("Round", "", ["a"], ["r"], vec![]),
        node("Clip", "", ["r", "low", "high"], ["q"], vec![]),
        node("Mul", "", ["q", "s"], ["w"], vec![]),
        conv(),
    ];
    let bounds = [scalar_f32("s", 0.25), scalar_f32("low", -3.0), scalar_f32("high", 3.0)];
    let mut constants = vec![tensor("v", &[4, 3, 1, 1])];
    constants.extend(bounds);
    let model = of(nodes, constants, &[1, 3, 2, 2]);
    let network = graph::network(model.clone());
    let expected: Vec<f32> = wave(12)
        .iter()
        .map(|x| (x / 0.25).round_ties_even().clamp(-3.0, 3.0) * 0.25)
        .collect();
    close(&network.weights(0).unwrap(), &expected, 0.0);
    splits(&network, "c", &model, &[1, 3, 2, 2]);

    let nodes = vec![
        node("Cast", "", ["q"], ["f"], vec![int_attribute("to", 1)]),
        node("Mul", "", ["f", "s"], ["w"], vec![]),
        conv(),
    ];
    let q: Vec<i8> = (0..12).map(|i| i * 9 - 50).collect();
    let model = of(
        nodes,
        vec![i8_tensor("q", &[4, 3, 1, 1], &q), scalar_f32("s", 0.5)],
        &[1, 3, 2, 2],
    );
    let network = graph::network(model.clone());
    let expected: Vec<f32> = q.iter().map(|q| f32::from(*q) * 0.5).collect();
    close(&network.weights(0).unwrap(), &expected, 0.0);
    splits(&network, "c", &model, &[1, 3, 2, 2]);
}

/// A computed kernel without `kernel_shape` tells its size once it is worked out.
#[test]
fn a_computed_kernel_tells_its_shape() {
    let nodes = vec![
        node("Mul", "", ["v", "two"], ["w"], vec![]),
        node("Conv", "c", ["x", "w"], ["y"], vec![]),
    ];
    let model = of(
        nodes,
        vec![tensor("v", &[3, 2, 1, 1]), float_tensor("two", &[1], &[2.0])],
        &[1, 2, 4, 4],
    );
    let network = graph::network(model);
    let doubled: Vec<f32> = wave(6).iter().map(|x| 2.0 * x).collect();
    let plain = vec![node(
        "Conv",
        "c",
        ["x", "w"],
        ["y"],
        vec![ints_attribute("kernel_shape", [1, 1])],
    )];
    let plain = of(plain, vec![float_tensor("w", &[3, 2, 1, 1], &doubled)], &[1, 2, 4, 4]);
    splits(&network, "c", &plain, &[1, 2, 4, 4]);
}

#[test]
fn a_sparse_matrix_is_a_matrix() {
    let product = || vec![node("MatMul", "m", ["x", "w"], ["y"], vec![])];
    let mut model = of(product(), vec![], &[2, 8]);
    let sparse = SparseTensorProto {
        values: Some(float_tensor("w", &[4], &[1.0, -2.0, 0.5, 3.0])),
        indices: Some(i64_tensor("i", &[4], &[0, 7, 19, 39])),
        dims: vec![8, 5],
    };
    model.graph.as_mut().unwrap().sparse_initializer = vec![sparse];
    let mut dense = vec![0.0; 40];
    (dense[0], dense[7], dense[19], dense[39]) = (1.0, -2.0, 0.5, 3.0);
    let plain = of(product(), vec![float_tensor("w", &[8, 5], &dense)], &[2, 8]);
    splits(&graph::network(model), "m", &plain, &[2, 8]);
}

#[test]
fn layers_inside_of_functions_are_layers() {
    let linear = FunctionProto {
        name: Some("Linear".to_owned()),
        domain: Some("mine".to_owned()),
        input: vec!["a".to_owned(), "w".to_owned()],
        output: vec!["b".to_owned()],
        node: vec![
            node("Transpose", "t", ["w"], ["wt"], vec![ints_attribute("perm", [1, 0])]),
            node("MatMul", "mm", ["a", "wt"], ["b"], vec![]),
        ],
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(17),
        }],
        ..FunctionProto::default()
    };
    let mut call = node("Linear", "l1", ["x", "w"], ["h"], vec![]);
    call.domain = Some("mine".to_owned());
    let mut second = node("Linear", "l2", ["h", "v"], ["y"], vec![]);
    second.domain = Some("mine".to_owned());
    let constants = || vec![tensor("w", &[6, 8]), tensor("v", &[3, 6])];
    let mut model = of(vec![call, second], constants(), &[2, 8]);
    model.functions = vec![linear];
    let plain = vec![
        node("Transpose", "", ["w"], ["wt"], vec![]),
        node("MatMul", "", ["x", "wt"], ["h"], vec![]),
        node("Transpose", "", ["v"], ["vt"], vec![]),
        node("MatMul", "", ["h", "vt"], ["y"], vec![]),
    ];
    let network = graph::network(model);
    let plain = of(plain, constants(), &[2, 8]);
    splits(&network, "l1/mm", &plain, &[2, 8]);
    splits(&network, "l2/mm", &plain, &[2, 8]);
}

/// Einsum `equation` of `x` and `w` is the layer that `plain` spells with a MatMul.
fn einsum_splits(equation: &str, operands: [&str; 2], (x, w): (&[usize], &[usize]), plain: Vec<NodeProto>) {
    let spelled = vec![string_attribute("equation", equation)];
    let constants = || {
        let shape = |name: &str, sizes: &[i64]| i64_tensor(name, &[sizes.len()], sizes);
        let (kept, apart) = (shape("kept", &[0, 0, -1]), shape("apart", &[0, 0, 2, 5]));
        vec![
            tensor("w", w),
            shape("matrix", &[-1, 8]),
            shape("columns", &[8, -1]),
            kept,
            apart,
        ]
    };
    let sizes: Vec<i64> = x.iter().map(|size| *size as i64).collect();
    let einsum = of(vec![node("Einsum", "p", operands, ["y"], spelled)], constants(), &sizes);
    let network = graph::network(einsum);
    splits(&network, "p", &of(plain, constants(), &sizes), x);
}

#[test]
fn an_einsum_with_a_matrix_is_a_product() {
    let matmul = || vec![node("MatMul", "", ["x", "w"], ["y"], vec![])];
    einsum_splits("bsd,df->bsf", ["x", "w"], (&[2, 3, 8], &[8, 6]), matmul());
    einsum_splits("...d,df->...f", ["x", "w"], (&[2, 3, 4, 8], &[8, 6]), matmul());
    einsum_splits("df,bsd->bsf", ["w", "x"], (&[2, 3, 8], &[8, 6]), matmul());
    let turned = vec![
        node("Transpose", "", ["w"], ["t"], vec![]),
        node("MatMul", "", ["x", "t"], ["y"], vec![]),
    ];
    einsum_splits("bsd,fd->bsf", ["x", "w"], (&[2, 3, 8], &[6, 8]), turned);
    let heads = vec![
        node("Reshape", "", ["w", "columns"], ["m"], vec![]),
        node("MatMul", "", ["x", "m"], ["h"], vec![]),
        node("Reshape", "", ["h", "apart"], ["y"], vec![]),
    ];
    einsum_splits("bsd,dhe->bshe", ["x", "w"], (&[2, 3, 8], &[8, 2, 5]), heads);
    let joined = vec![
        node("Reshape", "", ["w", "matrix"], ["m"], vec![]),
        node("Reshape", "", ["x", "kept"], ["r"], vec![]),
        node("MatMul", "", ["r", "m"], ["y"], vec![]),
    ];
    einsum_splits("bshe,hed->bsd", ["x", "w"], (&[2, 3, 2, 5], &[2, 5, 8]), joined);
    let moved = vec![
        node("Transpose", "", ["x"], ["t"], vec![ints_attribute("perm", [0, 2, 1])]),
        node("MatMul", "", ["t", "w"], ["p"], vec![]),
        node("Transpose", "", ["p"], ["y"], vec![ints_attribute("perm", [0, 2, 1])]),
    ];
    einsum_splits("bds,df->bfs", ["x", "w"], (&[2, 8, 3], &[8, 6]), moved);
}

#[test]
fn what_onnx_runtime_fused_is_taken_apart() {
    let microsoft = |op: &str, inputs: &[&str], attributes| {
        let mut node = node(op, "f", inputs.iter().copied(), ["y"], attributes);
        node.domain = Some("com.microsoft".to_owned());
        node
    };
    let turned = vec![
        int_attribute("transA", 1),
        int_attribute("transB", 1),
        float_attribute("alpha", 0.25),
    ];
    let fused = microsoft("FusedMatMul", &["x", "w"], turned);
    let constants = || vec![tensor("w", &[6, 8]), tensor("b", &[6]), scalar_f32("quarter", 0.25)];
    let network = graph::network(of(vec![fused], constants(), &[2, 8, 3]));
    let plain = vec![
        node("Transpose", "", ["x"], ["t"], vec![ints_attribute("perm", [0, 2, 1])]),
        node("Transpose", "", ["w"], ["m"], vec![]),
        node("MatMul", "", ["t", "m"], ["p"], vec![]),
        node("Mul", "", ["p", "quarter"], ["y"], vec![]),
    ];
    splits(&network, "f", &of(plain, constants(), &[2, 8, 3]), &[2, 8, 3]);

    let leaky = vec![
        int_attribute("transB", 1),
        string_attribute("activation", "LeakyRelu"),
        float_attribute("activation_alpha", 0.25),
    ];
    let fused = microsoft("FusedGemm", &["x", "w", "b"], leaky);
    let network = graph::network(of(vec![fused], constants(), &[3, 8]));
    let plain = vec![
        node("Gemm", "", ["x", "w", "b"], ["g"], vec![int_attribute("transB", 1)]),
        node("LeakyRelu", "", ["g"], ["y"], vec![float_attribute("alpha", 0.25)]),
    ];
    splits(&network, "f", &of(plain, constants(), &[3, 8]), &[3, 8]);

    let params = AttributeProto {
        floats: vec![-0.5, 0.75],
        ..float_attribute("activation_params", 0.0)
    };
    let clipped = vec![string_attribute("activation", "Clip"), params];
    let fused = microsoft("FusedConv", &["x", "w", "b", "x"], clipped);
    let constants = || {
        let bounds = [scalar_f32("low", -0.5), scalar_f32("high", 0.75)];
        let mut all = vec![tensor("w", &[6, 6, 1, 1]), tensor("b", &[6])];
        all.extend(bounds);
        all
    };
    let network = graph::network(of(vec![fused], constants(), &[1, 6, 4, 4]));
    let plain = vec![
        node("Conv", "", ["x", "w", "b"], ["c"], vec![]),
        node("Add", "", ["c", "x"], ["s"], vec![]),
        node("Clip", "", ["s", "low", "high"], ["y"], vec![]),
    ];
    splits(&network, "f", &of(plain, constants(), &[1, 6, 4, 4]), &[1, 6, 4, 4]);
}

#[test]
fn what_is_no_layer_is_listed_with_its_reason() {
    let microsoft = |op: &str, name: &str, inputs: &[&str]| {
        let mut node = node(op, name, inputs.iter().copied(), ["y"], vec![]);
        node.domain = Some("com.microsoft".to_owned());
        node
    };
    let einsum = vec![string_attribute("equation", "bsd,dhk->bshk")];
    let mut unknown = node("Projection", "own", ["x", "w"], ["y"], vec![]);
    unknown.domain = Some("my.company".to_owned());
    for (node, sizes, words) in [
        (node("Einsum", "p", ["x", "w"], ["y"], einsum), &[8, 2, 5][..], "Einsum"),
        (
            node("DeformConv", "d", ["x", "w", "off"], ["y"], vec![]),
            &[4, 3, 3, 3],
            "DeformConv",
        ),
        (
            NodeProto {
                attribute: vec![int_attribute("transBatchA", 1)],
                ..microsoft("FusedMatMul", "f", &["x", "w"])
            },
            &[8, 6],
            "known to ONNX Runtime only",
        ),
        (
            microsoft("Attention", "a", &["x", "w", "b"]),
            &[8, 24],
            "known to ONNX Runtime only",
        ),
        (unknown, &[8, 6], "my.company"),
    ] {
        let name = node.name().to_owned();
        let constants = vec![tensor("w", sizes), tensor("b", &[24])];
        let network = graph::network(of(vec![node], constants, &[1, 3, 8, 8]));
        assert_eq!(network.layers.len(), 1, "{name}");
        let layer = layer(&network, &name);
        assert!(
            matches!(&layer.support, Support::View(why) if why.to_string().contains(words)),
            "{:?}",
            layer.support
        );
        assert_eq!(network.weights(0).unwrap().len(), sizes.iter().product::<usize>());
    }
}

/// Attention of com.microsoft with packed weights is one layer and standard operators behind it, which answer as ONNX Runtime's own
/// kernel does (`fixtures/attention/make.py`).
#[test]
fn a_fused_attention_is_a_layer_and_answers_as_onnx_runtime_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/attention/attention.json");
    let fixture: serde_json::Value = serde_json::from_reader(std::fs::File::open(path).unwrap()).unwrap();
    let size = |name: &str| usize::try_from(fixture[name].as_u64().unwrap()).unwrap();
    let (batch, steps, width, heads) = (size("batch"), size("steps"), size("width"), size("heads"));
    let wave = |count: usize, step: f64| (0..count).map(|i| (i as f64 * step).sin() as f32).collect::<Vec<f32>>();
    let x = Tensor::from_shape([batch, steps, width], wave(batch * steps * width, 0.9)).unwrap();
    let mask = Tensor::from_shape([batch, steps], vec![1_i32, 1, 1, 0, 0, 0, 1, 1, 1, 1]).unwrap();
    let moved = Tensor::from_shape([1, heads, steps, steps], wave(heads * steps * steps, 0.31)).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let columns = usize::try_from(case["columns"].as_u64().unwrap()).unwrap();
        let names: Vec<&str> = case["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let mut attributes = vec![int_attribute("num_heads", heads as i64)];
        for (key, value) in case["numbers"].as_object().unwrap() {
            attributes.push(match value {
                serde_json::Value::Array(sizes) => ints_attribute(
                    key,
                    sizes.iter().map(|size| size.as_i64().unwrap()).collect::<Vec<i64>>(),
                ),
                value => match value.as_i64() {
                    Some(value) => int_attribute(key, value),
                    None => float_attribute(key, value.as_f64().unwrap() as f32),
                },
            });
        }
        let mut fused = node("Attention", "attention", names.iter().copied(), ["y"], attributes);
        fused.domain = Some("com.microsoft".to_owned());
        let constants = vec![
            float_tensor("w", &[width, columns], &wave(width * columns, 0.7)),
            float_tensor("b", &[columns], &wave(columns, 0.4)),
        ];
        let mut inputs = vec![graph::floats("x", &[0, 0, width as i64])];
        let mut given = vec![("x", &x)];
        if names.contains(&"mask") {
            inputs.push(graph::typed("mask", data_type::INT32, &[0, 0]));
            given.push(("mask", &mask));
        }
        if names.contains(&"moved") {
            inputs.push(graph::floats("moved", &[1, heads as i64, steps as i64, steps as i64]));
            given.push(("moved", &moved));
        }
        let network = graph::network(graph::model(
            17,
            (vec![fused], constants),
            inputs,
            vec![graph::value("y")],
        ));
        let only = layer(&network, "attention");
        assert_eq!((network.layers.len(), &only.support), (1, &Support::Split), "{name}");
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let y = engine.run(&given, &["y"]).unwrap().remove(0);
        let expected: Vec<f32> = case["y"]
            .as_array()
            .unwrap()
            .iter()
            .map(|y| y.as_f64().unwrap() as f32)
            .collect();
        let shape: Vec<usize> = case["y_shape"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap() as usize)
            .collect();
        assert_eq!(y.shape(), shape, "{name}");
        let difference = relative_difference(&expected, y.floats().unwrap());
        assert!(difference < 1e-5, "{name}: {difference}");
        // Four bits are another network: the packed weights really are what is quantized.
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            expand_ratio: 0.2,
            ..Recipe::default()
        };
        let planned = plan(&network, &recipe, None, &Progress::default()).unwrap();
        let quantized = Rten::load(encode(&rewrite(&network, &planned).unwrap()).unwrap()).unwrap();
        let moved = relative_difference(&expected, quantized.run(&given, &["y"]).unwrap()[0].floats().unwrap());
        assert!(moved > 1e-3 && moved < 0.5, "{name}: {moved}");
    }
}

/// What the rewriting does not know stays what it is, with its reason.
#[test]
fn a_fused_attention_with_a_past_is_looked_at_only() {
    let inputs = ["x", "w", "b", "", "past"];
    let mut fused = node(
        "Attention",
        "a",
        inputs,
        ["y", "present"],
        vec![int_attribute("num_heads", 2)],
    );
    fused.domain = Some("com.microsoft".to_owned());
    let constants = vec![tensor("w", &[8, 24]), tensor("b", &[24])];
    let outputs = vec![graph::value("y"), graph::value("present")];
    let given = vec![graph::floats("x", &[1, 3, 8]), graph::floats("past", &[2, 1, 2, 0, 4])];
    let network = graph::network(graph::model(17, (vec![fused], constants), given, outputs));
    assert!(
        matches!(&layer(&network, "a").support, Support::View(why) if why.to_string().contains("ONNX Runtime only")),
        "{:?}",
        network.layers[0].support
    );
}
