//! What a file may make the program take of memory, under a limit on all of its memory.

#![cfg(unix)]

use super::command_line::stderr;
use crate::common::graph::{floats, model};
use splitscope::onnx::build::{float_tensor, i64_tensor, int_attribute, ints_attribute, node};
use splitscope::onnx::{NodeProto, TensorProto, encode};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in `folder` with at most so many KiB of addresses.
fn limited(folder: &Path, kib: u64, words: &[&str]) -> Output {
    limited_by(folder, &format!("ulimit -v {kib}"), words)
}

fn limited_by(folder: &Path, limit: &str, words: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_splitscope"))
        .args(words)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

/// A network of one convolution that asks for tens of gigabytes when it runs is quantized all the same, in 2 GB: its shapes are
/// worked out, and nothing is run.
#[test]
fn weights_of_a_network_too_large_to_run_are_quantized() {
    let folder = tempfile::tempdir().unwrap();
    let weight = || float_tensor("w", &[2, 1, 1, 1], &[1.0, 0.5]);
    let conv = |attributes| node("Conv", "c", ["x", "w"], ["t"], attributes);
    let huge: Vec<NodeProto> = vec![
        conv(vec![]),
        node("ConstantOfShape", "", ["s"], ["k"], vec![]),
        node("ReduceSum", "", ["k"], ["r"], vec![int_attribute("keepdims", 0)]),
        node("Add", "", ["t", "r"], ["y"], vec![]),
    ];
    let sizes = i64_tensor("s", &[2], &[100_000, 100_000]);
    /// Name of the file, nodes, constants, shape of the input.
    type File = (&'static str, Vec<NodeProto>, Vec<TensorProto>, [i64; 4]);
    let files: [File; 5] = [
        ("input", vec![conv(vec![])], vec![weight()], [1, 1, 100_000, 100_000]),
        ("batch", vec![conv(vec![])], vec![weight()], [1_000_000_000, 1, 4, 4]),
        ("overflow", vec![conv(vec![])], vec![weight()], [1 << 40, 1, 1 << 40, 4]),
        (
            "pads",
            vec![conv(vec![ints_attribute("pads", [50_000; 4])])],
            vec![weight()],
            [1, 1, 4, 4],
        ),
        ("constant", huge, vec![weight(), sizes], [1, 1, 4, 4]),
    ];
    for (name, nodes, constants, x) in files {
        let output = nodes.last().unwrap().output[0].clone();
        let file = model(
            17,
            (nodes, constants),
            vec![floats("x", &x)],
            vec![floats(&output, &[0, 0, 0, 0])],
        );
        let path = format!("{name}.onnx");
        std::fs::write(folder.path().join(&path), encode(&file).unwrap()).unwrap();
        let words = ["quantize", &path, "-o", "out.onnx", "--weight-bits", "8"];
        let ran = limited(folder.path(), 2_000_000, &words);
        assert_eq!(ran.status.code(), Some(0), "{name}: {}", stderr(&ran));
        assert!(folder.path().join("out.onnx").exists(), "{name}");
        std::fs::remove_file(folder.path().join("out.onnx")).unwrap();
    }
}

/// A file of 16 tensors of 24 MiB, most of it a hole that takes no room on the disk.
fn write_large(path: &Path) -> usize {
    const TENSORS: usize = 16;
    const SIDE: usize = 2508;
    let bytes = 4 * SIDE * SIDE;
    let entry = |i: usize| {
        format!(
            "\"w{i:02}\":{{\"dtype\":\"F32\",\"shape\":[{SIDE},{SIDE}],\"data_offsets\":[{},{}]}}",
            i * bytes,
            (i + 1) * bytes
        )
    };
    let mut header = format!("{{{}}}", (0..TENSORS).map(entry).collect::<Vec<_>>().join(","));
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.write_all(&(-1.0_f32).to_le_bytes()).unwrap();
    file.set_len((8 + header.len() + TENSORS * bytes) as u64).unwrap();
    SIDE * SIDE * TENSORS
}

/// What is written waits on the disk: an export of 96 MiB, made of a file of 384, fits in memory of its own that holds neither.
#[cfg(target_os = "linux")]
#[test]
fn an_export_of_weights_takes_no_more_memory_than_some_of_its_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let weights = write_large(&folder.path().join("large.safetensors"));
    for (layout, bits) in [("splitscope", "8"), ("splitscope", "4")] {
        let words = [
            "quantize",
            "large.safetensors",
            "-o",
            "out.safetensors",
            "--weight-bits",
            bits,
            "--layout",
            layout,
            "--threads",
            "2",
        ];
        // What the program writes to in memory, maps of files left out.
        let ran = limited_by(folder.path(), "ulimit -d 90000", &words);
        assert_eq!(ran.status.code(), Some(0), "{layout} {bits}: {}", stderr(&ran));
        let out = folder.path().join("out.safetensors");
        let length = std::fs::metadata(&out).unwrap().len() as usize;
        let codes = weights * bits.parse::<usize>().unwrap() / 8;
        assert!(
            (codes..codes + 10_000).contains(&length),
            "{length} bytes for {codes} of codes"
        );
        std::fs::remove_file(out).unwrap();
    }
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["large.safetensors"], "nothing is left behind");
}
