//! `.npz` files of NumPy as files of weights: an array a tensor, by its name.

use super::FormatError;
use super::archive::{ArchiveError, contents, open};
use crate::files::{NpyError, NpyHeader, by_rows};
use crate::onnx::build::raw_tensor;
use crate::onnx::schema::data_type;
use crate::onnx::{GraphProto, MOST_AXES, ModelProto, TensorProto, one_line};
use bytes::Bytes;
use std::io::Cursor;
use zip::ZipArchive;

/// Whether `bytes` are a zip archive whose entries are all arrays.
pub fn looks_like(bytes: &Bytes) -> bool {
    bytes.starts_with(b"PK\x03\x04")
        && ZipArchive::new(Cursor::new(bytes))
            .is_ok_and(|archive| !archive.is_empty() && archive.file_names().all(|name| name.ends_with(".npy")))
}

/// What arrays of weights are called by, and arrays of samples are not.
const WEIGHTS: [&str; 4] = ["weight", "kernel", "bias", "gamma"];

/// Whether `bytes` are an archive of arrays of which one is called as weights are: samples come as archives of arrays too.
pub fn names_weights(bytes: &Bytes) -> bool {
    let is_weights = |name: &str| WEIGHTS.iter().any(|word| name.to_ascii_lowercase().contains(word));
    looks_like(bytes) && ZipArchive::new(Cursor::new(bytes)).is_ok_and(|archive| archive.file_names().any(is_weights))
}

/// The arrays as initializers of a model without nodes, and sentences for a person on those that are left out.
///
/// # Errors
/// [`FormatError::File`] on an archive or array that does not hold together.
pub fn read(bytes: &Bytes, file: &str) -> Result<(ModelProto, Vec<String>), FormatError> {
    let fault = |error: ArchiveError| FormatError::of(file, error);
    let mut archive = open(bytes).map_err(fault)?;
    let (mut initializer, mut notes) = (Vec::new(), Vec::new());
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| fault(error.into()))?;
        let name = entry.name().trim_end_matches(".npy").to_owned();
        let entry = contents(bytes, entry).map_err(fault)?;
        match tensor(&name, &entry) {
            Ok(tensor) => initializer.push(tensor),
            Err(reason) => notes.push(format!("the array '{}' is left out: {reason}", one_line(&name))),
        }
    }
    if initializer.is_empty() {
        let reason = format!("it holds no weights: {}", notes.join("; "));
        return Err(FormatError::of(file, reason));
    }
    let graph = GraphProto {
        initializer,
        ..GraphProto::default()
    };
    let model = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    Ok((model, notes))
}

/// Why an array is no tensor.
#[derive(Debug, thiserror::Error)]
enum ArrayError {
    #[error(transparent)]
    Header(#[from] NpyError),
    /// The code of their type, and their bytes.
    #[error("elements '{0}{1}' are not understood")]
    Elements(char, usize),
    #[error("it has {0} axes, more than {MOST_AXES}")]
    Axes(usize),
    #[error("its shape {0:?} is too large")]
    TooLarge(Vec<usize>),
    #[error("its header declares {shape:?} elements of {width} bytes, there are {found} bytes")]
    Length {
        shape: Vec<usize>,
        width: usize,
        found: usize,
    },
}

/// An array as a tensor: its bytes as they lie, if their order is that of tensors.
fn tensor(name: &str, bytes: &Bytes) -> Result<TensorProto, ArrayError> {
    let header = NpyHeader::read(&mut Cursor::new(bytes))?;
    let element_type = match (header.code, header.width) {
        (b'f', 2) => data_type::FLOAT16,
        (b'f', 4) => data_type::FLOAT,
        (b'f', 8) => data_type::DOUBLE,
        (b'i', 1) => data_type::INT8,
        (b'i', 2) => data_type::INT16,
        (b'i', 4) => data_type::INT32,
        (b'i', 8) => data_type::INT64,
        (b'u', 1) => data_type::UINT8,
        (b'u', 2) => data_type::UINT16,
        (b'u', 4) => data_type::UINT32,
        (b'u', 8) => data_type::UINT64,
        (b'b', 1) => data_type::BOOL,
        (code, width) => return Err(ArrayError::Elements(char::from(code), width)),
    };
    let (shape, width) = (&header.shape, header.width);
    if shape.len() > MOST_AXES {
        return Err(ArrayError::Axes(shape.len()));
    }
    let declared = shape
        .iter()
        .try_fold(width, |bytes, size| bytes.checked_mul(*size))
        .ok_or_else(|| ArrayError::TooLarge(shape.clone()))?;
    let start = usize::try_from(header.start).unwrap_or(usize::MAX);
    let data = bytes
        .get(start..)
        .filter(|data| data.len() == declared)
        .ok_or_else(|| ArrayError::Length {
            shape: shape.clone(),
            width,
            found: bytes.len().saturating_sub(start),
        })?;
    if !header.big_endian && !header.fortran {
        return Ok(raw_tensor(name, element_type, shape, bytes.slice(start..)));
    }
    let mut data = data.to_vec();
    if header.big_endian {
        data.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
    if header.fortran {
        data = match width {
            1 => by_rows(&data, shape),
            2 => by_rows(data.as_chunks::<2>().0, shape).concat(),
            4 => by_rows(data.as_chunks::<4>().0, shape).concat(),
            _ => by_rows(data.as_chunks::<8>().0, shape).concat(),
        };
    }
    Ok(raw_tensor(name, element_type, shape, data))
}
