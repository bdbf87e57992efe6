//! Networks whose outputs are numbers and no classes: no first answer is told of them.

use super::{fails, json, succeeds, text};
use crate::common::single_output::with_a_single_output;

#[test]
fn a_single_number_is_told_by_its_sqnr_and_not_by_an_agreement() {
    let folder = tempfile::tempdir().unwrap();
    let model = with_a_single_output(folder.path());
    let recipe = ["--data", "demo:fashion", "--limit", "20", "--weight-bits", "4"];
    let run = |command: &str, more: &[&str]| succeeds(&[&[command, text(&model)], &recipe[..], more].concat());

    let report = json(&run("evaluate", &["--expand-ratio", "0.05", "--json"]));
    let keys = ["agreement", "agreement_interval"];
    assert!(keys.iter().all(|key| report.get(*key).is_none()), "{report:#}");
    assert!(report["split_only"].get("agreement").is_none() && report["split_only"]["samples"] == 20);
    let sqnr = report["sqnr_db"].as_f64().unwrap();
    assert!(sqnr > 5.0 && sqnr < 60.0, "{sqnr}");

    let shown = run("evaluate", &["--expand-ratio", "0.05"]);
    assert!(
        shown.contains(&format!(
            "\noutput SQNR {sqnr:.1} dB · the outputs are numbers, not classes"
        )),
        "{shown}"
    );
    assert!(
        !shown.contains("same first answer") && !shown.contains("quantized"),
        "{shown}"
    );

    let rows = json(&run("sensitivity", &["--json"]));
    let found = rows.to_string();
    assert!(found.contains("sqnr_db") && !found.contains("agreement"), "{found}");
}

#[test]
fn a_sweep_of_a_single_number_leaves_the_agreement_empty_and_goes_on_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = with_a_single_output(folder.path());
    let rows = folder.path().join("rows.csv");
    let words = [
        "sweep",
        text(&model),
        "--data",
        "demo:fashion",
        "--limit",
        "20",
        "--weight-bits",
        "4,3",
        "--csv",
        text(&rows),
    ];
    succeeds(&words);
    let first = std::fs::read_to_string(&rows).unwrap();
    let column = |line: &str, at: usize| line.split(',').nth(at).unwrap().to_owned();
    let mut lines = first.lines();
    let at = lines
        .next()
        .unwrap()
        .split(',')
        .position(|column| column == "agreement")
        .unwrap();
    assert!(
        first.lines().count() > 1 && lines.all(|line| column(line, at).is_empty()),
        "{first}"
    );
    succeeds(&[&words[..], &["--resume"]].concat());
    assert_eq!(std::fs::read_to_string(&rows).unwrap(), first);
}

#[test]
fn an_accuracy_is_no_goal_where_no_answer_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let model = with_a_single_output(folder.path());
    let line = fails(&[
        "auto",
        text(&model),
        "--data",
        "demo:fashion",
        "--limit",
        "20",
        "--weight-bits",
        "4",
        "--target-accuracy",
        "0.9",
    ]);
    assert!(line.contains("not classes") && line.contains("budget"), "{line}");
}
