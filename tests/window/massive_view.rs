//! Single numbers that a network hangs on, found and named in *Errors*; sizes that noise was given; a past that only decoders have.

use crate::common::graph::{floats, model};
use crate::harness::{Window, click, open, session, settle, texts};
use egui_kittest::kittest::{NodeT, Queryable};
use splitscope::onnx::build::{float_tensor, node};
use splitscope::onnx::{ModelProto, encode};
use splitscope::session::Action;

fn open_model(model: &ModelProto) -> (tempfile::TempDir, Window) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, encode(model).unwrap()).unwrap();
    let window = open(path.to_str().unwrap());
    (folder, window)
}

/// Two matrix products; one weight of the first is a million times the others.
fn hangs_on_one_weight() -> ModelProto {
    let mut first: Vec<f32> = (0..8 * 16).map(|i| (i as f32 * 0.7).sin()).collect();
    first[3 * 16 + 5] = 1e6;
    let second: Vec<f32> = (0..16 * 4).map(|i| (i as f32 * 0.9).cos()).collect();
    let nodes = vec![
        node("MatMul", "first", ["x", "w1"], ["t"], vec![]),
        node("Relu", "relu", ["t"], ["u"], vec![]),
        node("MatMul", "second", ["u", "w2"], ["y"], vec![]),
    ];
    let weights = vec![
        float_tensor("w1", &[8, 16], &first),
        float_tensor("w2", &[16, 4], &second),
    ];
    model(
        17,
        (nodes, weights),
        vec![floats("x", &[0, 8])],
        vec![floats("y", &[0, 4])],
    )
}

#[test]
fn massive_values_are_found_on_request_and_named() {
    let (_folder, mut window) = open_model(&hangs_on_one_weight());
    click(&mut window, "Errors");
    click(&mut window, "Massive values");
    // Without data there is nothing to run: that is said, and nothing starts.
    click(&mut window, "Look for massive values");
    assert!(session(&window).open().unwrap().massive().is_none());
    window.state_mut().act(Action::UseNoise);
    settle(&mut window);
    click(&mut window, "Look for massive values");
    let massive = session(&window).open().unwrap().massive().unwrap().clone();
    assert_eq!(
        (massive.found.activations_found, massive.found.super_weights_found),
        (1, 1)
    );
    let weight = &massive.found.super_weights[0];
    assert_eq!((weight.output_channel, weight.input_channel), (5, 3));
    for shown in ["1 massive activation", "1 super weight", "5, 3"] {
        assert_eq!(texts(&window, shown).len(), 1, "{shown}");
    }
    let without = weight.without.as_ref().unwrap().sqnr_db.unwrap();
    let shown = format!("{without:.1} dB");
    assert!(!texts(&window, &shown).is_empty(), "{shown}");
    // Its layer is one click away.
    window.state_mut().act(Action::SelectLayer(1));
    settle(&mut window);
    let layers = window.get_all_by_label("Look at first").collect::<Vec<_>>();
    layers.last().unwrap().click();
    settle(&mut window);
    assert_eq!(session(&window).open().unwrap().selected(), 0);
}

#[test]
fn only_a_decoder_can_be_exported_with_its_past() {
    let mut window = open("demo:fashion");
    click(&mut window, "Export ▾");
    let is_disabled = |label: &str| window.get_by_label_contains(label).accesskit_node().is_disabled();
    assert!(is_disabled("ONNX graph with past…"));
    assert!(!is_disabled("Report…"));
}

/// A free axis that must be longer than what is usual: the size that noise was given is told beside the range.
#[test]
fn the_size_that_noise_was_given_is_told_beside_the_range() {
    use splitscope::onnx::build::{int_attribute, ints_attribute};
    let weight: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
    let matrix: Vec<f32> = (0..16).map(|i| (i as f32 * 0.9).cos()).collect();
    let pool = vec![
        ints_attribute("kernel_shape", vec![8, 300]),
        ints_attribute("strides", vec![8, 8]),
    ];
    let nodes = vec![
        node("Conv", "c", ["x", "w"], ["t"], vec![]),
        node("AveragePool", "p", ["t"], ["u"], pool),
        node("GlobalAveragePool", "g", ["u"], ["v"], vec![]),
        node("Flatten", "f", ["v"], ["z"], vec![int_attribute("axis", 1)]),
        node("MatMul", "m", ["z", "k"], ["y"], vec![]),
    ];
    let weights = vec![
        float_tensor("w", &[4, 3, 1, 1], &weight),
        float_tensor("k", &[4, 4], &matrix),
    ];
    let inputs = vec![floats("x", &[1, 3, 48, 0])];
    let made = model(17, (nodes, weights), inputs, vec![floats("y", &[0, 4])]);
    let (_folder, mut window) = open_model(&made);
    window.state_mut().act(Action::SelectLayer(1));
    window.state_mut().act(Action::ShowActivations);
    click(&mut window, "Activations");
    assert_eq!(texts(&window, "'x' is 1 x 3 x 48 x 320").len(), 1);
}
