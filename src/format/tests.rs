use super::*;
use std::fs;

const ONNX: &[u8] = include_bytes!("../../assets/fashion_resnet.onnx");
const SAFETENSORS: &[u8] = include_bytes!("../../assets/fashion_resnet.safetensors");

/// Reads `contents` under the given file name.
fn read_as(name: &str, contents: &[u8]) -> Result<(Format, ModelProto), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, contents).unwrap();
    let read = read(&path).map(|read| match read {
        Read::Graph(model) => (Format::Onnx, model),
        Read::Weights(format, model, _) => (format, model),
        Read::Checkpoint(format, model, ..) => (format, model),
    });
    read.map_err(|error| {
        let text = error.to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text.replace(&folder.path().display().to_string(), "")
    })
}

#[test]
fn files_are_told_by_extension_and_by_content() {
    for name in ["a.onnx", "a.ONNX", "a.bin", "a"] {
        assert_eq!(read_as(name, ONNX).unwrap().0, Format::Onnx, "{name}");
    }
    for name in ["a.safetensors", "a.bin", "a"] {
        assert_eq!(read_as(name, SAFETENSORS).unwrap().0, Format::Safetensors, "{name}");
    }
}

#[test]
fn a_wrong_extension_says_what_the_file_really_is() {
    assert_eq!(
        read_as("a.onnx", SAFETENSORS).unwrap_err(),
        "/a.onnx: this is a safetensors file; give it the extension .safetensors"
    );
    assert!(
        read_as("a.safetensors", ONNX)
            .unwrap_err()
            .contains("not a safetensors file")
    );
    for (name, contents, word) in [
        ("a.onnx", &b"PK\x03\x04...."[..], "torch.onnx.export"),
        ("a.pth", b"\x80\x02}", "torch.onnx.export"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("a.tflite", b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
        ("a.safetensors", b"version https://git-lfs.github.com", "git lfs pull"),
        ("a.onnx", b"", "empty"),
    ] {
        let error = read_as(name, contents).unwrap_err();
        assert!(error.starts_with(&format!("/{name}: ")), "{error}");
        assert!(
            error.contains(word) && error.contains("Splitscope opens .onnx, .safetensors and .gguf"),
            "{error}"
        );
    }
    assert!(
        read_as("notes.txt", b"hello")
            .unwrap_err()
            .contains("no network was found in it")
    );
    assert!(
        read_as("a.onnx", &ONNX[..900])
            .unwrap_err()
            .contains("/a.onnx: not an ONNX model: broken at")
    );
}

#[test]
fn a_missing_file_and_a_folder_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let fault = |path: &Path| open(path).err().unwrap().to_string();
    assert!(fault(folder.path()).contains("this is a folder"));
    let missing = folder.path().join("m.onnx");
    assert_eq!(fault(&missing), format!("{}: there is no such file", missing.display()));
}

#[test]
fn an_unknown_demo_lists_those_that_there_are() {
    assert_eq!(
        open(Path::new("demo:imagenet")).err().unwrap().to_string(),
        "demo:imagenet: there is no such demo; there are demo:fashion, demo:shakespeare"
    );
    assert_eq!(demo_of(Path::new("demo:fashion")).unwrap(), Some(Demo::Fashion));
    assert_eq!(demo_of(Path::new("fashion.onnx")).unwrap(), None);
}
