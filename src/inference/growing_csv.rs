//! A CSV file that grows by one whole line at a time, so that a run that was stopped can be gone on with.

use super::InferenceError;
use crate::files::without_mark;
use crate::printable::csv;
use crate::replacement::replace_file;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The open file. Nobody else of this program writes to it meanwhile.
#[derive(Debug)]
pub(super) struct GrowingCsv {
    file: File,
    path: PathBuf,
}

impl GrowingCsv {
    /// Begins a file with these titles. A file with contents is not overwritten: it may hold hours of work.
    ///
    /// # Errors
    /// [`InferenceError::Data`] naming the file and what to do.
    pub(super) fn create(path: &Path, titles: &[&str]) -> Result<Self, InferenceError> {
        if has_contents(path) {
            return Err(fault(
                path,
                "there already; remove it, or give --resume to go on with it",
            ));
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(path);
        let file = file.map_err(|error| fault(path, &error.to_string()))?;
        lock(&file).map_err(|reason| fault(path, &reason))?;
        let mut csv = Self {
            file,
            path: path.to_owned(),
        };
        csv.append(titles)?;
        Ok(csv)
    }

    /// Goes on with a file and gives what `read` makes of its text; `None` if there is nothing to go on with. A last line without
    /// its end, of a run that was killed, is cut off once `read` has found the others good.
    ///
    /// # Errors
    /// [`InferenceError::Data`] naming the file and what `read` says of it.
    pub(super) fn resume<T>(
        path: &Path,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<(Self, T)>, InferenceError> {
        let fault = |reason: String| fault(path, &reason);
        let io = |error: std::io::Error| fault(error.to_string());
        if !has_contents(path) {
            return Ok(None);
        }
        let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(io)?;
        lock(&file).map_err(fault)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = std::str::from_utf8(without_mark(&bytes[..whole])).map_err(|_| fault("is no text".to_owned()))?;
        let found = read(text).map_err(fault)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(io)?;
        }
        let csv = Self {
            file,
            path: path.to_owned(),
        };
        Ok(Some((csv, found)))
    }

    /// Adds one whole line.
    ///
    /// # Errors
    /// [`InferenceError::Data`] naming the file and the system's reason, such as a full disk.
    pub(super) fn append(&mut self, cells: &[impl AsRef<str>]) -> Result<(), InferenceError> {
        let written = self.file.write_all(csv::line(cells).as_bytes());
        let written = written.and_then(|()| self.file.flush());
        written.map_err(|error| fault(&self.path, &error.to_string()))
    }

    /// Whether the file can be written anew; a pipe cannot.
    pub(super) fn is_plain(&self) -> bool {
        self.path.metadata().is_ok_and(|there| there.is_file())
    }

    /// Puts `text` in place of what the file holds, and goes on at its end.
    ///
    /// # Errors
    /// As [`GrowingCsv::append`]; the file is then as it was.
    pub(super) fn rewrite(&mut self, text: &str) -> Result<(), InferenceError> {
        let io = |error: std::io::Error| fault(&self.path, &error.to_string());
        replace_file(&self.path, text.as_bytes()).map_err(io)?;
        // Another file has that name now.
        let file = OpenOptions::new().append(true).open(&self.path).map_err(io)?;
        lock(&file).map_err(|reason| fault(&self.path, &reason))?;
        self.file = file;
        Ok(())
    }

    /// That `reason` is wrong with the file.
    pub(super) fn fault(&self, reason: &str) -> InferenceError {
        fault(&self.path, reason)
    }
}

fn has_contents(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| there.is_file() && there.len() > 0)
}

/// Two runs must not write to one file, each the rows that it found missing. The lock ends with the file or its process.
fn lock(file: &File) -> Result<(), String> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err("another sweep is writing to it; give each its own file".to_owned()),
        // Not every file system has locks, and a pipe has none.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

pub(super) fn fault(path: &Path, reason: &str) -> InferenceError {
    InferenceError::Data(format!("{}: {reason}", path.display()))
}
