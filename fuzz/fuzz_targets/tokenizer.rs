//! A tokenizer or vocabulary, and a short text that it cuts into tokens.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::data::ElementKind;
use splitscope::inference::{DataOptions, Dataset, Port};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Where the bytes are put, under both names that are looked for.
fn folder() -> &'static tempfile::TempDir {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"))
}

fn path(data: &[u8]) -> PathBuf {
    let name = if data.len() % 2 == 0 { "tokenizer.json" } else { "vocabulary.json" };
    let path = folder().path().join(name);
    std::fs::write(&path, data).expect("the tokenizer");
    path
}

fuzz_target!(|data: &[u8]| {
    let options = DataOptions {
        vocabulary: Some(path(data)),
        window: Some(4),
        ..DataOptions::default()
    };
    let port = Port {
        name: "tokens".to_owned(),
        shape: Some(vec![None, None]),
        axis_names: vec![None; 2],
        kind: ElementKind::Integer,
    };
    let text = b"ab ab ba ab a b ab ba ab ab".to_vec();
    if let Ok(data) = Dataset::from_bytes("text.txt", text, &options, &[port])
        && !data.is_empty()
    {
        let _ = data.batch(0..1);
    }
});
