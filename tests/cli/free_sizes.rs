//! Networks that leave sizes free, without data: sizes are tried until the network runs, and the ones that were used are told.
//! Data that hold values which are no numbers are told too.

use super::command_line::{splitscope, stderr, stdout, succeeds};
use crate::common::graph::{floats, model};
use serde_json::Value;
use splitscope::onnx::build::{Axis, float_tensor, i64_tensor, int_attribute, ints_attribute, node, value_info};
use splitscope::onnx::encode;
use splitscope::onnx::schema::data_type;
use std::path::Path;

/// A convolution, an average over `window`, which pictures (or sequences) shorter than it do not have, and a matrix product.
fn pooling(folder: &Path, name: &str, x: &[i64], window: &[i64]) -> String {
    let channels = x[1] as usize;
    let (kernel, axes) = (vec![1_usize; window.len()], window.len());
    let weight: Vec<f32> = (0..4 * channels).map(|i| (i as f32 * 0.7).sin()).collect();
    let matrix: Vec<f32> = (0..16).map(|i| (i as f32 * 0.9).cos()).collect();
    let shape = [&[4, channels], &kernel[..]].concat();
    let nodes = vec![
        node("Conv", "c", ["x", "w"], ["t"], vec![]),
        node(
            "AveragePool",
            "p",
            ["t"],
            ["u"],
            vec![
                ints_attribute("kernel_shape", window.to_vec()),
                ints_attribute("strides", vec![8; axes]),
            ],
        ),
        node("GlobalAveragePool", "g", ["u"], ["v"], vec![]),
        node("Flatten", "f", ["v"], ["z"], vec![int_attribute("axis", 1)]),
        node("MatMul", "m", ["z", "k"], ["y"], vec![]),
    ];
    let file = model(
        17,
        (
            nodes,
            vec![float_tensor("w", &shape, &weight), float_tensor("k", &[4, 4], &matrix)],
        ),
        vec![floats("x", x)],
        vec![floats("y", &[0, 4])],
    );
    let path = folder.join(name).display().to_string();
    std::fs::write(&path, encode(&file).unwrap()).unwrap();
    path
}

/// The last axis (free: 0) must be as long as the window: 300 pixels of a line of text, 3000 frames of speech, 16 000 numbers of
/// a sound. What is usual, 224 pixels and 1 or 32 steps, is too small.
#[test]
fn sizes_are_tried_until_the_network_runs_and_the_one_that_was_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (name, x, window, used) in [
        ("text.onnx", &[1, 3, 48, 0][..], &[8, 300][..], "1 x 3 x 48 x 320"),
        ("speech.onnx", &[1, 80, 0], &[2000], "1 x 80 x 3000"),
        ("sound.onnx", &[1, 1, 0], &[10_000], "1 x 1 x 16000"),
    ] {
        let path = pooling(folder.path(), name, x, window);
        let shown = succeeds(&["sweep", &path, "--weight-bits", "4"]);
        assert!(shown.contains(&format!("'x' is {used}")), "{name}: {shown}");
        let json: Value = serde_json::from_str(&succeeds(&["sweep", &path, "--weight-bits", "4", "--json"])).unwrap();
        let notes = json["notes"].as_array().unwrap();
        assert!(
            notes.iter().any(|note| note.as_str().unwrap().contains(used)),
            "{name}: {json}"
        );

        let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
        let (out, report) = (out.display().to_string(), report.display().to_string());
        let words = [
            "quantize",
            &path,
            "--weight-bits",
            "4",
            "--activation-bits",
            "8",
            "--data-free",
            "-o",
            &out,
            "--report",
            &report,
        ];
        let output = splitscope(&words);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(&format!("'x' is {used}")),
            "{name}: {}",
            stderr(&output)
        );
        let json: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        let shape: Vec<String> = (json["noise_inputs"][0]["shape"].as_array().unwrap().iter())
            .map(Value::to_string)
            .collect();
        assert_eq!(
            (json["noise_inputs"][0]["name"].as_str(), shape.join(" x ")),
            (Some("x"), used.to_owned()),
            "{name}"
        );
        std::fs::remove_file(out).unwrap();
    }
}

