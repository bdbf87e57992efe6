//! What `quantize` writes and reports.

use super::*;

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
    // Codes of 4 bits, and a graph that takes more of a small file: what is said is what is on the disk.
    let written = std::fs::metadata(&out).unwrap().len();
    assert_eq!(bytes("quantized"), written, "{report}");
    assert!(bytes("float") / 8 < written && written < bytes("float") / 5, "{report}");
    assert_eq!(
        conv["parameters"],
        serde_json::json!({"float": 2304, "quantized": 2304 / 16 * 17})
    );
    // Two codes a byte, and their scale.
    assert_eq!(
        conv["bytes"],
        serde_json::json!({"float": 4 * 2304, "quantized": 2304 / 16 * 17 / 2 + 4})
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

/// Where the ranges of activations came from stands on standard error, with a warning of the one that noise told, and nothing
/// else.
fn succeeds_without_data(words: &[&str]) -> String {
    let output = splitscope(words);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
    assert_eq!(
        said,
        "splitscope: no calibration data: 19 inputs from batch-norm statistics, 1 from noise\n\
         splitscope: warning: the input range of 'conv1' comes from random noise and can be far off; give --calibration PATH, or \
         say by --preprocess what the input is\n",
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
fn the_layout_of_compressed_tensors_has_its_configuration_beside_it_and_the_size_that_is_printed() {
    use splitscope::onnx::build::float_tensor;
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::create_dir_all(&model).unwrap();
    std::fs::create_dir_all(&out).unwrap();
    let values: Vec<f32> = (0..512).map(|i| (i as f32 * 0.618_034).fract() - 0.5).collect();
    let tensors = [
        float_tensor("a.weight", &[8, 64], &values),
        float_tensor("b.weight", &[2, 8, 4, 8], &values),
    ];
    let model = model.join("model.safetensors");
    splitscope::format::safetensors::write(&model, &tensors, &[]).unwrap();
    std::fs::write(model.with_file_name("config.json"), r#"{"model_type": "own"}"#).unwrap();
    let file = out.join("model.safetensors");
    let words = [
        "quantize",
        text(&model),
        "-o",
        text(&file),
        "--weight-bits",
        "4",
        "--activation-bits",
        "float",
    ];
    let layout = ["--layout", "compressed-tensors", "--scales", "block:32"];
    let said = succeeds(&[&words[..], &layout].concat());
    let bytes = std::fs::metadata(&file).unwrap().len();
    assert!(said.contains(&format!("{bytes} quantized")), "{said}");
    assert!(
        said.contains("b.weight: written as floats: the layout is for the matrices of linear layers"),
        "{said}"
    );
    assert!(said.contains("1 layer as INT4, 1 layer as FLOAT"), "{said}");
    let config = std::fs::read_to_string(out.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["model_type"], "own");
    assert_eq!(config["quantization_config"]["format"], "pack-quantized");
    let again = succeeds(&[&words[..], &layout].concat());
    assert!(again.contains("is there already and was left as it is"), "{again}");
    let refused = fails(&[&words[..], &layout, &["--storage", "float"]].concat());
    assert!(refused.contains("leave out storage"), "{refused}");
}
