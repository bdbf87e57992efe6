//! What single runs of a search told, so that machines can share them out and a search can be gone on with: a file with a line a run.

use super::settings::Scores;
use crate::inference::evaluate::wilson_interval;
use crate::inference::growing_csv::{GrowingCsv, RowError, TableError};
use crate::inference::{InferenceError, Metrics, metric_columns};
use crate::printable::csv;
use crate::quantization::{Clip, Granularity, Recipe, Rounding};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// On which samples a run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RunSamples {
    /// The first of those to choose on.
    Screen,
    /// Those to choose on.
    Choose,
    /// Those to judge by.
    Judge,
}

impl fmt::Display for RunSamples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Screen => "screen",
            Self::Choose => "choose",
            Self::Judge => "judge",
        })
    }
}

/// What a run is of: one layer alone, or all of them with the same settings. What is not said here is the search's base.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunKey {
    pub(super) on: RunSamples,
    /// The layer; `None` for all.
    pub(super) layer: Option<String>,
    pub(super) bits: u8,
    pub(super) expand_ratio: f64,
    pub(super) clip: Clip,
    pub(super) scales: Granularity,
    pub(super) rounding: Rounding,
    pub(super) zero_points: bool,
    pub(super) bias_correction: bool,
}

impl RunKey {
    /// The columns of the key; no two runs have the same.
    fn cells(&self) -> [String; KEY.len()] {
        [
            self.on.to_string(),
            self.layer.clone().unwrap_or_default(),
            self.bits.to_string(),
            self.expand_ratio.to_string(),
            self.clip.to_string(),
            self.scales.to_string(),
            self.rounding.to_string(),
            self.zero_points.to_string(),
            self.bias_correction.to_string(),
        ]
    }

    /// As the cells read back.
    fn text(&self) -> Vec<String> {
        self.cells().iter().map(|cell| csv::shown(cell)).collect()
    }
}

/// Columns that say what all runs of a file have in common.
const SETTING: [&str; 5] = ["model", "choose", "judge", "calibration", "base"];
/// Columns that say what a run is of.
const KEY: [&str; 9] = [
    "samples_of",
    "layer",
    "weight_bits",
    "expand_ratio",
    "clip",
    "scales",
    "rounding",
    "weight_zero_points",
    "bias_correction",
];
/// Columns that say what came of it.
const SCORES: [&str; 9] = [
    "samples",
    "top1",
    "top5",
    "nats_per_token",
    "perplexity",
    "perplexity_low",
    "perplexity_high",
    "agreement",
    "sqnr_db",
];

fn titles() -> Vec<&'static str> {
    [&SETTING[..], &KEY, &score_titles()].concat()
}

fn score_titles() -> Vec<&'static str> {
    [&SCORES[..], &metric_columns::TITLES].concat()
}

/// What all runs of a file must have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSetting {
    /// The network, as the person named it.
    pub model: String,
    /// The samples to choose on.
    pub choose: String,
    /// The samples to judge by.
    pub judge: String,
    /// Where what is known of the layers' inputs comes from.
    pub calibration: String,
    /// The recipe that the search starts from.
    pub base: Recipe,
}

impl RunSetting {
    fn cells(&self) -> Result<[String; SETTING.len()], serde_json::Error> {
        let base = serde_json::to_string(&self.base)?;
        Ok([
            self.model.clone(),
            self.choose.clone(),
            self.judge.clone(),
            self.calibration.clone(),
            base,
        ])
    }
}

/// The runs that are known, and the file that new ones go to, if there is one.
#[derive(Debug, Default)]
pub struct RunLog {
    known: HashMap<Vec<String>, Scores>,
    csv: Option<(GrowingCsv, [String; SETTING.len()])>,
    made: usize,
}

impl RunLog {
    /// Begins a file. A file with contents is not overwritten.
    ///
    /// # Errors
    /// [`InferenceError::Table`] naming the file and what to do.
    pub fn create(path: &Path, setting: &RunSetting) -> Result<Self, InferenceError> {
        let csv = GrowingCsv::create(path, &titles())?;
        let cells = setting.cells().map_err(|error| csv.fault(error))?;
        Ok(Self {
            csv: Some((csv, cells)),
            ..Self::default()
        })
    }

