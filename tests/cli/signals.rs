//! Signals: whatever the program does, it ends with status 130 and leaves no half-written file.

#![cfg(unix)]

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Longer than any machine takes: what is not ended then has not heard the signal.
const NEVER: Duration = Duration::from_secs(120);

fn start(folder: &Path, words: &[&str]) -> Child {
    let program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(words)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    program.unwrap()
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill")
        .args([name, &process.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// The status of a process that was told to end, and what it said; one that does not is killed, and has no status. What it
/// writes to standard output is never read.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let (done, is_done) = channel::<()>();
    let process = child.id();
    let watch = std::thread::spawn(move || {
        if is_done.recv_timeout(NEVER) == Err(RecvTimeoutError::Timeout) {
            signal("-KILL", process);
        }
    });
    let status = child.wait().unwrap();
    drop(done);
    watch.join().unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    (status.code(), told)
}

/// It prints more than a pipe holds, and nobody reads on: it waits in the middle of writing, at no step of its work.
#[test]
fn a_program_that_waits_for_its_reader_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["-TERM", "-INT"] {
        let mut child = start(folder.path(), &["generate", "zsh"]);
        let mut first = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        signal(name, child.id());
        let (status, told) = ended(child);
        assert_eq!(status, Some(130), "{name}: {told}");
        assert_eq!(told, "splitscope: cancelled\n", "{name}");
    }
}

/// A table of a sweep is a pipe that nobody reads: opening it waits for a reader.
#[test]
fn a_program_that_waits_for_a_pipe_ends_and_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("table");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::write(folder.path().join("out.onnx"), "old").unwrap();
    let words = ["sweep", "demo:fashion", "--weight-bits", "4", "--csv", "table"];
    let child = start(folder.path(), &words);
    // Opening the other end waits until the program has opened its own; then it works, and is told to end.
    let reader = std::fs::File::open(&pipe).unwrap();
    signal("-TERM", child.id());
    let (status, told) = ended(child);
    drop(reader);
    assert_eq!(status, Some(130), "{told}");
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["out.onnx", "table"]);
}

/// An export that is told to end between its first byte and its last leaves the old file; one that was done leaves the new.
#[test]
fn an_export_that_is_told_to_end_leaves_the_old_file_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    let (mut cancelled, mut written) = (0, 0);
    for _ in 0..4 {
        std::fs::write(&out, "old").unwrap();
        let child = start(
            folder.path(),
            &["quantize", "demo:fashion", "--preset", "int4", "-o", "out.safetensors"],
        );
        signal("-INT", child.id());
        let (status, told) = ended(child);
        match status {
            // Before it listens the system ends it (no status), as it does any program.
            None | Some(130) => {
                assert_eq!(std::fs::read(&out).unwrap(), b"old", "{told}");
                cancelled += 1;
            }
            Some(0) => {
                assert!(std::fs::read(&out).unwrap().len() > 1000);
                written += 1;
            }
            other => panic!("{other:?}: {told}"),
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{told}");
    }
    assert_eq!(cancelled + written, 4);
}
