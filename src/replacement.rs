//! Files that appear whole or not at all: written beside their place, then renamed into it.
//!
//! # Example
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("recipe.toml");
//! splitscope::replacement::replace_file(&path, b"weight_bits = 4")?;
//! assert_eq!(std::fs::read(&path)?, b"weight_bits = 4");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;

/// Files of this process that are being written beside their place.
static UNFINISHED: Unfinished = Unfinished::new();

/// Lets no more be written to files beside their places: for a process that was told to end, whose work then stops there.
pub(crate) fn write_no_more() {
    UNFINISHED.is_ending.store(true, Ordering::Relaxed);
}

/// Removes every file that is being written beside its place: for a process that ends now. What was in their places stays.
pub(crate) fn abandon_all() {
    UNFINISHED.abandon();
}

/// Files that are being written.
struct Unfinished {
    paths: Mutex<Vec<PathBuf>>,
    is_ending: AtomicBool,
}

impl Unfinished {
    const fn new() -> Self {
        Self {
            paths: Mutex::new(Vec::new()),
            is_ending: AtomicBool::new(false),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<PathBuf>)) {
        change(&mut self.paths.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn abandon(&self) {
        self.change(|paths| {
            for path in paths.drain(..) {
                // Nothing else can be done for one that cannot be removed.
                std::fs::remove_file(path).ok();
            }
        });
    }
}

/// A file being written beside its place; dropped before [`Replacement::commit`], it leaves nothing behind.
///
/// Whoever has the old file open or mapped keeps the old contents.
pub struct Replacement {
    path: PathBuf,
    writer: BufWriter<NamedTempFile>,
    listed: Listed,
}

/// The name of a file in a list as long as it is being written.
struct Listed {
    file: PathBuf,
    list: &'static Unfinished,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.list.change(|paths| paths.retain(|path| *path != self.file));
    }
}

impl Replacement {
    /// Begins a file that is to stand at `path`; where that is a link to a file, in place of the file that it leads to.
    ///
    /// # Errors
    /// The system's reason, such as a folder that is missing or may not be written to.
    pub fn new(path: &Path) -> io::Result<Self> {
        Self::listed(path, &UNFINISHED)
    }

    fn listed(path: &Path, list: &'static Unfinished) -> io::Result<Self> {
        let led_to = path.is_symlink().then(|| path.canonicalize().ok()).flatten();
        let path = led_to.as_deref().unwrap_or(path);
        let folder = folder_of(path);
        if !folder.is_dir() {
            let reason = format!("there is no folder '{}'", folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        if path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, not a file"));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".splitscope-").suffix(".part");
        // Temporary files are private by default; this one becomes an ordinary file, for whom the umask lets.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        // The library's message would name the temporary file, which tells nobody anything.
        let file = builder
            .tempfile_in(folder)
            .map_err(|error| io::Error::from(error.kind()))?;
        let beside = file.path().to_owned();
        list.change(|paths| paths.push(beside.clone()));
        Ok(Self {
            path: path.to_owned(),
            writer: BufWriter::with_capacity(1 << 20, file),
            listed: Listed { file: beside, list },
        })
    }

    /// Forces all that was written to the disk: after this a rename is all that is left to do.
    ///
    /// # Errors
    /// The system's reason, such as a full disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().as_file().sync_all()
    }

    /// Puts the file in its place, where it replaces what was there.
    ///
    /// # Errors
    /// The system's reason; what was there is then untouched.
    pub fn commit(mut self) -> io::Result<()> {
        self.sync()?;
        let Self {
            path,
            writer,
            listed: _listed,
        } = self;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.persist(&path).map_err(|error| error.error)?;
        // So that the rename itself survives a power cut. Not every file system can; the file is whole either way.
        if let Ok(folder) = File::open(folder_of(&path)) {
            folder.sync_all().ok();
        }
        Ok(())
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.listed.list.is_ending.load(Ordering::Relaxed) {
            return Err(io::Error::other("the program was told to end"));
        }
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes a small file that appears whole or not at all.
///
/// # Errors
/// The system's reason; what stood at `path` is then untouched.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Replacement::new(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// The folder that holds `path`.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_file_leaves_the_old_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        std::fs::write(&path, "old").unwrap();
        let mut file = Replacement::new(&path).unwrap();
        file.write_all(b"half of the new").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_process_that_ends_was_writing_is_removed_and_the_old_files_stay() {
        static LIST: Unfinished = Unfinished::new();
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("a.onnx"), folder.path().join("b.onnx"));
        std::fs::write(&one, "old").unwrap();
        let mut finished = Replacement::listed(&other, &LIST).unwrap();
        finished.write_all(b"whole").unwrap();
        finished.commit().unwrap();
        let mut file = Replacement::listed(&one, &LIST).unwrap();
        file.write_all(&[0; 3 << 20]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
        LIST.abandon();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(std::fs::read(&one).unwrap(), b"old");
        assert_eq!(std::fs::read(&other).unwrap(), b"whole");
        // It can no longer take its place.
        assert!(file.commit().is_err());
        assert_eq!(std::fs::read(&one).unwrap(), b"old");
    }

    #[test]
    fn what_is_being_written_when_a_process_is_told_to_end_is_not_written_on() {
        static LIST: Unfinished = Unfinished::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        std::fs::write(&path, "old").unwrap();
        let mut file = Replacement::listed(&path, &LIST).unwrap();
        file.write_all(b"half").unwrap();
        LIST.is_ending.store(true, Ordering::Relaxed);
        assert!(file.write_all(b" of the new").is_err());
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_committed_file_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        std::fs::write(&path, "old").unwrap();
        let mut file = Replacement::new(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_new_file_can_be_read_by_others_as_any_file_can() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ordinary, ours) = (folder.path().join("ordinary"), folder.path().join("ours"));
        std::fs::write(&ordinary, "").unwrap();
        Replacement::new(&ours).unwrap().commit().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&ordinary));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_link_leads_to_is_replaced_and_the_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("there.onnx"), folder.path().join("link.onnx"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("there.onnx", &link).unwrap();
        replace_file(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Replacement::new(Path::new("/no/such/folder/a.onnx")).err().unwrap();
        assert_eq!(error.to_string(), "there is no folder '/no/such/folder'");
    }
}
