//! Rows of a sweep as CSV (RFC 4180): one line a row, written whole as the row finishes, read back to go on from there.
//!
//! The last column holds the whole recipe as JSON, which has no line break, so that a line is always a whole row.

use super::{SweepOverhead, SweepRow};
use crate::files;
use crate::inference::evaluate::wilson_interval;
use crate::inference::{InferenceError, Metrics};
use crate::printable::csv;
use crate::quantization::Recipe;
use crate::replacement::replace_file;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Columns, in order. A contract with whoever reads the files.
const HEADER: [&str; 18] = [
    "model",
    "data",
    "calibration",
    "samples",
    "weight_bits",
    "activation_bits",
    "expand_ratio",
    "clip",
    "top1",
    "top5",
    "nats_per_token",
    "perplexity",
    "agreement",
    "sqnr_db",
    "weights_overhead",
    "activations_overhead",
    "macs_overhead",
    "size",
];

/// Title of the column after those of [`HEADER`].
const RECIPE: &str = "recipe";

/// What all rows of a file must have in common to be compared; written into every one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepSetting {
    /// The network, as the person named it.
    pub model: String,
    /// The data and their preprocessing.
    pub data: String,
    /// Where the ranges of activations come from, for the recipes that need them; the others' rows say `none`.
    pub calibration: String,
    /// Samples (images) or tokens (text).
    pub samples: usize,
}

impl SweepSetting {
    /// A row without ranges of activations does not depend on them, so that a grid may gain activation bits later.
    fn calibration_of(&self, recipe: &Recipe) -> &str {
        if recipe.needs_activations() {
            &self.calibration
        } else {
            "none"
        }
    }
}

/// A CSV file that grows by one line a row.
#[derive(Debug)]
pub struct SweepCsv {
    file: File,
    path: PathBuf,
    setting: SweepSetting,
}

impl SweepCsv {
    /// Begins a file. A file with contents is not overwritten: it may hold hours of work.
    ///
    /// # Errors
    /// [`InferenceError::Data`] naming the file and what to do.
    pub fn create(path: &Path, setting: SweepSetting) -> Result<Self, InferenceError> {
        let fault = |reason: String| fault(path, &reason);
        if path.metadata().is_ok_and(|there| there.is_file() && there.len() > 0) {
            return Err(fault(
                "there already; remove it, or give --resume to go on with it".to_owned(),
            ));
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(path);
        let file = file.map_err(|error| fault(error.to_string()))?;
        lock(&file).map_err(fault)?;
        let mut csv = Self {
            file,
            path: path.to_owned(),
            setting,
        };
        csv.write_line(&[&HEADER[..], &[RECIPE]].concat())?;
        Ok(csv)
    }

    /// Goes on with a file and gives the rows in it; begins it if it is not there. A last line without its end, of a run
    /// that was killed, is cut off.
    ///
    /// # Errors
    /// [`InferenceError::Data`] naming the line that is no row, or what differs between the file's setting and this one.
    pub fn resume(path: &Path, setting: SweepSetting) -> Result<(Self, Vec<SweepRow>), InferenceError> {
        let fault = |reason: String| fault(path, &reason);
        let io = |error: std::io::Error| fault(error.to_string());
        if !path.metadata().is_ok_and(|there| there.is_file() && there.len() > 0) {
            return Ok((Self::create(path, setting)?, Vec::new()));
        }
        let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(io)?;
        lock(&file).map_err(fault)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| fault("is no text".to_owned()))?;
        let rows = read(text, &setting).map_err(fault)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(io)?;
        }
        let csv = Self {
            file,
            path: path.to_owned(),
            setting,
        };
        Ok((csv, rows))
    }

    /// Adds a row as one whole line.
    ///
    /// # Errors
    /// [`InferenceError::Data`] naming the file and the system's reason, such as a full disk.
    pub fn append(&mut self, row: &SweepRow) -> Result<(), InferenceError> {
        let fields = self.setting.fields(row).map_err(|reason| fault(&self.path, &reason))?;
        self.write_line(&fields)
    }

    fn write_line(&mut self, fields: &[impl AsRef<str>]) -> Result<(), InferenceError> {
        let written = self.file.write_all(csv::line(fields).as_bytes());
        let written = written.and_then(|()| self.file.flush());
        written.map_err(|error| fault(&self.path, &error.to_string()))
    }
}

