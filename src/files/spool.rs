//! Bytes that wait in a file instead of in memory until they are written where they belong.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Fewer bytes are not worth a map of their own, of which a process may have some ten thousands.
const MIN_KEPT: usize = 1 << 20;

/// Parts begin at a multiple of this: no page of any system is larger.
const ALIGNMENT: u64 = 1 << 16;

/// The parts that are mapped now, by the address of their first byte.
static PARTS: Mutex<BTreeMap<usize, Weak<Part>>> = Mutex::new(BTreeMap::new());

/// A file without a name, gone when the last of its parts is dropped or the process ends. What is kept in it is mapped: the system
/// reads it back where it is needed, and [`super::release`] gives the memory back.
pub struct Spool {
    file: Mutex<File>,
}

impl Spool {
    /// One on the disk that `folder` is on.
    ///
    /// # Errors
    /// The system's reason, such as a folder that may not be written to.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(tempfile::tempfile_in(folder)?),
        })
    }

    /// The same bytes, in the file. They stay in memory where they are few, or where the file cannot take them: its disk may be
    /// full, and then the log says so.
    pub fn keep(&self, bytes: Bytes) -> Bytes {
        if bytes.len() < MIN_KEPT || is_part(&bytes) {
            return bytes;
        }
        self.put(&bytes).unwrap_or_else(|error| {
            log::warn!("{} bytes stay in memory: {error}", bytes.len());
            bytes
        })
    }

    fn put(&self, bytes: &[u8]) -> io::Result<Bytes> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let start = file.seek(SeekFrom::End(0))?.next_multiple_of(ALIGNMENT);
        file.seek(SeekFrom::Start(start))?;
        file.write_all(bytes)?;
        #[allow(
            unsafe_code,
            reason = "The file has no name, so that nobody else can cut it off or change it; we write each part once, before \
                      it is mapped, and only append others."
        )]
        let map = unsafe { memmap2::MmapOptions::new().offset(start).len(bytes.len()).map(&*file)? };
        drop(file);
        let part = Arc::new(Part { map });
        parts().insert(part.start(), Arc::downgrade(&part));
        Ok(Bytes::from_owner(Owner(part)))
    }
}

struct Part {
    map: memmap2::Mmap,
}

impl Part {
    fn start(&self) -> usize {
        self.map.as_ptr() as usize
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Still mapped here, so that no other part can have the address.
        parts().remove(&self.start());
    }
}

struct Owner(Arc<Part>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0.map
    }
}

fn parts() -> MutexGuard<'static, BTreeMap<usize, Weak<Part>>> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The part that holds `bytes`, and where in it they begin.
fn part_of(bytes: &[u8]) -> Option<(Arc<Part>, usize)> {
    let at = bytes.as_ptr() as usize;
    // The lock is given back first: the last owner of a part takes it again.
    let part = parts().range(..=at).next_back().and_then(|(_, part)| part.upgrade())?;
    let offset = at - part.start();
    (offset + bytes.len() <= part.map.len()).then_some((part, offset))
}

fn is_part(bytes: &[u8]) -> bool {
    part_of(bytes).is_some()
}

/// Gives back the memory that `bytes` of a part take; whether they are of one.
pub(super) fn release(bytes: &[u8]) -> bool {
    let Some((part, offset)) = part_of(bytes) else {
        return false;
    };
    super::map::forget_pages(&part.map, offset, bytes.len());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_in_any_order_and_after_it_was_released() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::in_folder(folder.path()).unwrap();
        let bytes = |seed: usize| -> Vec<u8> {
            (0..MIN_KEPT + 12_345 * seed)
                .map(|i| (i * (seed + 7) % 251) as u8)
                .collect()
        };
        let kept: Vec<Bytes> = (0..5).map(|seed| spool.keep(bytes(seed).into())).collect();
        assert!(kept.iter().all(|bytes| is_part(bytes)));
        for seed in [3, 0, 4, 1, 2] {
            assert!(kept[seed] == bytes(seed));
            assert!(release(&kept[seed][1000..]), "part {seed}");
            assert!(kept[seed] == bytes(seed));
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "the file has no name"
        );
        drop(spool);
        assert!(kept[2] == bytes(2), "parts outlive the spool");
    }

    #[test]
    fn few_bytes_stay_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::in_folder(folder.path()).unwrap();
        let bytes = Bytes::from(vec![7; 1000]);
        let kept = spool.keep(bytes.clone());
        assert_eq!(kept.as_ptr(), bytes.as_ptr());
        assert!(!release(&kept), "memory of our own must not be given back");
        assert_eq!(kept, vec![7; 1000]);
    }
}
