//! `splitscope check`: whether a recipe keeps the limits that a project has set, for continuous integration.

use super::arguments::CheckArguments;
use super::output::{self, Table, to_json};
use super::{LimitsMissed, UsageError, pipeline};
use crate::inference::{self, DataOptions, Dataset, Evaluation, QuantizedModel, Score, run_outputs};
use crate::progress::Progress;
use anyhow::{Context, bail};
use serde::Serialize;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    passed: bool,
    limits: &'a [Limit],
    /// Which preset was taken, where the flags ask for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<&'a str>,
    /// Bytes of the .onnx file that `quantize` writes.
    bytes: usize,
    evaluation: Option<&'a Evaluation>,
}

/// A limit, and what was measured.
#[derive(Debug, PartialEq, Serialize)]
struct Limit {
    /// The flag without its dashes.
    limit: &'static str,
    /// Of what a drop is.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<&'static str>,
    allowed: f64,
    measured: f64,
    /// By how much it is missed, in the unit of both numbers; 0 where it is kept.
    missed_by: f64,
    unit: &'static str,
    passed: bool,
}

impl Limit {
    fn at_most(limit: &'static str, allowed: f64, measured: f64, unit: &'static str) -> Self {
        Self::new(limit, allowed, measured, measured - allowed, unit)
    }

    fn at_least(limit: &'static str, allowed: f64, measured: f64, unit: &'static str) -> Self {
        Self::new(limit, allowed, measured, allowed - measured, unit)
    }

    fn new(limit: &'static str, allowed: f64, measured: f64, missed_by: f64, unit: &'static str) -> Self {
        // Shares in decimal notation are not exact in binary: 0.942 - 0.932 is more than 0.01.
        let passed = missed_by <= 1e-9 * allowed.abs().max(1.0);
        Self {
            limit,
            score: None,
            allowed,
            measured,
            missed_by: if passed { 0.0 } else { missed_by },
            unit,
            passed,
        }
    }
}

/// Carries the subcommand out and returns what to print.
///
/// # Errors
/// [`LimitsMissed`] when a limit is missed, after the result was printed.
pub(super) fn run(arguments: &CheckArguments, progress: &Progress) -> anyhow::Result<String> {
    let judged = arguments.max_drop.is_some() || arguments.min_sqnr.is_some();
    if judged && arguments.data.is_none() && arguments.data_flags.inputs.is_empty() {
        let why = "--max-drop and --min-sqnr are measured on data: give --data PATH";
        return Err(UsageError(why.to_owned()).into());
    }
    let planned = pipeline::plan(
        &arguments.model,
        &arguments.recipe_flags,
        &arguments.calibration,
        &arguments.data_flags,
        progress,
    )?;
    let exported = QuantizedModel::of(&planned.network, &planned.plan)?;
    let bytes = exported.bytes()?.len();
    let mut limits = Vec::new();
    if let Some(allowed) = arguments.max_bytes {
        limits.push(Limit::at_most("max-bytes", allowed as f64, bytes as f64, "bytes"));
    }
    let evaluation = if judged {
        let float = pipeline::engine(&planned.original)?;
        let path = arguments.data.as_deref().unwrap_or_default();
        let options = DataOptions {
            limit: arguments.limit,
            ..arguments.data_flags.options(&planned.original)
        };
        let data = Dataset::open(path, &options, float.inputs())?;
        if data.is_empty() {
            bail!("{path}: holds no samples");
        }
        let data = pipeline::judged(data, arguments.answer.output.as_ref(), &float)?;
        let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
        let before = run_outputs(&float, &data, limit, progress).context("the float network")?;
        let quantized = exported.engine().context("the quantized network")?;
        let after = run_outputs(&quantized, &data, limit, progress).context("the quantized network")?;
        Some(inference::evaluate(&before, &after, &data))
    } else {
        None
    };
    if let Some(evaluation) = &evaluation {
        if let Some(allowed) = arguments.max_drop {
            let (score, lost) = drop(evaluation)?;
            limits.push(Limit {
                score: Some(score.name()),
                ..Limit::at_most("max-drop", allowed, lost, "share")
            });
        }
        if let Some(allowed) = arguments.min_sqnr {
            // No SQNR that is finite: the outputs are equal.
            let measured = evaluation.sqnr_db.unwrap_or(f64::INFINITY);
            limits.push(Limit::at_least("min-sqnr", allowed, measured, "dB"));
        }
    }
    let passed = limits.iter().all(|limit| limit.passed);
    let text = if arguments.json {
        to_json(&Report {
            passed,
            limits: &limits,
            suggestion: planned.suggestion,
            bytes,
            evaluation: evaluation.as_ref(),
        })?
    } else {
        output::lines(planned.suggestion) + &table(&limits)
    };
    if passed {
        return Ok(text);
    }
    output::print(&text)?;
    let missed: Vec<&str> = limits
        .iter()
        .filter(|limit| !limit.passed)
        .map(|limit| limit.limit)
        .collect();
    Err(LimitsMissed(missed.join(", ")).into())
}

