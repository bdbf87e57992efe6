//! PyTorch checkpoints (`.pth`, `.pt`, `.bin`): the weights of a state dict, as a file of weights.
//!
//! Two containers are read: the zip archive that `torch.save` writes since version 1.6, whose tensors are not copied, and the
//! pickles one behind the other of before. Nothing in them is run (`pickle`). Of a checkpoint that holds more than weights
//! (an optimizer, counters, averaged copies) the weights are taken, and a note says what was left.

mod archive;
mod checkpoint;
mod legacy;
mod pickle;
mod tensor;

use super::FormatError;
use crate::onnx::{GraphProto, ModelProto, TensorProto};
use bytes::Bytes;

/// A file of weights and what a person should know of how it was read.
#[derive(Debug)]
pub struct Weights {
    /// The tensors as initializers of a model without nodes.
    pub model: ModelProto,
    /// Sentences for a person.
    pub notes: Vec<String>,
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
    read.map_err(|reason| FormatError::File {
        file: file.to_owned(),
        reason,
    })
}

/// What a file holds: tensors by their names.
fn weights(initializer: Vec<TensorProto>, notes: Vec<String>) -> Weights {
    Weights {
        model: ModelProto {
            graph: Some(GraphProto {
                initializer,
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        },
        notes,
    }
}
