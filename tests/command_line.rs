//! The program from outside: exit status, one line for any fault, the JSON that scripts rely on.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const FASHION: &[u8] = include_bytes!("../assets/fashion_resnet.onnx");

fn splitscope(words: &[&str]) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(words)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output();
    program.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard output of a run that must succeed and say nothing else.
fn succeeds(words: &[&str]) -> String {
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

fn json(text: &str) -> Value {
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
        &["sweep", "--help"],
        &["auto", "--help"],
    ] {
        assert!(succeeds(words).contains("Usage: splitscope"), "{words:?}");
    }
    assert!(succeeds(&["--version"]).starts_with("splitscope "));
}

#[test]
fn copies_are_made_by_gather_or_by_the_layer_before_and_the_report_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    let quantize = |how: &str| {
        let mut words = vec![
            "quantize",
            "demo:fashion",
            "--expand-ratio",
            "0.05",
            "--split-export",
            how,
        ];
        words.extend(["-o", out.to_str().unwrap(), "--report", report.to_str().unwrap()]);
        let said = succeeds(&words);
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(report["recipe"]["split_export"], how);
        (said, report)
    };
    let (said, gather) = quantize("gather");
    assert!(said.contains("by Gather") && !said.contains("wider layer"), "{said}");
    let (said, widen) = quantize("widen");
    assert!(said.contains("copies: 9 layers by a wider layer before"), "{said}");
    let copies = |report: &serde_json::Value, field: &str| report["overhead"]["copies"][field].clone();
    assert_eq!(
        (copies(&gather, "widened"), copies(&gather, "widened_macs")),
        (0.into(), 0.into())
    );
    assert!(copies(&widen, "widened_macs").as_u64() > Some(0));
    let layer = |report: &serde_json::Value| {
        let layers = report["layers"].as_array().unwrap().iter();
        layers.clone().find(|layer| layer["name"] == "layer1.0.conv2").unwrap()["copies"].clone()
    };
    assert_eq!(
        (&layer(&gather)["by"], &layer(&widen)["by"]),
        (&"gather".into(), &"widen".into())
    );
    assert_eq!(layer(&widen)["producer"], "layer1.0.conv1");
    assert!(
        refused(&[
            "evaluate",
            "demo:fashion",
            "--data",
            "demo:fashion",
            "--split-export",
            "x"
        ])
        .contains("gather")
    );
}

