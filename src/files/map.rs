//! Models: copied if they are small, mapped under guard if they are large.

#[cfg(unix)]
use super::guard::Guard;
use super::{Stamp, open_ordinary, read_whole};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

/// Bytes that the copies of all open files take together; a file that would go beyond is mapped. Reading that many takes a
/// tenth of a second, and common networks (a ResNet-50 has 100 MB) fit.
pub const COPIED_AT_MOST: u64 = 256 << 20;

/// Bytes that living copies take.
static COPIED: AtomicU64 = AtomicU64::new(0);

/// The files that are mapped now.
static MAPS: Mutex<Vec<Weak<Mapped>>> = Mutex::new(Vec::new());

/// What was wrong with a mapped file when it was closed; the latest one.
static CHANGED: Mutex<Option<String>> = Mutex::new(None);

/// The bytes of a file, copied or mapped. An empty file gives no bytes.
///
/// # Errors
/// The system's reason, that the path is no ordinary file, or that the file changed while it was copied.
pub fn contents(path: &Path) -> io::Result<Bytes> {
    contents_copied(path, COPIED_AT_MOST)
}

/// [`contents`] with another limit on copies.
fn contents_copied(path: &Path, most: u64) -> io::Result<Bytes> {
    let file = open_ordinary(path)?;
    let stamp = Stamp::of(&file)?;
    if stamp.length == 0 {
        return Ok(Bytes::new());
    }
    match Room::take(stamp.length, most) {
        Some(room) => Ok(Bytes::from_owner(Copied {
            bytes: read_whole(&file, stamp)?,
            _room: room,
        })),
        None => map(path, file, stamp),
    }
}

/// Whether the file that `bytes` lie in is as it was when it was opened. Copies are always.
///
/// # Errors
/// That it was changed or cut off, naming it.
pub fn check(bytes: &[u8]) -> io::Result<()> {
    let at = bytes.as_ptr() as usize;
    let maps: Vec<_> = maps().iter().filter_map(Weak::upgrade).collect();
    match maps.iter().find(|mapped| mapped.range().contains(&at)) {
        Some(mapped) => mapped.check(),
        None => Ok(()),
    }
}

/// Gives back the memory that `bytes` of a mapped file or of a [`super::Spool`] take; they are read again where they are needed. For
/// work that goes through files larger than memory. Other bytes stay where they are.
pub fn release(bytes: &[u8]) {
    if bytes.is_empty() || super::spool::release(bytes) {
        return;
    }
    let at = bytes.as_ptr() as usize;
    let maps: Vec<_> = maps().iter().filter_map(Weak::upgrade).collect();
    if let Some(mapped) = maps.iter().find(|mapped| mapped.range().contains(&at)) {
        let offset = at - mapped.range().start;
        forget_pages(&mapped.map, offset, bytes.len().min(mapped.map.len() - offset));
    }
}

/// Lets the system take back the pages of `map`, a map of a file, in this range.
pub(super) fn forget_pages(map: &memmap2::Mmap, offset: usize, length: usize) {
    #[cfg(unix)]
    {
        #[allow(
            unsafe_code,
            reason = "The map is of a file and read only, so that no page of it holds anything that the file does not: a page \
                      that was taken back is read from the file again, or is one of the guard's zeros as before."
        )]
        let advised = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, length) };
        if let Err(error) = advised {
            log::debug!("{length} bytes of a mapped file stay in memory: {error}");
        }
    }
    #[cfg(not(unix))]
    let _ = (map, offset, length);
}

/// Whether all files that are mapped now are as they were when they were opened. To be asked after work that read them.
///
/// # Errors
/// That one was changed or cut off, naming it.
pub fn check_all() -> io::Result<()> {
    let maps: Vec<_> = maps().iter().filter_map(Weak::upgrade).collect();
    maps.iter().try_for_each(|mapped| mapped.check())
}