/// Writes all `rows` as a file of their own, whole or not at all, in place of what was there.
///
/// # Errors
/// [`InferenceError::Data`] naming the file and the system's reason.
pub fn save_rows(path: &Path, setting: &SweepSetting, rows: &[SweepRow]) -> Result<(), InferenceError> {
    let mut text = csv::line(&[&HEADER[..], &[RECIPE]].concat());
    for row in rows {
        text += &csv::line(&setting.fields(row).map_err(|reason| fault(path, &reason))?);
    }
    replace_file(path, text.as_bytes()).map_err(|error| fault(path, &error.to_string()))
}

/// The rows of a file, whatever sweep it is of: what its first row says of model, data, calibration and samples must hold for
/// all others.
///
/// # Errors
/// [`InferenceError::Data`] naming the file, and the line that is no row or is of another sweep.
pub fn load_rows(path: &Path) -> Result<Vec<SweepRow>, InferenceError> {
    let text = files::read_text(path).map_err(|error| fault(path, &error.to_string()))?;
    let rows = SweepSetting::of_file(&text).and_then(|setting| match setting {
        Some(setting) => read(&text, &setting),
        None => Ok(Vec::new()),
    });
    rows.map_err(|reason| fault(path, &reason))
}

impl SweepSetting {
    /// What the rows of a file have in common; `None` where there are none.
    fn of_file(text: &str) -> Result<Option<Self>, String> {
        let title = text.lines().next();
        let rows: Vec<Vec<String>> = text
            .lines()
            .filter(|line| Some(*line) != title)
            .filter_map(csv::cells)
            .collect();
        let Some(first) = rows.first() else {
            // The title alone is looked at.
            return read(text, &Self::named("", "", "", 0)).map(|_| None);
        };
        let column = |row: &[String], name: &str| {
            let at = HEADER.iter().position(|column| *column == name);
            at.and_then(|at| row.get(at)).cloned().unwrap_or_default()
        };
        // Rows without ranges of activations do not say where those of the others come from.
        let calibrated = rows
            .iter()
            .map(|row| column(row, "calibration"))
            .find(|text| text != "none");
        let samples = column(first, "samples").parse().unwrap_or(0);
        let calibration = calibrated.unwrap_or_default();
        Ok(Some(Self::named(
            &column(first, "model"),
            &column(first, "data"),
            &calibration,
            samples,
        )))
    }

    fn named(model: &str, data: &str, calibration: &str, samples: usize) -> Self {
        Self {
            model: model.to_owned(),
            data: data.to_owned(),
            calibration: calibration.to_owned(),
            samples,
        }
    }

    /// The columns of a row.
    fn fields(&self, row: &SweepRow) -> Result<Vec<String>, String> {
        let recipe = serde_json::to_string(&row.recipe).map_err(|error| error.to_string())?;
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        Ok(vec![
            self.model.clone(),
            self.data.clone(),
            self.calibration_of(&row.recipe).to_owned(),
            row.samples.to_string(),
            row.recipe.weight_bits.to_string(),
            row.recipe.activation_bits.to_string(),
            row.recipe.expand_ratio.to_string(),
            row.recipe.clip.to_string(),
            number(row.metrics.top1),
            number(row.metrics.top5),
            number(row.metrics.nats_per_token),
            number(row.metrics.perplexity),
            number(row.agreement),
            number(row.sqnr_db),
            row.overhead.weights.to_string(),
            number(row.overhead.activations),
            number(row.overhead.macs),
            row.overhead.size.to_string(),
            recipe,
        ])
    }
}

