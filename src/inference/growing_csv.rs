//! A CSV file that grows by one whole line at a time, so that a run that was stopped can be gone on with.

use super::InferenceError;
use crate::files::without_mark;
use crate::printable::csv;
use crate::replacement::replace_file;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What is wrong with a table of results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A new file was asked for, and one with contents is there.
    #[error("there already; remove it, or give --resume to go on with it")]
    Exists,
    /// Another run has it open.
    #[error("another sweep is writing to it; give each its own file")]
    InUse,
    /// Its bytes are no UTF-8.
    #[error("is no text")]
    NoText,
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A recipe that is no JSON.
    #[error(transparent)]
    Recipe(#[from] serde_json::Error),
    /// The titles are of something else; what is wanted.
    #[error("line 1: these are not the columns of {0}; write to another file")]
    Titles(&'static str),
    /// A line that is no row.
    #[error("line {line}: {error}")]
    Line {
        /// From 1 on.
        line: usize,
        /// What is wrong with it.
        error: Box<RowError>,
    },
}

impl TableError {
    /// That `error` is wrong with the line behind `before` others.
    pub(super) fn at(before: usize, error: RowError) -> Self {
        Self::Line {
            line: before + 1,
            error: Box::new(error),
        }
    }
}

/// What is wrong with a row of a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// It ends inside of a cell.
    #[error("a quote does not end")]
    Quote,
    /// It has no cells.
    #[error("is empty")]
    Empty,
    /// It has other cells than titles.
    #[error("{found} columns instead of {expected}")]
    Columns {
        /// How many it has.
        found: usize,
        /// How many titles there are.
        expected: usize,
    },
    /// The last cell is no recipe.
    #[error("recipe: {0}")]
    Recipe(#[from] serde_json::Error),
    /// It was made in another setting.
    #[error("is of another {of}: {column} is '{there}', not '{own}'; write to another file")]
    OtherRun {
        /// What the file is of.
        of: &'static str,
        /// The column that differs.
        column: &'static str,
        /// What it holds.
        there: String,
        /// What it should hold.
        own: String,
    },
    /// A cell that should be a number.
    #[error("{column} is no number: '{text}'")]
    Number {
        /// Its column.
        column: &'static str,
        /// What it holds.
        text: String,
    },
}

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
    /// [`InferenceError::Table`] naming the file and what to do.
    pub(super) fn create(path: &Path, titles: &[&str]) -> Result<Self, InferenceError> {
        if has_contents(path) {
            return Err(fault(path, TableError::Exists));
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(path);
        let file = file.map_err(|error| fault(path, error))?;
        lock(&file).map_err(|error| fault(path, error))?;
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
    /// [`InferenceError::Table`] naming the file and what `read` says of it.
    pub(super) fn resume<T>(
        path: &Path,
        read: impl FnOnce(&str) -> Result<T, TableError>,
    ) -> Result<Option<(Self, T)>, InferenceError> {
        let fault = |error: TableError| fault(path, error);
        let io = |error: io::Error| fault(error.into());
        if !has_contents(path) {
            return Ok(None);
        }
        let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(io)?;
        lock(&file).map_err(fault)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = std::str::from_utf8(without_mark(&bytes[..whole])).map_err(|_| fault(TableError::NoText))?;
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
    /// [`InferenceError::Table`] naming the file and the system's reason, such as a full disk.
    pub(super) fn append(&mut self, cells: &[impl AsRef<str>]) -> Result<(), InferenceError> {
        let written = self.file.write_all(csv::line(cells).as_bytes());
        let written = written.and_then(|()| self.file.flush());
        written.map_err(|error| self.fault(error))
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
        let io = |error: io::Error| self.fault(error);
        replace_file(&self.path, text.as_bytes()).map_err(io)?;
        // Another file has that name now.
        let file = OpenOptions::new().append(true).open(&self.path).map_err(io)?;
        lock(&file).map_err(|error| self.fault(error))?;
        self.file = file;
        Ok(())
    }

    /// That `error` is wrong with the file.
    pub(super) fn fault(&self, error: impl Into<TableError>) -> InferenceError {
        fault(&self.path, error)
    }
}

fn has_contents(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| there.is_file() && there.len() > 0)
}

/// Two runs must not write to one file, each the rows that it found missing. The lock ends with the file or its process.
fn lock(file: &File) -> Result<(), TableError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(TableError::InUse),
        // Not every file system has locks, and a pipe has none.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

pub(super) fn fault(path: &Path, error: impl Into<TableError>) -> InferenceError {
    InferenceError::Table {
        path: path.to_owned(),
        error: error.into(),
    }
}
