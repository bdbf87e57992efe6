//! Tensor elements in files beside the model: found, mapped once, and made part of the tensor without a copy.

use super::beside::{ModelFolder, NotBeside};
use super::schema::{EXTERNAL, data_type};
use super::tensor::{byte_count, fault};
use super::{ModelProto, OnnxError, TensorProto, visit};
use crate::files;
use crate::printable::short;
use bytes::Bytes;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Replaces the external data of every tensor of `model`, read from `file`, by a slice of the mapped file in `raw_data`.
///
/// # Errors
/// [`OnnxError::Tensor`] naming tensor and file.
pub(super) fn resolve(model: &mut ModelProto, file: Option<&Path>) -> Result<(), OnnxError> {
    let mut files = Files {
        model: file,
        open: HashMap::new(),
    };
    visit::tensors(model, &mut |tensor| {
        if tensor.data_location() == EXTERNAL {
            files.resolve(tensor)?;
        }
        Ok(())
    })
}

struct Files<'file> {
    model: Option<&'file Path>,
    /// By canonical path.
    open: HashMap<PathBuf, Bytes>,
}

impl Files<'_> {
    fn resolve(&mut self, tensor: &mut TensorProto) -> Result<(), OnnxError> {
        let entry = |key: &str| {
            let found = tensor.external_data.iter().find(|entry| entry.key() == key);
            found.map(|entry| entry.value().to_owned())
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text
                .trim()
                .parse::<usize>()
                .map(Some)
                .map_err(|_| fault(tensor, format!("the {key} of its external data is '{}'", short(&text)))),
        };
        if tensor.data_type() == data_type::STRING {
            return Err(fault(
                tensor,
                "its elements are strings, which cannot be in another file",
            ));
        }
        let location =
            entry("location").ok_or_else(|| fault(tensor, "its external data has no location, the file is unknown"))?;
        let wanted = byte_count(tensor)?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?.unwrap_or(wanted));
        let shown = short(&location);
        if length != wanted {
            return Err(fault(
                tensor,
                format!("its shape needs {wanted} bytes, its part of '{shown}' has {length}"),
            ));
        }
        let bytes = self.open(tensor, &location)?;
        let end = offset.checked_add(length).filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| {
            let has = bytes.len();
            fault(
                tensor,
                format!("its {length} bytes at {offset} lie outside of '{shown}', which has {has} bytes"),
            )
        })?;
        tensor.raw_data = Some(bytes.slice(offset..end));
        tensor.external_data.clear();
        tensor.data_location = None;
        Ok(())
    }

    /// The file at `location`, which a model must not use to reach out of its own folder.
    fn open(&mut self, tensor: &TensorProto, location: &str) -> Result<Bytes, OnnxError> {
        let shown = short(location);
        let model = self.model.ok_or_else(|| {
            fault(
                tensor,
                format!("its elements are in '{shown}': open the model as a file of the folder that holds it"),
            )
        })?;
        let unreadable = |source: std::io::Error| fault(tensor, format!("cannot read its file '{shown}': {source}"));
        let folder = ModelFolder::of(model).map_err(unreadable)?;
        let path = folder.find(location).map_err(|reason| match reason {
            NotBeside::Outside => fault(
                tensor,
                format!("its file '{shown}' is not inside the model's folder; only files there are read"),
            ),
            NotBeside::LinkOut => fault(
                tensor,
                format!("its file '{shown}' is a link out of the model's folder; copy the file there"),
            ),
            NotBeside::Unreadable(source) => unreadable(source),
        })?;
        if let Some(bytes) = self.open.get(&path) {
            return Ok(bytes.clone());
        }
        let bytes = files::contents(&path).map_err(unreadable)?;
        self.open.insert(path, bytes.clone());
        Ok(bytes)
    }
}
