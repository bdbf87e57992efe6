//! Labels as text: a label a line, or a table with a column of names and one of labels.
//!
//! What people keep is read as it is: separated by commas, semicolons, tabs or white space; with or without a head; with further
//! columns if a head names them; class numbers as spreadsheets and pandas write them (`3.0`), or names of classes.

use super::folder::is_image;
use super::labels::Labels;
use csv::{ReaderBuilder, Trim};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// What the column of samples is called, most telling first.
const NAME_HEADS: [&str; 14] = [
    "file",
    "filename",
    "file_name",
    "image",
    "image_name",
    "image_path",
    "filepath",
    "file_path",
    "path",
    "img",
    "image_id",
    "name",
    "sample",
    "id",
];

/// What the column of labels is called, most telling first.
const LABEL_HEADS: [&str; 12] = [
    "label",
    "labels",
    "label_id",
    "class",
    "class_id",
    "class_index",
    "classid",
    "target",
    "category",
    "class_name",
    "y",
    "category_id",
];

/// What is wrong with labels as text.
#[derive(Debug, thiserror::Error)]
pub(super) enum LabelsError {
    #[error("labels are IDX, .npy or text; this file is none of them")]
    NoText,
    #[error("the text is no UTF-16, though its first bytes say so")]
    NoUtf16,
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The titles, none of which tells what is needed.
    #[error(
        "of the columns {0} none is called label (or class, target, category), or none names the files: keep two \
         columns, file,label"
    )]
    Titles(String),
    #[error("line {line} has {width} columns: a first line must name them, such as file,label,split")]
    NoTitles { line: u64, width: usize },
    #[error("line {line} has no {what}")]
    NoCell { line: u64, what: &'static str },
    /// In a table, where labels may be names of classes; these are all numbers.
    #[error("line {line}: {label} is no class number")]
    NoClass { line: u64, label: String },
    /// In a list, where labels are numbers.
    #[error("line {line}: '{label}' is not a class number")]
    NotANumber { line: u64, label: String },
    #[error("line {line} gives '{name}' another label than a line before it")]
    Contradiction { line: u64, name: String },
    /// A name that stands for files of several folders.
    #[error("several lines name '{0}' in different folders, with different labels")]
    Ambiguous(String),
    #[error("there is no label for '{name}'; the first line is for '{first}'")]
    Missing { name: String, first: String },
}

/// Labels by the name of the sample.
#[derive(Debug, Default)]
pub(super) struct NamedLabels {
    /// By the name as the file has it.
    by_name: HashMap<String, usize>,
    /// By the last part of names that are paths; `None` where two of them disagree.
    by_last_part: HashMap<String, Option<usize>>,
    /// The names of the classes in the order of text, if the labels are names.
    pub(super) classes: Vec<String>,
    /// The first name, for messages.
    first: String,
}

impl NamedLabels {
    /// The label of the file `path`: by its name, else by its name without its extension.
    ///
    /// # Errors
    /// That no line names it.
    pub(super) fn of_file(&self, path: &Path) -> Result<usize, LabelsError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let whole = || {
            [&*name, &*stem]
                .into_iter()
                .find_map(|name| self.by_name.get(name).copied())
        };
        let last = || {
            [&*name, &*stem]
                .into_iter()
                .find_map(|name| self.by_last_part.get(name).copied())
        };
        match whole().map(Some).or_else(last) {
            Some(Some(class)) => Ok(class),
            Some(None) => Err(LabelsError::Ambiguous(name.into_owned())),
            None => Err(LabelsError::Missing {
                name: name.into_owned(),
                first: self.first.clone(),
            }),
        }
    }
}

