//! Finding and loading the library of onnxruntime, which is the person's own: nothing is downloaded, and nothing is looked for
//! beside a model.

use crate::engine::EngineFault;
use crate::files::open_ordinary;
use ort::environment::Environment;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Variable of the environment that names the library.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Asks Python where it keeps packages. Isolated: neither the current folder nor variables decide what is imported.
const ASK_PYTHON: [&str; 3] = [
    "-I",
    "-c",
    "import sysconfig; paths = sysconfig.get_paths(); print(paths['purelib']); print(paths['platlib'])",
];

/// The loaded library.
#[derive(Clone)]
pub(super) struct Library {
    pub(super) environment: Environment,
    /// Its version, as far as it is known.
    pub(super) version: String,
}

/// A library stays loaded until the process ends, and there can only be one.
static LOADED: Mutex<Option<(PathBuf, Library)>> = Mutex::new(None);

/// Loads the library at `path`, or the one that is found.
///
/// # Errors
/// Where it was looked for; why it cannot be loaded; that another one is loaded already.
pub(super) fn load(path: Option<&Path>) -> Result<Library, EngineFault> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let path = match (path, &*loaded) {
        (None, Some((_, library))) => return Ok(library.clone()),
        (Some(path), _) => absolute(path)?,
        (None, None) => find()?,
    };
    if let Some((of, library)) = &*loaded {
        return if *of == path {
            Ok(library.clone())
        } else {
            Err(EngineFault::OtherLibrary {
                loaded: of.display().to_string(),
                wanted: path.display().to_string(),
            })
        };
    }
    let opening = || {
        let environment = ort::init_from(&path).map_err(EngineFault::told)?;
        let environment = environment.with_name("splitscope").with_telemetry(false).build();
        environment.map_err(EngineFault::told)
    };
    let environment = catch_unwind(AssertUnwindSafe(opening))
        .unwrap_or_else(|_| Err(EngineFault::UnusableLibrary(path.display().to_string())))?;
    let library = Library {
        environment,
        version: version(&path),
    };
    *loaded = Some((path, library.clone()));
    Ok(library)
}

/// The library's place in full. A bare name is left to the system, which never looks into the current folder.
fn absolute(path: &Path) -> Result<PathBuf, EngineFault> {
    if path.components().count() == 1 && !path.is_absolute() {
        return Ok(path.to_path_buf());
    }
    // Opened, because the system's loader would wait for a pipe.
    let ordinary = path.canonicalize().and_then(|path| open_ordinary(&path).map(|_| path));
    ordinary.map_err(|error| EngineFault::Library {
        place: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// The library that the environment names, that of the active Python environment, or that of `python3`.
fn find() -> Result<PathBuf, EngineFault> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return absolute(Path::new(&path)).map_err(|error| EngineFault::Library {
            place: VARIABLE.to_owned(),
            reason: error.to_string(),
        });
    }
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        let found = std::env::var_os(variable).and_then(|prefix| in_environment(Path::new(&prefix)));
        if let Some(path) = found {
            return Ok(path);
        }
    }
    of_python().ok_or(EngineFault::NoLibrary(VARIABLE))
}

/// The library below the prefix of a Python environment.
fn in_environment(prefix: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(prefix.join("lib")).into_iter().flatten().flatten();
    let unix = versions.map(|entry| entry.path().join("site-packages"));
    let mut packages: Vec<PathBuf> = unix.chain([prefix.join("Lib").join("site-packages")]).collect();
    packages.sort();
    packages.iter().find_map(|packages| in_packages(packages))
}

/// The library of the package `onnxruntime` among Python packages.
fn in_packages(packages: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(packages.join("onnxruntime").join("capi")).ok()?;
    let mut found: Vec<PathBuf> = (entries.flatten().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(is_library))
        .collect();
    found.sort();
    found.pop()?.canonicalize().ok()
}

/// Whether a file is called as the library is on this system.
fn is_library(name: &OsStr) -> bool {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let name = name.to_string_lossy();
    let Some(rest) = name.strip_prefix(&format!("{prefix}onnxruntime")) else {
        return false;
    };
    // libonnxruntime.so.1.32.0, libonnxruntime.1.32.0.dylib, onnxruntime.dll; not libonnxruntime_providers_shared.so.
    rest.starts_with('.') && rest.contains(suffix)
}

/// The library of the packages of `python3`.
fn of_python() -> Option<PathBuf> {
    let python = if cfg!(windows) { "python" } else { "python3" };
    let asked = Command::new(python)
        .args(ASK_PYTHON)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let answer = String::from_utf8(asked.stdout).ok()?;
    answer.lines().map(Path::new).find_map(in_packages)
}

/// The version that the library's name tells, links followed.
fn version(path: &Path) -> String {
    let file = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts: Vec<&str> = name.split('.').filter(|part| part.parse::<u32>().is_ok()).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_library_is_known_by_its_name_and_tells_its_version() {
        assert!(is_library(OsStr::new("libonnxruntime.so.1.32.0")) && is_library(OsStr::new("libonnxruntime.so")));
        assert!(!is_library(OsStr::new("libonnxruntime_providers_shared.so")));
        assert!(!is_library(OsStr::new("onnxruntime_pybind11_state.so")));
        assert_eq!(version(Path::new("/nowhere/libonnxruntime.so.1.32.0")), "1.32.0");
        assert_eq!(version(Path::new("libonnxruntime.so")), "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_environment_has_it_in_its_packages() {
        let prefix = tempfile::tempdir().unwrap();
        assert_eq!(in_environment(prefix.path()), None);
        let capi = prefix.path().join("lib/python3.11/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&capi).unwrap();
        std::fs::write(capi.join("libonnxruntime_providers_shared.so"), "").unwrap();
        assert_eq!(in_environment(prefix.path()), None);
        let library = capi.join("libonnxruntime.so.1.30.1");
        std::fs::write(&library, "").unwrap();
        assert_eq!(in_environment(prefix.path()), Some(library.canonicalize().unwrap()));
    }

    #[test]
    fn a_library_that_is_not_there_is_told_with_its_path() {
        let error = load(Some(Path::new("/nowhere/libonnxruntime.so")))
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("/nowhere/libonnxruntime.so: "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let error = load(Some(&path)).err().unwrap().to_string();
        assert!(error.ends_with("is no ordinary file"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        std::fs::write(&path, "no library").unwrap();
        let error = load(Some(&path)).err().unwrap().to_string();
        assert!(error.contains("libonnxruntime.so"), "{error}");
    }
}
