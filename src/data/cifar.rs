//! CIFAR's binary version: records of label byte(s) and 3 x 32 x 32 pixels, planes R, G, B.

use super::classes::{CIFAR_10, CIFAR_100};
use super::{DatasetError, fault};
use std::path::Path;

/// Bytes of the pixels of a record.
const PIXELS: usize = 3 * 32 * 32;

/// A CIFAR file.
pub(super) struct Cifar {
    /// The file.
    pub(super) data: Vec<u8>,
    /// Bytes of a record.
    pub(super) record: usize,
    /// Bytes before the pixels in a record.
    pub(super) offset: usize,
    /// Labels: the fine ones of CIFAR-100.
    pub(super) labels: Vec<usize>,
    /// Names of the classes.
    pub(super) classes: Vec<String>,
}

/// Whether a file of that length can be CIFAR.
pub(super) fn is_cifar(bytes: usize) -> bool {
    bytes > 0 && (bytes.is_multiple_of(PIXELS + 1) || bytes.is_multiple_of(PIXELS + 2))
}

/// Reads a file: CIFAR-10 unless only CIFAR-100's record length divides it, or its name says 100 and that divides it too.
pub(super) fn read(path: &Path, data: Vec<u8>) -> Result<Cifar, DatasetError> {
    let name = path.display().to_string();
    let named_100 = name.to_lowercase().contains("cifar100") || name.to_lowercase().contains("cifar-100");
    let (ten, hundred) = (
        data.len().is_multiple_of(PIXELS + 1),
        data.len().is_multiple_of(PIXELS + 2),
    );
    if data.is_empty() || !(ten || hundred) {
        return Err(fault(
            &name,
            format!(
                "{} bytes are no whole number of CIFAR records (3073 bytes, or 3074 for CIFAR-100)",
                data.len()
            ),
        ));
    }
    let (offset, count) = if hundred && (named_100 || !ten) {
        (2, 100)
    } else {
        (1, 10)
    };
    let record = PIXELS + offset;
    let labels: Vec<usize> = data
        .chunks_exact(record)
        .map(|bytes| usize::from(bytes[offset - 1]))
        .collect();
    if let Some(sample) = labels.iter().position(|label| *label >= count) {
        return Err(fault(
            &name,
            format!(
                "the label of record {sample} is {}, CIFAR-{count} has 0 to {}",
                labels[sample],
                count - 1
            ),
        ));
    }
    let classes: &[&str] = if count == 10 { &CIFAR_10 } else { &CIFAR_100 };
    let classes = classes.iter().map(|&name| name.to_owned()).collect();
    Ok(Cifar {
        data,
        record,
        offset,
        labels,
        classes,
    })
}