/// Reads a file's text.
///
/// # Errors
/// The line that is wrong, or the columns that are not understood.
pub(super) fn of_text(text: &str) -> Result<Labels, LabelsError> {
    let table = rows(text)?;
    let width = table.iter().map(|(_, row)| row.len()).max().unwrap_or(0);
    if width <= 1 {
        return in_order(&table).map(Labels::Ordered);
    }
    let columns = Columns::of(&table, width)?;
    let rows = &table[usize::from(columns.headed)..];
    let mut named = NamedLabels::default();
    let cell = |(line, row): &'_ Line, column: usize, what| {
        let cell = row.get(column).filter(|cell| !cell.is_empty());
        cell.cloned().ok_or(LabelsError::NoCell { line: *line, what })
    };
    let pairs = rows
        .iter()
        .map(|row| {
            Ok((
                row.0,
                cell(row, columns.name, "name")?,
                cell(row, columns.label, "label")?,
            ))
        })
        .collect::<Result<Vec<_>, LabelsError>>()?;
    let numbers: Option<Vec<usize>> = pairs.iter().map(|(_, _, label)| class_number(label)).collect();
    if numbers.is_none() {
        let looks_like_a_number = |label: &str| label.parse::<f64>().is_ok();
        if let Some((line, _, label)) = pairs.iter().find(|(_, _, label)| class_number(label).is_none())
            && pairs.iter().all(|(_, _, label)| looks_like_a_number(label))
        {
            let (line, label) = (*line, label.clone());
            return Err(LabelsError::NoClass { line, label });
        }
        let names: BTreeSet<&String> = pairs.iter().map(|(_, _, label)| label).collect();
        named.classes = names.into_iter().cloned().collect();
    }
    for (at, (line, name, label)) in pairs.into_iter().enumerate() {
        let class = match &numbers {
            Some(numbers) => numbers[at],
            None => named.classes.binary_search(&label).unwrap_or_default(),
        };
        if named.first.is_empty() {
            named.first.clone_from(&name);
        }
        if let Some((_, last)) = name.rsplit_once(['/', '\\']) {
            let known = named.by_last_part.entry(last.to_owned()).or_insert(Some(class));
            *known = known.filter(|known| *known == class);
        }
        if named.by_name.get(&name).is_some_and(|known| *known != class) {
            return Err(LabelsError::Contradiction { line, name });
        }
        named.by_name.insert(name, class);
    }
    Ok(Labels::Named(named))
}

/// A class number: a whole number, also as a float.
pub(super) fn class_number(label: &str) -> Option<usize> {
    label.parse().ok().or_else(|| {
        let number: f64 = label.parse().ok()?;
        (number.fract() == 0.0 && (0.0..1e9).contains(&number)).then_some(number as usize)
    })
}

/// A label a line, below a head or without.
fn in_order(table: &[Line]) -> Result<Vec<usize>, LabelsError> {
    let label = |(line, row): &Line| {
        let label = row.first().map(String::as_str).unwrap_or_default();
        class_number(label).ok_or_else(|| LabelsError::NotANumber {
            line: *line,
            label: label.to_owned(),
        })
    };
    let headed = table.len() > 1 && label(&table[0]).is_err() && label(&table[1]).is_ok();
    table[usize::from(headed)..].iter().map(label).collect()
}

/// A line of the file: its number, counted from 1, and its cells.
type Line = (u64, Vec<String>);

/// The lines that are neither empty nor comments, cut at what separates most of them.
fn rows(text: &str) -> Result<Vec<Line>, LabelsError> {
    let lines = || {
        let lines = text.lines().enumerate();
        lines.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    let count = |mark: u8| lines().filter(|(_, line)| line.as_bytes().contains(&mark)).count();
    let mark = [b'\t', b',', b';'].into_iter().max_by_key(|mark| count(*mark));
    let Some(mark) = mark.filter(|mark| 2 * count(*mark) > lines().count()) else {
        // Names of files may hold spaces, class numbers do not.
        let cells = |line: &str| match line.trim().rsplit_once(char::is_whitespace) {
            Some((name, label)) => vec![unquoted(name), unquoted(label)],
            None => vec![unquoted(line)],
        };
        return Ok(lines().map(|(at, line)| (at as u64 + 1, cells(line))).collect());
    };
    let mut reader = ReaderBuilder::new()
        .delimiter(mark)
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells: Vec<String> = record.iter().map(unquoted).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push((line, cells));
        }
    }
    Ok(rows)
}

/// Without white space around it, nor the quotes that stand behind it.
fn unquoted(cell: &str) -> String {
    cell.trim().trim_matches('"').trim().to_owned()
}

/// Which columns hold what.
struct Columns {
    /// Whether the first line names the columns.
    headed: bool,
    name: usize,
    label: usize,
}

