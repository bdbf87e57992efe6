//! Weights beside the graph. From within a file the engine (rten 0.27) copies each tensor while the whole file is still there; what a
//! file refers to elsewhere it takes over as it is. So each tensor is copied once on its way from the model into the engine, none
//! is twice in memory while it loads, and a model may be larger than the 2 GiB of one message.

use crate::onnx::ModelProto;
use crate::onnx::schema::{EXTERNAL, StringStringEntryProto};

/// Bytes from which on a tensor goes beside the graph: for smaller ones naming the place takes as much.
const LARGE: usize = 1024;

/// Takes the elements of large initializers out of `model`: by the names of the places where it now says that they are.
pub(super) fn taken_out(model: &mut ModelProto) -> Vec<(String, Vec<u8>)> {
    let mut taken = Vec::new();
    let initializers = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    for (place, tensor) in initializers.enumerate() {
        if tensor.data_location() == EXTERNAL {
            continue;
        }
        let Some(elements) = tensor.raw_data.take_if(|elements| elements.len() >= LARGE) else {
            continue;
        };
        // The engine takes data from places of this ending.
        let (name, length) = (format!("{place}.data"), elements.len());
        tensor.data_location = Some(EXTERNAL);
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        tensor.external_data = vec![
            entry("location", name.clone()),
            entry("offset", "0".to_owned()),
            entry("length", length.to_string()),
        ];
        // Of bytes that nobody shares this is no copy.
        taken.push((name, Vec::from(elements)));
    }
    taken
}
