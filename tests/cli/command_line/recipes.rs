//! Recipes by name, by file and by flags of single layers.

use super::*;

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
        (["--preset", "other"], "there are paper, deploy, int8, int4, mine"),
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

/// What is printed by a run that may also say on standard error where ranges come from.
fn done(words: &[&str]) -> String {
    let output = splitscope(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
    stdout(&output)
}

/// Who chooses nothing gets the good preset, is told which, and `evaluate` measures the same.
#[test]
fn without_a_recipe_a_person_gets_deploy_as_far_as_it_is_safe() {
    let (folder, model) = folder_with_model();
    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    let quantized = |model: &str| {
        let table = done(&["quantize", model, "-o", text(&out), "--report", text(&report)]);
        (table, json(&std::fs::read_to_string(&report).unwrap()))
    };
    // A demo brings its calibration data.
    let (table, written) = quantized("demo:fashion");
    assert!(table.contains("taking --preset deploy\n"), "{table}");
    let recipe = &written["recipe"];
    assert_eq!(recipe["rounding"], "gptq");
    assert_eq!(
        (&recipe["scales"], &recipe["activation_bits"]),
        (&"channel".into(), &8.into())
    );
    assert!(recipe["fold_batch_norm"] == true && recipe["bias_correction"] == true);
    // A file does not: ranges that nobody measured are not taken.
    let (table, written) = quantized(text(&model));
    assert!(table.contains("--activation-bits float"), "{table}");
    let recipe = &written["recipe"];
    assert_eq!(
        (&recipe["rounding"], &recipe["activation_bits"]),
        (&"squant".into(), &"float".into())
    );
    let evaluated = succeeds(&["evaluate", "demo:fashion", "--data", "demo:fashion", "--limit", "100"]);
    assert!(
        evaluated.starts_with("no recipe was given: taking --preset deploy\n"),
        "{evaluated}"
    );
    // One flag is a choice: everything else is as it always was.
    let chosen = succeeds(&["quantize", "demo:fashion", "-o", text(&out), "--weight-bits", "8"]);
    assert!(!chosen.contains("no recipe"), "{chosen}");
}

#[test]
fn presets_are_gptq_with_calibration_data_and_squant_without() {
    let (folder, model) = folder_with_model();
    let (out, report) = (folder.path().join("out.onnx"), folder.path().join("report.json"));
    for (preset, bits) in [("deploy", 8), ("int8", 8), ("int4", 4)] {
        for (calibration, rounding) in [
            (&["--calibration", "demo:fashion"][..], "gptq"),
            (&["--data-free"], "squant"),
        ] {
            let files = ["quantize", text(&model), "-o", text(&out), "--report", text(&report)];
            done(&[&files[..], &["--preset", preset], calibration].concat());
            let written = json(&std::fs::read_to_string(&report).unwrap());
            let recipe = &written["recipe"];
            assert_eq!(
                (&recipe["rounding"], &recipe["weight_bits"]),
                (&rounding.into(), &bits.into()),
                "{preset}"
            );
            assert_eq!(recipe["quantize_outputs"].as_bool().unwrap_or(false), preset != "int4");
            let first = &written["layers"][0];
            assert_eq!(first["rounding"], rounding, "{preset}");
        }
    }
}
