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

/// Bytes of a table that no layer uses: an export copies it as it is, which takes a while.
#[cfg(target_os = "linux")]
const TABLE: usize = 192 << 20;

/// A file of weights with one small layer and a large table.
#[cfg(target_os = "linux")]
fn large_model(path: &Path) {
    use splitscope::onnx::build::{float_tensor, raw_tensor};
    let table = raw_tensor(
        "table",
        splitscope::onnx::schema::data_type::FLOAT,
        &[TABLE / 4],
        vec![0; TABLE],
    );
    let weight = float_tensor("fc.weight", &[2, 3], &[0.5, -1.0, 0.25, 2.0, -0.75, 0.125]);
    splitscope::format::safetensors::write(path, &[weight, table], &[]).unwrap();
}

/// Stops a process as soon as a half-written file lies in `folder`: how long that file then is, `None` where the process was
/// too quick.
#[cfg(target_os = "linux")]
fn stop_while_it_writes(child: &mut Child, folder: &Path) -> Option<u64> {
    let unfinished = || {
        let mut entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries.find(|entry| entry.file_name().to_string_lossy().ends_with(".part"))
    };
    while unfinished().is_none() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::yield_now();
    }
    signal("-STOP", child.id());
    // The letter behind the name in brackets is the state; T is stopped, Z has ended.
    let state = || {
        let line = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        line.rsplit(") ").next().unwrap().chars().next().unwrap()
    };
    while !matches!(state(), 'T' | 'Z') {
        std::thread::yield_now();
    }
    Some(unfinished()?.metadata().unwrap().len())
}

/// The process stands still in the middle of an export when the signal is sent, which is certain: the file beside its place is
/// there and is not whole. It stops there, and the old file stays.
#[cfg(target_os = "linux")]
#[test]
fn an_export_that_is_told_to_end_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (
        folder.path().join("model.safetensors"),
        folder.path().join("out.safetensors"),
    );
    large_model(&model);
    let (mut in_the_middle, mut cancelled) = (0, 0);
    for name in ["-INT", "-TERM", "-INT", "-TERM"] {
        std::fs::write(&out, "old").unwrap();
        let words = [
            "quantize",
            "model.safetensors",
            "-o",
            "out.safetensors",
            "--weight-bits",
            "4",
        ];
        let mut child = start(folder.path(), &words);
        let length = stop_while_it_writes(&mut child, folder.path());
        let is_in_the_middle = length.is_some_and(|length| (length as usize) < TABLE);
        if is_in_the_middle {
            assert_eq!(std::fs::read(&out).unwrap(), b"old");
        }
        signal(name, child.id());
        signal("-CONT", child.id());
        let (status, told) = ended(child);
        match status {
            Some(130) => {
                if is_in_the_middle {
                    assert_eq!(std::fs::read(&out).unwrap(), b"old", "{told}");
                    cancelled += 1;
                }
                assert_eq!(told, "splitscope: cancelled\n");
            }
            // It can have been done before the thread that listens was given a processor.
            Some(0) => assert!(std::fs::metadata(&out).unwrap().len() as usize > TABLE),
            other => panic!("{other:?}: {told}"),
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "{told}");
        in_the_middle += usize::from(is_in_the_middle);
    }
    assert!(in_the_middle > 0, "no export was met in the middle");
    assert!(cancelled > 0, "no export of {in_the_middle} was stopped");
}
