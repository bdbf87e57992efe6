//! Each rule on a graph of a node or two: what it becomes, and that the engine computes the same.

mod resize;
mod softmax;

use super::super::build::*;
use super::super::schema::{OperatorSetIdProto, TensorShapeProto, TypeProto, attribute_type, data_type};
use super::super::schema::{tensor_shape_proto, type_proto};
use super::super::{AttributeProto, ValueInfoProto, encode};
use super::*;
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

/// A value of type `element_type`; sizes below zero are free; without sizes not even their number is known.
fn typed(name: &str, element_type: i32, sizes: Option<&[i64]>) -> ValueInfoProto {
    let dimension = |size: &i64| tensor_shape_proto::Dimension {
        value: (*size >= 0).then_some(tensor_shape_proto::Value::DimValue(*size)),
        denotation: None,
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(element_type),
        shape: sizes.map(|sizes| TensorShapeProto {
            dim: sizes.iter().map(dimension).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}

fn float(name: &str, sizes: Option<&[i64]>) -> ValueInfoProto {
    typed(name, data_type::FLOAT, sizes)
}

/// A model from `x` to `y`.
fn model(opset: i64, sizes: Option<&[i64]>, nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    ModelProto {
        ir_version: Some(4),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(opset),
        }],
        graph: Some(GraphProto {
            name: Some("g".into()),
            node: nodes,
            initializer: constants,
            input: vec![float("x", sizes)],
            output: vec![float("y", None)],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

/// One node from `x` to `y`.
fn one(operator: &str, attributes: Vec<AttributeProto>) -> Vec<NodeProto> {
    vec![node(operator, "n", ["x"], ["y"], attributes)]
}

fn upgraded(model: &ModelProto) -> ModelProto {
    let mut model = model.clone();
    upgrade(&mut model, UPGRADED_OPSET).unwrap();
    assert_eq!(opset_version(&model), Some(13));
    model
}

fn refusal_of(model: &ModelProto) -> String {
    let mut changed = model.clone();
    let error = upgrade(&mut changed, UPGRADED_OPSET).unwrap_err();
    assert!(changed == *model, "a refused model is left as it was");
    error.to_string()
}

fn nodes(model: &ModelProto) -> &[NodeProto] {
    &model.graph.as_ref().unwrap().node
}

fn operators(model: &ModelProto) -> Vec<&str> {
    nodes(model).iter().map(NodeProto::op_type).collect()
}

fn constant<'model>(model: &'model ModelProto, name: &str) -> &'model TensorProto {
    let graph = model.graph.as_ref().unwrap();
    graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap()
}

/// Shape and elements of `y`.
fn run(model: &ModelProto, x: &Tensor<f32>) -> (Vec<usize>, Vec<f32>) {
    let engine = rten::Model::load(encode(model).unwrap()).unwrap();
    let y: Tensor<f32> = engine.run_one(x.view().into(), None).unwrap().try_into().unwrap();
    (y.shape().to_vec(), y.to_vec())
}

/// A tensor whose elements go up and down.
fn wave(shape: &[usize]) -> Tensor<f32> {
    let count = shape.iter().product::<usize>();
    let values = (0..count)
        .map(|i| ((i * 7) % 11) as f32 / 4.0 - 1.0)
        .collect::<Vec<_>>();
    Tensor::from_data(shape, values)
}

#[test]
fn attributes_that_became_inputs_mean_the_same() {
    let float = float_attribute;
    let ints = |name: &str, values: &[i64]| ints_attribute(name, values);
    let cases = [
        (10, "Clip", vec![float("min", -0.5), float("max", 0.5)], 3),
        (10, "Clip", vec![float("min", 0.25)], 2),
        (10, "Clip", vec![float("max", 0.25)], 3),
        (10, "Clip", vec![], 1),
        (
            10,
            "Pad",
            vec![ints("pads", &[0, 0, 1, 0, 2, 0]), float("value", 0.75)],
            3,
        ),
        (7, "Pad", vec![ints("pads", &[0, 0, 1, 0, 2, 0])], 2),
        (
            9,
            "Slice",
            vec![ints("starts", &[1]), ints("ends", &[-1]), ints("axes", &[2])],
            4,
        ),
        (
            9,
            "Slice",
            vec![ints("starts", &[0, 1, 0]), ints("ends", &[1, 9, -2])],
            4,
        ),
        (12, "Squeeze", vec![ints("axes", &[0])], 2),
        (12, "Squeeze", vec![], 1),
        (12, "Unsqueeze", vec![ints("axes", &[0, 2])], 2),
        (
            12,
            "ReduceSum",
            vec![ints("axes", &[1]), int_attribute("keepdims", 0)],
            2,
        ),
        (12, "ReduceSum", vec![], 1),
        (11, "Dropout", vec![float("ratio", 0.25)], 2),
    ];
    let x = wave(&[1, 3, 4]);
    for (opset, operator, attributes, inputs) in cases {
        let case = format!("{operator} {opset} {attributes:?}");
        let old = model(opset, Some(&[1, 3, 4]), one(operator, attributes), vec![]);
        let new = upgraded(&old);
        assert_eq!(operators(&new), [operator], "{case}");
        assert_eq!(nodes(&new)[0].input.len(), inputs, "{case}");
        assert_eq!(run(&new, &x), run(&old, &x), "{case}");
    }
}

#[test]
fn a_slice_without_axes_is_one_of_the_first_axes() {
    let attributes = vec![ints_attribute("starts", [0, 1]), ints_attribute("ends", [1, 2])];
    let new = upgraded(&model(9, None, one("Slice", attributes), vec![]));
    let x = Tensor::from_data(&[1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]);
    assert_eq!(run(&new, &x), (vec![1, 1, 2], vec![3.0, 4.0]));
}

#[test]
fn split_and_top_k_take_their_sizes_as_inputs() {
    let old = |opset, operator: &str, attributes| {
        let node = node(operator, "n", ["x"], ["y", "z"], attributes);
        model(opset, Some(&[2, 5]), vec![node], vec![])
    };
    let x = Tensor::from_data(&[2, 5], vec![1.0, 5.0, 2.0, 4.0, 3.0, 9.0, 6.0, 8.0, 7.0, 0.0]);

    let sizes = vec![int_attribute("axis", 1), ints_attribute("split", [2, 3])];
    let split = upgraded(&old(7, "Split", sizes));
    assert_eq!(nodes(&split)[0].input, ["x", "n.split"]);
    assert_eq!(run(&split, &x), (vec![2, 2], vec![1.0, 5.0, 9.0, 6.0]));

    let largest = upgraded(&old(9, "TopK", vec![int_attribute("k", 2)]));
    assert_eq!(nodes(&largest)[0].input, ["x", "n.k"]);
    assert_eq!(constant(&largest, "n.k").dims, [1]);
    assert_eq!(run(&largest, &x), (vec![2, 2], vec![5.0, 4.0, 9.0, 8.0]));
}

#[test]
fn a_mask_that_nobody_reads_is_left_out() {
    let dropout = node("Dropout", "n", ["x"], ["y", "mask"], vec![]);
    let mut old = model(9, None, vec![dropout], vec![]);
    old.graph.as_mut().unwrap().value_info = vec![float("mask", None), float("y", None)];
    let new = upgraded(&old);
    assert_eq!(nodes(&new)[0].output, ["y"]);
    let infos = &new.graph.as_ref().unwrap().value_info;
    assert_eq!(infos.iter().map(ValueInfoProto::name).collect::<Vec<_>>(), ["y"]);
}

#[test]
fn a_bound_has_the_type_of_what_it_bounds() {
    let half = i64::from(data_type::FLOAT16);
    let nodes_of = || {
        vec![
            node("Cast", "c", ["x"], ["h"], vec![int_attribute("to", half)]),
            node("Relu", "r", ["h"], ["r"], vec![]),
            node("Clip", "n", ["r"], ["y"], vec![float_attribute("max", 0.5)]),
        ]
    };
    let new = upgraded(&model(10, None, nodes_of(), vec![]));
    let bound = constant(&new, "n.max");
    assert_eq!(bound.data_type, Some(data_type::FLOAT16));
    assert_eq!(bound.raw_data.as_deref(), Some(&[0x00, 0x38][..]));
    assert_eq!(nodes(&new)[2].input, ["r", "", "n.max"]);
}

#[test]
fn subgraphs_are_upgraded_and_new_names_collide_with_none() {
    let branch = |output: &str| GraphProto {
        name: Some(output.into()),
        node: vec![node(
            "Unsqueeze",
            "n",
            ["x"],
            [output],
            vec![ints_attribute("axes", [1])],
        )],
        output: vec![float(output, None)],
        ..GraphProto::default()
    };
    let body = |name: &str, output: &str| AttributeProto {
        name: Some(name.into()),
        r#type: Some(attribute_type::GRAPH),
        g: Some(branch(output)),
        ..AttributeProto::default()
    };
    let branches = vec![body("then_branch", "n.axes"), body("else_branch", "b")];
    let choose = node("If", "", ["flag"], ["u"], branches);
    let squeeze = node("Squeeze", "n", ["u"], ["y"], vec![ints_attribute("axes", [1])]);
    let flag = raw_tensor("flag", data_type::BOOL, &[], vec![0]);
    let new = upgraded(&model(11, Some(&[2]), vec![choose, squeeze], vec![flag]));

    let choose = &nodes(&new)[0];
    let inner: Vec<&GraphProto> = choose.attribute.iter().filter_map(|a| a.g.as_ref()).collect();
    let mut names = vec!["n.axes".to_owned()];
    for graph in inner {
        assert_eq!(graph.initializer.len(), 1);
        assert_eq!(graph.node[0].input[1], graph.initializer[0].name());
        assert!(graph.node[0].attribute.is_empty());
        names.push(graph.initializer[0].name().to_owned());
    }
    names.push(nodes(&new)[1].input[1].clone());
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
    assert_eq!(run(&new, &wave(&[2])), (vec![2], vec![-1.0, 0.75]));
}

#[test]
fn nodes_in_the_new_form_and_of_other_domains_stay() {
    let clip = node("Clip", "n", ["x", "low", "high"], ["c"], vec![]);
    let mut other = node("Clip", "m", ["c"], ["y"], vec![float_attribute("min", 0.0)]);
    other.domain = Some("com.example".into());
    let bounds = vec![scalar_f32("low", -1.0), scalar_f32("high", 1.0)];
    let old = model(9, None, vec![clip, other], bounds);
    let new = upgraded(&old);
    assert_eq!(new.graph, old.graph);
}

#[test]
fn a_model_that_is_new_enough_stays_as_it_is() {
    for opset in [13, 17] {
        let old = model(opset, None, one("Softmax", vec![]), vec![]);
        let mut new = old.clone();
        upgrade(&mut new, UPGRADED_OPSET).unwrap();
        assert_eq!(new, old);
    }
}

#[test]
fn the_file_format_becomes_new_enough_and_never_older() {
    let mut old = model(7, None, one("Relu", vec![]), vec![]);
    for (before, after) in [(3, 7), (7, 7), (10, 10)] {
        old.ir_version = Some(before);
        assert_eq!(upgraded(&old).ir_version, Some(after));
    }
}

#[test]
fn what_has_no_equivalent_is_named_with_its_reason() {
    let spatial = one("BatchNormalization", vec![int_attribute("spatial", 0)]);
    assert_eq!(
        refusal_of(&model(7, Some(&[2, 3, 4]), spatial, vec![])),
        "node 'n' (BatchNormalization) cannot be upgraded from operator set 7 to 13: its attribute spatial=0 has no equivalent"
    );
    let mask = vec![
        node("Dropout", "", ["x"], ["d", "mask"], vec![]),
        node("Add", "", ["d", "mask"], ["y"], vec![]),
    ];
    let text = refusal_of(&model(9, None, mask, vec![]));
    assert!(text.starts_with("node 'd' (Dropout) cannot be upgraded"), "{text}");
    for (opset, operator, reason) in [
        (8, "Scan", "batch"),
        (9, "ImageScaler", "experimental"),
        (9, "Slice", "starts is missing"),
        (10, "Pad", "pads is missing"),
        (9, "TopK", "k is missing"),
        (7, "Upsample", "scales are missing"),
        (11, "Unsqueeze", "axes is missing"),
    ] {
        let text = refusal_of(&model(opset, None, one(operator, vec![]), vec![]));
        assert!(text.contains(operator) && text.contains(reason), "{text}");
    }
}

#[test]
fn versions_out_of_reach_are_refused() {
    let text = refusal_of(&model(6, None, one("Relu", vec![]), vec![]));
    assert!(
        text.contains("operator set 6") && text.contains("export it again"),
        "{text}"
    );
    let mut unknown = model(9, None, one("Relu", vec![]), vec![]);
    unknown.opset_import[0].domain = Some("ai.onnx.ml".into());
    assert!(refusal_of(&unknown).contains("'n' (Relu)"));
    let mut too_far = model(12, None, one("Relu", vec![]), vec![]);
    let error = upgrade(&mut too_far, 30).unwrap_err();
    assert_eq!(error.to_string(), "operator set 12 can be upgraded to 25, not to 30");
}

/// Blocks of scales need 21: what changed after 13 is brought there too, and only then.
#[test]
fn rules_after_13_apply_on_the_way_to_21_only() {
    let axes = vec![ints_attribute("axes", [1])];
    let at_13 = || model(13, None, one("ReduceMean", axes.clone()), vec![]);
    let mut kept = at_13();
    upgrade(&mut kept, UPGRADED_OPSET).unwrap();
    assert_eq!(kept, at_13());
    let mut newest = at_13();
    upgrade(&mut newest, BLOCK_OPSET).unwrap();
    let graph = newest.graph.as_ref().unwrap();
    assert_eq!(
        (newest.opset_import[0].version, newest.ir_version),
        (Some(21), Some(10))
    );
    assert!(graph.node[0].attribute.is_empty() && graph.node[0].input.len() == 2);
    let added = graph
        .initializer
        .iter()
        .find(|tensor| tensor.name() == graph.node[0].input[1]);
    assert_eq!(added.map(|tensor| tensor.dims.clone()), Some(vec![1]));
    // 25, for integers of 2 bits, needs no further rule.
    let mut last = newest.clone();
    upgrade(&mut last, NEWEST_OPSET).unwrap();
    assert_eq!((last.opset_import[0].version, last.ir_version), (Some(25), Some(13)));
    assert_eq!(&last.graph, &newest.graph);
    // From 7 both kinds of rules apply.
    let mut old = model(7, None, one("ReduceMean", axes.clone()), vec![]);
    upgrade(&mut old, NEWEST_OPSET).unwrap();
    assert_eq!(old.graph.unwrap().node[0].input.len(), 2);
}

/// The number of axes of an output, which an exporter declared wrongly, follows from the list that a reshape reads.
#[test]
fn an_output_gets_the_number_of_axes_that_it_has() {
    let reshape = |count: usize| {
        let one = |at: usize| format!("one{at}");
        let mut nodes: Vec<NodeProto> = vec![node("Shape", "shape", ["x"], ["sizes"], vec![])];
        for at in 0..count {
            nodes.push(node(
                "Gather",
                format!("g{at}"),
                ["sizes", "zero"],
                [format!("size{at}")],
                vec![],
            ));
            let axes = vec![ints_attribute("axes", vec![0])];
            nodes.push(node(
                "Unsqueeze",
                format!("u{at}"),
                [format!("size{at}")],
                [one(at)],
                axes,
            ));
        }
        nodes.push(node(
            "Concat",
            "c",
            (0..count).map(one),
            ["list"],
            vec![int_attribute("axis", 0)],
        ));
        nodes.push(node("Reshape", "r", ["x", "list"], ["y"], vec![]));
        let mut model = model(12, Some(&[1, 1]), nodes, vec![i64_tensor("zero", &[], &[0])]);
        model.graph.as_mut().unwrap().output = vec![float("y", Some(&[1, -1]))];
        upgrade(&mut model, 21).unwrap();
        let output = model.graph.unwrap().output.remove(0);
        let Some(type_proto::Value::TensorType(tensor)) = output.r#type.unwrap().value else {
            panic!("a tensor");
        };
        tensor
            .shape
            .unwrap()
            .dim
            .iter()
            .map(|axis| axis.value.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(reshape(3), [None, None, None]);
    // Where the number is right, what was declared stays.
    assert_eq!(reshape(2), [Some(tensor_shape_proto::Value::DimValue(1)), None]);
}