#[test]
fn activations_are_split_only_where_they_are_on_a_grid() {
    let folder = tempfile::tempdir().unwrap();
    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    let words = [
        "quantize",
        "demo:fashion",
        "-o",
        text(&out),
        "--activation-expand-ratio",
        "0.05",
    ];
    let said = refused(&words);
    assert!(said.contains("--activation-bits"), "{said}");
    assert!(names_in(folder.path()).is_empty());
    let more = [
        "--activation-bits",
        "5",
        "--calibration-limit",
        "50",
        "--report",
        text(&report),
    ];
    succeeds(&[&words[..], &more].concat());
    let evaluate = [
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "50",
        "--oracle-ocs",
        "--json",
    ];
    assert!(refused(&[&evaluate[..], &["--activation-bits", "4"]].concat()).contains("--activation-expand-ratio"));
    let split = [
        "--activation-bits",
        "4",
        "--activation-expand-ratio",
        "0.1",
        "--calibration-limit",
        "50",
    ];
    let evaluation = json(&succeeds(&[&evaluate[..], &split].concat()));
    // Grids that fit each batch beat those of the calibration.
    let sqnr = |of: &Value| of["sqnr_db"].as_f64().unwrap();
    assert!(sqnr(&evaluation["oracle"]) > sqnr(&evaluation), "{evaluation}");
    assert!(evaluation["oracle"]["top1"].as_f64().unwrap() > 0.8, "{evaluation}");
    let report = json(&std::fs::read_to_string(&report).unwrap());
    assert_eq!(report["recipe"]["activation_expand_ratio"], 0.05);
    // ceil(0.05 * 64) channels of the last layer, each once.
    let last = report["layers"].as_array().unwrap().last().unwrap();
    let mut splits: Vec<u64> = (last["activation"]["splits"].as_array().unwrap().iter())
        .map(|channel| channel.as_u64().unwrap())
        .collect();
    splits.sort_unstable();
    splits.dedup();
    assert!(splits.len() == 4 && splits[3] < 64, "{splits:?}");
    assert_eq!(last["splits"].as_array().unwrap().len(), 0);
    for cost in ["weights", "activations", "macs"] {
        let ratio = report["overhead"][cost].as_f64().unwrap();
        assert!((1.05..1.2).contains(&ratio), "{cost}: {ratio}");
    }
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
fn quantize_writes_a_network_and_a_report_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    let flags = [
        "--weight-bits",
        "4",
        "--expand-ratio",
        "0.05",
        "--float-layer",
        "conv1",
        "--activation-bits",
        "float",
    ];
    let files = ["quantize", "demo:fashion", "-o", text(&out), "--report", text(&report)];
    succeeds(&[&files[..], &flags].concat());
    assert_eq!(names_in(folder.path()), ["out.onnx", "report.json"]);

    let report = json(&std::fs::read_to_string(&report).unwrap());
    assert_eq!(report["recipe"]["weight_bits"], 4);
    assert_eq!(report["recipe"]["expand_ratio"], 0.05);
    let layer = |name: &str| {
        let layers = report["layers"].as_array().unwrap();
        layers.iter().find(|layer| layer["name"] == name).unwrap().clone()
    };
    let conv = layer("layer1.0.conv1");
    assert_eq!(conv["weight_bits"], 4);
    assert_eq!(conv["splits"].as_array().unwrap().len(), 1, "ceil(0.05 * 16)");
    let (step, threshold) = (conv["step"].as_f64().unwrap(), conv["threshold"].as_f64().unwrap());
    assert!((threshold / step - 7.0).abs() < 1e-4, "{threshold} {step}");
    assert!(conv["mse"].as_f64().unwrap() > 0.0 && conv["sqnr_db"].as_f64().unwrap() > 10.0);
    assert!(conv["activation"].is_null());
    let first = layer("conv1");
    assert_eq!(first["weight_bits"], "float");
    assert!(first["step"].is_null() && first["splits"].as_array().unwrap().is_empty());
    assert!(!first["why_float"].as_str().unwrap().is_empty());
    let bytes = |side: &str| report["overhead"]["bytes"][side].as_u64().unwrap();
    assert!(
        bytes("float") / 8 < bytes("quantized") && bytes("quantized") < bytes("float") / 6,
        "{report}"
    );
    assert_eq!(
        conv["parameters"],
        serde_json::json!({"float": 2304, "quantized": 2304 / 16 * 17})
    );
    assert_eq!(
        conv["bytes"],
        serde_json::json!({"float": 4 * 2304, "quantized": 2304 / 16 * 17 / 2})
    );
    assert_eq!(first["bytes"]["float"], first["bytes"]["quantized"]);
    for share in ["weights", "activations", "macs"] {
        let ratio = report["overhead"][share].as_f64().unwrap();
        assert!((1.01..1.2).contains(&ratio), "{share}: {ratio}");
    }

    let exported = json(&succeeds(&["inspect", text(&out), "--json"]));
    assert_eq!(exported["model"]["format"], "onnx");
}

#[test]
fn quantized_activations_stand_in_the_report_with_their_source() {
    let folder = tempfile::tempdir().unwrap();
    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    let files = ["quantize", "demo:fashion", "-o", text(&out), "--report", text(&report)];
    succeeds(&[&files[..], &["--activation-bits", "8", "--calibration-limit", "32"]].concat());
    let report = json(&std::fs::read_to_string(&report).unwrap());
    let layers = report["layers"].as_array().unwrap();
    let activation = layers
        .iter()
        .map(|layer| &layer["activation"])
        .find(|activation| !activation.is_null());
    let activation = activation.unwrap();
    assert_eq!(activation["bits"], 8);
    assert_eq!(activation["source"], "calibration");
    assert!(activation["threshold"].as_f64().unwrap() > activation["step"].as_f64().unwrap());
}

