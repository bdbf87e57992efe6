//! Zip archives of tensors, as PyTorch and NumPy write them: entries that are stored as they are take no memory of their own.

use bytes::Bytes;
use std::io::{Cursor, Read as _};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// Entries of an archive at most: one for each storage, and checkpoints have some thousands.
const MAX_ENTRIES: usize = 1 << 20;

/// Bytes that a compressed entry may have: torch and NumPy compress none unless asked, and a small entry can stand for any number of zeros.
const MAX_COMPRESSED: u64 = 1 << 28;

/// Bytes that all compressed entries together may have.
const MAX_UNPACKED: u64 = 1 << 30;

/// What is wrong with an archive, in words that follow a file's name.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("its archive cannot be read: {0}")]
    Zip(#[from] ZipError),
    #[error("its archive has {0} entries, more than {MAX_ENTRIES}")]
    Entries(usize),
    #[error("entries of its archive lie over each other")]
    Overlap,
    #[error("the compressed entries of its archive unpack to more than {} MiB", MAX_UNPACKED >> 20)]
    Unpacked,
    #[error("the entry '{name}' of its archive {what}")]
    Entry { name: String, what: &'static str },
}

/// The archive in `bytes`.
///
/// # Errors
/// What is wrong with it, in words that follow a file's name.
pub(super) fn open(bytes: &Bytes) -> Result<ZipArchive<Cursor<&Bytes>>, ArchiveError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    if archive.len() > MAX_ENTRIES {
        return Err(ArchiveError::Entries(archive.len()));
    }
    if archive.has_overlapping_files().unwrap_or(true) {
        return Err(ArchiveError::Overlap);
    }
    let mut unpacked = 0_u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        if entry.compression() != CompressionMethod::Stored {
            unpacked = unpacked.saturating_add(entry.size());
        }
    }
    if unpacked > MAX_UNPACKED {
        return Err(ArchiveError::Unpacked);
    }
    Ok(archive)
}

/// The bytes of an entry, without a copy where it is stored as it is.
pub(super) fn contents<R: std::io::Read>(
    bytes: &Bytes,
    entry: zip::read::ZipFile<'_, R>,
) -> Result<Bytes, ArchiveError> {
    let fault = |what| ArchiveError::Entry {
        name: crate::onnx::one_line(entry.name()),
        what,
    };
    if entry.compression() == CompressionMethod::Stored {
        let start = usize::try_from(entry.data_start()).ok();
        let end = start
            .zip(usize::try_from(entry.size()).ok())
            .and_then(|(start, size)| start.checked_add(size));
        return match start.zip(end) {
            Some((start, end)) if end <= bytes.len() => Ok(bytes.slice(start..end)),
            _ => Err(fault("ends behind the file")),
        };
    }
    if entry.size() > MAX_COMPRESSED {
        return Err(fault("is compressed and too large"));
    }
    let (name, size) = (fault("cannot be unpacked"), entry.size());
    let mut unpacked = Vec::new();
    entry.take(size).read_to_end(&mut unpacked).map_err(|_| name)?;
    Ok(unpacked.into())
}