/// Whether all files that were mapped, and are no longer, were as they were when they were opened until they were closed. To
/// be asked at the end of a program that does one thing.
///
/// # Errors
/// That one was changed or cut off, naming it.
pub fn check_closed() -> io::Result<()> {
    let changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    changed.clone().map_or(Ok(()), |reason| Err(io::Error::other(reason)))
}

fn maps() -> MutexGuard<'static, Vec<Weak<Mapped>>> {
    MAPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A share of what copies may take, given back when it is dropped.
struct Room(u64);

impl Room {
    fn take(bytes: u64, most: u64) -> Option<Self> {
        let grown = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= most);
        COPIED
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .ok()
            .map(|_| Self(bytes))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        COPIED.fetch_sub(self.0, Ordering::Relaxed);
    }
}

struct Copied {
    bytes: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A mapped file.
struct Mapped {
    /// Before the map, so that it is dropped first: a guard must not outlive what it guards.
    #[cfg(unix)]
    guard: Guard,
    map: memmap2::Mmap,
    file: File,
    path: PathBuf,
    stamp: Stamp,
}

/// What owns the bytes of a map.
struct Owner(std::sync::Arc<Mapped>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0.map
    }
}

fn map(path: &Path, file: File, stamp: Stamp) -> io::Result<Bytes> {
    #[allow(
        unsafe_code,
        reason = "A map is how gigabytes open at once. If the file is cut off, the guard keeps the pages readable; if its \
                  bytes are changed, everything that was read from them is checked against the file's stamp and dropped. \
                  Lengths and offsets are checked against the map where they are used. We ourselves only replace files by renaming."
    )]
    let map = unsafe { memmap2::Mmap::map(&file)? };
    let mapped = std::sync::Arc::new(Mapped {
        #[cfg(unix)]
        guard: Guard::over(&map)?,
        map,
        file,
        path: path.to_owned(),
        stamp,
    });
    let mut maps = maps();
    maps.retain(|mapped| mapped.strong_count() > 0);
    maps.push(std::sync::Arc::downgrade(&mapped));
    drop(maps);
    // It may have been cut off between the look at its length and the map.
    mapped.check()?;
    Ok(Bytes::from_owner(Owner(mapped)))
}

impl Mapped {
    fn range(&self) -> std::ops::Range<usize> {
        let start = self.map.as_ptr() as usize;
        start..start + self.map.len()
    }

    fn check(&self) -> io::Result<()> {
        #[cfg(unix)]
        let broken = self.guard.is_broken();
        #[cfg(not(unix))]
        let broken = false;
        if broken || Stamp::of(&self.file)? != self.stamp {
            let path = self.path.display();
            let reason = format!("{path} was changed or cut off while it was open: open it again");
            return Err(io::Error::other(reason));
        }
        Ok(())
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Err(error) = self.check() {
            *CHANGED.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_copied_and_stays_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::fs::write(&path, [7; 10_000]).unwrap();
        let bytes = contents(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(bytes, vec![7; 10_000]);
        check(&bytes).unwrap();
    }

    #[test]
    fn room_for_copies_is_given_back() {
        // More than any test beside this one takes.
        let most = COPIED_AT_MOST * 100;
        let first = Room::take(most / 2, most).unwrap();
        assert!(Room::take(most / 2 + 1, most).is_none());
        assert!(Room::take(u64::MAX, most).is_none());
        drop(first);
        assert!(Room::take(most / 2 + 1, most).is_some());
    }

    #[test]
    fn a_file_beyond_the_limit_is_mapped_and_has_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::fs::write(&path, b"some bytes").unwrap();
        let bytes = contents_copied(&path, 0).unwrap();
        assert_eq!(bytes, &b"some bytes"[..]);
        check(&bytes[3..]).unwrap();
        // Replaced as we replace files: the map is of the old one.
        crate::replacement::replace_file(&path, b"others").unwrap();
        check(&bytes).unwrap();
        assert_eq!(bytes, &b"some bytes"[..]);
    }
}
