//! Where the weight of a layer comes from: constants, what stands between, graphs within graphs.

use super::*;
use crate::network::layer::TensorPlace;
use crate::onnx::AttributeProto;
use crate::onnx::build::{ints_attribute, tensor_attribute};
use crate::onnx::schema::attribute_type;

#[test]
fn a_weight_is_found_through_constant_identity_cast_and_transpose() {
    let constant = node(
        "Constant",
        "",
        [""; 0],
        ["c"],
        vec![tensor_attribute("value", zeros("", &[6, 4]))],
    );
    let nodes = vec![
        constant,
        node("Identity", "", ["c"], ["i"], vec![]),
        node("Transpose", "", ["i"], ["t"], vec![]),
        node("Cast", "", ["t"], ["w"], vec![int_attribute("to", 1)]),
        node("MatMul", "", ["x", "w"], ["y"], vec![]),
    ];
    let layer = &found(nodes, vec![])[0];
    assert_eq!(layer.layout, layout(1, 6, 4, 1, OutAxis::Outer));
    assert_eq!(layer.source.tensor, TensorPlace::Constant(0));
    assert_eq!(layer.source.chain, [1, 2, 3]);
    assert_eq!((layer.weight.as_str(), layer.name.as_str()), ("c", "c"));
    assert_eq!((layer.shape.as_slice(), &layer.support), (&[6, 4][..], &Support::Split));
}

#[test]
fn two_transposes_cancel_and_a_senseless_one_stops_the_split() {
    let through = |perm: &[i64]| {
        found(
            vec![
                node("Transpose", "", ["w"], ["t"], vec![ints_attribute("perm", perm)]),
                node("Transpose", "", ["t"], ["u"], vec![ints_attribute("perm", [1, 0])]),
                node("MatMul", "", ["x", "u"], ["y"], vec![]),
            ],
            vec![zeros("w", &[4, 6])],
        )
        .remove(0)
    };
    assert_eq!(through(&[1, 0]).layout, layout(1, 1, 4, 6, OutAxis::Inner));
    for perm in [&[0, 0][..], &[0, 7], &[-1, 0], &[0]] {
        assert!(why(&through(perm)).contains("Transpose"), "{perm:?}");
    }
}

#[test]
fn a_transposed_kernel_is_looked_at_only() {
    let nodes = |perm: [i64; 3]| {
        vec![
            node("Transpose", "", ["w"], ["t"], vec![ints_attribute("perm", perm)]),
            node("Conv", "", ["x", "t"], ["y"], vec![]),
        ]
    };
    assert_eq!(
        found(nodes([0, 1, 2]), vec![zeros("w", &[4, 3, 2])])[0].support,
        Support::Split
    );
    assert!(why(&found(nodes([1, 0, 2]), vec![zeros("w", &[4, 3, 2])])[0]).contains("Transpose"));
}

#[test]
fn a_circle_of_identities_is_no_layer() {
    let nodes = vec![
        node("Identity", "", ["b"], ["a"], vec![]),
        node("Identity", "", ["a"], ["b"], vec![]),
        node("Conv", "", ["x", "a"], ["y"], vec![]),
    ];
    assert!(found(nodes, vec![]).is_empty());
}

#[test]
fn layers_of_a_branch_are_found_where_their_node_stands() {
    let branch = GraphProto {
        node: vec![node("MatMul", "inner", ["x", "w"], ["z"], vec![])],
        ..GraphProto::default()
    };
    let then = AttributeProto {
        name: Some("then_branch".into()),
        r#type: Some(attribute_type::GRAPH),
        g: Some(branch),
        ..AttributeProto::default()
    };
    let nodes = vec![
        node("MatMul", "first", ["x", "w"], ["a"], vec![]),
        node("If", "", ["condition"], ["b"], vec![then]),
        node("MatMul", "last", ["x", "w"], ["c"], vec![]),
    ];
    let layers = found(nodes, vec![zeros("w", &[4, 6])]);
    let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["first", "inner", "last"]);
    assert!(why(&layers[1]).starts_with("inside an If"));
    let path = layers[1].node.clone().unwrap();
    assert_eq!((path.subgraphs, path.node), (vec![(1, "then_branch".to_owned())], 0));
    assert_eq!(layers[1].source.subgraphs, []);
}

#[test]
fn an_initializer_listed_as_input_is_a_constant_still() {
    let listed = found(
        vec![node("MatMul", "", ["w", "x"], ["y"], vec![])],
        vec![zeros("w", &[2, 2]), zeros("x", &[2, 2])],
    );
    assert!(why(&listed[0]).contains("both sides are constant"));
}
