//! `check`: exit status 0 where all limits are kept, 3 where one is missed, and the numbers are those of `evaluate` and of the
//! exported file.

use super::command_line::{json, splitscope, stderr, stdout, succeeds};
use crate::common::judged::{detector, segmentation, sentence_encoder};

const RECIPE: [&str; 8] = [
    "demo:fashion",
    "--data",
    "demo:fashion",
    "--limit",
    "200",
    "--weight-bits",
    "3",
    "--fold-batch-norm",
];

fn with<'a>(words: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [words, &RECIPE[..], more].concat()
}

#[test]
fn a_limit_that_is_missed_ends_with_status_3_and_says_by_how_much() {
    let evaluated = json(&succeeds(&with(&["evaluate"], &["--json"])));
    let top1 = |of: &str| evaluated[of]["top1"].as_f64().unwrap();
    let drop = top1("float") - top1("quantized");
    assert!(drop > 0.02, "three bits alone damage the demo: {drop}");

    let output = splitscope(&with(
        &["check"],
        &["--max-drop", "1%", "--max-bytes", "10MB", "--json"],
    ));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(stderr(&output), "splitscope: error: limits missed: max-drop\n");
    let report = json(&stdout(&output));
    assert_eq!(report["passed"], false);
    assert_eq!(report["limits"][0]["limit"], "max-bytes");
    assert_eq!(report["limits"][0]["passed"], true);
    let missed = &report["limits"][1];
    assert!((missed["measured"].as_f64().unwrap() - drop).abs() < 1e-12, "{missed}");
    assert!(
        (missed["missed_by"].as_f64().unwrap() - (drop - 0.01)).abs() < 1e-12,
        "{missed}"
    );
    assert_eq!(report["evaluation"]["quantized"], evaluated["quantized"]);
}

#[test]
fn check_and_report_say_which_preset_they_took() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("r.html");
    let said = "no recipe was given: taking --preset deploy --activation-bits float";
    let words = ["check", "demo:fashion", "--data-free", "--max-bytes", "10MB"];
    // What is known without data is said beside it.
    let printed = |words: &[&str]| {
        let output = splitscope(words);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let checked = printed(&words);
    assert!(checked.starts_with(said), "{checked}");
    let report = json(&printed(&[&words[..], &["--json"]].concat()));
    assert!(report["suggestion"].as_str().unwrap().starts_with(said), "{report}");
    let reported = printed(&["report", "demo:fashion", "--data-free", "-o", page.to_str().unwrap()]);
    assert!(reported.starts_with(said), "{reported}");
    let chosen = printed(&[&words[..], &["--weight-bits", "4"]].concat());
    assert!(!chosen.contains("no recipe"), "{chosen}");
}

#[test]
fn limits_that_are_kept_end_with_status_0_and_bytes_are_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.onnx");
    let words = [
        "quantize",
        "demo:fashion",
        "--weight-bits",
        "4",
        "-o",
        out.to_str().unwrap(),
    ];
    succeeds(&words);
    let bytes = out.metadata().unwrap().len();
    let words = ["check", "demo:fashion", "--weight-bits", "4", "--max-bytes"];
    let just = bytes.to_string();
    let report = json(&succeeds(&[&words[..], &[&just, "--json"]].concat()));
    assert_eq!(
        (&report["passed"], report["bytes"].as_u64()),
        (&true.into(), Some(bytes))
    );
    let less = (bytes - 1).to_string();
    let output = splitscope(&[&words[..], &[&less]].concat());
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("missed by 1 bytes"), "{}", stdout(&output));
}

#[test]
fn a_check_without_limits_or_data_is_wrong_usage() {
    for words in [
        &["check", "demo:fashion"][..],
        &["check", "demo:fashion", "--max-drop", "1%"],
    ] {
        assert_eq!(splitscope(words).status.code(), Some(2), "{words:?}");
    }
}

/// A bare 1 is the whole and looks like one per cent; a report is a page whatever its file is called.
#[test]
fn what_would_be_understood_otherwise_is_asked_for_again() {
    let drop = splitscope(&["check", "demo:fashion", "--data", "demo:fashion", "--max-drop", "1"]);
    assert_eq!(drop.status.code(), Some(2));
    assert!(
        stderr(&drop).contains("write 1% for one per cent, or 100%"),
        "{}",
        stderr(&drop)
    );
    let report = splitscope(&["report", "demo:fashion", "-o", "page.pdf"]);
    assert_eq!(report.status.code(), Some(2));
    assert!(
        stderr(&report).contains("name a file that ends in .html"),
        "{}",
        stderr(&report)
    );
    assert!(!std::path::Path::new("page.pdf").exists());
}