#[test]
fn quantize_writes_safetensors_that_open_again_with_their_splits() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    let flags = [
        "--weight-bits",
        "4",
        "--expand-ratio",
        "0.05",
        "--activation-bits",
        "float",
    ];
    succeeds(&[&["quantize", "demo:fashion", "-o", text(&out)][..], &flags].concat());
    let report = json(&succeeds(&["inspect", text(&out), "--json"]));
    assert_eq!(report["model"]["format"], "safetensors");
    let layers = report["layers"].as_array().unwrap();
    assert!(
        layers
            .iter()
            .any(|layer| layer["shape"] == serde_json::json!([16, 17, 3, 3])),
        "one channel more"
    );

    let again = folder.path().join("again.onnx");
    let line = fails(&["quantize", text(&out), "-o", text(&again), "--activation-bits", "float"]);
    assert!(line.contains("weights only"), "{line}");
    assert_eq!(names_in(folder.path()), ["out.safetensors"]);
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
fn a_sweep_prints_a_table_and_its_file_lets_it_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("rows.csv");
    let words = ["sweep", "demo:fashion", "--data", "demo:fashion", "--limit", "50"];
    let words = [
        &words[..],
        &["--expand-ratio", "0,0.05", "--clip", "none,mse", "--csv", text(&csv)],
    ]
    .concat();
    let table = succeeds(&[&words[..], &["--weight-bits", "4"]].concat());
    assert!(
        table.contains("clip mse") && table.contains("OCS+clip 0.05") && table.contains("**"),
        "{table}"
    );
    let written = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(written.lines().count(), 5);
    let refused = fails(&[&words[..], &["--weight-bits", "4"]].concat());
    assert!(refused.contains("--resume"), "{refused}");
    let more = [&words[..], &["--weight-bits", "4,3", "--resume", "--json"]].concat();
    let report = json(&succeeds(&more));
    assert_eq!(report["rows"].as_array().unwrap().len(), 8);
    assert_eq!(report["rows"][4]["recipe"]["weight_bits"], 3);
    assert!(report["rows"][4]["overhead"]["macs"].as_f64().unwrap() >= 1.0);
    assert!(!report["front"].as_array().unwrap().is_empty());
    let grown = std::fs::read_to_string(&csv).unwrap();
    assert!(grown.starts_with(&written) && grown.lines().count() == 9, "{grown}");
    let other = fails(&["sweep", "demo:fashion", "--csv", text(&csv), "--resume"]);
    assert!(other.contains("another sweep"), "{other}");
}

#[test]
fn a_sweep_judges_text_by_perplexity_and_outputs_on_noise_without_data() {
    let words = [
        "sweep",
        "demo:shakespeare",
        "--weight-bits",
        "8,4",
        "--limit",
        "20",
        "--json",
    ];
    let report = json(&succeeds(&words));
    let sqnr = |row: usize| report["rows"][row]["sqnr_db"].as_f64().unwrap();
    assert!(sqnr(0) > sqnr(1) && sqnr(1) > 0.0, "{report}");
    assert_eq!(
        (&report["data"], &report["samples"]),
        (&Value::from("noise"), &Value::from(20))
    );
    assert!(report["rows"][0].get("top1").is_none());
    let words = [
        "sweep",
        "demo:shakespeare",
        "--data",
        "demo:shakespeare",
        "--limit",
        "40",
    ];
    let table = succeeds(&words);
    assert!(
        table.contains("40 tokens") && table.contains("perplexity · float"),
        "{table}"
    );
    let resume = refused(&["sweep", "demo:fashion", "--resume"]);
    assert!(resume.contains("--csv"), "{resume}");
}

