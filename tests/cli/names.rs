//! Names from files, made to deceive or to flood: nothing that acts on a terminal is printed, whatever a subcommand says, and
//! what programs read stays exact.

use super::command_line::{json, stderr, stdout};
use crate::common::graph::{floats, model};
use splitscope::onnx::build::{float_tensor, node};
use splitscope::onnx::write_file;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Erases the screen, sets the title of the terminal, forges an error, turns text around, and is a formula.
const HOSTILE: &str = "=fc\u{1b}[2J\u{1b}]0;owned\u{7}\nsplitscope: error: forged\u{9b}31m\u{202e}gpj\u{2028}\u{feff}";

/// What must never reach a terminal.
fn acts(c: char) -> bool {
    c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
}

fn run(folder: &Path, words: &[&str]) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(words)
        .current_dir(folder)
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .output();
    program.unwrap()
}

/// Two layers of these names behind each other.
fn network(folder: &Path, names: [&str; 2]) -> PathBuf {
    let weights: Vec<f32> = (0..16).map(|i| (i as f32 - 7.5) / 8.0).collect();
    let layers = vec![
        node("MatMul", names[0], ["x", "w0"], ["h"], vec![]),
        node("MatMul", names[1], ["h", "w1"], ["y"], vec![]),
    ];
    let constants = vec![
        float_tensor("w0", &[4, 4], &weights),
        float_tensor("w1", &[4, 4], &weights),
    ];
    let model = model(
        17,
        (layers, constants),
        vec![floats("x", &[0, 4])],
        vec![floats("y", &[0, 4])],
    );
    let path = folder.join("model.onnx");
    write_file(&model, &path).unwrap();
    path
}

/// Every subcommand on the same network; `report.json` and `rows.csv` are written too.
const RUNS: [&[&str]; 11] = [
    &["inspect", "model.onnx"],
    &["inspect", "model.onnx", "--json"],
    &[
        "quantize",
        "model.onnx",
        "-o",
        "out.onnx",
        "--weight-bits",
        "3",
        "--expand-ratio",
        "0.2",
        "--report",
        "report.json",
    ],
    &["sensitivity", "model.onnx", "--weight-bits", "3"],
    &["sensitivity", "model.onnx", "--weight-bits", "3", "--json"],
    &["sweep", "model.onnx", "--weight-bits", "3,2", "--csv", "rows.csv"],
    &[
        "auto",
        "model.onnx",
        "--weight-bits",
        "3",
        "--budget",
        "10%",
        "-o",
        "auto.toml",
    ],
    &["diff", "model.onnx", "out.onnx"],
    &["report", "model.onnx", "-o", "page.html", "--weight-bits", "3"],
    &["inspect", "model.onnx", "--curves", "no such layer"],
    &["inspect", "out.onnx"],
];

#[test]
fn no_output_holds_what_acts_on_a_terminal_and_json_keeps_names_exact() {
    let folder = tempfile::tempdir().unwrap();
    network(folder.path(), [HOSTILE, "plain"]);
    for words in RUNS {
        let output = run(folder.path(), words);
        let fails = words.contains(&"no such layer");
        assert_eq!(
            output.status.code(),
            Some(i32::from(fails)),
            "{words:?}: {}",
            stderr(&output)
        );
        for printed in [stdout(&output), stderr(&output)] {
            assert!(!printed.chars().any(acts), "{words:?}: {printed:?}");
            let forged = printed
                .lines()
                .any(|line| line.trim_start().starts_with("splitscope: error: forged"));
            assert!(!forged, "{words:?}: {printed}");
        }
        if words == RUNS[1] {
            assert_eq!(json(&stdout(&output))["layers"][0]["name"], HOSTILE);
        }
    }
    let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(json(&file("report.json"))["layers"][0]["name"], HOSTILE);
    for name in ["page.html", "rows.csv"] {
        assert!(!file(name).chars().any(acts), "{name}");
    }
    // The recipe names the layer as the file does.
    let recipe = run(folder.path(), &["evaluate", "model.onnx", "--recipe", "auto.toml"]);
    assert!(!stderr(&recipe).contains("layer '"), "{}", stderr(&recipe));
}

