//! Rows of a sweep as CSV (RFC 4180): one line a row, written whole as the row finishes, read back to go on from there.
//!
//! The last column holds the whole recipe as JSON, which has no line break, so that a line is always a whole row. Which rows are
//! on the front is known only when all are there: [`SweepCsv::finish`] then writes the file anew.

use super::{RowLatency, SizeMeasure, SweepOverhead, SweepRow, pareto_front};
use crate::files;
use crate::inference::evaluate::wilson_interval;
use crate::inference::growing_csv::{GrowingCsv, RowError, TableError, fault};
use crate::inference::{InferenceError, Latency, Metrics, Score, metric_columns};
use crate::printable::csv;
use crate::quantization::Recipe;
use crate::replacement::replace_file;
use std::path::Path;
use std::str::FromStr;

/// Columns that every file has, in order. A contract with whoever reads the files.
const OLDEST: [&str; 18] = [
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

/// Columns that came later, in order; files of older versions lack them.
const ADDED: [&str; 14] = [
    "file_bytes",
    "scales",
    "rounding",
    "top1_low",
    "top1_high",
    "perplexity_low",
    "perplexity_high",
    "sqnr_db_low",
    "sqnr_db_high",
    "latency_ms",
    "latency_p95_ms",
    "latency_batch",
    "latency_runs",
    "latency_engine",
];

/// Title of the last column but one.
const FRONT: &str = "front";

/// Title of the last column.
const RECIPE: &str = "recipe";

/// What stands in the column `front` of a row that no other beats in both score and size.
const ON_FRONT: &str = "yes";
/// What stands there of the others, once all rows are there.
const BEHIND: &str = "no";

/// The titles of all columns.
fn titles() -> Vec<&'static str> {
    [&OLDEST[..], &ADDED, &metric_columns::TITLES, &[FRONT, RECIPE]].concat()
}

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
    csv: GrowingCsv,
    setting: SweepSetting,
    /// The rows in it.
    rows: Vec<SweepRow>,
}

impl SweepCsv {
    /// Begins a file. A file with contents is not overwritten: it may hold hours of work.
    ///
    /// # Errors
    /// [`InferenceError::Table`] naming the file and what to do.
    pub fn create(path: &Path, setting: SweepSetting) -> Result<Self, InferenceError> {
        Ok(Self {
            csv: GrowingCsv::create(path, &titles())?,
            setting,
            rows: Vec::new(),
        })
    }

    /// Goes on with a file and gives the rows in it; begins it if it is not there. A last line without its end, of a run
    /// that was killed, is cut off.
    ///
    /// # Errors
    /// [`InferenceError::Table`] naming the line that is no row, or what differs between the file's setting and this one.
    pub fn resume(path: &Path, setting: SweepSetting) -> Result<(Self, Vec<SweepRow>), InferenceError> {
        let read = |text: &str| {
            let first = text.lines().next().and_then(csv::cells);
            Ok((read(text, &setting)?, first.is_some_and(|first| first == titles())))
        };
        let Some((csv, (rows, is_current))) = GrowingCsv::resume(path, read)? else {
            return Ok((Self::create(path, setting)?, Vec::new()));
        };
        let mut csv = Self { csv, setting, rows };
        // Rows of this version do not fit under the titles of an older one.
        if !is_current {
            csv.rewrite(false)?;
        }
        let rows = csv.rows.clone();
        Ok((csv, rows))
    }

    /// Adds a row as one whole line.
    ///
    /// # Errors
    /// [`InferenceError::Table`] naming the file and the system's reason, such as a full disk.
    pub fn append(&mut self, row: &SweepRow) -> Result<(), InferenceError> {
        let fields = (self.setting.fields(row, None)).map_err(|error| self.csv.fault(error))?;
        self.csv.append(&fields)?;
        self.rows.push(row.clone());
        Ok(())
    }

    /// All rows are there: writes the file anew, those of the `finished` sweep in its order, and marks those on the front of all.
    /// What is no plain file (a pipe) stays as it is.
    ///
    /// # Errors
    /// As [`SweepCsv::append`]; the file then has its rows as they were.
    pub fn finish(mut self, finished: &[SweepRow]) -> Result<(), InferenceError> {
        if !self.csv.is_plain() {
            return Ok(());
        }
        let is_finished = |row: &SweepRow| finished.iter().any(|known| known.recipe == row.recipe);
        self.rows.retain(|row| !is_finished(row));
        self.rows.splice(..0, finished.iter().cloned());
        self.rewrite(true)
    }

