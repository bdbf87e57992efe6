//! Weights in shards: an index (`model.safetensors.index.json`, `pytorch_model.bin.index.json`) names the file of each tensor; all of
//! them together are one network.

use super::{FormatError, Reason, pytorch, safetensors};
use crate::files;
use crate::network::Format;
use crate::onnx::schema::StringStringEntryProto;
use crate::onnx::{GraphProto, ModelFolder, ModelProto, NotBeside, TensorProto};
use crate::printable::short;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What the names of indices end with.
const ENDING: &str = ".index.json";

/// The key under which an index lists its tensors.
const LIST: &str = "weight_map";

/// Shards that a message names at most.
const NAMED: usize = 3;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    metadata: Map<String, Value>,
    weight_map: Entries,
}

/// Tensor and shard, in the order of the file.
struct Entries(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs)
    }
}

/// Reads a map of names, each once: of two equal keys an ordinary map would keep the last.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Entries;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("tensor names with the names of their files")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries: Vec<(String, String)> = Vec::new();
        let mut names = HashSet::new();
        while let Some((tensor, shard)) = map.next_entry::<String, String>()? {
            if !names.insert(tensor.clone()) {
                let shown = short(&tensor);
                return Err(A::Error::custom(format!("tensor '{shown}' is listed twice")));
            }
            entries.push((tensor, shard));
        }
        Ok(Entries(entries))
    }
}

/// Whether `bytes` are those of an index: JSON with a list of tensors.
pub(super) fn is_index(path: &Path, bytes: &[u8]) -> bool {
    let json = path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("json"));
    let bytes = files::without_mark(bytes);
    json && bytes.trim_ascii_start().first() == Some(&b'{') && contains(bytes, LIST)
}

