//! Every network that we have survives a read, a write and a read.

use super::*;
use crate::onnx::{encode, write_file};
use std::fs;
use std::io::Read;

pub(in crate::onnx) const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");

/// Reads, writes and reads again; tells whether the bytes are those of the original, too.
///
/// Models are compared as bytes, because a NaN is not equal to itself.
fn survives(bytes: &[u8], name: &str) -> bool {
    let model = read_bytes(bytes.to_vec().into(), None).unwrap_or_else(|error| panic!("{name}: {error}"));
    let written = encode(&model).unwrap();
    let again = read_bytes(written.clone().into(), None).unwrap();
    assert!(encode(&again).unwrap() == written, "{name}");
    assert_eq!(format!("{again:?}"), format!("{model:?}"), "{name}");
    written == bytes
}

#[test]
#[ignore = "needs ../shared"]
fn the_networks_survive_a_read_and_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.onnx");
    let mut count = 0;
    for entry in fs::read_dir(Path::new(SHARED).join("models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "onnx") {
            let bytes = fs::read(&path).unwrap();
            let model = read_file(&path).unwrap();
            write_file(&model, &copy).unwrap();
            assert!(encode(&read_file(&copy).unwrap()).unwrap() == encode(&model).unwrap());
            survives(&bytes, &path.display().to_string());
            count += 1;
        }
    }
    assert!(count >= 7, "{count}");
}

#[test]
#[ignore = "needs ../shared"]
fn the_backend_test_models_survive_a_read_and_a_write_byte_for_byte() {
    let archive = Path::new(SHARED).join("data/onnx-1.17.0-backend-test-data.tar.gz");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(archive).unwrap())
        .read_to_end(&mut tar)
        .unwrap();
    let (mut count, mut identical) = (0, 0);
    for (name, bytes) in tar_files(&tar) {
        if name.ends_with(".onnx") {
            count += 1;
            identical += usize::from(survives(bytes, &name));
        }
    }
    assert!(count > 1000, "{count}");
    // All were written by protobuf itself, whose order of fields is ours.
    assert_eq!(identical, count);
}

/// Names and contents of the files of a tar archive: 512-byte headers, size in octal at 124, contents padded to 512.
pub(in crate::onnx) fn tar_files(mut tar: &[u8]) -> Vec<(String, &[u8])> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches(['\0', ' ']).to_owned();
    let mut files = Vec::new();
    while tar.len() >= 512 && tar[0] != 0 {
        let (header, rest) = tar.split_at(512);
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).unwrap();
        files.push((text(&header[..100]), &rest[..size]));
        tar = &rest[size.next_multiple_of(512)..];
    }
    files
}
