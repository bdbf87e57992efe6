//! The index and the edits of a graph.

use super::*;
use crate::onnx::build::{float_tensor, node};
use crate::onnx::{AttributeProto, ModelProto, float_values};

fn port(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.to_owned()),
        ..ValueInfoProto::default()
    }
}

/// `y = If(c){ Relu(h) } + w`, where `h = Relu(x)`, `w` is a constant, and `h` is also an output.
fn sample() -> GraphProto {
    let body = GraphProto {
        node: vec![node("Relu", "inner", ["h"], ["inside"], vec![])],
        output: vec![port("inside")],
        ..GraphProto::default()
    };
    let branch = AttributeProto {
        name: Some("then_branch".to_owned()),
        g: Some(body),
        ..AttributeProto::default()
    };
    GraphProto {
        node: vec![
            node("Relu", "first", ["x"], ["h"], vec![]),
            node("If", "choice", ["c"], ["i"], vec![branch]),
            node("Add", "sum", ["i", "w"], ["y"], vec![]),
            node("Mul", "square", ["h", "h"], ["z"], vec![]),
        ],
        initializer: vec![float_tensor("w", &[1], &[2.0])],
        input: vec![port("x"), port("c"), port("w")],
        output: vec![port("y"), port("h")],
        ..GraphProto::default()
    }
}

fn edit() -> GraphEdit {
    GraphEdit::new(ModelProto {
        graph: Some(sample()),
        ir_version: Some(3),
        ..ModelProto::default()
    })
}

#[test]
fn a_value_is_found_with_its_maker_and_its_readers() {
    let proto = sample();
    let graph = Graph::main(&proto);
    assert_eq!(graph.maker("h"), Some(0));
    assert_eq!(graph.maker("x"), None);
    assert_eq!(graph.maker_node("y").map(NodeProto::name), Some("sum"));
    assert_eq!(
        graph.constant("w").map(|tensor| tensor.dims.clone()),
        Some(vec![1]),
        "though it is listed as an input"
    );
    // The body of the If, both sides of the Mul, and the output.
    assert_eq!(graph.read_count("h"), 4);
    assert_eq!(graph.readers("h"), [1, 3]);
    assert_eq!((graph.read_count("nothing"), graph.readers("nothing").len()), (0, 0));
    assert_eq!(proto.required_inputs().collect::<Vec<_>>(), ["x", "c"]);
}

#[test]
fn a_body_knows_the_values_around_it() {
    let proto = sample();
    let graph = Graph::main(&proto);
    let choice = &proto.node[1];
    let body = choice.subgraphs().next().unwrap();
    let inner = graph.inner(body, 1, choice, "then_branch");
    assert_eq!(inner.holder, Some("If"));
    let (home, origin) = inner.find("h").unwrap();
    assert_eq!((home.way.len(), origin), (0, Origin::Node(0)));
    assert_eq!(inner.find("inside").map(|(home, _)| home.way.len()), Some(1));
    assert!(inner.maker("h").is_none(), "it is made outside");
}

#[test]
fn a_constant_is_replaced_in_place_only_for_its_one_reader() {
    let mut alone = edit();
    assert!(!alone.replace_constant(2, 1, "folded", &[1], &[5.0]));
    let graph = alone.finish().graph.unwrap();
    assert_eq!(float_values(&graph.initializer[0]).unwrap()[..], [5.0]);
    assert_eq!(graph.input.len(), 3, "it is listed already");

    let mut model = ModelProto {
        graph: Some(sample()),
        ir_version: Some(3),
        ..ModelProto::default()
    };
    model.graph.as_mut().unwrap().node[3].input[1] = "w".to_owned();
    let mut shared = GraphEdit::new(model);
    assert!(shared.replace_constant(2, 1, "folded", &[1], &[5.0]));
    let graph = shared.finish().graph.unwrap();
    assert_eq!(graph.node[2].input[1], "w.folded");
    assert_eq!(graph.node[3].input[1], "w");
    assert_eq!(
        graph.input.last().map(ValueInfoProto::name),
        Some("w.folded"),
        "as IR version 3 has it"
    );
    assert_eq!(float_values(&graph.initializer[0]).unwrap()[..], [2.0]);
}

#[test]
fn what_nobody_reads_any_more_goes_with_its_listing() {
    let mut edit = edit();
    let other = edit.add_initializer("w", float_tensor("", &[1], &[3.0]));
    assert_eq!(other, "w_2", "w is taken");
    assert_eq!(edit.replace_input(2, 1, other).as_deref(), Some("w"));
    assert_eq!(edit.uses("w"), 0);
    let graph = edit.finish().graph.unwrap();
    assert_eq!(
        graph.initializer.iter().map(TensorProto::name).collect::<Vec<_>>(),
        ["w_2"]
    );
    assert_eq!(
        graph.input.iter().map(ValueInfoProto::name).collect::<Vec<_>>(),
        ["x", "c"]
    );
}

#[test]
fn new_nodes_stand_where_they_were_put() {
    let mut edit = edit();
    edit.insert(3, node("Neg", "a", ["h"], ["n"], vec![]));
    edit.append(0, node("Neg", "b", ["h"], ["m"], vec![]));
    edit.insert(3, node("Neg", "c", ["n"], ["o"], vec![]));
    assert_eq!(edit.uses("h"), 6);
    let graph = edit.finish().graph.unwrap();
    let names: Vec<&str> = graph.node.iter().map(NodeProto::name).collect();
    assert_eq!(names, ["first", "b", "choice", "sum", "a", "c", "square"]);
}