    /// Goes on with a file, also one that was joined from those of several machines; begins it if it is not there.
    ///
    /// # Errors
    /// [`InferenceError::Table`] naming the line that is no run, or what differs between the file's setting and this one.
    pub fn resume(path: &Path, setting: &RunSetting) -> Result<Self, InferenceError> {
        let read = |text: &str| {
            let cells = setting.cells()?;
            Ok((read(text, &cells)?, cells))
        };
        Ok(match GrowingCsv::resume(path, read)? {
            Some((csv, (known, cells))) => Self {
                known,
                csv: Some((csv, cells)),
                made: 0,
            },
            None => Self::create(path, setting)?,
        })
    }

    /// Runs that were made since, not found in the file.
    pub fn made(&self) -> usize {
        self.made
    }

    pub(super) fn known(&self, key: &RunKey) -> Option<&Scores> {
        self.known.get(&key.text())
    }

    /// Takes what came of a run.
    pub(super) fn take(&mut self, key: &RunKey, scores: Scores) -> Result<(), InferenceError> {
        if let Some((csv, setting)) = &mut self.csv {
            let cells: Vec<String> = (setting.iter().cloned())
                .chain(key.cells())
                .chain(cells_of(&scores))
                .collect();
            csv.append(&cells)?;
        }
        self.made += 1;
        self.known.insert(key.text(), scores);
        Ok(())
    }
}

fn cells_of(scores: &Scores) -> Vec<String> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let metrics = &scores.metrics;
    let mut cells = vec![
        scores.samples.to_string(),
        number(metrics.top1),
        number(metrics.top5),
        number(metrics.nats_per_token),
        number(metrics.perplexity),
        number(metrics.perplexity_interval.map(|[low, _]| low)),
        number(metrics.perplexity_interval.map(|[_, high]| high)),
        number(scores.agreement),
        number(scores.sqnr_db),
    ];
    cells.extend(metric_columns::cells(metrics));
    cells
}

/// The runs of a whole file.
fn read(text: &str, setting: &[String; SETTING.len()]) -> Result<HashMap<Vec<String>, Scores>, TableError> {
    let mut lines = text.lines().enumerate();
    let title = lines.next().map(|(_, line)| line);
    if title.and_then(csv::cells).is_none_or(|first| first != titles()) {
        return Err(TableError::Titles("a search's runs"));
    }
    let mut known = HashMap::new();
    // Files of several machines that were joined have the titles of each.
    for (at, line) in lines.filter(|(_, line)| Some(*line) != title) {
        let run = csv::cells(line).ok_or(RowError::Quote);
        let run = run.and_then(|cells| read_run(&cells, setting));
        let (key, scores) = run.map_err(|error| TableError::at(at, error))?;
        known.insert(key, scores);
    }
    Ok(known)
}