/// The index beside a shard that lists it, if there is one.
///
/// # Errors
/// [`FormatError::File`] when an index names the shard but cannot be read.
pub(super) fn index_of(shard: &Path) -> Result<Option<PathBuf>, FormatError> {
    let Some(name) = shard.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    let folder = match shard.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A folder that cannot be listed has no index to offer; the shard itself was readable.
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(None);
    };
    let mut indices: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(ENDING))
        .collect();
    indices.sort();
    for path in indices {
        let bytes = files::read(&path, files::LARGEST_TEXT).map_err(|error| fault(&path, error.to_string()))?;
        if contains(&bytes, name) {
            let index = parse(&path, &bytes).map_err(|reason| {
                let aside = "move it away to open this shard alone";
                fault(&path, format!("{reason}; {aside}"))
            })?;
            if index.weight_map.0.iter().any(|(_, shard)| shard == name) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// All shards of an index.
pub(super) struct Whole {
    /// Their tensors in the order of the files, their metadata together.
    pub(super) model: ModelProto,
    /// What the first of them is.
    pub(super) format: Format,
    /// Sentences on how they were read, each once.
    pub(super) notes: Vec<String>,
}

/// All shards of the index at `path` as one model.
///
/// # Errors
/// [`FormatError::File`] naming shard and tensor: a shard that is missing, a tensor that is not where the index says or is
/// in two shards, and all that its kind of file is refused for.
pub(super) fn read_all(path: &Path, bytes: &[u8]) -> Result<Whole, FormatError> {
    let index = parse(path, bytes).map_err(|reason| fault(path, reason))?;
    let names: BTreeSet<&str> = index.weight_map.0.iter().map(|(_, shard)| shard.as_str()).collect();
    if names.is_empty() {
        return Err(fault(path, format!("no index: its '{LIST}' lists no tensor")));
    }
    let mut initializer: Vec<TensorProto> = Vec::new();
    let mut homes: HashMap<String, &str> = HashMap::new();
    let mut metadata: BTreeMap<String, String> = texts(index.metadata).collect();
    let (mut format, mut notes): (Option<Format>, Vec<String>) = (None, Vec::new());
    for (name, file) in find(path, &names, &SHARDS)? {
        let shard = files::contents(&file).map_err(|error| fault(&file, error.to_string()))?;
        let shown = file.with_file_name(name).display().to_string();
        let model = if pytorch::looks_like(&shard) {
            let weights = pytorch::read(&shard, &shown)?;
            let new = weights.notes.into_iter().filter(|note| !notes.contains(note));
            notes.extend(new.collect::<Vec<_>>());
            format.get_or_insert(Format::PyTorch);
            weights.model
        } else {
            format.get_or_insert(Format::Safetensors);
            safetensors::read(shard, &shown)?
        };
        for tensor in model.graph.unwrap_or_default().initializer {
            if let Some(other) = homes.insert(tensor.name().to_owned(), name) {
                let tensor = short(tensor.name());
                let reason = format!("tensor '{tensor}' is in two shards, '{other}' and '{name}': download them again");
                return Err(fault(path, reason));
            }
            initializer.push(tensor);
        }
        for entry in model.metadata_props {
            metadata
                .entry(entry.key().to_owned())
                .or_insert_with(|| entry.value().to_owned());
        }
    }
    let misplaced = |(tensor, shard): &&(String, String)| homes.get(tensor) != Some(&shard.as_str());
    if let Some((tensor, shard)) = index.weight_map.0.iter().find(misplaced) {
        let instead = match homes.get(tensor) {
            Some(other) => format!("it is in '{}'", short(other)),
            None => "no shard holds it".to_owned(),
        };
        let (tensor, shard) = (short(tensor), short(shard));
        let reason = format!(
            "tensor '{tensor}' is not in its shard '{shard}', {instead}: index and shards are of different versions, \
             download them again"
        );
        return Err(fault(path, reason));
    }
    let entry = |(key, value)| StringStringEntryProto {
        key: Some(key),
        value: Some(value),
    };
    let model = ModelProto {
        metadata_props: metadata.into_iter().map(entry).collect(),
        graph: Some(GraphProto {
            initializer,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    Ok(Whole {
        model,
        format: format.unwrap_or(Format::Safetensors),
        notes,
    })
}

/// How a person calls files that are one network together.
pub(super) struct Words {
    pub(super) one: &'static str,
    pub(super) several: &'static str,
    /// What names them.
    pub(super) of: &'static str,
}

const SHARDS: Words = Words {
    one: "shard",
    several: "shards",
    of: "the index",
};

/// The files called `names`, beside the file at `path`.
///
/// # Errors
/// [`FormatError::File`] naming those that are not there, or one that is outside of the folder or cannot be read.
pub(super) fn find<'a>(
    path: &Path,
    names: &BTreeSet<&'a str>,
    words: &Words,
) -> Result<Vec<(&'a str, PathBuf)>, FormatError> {
    let Words { one, several, of } = words;
    let folder = ModelFolder::of(path).map_err(|error| fault(path, error.to_string()))?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for &name in names {
        let shown = short(name);
        match folder.find(name) {
            Ok(file) => found.push((name, file)),
            Err(NotBeside::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => missing.push(shown),
            Err(NotBeside::Unreadable(error)) => {
                return Err(fault(path, format!("its {one} '{shown}' cannot be read: {error}")));
            }
            Err(NotBeside::Outside | NotBeside::LinkOut) => {
                let reason = format!("its {one} '{shown}' is not inside the folder of {of}; only files there are read");
                return Err(fault(path, reason));
            }
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let more = if missing.len() > NAMED { ", …" } else { "" };
    let reason = format!(
        "{} of {} {several} are not there: {}{more}; put them into the folder of {of}",
        missing.len(),
        names.len(),
        missing[..missing.len().min(NAMED)].join(", ")
    );
    Err(fault(path, reason))
}

/// A file that should tell which tensor is in which shard.
#[derive(Debug, thiserror::Error)]
#[error("'{name}' is no index of shards: {reason}")]
struct NoIndex {
    name: String,
    reason: String,
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Index, NoIndex> {
    serde_json::from_slice(files::without_mark(bytes)).map_err(|error| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reason = short(&error.to_string());
        NoIndex { name, reason }
    })
}

/// Entries that are text: a size of all shards is not true of what is made of them.
fn texts(metadata: Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    metadata
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
}

fn contains(bytes: &[u8], text: &str) -> bool {
    !text.is_empty() && bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn fault(path: &Path, reason: impl Into<Reason>) -> FormatError {
    FormatError::of(&path.display().to_string(), reason)
}

#[cfg(test)]
mod tests {
    use crate::format::{open, safetensors::write};
    use crate::onnx::build::float_tensor;

    /// A folder with two shards, of two tensors each, and an index.
    fn sharded(weight_map: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tensor = |name: &str, value| float_tensor(name, &[2, 2], &[value; 4]);
        for (shard, tensors) in [("m-1.safetensors", ["a", "b"]), ("m-2.safetensors", ["c", "d"])] {
            let tensors = tensors.map(|name| tensor(name, f32::from(name.as_bytes()[0])));
            let metadata = [
                ("format".to_owned(), "pt".to_owned()),
                ("of".to_owned(), shard.to_owned()),
            ];
            write(&folder.path().join(shard), &tensors, &metadata).unwrap();
        }
        let index = format!(r#"{{"metadata": {{"total_size": 64, "by": "me"}}, "weight_map": {weight_map}}}"#);
        std::fs::write(folder.path().join("m.safetensors.index.json"), index).unwrap();
        folder
    }

    const WHOLE: &str =
        r#"{"d": "m-2.safetensors", "a": "m-1.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}"#;

    fn refusal(folder: &tempfile::TempDir, file: &str) -> String {
        let error = open(&folder.path().join(file)).err().unwrap().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }

    #[test]
    fn the_index_and_each_shard_open_the_whole_network() {
        let folder = sharded(WHOLE);
        for file in ["m.safetensors.index.json", "m-1.safetensors", "m-2.safetensors"] {
            let network = open(&folder.path().join(file)).unwrap();
            let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
            assert_eq!(names, ["a", "b", "c", "d"], "{file}");
            assert_eq!(network.weights(2).unwrap()[..], [99.0; 4]);
            let metadata = |key| crate::onnx::build::metadata(&network.model, key);
            assert_eq!((metadata("format"), metadata("by")), (Some("pt"), Some("me")));
            assert_eq!(metadata("total_size"), None);
        }
        std::fs::remove_file(folder.path().join("m.safetensors.index.json")).unwrap();
        let alone = open(&folder.path().join("m-2.safetensors")).unwrap();
        assert_eq!(
            alone.layers.len(),
            2,
            "without an index a shard is a file like any other"
        );
    }

    #[test]
    fn shards_of_pytorch_open_as_one_network() {
        let folder = tempfile::tempdir().unwrap();
        let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch");
        let shards = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
        for (shard, fixture) in shards.iter().zip(["state_dict.pth", "script.pt"]) {
            std::fs::copy(fixtures.join(fixture), folder.path().join(shard)).unwrap();
        }
        let index = format!(
            r#"{{"metadata": {{}}, "weight_map": {{"conv.weight": "{}", "0.weight": "{}"}}}}"#,
            shards[0], shards[1]
        );
        std::fs::write(folder.path().join("pytorch_model.bin.index.json"), index).unwrap();
        for path in [folder.path().to_owned(), folder.path().join(shards[1])] {
            let network = open(&path).unwrap();
            assert_eq!(network.format, crate::network::Format::PyTorch);
            for name in ["conv.weight", "0.weight"] {
                let layer = network.layer_index(name).unwrap();
                assert!(network.weights(layer).is_ok(), "{name}");
            }
        }
        std::fs::remove_file(folder.path().join(shards[0])).unwrap();
        let error = refusal(&folder, shards[1]);
        assert!(error.contains("1 of 2 shards are not there"), "{error}");
    }

    #[test]
    fn a_shard_that_is_missing_is_named() {
        let folder = sharded(WHOLE);
        std::fs::remove_file(folder.path().join("m-2.safetensors")).unwrap();
        let error = refusal(&folder, "m-1.safetensors");
        assert!(
            error.contains("1 of 2 shards are not there: m-2.safetensors"),
            "{error}"
        );
    }

    #[test]
    fn an_index_that_does_not_fit_its_shards_is_refused_by_the_tensors_name() {
        let of = |weight_map: &str| refusal(&sharded(weight_map), "m.safetensors.index.json");
        let swapped = of(r#"{"a": "m-2.safetensors", "c": "m-2.safetensors", "b": "m-1.safetensors"}"#);
        assert!(
            swapped.contains("tensor 'a' is not in its shard 'm-2.safetensors', it is in 'm-1"),
            "{swapped}"
        );
        let absent = of(r#"{"x": "m-1.safetensors"}"#);
        assert!(
            absent.contains("tensor 'x' is not in its shard 'm-1.safetensors', no shard"),
            "{absent}"
        );
        let twice = of(r#"{"a": "m-1.safetensors", "a": "m-2.safetensors"}"#);
        assert!(twice.contains("tensor 'a' is listed twice"), "{twice}");
        assert!(of("{}").contains("lists no tensor"));
        assert!(of(r#"{"a": 3}"#).contains("is no index of shards"));
        let out = of(r#"{"a": "../m-1.safetensors"}"#);
        assert!(out.contains("'../m-1.safetensors' is not inside the folder"), "{out}");
    }

    #[test]
    fn a_tensor_in_two_shards_is_refused() {
        let folder = sharded(WHOLE);
        let tensors = [float_tensor("a", &[1], &[1.0]), float_tensor("c", &[1], &[1.0])];
        write(&folder.path().join("m-2.safetensors"), &tensors, &[]).unwrap();
        let error = refusal(&folder, "m.safetensors.index.json");
        assert!(
            error.contains("tensor 'a' is in two shards, 'm-1.safetensors' and 'm-2.safetensors'"),
            "{error}"
        );
    }

    #[test]
    fn a_broken_index_beside_a_shard_says_how_to_open_the_shard_alone() {
        let folder = sharded(r#"{"a": "m-1.safetensors", "#);
        let error = refusal(&folder, "m-1.safetensors");
        assert!(
            error.contains("is no index of shards") && error.contains("move it away"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn shards_in_a_hubs_cache_are_found_among_the_blobs() {
        let folder = sharded(WHOLE);
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("blobs")).unwrap();
        std::fs::create_dir_all(at("snapshots/v1")).unwrap();
        for (number, file) in ["m-1.safetensors", "m-2.safetensors", "m.safetensors.index.json"]
            .iter()
            .enumerate()
        {
            std::fs::rename(at(file), at(&format!("blobs/{number}"))).unwrap();
            let link = at(&format!("snapshots/v1/{file}"));
            std::os::unix::fs::symlink(format!("../../blobs/{number}"), link).unwrap();
        }
        for file in ["m.safetensors.index.json", "m-2.safetensors"] {
            assert_eq!(open(&at("snapshots/v1").join(file)).unwrap().layers.len(), 4);
        }
    }
}