/// By what the networks are judged, and how much worse the quantized one is.
fn drop(evaluation: &Evaluation) -> anyhow::Result<(Score, f64)> {
    let (float, quantized) = (&evaluation.float, &evaluation.quantized);
    let score = Score::of_metrics(float);
    if score == Score::Sqnr {
        bail!("--max-drop needs labels or text; the data have none: give --labels, or use --min-sqnr");
    }
    match score.lost(float, quantized) {
        Some(lost) => Ok((score, lost)),
        None => bail!(
            "the quantized network has no {}: its answers are all alike, or no numbers",
            score.name()
        ),
    }
}

fn table(limits: &[Limit]) -> String {
    let mut rows = Table::new(&["limit", "allowed", "measured", ""]);
    for limit in limits {
        let show = |number: f64| match limit.unit {
            "share" => format!("{:.2} %", number * 100.0),
            "bytes" => format!("{number} bytes"),
            unit => format!("{number:.2} {unit}"),
        };
        let verdict = if limit.passed {
            "kept".to_owned()
        } else {
            format!("missed by {}", show(limit.missed_by))
        };
        let name = match limit.score {
            Some(score) => format!("{} ({score})", limit.limit),
            None => limit.limit.to_owned(),
        };
        rows.row(vec![name, show(limit.allowed), show(limit.measured), verdict]);
    }
    rows.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_just_met_is_kept() {
        assert!(Limit::at_most("max-drop", 0.01, 0.942 - 0.932, "share").passed);
        assert!(Limit::at_most("max-bytes", 1000.0, 1000.0, "bytes").passed);
        assert!(Limit::at_least("min-sqnr", 20.0, f64::INFINITY, "dB").passed);
        let missed = Limit::at_most("max-bytes", 1000.0, 1001.0, "bytes");
        assert_eq!((missed.passed, missed.missed_by), (false, 1.0));
        assert!(!Limit::at_least("min-sqnr", 20.0, 19.9, "dB").passed);
        // Better than float is no drop.
        assert!(Limit::at_most("max-drop", 0.0, -0.01, "share").passed);
    }

    #[test]
    fn the_table_says_by_how_much() {
        let limits = [
            Limit::at_most("max-bytes", 1000.0, 1024.0, "bytes"),
            Limit {
                score: Some(Score::MeanIou.name()),
                ..Limit::at_most("max-drop", 0.01, 0.002, "share")
            },
        ];
        let expected = "\
limit                   allowed    measured
max-bytes            1000 bytes  1024 bytes  missed by 24 bytes
max-drop (mean IoU)      1.00 %      0.20 %                kept
";
        let shown: Vec<String> = expected.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        assert_eq!(table(&limits), shown.concat());
    }
}
