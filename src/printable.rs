//! Text of strangers (names in a file, labels, messages of other programs) made fit to be printed: safe and short.
//!
//! Whatever a person reads goes through here: tables, errors, notes. What a program reads stays exact: in JSON such
//! characters are escaped ([`escaped_json`]), in CSV cells that a spreadsheet would compute are marked ([`csv`]).
//!
//! # Example
//!
//! ```
//! use splitscope::printable::{safe, short};
//!
//! assert_eq!(short("layer1.0.conv1"), "layer1.0.conv1");
//! assert_eq!(short("a\nerror: forged\u{1b}[2J"), "a\u{fffd}error: forged\u{fffd}[2J");
//! assert_eq!(short(&"x".repeat(65_536)).chars().count(), 120);
//! assert_eq!(safe("abc\u{202e}fed"), "abc\u{fffd}fed");
//! ```

pub mod csv;

use std::borrow::Cow;

/// Characters of a name that are printed at most; the middle of a longer one is left out.
pub const MAX_NAME: usize = 120;

/// Characters of a line of text that are printed at most.
pub const MAX_LINE: usize = 1000;

/// Characters that are kept of the end of a longer name, which often tells it from others.
const END: usize = 40;

/// Stands for a character that is not printed.
const REPLACEMENT: char = '\u{fffd}';

/// Whether a character would do something else than show itself: control a terminal, break or turn a line around, hide.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Marks, embeddings, overrides and isolates that change the direction of text.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Nothing to be seen: soft hyphen, zero width, byte order mark, annotations, tags.
            | '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` on one line, each character that would act replaced.
pub fn safe(text: &str) -> Cow<'_, str> {
    if text.chars().any(acts) {
        let shown = text.chars().map(|c| if acts(c) { REPLACEMENT } else { c });
        Cow::Owned(shown.collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// A name for a table, a message or an error: [`safe`] text of [`MAX_NAME`] characters at most.
pub fn short(text: &str) -> String {
    at_most(text, MAX_NAME)
}

/// A whole line, such as an error with the names in it: [`safe`] text of [`MAX_LINE`] characters at most.
pub fn line(text: &str) -> String {
    at_most(text, MAX_LINE)
}

fn at_most(text: &str, max: usize) -> String {
    if text.chars().nth(max).is_none() {
        return safe(text).into_owned();
    }
    // The end is looked for from behind: a name may be as long as its file.
    let end = text.char_indices().rev().nth(END - 1).map_or(0, |(at, _)| at);
    let start: String = text.chars().take(max - END - 1).collect();
    format!("{}…{}", safe(&start), safe(&text[end..]))
}

/// Lines of our own making with names in them that were not made safe: everything but line breaks that would act is
/// replaced. The last guard before a terminal.
pub fn safe_lines(text: &str) -> Cow<'_, str> {
    let unsafe_in_line = |c: char| c != '\n' && acts(c);
    if text.chars().any(unsafe_in_line) {
        let shown = text.chars().map(|c| if unsafe_in_line(c) { REPLACEMENT } else { c });
        Cow::Owned(shown.collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// JSON text in which characters that act are written as escapes: the same values, safe on a terminal.
pub fn escaped_json(json: String) -> String {
    // JSON itself has line breaks and indents; inside strings, serde_json escapes these already.
    let acts = |c: char| c != '\n' && acts(c);
    if !json.chars().any(acts) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    let mut units = [0; 2];
    for c in json.chars() {
        if acts(c) {
            for unit in c.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_replaced_and_what_shows_itself_stays() {
        for text in ["conv1/BiasAdd:0", "名前", "Ελληνικά", "عربي", "👩\u{200d}🔬", "a b"] {
            assert_eq!((safe(text), short(text)), (text.into(), text.to_owned()));
        }
        for c in [
            '\u{7}',
            '\n',
            '\r',
            '\t',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{2028}',
            '\u{202e}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert_eq!(safe(&format!("a{c}b")), "a\u{fffd}b");
            assert_eq!(short(&format!("a{c}b")), "a\u{fffd}b");
        }
    }

    #[test]
    fn the_beginning_and_the_end_of_a_long_name_are_kept() {
        let name = format!("start{}end", "ä".repeat(1000));
        let shown = short(&name);
        assert_eq!(shown.chars().count(), MAX_NAME);
        assert!(shown.starts_with("startä") && shown.ends_with("äend") && shown.contains('…'));
        let exact = "é".repeat(MAX_NAME);
        assert_eq!(short(&exact), exact);
    }

    #[test]
    fn json_keeps_its_values() {
        let names = ["\u{9b}31m\u{202e}x\u{e0041}\u{7f}", "\n\u{1b}[0m\\", "plain"];
        let json = serde_json::to_string_pretty(&names).unwrap();
        let escaped = escaped_json(json);
        assert!(!escaped.chars().any(|c| c != '\n' && acts(c)), "{escaped}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), names);
    }

    #[test]
    fn our_own_line_breaks_stay() {
        assert_eq!(safe_lines("a\nb\u{1b}c\r\n"), "a\nb\u{fffd}c\u{fffd}\n");
    }
}
