//! The model in a folder, as hubs keep one: `config.json`, the weights in one file or in shards, the tokenizer.

use super::gguf;
use std::path::{Path, PathBuf};

/// What the model of a folder is called, the first that is there counts.
const NAMES: [&str; 6] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "model.onnx",
    "onnx/model.onnx",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
];
/// What else it may end with, if there is one alone.
const ENDINGS: [&str; 7] = [
    ".safetensors.index.json",
    ".safetensors",
    ".gguf",
    ".onnx",
    ".bin.index.json",
    ".pth",
    ".pt",
];

/// The file to open for the folder at `path`; `None` if it is no folder, or none in it is the model without a doubt.
pub(super) fn model_in(path: &Path) -> Option<PathBuf> {
    let named = NAMES.iter().map(|name| path.join(name)).find(|file| file.is_file());
    if named.is_some() || !path.is_dir() {
        return named;
    }
    let files: Vec<PathBuf> = std::fs::read_dir(path)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    ENDINGS.iter().find_map(|ending| {
        let mut fits = files
            .iter()
            .filter(|file| file.is_file() && file.to_string_lossy().ends_with(ending))
            .filter(|file| !gguf::is_further_part(file));
        fits.next().filter(|_| fits.next().is_none()).cloned()
    })
}

/// Whether the folder at `path` holds a network with its configuration, as hubs keep one.
pub fn is_hub_folder(path: &Path) -> bool {
    path.join("config.json").is_file() && model_in(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_by_its_usual_name_or_where_it_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        let found = || model_in(folder.path()).map(|file| file.file_name().unwrap().to_string_lossy().into_owned());
        assert_eq!(found(), None);
        put("net.onnx");
        assert_eq!(found().as_deref(), Some("net.onnx"));
        put("other.onnx");
        assert_eq!(found(), None);
        put("net.Q4_0.gguf");
        assert_eq!(found().as_deref(), Some("net.Q4_0.gguf"));
        std::fs::remove_file(folder.path().join("net.Q4_0.gguf")).unwrap();
        put("net-00002-of-00002.gguf");
        put("net-00001-of-00002.gguf");
        assert_eq!(found().as_deref(), Some("net-00001-of-00002.gguf"));
        put("model.safetensors");
        assert_eq!(found().as_deref(), Some("model.safetensors"));
        put("model.safetensors.index.json");
        assert_eq!(found().as_deref(), Some("model.safetensors.index.json"));
        assert_eq!(model_in(&folder.path().join("net.onnx")), None);
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        let found = || model_in(folder.path()).map(|file| file.file_name().unwrap().to_string_lossy().into_owned());
        put("training_args.bin");
        assert_eq!(found(), None);
        put("pytorch_model.bin");
        assert_eq!(found().as_deref(), Some("pytorch_model.bin"));
        put("pytorch_model.bin.index.json");
        assert_eq!(found().as_deref(), Some("pytorch_model.bin.index.json"));
    }
}
