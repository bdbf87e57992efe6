//! How results leave the program: standard output that may close early, files that appear whole, tables in columns.

use crate::printable;
use crate::replacement::{folder_of, replace_file};
use anyhow::{Context, bail};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// Each text, which may hold names from a file, on a line of its own.
pub(super) fn lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    texts
        .into_iter()
        .map(|text| printable::line(text.as_ref()) + "\n")
        .collect()
}

/// Writes `text` to standard output. A reader that has gone away (`| head`) is no fault.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(printable::safe_lines(text).as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}

/// `value` as indented JSON with a newline at the end. Numbers that JSON lacks (NaN, infinities) become null; characters that
/// would act on a terminal are written as escapes.
pub(super) fn to_json<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(value).context("cannot write the result as JSON")?;
    text.push('\n');
    Ok(printable::escaped_json(text))
}

/// Writes a file beside its place and renames it, so that nobody ever sees half of it. What is there already and is no
/// plain file (a pipe, `/dev/stdout`) is written to as it stands.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = if path.metadata().is_ok_and(|there| !there.is_file()) {
        std::fs::write(path, bytes)
    } else {
        replace_file(path, bytes)
    };
    written.with_context(|| path.display().to_string())
}

/// Checks before any work that `path` can be written: its folder is there and it is no folder itself.
pub(super) fn check_place(path: &Path) -> anyhow::Result<()> {
    let folder = folder_of(path);
    if folder.exists() && !folder.is_dir() {
        bail!("{}: {} is no folder", path.display(), folder.display());
    }
    if !folder.is_dir() {
        bail!(
            "{}: there is no folder {}; make it first",
            path.display(),
            folder.display()
        );
    }
    if path.is_dir() {
        bail!("{}: is a folder; name a file in it", path.display());
    }
    Ok(())
}

/// A share as percent; a dash where there is none.
pub(super) fn percent_or_dash(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

/// A table in aligned columns, the first column to the left, the others to the right.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub(super) fn new(titles: &[&str]) -> Self {
        Self {
            rows: vec![titles.iter().map(|&title| title.to_owned()).collect()],
        }
    }

    /// Adds a row. Its cells may be names from a file.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        let printable = cells.into_iter().map(|cell| printable::short(&cell));
        self.rows.push(printable.collect());
    }

    /// The table as text, one line a row.
    pub(super) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Three significant digits, or a dash for what is not known.
pub(super) fn three_digits(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if !value.is_finite() => value.to_string(),
        Some(value) => {
            let magnitude = value.abs().log10().floor();
            if (-3.0..6.0).contains(&magnitude) {
                let decimals = (2.0 - magnitude).max(0.0) as usize;
                format!("{value:.decimals$}")
            } else {
                format!("{value:.2e}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let mut table = Table::new(&["layer", "max|w|"]);
        table.row(vec!["é".to_owned(), "10".to_owned()]);
        assert_eq!(table.text(), "layer  max|w|\né          10\n");
    }

    #[test]
    fn numbers_have_three_significant_digits() {
        let shown = [0.123_456, 12.345, 1234.5, -0.5, 1.5e-7, 2.5e9].map(|value| three_digits(Some(value)));
        assert_eq!(shown, ["0.123", "12.3", "1234", "-0.500", "1.50e-7", "2.50e9"]);
        assert_eq!(three_digits(None), "–");
        assert_eq!(three_digits(Some(f64::INFINITY)), "inf");
    }

    #[test]
    fn what_json_lacks_becomes_null() {
        let text = to_json(&[1.0, f64::NAN, f64::NEG_INFINITY]).unwrap();
        assert_eq!(text.split_whitespace().collect::<String>(), "[1.0,null,null]");
    }
}
