//! Lines of CSV (RFC 4180) that spreadsheets show and do not compute.
//!
//! A cell that begins with `=`, `+`, `-` or `@` and is no number is a formula to a spreadsheet, and names come from files of
//! strangers: such a cell is written with `'` before it, which [`cells`] takes away again. A line break in a cell becomes
//! a space, so that a line is always a whole row; other characters that would act are replaced, as everywhere.

use super::{REPLACEMENT, acts};

/// One line with its end.
pub fn line(cells: &[impl AsRef<str>]) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    // A vector takes all that is written, and one record has no other to differ from in length.
    let written = writer.write_record(cells.iter().map(|cell| guarded(&shown(cell.as_ref()))));
    let bytes = written.ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// One cell as it stands in a line.
pub fn cell(text: &str) -> String {
    let alone = line(&[text]);
    // An empty record of one cell would be no record, so it is written in quotes.
    if text.is_empty() {
        String::new()
    } else {
        alone.trim_end_matches('\n').to_owned()
    }
}

/// The cells of one line, as [`shown`] has them; `None` where there is no line, or a quote
/// does not end.
pub fn cells(line: &str) -> Option<Vec<String>> {
    if !line.bytes().filter(|byte| *byte == b'"').count().is_multiple_of(2) {
        return None;
    }
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(line.as_bytes());
    let mut record = ::csv::StringRecord::new();
    reader.read_record(&mut record).ok().filter(|found| *found)?;
    Some(record.iter().map(|cell| unguarded(cell).to_owned()).collect())
}

/// What a cell of this text reads back as.
pub fn shown(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' => ' ',
        c if acts(c) => REPLACEMENT,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// What begins a formula.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];
const GUARD: char = '\'';

fn guarded(text: &str) -> String {
    let begins = text.trim_start_matches(GUARD).starts_with(FORMULA);
    if begins && text.parse::<f64>().is_err() {
        format!("{GUARD}{text}")
    } else {
        text.to_owned()
    }
}

fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix(GUARD) {
        Some(text) if text.trim_start_matches(GUARD).starts_with(FORMULA) => text,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(
            line(&["a", "b,c", "say \"d\"", "", "-1.5"]),
            "a,\"b,c\",\"say \"\"d\"\"\",,-1.5\n"
        );
    }

    #[test]
    fn a_formula_is_text() {
        let names = ["=cmd|' /C calc'!A0", "+1+2", "-x", "@SUM(A1)", "'=x", "-2.5e-3"];
        let written = line(&names);
        assert!(
            written.starts_with("'=cmd|' /C calc'!A0,'+1+2,'-x,'@SUM(A1),''=x,-2.5e-3"),
            "{written}"
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let rows: [&[&str]; 4] = [
            &["", "x"],
            &["a,b", "\"", "'"],
            &["=1", "'=1", "''-q", "-1"],
            &["名前", "é\u{301}"],
        ];
        for row in rows {
            assert_eq!(cells(line(row).trim_end()).unwrap(), row);
        }
        assert_eq!(cells(&line(&["a\nb\u{1b}[2J"])).unwrap(), [shown("a\nb\u{1b}[2J")]);
        assert_eq!(shown("a\r\nb\u{9b}"), "a  b\u{fffd}");
    }
}