    fn rewrite(&mut self, whole: bool) -> Result<(), InferenceError> {
        let text = text_of(&self.setting, &self.rows, whole).map_err(|error| self.csv.fault(error))?;
        self.csv.rewrite(&text)
    }
}

/// The text of a file with all `rows`; of a `whole` sweep, with those on its front marked.
fn text_of(setting: &SweepSetting, rows: &[SweepRow], whole: bool) -> Result<String, serde_json::Error> {
    let size = SizeMeasure::of_rows(rows);
    let front = pareto_front(rows, Score::of_rows(rows), |row| size.value(row));
    let mut text = csv::line(&titles());
    for (place, row) in rows.iter().enumerate() {
        text += &csv::line(&setting.fields(row, whole.then(|| front.contains(&place)))?);
    }
    Ok(text)
}

/// Writes all `rows` as a file of their own, whole or not at all, in place of what was there.
///
/// # Errors
/// [`InferenceError::Table`] naming the file and the system's reason.
pub fn save_rows(path: &Path, setting: &SweepSetting, rows: &[SweepRow]) -> Result<(), InferenceError> {
    let text = text_of(setting, rows, true).map_err(|error| fault(path, error))?;
    replace_file(path, text.as_bytes()).map_err(|error| fault(path, error))
}

/// The rows of a file, whatever sweep it is of: what its first row says of model, data, calibration and samples must hold for
/// all others.
///
/// # Errors
/// [`InferenceError::Table`] naming the file, and the line that is no row or is of another sweep.
pub fn load_rows(path: &Path) -> Result<Vec<SweepRow>, InferenceError> {
    let text = files::read_text(path).map_err(|error| fault(path, error))?;
    let rows = SweepSetting::of_file(&text).and_then(|setting| match setting {
        Some(setting) => read(&text, &setting),
        None => Ok(Vec::new()),
    });
    rows.map_err(|error| fault(path, error))
}

