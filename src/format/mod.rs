//! Files to networks: `.onnx`, `.safetensors`, `.gguf`, PyTorch's and NumPy's, the embedded demos.
//!
//! # Example
//!
//! ```
//! use std::path::Path;
//!
//! let network = splitscope::format::open(Path::new("demo:shakespeare"))?;
//! assert!(network.layers.iter().any(|layer| layer.op == "LSTM"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod architecture;
mod archive;
pub mod demo;
mod folder;
pub mod gguf;
pub mod npz;
pub mod pytorch;
pub mod safetensors;
mod shards;

use crate::files;
use crate::network::{Format, Network, NetworkError};
use crate::onnx::{self, ModelProto, OnnxError};
use crate::printable::short;
use architecture::Config;
use demo::Demo;
pub use folder::is_hub_folder;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Why a file could not be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A fault inside the file.
    #[error("{file}: {source}")]
    Network {
        /// The file.
        file: String,
        /// The fault.
        source: NetworkError,
    },
    /// The file is none of the known kinds, or is broken.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What is wrong and what to do.
        reason: Reason,
    },
}

/// What is wrong with a file: the error of whatever reads it, or a sentence.
type Reason = Box<dyn std::error::Error + Send + Sync>;

impl FormatError {
    /// What is wrong, without the file's name.
    pub fn reason(&self) -> String {
        match self {
            Self::Network { source, .. } => source.to_string(),
            Self::File { reason, .. } => reason.to_string(),
        }
    }