#[test]
fn curves_of_a_layer_hold_its_error_for_every_clip() {
    let words = [
        "inspect",
        "demo:fashion",
        "--curves",
        "layer3.2.conv1",
        "--weight-bits",
        "3",
        "--expand-ratio",
        "0.05",
    ];
    let report = json(&succeeds(&[&words[..], &["--json"]].concat()));
    assert_eq!(
        (&report["layer"], &report["bits"]),
        (&Value::from("layer3.2.conv1"), &Value::from(3))
    );
    let curve = |axis: &str, clip: &str| -> Vec<(u64, f64)> {
        let curves = report[axis].as_array().unwrap();
        assert_eq!(curves.len(), 7);
        let curve = curves.iter().find(|curve| curve["clip"] == clip).unwrap();
        let points = curve["points"].as_array().unwrap().iter();
        let x = if axis == "by_bits" { "bits" } else { "splits" };
        points
            .map(|point| (point[x].as_u64().unwrap(), point["sqnr_db"].as_f64().unwrap()))
            .collect()
    };
    let (none, mse) = (curve("by_splits", "none"), curve("by_splits", "mse"));
    assert_eq!(none.len(), 14, "0 to ceil(0.2 * 64)");
    assert!(none[13].1 > none[0].1 && mse[0].1 > none[0].1, "{none:?} {mse:?}");
    let bits = curve("by_bits", "none");
    assert_eq!(
        bits.iter().map(|(bits, _)| *bits).collect::<Vec<_>>(),
        (2..=8).collect::<Vec<_>>()
    );
    assert!(
        (bits[1].1 - none[4].1).abs() < 1e-9,
        "3 bits and ceil(0.05 * 64) splits are on both curves"
    );
    assert!(succeeds(&words).contains("percentile:99.9"));
    assert!(fails(&["inspect", "demo:fashion", "--curves", "nowhere"]).contains("no layer 'nowhere'"));
}

#[test]
fn sensitivity_has_a_row_for_each_layer_that_the_recipe_quantizes() {
    let words = [
        "sensitivity",
        "demo:fashion",
        "--weight-bits",
        "3",
        "--float-layer",
        "conv1",
    ];
    let data = ["--data", "demo:fashion", "--limit", "20"];
    let report = json(&succeeds(&[&words[..], &data, &["--json"]].concat()));
    assert_eq!(
        (&report["samples"], &report["recipe"]["weight_bits"]),
        (&Value::from(20), &Value::from(3))
    );
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 21);
    assert!(
        layers
            .iter()
            .all(|layer| layer["top1"].is_number() && layer["sqnr_db"].as_f64().unwrap() > 0.0)
    );
    let table = succeeds(&[&words[..], &["--limit", "2"]].concat());
    assert!(
        table.starts_with("noise") && table.contains("outputs dB") && !table.contains("top-1"),
        "{table}"
    );
}

#[test]
fn auto_writes_a_recipe_that_gives_what_it_tells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auto.toml");
    let words = [
        "auto",
        "demo:fashion",
        "--weight-bits",
        "4",
        "--float-layer",
        "conv1",
        "--layer-bits",
        "3,4,5",
        "--layer-clips",
        "none,mse",
        "--limit",
        "30",
        "--choose-limit",
        "20",
    ];
    let data = ["--data", "demo:fashion"];
    let report = json(&succeeds(
        &[&words[..], &data, &["--budget", "3%", "--json", "-o", text(&path)]].concat(),
    ));
    let auto = &report["auto"];
    assert!(auto["bytes"].as_u64().unwrap() <= report["budget_bytes"].as_u64().unwrap());
    assert_eq!(report["layers"].as_array().unwrap().len(), 21);
    assert_eq!(
        (&report["chosen_on"]["samples"], &report["judged_on"]["samples"]),
        (&Value::from(20), &Value::from(30))
    );
    let evaluate = [
        "evaluate",
        "demo:fashion",
        "--limit",
        "30",
        "--json",
        "--recipe",
        text(&path),
    ];
    let evaluation = json(&succeeds(&[&evaluate[..], &data].concat()));
    assert_eq!(evaluation["sqnr_db"], auto["judged_on"]["sqnr_db"]);
    assert_eq!(evaluation["quantized"]["top1"], auto["judged_on"]["top1"]);

    assert!(fails(&[&words[..], &["--budget", "900"]].concat()).contains("900 bytes are too few"));
    for wrong in [
        &["--budget", "much"][..],
        &["--layer-bits", "9"],
        &["--target-accuracy", "930"],
    ] {
        refused(&[&["auto", "demo:fashion"][..], wrong].concat());
    }
}

