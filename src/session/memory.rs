//! Files in which the program remembers things from one start to the next: whole or not at all, whenever it ends, and however
//! many of it run.

use super::Saved;
use crate::{files, replacement};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// One such file, as JSON. Writing goes on beside the window, which never waits for a disk.
pub struct Memory<T> {
    path: PathBuf,
    /// What was written last.
    written: String,
    writer: Option<JoinHandle<()>>,
    /// What is written, given what another program of ours may have put there meanwhile, and what this one remembers.
    merge: fn(Option<T>, T) -> T,
}

impl Memory<Saved> {
    /// The session's memory at `path`.
    pub fn of_session(path: PathBuf) -> Self {
        Self::at(path, |there, saved| saved.with_recent_of(there.unwrap_or_default()))
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Memory<T> {
    /// A memory at `path`, which need not be there.
    pub fn at(path: PathBuf, merge: fn(Option<T>, T) -> T) -> Self {
        Self {
            path,
            written: String::new(),
            writer: None,
            merge,
        }
    }

    /// What was remembered; `None` if there is nothing, or nothing that can be read: such a file is set aside.
    pub fn load(&self) -> Option<T> {
        let text = files::read_text(&self.path);
        let broken = match &text {
            Ok(text) => match serde_json::from_str(text) {
                Ok(value) => return Some(value),
                Err(error) => error.to_string(),
            },
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => error.to_string(),
            Err(_) => return None,
        };
        set_aside(&self.path, &broken);
        None
    }

    /// Remembers `value`, unless it is what was remembered last. A failure is logged: there is nobody to ask.
    pub fn save(&mut self, value: &T) {
        let text = match serde_json::to_string_pretty(value) {
            Ok(text) if text == self.written => return,
            Ok(text) => text,
            Err(error) => return log::warn!("{}: {error}", self.path.display()),
        };
        self.wait();
        self.written.clone_from(&text);
        let (path, merge) = (self.path.clone(), self.merge);
        let there = Self::at(path.clone(), merge);
        let write = move || {
            let merged = || -> std::io::Result<()> {
                let merged = serde_json::to_string_pretty(&merge(there.load(), serde_json::from_str(&text)?))?;
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                replacement::replace_file(&path, merged.as_bytes())
            };
            if let Err(reason) = merged() {
                log::warn!("{}: {reason}", path.display());
            }
        };
        let writer = std::thread::Builder::new().name("remembering".to_owned());
        match writer.spawn(write) {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => log::warn!("nothing is remembered: {error}"),
        }
    }
}

impl<T> Memory<T> {
    /// Waits until what was last to be remembered is on the disk.
    pub fn wait(&mut self) {
        if let Some(writer) = self.writer.take() {
            // That it panicked was reported when it did.
            let _ = writer.join();
        }
    }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Renames a file that cannot be used, so that it neither stands in the way nor is lost, and says so. What was set aside before is
/// replaced.
pub fn set_aside(path: &Path, reason: &str) {
    let mut name = path.as_os_str().to_owned();
    name.push(".broken");
    match std::fs::rename(path, &name) {
        Ok(()) => log::error!(
            "{}: {reason}; set aside as {}",
            path.display(),
            Path::new(&name).display()
        ),
        Err(error) => log::error!("{}: {reason}; it cannot be set aside: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/session.json");
        let mut memory = Memory::of_session(path.clone());
        assert_eq!(memory.load(), None);
        let mut saved = Saved {
            sigma: 3.5,
            ..Saved::default()
        };
        saved.remember(Path::new("/a.onnx"));
        memory.save(&saved);
        drop(memory);
        assert_eq!(Memory::of_session(path.clone()).load(), Some(saved));
        std::fs::write(&path, "{ half").unwrap();
        assert_eq!(Memory::of_session(path.clone()).load(), None);
        assert!(!path.exists());
        assert_eq!(
            std::fs::read_to_string(path.with_extension("json.broken")).unwrap(),
            "{ half"
        );
    }

    #[test]
    fn of_two_programs_neither_loses_the_files_that_it_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        for own in ["/one.onnx", "/two.onnx"] {
            let mut saved = Saved::default();
            saved.remember(Path::new(own));
            Memory::of_session(path.clone()).save(&saved);
        }
        let recent = Memory::of_session(path).load().unwrap().recent;
        assert_eq!(recent, [PathBuf::from("/two.onnx"), PathBuf::from("/one.onnx")]);
    }
}
