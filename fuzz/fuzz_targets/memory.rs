//! What the program remembers from one start to the next: the session's settings, and the window's place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::session::{Memory, Saved, WINDOW_MEMORY, check_window_memory};
use std::path::PathBuf;
use std::sync::OnceLock;

fn folder() -> &'static tempfile::TempDir {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"))
}

fn written(name: &str, data: &[u8]) -> PathBuf {
    let path = folder().path().join(name);
    std::fs::write(&path, data).expect("the file");
    path
}

/// What is not used is set aside as it is.
fn kept_or_aside(path: &PathBuf, data: &[u8]) -> bool {
    let is_kept = path.exists();
    let at = if is_kept { path.clone() } else { path.with_added_extension("broken") };
    assert_eq!(std::fs::read(at).expect("the file, or the one aside"), data);
    is_kept
}

fuzz_target!(|data: &[u8]| {
    let window = written(WINDOW_MEMORY, data);
    check_window_memory(&window);
    kept_or_aside(&window, data);

    let path = written("session.json", data);
    let saved: Option<Saved> = Memory::of_session(path.clone()).load();
    assert_eq!(kept_or_aside(&path, data), saved.is_some());
    if let Some(saved) = saved.map(Saved::sane) {
        let text = serde_json::to_string(&saved).expect("what was read can be written");
        let again: Saved = serde_json::from_str(&text).expect("what was written can be read");
        assert_eq!(again.sane(), saved);
    }
});