#[test]
fn a_recipe_saved_by_name_is_a_preset_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    let run = |words: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_splitscope"));
        let quantize = ["quantize", "demo:fashion", "-o", text(&out)];
        program
            .args([&quantize[..], words].concat())
            .env("XDG_CONFIG_HOME", folder.path());
        program.env_remove("RUST_LOG").stdin(Stdio::null()).output().unwrap()
    };
    let saved = run(&["--weight-bits", "4", "--expand-ratio", "0.02", "--save-preset", "mine"]);
    assert_eq!(saved.status.code(), Some(0), "{}", stderr(&saved));
    let file = folder.path().join("splitscope/recipes/mine.toml");
    assert!(std::fs::read_to_string(&file).unwrap().contains("weight_bits = 4"));
    let used = run(&["--preset", "mine", "--weight-bits", "5"]);
    assert_eq!(
        stdout(&used).lines().nth(1).unwrap().split_whitespace().nth(1),
        Some("5")
    );
    for (words, reason) in [
        (["--preset", "other"], "there are paper, deploy, mine"),
        (["--preset", "../mine"], "cannot name a preset"),
        (["--save-preset", "a/b"], "cannot name a preset"),
        (["--save-preset", "paper"], "built in"),
    ] {
        let refused = run(&words);
        assert_eq!(refused.status.code(), Some(1), "{words:?}");
        assert!(stderr(&refused).contains(reason), "{words:?}: {}", stderr(&refused));
    }
}

#[test]
fn layers_left_float_one_and_all_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    std::fs::write(&recipe, "weight_bits = \"float\"\nactivation_bits = \"float\"\n").unwrap();
    let words = [
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "20",
        "--json",
    ];
    let report = json(&succeeds(&[&words[..], &["--recipe", text(&recipe)]].concat()));
    assert_eq!(report["agreement"], 1.0);
    assert!(report["sqnr_db"].is_null(), "no error: infinite, which JSON lacks");
}

#[test]
fn a_wrong_layer_name_is_answered_with_one_like_it() {
    let line = fails(&[
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--float-layer",
        "layer1.0.conv9",
    ]);
    assert!(
        line.contains("layer1.0.conv9") && line.contains("did you mean 'layer1.0.conv"),
        "{line}"
    );
}

#[test]
fn a_recipe_file_with_an_unknown_field_is_refused_by_the_fields_name() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    std::fs::write(&recipe, "weight_bits = 4\nexpand_ration = 0.1\n").unwrap();
    let line = fails(&[
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--recipe",
        text(&recipe),
    ]);
    assert!(line.contains("expand_ration") && line.contains("recipe.toml"), "{line}");
    let absent = fails(&[
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--recipe",
        "absent.toml",
    ]);
    assert!(absent.contains("absent.toml"), "{absent}");
}

/// Where the ranges of activations came from stands on standard error, and nothing else.
fn succeeds_without_data(words: &[&str]) -> String {
    let output = splitscope(words);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
    assert_eq!(
        said, "splitscope: no calibration data: 19 inputs from batch-norm statistics, 1 from noise\n",
        "{words:?}"
    );
    stdout(&output)
}

#[test]
fn without_calibration_data_ranges_come_from_batch_norms_and_noise() {
    let (folder, model) = folder_with_model();
    let evaluated = succeeds_without_data(&[
        "evaluate",
        text(&model),
        "--data",
        "demo:fashion",
        "--limit",
        "100",
        "--preset",
        "deploy",
        "--json",
    ]);
    assert!(json(&evaluated)["quantized"]["top1"].as_f64().unwrap() > 0.85);

    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    let files = ["quantize", "demo:fashion", "-o", text(&out), "--report", text(&report)];
    let flags = [
        "--preset",
        "deploy",
        "--data-free",
        "--cross-layer-equalization",
        "--bias-correction",
    ];
    let table = succeeds_without_data(&[&files[..], &flags].concat());
    assert!(
        table.contains("equalized ") && table.contains("folded 21 of 21"),
        "{table}"
    );
    let report = json(&std::fs::read_to_string(&report).unwrap());
    let layers = report["layers"].as_array().unwrap();
    let source = |index: usize| layers[index]["activation"]["source"].as_str().unwrap();
    assert_eq!(
        (source(0), source(1), source(21)),
        ("noise", "batch-norm", "batch-norm")
    );
    assert!(layers.iter().all(|layer| layer["bias_corrected"] == true));
    assert_eq!(report["recipe"]["cross_layer_equalization"], true);
    assert!(report["steps"][1].as_str().unwrap().starts_with("equalized "));

    let both = ["--calibration", "demo:fashion", "--data-free"];
    let line = refused(&[&files[..4], &both].concat());
    assert!(line.contains("cannot be used with"), "{line}");
}

