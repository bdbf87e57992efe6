//! Writing what somebody else has made: the numbers, the drawing or the picture of a plot.

use super::Session;
use super::work::{self, Kind, Output};
use crate::jobs::JobError;
use crate::progress::Progress;
use crate::replacement::replace_file;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file is to hold, made on the thread of the job that writes it.
#[derive(Clone)]
pub struct Contents(Arc<Make>);

type Make = dyn Fn() -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> + Send + Sync;

impl Contents {
    /// The bytes that `make` gives, or why there are none.
    pub fn new<E: Into<Box<dyn Error + Send + Sync>>>(
        make: impl Fn() -> Result<Vec<u8>, E> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move || make().map_err(Into::into)))
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contents")
    }
}

impl Session {
    /// Files are numbered, so that one does not replace another.
    pub(super) fn write(&mut self, path: PathBuf, contents: Contents) {
        self.files_written += 1;
        let title = format!("Writing {}", path.display());
        self.jobs
            .start(Kind::Write(self.files_written), title, move |progress| {
                write(&path, &contents, progress)?;
                Ok(Output::Wrote(path))
            });
    }
}

fn write(path: &Path, contents: &Contents, progress: &Progress) -> Result<(), JobError> {
    let bytes = (contents.0)().map_err(work::failed)?;
    progress.check()?;
    replace_file(path, &bytes).map_err(work::failed)
}
