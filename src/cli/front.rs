//! `splitscope front`: what scales, clips, splits and rounding reach, alone and together, against the bytes of the file.

use super::arguments::FrontArguments;
use super::output::{Table, lines, to_json};
use super::pipeline::{self, CalibrationFrom};
use crate::format;
use crate::inference::sweep::{
    Method, Score, SizeMeasure, SweepRow, SweepSubject, input_methods, pareto_front, sweep, weight_methods,
};
use crate::inference::{self, Metrics, known_shapes, run_outputs};
use crate::progress::Progress;
use crate::quantization::{Bits, Recipe};
use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    data: &'a str,
    samples: usize,
    float: &'a Metrics,
    rows: Vec<NamedRow<'a>>,
}

#[derive(Serialize)]
struct NamedRow<'a> {
    method: &'a str,
    /// Whether no other row of all is both as small and better.
    on_front: bool,
    #[serde(flatten)]
    row: &'a SweepRow,
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &FrontArguments, progress: &Progress) -> anyhow::Result<String> {
    let model = &arguments.model;
    let (calibration, flags) = (&arguments.calibration, &arguments.data_flags);
    let base = Recipe {
        fold_batch_norm: arguments.fold_batch_norm,
        bias_correction: arguments.bias_correction,
        float_first_layer: arguments.float_first_layer,
        float_last_layer: arguments.float_last_layer,
        unsigned_activations: true,
        ..Recipe::default()
    };
    let of_weights = arguments
        .weight_bits
        .iter()
        .flat_map(|bits| weight_methods(&base, *bits));
    let of_inputs = arguments
        .activation_bits
        .iter()
        .flat_map(|bits| input_methods(&base, *bits));
    let methods: Vec<Method> = of_weights.chain(of_inputs).collect();
    let original = format::open(Path::new(model))?;
    for method in &methods {
        method
            .recipe
            .check(&original)
            .map_err(anyhow::Error::msg)
            .context("recipe")?;
    }
    let network = pipeline::prepared(
        model,
        &original,
        &base,
        &arguments.calibration,
        &arguments.data_flags,
        progress,
    )?;
    let engine = pipeline::engine(&original)?;
    let data = pipeline::data_or_noise(arguments.data.as_deref(), arguments.limit, flags, &original, &engine)?;
    let data = pipeline::judged(data, arguments.answer.output.as_ref(), &engine)?;
    let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
    let recipes: Vec<Recipe> = methods.iter().map(|method| method.recipe.clone()).collect();
    let activations = pipeline::activations_of_all(model, &recipes, &network, calibration, flags, progress)?;
    let float = run_outputs(&engine, &data, limit, progress).context("the float network")?;
    let shapes = known_shapes(&network, Some(&data));
    let subject = SweepSubject {
        network: &network,
        activations: activations.as_ref(),
        shapes: shapes.as_ref(),
        data: &data,
        float: &float,
    };
    let rows = sweep(&subject, &recipes, &[], progress, &mut |_| Ok(()))?;
    let (score, size) = (Score::of_rows(&rows), SizeMeasure::of_rows(&rows));
    let front = pareto_front(&rows, score, |row| size.value(row));
    let metrics = inference::metrics(&float, &data);
    if arguments.json {
        let named = methods.iter().zip(&rows).enumerate();
        return to_json(&Report {
            model,
            data: data.name(),
            samples: float.samples,
            float: &metrics,
            rows: named
                .map(|(place, (method, row))| NamedRow {
                    method: &method.name,
                    on_front: front.contains(&place),
                    row,
                })
                .collect(),
        });
    }
    let known = match score {
        Score::Top1 => metrics.top1,
        Score::Perplexity => metrics.perplexity,
        Score::Sqnr => None,
    };
    let known = known.map_or_else(String::new, |value| format!(" · float {}", score.show(value)));
    let moments = CalibrationFrom::of(calibration, model).sentence(model, calibration.calibration_limit);
    let heading = format!(
        "{} · {} samples · {}{known}\ninputs known from {moments}\n",
        data.name(),
        float.samples,
        score.label()
    );
    Ok(heading + &lines(data.notes()) + &tables(&methods, &rows, &front))
}

/// A table for each number of bits, in the order of the methods.
fn tables(methods: &[Method], rows: &[SweepRow], front: &[usize]) -> String {
    let score = Score::of_rows(rows);
    let mut text = String::new();
    let key = |method: &Method| (method.recipe.weight_bits, method.recipe.activation_bits);
    let mut start = 0;
    for part in methods.chunk_by(|a, b| key(a) == key(b)) {
        let (weights, inputs) = part.first().map(key).unwrap_or((Bits::Float, Bits::Float));
        let title = match inputs {
            Bits::Float => format!("weights {weights} bits, inputs float"),
            Bits::Grid(bits) => format!("weights {weights} bits, inputs {bits} bits"),
        };
        let mut shown = Table::new(&["method", score.label(), "file bytes", "multiply-accumulates", "front"]);
        for (offset, (method, row)) in part.iter().zip(rows.get(start..).unwrap_or_default()).enumerate() {
            let is_on_front = front.contains(&(start + offset));
            shown.row(vec![
                method.name.clone(),
                score.value(row).map(|value| score.show(value)).unwrap_or_default(),
                row.overhead
                    .file_bytes
                    .map(|bytes| bytes.to_string())
                    .unwrap_or_default(),
                row.overhead.macs.map(|macs| format!("x{macs:.3}")).unwrap_or_default(),
                if is_on_front { "*".to_owned() } else { String::new() },
            ]);
        }
        start += part.len();
        text.push_str(&format!("\n{title}\n{}", shown.text()));
    }
    text.push_str("* no other row of all is both as small and better\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::sweep::SweepOverhead;

    #[test]
    fn rows_stand_by_bits_and_those_that_no_other_beats_are_marked() {
        let row = |top1: f64, bytes: u64| SweepRow {
            recipe: Recipe::default(),
            samples: 1000,
            metrics: Metrics {
                top1: Some(top1),
                ..Metrics::default()
            },
            agreement: None,
            sqnr_db: None,
            sqnr_db_interval: None,
            overhead: SweepOverhead {
                weights: 1.0,
                activations: None,
                macs: Some(1.0),
                size: 0.1,
                file_bytes: Some(bytes),
            },
            latency: None,
        };
        let mut methods = weight_methods(&Recipe::default(), 4)[..2].to_vec();
        methods.push(weight_methods(&Recipe::default(), 3)[0].clone());
        let rows = [row(0.9, 1000), row(0.89, 1001), row(0.5, 900)];
        let front = pareto_front(&rows, Score::Top1, |row| SizeMeasure::FileBytes.value(row));
        let expected = "
weights 4 bits, inputs float
method                top-1 %  file bytes  multiply-accumulates  front
one scale               90.00        1000                x1.000      *
one scale + clip mse    89.00        1001                x1.000

weights 3 bits, inputs float
method     top-1 %  file bytes  multiply-accumulates  front
one scale    50.00         900                x1.000      *
* no other row of all is both as small and better
";
        let trimmed: String = tables(&methods, &rows, &front)
            .lines()
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect();
        assert_eq!(trimmed, expected);
    }
}
