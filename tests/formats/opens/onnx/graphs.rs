//! Graphs of every form: several inputs, free sizes, graphs within graphs, old operators and ones that the engine lacks.

use super::*;

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
    file.inputs.push(floats("z", &[0, 3]));
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
            output: vec![floats(&format!("{name}.y"), &[0, 4])],
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
    let scalar = |name: &str, element_type| graph::typed(name, element_type, &[]);
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
            floats("state", &[0, 5]),
        ],
        output: vec![scalar("go_on", data_type::BOOL), floats("next", &[0, 5])],
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
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let x: Vec<f32> = (0..84).map(|i| ((i * 29) % 17) as f32 / 4.0 - 2.0).collect();
        let input = splitscope::data::Tensor::from_shape([2, 7, 3, 2], x.clone()).unwrap();
        let output = engine.run(&[("x", &input)], &["n"]).unwrap().remove(0);
        let expected = lrn(&x, 7, 6, size as usize, [0.3, 0.6, 1.5]);
        let difference = relative_difference(&expected, output.floats().unwrap());
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
    let refusal = Rten::load(encode(&network.runnable_model()).unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(refusal.contains("strange") && refusal.contains("Fizz"), "{refusal}");
}
