//! Many settings in one run: `sweep`, `curves`, `sensitivity`, `cure`.

use super::*;
use crate::common::graph::{floats, model};
use splitscope::onnx::build::{float_tensor, node};

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
        table.starts_with("made-up inputs") && table.contains("outputs dB") && !table.contains("top-1"),
        "{table}"
    );
}

#[test]
fn zero_points_are_an_axis_of_a_sweep() {
    let words = [
        "sweep",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--weight-bits",
        "2",
        "--scales",
        "channel",
        "--limit",
        "20",
    ];
    let rows = |zero_points: &str| {
        let report = json(&succeeds(&[&words[..], &[zero_points, "--json"]].concat()));
        let rows = report["rows"].as_array().unwrap().clone();
        let has = |row: &Value| row["recipe"]["weight_zero_points"].as_bool().unwrap_or(false);
        rows.iter()
            .map(|row| (has(row), row["sqnr_db"].as_f64().unwrap()))
            .collect::<Vec<_>>()
    };
    let both = rows("--weight-zero-points=off,on");
    assert_eq!((both[0].0, both[1].0, both.len()), (false, true, 2));
    assert!(both[1].1 > both[0].1, "{both:?}");
    assert_eq!(rows("--weight-zero-points"), both[1..]);
    refused(&[&words[..], &["--weight-zero-points=maybe"]].concat());
}

#[test]
fn a_cure_names_causes_tries_fixes_and_writes_a_recipe_that_gives_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("mended.toml");
    let words = ["--data", "demo:fashion", "--limit", "32"];
    let bits = ["--weight-bits", "3", "--fold-batch-norm"];
    let cure = [&["cure", "demo:fashion"], &words[..], &bits, &["--worst", "2"]].concat();
    let report = json(&succeeds(&[&cure[..], &["-o", text(&recipe), "--json"]].concat()));
    let layers = report["layers"].as_array().unwrap();
    assert!(layers.len() == 2 && report["samples"] == 32);
    let rows = json(&succeeds(
        &[&["sensitivity", "demo:fashion"], &words[..], &bits, &["--json"]].concat(),
    ));
    for layer in layers {
        assert!(layer["why"].as_str().unwrap().ends_with('.') && !layer["cause"].as_str().unwrap().is_empty());
        let alone = rows["layers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["name"] == layer["name"]);
        assert_eq!(alone.unwrap()["sqnr_db"], layer["sqnr_db"], "as sensitivity has it");
        let fixes = layer["fixes"].as_array().unwrap();
        let best = &fixes[usize::try_from(layer["recommended"].as_u64().unwrap()).unwrap()];
        assert!(best["gain_db"].as_f64().unwrap() > 1.0, "{best}");
    }
    let evaluate = ["evaluate", "demo:fashion", "--recipe", text(&recipe), "--json"];
    let evaluated = json(&succeeds(&[&evaluate[..], &words].concat()));
    let mended = &report["mended"];
    assert_eq!(evaluated["quantized"]["top1"], mended["after"]["quantized"]["top1"]);
    let more = mended["bytes"][1].as_u64().unwrap() - mended["bytes"][0].as_u64().unwrap();
    assert!(more <= report["within_bytes"].as_u64().unwrap(), "{more}");
    let shown = succeeds(&[&cure[..2], &words, &bits, &["--layer", "layer1.0.conv1"]].concat());
    assert!(
        shown.contains("layer1.0.conv1: dead grid") && shown.contains("take") && shown.contains("mended:"),
        "{shown}"
    );
    let refused = fails(&[&cure[..2], &["--layer", "conv9"]].concat());
    assert!(refused.contains("no layer 'conv9'"), "{refused}");
}

#[test]
fn a_trace_tells_the_layer_whose_error_is_its_own_and_compares_two_files() {
    let words = ["trace", "demo:fashion", "--data", "demo:fashion", "--limit", "8"];
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    std::fs::write(
        &recipe,
        "weight_bits = \"float\"\n[layers.\"layer2.0.conv1\"]\nweight_bits = 3\n",
    )
    .unwrap();
    let recipe = recipe.to_str().unwrap();
    let report = json(&succeeds(&[&words[..], &["--recipe", recipe, "--json"]].concat()));
    let own = |value: &&Value| value["own_sqnr_db"].as_f64().is_some_and(|db| db < 60.0);
    let values = report["values"].as_array().unwrap();
    let found: Vec<&Value> = values.iter().filter(own).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["layer"], "layer2.0.conv1");
    assert_eq!(report["samples"], 8);

    let fixture = |name: &str| format!("{}/tests/fixtures/trace/{name}", env!("CARGO_MANIFEST_DIR"));
    let (float, quantized, data) = (fixture("float.onnx"), fixture("qdq.onnx"), fixture("samples.npy"));
    let pair = ["trace", &float, &quantized, "--data", &data];
    let report = json(&succeeds(&[&pair[..], &["--json"]].concat()));
    let expected = json(&std::fs::read_to_string(fixture("expected.json")).unwrap());
    let output = report["values"].as_array().unwrap().last().unwrap();
    assert_eq!(output["name"], "y");
    let difference = output["sqnr_db"].as_f64().unwrap() - expected["y"]["xmodel_err"].as_f64().unwrap();
    assert!(difference.abs() < 0.02, "{difference}");
    let shown = succeeds(&pair);
    assert!(
        shown.contains("own dB") && shown.contains("without a counterpart: sum"),
        "{shown}"
    );
    // A recipe would change nothing of a file that is quantized already.
    refused(&[&pair[..], &["--weight-bits", "4"]].concat());
}

