//! What the built-in engine computes, operator by operator: the backend tests of ONNX, and a grid of attributes with the answers
//! of onnxruntime (`tests/fixtures/conformance.py`). Where the engine computes something, it is what ONNX says; else it names
//! the operator that it cannot compute.

mod case;
mod integer_lstm;

use crate::common::{graph, shared};
use case::{Case, Verdict};
use splitscope::onnx::build::{i64_tensor, int_attribute, node};
use splitscope::onnx::schema::{data_type, tensor_shape_proto, type_proto};
use std::path::Path;

/// Cases that may differ, with the reason.
const MAY_DIFFER: &[(&str, &str)] = &[
    ("test_bernoulli_", "random numbers"),
    ("test_training_dropout", "random numbers"),
    (
        "test_resize_downsample_scales_cubic_align_corners",
        "align_corners of a size that scales leave uncertain: as onnxruntime, which rounds the size first",
    ),
    ("test_resize_downsample_scales_linear_align_corners", "as the cubic one"),
    (
        "test_sequence_model3",
        "its positions are inputs with defaults, which are not given",
    ),
    (
        "test_cast_FLOAT_to_BFLOAT16",
        "the file holds the bits of its output as UINT16",
    ),
    (
        "test_castlike_FLOAT_to_BFLOAT16",
        "the file holds the bits of its output as UINT16",
    ),
];

/// Runs all cases; returns how many are right.
fn run(cases: &[Case]) -> usize {
    let (mut right, mut wrong) = (0, Vec::new());
    for case in cases {
        let operators = case.operators();
        match case.judge() {
            Verdict::Right => right += 1,
            Verdict::Refused(reason) => {
                if std::env::var_os("CONFORMANCE_REFUSED").is_some() {
                    println!("refused {}: {reason}", case.name);
                }
                // An input of a type that the engine lacks cannot even be handed over.
                let names = |operator: &String| reason.contains(operator.as_str());
                let named =
                    operators.iter().any(names) || reason.contains("operator set") || reason.starts_with("input");
                if !named {
                    wrong.push(format!("{} is refused without its operator: {reason}", case.name));
                }
            }
            Verdict::Differs(how) => {
                if !MAY_DIFFER.iter().any(|(name, _)| case.name.starts_with(name)) {
                    wrong.push(format!("{} ({}) differs: {how}", case.name, operators.join(", ")));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    right
}

#[test]
fn no_operator_of_the_backend_tests_of_onnx_is_computed_otherwise_in_silence() {
    let archive = shared("data/onnx-1.17.0-backend-test-data.tar.gz");
    if !archive.exists() {
        println!("skipped: {} is not there", archive.display());
        return;
    }
    let right: usize = ["node", "pytorch-converted", "pytorch-operator", "simple"]
        .iter()
        .map(|kind| run(&Case::read_all(&archive, &format!("data/{kind}/"))))
        .sum();
    assert!(right >= 790, "only {right} are computed");
}

/// The shapes that are worked out without running a network are those of the answers.
#[test]
fn shapes_that_are_worked_out_are_those_of_the_outputs() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance.tar.gz");
    let mut cases = Case::read_all(&here, "");
    let archive = shared("data/onnx-1.17.0-backend-test-data.tar.gz");
    if archive.exists() {
        cases.extend(Case::read_all(&archive, "data/node/"));
    }
    let (mut known, mut wrong) = (0, Vec::new());
    for case in &cases {
        for (name, worked_out, is) in case.shapes() {
            known += 1;
            if worked_out != is {
                let operators = case.operators().join(", ");
                wrong.push(format!(
                    "{} ({operators}): {name} {worked_out:?} instead of {is:?}",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {known}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(known > 2500, "only {known} are worked out");
}

/// Cases of an archive that a person names in `CONFORMANCE_CASES`, laid out as those of the grid.
#[test]
fn cases_that_are_named_give_their_answers() {
    if let Some(archive) = std::env::var_os("CONFORMANCE_CASES") {
        run(&Case::read_all(Path::new(&archive), ""));
    }
}

#[test]
fn the_grid_of_attributes_gives_the_answers_of_onnxruntime() {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance.tar.gz");
    let right = run(&Case::read_all(&archive, ""));
    assert!(right >= 1000, "only {right} are computed");
}

/// Closed gates let through what ONNX says, 1 / (1 + e^-x), where onnxruntime is up to 1.4e-7 off.
#[test]
fn a_sigmoid_near_0_is_as_exact_as_elsewhere() {
    let x: Vec<f32> = (0..=320).map(|place| place as f32 / 4.0 - 80.0).collect();
    let ends = (graph::floats("x", &[321]), graph::floats("y", &[321]));
    let nodes = vec![node("Sigmoid", "sigmoid", ["x"], ["y"], vec![])];
    let model = graph::model(17, (nodes, vec![]), vec![ends.0], vec![ends.1]);
    for (x, y) in x.iter().zip(graph::run(&model, &[321], &x)) {
        let exact = 1.0 / (1.0 + (-f64::from(*x)).exp());
        let apart = (f64::from(y) - exact).abs() / exact;
        assert!(apart <= 1e-6, "sigmoid({x}) = {y:e} is {apart:.1e} of {exact:e} away");
    }
}

/// Files call axes alike that are not: what is computed of their sizes is of the sizes that they have.
#[test]
fn axes_of_one_name_need_not_be_equally_long() {
    use tensor_shape_proto::{Dimension, Value};
    for name in ["?", "side"] {
        let mut input = graph::floats("x", &[1, 2, 0, 0]);
        let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        else {
            panic!("it is a tensor");
        };
        for axis in &mut tensor.shape.as_mut().unwrap().dim[2..] {
            *axis = Dimension {
                value: Some(Value::DimParam(name.to_owned())),
                ..Dimension::default()
            };
        }
        let nodes = vec![
            node("Relu", "relu", ["x"], ["r"], vec![]),
            node("Shape", "shape", ["r"], ["s"], vec![]),
            node("Slice", "slice", ["s", "last", "all"], ["w"], vec![]),
            node(
                "Cast",
                "cast",
                ["w"],
                ["f"],
                vec![int_attribute("to", i64::from(data_type::FLOAT))],
            ),
            node("Mul", "mul", ["r", "f"], ["y"], vec![]),
        ];
        let constants = vec![i64_tensor("last", &[1], &[-1]), i64_tensor("all", &[1], &[i64::MAX])];
        let model = graph::model(
            17,
            (nodes, constants),
            vec![input],
            vec![graph::floats("y", &[0, 0, 0, 0])],
        );
        let y = graph::run(&model, &[1, 2, 3, 5], &[1.0; 30]);
        assert_eq!(y, [5.0; 30], "{name}: times the last size");
    }
}
