//! The file in which the window's library remembers the window's place and size, looked at before that library reads it.

use super::set_aside;
use crate::files;
use std::path::Path;

/// Its name in the folder that the program remembers things in.
pub const WINDOW_MEMORY: &str = "app.ron";

/// The largest number, in points or pixels, that a place or a size of a window can be.
const MAX_COORDINATE: f64 = 100_000.0;

/// Sets aside the file in which eframe remembers the window's place, where no window could open by it: one that is broken, or
/// tells of a place that no screen has.
pub fn check_window_memory(path: &Path) {
    let reason = match files::read_text(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => error.to_string(),
        Ok(text) => match window_memory_fault(&text) {
            Some(reason) => reason.to_owned(),
            None => return,
        },
    };
    set_aside(path, &reason);
}

/// What is wrong with the text of that file: a map in RON, whose entry `window` holds places and sizes.
fn window_memory_fault(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if !text.starts_with('{') || !text.ends_with('}') || text.contains('\0') {
        return Some("is broken");
    }
    // The entry is a text in the map, so that it ends with a line or with the quote behind its own.
    let (_, behind) = text.split_once("\"window\"")?;
    let window = behind.lines().next()?.split('"').take(2);
    let is_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    let numbers = window
        .flat_map(|part| part.split(|c: char| !is_number(c)))
        .filter_map(|word| word.parse::<f64>().ok());
    let is_possible = |number: f64| number.abs() <= MAX_COORDINATE;
    (!numbers.into_iter().all(is_possible)).then_some("tells of a window that no screen holds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_memory_of_the_window_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WINDOW_MEMORY);
        let aside = folder.path().join("app.ron.broken");
        let good = "{\n    \"egui\": \"(a:1e300)\",\n    \"window\": \"(inner_position_pixels:Some((x:10.0,y:-8.0)),fullscreen:false)\",\n}";
        for (text, is_kept) in [
            (good.to_owned(), true),
            (good.replace("10.0", "NaN"), false),
            (good.replace("10.0", "1e30"), false),
            (good.replace('\n', ""), true),
            (good.replace('\n', "").replace("10.0", "inf"), false),
            (good[..30].to_owned(), false),
            (String::new(), false),
        ] {
            std::fs::write(&path, &text).unwrap();
            check_window_memory(&path);
            assert_eq!(path.exists(), is_kept, "{text}");
            if !is_kept {
                assert_eq!(std::fs::read_to_string(&aside).unwrap(), text);
            }
        }
        check_window_memory(&path);
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        check_window_memory(&path);
        assert!(!path.exists());
    }
}