#[test]
fn places_that_cannot_be_written_are_refused_and_nothing_is_touched() {
    let (folder, model) = folder_with_model();
    let onto_itself = fails(&["quantize", text(&model), "-o", text(&model)]);
    assert!(onto_itself.contains("the model itself"), "{onto_itself}");
    let absent = folder.path().join("absent").join("out.onnx");
    assert!(fails(&["quantize", text(&model), "-o", text(&absent)]).contains("no folder"));
    assert_eq!(std::fs::read(&model).unwrap(), FASHION);
    assert_eq!(names_in(folder.path()), ["model.onnx"]);
}

#[test]
fn files_that_are_not_there_or_no_network_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.onnx");
    assert!(fails(&["inspect", text(&absent)]).contains("absent.onnx"));
    fails(&["inspect", text(folder.path())]);
    fails(&["inspect", "demo:nothing"]);
    let contents: [(&str, &[u8]); 6] = [
        ("empty.onnx", b""),
        ("text.onnx", b"hello, I am no network\n"),
        ("zeros.onnx", &[0; 4096]),
        ("text.safetensors", b"hello, I am no network\n"),
        ("huge_header.safetensors", &[0xff; 64]),
        ("model.pt", b"PK\x03\x04"),
    ];
    for (name, bytes) in contents {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let line = fails(&["inspect", text(&path)]);
        assert!(line.contains(name), "{line}");
    }
    assert!(fails(&["evaluate", "demo:fashion", "--data", text(&absent)]).contains("absent.onnx"));
}

#[test]
fn a_truncated_network_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for length in [1, 100, FASHION.len() / 2, FASHION.len() - 1] {
        let path = folder.path().join(format!("first_{length}.onnx"));
        std::fs::write(&path, &FASHION[..length]).unwrap();
        fails(&["inspect", text(&path)]);
        fails(&["evaluate", text(&path), "--data", "demo:fashion", "--limit", "1"]);
    }
}

/// Some flipped bits spoil the file and some only a weight: whichever it is, there is one line or a result, no panic.
#[test]
fn a_network_with_flipped_bits_never_ends_in_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.onnx");
    let out = folder.path().join("out.onnx");
    let mut state = 0x2545_f491_u32;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    for round in 0..24 {
        let mut bytes = FASHION.to_vec();
        // The graph stands before and between the weights: the first bytes and the last are mostly structure.
        let at = match round % 3 {
            0 => random(600),
            1 => bytes.len() - 1 - random(600),
            _ => random(bytes.len()),
        };
        bytes[at] ^= 1 << random(8);
        std::fs::write(&path, &bytes).unwrap();
        let words = [
            "quantize",
            text(&path),
            "-o",
            text(&out),
            "--weight-bits",
            "4",
            "--activation-bits",
            "float",
        ];
        let output = splitscope(&words);
        let said = stderr(&output);
        match output.status.code() {
            Some(0) => assert_eq!(said, "", "byte {at}"),
            Some(1) => {
                assert_eq!(said.lines().count(), 1, "byte {at}: {said}");
                assert!(!said.contains("internal fault"), "byte {at}: {said}");
            }
            status => panic!("byte {at}: status {status:?}: {said}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(["inspect", "demo:fashion", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(program.stdout.take());
    let output = program.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(["inspect", "demo:fashion"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn an_interrupt_cancels_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.onnx");
    let mut program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(["quantize", "demo:fashion", "-o", text(&out), "--activation-bits", "8"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Calibration on 512 images takes longer than this on any machine that the tests run on; where it does not, the run
    // has ended well and the file is whole.
    std::thread::sleep(std::time::Duration::from_millis(150));
    let id = program.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    match program.wait().unwrap().code() {
        Some(130) => assert!(names_in(folder.path()).is_empty()),
        Some(0) => assert_eq!(names_in(folder.path()), ["out.onnx"]),
        status => panic!("status {status:?}"),
    }
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