/// Where no size runs, the reason is that of the usual size.
#[test]
fn a_network_that_no_size_fits_is_refused_with_the_usual_sizes_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = pooling(folder.path(), "endless.onnx", &[1, 3, 48, 0], &[8, 100_000]);
    let output = splitscope(&["sweep", &path, "--weight-bits", "4"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("sizes of the axes that its inputs leave free were tried"),
        "{}",
        stderr(&output)
    );
}

/// A `.npy` of floats (numpy.lib.format, version 1).
pub(crate) fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let sizes: Vec<String> = shape.iter().map(|size| format!("{size},")).collect();
    let header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}\n",
        sizes.join(" ")
    );
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Values that are no finite numbers are counted, with the first one's place; an array of nothing else is refused by name.
#[test]
fn values_that_are_no_numbers_are_counted_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.npy");
    let mut values: Vec<f32> = (0..20 * 784).map(|i| (i as f32 * 0.3).sin()).collect();
    values[784 * 3 + 28 * 2 + 5] = f32::NAN;
    values[784 * 3 + 28 * 2 + 6] = f32::INFINITY;
    values[784 * 7] = f32::NEG_INFINITY;
    std::fs::write(&data, npy(&[20, 1, 28, 28], &values)).unwrap();
    let path = data.display().to_string();
    let words = ["evaluate", "demo:fashion", "--data", &path, "--weight-bits", "4"];
    let shown = splitscope(&words);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let told = "3 of 15680 values in 2 samples are no finite numbers; the first is NaN at [3, 0, 2, 5]";
    assert!(
        stdout(&shown).contains(told) && stdout(&shown).contains("data.npy"),
        "{}",
        stdout(&shown)
    );
    let json = splitscope(&[&words[..], &["--json"]].concat());
    assert!(stdout(&json).contains(told), "{}", stdout(&json));
    // As calibration data they are told too.
    let words = [
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "20",
        "--calibration",
        &path,
        "--activation-bits",
        "8",
    ];
    let shown = splitscope(&words);
    assert!(stderr(&shown).contains(told), "{}", stderr(&shown));

    std::fs::write(&data, npy(&[20, 1, 28, 28], &vec![f32::NAN; 20 * 784])).unwrap();
    let output = splitscope(&["evaluate", "demo:fashion", "--data", &path, "--weight-bits", "4"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("data.npy") && stderr(&output).contains("none of its 15680 values"),
        "{}",
        stderr(&output)
    );
}

/// A picture and a mask of its pixels, of free sizes that have the same names in both.
#[test]
fn axes_of_one_name_are_equally_long_in_both_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let weight: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
    let matrix: Vec<f32> = (0..16).map(|i| (i as f32 * 0.9).cos()).collect();
    let nodes = vec![
        node("Conv", "c", ["image", "w"], ["t"], vec![]),
        node("Unsqueeze", "u", ["mask", "one"], ["m"], vec![]),
        node("Mul", "p", ["t", "m"], ["s"], vec![]),
        node("GlobalAveragePool", "g", ["s"], ["v"], vec![]),
        node("Flatten", "f", ["v"], ["z"], vec![int_attribute("axis", 1)]),
        node("MatMul", "m", ["z", "k"], ["y"], vec![]),
    ];
    let constants = vec![
        float_tensor("w", &[4, 3, 1, 1], &weight),
        i64_tensor("one", &[1], &[1]),
        float_tensor("k", &[4, 4], &matrix),
    ];
    let [batch, height, width] = ["batch", "height", "width"].map(Axis::Free);
    let inputs = vec![
        value_info(
            "image",
            data_type::FLOAT,
            &[batch.clone(), Axis::Size(3), height.clone(), width.clone()],
        ),
        value_info("mask", data_type::FLOAT, &[batch, height, width]),
    ];
    let file = model(17, (nodes, constants), inputs, vec![floats("y", &[0, 4])]);
    let path = folder.path().join("masked.onnx").display().to_string();
    std::fs::write(&path, encode(&file).unwrap()).unwrap();
    let swept = succeeds(&["sweep", &path, "--weight-bits", "4"]);
    for used in ["'image' is 1 x 3 x 224 x 224", "'mask' is 1 x 224 x 224"] {
        assert!(swept.contains(used), "{used}: {swept}");
    }
    let out = folder.path().join("out.onnx").display().to_string();
    let words = [
        "quantize",
        &path,
        "--weight-bits",
        "4",
        "--activation-bits",
        "8",
        "--data-free",
        "-o",
        &out,
    ];
    let output = splitscope(&words);
    let told = stderr(&output);
    assert!(
        output.status.success() && told.contains("'mask' is 1 x 224 x 224"),
        "{told}"
    );
}

