//! Labels beside the data: IDX, `.npy`, or text.
//!
//! Text is one label a line in the order of the samples, or a table ([`super::label_table`]) with the name of a sample and its
//! label in each line.

use super::label_table::{LabelsError, NamedLabels, of_text};
use super::{DatasetError, fault, idx, npy};
use crate::files;
use std::path::Path;

/// A file of labels.
pub(super) enum Labels {
    /// In the order of the samples.
    Ordered(Vec<usize>),
    /// By file name.
    Named(NamedLabels),
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Labels, DatasetError> {
    let name = path.display().to_string();
    let bytes = files::read(path, files::LARGEST_DATA).map_err(|error| fault(&name, error.to_string()))?;
    if idx::is_idx(&bytes) || idx::is_gzip(&bytes) {
        let idx = idx::read(&bytes[..], &name)?;
        if idx.shape.len() != 1 {
            return Err(fault(
                &name,
                format!("labels have one axis, this file has {:?}", idx.shape),
            ));
        }
        return Ok(Labels::Ordered(idx.data.into_iter().map(usize::from).collect()));
    }
    if npy::is_npy(&bytes) {
        return Ok(Labels::Ordered(npy::parse_npy(&bytes, &name)?.into_labels(&name)?));
    }
    let wrong = |error: LabelsError| fault(&name, error);
    of_text(&text(&bytes).map_err(wrong)?).map_err(wrong)
}

/// Text in UTF-8, or in UTF-16 with its mark (as spreadsheets write it); a byte order mark is no part of it.
fn text(bytes: &[u8]) -> Result<String, LabelsError> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).map_err(|_| LabelsError::NoUtf16)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => {
            let text = std::str::from_utf8(files::without_mark(bytes));
            text.map(str::to_owned).map_err(|_| LabelsError::NoText)
        }
    }
}

/// The labels of `samples` samples in order.
pub(super) fn ordered(labels: Labels, samples: usize, path: &Path) -> Result<Vec<usize>, DatasetError> {
    let name = path.display().to_string();
    match labels {
        Labels::Ordered(labels) if labels.len() == samples => Ok(labels),
        Labels::Ordered(labels) => Err(fault(
            &name,
            format!("{} labels for {samples} samples: each sample needs one", labels.len()),
        )),
        Labels::Named(_) => Err(fault(
            &name,
            "name,label lines need a folder of images; give one label a line".to_owned(),
        )),
    }
}