#[test]
fn an_unknown_word_is_told_without_a_window() {
    for words in [
        &["inspekt"][..],
        &["inspekt", "demo:fashion"],
        &["inspekt", "demo:fashion", "--json"],
    ] {
        let output = splitscope(words);
        assert_eq!(output.status.code(), Some(2));
        let told = stderr(&output);
        assert!(told.contains("neither a subcommand nor a file 'inspekt'"), "{told}");
    }
    let told = stderr(&splitscope(&["inspect", "demo:fashion", "--jason"]));
    assert!(told.contains("unexpected argument '--jason'"), "{told}");
}

/// Pairs of sentences, maps of classes and boxes are judged as right answers are: by what the recipe costs of the score that `evaluate` prints.
#[test]
fn pairs_maps_and_boxes_have_a_drop_too() {
    let folder = tempfile::tempdir().unwrap();
    let (maps_network, maps) = segmentation(folder.path());
    let (encoder, pairs) = sentence_encoder();
    let (boxes_network, boxes) = detector(folder.path());
    for (network, data, key, name) in [
        (maps_network.as_path(), &maps, "mean_iou", "mean IoU"),
        (encoder.path(), &pairs, "pearson", "Pearson"),
        (boxes_network.as_path(), &boxes, "mean_ap", "mAP"),
    ] {
        let words = [
            network.to_str().unwrap(),
            "--data",
            data.to_str().unwrap(),
            "--weight-bits",
            "2",
        ];
        let evaluated = json(&succeeds(&[&["evaluate"], &words[..], &["--json"]].concat()));
        let score = |of: &str| evaluated[of][key].as_f64().unwrap();
        let drop = score("float") - score("quantized");
        assert!(drop.abs() > 1e-3, "two bits change something: {evaluated}");
        let check = |allowed: f64| {
            let allowed = format!("{}%", allowed * 100.0);
            splitscope(&[&["check"], &words[..], &["--json", "--max-drop", &allowed]].concat())
        };
        // A gain is no drop.
        let kept = check(drop.max(0.0) + 1e-6);
        assert_eq!(kept.status.code(), Some(0), "{name}: {}", stderr(&kept));
        let report = json(&stdout(&kept));
        let limit = &report["limits"][0];
        assert!(
            (limit["measured"].as_f64().unwrap() - drop).abs() < 1e-12,
            "{limit} {drop}"
        );
        assert_eq!(
            (&limit["score"], &report["evaluation"]["float"]),
            (&name.into(), &evaluated["float"])
        );
        if drop > 1e-3 {
            assert_eq!(check(drop - 1e-4).status.code(), Some(3), "{name}");
        }
    }
}

/// Boxes are a score like any other: in sweeps, searches and layer by layer.
#[test]
fn a_detector_is_swept_searched_and_judged_layer_by_layer() {
    let folder = tempfile::tempdir().unwrap();
    let (network, data) = detector(folder.path());
    let words = [network.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let evaluated = json(&succeeds(
        &[&["evaluate"], &words[..], &["--weight-bits", "3", "--json"]].concat(),
    ));
    let map = |of: &str| evaluated[of]["mean_ap"].as_f64().unwrap();
    assert!(
        map("float") > 0.5 && map("float") < 1.0 && map("quantized") < map("float"),
        "{evaluated}"
    );
    let sqnr = evaluated["sqnr_db"].as_f64().unwrap();
    assert!(sqnr.is_finite() && sqnr < 60.0, "{evaluated}");
    let csv = folder.path().join("rows.csv");
    let swept = succeeds(
        &[
            &["sweep"],
            &words[..],
            &["--weight-bits", "8,3", "--expand-ratio", "0", "--clip", "none", "--csv"],
            &[csv.to_str().unwrap()],
        ]
        .concat(),
    );
    assert!(swept.contains("mAP"), "{swept}");
    let table = std::fs::read_to_string(&csv).unwrap();
    assert!(
        table.contains(&map("quantized").to_string()),
        "{table} {}",
        map("quantized")
    );
    let layers = succeeds(&[&["sensitivity"], &words[..], &["--weight-bits", "3"]].concat());
    assert!(layers.contains("mAP") && layers.contains("look"), "{layers}");
    // That ranges come from noise is told.
    let output = splitscope(
        &[
            &["auto"],
            &words[..],
            &["--weight-bits", "3", "--budget", "10%", "--json"],
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found = json(&stdout(&output));
    assert!(found["auto"]["judged_on"]["mean_ap"].is_f64(), "{found}");
}
