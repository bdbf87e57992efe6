//! Two networks side by side, from outside: an export beside its original differs as the report of `quantize` says.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn asset(name: &str) -> String {
    format!("{}/assets/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn run(words: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_splitscope"));
    program.args(words).env_remove("RUST_LOG").stdin(Stdio::null());
    program.output().unwrap()
}

fn succeeds(words: &[&str]) -> String {
    let output = run(words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn diff(one: &str, other: &str, more: &[&str]) -> Value {
    json(&succeeds(&[&["diff", one, other, "--json"], more].concat()))
}

fn layers(report: &Value) -> &[Value] {
    report["layers"].as_array().unwrap()
}

/// Quantizes `model` and compares the export with it: for each layer the SQNR must be the report's to a thousandth of a decibel,
/// and float layers must be equal. Returns the comparison.
fn export_differs_as_reported(model: &str, file: &str, flags: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (export, report): (PathBuf, PathBuf) = (folder.path().join(file), folder.path().join("report.json"));
    let (export, report_path) = (export.to_str().unwrap(), report.to_str().unwrap());
    succeeds(&[&["quantize", model, "-o", export, "--report", report_path], flags].concat());
    let reported = json(&std::fs::read_to_string(&report).unwrap());
    let found = diff(model, export, &[]);
    assert_eq!(found["only_in_one"], Value::Array(vec![]), "{flags:?}");
    assert_eq!(found["only_in_other"], Value::Array(vec![]), "{flags:?}");
    assert_eq!(layers(&found).len(), layers(&reported).len(), "{flags:?}");
    for (found, reported) in layers(&found).iter().zip(layers(&reported)) {
        let name = reported["name"].as_str().unwrap();
        assert_eq!(found["why_not_compared"], Value::Null, "{flags:?} {name}");
        let said = |report: &Value, key: &str| report[key].as_f64();
        match said(reported, "sqnr_db") {
            Some(sqnr_db) => {
                let seen = said(found, "sqnr_db").unwrap_or(f64::INFINITY);
                assert!(
                    (seen - sqnr_db).abs() < 1e-3,
                    "{flags:?} {name}: {seen} dB, reported {sqnr_db}"
                );
                let (mse, expected) = (said(found, "mse").unwrap(), said(reported, "mse").unwrap());
                assert!(
                    (mse - expected).abs() <= 1e-4 * expected,
                    "{flags:?} {name}: {mse} {expected}"
                );
            }
            None => assert_eq!(found["equal"], true, "{flags:?} {name}"),
        }
    }
    found
}

const THREE_BITS: [&str; 7] = [
    "--fold-batch-norm",
    "--float-layer",
    "conv1",
    "--weight-bits",
    "3",
    "--expand-ratio",
    "0.05",
];

#[test]
fn an_onnx_export_differs_as_its_report_says() {
    let found = export_differs_as_reported("demo:fashion", "out.onnx", &THREE_BITS);
    assert!(
        found["notes"][0].as_str().unwrap().contains("folded"),
        "it says that the original was folded"
    );
    let copies: u64 = layers(&found)
        .iter()
        .map(|layer| layer["other"]["copies"].as_u64().unwrap())
        .sum();
    assert!(copies > 20, "{copies} copies were added up");
    // Without folding the weights are others.
    let not_folded = ["--no-fold-batch-norm", "--weight-bits", "4", "--clip", "mse"];
    export_differs_as_reported("demo:fashion", "out.onnx", &not_folded);
}

#[test]
fn so_does_one_with_scales_for_each_channel_and_split_activations() {
    let flags = [
        "--fold-batch-norm",
        "--weight-bits",
        "4",
        "--expand-ratio",
        "0.05",
        "--per-channel",
        "--activation-bits",
        "8",
        "--activation-expand-ratio",
        "0.05",
    ];
    export_differs_as_reported("demo:fashion", "out.onnx", &flags);
}

#[test]
fn so_does_one_whose_copies_the_layers_before_make() {
    let flags = [&THREE_BITS[..], &["--split-export", "widen"]].concat();
    export_differs_as_reported("demo:fashion", "out.onnx", &flags);
}

#[test]
fn so_does_one_of_a_recurrent_network_with_split_hidden_units() {
    let flags = ["--weight-bits", "4", "--expand-ratio", "0.05"];
    let found = export_differs_as_reported("demo:shakespeare", "out.onnx", &flags);
    let recurrent = layers(&found)
        .iter()
        .filter(|layer| layer["one"]["name"].as_str().unwrap().ends_with("/R"));
    assert!(
        recurrent
            .map(|layer| layer["other"]["copies"].as_u64().unwrap())
            .sum::<u64>()
            > 0
    );
}

#[test]
fn so_does_a_safetensors_export() {
    let flags = ["--weight-bits", "3", "--expand-ratio", "0.05", "--no-fold-batch-norm"];
    export_differs_as_reported("demo:fashion", "out.safetensors", &flags);
}

#[test]
fn the_same_network_in_two_formats_is_equal_and_so_is_a_network_to_itself() {
    for demo in ["fashion_resnet", "shakespeare_lstm"] {
        let (onnx, safetensors) = (asset(&format!("{demo}.onnx")), asset(&format!("{demo}.safetensors")));
        for (one, other) in [(&safetensors, &onnx), (&onnx, &safetensors), (&onnx, &onnx)] {
            let found = diff(one, other, &[]);
            assert!(layers(&found).len() >= 4, "{one} {other}");
            let common = layers(&found).iter().filter(|layer| layer["max_abs"] == 0.0).count();
            assert_eq!(common, layers(&found).len(), "{one} {other}: {found:#}");
        }
    }
}

#[test]
fn with_data_the_answers_are_compared_as_evaluate_does() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("out.onnx");
    let export = export.to_str().unwrap();
    succeeds(&[&["quantize", "demo:fashion", "-o", export], &THREE_BITS[..]].concat());
    let data = ["--data", "demo:fashion", "--limit", "100"];
    let found = diff("demo:fashion", export, &data);
    let evaluated = json(&succeeds(
        &[&["evaluate", "demo:fashion", "--json"], &data[..], &THREE_BITS[..]].concat(),
    ));
    for key in ["samples", "agreement"] {
        assert_eq!(found["outputs"][key], evaluated[key]);
    }
    assert_eq!(found["outputs"]["quantized"]["top1"], evaluated["quantized"]["top1"]);
    let shown = succeeds(&[&["diff", "demo:fashion", export], &data[..]].concat());
    assert!(shown.contains("100 samples: same first answer"), "{shown}");
}

#[test]
fn the_table_begins_with_the_worst_layer_and_says_what_is_equal() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("out.onnx");
    let export = export.to_str().unwrap();
    succeeds(&[&["quantize", "demo:fashion", "-o", export], &THREE_BITS[..]].concat());
    let shown = succeeds(&["diff", "demo:fashion", export]);
    assert!(shown.contains("21 layers differ, 1 are equal"), "{shown}");
    let rows: Vec<&str> = shown
        .lines()
        .skip_while(|line| !line.starts_with("layer "))
        .skip(1)
        .collect();
    let decibels: Vec<f64> = (rows.iter().take(21))
        .map(|row| row.split_whitespace().rev().nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(decibels.is_sorted(), "{decibels:?}");
    assert!(rows[21].contains("equal"), "{}", rows[21]);
    // As they are in the files, nearly all weights differ by the folding too.
    let raw = diff("demo:fashion", export, &["--as-is"]);
    assert_eq!(raw["notes"], Value::Array(vec![]));
}

#[test]
fn networks_without_a_common_layer_are_refused_in_one_line() {
    let output = run(&["diff", "demo:fashion", "demo:shakespeare"]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(
        line.contains("no layer in common") && line.lines().count() == 1,
        "{line}"
    );
    let absent = Path::new("/absent/model.onnx").to_str().unwrap();
    assert_eq!(run(&["diff", absent, "demo:fashion"]).status.code(), Some(1));
}