fn read_run(cells: &[String], setting: &[String; SETTING.len()]) -> Result<(Vec<String>, Scores), RowError> {
    let expected = titles().len();
    if cells.len() != expected {
        let found = cells.len();
        return Err(RowError::Columns { found, expected });
    }
    let (of, rest) = cells.split_at(SETTING.len());
    for ((name, own), there) in SETTING.iter().zip(setting).zip(of) {
        if *there != csv::shown(own) {
            return Err(RowError::OtherRun {
                of: "search",
                column: name,
                there: there.clone(),
                own: own.clone(),
            });
        }
    }
    let (key, scores) = rest.split_at(KEY.len());
    let titles = score_titles();
    let cell = |name: &str| {
        let at = titles.iter().position(|column| *column == name);
        at.and_then(|at| scores.get(at)).map_or("", String::as_str)
    };
    let no_number = |column| RowError::Number {
        column,
        text: cell(column).to_owned(),
    };
    let number = |column| match cell(column) {
        "" => Ok(None),
        text => (text.parse::<f64>().map(Some)).map_err(|_| no_number(column)),
    };
    let samples: usize = cell("samples").parse().map_err(|_| no_number("samples"))?;
    let top1 = number("top1")?;
    let mut metrics = Metrics {
        top1,
        top1_interval: top1.map(|share| wilson_interval(share, samples)),
        top5: number("top5")?,
        nats_per_token: number("nats_per_token")?,
        perplexity: number("perplexity")?,
        perplexity_interval: (number("perplexity_low")?.zip(number("perplexity_high")?)).map(|(low, high)| [low, high]),
        ..Metrics::default()
    };
    metric_columns::read(&mut metrics, number)?;
    let scores = Scores {
        samples,
        metrics,
        agreement: number("agreement")?,
        sqnr_db: number("sqnr_db")?,
    };
    Ok((key.to_vec(), scores))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting() -> RunSetting {
        RunSetting {
            model: "a, b.onnx".to_owned(),
            choose: "100 samples of c".to_owned(),
            judge: "50 samples of j".to_owned(),
            calibration: "data-free".to_owned(),
            base: Recipe::default(),
        }
    }

    fn key(layer: Option<&str>) -> RunKey {
        RunKey {
            on: RunSamples::Choose,
            layer: layer.map(str::to_owned),
            bits: 3,
            expand_ratio: 0.05,
            clip: Clip::Mse,
            scales: Granularity::Block(32),
            rounding: Rounding::Gptq,
            zero_points: false,
            bias_correction: true,
        }
    }

    fn scores(top1: f64, sqnr_db: f64) -> Scores {
        Scores {
            samples: 100,
            metrics: Metrics {
                top1: Some(top1),
                top1_interval: Some(wilson_interval(top1, 100)),
                ..Metrics::default()
            },
            agreement: Some(0.9),
            sqnr_db: Some(sqnr_db),
        }
    }

    #[test]
    fn joined_files_hold_the_runs_of_each_to_the_last_digit() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let strange = "=a \"layer\",\nof two lines";
        let mut one = RunLog::create(&file("1"), &setting()).unwrap();
        one.take(&key(None), scores(0.5, 1.0 / 3.0)).unwrap();
        let mut two = RunLog::create(&file("2"), &setting()).unwrap();
        two.take(&key(Some(strange)), scores(0.7, f64::INFINITY)).unwrap();
        drop((one, two));
        let text = |name: &str| std::fs::read_to_string(file(name)).unwrap();
        std::fs::write(file("both"), text("1") + &text("2") + "cut off").unwrap();
        let mut both = RunLog::resume(&file("both"), &setting()).unwrap();
        assert_eq!(both.known(&key(None)), Some(&scores(0.5, 1.0 / 3.0)));
        assert_eq!(both.known(&key(Some(strange))), Some(&scores(0.7, f64::INFINITY)));
        assert_eq!((both.known(&key(Some("x"))), both.made()), (None, 0));
        both.take(&key(Some("x")), scores(0.1, -3.0)).unwrap();
        drop(both);
        assert_eq!(text("both").lines().count(), 5);
        let again = RunLog::resume(&file("both"), &setting()).unwrap();
        assert_eq!(again.known(&key(Some("x"))), Some(&scores(0.1, -3.0)));
    }

    #[test]
    fn runs_of_another_search_are_refused_by_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.csv");
        let mut log = RunLog::create(&path, &setting()).unwrap();
        log.take(&key(None), scores(0.5, 10.0)).unwrap();
        drop(log);
        let refused = |setting: &RunSetting| RunLog::resume(&path, setting).unwrap_err().to_string();
        let other = RunSetting {
            base: Recipe {
                bias_correction: true,
                ..Recipe::default()
            },
            ..setting()
        };
        assert!(refused(&other).contains("line 2: is of another search: base is"));
        let other = RunSetting {
            choose: "99 samples".to_owned(),
            ..setting()
        };
        assert!(refused(&other).contains("choose is '100 samples of c', not '99 samples'"));
        let there = RunLog::create(&path, &setting()).unwrap_err().to_string();
        assert!(there.contains("--resume"), "{there}");
    }
}
