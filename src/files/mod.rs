//! Files of other people, read so that neither their size nor what is done to them meanwhile can end the program.
//!
//! - A file is asked what it is before it is opened: a pipe would be waited for, a device has no end ([`open_ordinary`]).
//! - A file that is needed whole and is small by nature (a recipe, labels, data) is read up to a stated size: [`read`].
//! - A model is read into memory if it is small enough ([`COPIED_AT_MOST`]): whatever happens to the file then, the session
//!   has its own copy. A larger one is mapped, so that gigabytes open at once and need no memory of their own: [`contents`].
//! - Below a map the file can change. If it is cut off, the system sends `SIGBUS` to whoever reads behind its new end; the
//!   guard answers by putting zeros there and remembers it. Nobody may believe what was read since: whoever has made
//!   something of mapped bytes asks [`check`] or [`check_all`] *afterwards* and drops the result if the file has changed.
//!
//! That a file is as it was is known by its length and time of modification, asked of the handle that is open: a file that
//! is replaced by renaming, as we do it, leaves that handle, the map and the session as they were.

mod bounded;
#[cfg(unix)]
mod guard;
mod map;
mod npy;
mod spool;
mod text_path;

pub use bounded::{LARGEST_DATA, LARGEST_TEXT, read, read_text, without_mark};
pub use map::{COPIED_AT_MOST, check, check_all, check_closed, contents, release};
pub use npy::{NpyError, NpyHeader, by_rows, is_npy};
pub use spool::Spool;
pub use text_path::{path_text, real_path};

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// By what a changed file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// Opens an ordinary file: a pipe would be waited for, a device has no end.
///
/// # Errors
/// The system's reason, or that it is a folder or no ordinary file.
pub fn open_ordinary(path: &Path) -> io::Result<File> {
    let ordinary = |metadata: &Metadata| {
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, not a file"));
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no ordinary file"));
        }
        Ok(())
    };
    ordinary(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    ordinary(&file.metadata()?)?;
    Ok(file)
}

/// All of `file`, which has the length of `stamp`, in memory that is asked for, not taken.
fn read_whole(mut file: &File, stamp: Stamp) -> io::Result<Vec<u8>> {
    use io::Read;
    let too_large = || {
        let reason = format!("has {} bytes, for which there is no memory", stamp.length);
        io::Error::new(io::ErrorKind::OutOfMemory, reason)
    };
    let length = usize::try_from(stamp.length).map_err(|_| too_large())?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| too_large())?;
    // Not to its end: that may run away while somebody writes.
    (&mut file).take(stamp.length).read_to_end(&mut bytes)?;
    if bytes.len() != length || Stamp::of(file)? != stamp {
        return Err(io::Error::other(
            "was changed while it was read: open it again once it is written",
        ));
    }
    Ok(bytes)
}
