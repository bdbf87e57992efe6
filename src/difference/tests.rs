//! Differences that are known beforehand.

use super::*;
use crate::network::Format;
use crate::onnx::build::{float_tensor, i64_tensor, int_attribute, node, raw_tensor};
use crate::onnx::schema::{ValueInfoProto, data_type};
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto};

fn network(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Network {
    let value = |name: &str| ValueInfoProto {
        name: Some(name.to_owned()),
        ..ValueInfoProto::default()
    };
    let graph = GraphProto {
        node: nodes,
        initializer,
        input: vec![value("x")],
        output: vec![value("y")],
        ..GraphProto::default()
    };
    let model = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    Network::new("n", None, Format::Onnx, model).unwrap()
}

fn tensors(initializer: Vec<TensorProto>) -> Network {
    let model = ModelProto {
        graph: Some(GraphProto {
            initializer,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    Network::new("t", None, Format::Safetensors, model).unwrap()
}

fn gemm(transposed: bool, weight: TensorProto) -> Network {
    let attributes = vec![int_attribute("transB", i64::from(transposed))];
    network(vec![node("Gemm", "fc", ["x", "w"], ["y"], attributes)], vec![weight])
}

fn between(one: &Network, other: &Network) -> NetworkDifference {
    NetworkDifference::between(one, other, &Progress::default()).unwrap()
}

#[test]
fn the_numbers_are_those_of_a_hand() {
    let one = gemm(true, float_tensor("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    let other = gemm(true, float_tensor("w", &[2, 2], &[1.0, 2.0, 3.0, 3.0]));
    let found = between(&one, &other);
    let weights = found.layers[0].weights.as_ref().unwrap();
    assert_eq!((weights.max_abs, weights.mse, weights.elements), (1.0, 0.25, 4));
    assert!((weights.sqnr_db - 10.0 * 30_f64.log10()).abs() < 1e-12);
    assert_eq!(weights.histograms[0].total(), 4);
    assert_eq!(found.counts(), [0, 1, 0]);
}

/// A Gemm that holds its matrix the other way round computes the same.
#[test]
fn a_matrix_may_lie_the_other_way_round() {
    let one = gemm(true, float_tensor("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let other = gemm(false, float_tensor("w", &[2, 3], &[1.0, 3.0, 5.0, 2.0, 4.0, 6.0]));
    assert_eq!(between(&one, &other).counts(), [1, 0, 0]);
    // Without a graph nobody knows which way round a square one lies.
    let square = gemm(false, float_tensor("w", &[2, 2], &[1.0, 3.0, 2.0, 4.0]));
    for values in [[1.0, 3.0, 2.0, 4.0], [1.0, 2.0, 3.0, 4.0]] {
        let file = tensors(vec![float_tensor("w", &[2, 2], &values)]);
        assert_eq!(between(&file, &square).counts(), [1, 0, 0]);
        assert_eq!(between(&square, &file).layers[0].matched_by, MatchedBy::Weight);
    }
}

#[test]
fn copies_behind_a_gather_are_added_up_with_their_factors() {
    let one = gemm(true, float_tensor("w", &[1, 2], &[4.0, 8.0]));
    let gathered = |factors: Option<[f32; 3]>, weights: [f32; 3]| {
        let mut nodes = vec![node(
            "Gather",
            "split",
            ["x", "i"],
            ["g"],
            vec![int_attribute("axis", -1)],
        )];
        let mut constants = vec![i64_tensor("i", &[3], &[0, 1, 1]), float_tensor("w", &[1, 3], &weights)];
        let mut input = "g";
        if let Some(factors) = factors {
            nodes.push(node("Mul", "halves", ["g", "f"], ["h"], vec![]));
            constants.push(float_tensor("f", &[3], &factors));
            input = "h";
        }
        nodes.push(node(
            "Gemm",
            "fc",
            [input, "w"],
            ["y"],
            vec![int_attribute("transB", 1)],
        ));
        network(nodes, constants)
    };
    let found = between(&one, &gathered(None, [4.0, 3.0, 5.0]));
    assert_eq!(found.counts(), [1, 0, 0]);
    assert_eq!(found.layers[0].sides[1].copies, 1);
    assert_eq!(found.layers[0].sides[0].copies, 0);
    assert_eq!(
        between(&one, &gathered(Some([1.0, 0.5, 0.5]), [4.0, 8.0, 8.0])).counts(),
        [1, 0, 0]
    );
    assert_eq!(between(&one, &gathered(None, [4.0, 3.0, 4.0])).counts(), [0, 1, 0]);
}

#[test]
fn shapes_that_do_not_belong_together_and_layers_of_one_network_alone_are_told() {
    let one = network(
        vec![
            node("MatMul", "a", ["x", "u"], ["v"], vec![]),
            node("MatMul", "b", ["v", "w"], ["y"], vec![]),
        ],
        vec![
            float_tensor("u", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            float_tensor("w", &[3, 4], &[0.0; 12]),
        ],
    );
    let other = network(
        vec![node("MatMul", "a", ["x", "u"], ["y"], vec![])],
        vec![float_tensor(
            "u",
            &[2, 5],
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
        )],
    );
    let found = between(&one, &other);
    let why = found.layers[0].weights.as_ref().unwrap_err().to_string();
    assert!(why.contains("[2, 3]") && why.contains("[2, 5]"), "{why}");
    assert_eq!(found.only_in, [vec!["b".to_owned()], vec![]]);
    assert_eq!(found.counts(), [0, 0, 1]);
    assert!(found.nothing_in_common().is_some_and(|text| text.contains(&why)));
}

#[test]
fn nan_is_counted_and_left_out() {
    let one = gemm(true, float_tensor("w", &[1, 3], &[1.0, f32::NAN, 2.0]));
    let other = gemm(true, float_tensor("w", &[1, 3], &[1.0, 1.0, 2.0]));
    let found = between(&one, &other);
    let weights = found.layers[0].weights.as_ref().unwrap();
    assert_eq!((weights.not_finite, weights.max_abs, weights.mse), (1, 0.0, 0.0));
    assert!(!weights.is_equal());
}

#[test]
fn half_precision_is_compared_as_the_numbers_that_it_holds() {
    let halves: Vec<u8> = [1.0_f32, -2.5]
        .iter()
        .flat_map(|x| half::f16::from_f32(*x).to_le_bytes())
        .collect();
    let one = gemm(true, float_tensor("w", &[1, 2], &[1.0, -2.5]));
    let other = gemm(true, raw_tensor("w", data_type::FLOAT16, &[1, 2], halves));
    assert_eq!(between(&one, &other).counts(), [1, 0, 0]);
}

#[test]
fn a_comparison_can_be_cancelled() {
    let one = gemm(true, float_tensor("w", &[1, 1], &[1.0]));
    let progress = Progress::default();
    progress.cancel();
    assert!(NetworkDifference::between(&one, &one, &progress).is_err());
}

/// Gates of ONNX are input, output, forget, cell; those of torch input, forget, cell, output. Of a GRU: update, reset, hidden
/// against reset, update, new (documentation of both operators and of `torch.nn`).
#[test]
fn a_cell_is_compared_with_the_tensors_of_torch_gate_by_gate() {
    let cell = |op: &str, rows: usize, values: &[f32]| {
        let hidden = int_attribute("hidden_size", 1);
        let weights = [("w", 2), ("r", 1)].map(|(name, inputs)| {
            let values = &values[..rows * inputs];
            float_tensor(name, &[1, rows, inputs], values)
        });
        network(
            vec![node(op, "cell", ["x", "w", "r"], ["y"], vec![hidden])],
            weights.to_vec(),
        )
    };
    let lstm = cell("LSTM", 4, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let torch = tensors(vec![
        float_tensor("lstm.weight_ih_l9", &[4, 2], &[1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 3.0, 4.0]),
        float_tensor("lstm.weight_hh_l9", &[4, 1], &[1.0, 3.0, 4.0, 2.0]),
    ]);
    let gru = cell("GRU", 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let torch_gru = tensors(vec![float_tensor(
        "gru.weight_ih_l9",
        &[3, 2],
        &[3.0, 4.0, 1.0, 2.0, 5.0, 6.0],
    )]);
    for (graph, file) in [(&lstm, &torch), (&gru, &torch_gru)] {
        for (one, other) in [(graph, file), (file, graph)] {
            let found = between(one, other);
            assert!(
                found
                    .layers
                    .iter()
                    .all(|layer| layer.weights.as_ref().is_ok_and(WeightDifference::is_equal))
            );
            assert_eq!(found.layers.len(), file.layers.len());
        }
    }
}
