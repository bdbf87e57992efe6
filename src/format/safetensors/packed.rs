//! Integers of 2 and 4 bits in a safetensors file: bytes, with their type and shape in the metadata.

use super::TensorsError;
use crate::onnx::schema::data_type;
use crate::onnx::{TensorProto, tensor_bytes};
use crate::printable::short;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Key of the metadata that tells type and shape of packed tensors, as JSON: `{"NAME": {"type": "int4", "shape": [64, 32]}}`.
pub const PACKED: &str = "splitscope.packed";

/// The types, by their names in the metadata.
const TYPES: [(&str, i32); 4] = [
    ("int4", data_type::INT4),
    ("uint4", data_type::UINT4),
    ("int2", data_type::INT2),
    ("uint2", data_type::UINT2),
];

/// What the metadata tell of a packed tensor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Packed {
    r#type: String,
    shape: Vec<i64>,
}

/// Name of an element type that is packed; `None` for all others.
pub(super) fn type_name(element_type: i32) -> Option<&'static str> {
    let found = TYPES.into_iter().find(|(_, known)| *known == element_type);
    found.map(|(name, _)| name)
}

/// The packed tensors of a file, by name, out of the text that its metadata have under [`PACKED`].
pub(super) fn of_metadata(text: Option<&str>) -> Result<BTreeMap<String, Packed>, TensorsError> {
    let Some(text) = text else { return Ok(BTreeMap::new()) };
    serde_json::from_str(text).map_err(|error| TensorsError::Metadata(short(&error.to_string())))
}

/// The entry for the metadata of a file with `tensors`; `None` if none is packed.
pub(super) fn to_metadata(tensors: &[TensorProto]) -> Result<Option<(String, String)>, TensorsError> {
    let mut packed = BTreeMap::new();
    for tensor in tensors {
        if let Some(kind) = type_name(tensor.data_type()) {
            let shape = tensor.dims.clone();
            let r#type = kind.to_owned();
            packed.insert(tensor.name(), Packed { r#type, shape });
        }
    }
    if packed.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_string(&packed)?;
    Ok(Some((PACKED.to_owned(), text)))
}

impl Packed {
    /// `bytes`, a tensor of the file, as what it stands for.
    ///
    /// # Errors
    /// What does not fit, with the tensor's name.
    pub(super) fn restored(&self, bytes: TensorProto) -> Result<TensorProto, TensorsError> {
        let (_, element_type) = TYPES
            .into_iter()
            .find(|(known, _)| *known == self.r#type)
            .ok_or_else(|| TensorsError::PackedType {
                name: short(bytes.name()),
                kind: short(&self.r#type),
            })?;
        if bytes.data_type() != data_type::UINT8 {
            return Err(TensorsError::NotBytes(short(bytes.name())));
        }
        let restored = TensorProto {
            data_type: Some(element_type),
            dims: self.shape.clone(),
            ..bytes
        };
        match tensor_bytes(&restored) {
            Ok(_) => Ok(restored),
            Err(error) => Err(TensorsError::PackedSize(error)),
        }
    }
}
