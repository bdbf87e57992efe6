use super::*;
use crate::data::{Random, Tensor};
use crate::engine::{Engine, Rten, UNOPTIMIZED};
use crate::format::demo::Demo;
use crate::onnx::build::{float_tensor, i64_tensor, int_attribute, ints_attribute, model_of, node, value_info as info};
use crate::onnx::{TensorProto, encode};

/// Distance at `x`, and the gradient there.
fn at(engine: &Rten, of: &MomentGradient, input: &str, shape: &[usize], x: &[f32]) -> (f64, Vec<f32>) {
    let x = Tensor::from_shape(shape, x.to_vec()).unwrap();
    let wanted = [of.distance.as_str(), of.gradient.as_str()];
    let values = engine.run_with(&[(input, &x)], &wanted, UNOPTIMIZED).unwrap();
    assert_eq!(values[1].shape(), shape);
    (
        f64::from(values[0].floats().unwrap()[0]),
        values[1].floats().unwrap().to_vec(),
    )
}

/// Along a random way the distance changes as the gradient says.
fn assert_slopes(network: &Network, input: &str, shape: &[usize], tolerance: f64) {
    let of = moment_gradient(network, input, shape).unwrap().unwrap();
    let engine = Rten::load(encode(&of.model).unwrap()).unwrap();
    let mut random = Random(5);
    let count = shape.iter().product();
    let mut numbers = || (0..count).map(|_| random.normal()).collect::<Vec<f32>>();
    let x = numbers();
    let (_, gradient) = at(&engine, &of, input, shape, &x);
    for _ in 0..3 {
        let way = numbers();
        let step = 2e-3_f32;
        let moved = |sign: f32| {
            x.iter()
                .zip(&way)
                .map(|(x, way)| x + sign * step * way)
                .collect::<Vec<f32>>()
        };
        let (ahead, _) = at(&engine, &of, input, shape, &moved(1.0));
        let (behind, _) = at(&engine, &of, input, shape, &moved(-1.0));
        let measured = (ahead - behind) / (2.0 * f64::from(step));
        let told: f64 = gradient.iter().zip(&way).map(|(g, way)| f64::from(g * way)).sum();
        let size = gradient.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
        assert!(
            (measured - told).abs() < tolerance * size,
            "{measured} against {told}, {size}"
        );
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_distance() {
    assert_slopes(&Demo::Fashion.network().unwrap(), "input", &[4, 1, 28, 28], 0.05);
}

#[test]
fn a_network_without_batch_norms_has_none() {
    let network = Demo::Shakespeare.network().unwrap();
    assert!(moment_gradient(&network, "tokens", &[1, 8]).unwrap().is_none());
}

/// Numbers of a shape, the same each time.
fn tensor(name: &str, shape: &[usize], random: &mut Random) -> TensorProto {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| 0.5 * random.normal()).collect();
    float_tensor(name, shape, &values)
}

/// A network of `nodes` from `x` `[2, 3, 10, 10]` to `y`, which two batch-norms look at: of 4 channels behind a convolution of them.
fn network_of(middle: Vec<NodeProto>, mut constants: Vec<TensorProto>) -> Network {
    let mut random = Random(9);
    constants.push(tensor("first", &[4, 3, 3, 3], &mut random));
    constants.push(tensor("last", &[4, 4, 3, 3], &mut random));
    for (name, value) in [("gain", 1.5), ("offset", 0.1), ("mean", 0.3), ("variance", 2.0)] {
        constants.push(float_tensor(name, &[4], &[value; 4]));
    }
    let norm = |from: &str, to: &str| {
        let inputs = [from, "gain", "offset", "mean", "variance"];
        node("BatchNormalization", to, inputs, [to], Vec::new())
    };
    let mut nodes = vec![
        node(
            "Conv",
            "c1",
            ["x", "first"],
            ["a"],
            vec![ints_attribute("pads", [1, 1, 1, 1])],
        ),
        norm("a", "b"),
    ];
    nodes.extend(middle);
    nodes.push(node(
        "Conv",
        "c2",
        ["m", "last"],
        ["n"],
        vec![ints_attribute("pads", [1, 1, 1, 1])],
    ));
    nodes.push(norm("n", "y"));
    let axes = |sizes: &[usize]| sizes.iter().map(|size| Axis::Size(*size)).collect::<Vec<_>>();
    let graph = GraphProto {
        node: nodes,
        name: Some("g".to_owned()),
        initializer: constants,
        input: vec![info("x", data_type::FLOAT, &axes(&[2, 3, 10, 10]))],
        output: vec![info("y", data_type::FLOAT, &[])],
        ..GraphProto::default()
    };
    Network::new("net", None, crate::network::Format::Onnx, model_of(13, graph)).unwrap()
}

#[test]
fn every_operator_hands_on_what_it_must() {
    let mut random = Random(3);
    let of = |op: &str, inputs: &[&str], output: &str, attributes: Vec<crate::onnx::AttributeProto>| {
        node(op, output, inputs.iter().copied(), [output], attributes)
    };
    let list = |name: &str, values: &[i64]| i64_tensor(name, &[values.len()], values);
    let one = |op: &str| vec![node(op, "m", ["b"], ["m"], Vec::new())];
    let windows = |size: i64, stride: i64| {
        vec![
            ints_attribute("kernel_shape", [size, size]),
            ints_attribute("strides", [stride, stride]),
        ]
    };
    let scalar = |name: &str, value: f32| float_tensor(name, &[], &[value]);
    let cases: Vec<(&str, Vec<NodeProto>, Vec<TensorProto>)> = vec![
        ("relu", one("Relu"), Vec::new()),
        ("leaky", one("LeakyRelu"), Vec::new()),
        ("sigmoid", one("Sigmoid"), Vec::new()),
        ("hard sigmoid", one("HardSigmoid"), Vec::new()),
        (
            "clip",
            vec![of("Clip", &["b", "low", "high"], "m", Vec::new())],
            vec![scalar("low", -0.5), scalar("high", 1.0)],
        ),
        (
            "hard swish, written out",
            vec![
                of("HardSigmoid", &["b"], "h", Vec::new()),
                of("Mul", &["b", "h"], "m", Vec::new()),
            ],
            Vec::new(),
        ),
        (
            "a gate of channels",
            vec![
                of("GlobalAveragePool", &["b"], "g", Vec::new()),
                of("Conv", &["g", "gate"], "h", Vec::new()),
                of("Sigmoid", &["h"], "s", Vec::new()),
                of("Mul", &["b", "s"], "m", Vec::new()),
            ],
            vec![tensor("gate", &[4, 4, 1, 1], &mut random)],
        ),
        (
            "depthwise, stride and dilation",
            vec![
                of(
                    "Conv",
                    &["b", "d"],
                    "e",
                    vec![int_attribute("group", 4), ints_attribute("strides", [2, 3])],
                ),
                of("Conv", &["e", "f"], "m", vec![ints_attribute("dilations", [2, 1])]),
            ],
            vec![
                tensor("d", &[4, 1, 3, 3], &mut random),
                tensor("f", &[4, 4, 2, 2], &mut random),
            ],
        ),
        (
            "mean of windows",
            vec![of("AveragePool", &["b"], "m", windows(2, 2))],
            Vec::new(),
        ),
        (
            "cut, with steps, and padded",
            vec![
                of("Slice", &["b", "starts", "ends", "axes", "steps"], "e", Vec::new()),
                of("Pad", &["e", "pads"], "m", Vec::new()),
            ],
            vec![
                list("starts", &[1, 0]),
                list("ends", &[i64::MAX, 9]),
                list("axes", &[2, 3]),
                list("steps", &[2, 3]),
                list("pads", &[0, 0, 1, 0, 0, 0, 0, 2]),
            ],
        ),
        (
            "put together, in another order and shape",
            vec![
                of("Slice", &["b", "starts", "ends", "axes"], "e", Vec::new()),
                of("Slice", &["b", "ends", "all", "axes"], "f", Vec::new()),
                of("Concat", &["f", "e"], "g", vec![int_attribute("axis", 1)]),
                of("Transpose", &["g"], "h", vec![ints_attribute("perm", [1, 2, 3, 0])]),
                of("Reshape", &["h", "flat"], "i", Vec::new()),
                of("Reshape", &["i", "back"], "j", Vec::new()),
                of("Transpose", &["j"], "k", vec![ints_attribute("perm", [3, 0, 1, 2])]),
                of("Sub", &["k", "b"], "l", Vec::new()),
                of("Add", &["l", "shift"], "m", Vec::new()),
            ],
            vec![
                list("starts", &[0]),
                list("ends", &[1]),
                list("all", &[4]),
                list("axes", &[1]),
                list("flat", &[-1]),
                list("back", &[4, 10, 10, 2]),
                tensor("shift", &[4, 1, 1], &mut random),
            ],
        ),
        (
            "products of matrices",
            vec![of("MatMul", &["b", "w"], "m", Vec::new())],
            vec![tensor("w", &[10, 7], &mut random)],
        ),
    ];
    for (what, middle, constants) in cases {
        println!("{what}");
        assert_slopes(&network_of(middle, constants), "x", &[2, 3, 10, 10], 0.03);
    }
}
