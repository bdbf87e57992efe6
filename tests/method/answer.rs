//! Which output counts, and sequences whose steps come first.

use crate::common::graph::{floats, model, network, typed};
use ndarray::Array3;
use ndarray_npy::WriteNpyExt;
use splitscope::data::{DataOptions, Dataset};
use splitscope::inference::{Engine, Rten, answering, run_outputs, skipped_outputs};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, int_attribute, node};
use splitscope::onnx::schema::{data_type, tensor_shape_proto};
use splitscope::onnx::{ValueInfoProto, encode};
use splitscope::progress::Progress;

fn engine(network: &Network) -> Rten {
    Rten::load(encode(&network.runnable_model()).unwrap()).unwrap()
}

/// A classifier that gives the class first, then the scores and twice the scores.
fn classifier() -> Network {
    let weights: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
    let nodes = vec![
        node("MatMul", "fc", ["x", "w"], ["scores"], vec![]),
        node(
            "ArgMax",
            "best",
            ["scores"],
            ["label"],
            vec![int_attribute("axis", 1), int_attribute("keepdims", 0)],
        ),
        node("Add", "twice", ["scores", "scores"], ["doubled"], vec![]),
    ];
    let outputs = vec![
        typed("label", data_type::INT64, &[0]),
        floats("scores", &[0, 4]),
        floats("doubled", &[0, 4]),
    ];
    let parts = (nodes, vec![float_tensor("w", &[3, 4], &weights)]);
    network(model(13, parts, vec![floats("x", &[0, 3])], outputs))
}

#[test]
fn integers_are_skipped_and_a_choice_is_kept_or_refused_by_name() {
    let network = classifier();
    let engine = engine(&network);
    let data = || Dataset::noise(&network, &engine, 6, 3).unwrap();
    let progress = Progress::default();
    let scores = run_outputs(&engine, &data(), 6, &progress).unwrap();
    assert_eq!((scores.classes, scores.classification), (4, true));
    let said = skipped_outputs(&engine, &data()).unwrap();
    assert!(said.contains("'scores'") && said.contains("'label'"), "{said}");

    let chosen = data().judged_by(Some("doubled".to_owned()));
    let doubled = run_outputs(&engine, &chosen, 6, &progress).unwrap();
    let twice: Vec<f32> = scores.logits.iter().map(|x| x + x).collect();
    assert_eq!(doubled.logits, twice);
    assert_eq!(skipped_outputs(&engine, &chosen), None);

    for (name, wanted) in [("absent", "no output 'absent'"), ("label", "holds integers")] {
        let error = answering(&engine, &data().judged_by(Some(name.to_owned())))
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted) && error.contains("doubled"), "{error}");
    }
}

/// `[seq, batch, 3]` to `[seq, batch, 2]`, a sum over the steps so far in each sequence.
fn sequences() -> Network {
    let name = |value: ValueInfoProto, names: [&str; 2]| {
        let mut value = value;
        let shape = value.r#type.as_mut().and_then(|of| match of.value.as_mut() {
            Some(splitscope::onnx::schema::type_proto::Value::TensorType(tensor)) => tensor.shape.as_mut(),
            _ => None,
        });
        for (dimension, name) in shape.unwrap().dim.iter_mut().zip(names) {
            dimension.value = Some(tensor_shape_proto::Value::DimParam(name.to_owned()));
        }
        value
    };
    let nodes = vec![node("MatMul", "fc", ["x", "w"], ["y"], vec![])];
    let parts = (
        nodes,
        vec![float_tensor("w", &[3, 2], &[1.0, -1.0, 0.5, 0.0, 0.25, 2.0])],
    );
    let input = name(floats("x", &[0, 0, 3]), ["seq_len", "batch"]);
    let output = name(floats("y", &[0, 0, 2]), ["seq_len", "batch"]);
    network(model(13, parts, vec![input], vec![output]))
}

#[test]
fn sequences_with_their_steps_first_are_samples_of_the_second_axis() {
    let network = sequences();
    let engine = engine(&network);
    let x = Array3::from_shape_fn((7, 30, 3), |(step, sample, feature)| {
        (step * 90 + sample * 3 + feature) as f32
    });
    let mut bytes = Vec::new();
    x.write_npy(&mut bytes).unwrap();
    let data = Dataset::from_bytes("x.npy", bytes, &DataOptions::default(), engine.inputs()).unwrap();
    assert_eq!(data.len(), 30, "30 sequences of 7 steps");
    let outputs = run_outputs(&engine, &data, 30, &Progress::default()).unwrap();
    assert_eq!(
        (outputs.samples, outputs.classes, outputs.classification),
        (30, 14, false)
    );
    for sample in [0, 11, 12, 29] {
        for step in 0..7 {
            let at = |feature: usize| x[(step, sample, feature)];
            let expected = [at(0) + 0.5 * at(1) + 0.25 * at(2), -at(0) + 2.0 * at(2)];
            assert_eq!(
                outputs.row(sample)[step * 2..][..2],
                expected,
                "sample {sample}, step {step}"
            );
        }
    }
    // Noise lies so too.
    let noise = Dataset::noise(&network, &engine, 5, 1).unwrap();
    let batch = noise.batch(0..5).unwrap();
    assert_eq!(batch[0].1.shape()[1..], [5, 3]);
}
