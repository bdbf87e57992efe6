//! Tests of weights that are computed from constants; the expected numbers are written out by hand.

use super::*;
use crate::network::{Format, Network, Support};
use crate::onnx::build::{
    attribute_tensor, float_tensor, i64_tensor, int_attribute, ints_attribute, node, tensor_attribute,
};
use crate::onnx::schema::AttributeProto;

/// The constant that a chain of nodes makes of `w`, read as a MatMul's weight.
fn folded(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> ModelProto {
    let mut all = nodes;
    all.push(node("MatMul", "layer", ["x", "weight"], ["y"], vec![]));
    let mut model = ModelProto {
        graph: Some(GraphProto {
            node: all,
            initializer: initializers,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    fold_computed_weights(&mut model);
    model
}

fn weight(model: ModelProto) -> (Vec<usize>, Vec<f32>) {
    let network = Network::new("n", None, Format::Onnx, model).unwrap();
    assert_eq!(network.layers.len(), 1);
    assert_eq!(network.layers[0].support, Support::Split);
    (network.layers[0].shape.clone(), network.weights(0).unwrap().to_vec())
}

fn counting(dims: &[usize]) -> TensorProto {
    let count: usize = dims.iter().product();
    float_tensor("w", dims, &(0..count).map(|i| i as f32).collect::<Vec<_>>())
}

#[test]
fn gates_in_another_order_are_a_weight() {
    // Rows 2..3, then 0..2, as an LSTM's gates are put in ONNX's order.
    let slice = |output: &str, start: &str, end: &str| node("Slice", "", ["w", start, end], [output], vec![]);
    let nodes = vec![
        slice("last", "two", "three"),
        slice("rest", "zero", "two"),
        node(
            "Concat",
            "",
            ["last", "rest"],
            ["joined"],
            vec![int_attribute("axis", 0)],
        ),
        node("Unsqueeze", "", ["joined", "zero"], ["up"], vec![]),
        node("Squeeze", "", ["up", "zero"], ["weight"], vec![]),
    ];
    let number = |name: &str, value| i64_tensor(name, &[1], &[value]);
    let model = folded(
        nodes,
        vec![
            counting(&[3, 2]),
            number("zero", 0),
            number("two", 2),
            number("three", 3),
        ],
    );
    let graph = model.graph.as_ref().unwrap();
    let ops: Vec<&str> = graph.node.iter().map(NodeProto::op_type).collect();
    assert_eq!(ops, ["Constant", "MatMul"], "what nobody reads is gone");
    assert!(graph.initializer.is_empty());
    assert!(attribute_tensor(&graph.node[0], "value").is_some());
    assert_eq!(weight(model), (vec![3, 2], vec![4.0, 5.0, 0.0, 1.0, 2.0, 3.0]));
}

#[test]
fn each_operator_moves_the_elements_as_its_specification_says() {
    let one = |op: &str, inputs: &[&str], attributes: Vec<AttributeProto>, extra: Vec<TensorProto>| {
        let node = node(op, "", inputs.to_vec(), ["weight"], attributes);
        // A weight may pass a Transpose as it is; behind a Reshape it is computed.
        let again = crate::onnx::build::node("Reshape", "", ["weight0", "same"], ["weight"], vec![]);
        let mut first = node;
        first.output[0] = "weight0".to_owned();
        let mut initializers = vec![counting(&[2, 3]), i64_tensor("same", &[2], &[0, 0])];
        initializers.extend(extra);
        weight(folded(vec![first, again], initializers))
    };
    let list = |values: &[i64]| i64_tensor("list", &[values.len()], values);
    assert_eq!(
        one("Transpose", &["w"], vec![ints_attribute("perm", [1, 0])], vec![]),
        (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0])
    );
    assert_eq!(
        one(
            "Gather",
            &["w", "list"],
            vec![int_attribute("axis", 1)],
            vec![list(&[2, 0, -2])]
        ),
        (vec![2, 3], vec![2.0, 0.0, 1.0, 5.0, 3.0, 4.0])
    );
    assert_eq!(one("Reshape", &["w", "list"], vec![], vec![list(&[3, -1])]).0, [3, 2]);
    assert_eq!(one("Flatten", &["w"], vec![int_attribute("axis", 2)], vec![]).0, [6, 1]);
    // Operator set 9: the bounds are attributes; both ends counted from behind.
    let bounds = vec![
        ints_attribute("axes", [1]),
        ints_attribute("starts", [-2]),
        ints_attribute("ends", [i64::MAX]),
    ];
    assert_eq!(
        one("Slice", &["w"], bounds, vec![]),
        (vec![2, 2], vec![1.0, 2.0, 4.0, 5.0])
    );
    // Backwards with steps of two, to the very beginning.
    let extra = [("from", -1), ("to", i64::MIN), ("axis", 1), ("step", -2)];
    let extra = extra.map(|(name, value)| i64_tensor(name, &[1], &[value])).to_vec();
    assert_eq!(
        one("Slice", &["w", "from", "to", "axis", "step"], vec![], extra),
        (vec![2, 2], vec![2.0, 0.0, 5.0, 3.0])
    );
}

#[test]
fn what_is_known_at_run_time_only_or_does_not_fit_stays_as_it_is() {
    let reshape = node("Reshape", "", ["w", "shape"], ["weight"], vec![]);
    let model = folded(vec![reshape.clone()], vec![counting(&[2, 3])]);
    assert_eq!(model.graph.unwrap().node.len(), 2, "the shape is an input");
    let wrong = folded(
        vec![reshape],
        vec![counting(&[2, 3]), i64_tensor("shape", &[2], &[4, 4])],
    );
    assert_eq!(wrong.graph.as_ref().unwrap().node[0].op_type(), "Reshape");
    let circle = vec![
        node("Squeeze", "", ["b"], ["weight"], vec![]),
        node("Squeeze", "", ["weight"], ["b"], vec![]),
    ];
    assert_eq!(folded(circle, vec![]).graph.unwrap().node.len(), 3);
}

#[test]
fn a_branch_reads_constants_of_the_graph_around_it() {
    let body = GraphProto {
        node: vec![
            node("Reshape", "", ["w", "shape"], ["weight"], vec![]),
            node("MatMul", "inner", ["x", "weight"], ["y"], vec![]),
        ],
        ..GraphProto::default()
    };
    let branch = AttributeProto {
        name: Some("then_branch".into()),
        g: Some(body),
        ..AttributeProto::default()
    };
    let shape = tensor_attribute("value", i64_tensor("", &[2], &[6, 1]));
    let mut model = ModelProto {
        graph: Some(GraphProto {
            node: vec![
                node("Constant", "", [""; 0], ["shape"], vec![shape]),
                node("If", "", ["condition"], ["z"], vec![branch]),
            ],
            initializer: vec![counting(&[2, 3])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    fold_computed_weights(&mut model);
    let network = Network::new("n", None, Format::Onnx, model).unwrap();
    assert_eq!(network.layers[0].shape, [6, 1]);
    assert!(network.model.graph.as_ref().unwrap().initializer.is_empty());
}