    /// That `reason` is wrong with `file`.
    fn of(file: &str, reason: impl Into<Reason>) -> Self {
        Self::File {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Opens a model: a file of a known kind, a folder with one as hubs keep it, or `demo:fashion`, `demo:shakespeare`.
///
/// # Errors
/// [`FormatError`] naming the file and what is wrong with it.
pub fn open(path: &Path) -> Result<Network, FormatError> {
    if let Some(demo) = demo_of(path)? {
        return demo.network();
    }
    let path = &*files::real_path(path);
    let path = &folder::model_in(path).unwrap_or_else(|| path.to_owned());
    let path = &gguf::first_part(path).unwrap_or_else(|| path.to_owned());
    let (format, model) = match read(path)? {
        Read::Graph(model) => (Format::Onnx, model),
        Read::Weights(format, model, config) => return from_weights(path, format, model, &config),
        Read::Checkpoint(format, model, config, notes) => {
            let mut network = from_weights(path, format, model, &config)?;
            network.notes.splice(0..0, notes);
            return Ok(network);
        }
    };
    let mut network = network(path, format, model)?;
    if let Some(told) = Config::of_graph(path).preprocess_for(classes(&network)) {
        network.preprocess = Some(Arc::new(told));
    }
    Ok(network)
}

/// The size of the last axis of the first output, if the graph tells it.
fn classes(network: &Network) -> Option<usize> {
    use crate::onnx::schema::{tensor_shape_proto, type_proto};
    let output = network.model.graph.as_ref()?.output.first()?;
    let Some(type_proto::Value::TensorType(tensor)) = &output.r#type.as_ref()?.value else {
        return None;
    };
    match tensor.shape.as_ref()?.dim.last()?.value.as_ref()? {
        tensor_shape_proto::Value::DimValue(size) => usize::try_from(*size).ok(),
        tensor_shape_proto::Value::DimParam(_) => None,
    }
}

/// A file of weights: with a graph if its architecture is known, else weights only.
fn from_weights(path: &Path, format: Format, model: ModelProto, config: &Config) -> Result<Network, FormatError> {
    match architecture::recognise(model, config) {
        Ok(recognised) => {
            let mut network = network(path, format, recognised.model)?;
            network.architecture = Some(recognised.name);
            network.notes = recognised.notes;
            network.preprocess = Some(Arc::new(recognised.preprocess));
            Ok(network)
        }
        Err((model, misfit)) => {
            let mut network = network(path, format, *model)?;
            network.why_not_runnable = Some(format!(
                "this file holds weights only, no graph, and {misfit}: open the ONNX export of the network to run it"
            ));
            Ok(network)
        }
    }
}

fn network(path: &Path, format: Format, model: ModelProto) -> Result<Network, FormatError> {
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    Network::new(name, Some(path.to_owned()), format, model).map_err(|source| FormatError::Network {
        file: path.display().to_string(),
        source,
    })
}

/// The demo that `path` names, if it begins as the name of one.
///
/// # Errors
/// [`FormatError::File`] listing the demos, when there is none of that name.
pub fn demo_of(path: &Path) -> Result<Option<Demo>, FormatError> {
    let Some(name) = path.to_str().filter(|name| name.starts_with("demo:")) else {
        return Ok(None);
    };
    match Demo::from_name(name) {
        Some(demo) => Ok(Some(demo)),
        None => {
            let demos = Demo::ALL.map(Demo::name).join(", ");
            let reason = format!("there is no such demo; there are {demos}");
            Err(FormatError::of(&short(name), reason))
        }
    }
}

/// Whether the file at `path` is one of weights by what it holds, whatever it is called: safetensors, GGUF, PyTorch's, or an
/// `.npz` whose arrays are called as weights are. `false` where it cannot be read.
pub fn holds_weights(path: &Path) -> bool {
    files::contents(path).is_ok_and(|bytes| {
        gguf::looks_like(&bytes)
            || safetensors::looks_like(&bytes)
            || pytorch::looks_like(&bytes)
            || npz::names_weights(&bytes)
    })
}

/// What a file holds.
enum Read {
    /// A graph.
    Graph(ModelProto),
    /// Weights alone, and what is said of their network.
    Weights(Format, ModelProto, Config),
    /// Weights alone, what is said of their network, and sentences on how they were read.
    Checkpoint(Format, ModelProto, Config, Vec<String>),
}

impl shards::Whole {
    /// The shards with the configuration beside the file at `path`.
    fn beside(self, path: &Path) -> Read {
        Read::Checkpoint(self.format, self.model, Config::beside(path), self.notes)
    }
}

/// Reads a file of a known kind as a model: by its extension, else by its first bytes.
fn read(path: &Path) -> Result<Read, FormatError> {
    let file = path.display().to_string();
    let refuse = |reason: String| FormatError::of(&file, reason);
    let bytes = files::contents(path).map_err(|error| refuse(open_reason(&error)))?;
    if shards::is_index(path, &bytes) {
        return Ok(shards::read_all(path, &bytes)?.beside(path));
    }
    let index_listing_it = || {
        let Some(index) = shards::index_of(path)? else {
            return Ok(None);
        };
        let listed = files::contents(&index).map_err(|error| refuse(open_reason(&error)))?;
        shards::read_all(&index, &listed).map(Some)
    };
    if gguf::looks_like(&bytes) {
        let (model, config) = gguf::read_whole(&bytes, path)?.into_model(&file)?;
        return Ok(Read::Weights(Format::Gguf, model, config));
    }
    if pytorch::looks_like(&bytes) {
        if let Some(whole) = index_listing_it()? {
            return Ok(whole.beside(path));
        }
        let weights = pytorch::read(&bytes, &file)?;
        let config = Config::beside_or(path, weights.config);
        return Ok(Read::Checkpoint(Format::PyTorch, weights.model, config, weights.notes));
    }
    if npz::looks_like(&bytes) {
        let (model, notes) = npz::read(&bytes, &file)?;
        return Ok(Read::Checkpoint(Format::Numpy, model, Config::beside(path), notes));
    }
    if let Some(kind) = onnx::foreign_kind(&bytes) {
        return Err(refuse(format!("the file is {kind}. {OPENS}")));
    }
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let is_safetensors = safetensors::looks_like(&bytes);
    if extension == "onnx" && is_safetensors {
        return Err(refuse(
            "this is a safetensors file; give it the extension .safetensors".into(),
        ));
    }
    if is_safetensors || extension == "safetensors" {
        if let Some(whole) = index_listing_it()? {
            return Ok(whole.beside(path));
        }
        let model = safetensors::read(bytes, &file)?;
        return Ok(Read::Weights(Format::Safetensors, model, Config::beside(path)));
    }
    match onnx::read_bytes(bytes, Some(path)) {
        Ok(model) => Ok(Read::Graph(model)),
        // Without the extension nobody claimed that it was one.
        Err(OnnxError::Decode(_)) if extension != "onnx" => Err(refuse(format!("no network was found in it. {OPENS}"))),
        Err(source) => Err(FormatError::Network {
            file,
            source: source.into(),
        }),
    }
}

const OPENS: &str =
    "Splitscope opens .onnx, .safetensors and .gguf files, state dicts of PyTorch and .npz files of weights";

/// Why a file cannot be opened, and what to do.
fn open_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::IsADirectory => format!("this is a folder; choose a file in it. {OPENS}"),
        io::ErrorKind::PermissionDenied => "you may not read this file; change its permissions or copy it".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
