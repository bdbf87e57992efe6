//! `splitscope front`: what scales, clips, splits and rounding reach, alone and together, against the bytes of the file.

use super::UsageError;
use super::arguments::FrontArguments;
use super::output::{Table, lines, to_json};
use super::pipeline::{self, CalibrationFrom};
use crate::format;
use crate::inference::sweep::{
    Method, OutlierMove, SizeMeasure, SweepRow, SweepSubject, input_methods, moved_input_methods, moved_weight_methods,
    pareto_front, sweep, weight_methods,
};
use crate::inference::{self, Dataset, Metrics, Outputs, Score, known_shapes, run_outputs};
use crate::network::{self, Network};
use crate::progress::Progress;
use crate::quantization::{Bits, Recipe};
use anyhow::Context;
use serde::Serialize;
use std::io::IsTerminal as _;
use std::path::Path;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    data: &'a str,
    samples: usize,
    /// What a person should know of the data.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
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
    let methods = chosen(arguments, &base)?;
    let original = format::open(Path::new(model))?;
    for method in &methods {
        method
            .recipe
            .check(&original)
            .map_err(anyhow::Error::msg)
            .context("recipe")?;
    }
    // Refused before anything is run.
    if methods.iter().any(|method| method.recipe.rotate) {
        network::rotate(&original).context("rotate")?;
    }
    let engine = pipeline::engine(&original)?;
    let data = pipeline::data_or_noise(arguments.data.as_deref(), arguments.limit, flags, &original, &engine)?;
    let data = pipeline::judged(data, arguments.answer.output.as_ref(), &engine)?;
    let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
    let float = run_outputs(&engine, &data, limit, progress).context("the float network")?;
    let rows = rows(arguments, &methods, &original, (&data, &float), progress)?;
    let (score, size) = (Score::of_rows(&rows), SizeMeasure::of_rows(&rows));
    let front = pareto_front(&rows, score, |row| size.value(row));
    let metrics = inference::metrics(&float, &data);
    if arguments.json {
        let named = methods.iter().zip(&rows).enumerate();
        return to_json(&Report {
            model,
            data: data.name(),
            notes: data.notes(),
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
    let known = score.of(&metrics);
    let known = known.map_or_else(String::new, |value| format!(" · float {}", score.show(value)));
    let moments = CalibrationFrom::of(calibration, model).sentence(model, calibration.calibration_limit);
    let heading = format!(
        "{} · {} {} · {}{known}{}\ninputs known from {moments}\n",
        data.name(),
        float.samples,
        if data.is_text() { "tokens" } else { "samples" },
        score.label(),
        interval(score, &metrics)
    );
    Ok(heading + &lines(data.notes()) + &tables(&methods, &rows, &front))
}

/// The methods that the flags ask for: those of the weights at each number of bits, then those of the inputs.
fn chosen(arguments: &FrontArguments, base: &Recipe) -> anyhow::Result<Vec<Method>> {
    let moves: &[OutlierMove] = &arguments.moves;
    let with_data = CalibrationFrom::of(&arguments.calibration, &arguments.model).is_data();
    let of_weights = arguments.weight_bits.iter().flat_map(|bits| {
        [
            weight_methods(base, *bits, with_data),
            moved_weight_methods(base, *bits, moves),
        ]
    });
    let of_inputs = arguments
        .activation_bits
        .iter()
        .flat_map(|bits| [input_methods(base, *bits), moved_input_methods(base, *bits, moves)]);
    let all: Vec<Method> = of_weights.chain(of_inputs).flatten().collect();
    let named = |name: &String| all.iter().any(|method| method.name == *name);
    if let Some(unknown) = arguments.methods.iter().find(|name| !named(name)) {
        let mut names: Vec<&str> = Vec::new();
        for method in &all {
            if !names.contains(&method.name.as_str()) {
                names.push(&method.name);
            }
        }
        let why = format!(
            "--methods: there is no '{unknown}' here; there are: {}",
            names.join(", ")
        );
        return Err(UsageError(why).into());
    }
    let is_asked = |method: &Method| arguments.methods.is_empty() || arguments.methods.contains(&method.name);
    Ok(all.into_iter().filter(is_asked).collect())
}

/// The rows of all methods, in their order. Methods with the same preparation share the network that it gives and what is known of its
/// inputs; one such network is held at a time.
fn rows(
    arguments: &FrontArguments,
    methods: &[Method],
    original: &Network,
    (data, float): (&Dataset, &Outputs),
    progress: &Progress,
) -> anyhow::Result<Vec<SweepRow>> {
    let (model, calibration, flags) = (&arguments.model, &arguments.calibration, &arguments.data_flags);
    let mut found: Vec<Option<SweepRow>> = vec![None; methods.len()];
    while let Some(first) = found.iter().position(Option::is_none) {
        let lead = &methods[first].recipe;
        let group: Vec<usize> = (first..methods.len())
            .filter(|place| methods[*place].recipe.prepares_like(lead))
            .collect();
        let recipes: Vec<Recipe> = group.iter().map(|place| methods[*place].recipe.clone()).collect();
        let network = pipeline::prepared(model, original, lead, calibration, flags, progress)?;
        let activations = pipeline::activations_of_all(model, &recipes, &network, calibration, flags, progress)?;
        let shapes = known_shapes(&network, Some(data));
        let subject = SweepSubject {
            network: &network,
            activations: activations.as_ref(),
            shapes: shapes.as_ref(),
            data,
            float,
        };
        let rows = sweep(&subject, &recipes, &[], progress, &mut |row| {
            tell(methods, row);
            Ok(())
        })?;
        for (place, row) in group.into_iter().zip(rows) {
            found[place] = Some(row);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// Says a row as it comes: whether it is on the front is known at the end. Only to a person who is looking, and to the log.
fn tell(methods: &[Method], row: &SweepRow) {
    let score = Score::of_rows(std::slice::from_ref(row));
    let method = methods.iter().find(|method| method.recipe == row.recipe);
    let line = format!(
        "{} · weights {}, inputs {} · {} {}",
        method.map_or("", |method| method.name.as_str()),
        row.recipe.weight_bits,
        row.recipe.activation_bits,
        score.label(),
        score.value(row).map(|value| score.show(value)).unwrap_or_default()
    );
    log::info!("{line}");
    if std::io::stderr().is_terminal() {
        pipeline::note(&line);
    }
}

/// Where the float network's perplexity or correlation would lie on other data of the kind.
fn interval(score: Score, metrics: &Metrics) -> String {
    match (score, score.interval_of(metrics)) {
        (Score::Perplexity | Score::Pearson, Some([low, high])) => {
            format!(" (95 % interval {} to {})", score.show(low), score.show(high))
        }
        _ => String::new(),
    }
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
            not_timed: None,
        };
        let mut methods = weight_methods(&Recipe::default(), 4, false)[..2].to_vec();
        methods.push(weight_methods(&Recipe::default(), 3, false)[0].clone());
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