/// On a single step a network remembers nothing: quantizing its recurrent weights would seem to cost nothing. One number for each
/// sample beside a sequence is its length: with 0 everything would be masked.
#[test]
fn sequences_without_data_have_several_steps_and_their_length() {
    let folder = tempfile::tempdir().unwrap();
    let wave = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
    let nodes = vec![
        node(
            "LSTM",
            "lstm",
            ["x", "w", "r", "", "lengths"],
            ["", "h"],
            vec![int_attribute("hidden_size", 6)],
        ),
        node("Squeeze", "s", ["h", "axis"], ["last"], vec![]),
        node("MatMul", "m", ["last", "k"], ["y"], vec![]),
    ];
    let weights = vec![
        float_tensor("w", &[1, 24, 5], &wave(120, 0.7)),
        float_tensor("r", &[1, 24, 6], &wave(144, 0.9)),
        float_tensor("k", &[6, 3], &wave(18, 1.1)),
        i64_tensor("axis", &[1], &[0]),
    ];
    let axes = [Axis::Free("time"), Axis::Free("batch"), Axis::Size(5)];
    let inputs = vec![
        value_info("x", data_type::FLOAT, &axes),
        value_info("lengths", data_type::INT32, &axes[1..2]),
    ];
    let file = model(17, (nodes, weights), inputs, vec![floats("y", &[0, 3])]);
    let path = folder.path().join("lstm.onnx").display().to_string();
    std::fs::write(&path, encode(&file).unwrap()).unwrap();
    let shown = succeeds(&["sensitivity", &path, "--weight-bits", "4"]);
    assert!(shown.contains("lstm/R") && !shown.contains(" inf "), "{shown}");
    assert!(!shown.contains("without effect"), "{shown}");
}

/// Where nothing that a layer does reaches the outputs, it says so instead of looking perfect.
#[test]
fn layers_that_reach_no_output_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let wave = |step: f32| (0..16).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
    let nodes = vec![
        node("MatMul", "seen", ["x", "a"], ["t"], vec![]),
        node("MatMul", "unseen", ["x", "b"], ["u"], vec![]),
        node("Mul", "off", ["u", "zero"], ["v"], vec![]),
        node("Add", "sum", ["t", "v"], ["y"], vec![]),
    ];
    let weights = vec![
        float_tensor("a", &[4, 4], &wave(0.7)),
        float_tensor("b", &[4, 4], &wave(0.9)),
        float_tensor("zero", &[1], &[0.0]),
    ];
    let file = model(
        17,
        (nodes, weights),
        vec![floats("x", &[0, 4])],
        vec![floats("y", &[0, 4])],
    );
    let path = folder.path().join("m.onnx").display().to_string();
    std::fs::write(&path, encode(&file).unwrap()).unwrap();
    let shown = succeeds(&["sensitivity", &path, "--weight-bits", "4"]);
    assert!(shown.contains("tell nothing about them: 1 of 2 layers"), "{shown}");
}
