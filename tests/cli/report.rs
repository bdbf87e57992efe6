//! The report from outside: a page that stands alone and tells the numbers of the other subcommands, and the files for Model
//! Explorer.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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

const RECIPE: [&str; 7] = [
    "--fold-batch-norm",
    "--float-layer",
    "conv1",
    "--weight-bits",
    "3",
    "--expand-ratio",
    "0.05",
];

fn page(path: &Path, more: &[&str]) -> String {
    succeeds(
        &[
            &["report", "demo:fashion", "-o", path.to_str().unwrap()],
            &RECIPE[..],
            more,
        ]
        .concat(),
    );
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_page_tells_what_evaluate_and_quantize_tell() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", "demo:fashion", "--limit", "200"];
    let page = page(&folder.path().join("r.html"), &data);
    let evaluated: Value = serde_json::from_str(&succeeds(
        &[&["evaluate", "demo:fashion", "--json"], &data[..], &RECIPE[..]].concat(),
    ))
    .unwrap();
    let percent = |value: &Value| format!("{:.1} %", value.as_f64().unwrap() * 100.0);
    for network in ["float", "quantized"] {
        let shown = percent(&evaluated[network]["top1"]);
        assert!(
            page.contains(&format!("<td class=\"big\">{shown}</td>")),
            "{network} {shown}"
        );
        let interval = &evaluated[network]["top1_interval"];
        let (low, high) = (
            interval[0].as_f64().unwrap() * 100.0,
            interval[1].as_f64().unwrap() * 100.0,
        );
        assert!(page.contains(&format!("{low:.1} to {high:.1} %")), "{network}");
    }
    assert!(page.contains("Plain 3 bits") && page.contains(&percent(&evaluated["agreement"])));
    let report = folder.path().join("r.json");
    let out = folder.path().join("o.onnx");
    let files = ["-o", out.to_str().unwrap(), "--report", report.to_str().unwrap()];
    succeeds(&[&["quantize", "demo:fashion"], &files[..], &RECIPE[..]].concat());
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    for layer in report["layers"].as_array().unwrap() {
        let name = layer["name"].as_str().unwrap();
        let row = page
            .split("<tr>")
            .find(|row| row.starts_with(&format!("<th scope=\"row\">{name}</th>")))
            .unwrap();
        match layer["sqnr_db"].as_f64() {
            Some(sqnr_db) => assert!(row.contains(&format!("{sqnr_db:.1} dB")), "{name}: {row}"),
            None => assert!(row.contains("kept float by the recipe"), "{name}: {row}"),
        }
    }
    let added = (report["overhead"]["weights"].as_f64().unwrap() - 1.0) * 100.0;
    assert!(page.contains(&format!("+{added:.1} %")));
    assert!(page.contains("expand_ratio = 0.05") && page.contains("demo:fashion"));
    // How to go on from the page: write the network, or open it in the window.
    assert!(
        page.contains("splitscope quantize MODEL --recipe FILE")
            && page.contains("splitscope MODEL --recipe FILE --data DATA")
    );
}

