//! Files that a model names: found beside it, and nowhere else.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Where the files that a model names may lie: in the folder that holds the model; or, where the model's path is a link
/// (as in a model hub's cache, `snapshots/v1/model.onnx -> ../../blobs/8f2c…`), also in the folder that holds the file at
/// its end, when a link in the first folder leads there. A model that a person opens speaks for these two folders. A name
/// that itself leads out of the model's folder (`../w.bin`, `/etc/passwd`) is always refused.
#[derive(Debug)]
pub struct ModelFolder {
    folder: PathBuf,
    /// The folder of the model's own file, all links followed.
    real: PathBuf,
}

/// Why a file that a model names is not read.
#[derive(Debug)]
pub enum NotBeside {
    /// The name leads out of the model's folder.
    Outside,
    /// The name is a link out of it.
    LinkOut,
    /// The system's reason.
    Unreadable(io::Error),
}

impl ModelFolder {
    /// The surroundings of the model at `file`.
    ///
    /// # Errors
    /// The system's reason.
    pub fn of(file: &Path) -> io::Result<Self> {
        let folder = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            // An empty path is the present folder to everyone but the file system.
            _ => Path::new("."),
        };
        let folder = folder.canonicalize()?;
        let real = file.canonicalize().ok();
        let real = real.as_deref().and_then(Path::parent).unwrap_or(&folder).to_owned();
        Ok(Self { folder, real })
    }

    /// The file called `name`, all links followed.
    ///
    /// # Errors
    /// [`NotBeside`].
    pub fn find(&self, name: &str) -> Result<PathBuf, NotBeside> {
        if !stays_inside(name) {
            return Err(NotBeside::Outside);
        }
        let path = self.folder.join(name).canonicalize().map_err(NotBeside::Unreadable)?;
        if path.starts_with(&self.folder) || path.parent() == Some(&self.real) {
            Ok(path)
        } else {
            Err(NotBeside::LinkOut)
        }
    }
}

/// Whether a name means something below the folder it starts from, on this and on every other system.
fn stays_inside(name: &str) -> bool {
    let path = Path::new(name);
    let ordinary = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let foreign = name.starts_with(['/', '\\'])
        || name.as_bytes().get(1) == Some(&b':')
        || name.split(['/', '\\']).any(|part| part == "..");
    ordinary && !foreign && !name.is_empty() && !name.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_folder_are_recognized() {
        for inside in ["weights.bin", "./weights.bin", "data/weights.bin", "a..b"] {
            assert!(stays_inside(inside), "{inside}");
        }
        for outside in [
            "",
            "/etc/passwd",
            "../w.bin",
            "data/../../w.bin",
            "..",
            "..\\w.bin",
            "\\\\host\\w.bin",
            "C:\\w.bin",
            "a\0b",
        ] {
            assert!(!stays_inside(outside), "{outside:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_hubs_cache_is_followed_to_its_blobs_and_no_further() {
        use std::os::unix::fs::symlink;
        let cache = tempfile::tempdir().unwrap();
        let at = |path: &str| cache.path().join(path);
        for folder in ["blobs", "other", "snapshots/v1"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["blobs/8f2c", "blobs/77aa", "other/secret"] {
            std::fs::write(at(file), file).unwrap();
        }
        symlink("../../blobs/8f2c", at("snapshots/v1/model.onnx")).unwrap();
        symlink("../../blobs/77aa", at("snapshots/v1/model.onnx_data")).unwrap();
        symlink("../../other/secret", at("snapshots/v1/secret")).unwrap();
        symlink("../../other", at("snapshots/v1/folder")).unwrap();
        let surroundings = ModelFolder::of(&at("snapshots/v1/model.onnx")).unwrap();
        let found = surroundings.find("model.onnx_data").unwrap();
        assert_eq!(std::fs::read(found).unwrap(), b"blobs/77aa");
        for out in ["secret", "folder/secret"] {
            assert!(matches!(surroundings.find(out), Err(NotBeside::LinkOut)), "{out}");
        }
        // Not a link of the model's folder, though the file is one that such a link may lead to.
        let direct = surroundings.find("../../blobs/77aa");
        assert!(matches!(direct, Err(NotBeside::Outside)));
        // A model that is no link has its own folder only.
        std::fs::write(at("snapshots/v1/plain.onnx"), "").unwrap();
        let plain = ModelFolder::of(&at("snapshots/v1/plain.onnx")).unwrap();
        assert!(matches!(plain.find("model.onnx_data"), Err(NotBeside::LinkOut)));
    }
}
