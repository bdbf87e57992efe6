//! What a file may make the program take of memory, under a limit on all of its memory.

#![cfg(unix)]

use super::command_line::stderr;
use crate::common::graph::{floats, model};
use splitscope::onnx::build::{float_tensor, i64_tensor, int_attribute, ints_attribute, node};
use splitscope::onnx::{NodeProto, TensorProto, encode};
use std::fs::File;
use std::io::{Read as _, Write};
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

/// A PNG of zeros: `depth` bits for each of the pixel's `samples` (1: grey, 3: colour).
fn png(width: u32, height: u32, depth: u8, samples: u8) -> Vec<u8> {
    let row = 1 + (u64::from(width) * u64::from(depth) * u64::from(samples)).div_ceil(8);
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut std::io::repeat(0).take(row * u64::from(height)), &mut packed).unwrap();
    let colour = if samples == 3 { 2 } else { 0 };
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[depth, colour, 0, 0, 0],
    ]
    .concat();
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", header),
        (b"IDAT", packed.finish().unwrap()),
        (b"IEND", Vec::new()),
    ] {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(&data);
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(kind);
        bytes.extend(data);
        bytes.extend(sum.sum().to_be_bytes());
    }
    bytes
}

/// Pictures within the limit of 256 MiB run in 1 GB, however long and narrow: columns are put together before they are resized
/// (two million columns took 0.9 GB, sixteen million 7). Pictures beyond it are refused with their size.
#[test]
fn pictures_are_decoded_and_resized_in_the_stated_memory() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("bits.png", png(4000, 4000, 1, 1), None),
        ("wide.png", png(2_000_000, 1, 8, 1), None),
        ("narrow.png", png(1, 2_000_000, 8, 1), None),
        ("more bits.png", png(16_400, 16_400, 1, 1), Some("16400 x 16400")),
        ("colours.png", png(10_000, 10_000, 8, 3), Some("10000 x 10000")),
    ];
    for (name, bytes, refused) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let ran = limited(
            folder.path(),
            1_000_000,
            &["evaluate", "demo:fashion", "--data", name, "--weight-bits", "4"],
        );
        let told = stderr(&ran);
        match refused {
            None => assert_eq!(ran.status.code(), Some(0), "{name}: {told}"),
            Some(size) => {
                assert_eq!(ran.status.code(), Some(1), "{name}: {told}");
                assert!(told.contains(size) && told.contains(name), "{told}");
            }
        }
    }
}

/// A zip archive of entries with zeros, packed `zeros` bytes each. `over`: all of them are one and the same.
fn zeros_in_zip(names: &[String], zeros: u64, over: bool) -> Vec<u8> {
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut std::io::repeat(0).take(zeros), &mut packed).unwrap();
    let packed = packed.finish().unwrap();
    let mut sum = flate2::Crc::new();
    let block = vec![0; 1 << 20];
    (0..zeros >> 20).for_each(|_| sum.update(&block));
    let entry = |name: &str| {
        let fields: [&[u8]; 6] = [
            &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0],
            &sum.sum().to_le_bytes(),
            &(packed.len() as u32).to_le_bytes(),
            &(zeros as u32).to_le_bytes(),
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ];
        fields.concat()
    };
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for name in names {
        let at = if over { 0 } else { file.len() as u32 };
        if !over || file.is_empty() {
            file.extend([b"PK\x03\x04", &entry(name)[..], name.as_bytes(), &packed].concat());
        }
        directory.extend(
            [
                b"PK\x01\x02\x14\x00",
                &entry(name)[..],
                &[0; 10],
                &at.to_le_bytes(),
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let count = (names.len() as u16).to_le_bytes();
    let ends = [
        (directory.len() as u32).to_le_bytes(),
        (file.len() as u32).to_le_bytes(),
    ]
    .concat();
    [
        &file[..],
        &directory,
        b"PK\x05\x06\0\0\0\0",
        &count,
        &count,
        &ends,
        &[0, 0],
    ]
    .concat()
}

/// Archives whose entries lie over each other, or unpack to more than is stated, are refused before they are unpacked: as
/// weights and as data, in 1 GB.
#[test]
fn archives_that_unpack_to_more_than_is_stated_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let torch: Vec<String> = (0..40)
        .map(|key| format!("a/data/{key}"))
        .chain(["a/data.pkl".to_owned()])
        .collect();
    let arrays: Vec<String> = (0..40).map(|at| format!("{at}.npy")).collect();
    let write = |name: &str, names: &[String], over| {
        std::fs::write(folder.path().join(name), zeros_in_zip(names, 200 << 20, over)).unwrap();
    };
    write("over.pth", &torch, true);
    write("packed.pth", &torch[..8], false);
    write("packed with pickle.pth", &torch[33..], false);
    write("over.npz", &arrays, true);
    let refused = |words: &[&str], reason: &str| {
        let ran = limited(folder.path(), 1_000_000, words);
        let told = stderr(&ran);
        assert_eq!(ran.status.code(), Some(1), "{words:?}: {told}");
        assert!(told.contains(reason), "{words:?}: {told}");
    };
    refused(&["inspect", "over.pth"], "lie over each other");
    refused(&["inspect", "packed.pth"], "packed.pth");
    refused(&["inspect", "packed with pickle.pth"], "more than 1024 MiB");
    refused(
        &["evaluate", "demo:fashion", "--data", "over.npz"],
        "lie over each other",
    );
}
