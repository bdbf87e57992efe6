//! A network of which no layer can be quantized says so wherever its numbers would be, and what a person can do.

use crate::common::graph::{model, value};
use crate::harness::{builder, by_palette, open_with, settle, texts};
use splitscope::onnx::build::{float_tensor, node, raw_tensor};
use splitscope::onnx::schema::{attribute_type, data_type};
use splitscope::onnx::{AttributeProto, GraphProto, write_file};
use std::path::{Path, PathBuf};

/// A branch with a matrix product.
fn branch(name: &str, weight: &str) -> AttributeProto {
    let result = format!("{name}_result");
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(attribute_type::GRAPH),
        g: Some(GraphProto {
            name: Some(name.to_owned()),
            node: vec![node("MatMul", name, ["x", weight], [&result], vec![])],
            output: vec![value(&result)],
            ..GraphProto::default()
        }),
        ..AttributeProto::default()
    }
}

/// All layers inside an If.
fn with_branches(folder: &Path) -> PathBuf {
    let branches = vec![branch("then_branch", "v"), branch("else_branch", "w")];
    let constants = vec![
        float_tensor("v", &[4, 4], &[0.5; 16]),
        float_tensor("w", &[4, 4], &[0.25; 16]),
        raw_tensor("condition", data_type::BOOL, &[], vec![1]),
    ];
    let nodes = vec![node("If", "if", ["condition"], ["y"], branches)];
    let model = model(17, (nodes, constants), vec![value("x")], vec![value("y")]);
    let path = folder.join("branches.onnx");
    write_file(&model, &path).unwrap();
    path
}

#[test]
fn layers_inside_an_if_are_told_of_where_their_numbers_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_branches(folder.path());
    let mut window = open_with(builder(), path.to_str().unwrap(), 20);
    let what = "all its 2 layers can only be looked at (inside an If). Export it again without the branch";
    // The preview is always there.
    assert_eq!(texts(&window, what).len(), 1);
    assert!(texts(&window, "split and exported").is_empty());
    for view in ["Answers", "Sweep", "Auto"] {
        by_palette(&mut window, &format!("show view {view}"));
        settle(&mut window);
        assert_eq!(texts(&window, what).len(), 2, "{view}");
    }
    assert!(texts(&window, "Choose settings").is_empty() && texts(&window, "Start sweep").is_empty());
    by_palette(&mut window, "show view Errors");
    settle(&mut window);
    crate::harness::click(&mut window, "Curves and sensitivity");
    assert_eq!(texts(&window, "so it has no error: inside an If").len(), 1);
}

#[test]
fn a_network_with_a_layer_to_quantize_says_nothing_of_it() {
    let window = open_with(builder(), "demo:fashion", 20);
    assert!(texts(&window, "can only be looked at").is_empty());
}
