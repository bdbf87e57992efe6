//! A file of any kind (archives of NumPy and PyTorch among them), or what lies beside one: its configuration, how to make its
//! pictures ready. Opened as a person opens it, every layer weighed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::format::open;
use splitscope::format::safetensors::write;
use splitscope::onnx::build::float_tensor;
use splitscope::statistics::tensor_statistics;
use std::path::Path;
use std::sync::OnceLock;

/// Two folders, each with a small file of weights.
fn folders() -> &'static [tempfile::TempDir; 2] {
    static FOLDERS: OnceLock<[tempfile::TempDir; 2]> = OnceLock::new();
    FOLDERS.get_or_init(|| {
        [0, 1].map(|_| {
            let folder = tempfile::tempdir().expect("a folder");
            let tensors = [
                float_tensor("features.0.weight", &[2, 1, 3, 3], &[0.5; 18]),
                float_tensor("classifier.weight", &[3, 2], &[0.25; 6]),
            ];
            write(&folder.path().join("model.safetensors"), &tensors, &[]).expect("small weights");
            folder
        })
    })
}

fn weigh(path: &Path) {
    let Ok(network) = open(path) else {
        return;
    };
    network.parameters();
    for (index, layer) in network.layers.iter().enumerate() {
        if let Ok(weights) = network.weights(index) {
            tensor_statistics(&weights, &layer.layout);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, content)) = data.split_first() else {
        return;
    };
    let [config, preprocessor] = folders().each_ref().map(tempfile::TempDir::path);
    let (beside, model) = match kind % 3 {
        0 => (config.join("any"), config.join("any")),
        1 => (config.join("config.json"), config.join("model.safetensors")),
        _ => (preprocessor.join("preprocessor_config.json"), preprocessor.join("model.safetensors")),
    };
    std::fs::write(&beside, content).expect("the file");
    weigh(&model);
    // What one run leaves beside a model must not be seen by the next.
    std::fs::remove_file(&beside).expect("the file");
});
