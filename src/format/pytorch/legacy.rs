//! Checkpoints of before torch 1.6: pickles of a magic number, a version, the machine and the state dict, then the keys of the
//! storages in order and the numbers of each.

use super::pickle::{Pickle, PickleError, Value};
use super::tensor::{Storages, storage_of};
use super::{CheckpointError, Weights, checkpoint};
use bytes::Bytes;
use std::collections::HashMap;

/// The first pickle: protocol 2, the number 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

pub(super) fn read(bytes: &Bytes) -> Result<Weights, CheckpointError> {
    let mut at = MAGIC.len();
    let mut next = || -> Result<Pickle, PickleError> {
        let pickle = Pickle::read(bytes.get(at..).unwrap_or_default())?;
        at += pickle.length;
        Ok(pickle)
    };
    let (version, _machine, pickle, keys) = (next()?, next()?, next()?, next()?);
    if version.int(version.root) != Some(1001) {
        return Err(CheckpointError::Version);
    }
    // The numbers of a storage are as many as the state dict says; before them stands that number once more.
    let mut widths = HashMap::new();
    for id in 0..pickle.count() {
        if let Value::Persistent(given) = pickle.value(id) {
            // The class of a module and its source.
            let first = pickle.items(*given).and_then(|items| items.first());
            if first.is_some_and(|first| pickle.text(*first) == Some("module")) {
                continue;
            }
            let storage = storage_of(&pickle, id)?;
            widths.insert(storage.key, storage.kind.map_or(1, |kind| kind.bytes));
        }
    }
    let mut storages = Data(HashMap::new());
    for id in keys.items(keys.root).unwrap_or_default() {
        let key = keys.text(*id).ok_or(CheckpointError::NoNames)?;
        let cut = || CheckpointError::CutOff(crate::onnx::one_line(key));
        let head = bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<8>())
            .ok_or_else(cut)?;
        let width = widths.get(key).copied().unwrap_or(1);
        let length = usize::try_from(i64::from_le_bytes(*head))
            .ok()
            .and_then(|count| count.checked_mul(width));
        let start = at + head.len();
        let end = length
            .and_then(|length| start.checked_add(length))
            .filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(cut)?;
        storages.0.insert(key.to_owned(), bytes.slice(start..end));
        at = end;
    }
    checkpoint::weights(&pickle, &storages, bytes.len())
}

struct Data(HashMap<String, Bytes>);

impl Storages for Data {
    fn bytes(&self, key: &str) -> Option<Bytes> {
        self.0.get(key).cloned()
    }
}