/// Two sweeps must not write to one file, each the rows that it found missing. The lock ends with the file or its process.
fn lock(file: &File) -> Result<(), String> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err("another sweep is writing to it; give each its own file".to_owned()),
        // Not every file system has locks, and a pipe has none.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

fn fault(path: &Path, reason: &str) -> InferenceError {
    InferenceError::Data(format!("{}: {reason}", path.display()))
}

/// The rows of a whole file.
fn read(text: &str, setting: &SweepSetting) -> Result<Vec<SweepRow>, String> {
    let mut lines = text.lines().enumerate();
    let header = lines.next().and_then(|(_, line)| csv::cells(line)).unwrap_or_default();
    if header.iter().ne([&HEADER[..], &[RECIPE]].concat()) {
        return Err("line 1: these are not the columns of a sweep by this version; write to another file".to_owned());
    }
    // Files of several shards that were joined have the titles of each.
    let title = text.lines().next();
    let rows = lines.filter(|(_, line)| Some(*line) != title).map(|(at, line)| {
        let row = csv::cells(line).ok_or_else(|| "a quote does not end".to_owned());
        row.and_then(|fields| read_row(&fields, setting))
            .map_err(|reason| format!("line {}: {reason}", at + 1))
    });
    rows.collect()
}

fn read_row(fields: &[String], setting: &SweepSetting) -> Result<SweepRow, String> {
    let [columns @ .., recipe] = fields else {
        return Err("is empty".to_owned());
    };
    if columns.len() != HEADER.len() {
        return Err(format!("{} columns instead of {}", fields.len(), HEADER.len() + 1));
    }
    let text = |name: &str| -> &str {
        let at = HEADER.iter().position(|column| *column == name);
        at.and_then(|at| columns.get(at)).map_or("", String::as_str)
    };
    let mut recipe: Recipe = serde_json::from_str(recipe).map_err(|error| format!("recipe: {error}"))?;
    let samples = setting.samples.to_string();
    for (name, own) in [
        ("model", setting.model.as_str()),
        ("data", setting.data.as_str()),
        ("calibration", setting.calibration_of(&recipe)),
        ("samples", samples.as_str()),
    ] {
        if text(name) != csv::shown(own) {
            return Err(format!(
                "is of another sweep: {name} is '{}', not '{own}'; write to another file",
                text(name)
            ));
        }
    }
    // JSON may lose the last digit of a number; its own column does not.
    recipe.expand_ratio = number(&text, "expand_ratio")?;
    let samples = setting.samples;
    let top1 = optional(&text, "top1")?;
    Ok(SweepRow {
        recipe,
        samples,
        metrics: Metrics {
            top1,
            top1_interval: top1.map(|share| wilson_interval(share, samples)),
            top5: optional(&text, "top5")?,
            nats_per_token: optional(&text, "nats_per_token")?,
            perplexity: optional(&text, "perplexity")?,
            // It needs the losses of all tokens, which a row does not hold.
            perplexity_interval: None,
        },
        agreement: optional(&text, "agreement")?,
        sqnr_db: optional(&text, "sqnr_db")?,
        overhead: SweepOverhead {
            weights: number(&text, "weights_overhead")?,
            activations: optional(&text, "activations_overhead")?,
            macs: optional(&text, "macs_overhead")?,
            size: number(&text, "size")?,
        },
    })
}

fn number<'a>(text: &impl Fn(&'static str) -> &'a str, column: &'static str) -> Result<f64, String> {
    f64::from_str(text(column)).map_err(|_| format!("{column} is no number: '{}'", text(column)))
}

fn optional<'a>(text: &impl Fn(&'static str) -> &'a str, column: &'static str) -> Result<Option<f64>, String> {
    if text(column).is_empty() {
        return Ok(None);
    }
    number(text, column).map(Some)
}

#[cfg(test)]
mod tests;
