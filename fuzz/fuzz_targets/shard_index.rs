//! An index of shards, beside two small shards.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::format::open;
use splitscope::format::safetensors::write;
use splitscope::onnx::build::float_tensor;
use std::sync::OnceLock;

/// A folder with the shards, made once.
fn folder() -> &'static tempfile::TempDir {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the shards");
        for (shard, tensors) in [("a.safetensors", ["x", "y"]), ("b.safetensors", ["z", "w"])] {
            let tensors = tensors.map(|name| float_tensor(name, &[2, 2], &[1.0; 4]));
            write(&folder.path().join(shard), &tensors, &[]).expect("a shard");
        }
        folder
    })
}

fuzz_target!(|data: &[u8]| {
    let path = folder().path().join("m.safetensors.index.json");
    std::fs::write(&path, data).expect("the index");
    let _ = open(&path);
    let _ = open(&folder().path().join("a.safetensors"));
});
