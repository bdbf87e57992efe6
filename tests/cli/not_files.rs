//! What is not a file where a file is named: pipes and devices are refused by name and never waited for.

#![cfg(unix)]

use super::command_line::stderr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program in `folder`; a run that waits is ended, and its status is then 124.
fn run(folder: &Path, words: &[&str]) -> Output {
    let program = Command::new("timeout")
        .args(["60", env!("CARGO_BIN_EXE_splitscope")])
        .args(words)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output();
    program.unwrap()
}

fn folder_with_pipe() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    folder
}

#[test]
fn pipes_and_devices_are_refused_by_name() {
    let folder = folder_with_pipe();
    for place in ["pipe", "/dev/zero"] {
        for words in [
            &["inspect", place][..],
            &["evaluate", "demo:fashion", "--data", place],
            &[
                "evaluate",
                "demo:fashion",
                "--data",
                "demo:fashion",
                "--calibration",
                place,
                "--activation-bits",
                "8",
            ],
            &["evaluate", "demo:fashion", "--data", "demo:fashion", "--recipe", place],
            &["report", "demo:fashion", "-o", "page.html", "--sweep", place],
            &["sweep", "demo:fashion", "--data", place, "--weight-bits", "4"],
            &[
                "evaluate",
                "demo:shakespeare",
                "--data",
                "demo:shakespeare",
                "--vocab",
                place,
                "--weight-bits",
                "4",
            ],
        ] {
            let output = run(folder.path(), words);
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{words:?}: {told}");
            assert!(told.contains(place), "{words:?}: {told}");
        }
    }
}

#[test]
fn a_pipe_beside_a_model_is_left_out_by_name() {
    let folder = folder_with_pipe();
    std::fs::rename(folder.path().join("pipe"), folder.path().join("config.json")).unwrap();
    let model = folder.path().join("model.onnx");
    std::fs::write(&model, include_bytes!("../../assets/fashion_resnet.onnx")).unwrap();
    let output = run(folder.path(), &["inspect", "model.onnx"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("config.json") && told.contains("no ordinary file"),
        "{told}"
    );
}

#[test]
fn a_link_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("real.onnx"), "old").unwrap();
    std::os::unix::fs::symlink("real.onnx", folder.path().join("link.onnx")).unwrap();
    let words = ["quantize", "demo:fashion", "--weight-bits", "4", "-o", "link.onnx"];
    let output = run(folder.path(), &words);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(folder.path().join("link.onnx").is_symlink());
    assert!(std::fs::read(folder.path().join("real.onnx")).unwrap().len() > 100_000);
}
