//! Weights that stay float, recipes that ask for what cannot be, ranges without data, and the output that counts.

use super::*;

const EVALUATE: [&str; 7] = [
    "evaluate",
    "demo:fashion",
    "--data",
    "demo:fashion",
    "--limit",
    "40",
    "--json",
];

fn evaluate(words: &[&str]) -> Output {
    splitscope(&[&EVALUATE[..], words].concat())
}

#[test]
fn float_weights_are_split_and_the_report_and_the_table_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    let table = succeeds(&[
        "quantize",
        "demo:fashion",
        "-o",
        text(&out),
        "--report",
        text(&report),
        "--weight-bits",
        "float",
        "--expand-ratio",
        "0.1",
    ]);
    assert!(!table.contains("nothing was quantized"), "{table}");
    let report = json(&std::fs::read_to_string(&report).unwrap());
    let layers = report["layers"].as_array().unwrap();
    let mut bytes = 0;
    for layer in layers {
        assert_eq!(layer["weight_bits"], "float");
        assert!(!layer["splits"].as_array().unwrap().is_empty(), "{layer}");
        assert!(layer["activation"].is_null() && layer["why_float"].is_null());
        let parameters = layer["parameters"]["quantized"].as_u64().unwrap();
        assert!(parameters > layer["parameters"]["float"].as_u64().unwrap());
        assert_eq!(layer["bytes"]["quantized"].as_u64().unwrap(), 4 * parameters);
        bytes += 4 * parameters;
    }
    let size = std::fs::metadata(&out).unwrap().len();
    assert!(size > bytes && size < bytes + 200_000, "{size} {bytes}");
    let equal = json(&stdout(&evaluate(&["--weight-bits", "float", "--expand-ratio", "0.1"])));
    assert_eq!(equal["agreement"], 1.0);
    let inputs = ["--weight-bits", "float", "--activation-bits", "4"];
    let rounded = json(&stdout(&evaluate(&inputs)));
    let sqnr = rounded["sqnr_db"].as_f64().unwrap();
    assert!((0.0..40.0).contains(&sqnr), "{rounded}");
}

#[test]
fn what_nothing_can_come_of_is_refused_by_its_name() {
    for (words, wanted) in [
        (
            &["--weight-bits", "float", "--clip", "mse"][..],
            "--clip: clip = mse has no effect",
        ),
        (&["--weight-bits", "float", "--rounding", "squant"], "--rounding"),
        (&["--weight-bits", "float", "--scales", "channel"], "--scales"),
        (&["--weight-bits", "float", "--bias-correction"], "--bias-correction"),
        (
            &["--weight-bits", "float", "--expand-ratio", "0.1", "--split", "qa"],
            "--split naive",
        ),
        (
            &[
                "--weight-bits",
                "float",
                "--expand-ratio",
                "0.1",
                "--split-export",
                "merge",
            ],
            "--split-export",
        ),
        (&["--activation-clip", "mse"], "activation_bits is float"),
        (&["--quantize-outputs"], "--quantize-outputs"),
        (&["--activation-expand-ratio", "0.1"], "--activation-expand-ratio"),
    ] {
        let said = refused(&[&EVALUATE[..], words].concat());
        assert!(said.contains(wanted), "{words:?}: {said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    std::fs::write(&recipe, "weight_bits = \"float\"\n[layers.conv1]\nclip = \"mse\"\n").unwrap();
    let said = fails(&[&EVALUATE[..], &["--recipe", text(&recipe)]].concat());
    assert!(said.contains("layers.\"conv1\".clip = mse has no effect"), "{said}");
}

#[test]
fn a_preset_for_float_weights_leaves_out_what_is_about_grids_and_says_so() {
    let output = evaluate(&["--preset", "deploy", "--weight-bits", "float"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("deploy is taken without scales, rounding, bias_correction, sequential, quantize_outputs, quantize_embeddings"),
        "{said}"
    );
    assert!(json(&stdout(&output))["sqnr_db"].as_f64().unwrap() > 20.0);
}

#[test]
fn ranges_from_noise_are_a_warning_with_the_layer_and_stated_ones_are_none() {
    let words = ["--activation-bits", "8", "--data-free"];
    let said = stderr(&evaluate(&words));
    assert!(
        said.contains("warning: the input range of 'conv1' comes from random noise"),
        "{said}"
    );
    let said = stderr(&evaluate(&[&words[..], &["--preprocess", "fashion"]].concat()));
    assert!(said.contains("1 from the stated preprocessing, 0 from noise"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    let files = ["quantize", "demo:fashion", "-o", text(&out), "--report", text(&report)];
    assert_eq!(splitscope(&[&files[..], &words].concat()).status.code(), Some(0));
    let report = json(&std::fs::read_to_string(&report).unwrap());
    let notes = |layer: usize| report["layers"][layer]["notes"].to_string();
    assert!(notes(0).contains("warning: the range of its input comes from random noise"));
    assert!(!notes(1).contains("warning"));
    assert_eq!(report["layers"][0]["activation"]["source"], "noise");
}

#[test]
fn the_output_that_counts_is_chosen_by_name() {
    let named = |words: &[&str]| json(&succeeds(&[&EVALUATE[..], words].concat()));
    assert_eq!(named(&["--output", "logits"]), named(&[]));
    let said = fails(&[&EVALUATE[..], &["--output", "absent"]].concat());
    assert!(said.contains("no output 'absent'") && said.contains("logits"), "{said}");
    let sweep = [
        "sweep",
        "demo:fashion",
        "--limit",
        "8",
        "--weight-bits",
        "4",
        "--output",
        "absent",
    ];
    assert!(fails(&sweep).contains("no output 'absent'"));
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let front = [
        "front",
        "demo:fashion",
        "--limit",
        "8",
        "--weight-bits",
        "4",
        "--output",
        "absent",
    ];
    assert!(fails(&front).contains("no output 'absent'"));
    for of_file in ["auto", "report", "cure"] {
        let output = ["-o", text(&page)];
        let words = [
            of_file,
            "demo:fashion",
            "--data",
            "demo:fashion",
            "--limit",
            "8",
            "--network-output",
            "absent",
        ];
        let words = [&words[..], &output[..]].concat();
        let output = splitscope(&words);
        assert_eq!(output.status.code(), Some(1), "{of_file}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("no output 'absent'"),
            "{of_file}: {}",
            stderr(&output)
        );
    }
}
