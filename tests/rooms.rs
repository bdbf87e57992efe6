//! The house: data walks one way through the rooms.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms as `lib.rs` lists them, in the order that data flows.
fn rooms() -> Vec<String> {
    let map = fs::read_to_string(source().join("lib.rs")).unwrap();
    let lines = map.lines().filter_map(|line| line.strip_prefix("//! - [`"));
    lines.map(|line| line.split('`').next().unwrap().to_owned()).collect()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Whether a file holds tests alone: those may look anywhere.
fn is_test(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.iter().any(|part| part == "tests" || part.ends_with("tests.rs"))
}

/// The room that a file belongs to; `None` for `lib.rs` and `main.rs`, which stand outside.
fn room_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(source()).unwrap();
    let first = inside.iter().next().unwrap().to_string_lossy();
    let name = first.strip_suffix(".rs").unwrap_or(&first);
    (!["lib", "main"].contains(&name)).then(|| name.to_owned())
}

/// The lines of code, comments and tests at the end of the file left out.
fn lines(code: &str) -> impl Iterator<Item = &str> {
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The rooms that code imports from: words after `crate::`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in lines(code) {
        for rest in line.split("crate::").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(name);
        }
    }
    found
}

#[test]
fn a_room_imports_only_from_those_before_it() {
    let rooms = rooms();
    assert!(rooms.len() > 10, "lib.rs lists the rooms: {rooms:?}");
    let place = |name: &str| rooms.iter().position(|room| room == name);
    let mut wrong = Vec::new();
    for path in files(&source()).into_iter().filter(|path| !is_test(path)) {
        let Some(room) = room_of(&path) else { continue };
        let own = place(&room).unwrap_or_else(|| panic!("{}: lib.rs does not list the room {room}", path.display()));
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            if place(&import).is_some_and(|other| other > own) {
                wrong.push(format!(
                    "{}: {room} imports from {import}, which comes after it",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_of_the_map_exists_and_is_declared() {
    let map = fs::read_to_string(source().join("lib.rs")).unwrap();
    let declared: BTreeSet<_> = map
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert_eq!(declared, rooms().into_iter().collect());
}

#[test]
fn the_window_has_no_queue_of_jobs() {
    let window = files(&source().join("app"));
    assert!(window.len() > 50, "{window:?}");
    let mut wrong = Vec::new();
    for path in window.into_iter().filter(|path| !is_test(path)) {
        let code = fs::read_to_string(&path).unwrap();
        let mut words = lines(&code).flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        if words.any(|word| word == "Jobs") {
            wrong.push(format!(
                "{}: what takes longer than a frame is a job of the session",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
