//! IDX files (the format of MNIST), plain or gzip: `00 00 08 rank`, big-endian sizes, then bytes.

use super::{DatasetError, element_count, fault};
use crate::files::{self, LARGEST_DATA};
use flate2::read::GzDecoder;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// An array of unsigned bytes.
pub(super) struct Idx {
    /// Sizes, samples first.
    pub(super) shape: Vec<usize>,
    /// Row-major elements.
    pub(super) data: Vec<u8>,
}

/// Whether a file that begins with `start` is IDX, plain; gzip files must be opened to know.
pub(super) fn is_idx(start: &[u8]) -> bool {
    matches!(start, [0, 0, 8, 1..=4, ..])
}

/// Whether a file that begins with `start` is gzip.
pub(super) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// Reads a file.
pub(super) fn read_file(path: &Path) -> Result<Idx, DatasetError> {
    let name = path.display().to_string();
    let file = files::open_ordinary(path).map_err(|error| fault(&name, error.to_string()))?;
    read(BufReader::new(file), &name)
}

/// Reads plain or gzip bytes. No more is decompressed than the header declares.
pub(super) fn read(mut bytes: impl Read, name: &str) -> Result<Idx, DatasetError> {
    let mut magic = [0; 2];
    let short = |_| fault(name, "the file ends within its header".to_owned());
    bytes.read_exact(&mut magic).map_err(short)?;
    let whole = magic.chain(bytes);
    if is_gzip(&magic) {
        read_plain(GzDecoder::new(whole), name)
    } else {
        read_plain(whole, name)
    }
}

fn read_plain(mut bytes: impl Read, name: &str) -> Result<Idx, DatasetError> {
    let header = |error: std::io::Error| fault(name, format!("the IDX header cannot be read: {error}"));
    let mut magic = [0; 4];
    bytes.read_exact(&mut magic).map_err(header)?;
    if !is_idx(&magic) {
        return Err(fault(
            name,
            "no IDX file of unsigned bytes (its first bytes are not 00 00 08)".to_owned(),
        ));
    }
    let mut shape = Vec::new();
    for _ in 0..magic[3] {
        let mut size = [0; 4];
        bytes.read_exact(&mut size).map_err(header)?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    let declared = element_count(&shape).filter(|&declared| declared as u64 <= LARGEST_DATA);
    let declared =
        declared.ok_or_else(|| fault(name, format!("the header declares {shape:?} elements, more than 4 GiB")))?;
    let mut data = Vec::new();
    (&mut bytes)
        .take(declared as u64)
        .read_to_end(&mut data)
        .map_err(|error| fault(name, error.to_string()))?;
    if data.len() < declared {
        return Err(fault(
            name,
            format!(
                "truncated: the header declares {shape:?} = {declared} elements, the file holds {}",
                data.len()
            ),
        ));
    }
    if bytes.read(&mut [0]).map_err(|error| fault(name, error.to_string()))? > 0 {
        return Err(fault(
            name,
            format!("the file goes on after the {declared} elements that its header declares"),
        ));
    }
    Ok(Idx { shape, data })
}

/// The labels' file beside `images` by its usual name, if there is one.
pub(super) fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let labels = [
        ("images-idx3", "labels-idx1"),
        ("images.idx3", "labels.idx1"),
        ("images", "labels"),
    ]
    .into_iter()
    .find(|(images, _)| plain.contains(images))
    .map(|(images, labels)| plain.replace(images, labels))?;
    [labels.clone(), format!("{labels}.gz")]
        .into_iter()
        .map(|name| images.with_file_name(name))
        .find(|path| path.is_file() && path != images)
}
