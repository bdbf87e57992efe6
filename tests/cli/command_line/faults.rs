//! What goes wrong: files, places, readers, disks, interrupts.

use super::*;
use crate::common::graph::{floats, model};
use splitscope::onnx::build::{float_tensor, node};
use splitscope::onnx::encode;
use std::io::{BufRead, BufReader};

#[test]
fn places_that_cannot_be_written_are_refused_and_nothing_is_touched() {
    let (folder, model) = folder_with_model();
    let onto_itself = fails(&["quantize", text(&model), "-o", text(&model)]);
    assert!(onto_itself.contains("the model itself"), "{onto_itself}");
    let absent = folder.path().join("absent").join("out.onnx");
    assert!(fails(&["quantize", text(&model), "-o", text(&absent)]).contains("no folder"));
    assert_eq!(std::fs::read(&model).unwrap(), FASHION);
    assert_eq!(names_in(folder.path()), ["model.onnx"]);
}

#[test]
fn files_that_are_not_there_or_no_network_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.onnx");
    assert!(fails(&["inspect", text(&absent)]).contains("absent.onnx"));
    fails(&["inspect", text(folder.path())]);
    fails(&["inspect", "demo:nothing"]);
    let contents: [(&str, &[u8]); 6] = [
        ("empty.onnx", b""),
        ("text.onnx", b"hello, I am no network\n"),
        ("zeros.onnx", &[0; 4096]),
        ("text.safetensors", b"hello, I am no network\n"),
        ("huge_header.safetensors", &[0xff; 64]),
        ("model.pt", b"PK\x03\x04"),
    ];
    for (name, bytes) in contents {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let line = fails(&["inspect", text(&path)]);
        assert!(line.contains(name), "{line}");
    }
    assert!(fails(&["evaluate", "demo:fashion", "--data", text(&absent)]).contains("absent.onnx"));
}

#[test]
fn a_truncated_network_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for length in [1, 100, FASHION.len() / 2, FASHION.len() - 1] {
        let path = folder.path().join(format!("first_{length}.onnx"));
        std::fs::write(&path, &FASHION[..length]).unwrap();
        fails(&["inspect", text(&path)]);
        fails(&["evaluate", text(&path), "--data", "demo:fashion", "--limit", "1"]);
    }
}

/// Some flipped bits spoil the file and some only a weight: whichever it is, there is one line or a result, no panic.
#[test]
fn a_network_with_flipped_bits_never_ends_in_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.onnx");
    let out = folder.path().join("out.onnx");
    let mut state = 0x2545_f491_u32;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    for round in 0..24 {
        let mut bytes = FASHION.to_vec();
        // The graph stands before and between the weights: the first bytes and the last are mostly structure.
        let at = match round % 3 {
            0 => random(600),
            1 => bytes.len() - 1 - random(600),
            _ => random(bytes.len()),
        };
        bytes[at] ^= 1 << random(8);
        std::fs::write(&path, &bytes).unwrap();
        let words = [
            "quantize",
            text(&path),
            "-o",
            text(&out),
            "--weight-bits",
            "4",
            "--activation-bits",
            "float",
        ];
        let output = splitscope(&words);
        let said = stderr(&output);
        match output.status.code() {
            Some(0) => assert_eq!(said, "", "byte {at}"),
            Some(1) => {
                assert_eq!(said.lines().count(), 1, "byte {at}: {said}");
                assert!(!said.contains("internal fault"), "byte {at}: {said}");
            }
            status => panic!("byte {at}: status {status:?}: {said}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(["inspect", "demo:fashion", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(program.stdout.take());
    let output = program.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(["inspect", "demo:fashion"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn an_interrupt_cancels_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("auto.toml");
    // Hundreds of runs of the network; the first log line comes before them and after the handler of the interrupt.
    let mut program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(["auto", "demo:fashion", "--data", "demo:fashion", "--fold-batch-norm"])
        .args(["--weight-bits", "3", "--budget", "10%", "-o", text(&out)])
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(program.stderr.take().unwrap()).lines();
    let first = told.next().unwrap().unwrap();
    assert!(first.contains("folded"), "{first}");
    let id = program.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(program.wait().unwrap().code(), Some(130));
    assert!(names_in(folder.path()).is_empty());
    let last = told.map(Result::unwrap).last();
    assert_eq!(last.as_deref(), Some("splitscope: cancelled"));
}

#[test]
fn a_network_of_operator_set_6_is_refused_by_its_file_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = vec![node("Conv", "c", ["x", "w"], ["y"], vec![])];
    let weight = float_tensor("w", &[1, 1, 1, 1], &[0.5]);
    let inputs = vec![floats("x", &[1, 1, 4, 4])];
    let old = model(6, (nodes, vec![weight]), inputs, vec![floats("y", &[1, 1, 4, 4])]);
    let path = folder.path().join("old.onnx").display().to_string();
    std::fs::write(&path, encode(&old).unwrap()).unwrap();
    let out = folder.path().join("out.onnx").display().to_string();
    for words in [
        &["quantize", &path, "--weight-bits", "4", "-o", &out][..],
        &["trace", &path, "--weight-bits", "4"],
    ] {
        let told = fails(words);
        for part in [
            "old.onnx",
            "operator set 6",
            "export it again with operator set 13",
            "onnx.version_converter",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        // Nothing that it could be stored as helps.
        assert!(!told.contains("int8"), "{told}");
    }
}
