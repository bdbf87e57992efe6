//! The program from outside: exit status, one line for any fault, the JSON that scripts rely on.

mod auto;
mod continuation;
mod engines;
mod faults;
mod float;
mod many;
mod massive;
mod numbers;
mod quantize;
mod recipes;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const FASHION: &[u8] = include_bytes!("../../assets/fashion_resnet.onnx");

pub(crate) fn splitscope(words: &[&str]) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(words)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output();
    program.unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard output of a run that must succeed and say nothing else.
pub(crate) fn succeeds(words: &[&str]) -> String {
    let output = splitscope(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
    assert_eq!(stderr(&output), "", "{words:?}");
    stdout(&output)
}

/// The one line of a run that must fail with status 1.
fn fails(words: &[&str]) -> String {
    let output = splitscope(words);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{words:?}: {line}");
    assert!(line.starts_with("splitscope: error: "), "{words:?}: {line}");
    assert!(
        !line.contains("panicked") && !line.contains("internal fault"),
        "{words:?}: {line}"
    );
    assert_eq!(stdout(&output), "", "{words:?}");
    line
}

/// What a run says that must be refused as wrong usage.
fn refused(words: &[&str]) -> String {
    let output = splitscope(words);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "{words:?}");
    stderr(&output)
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with the demo network as a file.
fn folder_with_model() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.onnx");
    std::fs::write(&model, FASHION).unwrap();
    (folder, model)
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn help_and_version_go_to_standard_output() {
    for words in [
        &["--help"][..],
        &["inspect", "--help"],
        &["quantize", "--help"],
        &["evaluate", "--help"],
        &["sensitivity", "--help"],
        &["trace", "--help"],
        &["cure", "--help"],
        &["massive", "--help"],
        &["sweep", "--help"],
        &["auto", "--help"],
        &["check", "--help"],
    ] {
        assert!(succeeds(words).contains("Usage: splitscope"), "{words:?}");
    }
    assert!(succeeds(&["--version"]).starts_with("splitscope "));
}

#[test]
fn wrong_usage_is_refused_before_any_work() {
    let lines: [&[&str]; 13] = [
        &["inspect"],
        &["inspect", "demo:fashion", "--sigma", "0"],
        &["inspect", "demo:fashion", "--weight-bits", "4"],
        &["inspect", "demo:fashion", "--curves", "conv1", "--data", "demo:fashion"],
        &["quantize", "demo:fashion"],
        &["quantize", "demo:fashion", "-o", "out.pt"],
        &["quantize", "demo:fashion", "-o", "out.onnx", "--weight-bits", "9"],
        &["quantize", "demo:fashion", "-o", "out.onnx", "--expand-ratio", "1.5"],
        &[
            "quantize",
            "demo:fashion",
            "-o",
            "out.onnx",
            "--preset",
            "paper",
            "--recipe",
            "r.toml",
        ],
        &["quantize", "demo:fashion", "-o", "out.onnx", "--clip", "mes"],
        &[
            "quantize",
            "demo:fashion",
            "-o",
            "out.onnx",
            "--activation-clip",
            "percentile:101",
        ],
        &["evaluate", "demo:fashion"],
        &["evaluate", "demo:fashion", "--data", "demo:fashion", "--limit", "0"],
    ];
    for words in lines {
        refused(words);
    }
}

#[test]
fn inspect_has_the_fields_that_scripts_rely_on() {
    let report = json(&succeeds(&["inspect", "demo:fashion", "--json"]));
    assert_eq!(report["model"]["path"], "demo:fashion");
    assert_eq!(report["model"]["format"], "onnx");
    assert!(report["model"]["parameters"].as_u64().unwrap() > 270_000);
    assert!(report["model"]["nodes"].as_u64().unwrap() > 22);
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(
        layers.len(),
        22,
        "19 convolutions of 3x3, two shortcuts, the classifier"
    );
    let conv = layers.iter().find(|layer| layer["name"] == "layer1.0.conv1").unwrap();
    assert_eq!(conv["op"], "Conv");
    assert_eq!(conv["shape"], serde_json::json!([16, 16, 3, 3]));
    assert_eq!(conv["parameters"], 2304);
    assert_eq!(conv["in_channels"], 16);
    assert_eq!(conv["splittable"], true);
    assert!(conv["why_not"].is_null());
    assert_eq!(conv["channel_max_abs"].as_array().unwrap().len(), 16);
    let number = |field: &str| conv[field].as_f64().unwrap();
    assert_eq!(number("max_abs"), number("max").abs().max(number("min").abs()));
    assert!(number("std") > 0.0 && number("mean").abs() < number("std") && number("kurtosis") > 1.0);
    assert_eq!((conv["nan"].as_u64(), conv["infinite"].as_u64()), (Some(0), Some(0)));
    for field in ["weight", "outliers"] {
        assert!(!conv[field].is_null(), "{field}");
    }
}

#[test]
fn a_larger_sigma_leaves_fewer_outliers() {
    let outliers = |sigma| {
        let report = json(&succeeds(&["inspect", "demo:shakespeare", "--json", "--sigma", sigma]));
        let layers = report["layers"].as_array().unwrap();
        layers
            .iter()
            .map(|layer| layer["outliers"].as_u64().unwrap())
            .sum::<u64>()
    };
    let (few, many) = (outliers("6"), outliers("3"));
    assert!(few > 0 && many > few, "{few} {many}");
}

#[test]
fn inspect_with_data_tells_the_range_of_each_layers_input() {
    let words = [
        "inspect",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "32",
        "--json",
    ];
    let report = json(&succeeds(&words));
    let layers = report["layers"].as_array().unwrap();
    let first = layers.iter().find(|layer| layer["name"] == "conv1").unwrap();
    let least = first["activation"]["min"].as_f64().unwrap();
    assert!((least - (0.0 - 0.2860) / 0.3530).abs() < 1e-4, "black pixels: {least}");
    assert!(layers.iter().all(|layer| layer["activation"]["max"].as_f64().is_some()));
}

#[test]
fn evaluate_has_the_fields_that_scripts_rely_on() {
    let words = [
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "100",
        "--weight-bits",
        "8",
        "--json",
    ];
    let report = json(&succeeds(&words));
    assert_eq!(report["samples"], 100);
    for network in ["float", "quantized"] {
        let top1 = report[network]["top1"].as_f64().unwrap();
        let top5 = report[network]["top5"].as_f64().unwrap();
        assert!(top1 > 0.85 && top5 >= top1 && top5 <= 1.0, "{network}: {top1} {top5}");
        assert!(report[network].get("perplexity").is_none());
    }
    assert!(report["agreement"].as_f64().unwrap() > 0.95);
    assert!(report["sqnr_db"].as_f64().unwrap() > 15.0);
}

#[test]
fn evaluate_tells_an_interval_and_what_the_splits_change_by_themselves() {
    let words = ["evaluate", "demo:fashion", "--data", "demo:fashion", "--limit", "100"];
    let words = [&words[..], &["--weight-bits", "4", "--expand-ratio", "0.05"]].concat();
    let report = json(&succeeds(&[&words[..], &["--json"]].concat()));
    let top1 = report["quantized"]["top1"].as_f64().unwrap();
    let interval = report["quantized"]["top1_interval"].as_array().unwrap();
    assert!(interval[0].as_f64().unwrap() < top1 && top1 < interval[1].as_f64().unwrap());
    let split = &report["split_only"];
    assert_eq!(
        (&split["samples"], &split["agreement"]),
        (&Value::from(64), &Value::from(1.0))
    );
    assert!(split["max_abs_difference"].as_f64().unwrap() < 1e-4, "{split}");
    assert!(split["relative_difference"].as_f64().unwrap() < 1e-5, "{split}");
    let table = succeeds(&words);
    assert!(
        table.contains("splits alone") && table.contains("first 64 samples"),
        "{table}"
    );
    assert!(table.contains("95 % interval"), "{table}");
}

#[test]
fn evaluate_says_that_a_network_only_guesses_and_how_its_pictures_may_be_read() {
    let wrong = [
        "--preprocess",
        "unit",
        "--mean",
        "50",
        "--std",
        "0.001",
        "--limit",
        "100",
    ];
    let words = [&["evaluate", "demo:fashion", "--data", "demo:fashion"][..], &wrong].concat();
    let text = succeeds(&words);
    assert!(text.contains("no better than guessing (10.0 %)"), "{text}");
    assert!(text.contains("try --preprocess fashion ("), "{text}");
    let report = json(&succeeds(&[&words[..], &["--json"]].concat()));
    assert_eq!(report["at_chance"]["chance"], 0.1);
    assert_eq!(report["at_chance"]["suggestions"][0]["preprocess"], "fashion");
    let fine = json(&succeeds(&[
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "50",
        "--json",
    ]));
    assert!(fine.get("at_chance").is_none());
}