#[test]
fn what_is_chosen_for_text_is_told_of_where_there_is_none() {
    let words = [
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "2",
        "--weight-bits",
        "8",
    ];
    let unused = "the vocabulary or window that was chosen is not used";
    for chosen in [&["--window", "5"][..], &["--vocab", "words.json"]] {
        assert!(succeeds(&[&words[..], chosen].concat()).contains(unused));
    }
    assert!(!succeeds(&words).contains(unused));
    let missing = fails(&[
        "continue",
        "demo:shakespeare",
        "--prompt",
        "a",
        "--weight-bits",
        "8",
        "--vocab",
        "words.json",
    ]);
    assert!(missing.contains("words.json"), "{missing}");
}

#[test]
fn pictures_for_a_network_of_a_few_numbers_are_refused_with_both_counts() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.png");
    image::GrayImage::new(30, 20).save(&picture).unwrap();
    let network = folder.path().join("four.onnx");
    let weight = float_tensor("w", &[4, 2], &[0.5; 8]);
    let nodes = vec![node("MatMul", "a", ["x", "w"], ["y"], vec![])];
    let (inputs, outputs) = (vec![floats("x", &[0, 4])], vec![floats("y", &[0, 2])]);
    let four = model(13, (nodes, vec![weight]), inputs, outputs);
    splitscope::onnx::write_file(&four, &network).unwrap();
    let told = fails(&[
        "evaluate",
        network.to_str().unwrap(),
        "--data",
        picture.to_str().unwrap(),
        "--weight-bits",
        "8",
    ]);
    assert!(
        told.contains("30 x 20 pixels are 600 numbers, and the network takes 4"),
        "{told}"
    );
}

#[test]
fn a_preprocessing_that_no_file_tells_is_named_as_missing() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.png");
    image::GrayImage::new(28, 28).save(&picture).unwrap();
    let words = [
        "evaluate",
        "demo:fashion",
        "--data",
        picture.to_str().unwrap(),
        "--weight-bits",
        "8",
        "--preprocess",
    ];
    let told = fails(&[&words[..], &["network"]].concat());
    assert!(told.contains("nothing beside the model tells"), "{told}");
    assert!(fails(&[&words[..], &["imagnet"]].concat()).contains("no preprocessing is called 'imagnet'"));
}

#[test]
fn a_trace_to_one_output_leaves_out_what_only_others_are_computed_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heads.onnx");
    let product = |from: &str, with: &str, to: &str| node("MatMul", to, [from, with], [to], vec![]);
    let nodes = vec![
        product("x", "w", "h"),
        node("Relu", "relu", ["h"], ["r"], vec![]),
        product("r", "wb", "boxes"),
        product("r", "ws", "scores"),
    ];
    let weight = |name: &str| {
        let values: Vec<f32> = (0..16).map(|place| (place * 7 % 16) as f32 / 8.0 - 1.0).collect();
        float_tensor(name, &[4, 4], &values)
    };
    let constants = ["w", "wb", "ws"].map(weight).to_vec();
    let outputs = ["boxes", "scores"].map(|name| floats(name, &[1, 4])).to_vec();
    let heads = model(13, (nodes, constants), vec![floats("x", &[1, 4])], outputs);
    splitscope::onnx::write_file(&heads, &file).unwrap();
    let words = ["trace", text(&file), "--weight-bits", "3", "--limit", "2", "--json"];
    let names = |more: &[&str]| -> Vec<String> {
        let report = json(&succeeds(&[&words[..], more].concat()));
        let values = report["values"].as_array().unwrap().iter();
        values.map(|value| value["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names(&[]);
    assert!(
        all.contains(&"boxes".to_owned()) && all.contains(&"scores".to_owned()),
        "{all:?}"
    );
    let some = names(&["--output", "scores"]);
    assert!(
        !some.contains(&"boxes".to_owned()) && some.contains(&"scores".to_owned()),
        "{some:?}"
    );
    assert!(some.len() < all.len() && some.iter().all(|name| all.contains(name)));
    let said = fails(&[&words[..], &["--output", "absent"]].concat());
    assert!(said.contains("no output 'absent'") && said.contains("scores"), "{said}");
}

#[test]
fn front_runs_the_methods_that_are_named_and_refuses_a_rotation_before_it_runs_anything() {
    let words = [
        "front",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "20",
        "--weight-bits",
        "4",
    ];
    let report = json(&succeeds(
        &[&words[..], &["--methods", "blocks of 32,channel + clip mse", "--json"]].concat(),
    ));
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    // In the order of the tables.
    assert_eq!(names, ["channel + clip mse", "blocks of 32"]);
    assert_eq!(rows[0]["recipe"]["clip"], "mse");
    let unknown = refused(&[&words[..], &["--methods", "channel + rotate"]].concat());
    assert!(
        unknown.contains("there is no 'channel + rotate' here") && unknown.contains("channel + GPTQ"),
        "{unknown}"
    );
    let rotated = fails(&[&words[..], &["--moves", "rotate", "--methods", "channel + rotate"]].concat());
    assert!(rotated.contains("no residual stream"), "{rotated}");
    refused(&[&words[..], &["--moves", "turn"]].concat());
}