#[test]
fn names_of_any_length_leave_tables_readable() {
    let folder = tempfile::tempdir().unwrap();
    for length in [65_535, 65_536, 70_000] {
        // What a run before wrote is not gone on with.
        let _ = std::fs::remove_file(folder.path().join("rows.csv"));
        network(folder.path(), [&"L".repeat(length), "plain"]);
        for words in RUNS {
            let output = run(folder.path(), words);
            let expected = i32::from(words.contains(&"no such layer"));
            assert_eq!(output.status.code(), Some(expected), "{words:?}: {}", stderr(&output));
            if !words.contains(&"--json") {
                let longest = stdout(&output).lines().map(|line| line.chars().count()).max();
                assert!(longest.unwrap_or(0) < 1100, "{words:?}: {longest:?}");
            }
        }
    }
}

#[test]
fn labels_inputs_and_operators_are_made_safe_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let constants = vec![float_tensor("w", &[4, 4], &[0.5; 16])];
    let layers = vec![
        node("MatMul", "a", ["x", "w"], ["h"], vec![]),
        node(
            "Selu",
            format!("{HOSTILE}{}", "x".repeat(1_000_000)),
            ["h"],
            ["y"],
            vec![],
        ),
    ];
    let broken = model(
        17,
        (layers, constants),
        vec![floats("x", &[0, 4])],
        vec![floats("y", &[0, 4])],
    );
    write_file(&broken, &folder.path().join("model.onnx")).unwrap();
    std::fs::write(folder.path().join("labels.txt"), format!("0 {HOSTILE}\n")).unwrap();
    std::fs::write(
        folder.path().join("config.json"),
        format!("{{\"num_labels\": \"{}\"}}", "\\u001b[2J"),
    )
    .unwrap();
    for words in [
        &["evaluate", "model.onnx", "--data", "labels.txt"][..],
        &["evaluate", "model.onnx", "--data", HOSTILE],
        &[
            "evaluate",
            "demo:fashion",
            "--data",
            "demo:fashion",
            "--labels",
            "labels.txt",
        ],
        &["sensitivity", "model.onnx"],
        &["quantize", "model.onnx", "-o", "out.onnx", "--float-layer", HOSTILE],
    ] {
        let output = run(folder.path(), words);
        let told = stderr(&output);
        assert!(!told.chars().any(acts), "{words:?}: {told:?}");
        assert!(told.len() < 20_000, "{words:?}: {} bytes", told.len());
    }
}

/// A model, its data and its outputs under names that are bytes and no text.
#[cfg(unix)]
#[test]
fn files_whose_names_are_no_text_are_read_and_written() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    let (model, data) = (at(b"caf\xe9.onnx"), at(b"d\xff.npy"));
    std::fs::write(&model, include_bytes!("../../assets/fashion_resnet.onnx")).unwrap();
    // Two pictures of 28 x 28 floats, NumPy's format 1.0.
    let mut header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 28, 28), }".to_owned();
    header.extend(std::iter::repeat_n(' ', 117 - header.len()));
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    npy.extend(header.bytes().chain(*b"\n"));
    npy.extend((0..2 * 28 * 28).flat_map(|i| ((i % 7) as f32 / 7.0).to_le_bytes()));
    std::fs::write(&data, npy).unwrap();
    let run = |words: &[&OsStr]| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_splitscope"));
        let output = program.args(words).env_remove("RUST_LOG").output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let words = |text: &'static str| text.split(' ').map(OsStr::new).collect::<Vec<_>>();
    assert_eq!(run(&[OsStr::new("inspect"), model.as_os_str()]).0, Some(0));
    let flags = words("--weight-bits 4 --activation-bits float --expand-ratio 0.05");
    for ending in [&b"onnx"[..], b"safetensors"] {
        let out = at(&[b"o\xe9.", ending].concat());
        let quantize = [
            OsStr::new("quantize"),
            model.as_os_str(),
            OsStr::new("-o"),
            out.as_os_str(),
        ];
        let (code, said) = run(&[&quantize[..], &flags].concat());
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(run(&[OsStr::new("inspect"), out.as_os_str()]).0, Some(0));
    }
    let evaluate = [
        OsStr::new("evaluate"),
        model.as_os_str(),
        OsStr::new("--data"),
        data.as_os_str(),
    ];
    let (code, said) = run(&[&evaluate[..], &flags].concat());
    assert_eq!(code, Some(0), "{said}");
    let over = [
        OsStr::new("quantize"),
        model.as_os_str(),
        OsStr::new("-o"),
        model.as_os_str(),
    ];
    let (code, said) = run(&[&over[..], &flags].concat());
    assert!(code == Some(1) && said.contains("is the model itself"), "{said}");
}
