//! The zip archive of `torch.save`: `NAME/data.pkl`, and the numbers of each storage in `NAME/data/KEY`.

use super::super::archive::{ArchiveError, contents, open};
use super::pickle::Pickle;
use super::tensor::Storages;
use super::{CheckpointError, Weights, checkpoint};
use bytes::Bytes;
use std::collections::HashMap;
use std::io::Cursor;
use zip::ZipArchive;

/// Whether `bytes` begin as a zip archive does and hold a pickle.
pub(super) fn looks_like(bytes: &Bytes) -> bool {
    bytes.starts_with(b"PK\x03\x04")
        && ZipArchive::new(Cursor::new(bytes)).is_ok_and(|archive| archive.file_names().any(is_pickle))
}

fn is_pickle(name: &str) -> bool {
    name == "data.pkl" || name.ends_with("/data.pkl")
}

pub(super) fn read(bytes: &Bytes) -> Result<Weights, CheckpointError> {
    let mut archive = open(bytes)?;
    let name = archive.file_names().find(|name| is_pickle(name)).map(str::to_owned);
    let name = name.ok_or(CheckpointError::NoPickle)?;
    let folder = name.trim_end_matches("data.pkl").to_owned();
    let mut storages = Entries(HashMap::new());
    let (mut pickle, mut byte_order) = (None, None);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(ArchiveError::from)?;
        let Some(inside) = entry.name().strip_prefix(&folder).map(str::to_owned) else {
            continue;
        };
        let contents = contents(bytes, entry);
        if inside == "data.pkl" {
            pickle = Some(contents?);
        } else if inside == "byteorder" {
            byte_order = Some(contents?);
        } else if let Some(key) = inside.strip_prefix("data/") {
            storages.0.insert(key.to_owned(), contents?);
        }
    }
    if byte_order.is_some_and(|order| &order[..] != b"little") {
        return Err(CheckpointError::BigEndian);
    }
    let pickle = Pickle::read(&pickle.unwrap_or_default())?;
    checkpoint::weights(&pickle, &storages, bytes.len())
}

/// The entries `data/KEY`.
struct Entries(HashMap<String, Bytes>);

impl Storages for Entries {
    fn bytes(&self, key: &str) -> Option<Bytes> {
        self.0.get(key).cloned()
    }
}