impl SweepSetting {
    /// What the rows of a file have in common; `None` where there are none.
    fn of_file(text: &str) -> Result<Option<Self>, TableError> {
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
        let titles = title.and_then(csv::cells).unwrap_or_default();
        let column = |row: &[String], name: &str| {
            let at = titles.iter().position(|column| column == name);
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

    /// The columns of a row; `on_front` is not known before all rows are there.
    fn fields(&self, row: &SweepRow, on_front: Option<bool>) -> Result<Vec<String>, serde_json::Error> {
        let recipe = serde_json::to_string(&row.recipe)?;
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let low = |interval: Option<[f64; 2]>| number(interval.map(|[low, _]| low));
        let high = |interval: Option<[f64; 2]>| number(interval.map(|[_, high]| high));
        let count = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let time = row.latency.as_ref().map(|latency| &latency.time);
        let [top1, perplexity] = [row.metrics.top1_interval, row.metrics.perplexity_interval];
        let mut fields = vec![
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
            count(row.overhead.file_bytes),
            row.recipe.scales.to_string(),
            row.recipe.rounding.to_string(),
            low(top1),
            high(top1),
            low(perplexity),
            high(perplexity),
            low(row.sqnr_db_interval),
            high(row.sqnr_db_interval),
            number(time.map(|time| time.median_ms)),
            number(time.map(|time| time.p95_ms)),
            count(time.map(|time| time.batch as u64)),
            count(time.map(|time| time.runs as u64)),
            (row.latency.as_ref()).map_or_else(String::new, |latency| latency.engine.clone()),
        ];
        fields.extend(metric_columns::cells(&row.metrics));
        fields.push(match on_front {
            Some(true) => ON_FRONT.to_owned(),
            Some(false) => BEHIND.to_owned(),
            None => String::new(),
        });
        fields.push(recipe);
        Ok(fields)
    }
}

/// The rows of a whole file.
fn read(text: &str, setting: &SweepSetting) -> Result<Vec<SweepRow>, TableError> {
    let mut lines = text.lines().enumerate();
    let header = lines.next().and_then(|(_, line)| csv::cells(line)).unwrap_or_default();
    let known = header.starts_with(&OLDEST.map(str::to_owned)) && header.last().is_some_and(|last| last == RECIPE);
    if !known {
        return Err(TableError::Titles("a sweep by this version"));
    }
    // Files of several shards that were joined have the titles of each.
    let title = text.lines().next();
    let rows = lines.filter(|(_, line)| Some(*line) != title).map(|(at, line)| {
        let row = csv::cells(line).ok_or(RowError::Quote);
        row.and_then(|fields| read_row(&header, &fields, setting))
            .map_err(|error| TableError::at(at, error))
    });
    rows.collect()
}

fn read_row(header: &[String], fields: &[String], setting: &SweepSetting) -> Result<SweepRow, RowError> {
    let [columns @ .., recipe] = fields else {
        return Err(RowError::Empty);
    };
    if fields.len() != header.len() {
        let (found, expected) = (fields.len(), header.len());
        return Err(RowError::Columns { found, expected });
    }
    let text = |name: &str| -> &str {
        let at = header.iter().position(|column| column == name);
        at.and_then(|at| columns.get(at)).map_or("", String::as_str)
    };
    let mut recipe: Recipe = serde_json::from_str(recipe)?;
    let samples = setting.samples.to_string();
    for (name, own) in [
        ("model", setting.model.as_str()),
        ("data", setting.data.as_str()),
        ("calibration", setting.calibration_of(&recipe)),
        ("samples", samples.as_str()),
    ] {
        if text(name) != csv::shown(own) {
            return Err(RowError::OtherRun {
                of: "sweep",
                column: name,
                there: text(name).to_owned(),
                own: own.to_owned(),
            });
        }
    }
    // JSON may lose the last digit of a number; its own column does not.
    recipe.expand_ratio = number(&text, "expand_ratio")?;
    let samples = setting.samples;
    let top1: Option<f64> = optional(&text, "top1")?;
    let mut metrics = Metrics {
        top1,
        top1_interval: top1.map(|share| wilson_interval(share, samples)),
        top5: optional(&text, "top5")?,
        nats_per_token: optional(&text, "nats_per_token")?,
        perplexity: optional(&text, "perplexity")?,
        perplexity_interval: interval(&text, ["perplexity_low", "perplexity_high"])?,
        ..Metrics::default()
    };
    metric_columns::read(&mut metrics, |column| optional(&text, column))?;
    Ok(SweepRow {
        recipe,
        samples,
        metrics,
        agreement: optional(&text, "agreement")?,
        sqnr_db: optional(&text, "sqnr_db")?,
        sqnr_db_interval: interval(&text, ["sqnr_db_low", "sqnr_db_high"])?,
        overhead: SweepOverhead {
            weights: number(&text, "weights_overhead")?,
            activations: optional(&text, "activations_overhead")?,
            macs: optional(&text, "macs_overhead")?,
            size: number(&text, "size")?,
            file_bytes: optional(&text, "file_bytes")?,
        },
        latency: match optional(&text, "latency_ms")? {
            Some(median_ms) => Some(RowLatency {
                engine: text("latency_engine").to_owned(),
                time: Latency {
                    batch: number(&text, "latency_batch")?,
                    runs: number(&text, "latency_runs")?,
                    median_ms,
                    p95_ms: number(&text, "latency_p95_ms")?,
                },
            }),
            None => None,
        },
        not_timed: None,
    })
}

fn interval<'a>(
    text: &impl Fn(&'static str) -> &'a str,
    [low, high]: [&'static str; 2],
) -> Result<Option<[f64; 2]>, RowError> {
    Ok(optional(text, low)?
        .zip(optional(text, high)?)
        .map(|(low, high)| [low, high]))
}

fn number<'a, T: FromStr>(text: &impl Fn(&'static str) -> &'a str, column: &'static str) -> Result<T, RowError> {
    T::from_str(text(column)).map_err(|_| {
        let text = text(column).to_owned();
        RowError::Number { column, text }
    })
}

fn optional<'a, T: FromStr>(
    text: &impl Fn(&'static str) -> &'a str,
    column: &'static str,
) -> Result<Option<T>, RowError> {
    if text(column).is_empty() {
        return Ok(None);
    }
    number(text, column).map(Some)
}

#[cfg(test)]
mod tests;
