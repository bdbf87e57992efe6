//! What a file that is no network really is, told by its first bytes, and what to do about it.

/// What `bytes` are, if they begin like a well-known kind of file that is neither ONNX, safetensors nor GGUF.
///
/// The text goes on from "the file is".
pub fn foreign_kind(bytes: &[u8]) -> Option<&'static str> {
    const EXPORT_TORCH: &str =
        "a PyTorch file (.pt, .pth): export the network with torch.onnx.export, or its weights as safetensors";
    let text = bytes.trim_ascii_start();
    let at_four = bytes.get(4..8).unwrap_or_default();
    // Safetensors: the length of the header may look like anything, the header begins with a brace.
    if at_four == [0; 4] && bytes.get(8) == Some(&b'{') {
        return None;
    }
    Some(match bytes {
        [] => "empty",
        _ if bytes.starts_with(b"version https://git-lfs") => {
            "a Git LFS pointer, not the network itself: run `git lfs pull` in its repository"
        }
        _ if text.starts_with(b"<") => "an HTML or XML page, not a network: the download went wrong",
        _ if bytes.starts_with(b"PK\x03\x04") => {
            "a zip archive, such as one of torch.export (.pt2) or Keras (.keras), and neither a state dict of PyTorch nor arrays \
             of NumPy (.npz): export the network with torch.onnx.export or tf2onnx"
        }
        [0x80, 2..=5, ..] => EXPORT_TORCH,
        _ if bytes.starts_with(b"\x89HDF\r\n\x1a\n") => {
            "an HDF5 file, such as Keras writes (.h5): export the network with tf2onnx"
        }
        _ if at_four == b"TFL3" => "a TensorFlow Lite file: convert it with tf2onnx --tflite",
        _ if at_four == b"ORTM" => "an ONNX Runtime (.ort) file: open the ONNX file that it was made from",
        _ if bytes.starts_with(b"RTEN") => "an .rten file: open the ONNX file that it was made from",
        _ if bytes.starts_with(b"\x93NUMPY") => "a numpy array (.npy), not a network",
        [0x1f, 0x8b, ..] => "compressed with gzip: unpack it first",
        _ if text.starts_with(b"{") => "a JSON file, not a network",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::foreign_kind;

    #[test]
    fn well_known_kinds_are_named() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
            (b"\n <!DOCTYPE html>", "HTML"),
            (b"PK\x03\x04rest", "PyTorch"),
            (b"\x80\x02}q", "PyTorch"),
            (b"\x89HDF\r\n\x1a\n..", "HDF5"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            (b"{\"weight_map\":", "JSON"),
        ] {
            let kind = foreign_kind(bytes).unwrap_or_default();
            assert!(kind.contains(word), "{word}: {kind}");
        }
    }

    #[test]
    fn networks_are_not_foreign() {
        assert_eq!(foreign_kind(b"\x08\x08\x12\x07pytorch"), None);
        assert_eq!(foreign_kind(b"\x40\0\0\0\0\0\0\0{\"a\":"), None);
        // Lengths of the header that read like a page, a JSON text or a pickle.
        for length in [b"\x20<", b"\x20{", b"\x80\x02"] {
            assert_eq!(foreign_kind(&[&length[..], b"\0\0\0\0\0\0{\"a\":"].concat()), None);
        }
    }
}