#[test]
fn the_page_stands_alone_and_is_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let one = page(&folder.path().join("one.html"), &[]);
    for foreign in [
        "<script", "http://", "https://", "src=", "href=", "@import", "url(h", "<iframe", "<link",
    ] {
        assert!(!one.contains(foreign), "{foreign}");
    }
    assert!(one.contains("prefers-color-scheme:dark") && one.contains("@media print"));
    assert!(one.contains("The networks were not run"), "without data it says so");
    assert!(!one.contains("NaN"));
    // Names that drawings define are unique.
    let ids: Vec<&str> = one
        .split("clipPath id=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert!(ids.len() >= 12 && unique.len() == ids.len(), "{ids:?}");
    for tag in ["table", "section", "figure", "svg", "div", "tr", "td", "th"] {
        let opened = one.matches(&format!("<{tag}>")).count() + one.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, one.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert_eq!(one, page(&folder.path().join("two.html"), &[]));
}

#[test]
fn the_rows_of_a_sweep_are_shown_best_first() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("rows.csv");
    let csv = csv.to_str().unwrap();
    let grid = ["--weight-bits", "4,3", "--expand-ratio", "0,0.05", "--csv", csv];
    succeeds(
        &[
            &["sweep", "demo:fashion", "--data", "demo:fashion", "--limit", "60"],
            &grid[..],
        ]
        .concat(),
    );
    let page = page(&folder.path().join("r.html"), &["--sweep", csv]);
    let sweep = page.split("<h2>Sweep</h2>").nth(1).unwrap();
    let scores: Vec<f64> = (sweep.split("<b>").skip(1))
        .map(|rest| rest.split('<').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(scores.len(), 4);
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(sweep.contains("Pareto front"));
    let wrong = folder.path().join("wrong.csv");
    std::fs::write(&wrong, "a,b\n1,2\n").unwrap();
    let words = [
        "report",
        "demo:fashion",
        "-o",
        "r.html",
        "--sweep",
        wrong.to_str().unwrap(),
    ];
    let output = run(&words);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 1"));
}

/// The format of Google's Model Explorer, `node_data_builder.py`: graph id to results by output name, and a gradient whose
/// stops 0 and 1 are both there, with colours as hex.
#[test]
fn the_page_tells_the_latency_of_both_networks_where_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    let words = ["report", "demo:fashion", "--weight-bits", "4", "--limit", "20", "-o"];
    let refused = run(&[&words[..], &[path.to_str().unwrap(), "--latency"]].concat());
    assert_eq!(refused.status.code(), Some(2), "times need data");
    let data = ["--data", "demo:fashion", "--latency"];
    succeeds(&[&words[..], &[path.to_str().unwrap()], &data].concat());
    let page = std::fs::read_to_string(&path).unwrap();
    let card = page.split("<span class=\"quiet\">Latency</span>").nth(1).unwrap();
    let card = card.split("</div>").next().unwrap();
    let times: Vec<f64> = card
        .split([' ', '>'])
        .zip(card.split([' ', '>']).skip(1))
        .filter(|(_, unit)| unit.starts_with("ms"))
        .map(|(time, _)| time.parse().unwrap())
        .collect();
    assert!(times.len() == 2 && times.iter().all(|time| *time > 0.0), "{card}");
    assert!(card.contains("batch of 1, ") && card.contains("thread"), "{card}");
}

#[test]
fn model_explorer_reads_a_file_for_each_number() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("nodes.json");
    succeeds(
        &[
            &["report", "demo:fashion", "--model-explorer", out.to_str().unwrap()],
            &RECIPE[..],
        ]
        .concat(),
    );
    let inspected: Value = serde_json::from_str(&succeeds(&["inspect", "demo:fashion", "--json"])).unwrap();
    let layers = inspected["layers"].as_array().unwrap().len();
    for metric in ["sqnr_db", "outliers", "bits", "splits"] {
        let text = std::fs::read_to_string(folder.path().join(format!("nodes.{metric}.json"))).unwrap();
        let data: Value = serde_json::from_str(&text).unwrap();
        let graphs = data.as_object().unwrap();
        assert_eq!(graphs.len(), 1);
        let graph = graphs.values().next().unwrap();
        let results = graph["results"].as_object().unwrap();
        let expected = if metric == "sqnr_db" { layers - 1 } else { layers };
        assert_eq!(results.len(), expected, "{metric}: conv1 stays float and has no error");
        assert!(results.values().all(|result| result["value"].is_number()));
        let stops = graph["gradient"].as_array().unwrap();
        assert_eq!(
            (&stops[0]["stop"], &stops[1]["stop"]),
            (&Value::from(0), &Value::from(1))
        );
        for stop in stops {
            let color = stop["bgColor"].as_str().unwrap();
            assert!(color.len() == 7 && color.starts_with('#'), "{color}");
        }
        let bits: Vec<f64> = results
            .values()
            .map(|result| result["value"].as_f64().unwrap())
            .collect();
        if metric == "bits" {
            assert_eq!(bits.iter().filter(|bits| **bits == 32.0).count(), 1);
            assert_eq!(bits.iter().filter(|bits| **bits == 3.0).count(), layers - 1);
        }
        if metric == "splits" {
            assert!(bits.iter().sum::<f64>() > 20.0);
        }
    }
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_any_work() {
    assert_eq!(
        run(&["report", "demo:fashion"]).status.code(),
        Some(2),
        "nothing to write"
    );
    let output = run(&["report", "demo:fashion", "-o", "/absent/folder/r.html"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no folder"));
}
