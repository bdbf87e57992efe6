//! PyTorch checkpoints (`.pth`, `.pt`, `.bin`): the weights of a state dict, as a file of weights.
//!
//! Two containers are read: the zip archive that `torch.save` writes since version 1.6, whose tensors are not copied, and the
//! pickles one behind the other of before. Nothing in them is run (`pickle`). Of a checkpoint that holds more than weights
//! (an optimizer, counters, averaged copies) the weights are taken, and a note says what was left.

mod archive;
mod checkpoint;
mod known;
mod legacy;
mod pickle;
mod tensor;
mod told;

use super::FormatError;
use super::archive::ArchiveError;
use crate::onnx::ModelProto;
use bytes::Bytes;
use pickle::PickleError;
use tensor::TensorError;

/// A file of weights and what a person should know of how it was read.
#[derive(Debug)]
pub struct Weights {
    /// The tensors as initializers of a model without nodes.
    pub model: ModelProto,
    /// Sentences for a person.
    pub notes: Vec<String>,
    /// What a module that was saved whole says of itself, as `config.json` would beside the file.
    pub config: Option<serde_json::Value>,
}

/// Why a checkpoint is not read.
#[derive(Debug, thiserror::Error)]
enum CheckpointError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Pickle(#[from] PickleError),
    #[error(transparent)]
    Storage(#[from] TensorError),
    #[error("tensor '{name}': {error}")]
    Tensor { name: String, error: TensorError },
    #[error("its archive holds no data.pkl")]
    NoPickle,
    #[error("its numbers are big-endian: save it again on another machine")]
    BigEndian,
    #[error("it is of a version of torch.save that is not read")]
    Version,
    #[error("its storages have no names")]
    NoNames,
    #[error("the storage '{0}' is cut off")]
    CutOff(String),
    #[error("it holds no tensors under names: save the network's state_dict()")]
    NoTensors,
    #[error("its tensors have names too long to be believed")]
    LongNames,
}

/// Whether `bytes` begin as a checkpoint does.
pub fn looks_like(bytes: &Bytes) -> bool {
    legacy::looks_like(bytes) || archive::looks_like(bytes)
}

/// The weights of a checkpoint.
///
/// # Errors
/// [`FormatError::File`] on a container or pickle that does not hold together, and on a pickle that wants what is neither a
/// tensor nor a container, by its name.
pub fn read(bytes: &Bytes, file: &str) -> Result<Weights, FormatError> {
    let read = if legacy::looks_like(bytes) {
        legacy::read(bytes)
    } else {
        archive::read(bytes)
    };
    read.map_err(|error| FormatError::of(file, error))
}
