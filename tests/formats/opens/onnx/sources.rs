//! Where weights may be: in nodes, behind others, computed, quantized, in another file.

use super::*;

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
    let engine = Rten::load(encode(&file.model()).unwrap()).unwrap();
    let data = Dataset::noise(&network, &engine, 2, 5).unwrap();
    assert_eq!(run(&file.model(), &data), run(&network.runnable_model(), &data));
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

/// What each computes, beside onnxruntime, is in `other_tools`.
#[test]
fn onnx_of_other_quantizers() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quantized");
    for name in [
        "qdq_int4",
        "qdq_blocks_int2",
        "qdq_float8",
        "qoperator_int8",
        "dynamic_int8",
        "matmulnbits_2_bits",
    ] {
        let network = splitscope::format::open(&folder.join(format!("{name}.onnx"))).unwrap();
        assert!(
            network.layers.iter().all(|layer| layer.kind == LayerKind::Quantized),
            "{name}"
        );
        assert!(Rten::load(encode(&network.runnable_model()).unwrap()).is_ok(), "{name}");
    }
}

#[test]
fn onnx_embeddings() {
    let nodes = vec![
        node("Cast", "", ["x"], ["ids"], vec![int_attribute("to", 7)]),
        node("Gather", "embed", ["table", "ids"], ["y"], vec![]),
    ];
    let network = File::new(nodes, vec![weights("table", &[256, 32])], &[0], &[0, 32]).open();
    assert_eq!(network.layers[0].kind, LayerKind::Embedding);
    assert!(matches!(&network.layers[0].support, Support::Quantize(why) if why.to_string().starts_with("embedding")));
}

#[test]
fn onnx_functions_and_sparse_initializers() {
    let nodes = vec![node("Twice", "call", ["x", "w"], ["y"], vec![])];
    let mut model = File::new(nodes, vec![], &[0, 4], &[0, 4]).model();
    let graph = model.graph.as_mut().unwrap();
    graph.node[0].domain = Some("mine".to_owned());
    graph.sparse_initializer = vec![splitscope::onnx::schema::SparseTensorProto {
        values: Some(float_tensor("w", &[2], &[2.0, -1.0])),
        indices: Some(i64_tensor("i", &[2], &[0, 15])),
        dims: vec![4, 4],
    }];
    model.functions = vec![splitscope::onnx::schema::FunctionProto {
        name: Some("Twice".to_owned()),
        domain: Some("mine".to_owned()),
        input: vec!["a".to_owned(), "m".to_owned()],
        output: vec!["b".to_owned()],
        node: vec![
            node("MatMul", "one", ["a", "m"], ["h"], vec![]),
            node("MatMul", "two", ["h", "m"], ["b"], vec![]),
        ],
        ..Default::default()
    }];
    let network = graph::network(model);
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["call/one", "call/two"]);
    assert!(network.layers.iter().all(|layer| layer.support == Support::Split));
}

#[test]
fn onnx_operators_that_are_looked_at_only() {
    // Another matrix for each head.
    let equation = vec![string_attribute("equation", "bhd,hdk->bhk")];
    let nodes = vec![node("Einsum", "proj", ["x", "w"], ["y"], equation)];
    let network = File::new(nodes, vec![weights("w", &[2, 4, 3])], &[0, 2, 4], &[0, 2, 3]).open();
    assert!(why(&network, 0).starts_with("Einsum: its weight is batched"));
}

#[test]
fn onnx_einsum_and_fused_products() {
    let equation = vec![string_attribute("equation", "bd,dhk->bhk")];
    let nodes = vec![node("Einsum", "proj", ["x", "w"], ["y"], equation)];
    let network = File::new(nodes, vec![weights("w", &[4, 2, 3])], &[0, 4], &[0, 2, 3]).open();
    assert_eq!(network.layers[0].support, Support::Split);
    assert_eq!(
        (network.layers[0].name.as_str(), network.layers[0].op.as_str()),
        ("proj", "MatMul")
    );
    let mut fused = node("FusedMatMul", "f", ["x", "w"], ["y"], vec![]);
    fused.domain = Some("com.microsoft".to_owned());
    let network = File::new(vec![fused], vec![weights("w", &[4, 3])], &[0, 4], &[0, 3]).open();
    assert_eq!(network.layers[0].support, Support::Split);
}