impl Columns {
    fn of(table: &[Line], width: usize) -> Result<Self, LabelsError> {
        let head: Vec<String> = table[0]
            .1
            .iter()
            .map(|cell| cell.to_lowercase().replace([' ', '-'], "_"))
            .collect();
        let of_words = |words: &[&str]| words.iter().find_map(|word| head.iter().position(|cell| cell == word));
        let cell = |row: &Line, column: usize| row.1.get(column).cloned().unwrap_or_default();
        let is_file = |row: &Line, column: usize| is_image(Path::new(&cell(row, column)));
        let rest = table.get(1..).filter(|rest| !rest.is_empty());
        let below = |column: usize, is: &dyn Fn(&Line, usize) -> bool| {
            rest.is_some_and(|rest| !is(&table[0], column) && rest.iter().all(|row| is(row, column)))
        };
        let number = |row: &Line, column: usize| class_number(&cell(row, column)).is_some();
        let in_words = of_words(&LABEL_HEADS).is_some() && (0..width).all(|column| !is_file(&table[0], column));
        // A first line that is no number above lines that are, or that names no file above lines that do, is a head.
        let headed = in_words || (0..width).any(|column| below(column, &number) || below(column, &is_file));
        let first = &table[usize::from(headed && rest.is_some())..];
        let all_files = |column: &usize| first.iter().all(|row| is_file(row, *column));
        let by_word = |words: &[&str]| if headed { of_words(words) } else { None };
        let name = (0..width).find(all_files).or_else(|| by_word(&NAME_HEADS));
        let label = by_word(&LABEL_HEADS).filter(|label| Some(*label) != name);
        match (name, label, width) {
            (Some(name), Some(label), _) => Ok(Self { headed, name, label }),
            (Some(name), None, 2) => Ok(Self {
                headed,
                name,
                label: 1 - name,
            }),
            (None, Some(label), 2) => Ok(Self {
                headed,
                name: 1 - label,
                label,
            }),
            (None, None, 2) => Ok(Self {
                headed,
                name: 0,
                label: 1,
            }),
            _ if headed => Err(LabelsError::Titles(table[0].1.join(", "))),
            _ => Err(LabelsError::NoTitles {
                line: table[0].0,
                width,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> NamedLabels {
        match of_text(text) {
            Ok(Labels::Named(named)) => named,
            Ok(Labels::Ordered(labels)) => panic!("{labels:?}"),
            Err(reason) => panic!("{reason}"),
        }
    }

    fn refusal(text: &str) -> String {
        of_text(text).err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// The labels of a.png and b.png.
    fn labels(text: &str) -> [usize; 2] {
        let named = named(text);
        ["a.png", "b.png"].map(|file| named.of_file(Path::new(file)).unwrap())
    }

    #[test]
    fn the_same_table_is_read_however_it_is_written() {
        for text in [
            "a.png,7\nb.png,3\n",
            "a.png, 7\r\nb.png, 3\r\n",
            "file,label\na.png,7.0\nb.png,3.0\n",
            "a.png;7\nb.png;3",
            "a.png\t7\nb.png\t3",
            "a.png 7\nb.png   3",
            "# of people\n\n\"a.png\",\"7\"\n\"b.png\",\"3\"\n",
            "Image ID,Class\na,7\nb,3",
            "label,file\n7,a.png\n3,b.png",
            "7,a.png\n3,b.png",
            ",filename,label\n0,a.png,7\n1,b.png,3",
            "file,label,split\na.png,7,val\nb.png,3,val",
            "val/a.png,7\nval/b.png,3",
            "val\\a.png,7\nval\\b.png,3",
        ] {
            assert_eq!(labels(text), [7, 3], "{text}");
        }
    }

    #[test]
    fn names_of_classes_may_hold_spaces_and_commas_and_are_in_the_order_of_text() {
        let named = named("a.png,great white shark\nb.png,\"tench, Tinca tinca\"\nc.png,ant\n");
        assert_eq!(named.classes, ["ant", "great white shark", "tench, Tinca tinca"]);
        assert_eq!(named.of_file(Path::new("x/a.png")).unwrap(), 1);
        // A space behind the comma hides the quote from the reader; the name comes without it all the same.
        assert_eq!(
            self::named("a.png, \"big cat\"\nb.png, \"dog\"").classes,
            ["big cat", "dog"]
        );
    }

    #[test]
    fn labels_in_order_have_a_head_or_none() {
        for text in ["7\n3\n", "label\n7\n3", "7.0\n3.0", "\n# order\n7\n\n3\n"] {
            match of_text(text) {
                Ok(Labels::Ordered(labels)) => assert_eq!(labels, [7, 3], "{text}"),
                _ => panic!("{text}"),
            }
        }
        assert_eq!(refusal("7\ncat\n"), "line 2: 'cat' is not a class number");
        assert_eq!(refusal("7\n-1\n"), "line 2: '-1' is not a class number");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_or_columns() {
        assert_eq!(refusal("a.png,0\nb.png,\n"), "line 2 has no label");
        assert_eq!(refusal("a.png,0\nb.png,0.5\n"), "line 2: 0.5 is no class number");
        assert!(refusal("a.png,0,1\nb.png,1,0\n").contains("line 1 has 3 columns"));
        assert!(refusal("file,cat,dog\na.png,0,1\nb.png,1,0\n").contains("file, cat, dog"));
        assert!(refusal("a.png,0\na.png,1\n").contains("line 2 gives 'a.png' another label"));
        let named = named("x/a.png,0\ny/a.png,1\n");
        assert!(
            named
                .of_file(Path::new("a.png"))
                .unwrap_err()
                .to_string()
                .contains("different labels")
        );
        assert!(
            named
                .of_file(Path::new("b.png"))
                .unwrap_err()
                .to_string()
                .contains("the first line is for 'x/a.png'")
        );
    }
}
