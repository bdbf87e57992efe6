use super::*;
use crate::onnx::{as_written, numbers};
use std::path::Path;

fn fixture() -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf/quants.gguf");
    std::fs::read(path).unwrap().into()
}

#[test]
fn every_format_is_decoded_to_the_very_floats_of_the_reference() {
    let file = read(&fixture(), "quants.gguf").unwrap();
    let tensor = |name: &str| file.tensors.iter().find(|tensor| tensor.name() == name).unwrap();
    let mut seen = 0;
    for expected in file
        .tensors
        .iter()
        .filter(|tensor| tensor.name().ends_with(".expected"))
    {
        let name = expected.name().trim_end_matches(".expected");
        let bits = |tensor: &TensorProto| numbers(tensor).unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(tensor(name).dims, expected.dims, "{name}");
        assert_eq!(bits(tensor(name)), bits(expected), "{name}");
        seen += 1;
    }
    // Every format in blocks, F16 and BF16.
    assert_eq!(seen, 25);
    assert_eq!(tensor("Q4_K").dims, [3, 512]);
}

#[test]
fn metadata_come_with_their_types() {
    let metadata = metadata(&fixture(), "quants.gguf").unwrap();
    assert_eq!(metadata.architecture(), Some("splitscope-test"));
    assert_eq!(metadata.count("test.count"), Some(7));
    assert_eq!(metadata.texts("test.words").unwrap(), ["a", "ü", "", "word"]);
    assert_eq!(metadata.integers("test.numbers").unwrap(), [-1, 2, 3]);
    assert_eq!(metadata.floats("test.floats").unwrap(), [0.5, -2.0]);
    assert_eq!(metadata.flag("test.yes"), Some(true));
    assert_eq!(metadata.text("test.count"), None);
}

#[test]
fn a_file_of_an_unknown_architecture_is_looked_at() {
    let network =
        crate::format::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf/quants.gguf")).unwrap();
    assert_eq!(network.format, crate::network::Format::Gguf);
    assert_eq!(network.layers.len(), 50);
    assert!(network.why_not_runnable.is_some());
    let layer = network.layer_index("Q6_K").unwrap();
    assert_eq!(network.weights(layer).unwrap().len(), 3 * 512);
}

#[test]
fn a_file_cut_off_anywhere_is_refused_in_one_line() {
    let bytes = fixture();
    for length in (0..bytes.len()).step_by(13).chain(bytes.len() - 40..bytes.len()) {
        if let Err(error) = read(&bytes.slice(..length), "cut.gguf") {
            assert_eq!(error.to_string().lines().count(), 1);
        } else {
            // The padding behind the last tensor.
            assert!(length > bytes.len() - 32, "{length}");
        }
    }
}

#[test]
fn any_byte_may_be_wrong() {
    let bytes = fixture();
    let end = bytes.len().min(2600);
    for at in 0..end {
        for value in [0, 1, 0x7f, 0xff] {
            let mut broken = bytes.to_vec();
            broken[at] = value;
            // It may be read or refused: it may not panic, nor take memory that the file cannot fill.
            if let Ok(file) = read(&broken.into(), "broken.gguf") {
                file.tensors.iter().for_each(|tensor| drop(numbers(tensor)));
            }
        }
    }
}

#[test]
fn a_format_that_is_not_decoded_is_listed_and_the_rest_goes_on() {
    let bytes = fixture().to_vec();
    // The type stands behind name, number of axes and two sizes.
    let name = b"\x04\0\0\0\0\0\0\0Q4_0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4 + 16;
    let with_type = |number: u32| {
        let mut other = bytes.clone();
        other[at..at + 4].copy_from_slice(&number.to_le_bytes());
        other
    };
    let folder = tempfile::tempdir().unwrap();
    for (number, word) in [(15, "Q8_K"), (41, "Q1_0"), (200, "GGUF's type 200")] {
        let path = folder.path().join("f.gguf");
        std::fs::write(&path, with_type(number)).unwrap();
        let network = crate::format::open(&path).unwrap();
        let reason = format!("stored as {word}, which is not decoded");
        for (layer, place) in network.layers.iter().zip(0..) {
            let unsupported = layer.support.why_not_split().map(ToString::to_string);
            if layer.name == "Q4_0" {
                assert_eq!(unsupported.as_deref(), Some(reason.as_str()));
                assert!(network.weights(place).is_err());
            } else {
                assert!(network.weights(place).is_ok(), "{}", layer.name);
            }
        }
        let tensors = read(&with_type(number).into(), "f.gguf").unwrap().tensors;
        let error = as_written(&tensors[0]).unwrap_err().to_string();
        assert!(error.contains("'Q4_0'") && error.contains(word), "{error}");
    }
    let error = read(&with_type(1 << 20).into(), "f.gguf").unwrap_err().to_string();
    assert!(
        error.contains("unknown type 1048576") && error.contains("'Q4_0'"),
        "{error}"
    );
}

#[test]
fn other_versions_and_byte_orders_say_so() {
    let with_version = |version: [u8; 4]| {
        let mut bytes = fixture().to_vec();
        bytes[4..8].copy_from_slice(&version);
        read(&bytes.into(), "f.gguf").unwrap_err().to_string()
    };
    assert!(with_version([0, 0, 0, 3]).contains("big-endian"));
    assert!(with_version([1, 0, 0, 0]).contains("version 1"));
    assert!(read(&Bytes::from_static(b"GGML"), "f.gguf").is_err());
}

/// Blocks that are not decoded have no length of their own: their sizes are bounded by the file, or whatever is made for each of their
/// channels would not fit into memory.
#[test]
fn blocks_that_are_not_decoded_are_no_larger_than_the_file_has_room_for() {
    let mut bytes = fixture().to_vec();
    let name = b"\x04\0\0\0\0\0\0\0Q4_0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4;
    bytes[at..at + 8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    bytes[at + 16..at + 20].copy_from_slice(&41_u32.to_le_bytes());
    let error = read(&bytes.into(), "f.gguf").unwrap_err().to_string();
    assert!(error.contains("'Q4_0' lie outside"), "{error}");
}
