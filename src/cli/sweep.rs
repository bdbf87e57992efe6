//! `splitscope sweep`: a grid of recipes on the same samples, a row each.

use super::arguments::SweepArguments;
use super::output::{Table, check_place, lines, to_json};
use super::pipeline::{self, CalibrationFrom};
use crate::engine;
use crate::format;
use crate::inference::sweep::{
    Mark, PaperTable, SizeMeasure, SweepCsv, SweepGrid, SweepRow, SweepSetting, SweepSubject, pareto_front, timed_sweep,
};
use crate::inference::{self, Dataset, Metrics, Outputs, Score, known_shapes, run_outputs};
use crate::progress::Progress;
use crate::quantization::Bits;
use crate::report::numbers::on_or_off;
use anyhow::Context;
use serde::Serialize;
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
    rows: &'a [SweepRow],
    /// Places in `rows` that no other row beats in both score and size of its file, smallest first.
    front: &'a [usize],
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &SweepArguments, progress: &Progress) -> anyhow::Result<String> {
    if let Some(path) = &arguments.csv {
        check_place(path)?;
    }
    let with_data = CalibrationFrom::of(&arguments.calibration, &arguments.model).is_data();
    let base = arguments.recipe_flags.recipe(with_data)?;
    let mut recipes = grid(arguments).recipes(&base);
    if let Some(shard) = arguments.shard {
        recipes = shard.of(recipes);
    }
    let original = format::open(Path::new(&arguments.model))?;
    for recipe in &recipes {
        recipe.check(&original).map_err(anyhow::Error::msg).context("recipe")?;
    }
    let network = pipeline::prepared(
        &arguments.model,
        &original,
        &base,
        &arguments.calibration,
        &arguments.data_flags,
        progress,
    )?;
    let float_engine = pipeline::engine(&original)?;
    let data = pipeline::data_or_noise(
        arguments.data.as_deref(),
        arguments.limit,
        &arguments.data_flags,
        &original,
        &float_engine,
    )?;
    let data = pipeline::judged(data, arguments.answer.output.as_ref(), &float_engine)?;
    let limit = arguments.limit.unwrap_or(usize::MAX).min(data.len());
    let (mut csv, finished) = open_csv(arguments, &data, limit)?;
    let activations = pipeline::activations_of_all(
        &arguments.model,
        &recipes,
        &network,
        &arguments.calibration,
        &arguments.data_flags,
        progress,
    )?;
    let float = run_outputs(&float_engine, &data, limit, progress).context("the float network")?;
    let shapes = known_shapes(&network, Some(&data));
    let subject = SweepSubject {
        network: &network,
        activations: activations.as_ref(),
        shapes: shapes.as_ref(),
        data: &data,
        float: &float,
    };
    let timed_in = arguments.latency.then(|| engine::chosen().for_timing());
    let rows = timed_sweep(
        &subject,
        &recipes,
        (&finished, timed_in.as_ref()),
        progress,
        &mut |row| csv.as_mut().map_or(Ok(()), |csv| csv.append(row)),
    )?;
    // The front of one part is not that of the whole.
    if let Some(csv) = csv.filter(|_| arguments.shard.is_none()) {
        csv.finish(&rows)?;
    }
    let score = Score::of_rows(&rows);
    let size = SizeMeasure::of_rows(&rows);
    let front = pareto_front(&rows, score, |row| size.value(row));
    if arguments.json {
        return to_json(&Report {
            model: &arguments.model,
            data: data.name(),
            notes: data.notes(),
            samples: limit,
            float: &inference::metrics(&float, &data),
            rows: &rows,
            front: &front,
        });
    }
    let mut text = heading(&data, &float, score);
    text.push_str(&tables(&rows, score));
    text.push_str(&front_table(&rows, &front, score));
    Ok(text)
}

fn grid(arguments: &SweepArguments) -> SweepGrid {
    SweepGrid {
        weight_bits: arguments.weight_bits.clone(),
        expand_ratios: arguments.expand_ratio.clone(),
        clips: arguments.clip.clone(),
        activation_bits: arguments.activation_bits.clone(),
        scales: arguments.scales.clone(),
        roundings: arguments.rounding.clone(),
        zero_points: arguments.weight_zero_points.clone(),
    }
}

/// The file for the rows, if one is wanted, and the rows that it has already.
fn open_csv(
    arguments: &SweepArguments,
    data: &Dataset,
    samples: usize,
) -> anyhow::Result<(Option<SweepCsv>, Vec<SweepRow>)> {
    let Some(path) = &arguments.csv else {
        return Ok((None, Vec::new()));
    };
    let setting = SweepSetting {
        model: arguments.model.clone(),
        data: format!("{} · {}", data.name(), data.preprocessing()),
        calibration: CalibrationFrom::of(&arguments.calibration, &arguments.model)
            .label(arguments.calibration.calibration_limit),
        samples,
    };
    if arguments.resume {
        let (csv, rows) = SweepCsv::resume(path, setting)?;
        Ok((Some(csv), rows))
    } else {
        Ok((Some(SweepCsv::create(path, setting)?), Vec::new()))
    }
}

fn heading(data: &Dataset, float: &Outputs, score: Score) -> String {
    let float_score = score.of(&inference::metrics(float, data));
    let unit = if data.is_text() { "tokens" } else { "samples" };
    let float_score = float_score.map_or_else(String::new, |value| format!(" · float {}", score.show(value)));
    let notes = lines(data.notes());
    format!(
        "{} · {} {unit} · {}\n{notes}{}{float_score}\n",
        data.name(),
        float.samples,
        data.preprocessing(),
        score.label()
    )
}

/// The rows as in table 2 of the paper, a table for each number of activation bits and each of the axes that it does not show.
fn tables(rows: &[SweepRow], score: Score) -> String {
    let mut text = String::new();
    for table in PaperTable::of_rows(rows, score) {
        let mut titles = vec!["bits".to_owned()];
        titles.extend(table.columns.iter().map(|title| marked(title, Mark::Plain)));
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        let mut shown = Table::new(&titles);
        for (bits, cells) in &table.lines {
            let mut line = vec![bits.to_string()];
            line.extend(cells.iter().map(|cell| match cell {
                Some(cell) => marked(&score.show(cell.value), cell.mark),
                None => marked("–", Mark::Plain),
            }));
            shown.row(line);
        }
        let activations = match table.activation_bits {
            Bits::Float => "activations float".to_owned(),
            Bits::Grid(bits) => format!("activations {bits} bits"),
        };
        let titles: Vec<&str> = std::iter::once(activations.as_str())
            .chain(table.settings.iter().map(String::as_str))
            .collect();
        text.push_str(&format!("\n{}\n{}", titles.join(" · "), shown.text()));
    }
    text.push_str("** best of its line, * best of its kind in the line (clip, OCS, OCS + best clip)\n");
    text
}

/// A cell with room for a mark, so that the numbers stay in line.
fn marked(text: &str, mark: Mark) -> String {
    let mark = match mark {
        Mark::Plain => "",
        Mark::BestOfGroup => "*",
        Mark::BestOfLine => "**",
    };
    format!("{text}{mark:<2}")
}

fn front_table(rows: &[SweepRow], front: &[usize], score: Score) -> String {
    let rows_differ =
        |differ: &dyn Fn(&SweepRow, &SweepRow) -> bool| rows.windows(2).any(|pair| differ(&pair[0], &pair[1]));
    let with_scales = rows_differ(&|a, b| a.recipe.scales != b.recipe.scales);
    let with_rounding = rows_differ(&|a, b| a.recipe.rounding != b.recipe.rounding);
    let with_zero_points = rows_differ(&|a, b| a.recipe.weight_zero_points != b.recipe.weight_zero_points);
    let with_bytes = SizeMeasure::of_rows(rows) == SizeMeasure::FileBytes;
    let with_latency = rows.iter().any(|row| row.latency.is_some() || row.not_timed.is_some());
    let with_interval = rows.iter().any(|row| score.interval(row).is_some());
    let mut titles = vec!["size", "weights", "bits", "input bits", "ratio", "clip"];
    titles.splice(..0, with_bytes.then_some("file bytes"));
    titles.extend(with_scales.then_some("scales"));
    titles.extend(with_rounding.then_some("rounding"));
    titles.extend(with_zero_points.then_some("zero points"));
    titles.push(score.label());
    titles.extend(with_interval.then_some("95 % interval"));
    titles.extend(with_latency.then_some("ms a sample"));
    let mut shown = Table::new(&titles);
    let dash = || "–".to_owned();
    for row in front.iter().filter_map(|place| rows.get(*place)) {
        let mut cells = vec![
            format!("x{:.3}", row.overhead.size),
            format!("x{:.3}", row.overhead.weights),
            row.recipe.weight_bits.to_string(),
            row.recipe.activation_bits.to_string(),
            row.recipe.expand_ratio.to_string(),
            row.recipe.clip.to_string(),
        ];
        let bytes = || row.overhead.file_bytes.map_or_else(dash, |bytes| bytes.to_string());
        cells.splice(..0, with_bytes.then(bytes));
        cells.extend(with_scales.then(|| row.recipe.scales.to_string()));
        cells.extend(with_rounding.then(|| row.recipe.rounding.to_string()));
        cells.extend(with_zero_points.then(|| on_or_off(row.recipe.weight_zero_points).to_owned()));
        cells.push(score.value(row).map(|value| score.show(value)).unwrap_or_default());
        cells.extend(with_interval.then(|| {
            let ends = score.interval(row).map(|ends| ends.map(|end| score.show(end)));
            ends.map_or_else(dash, |[low, high]| format!("{low} to {high}"))
        }));
        cells.extend(with_latency.then(|| {
            let latency = row.latency.as_ref();
            latency.map_or_else(dash, |latency| format!("{:.3}", latency.time.median_ms))
        }));
        shown.row(cells);
    }
    let untimed = rows.iter().filter(|row| row.not_timed.is_some()).count();
    let untimed = match rows.iter().find_map(|row| row.not_timed.as_ref()) {
        Some(why) => format!("{untimed} of {} rows could not be timed: {why}\n", rows.len()),
        None => String::new(),
    };
    format!("\nno other row is both as small and better\n{}{untimed}", shown.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::sweep::SweepOverhead;
    use crate::quantization::Recipe;

    fn row(bits: u8, expand_ratio: f64, clip: &str, top1: f64) -> SweepRow {
        SweepRow {
            recipe: Recipe {
                weight_bits: Bits::Grid(bits),
                expand_ratio,
                clip: clip.parse().unwrap(),
                ..Recipe::default()
            },
            samples: 1000,
            metrics: Metrics {
                top1: Some(top1),
                ..Metrics::default()
            },
            agreement: Some(1.0),
            sqnr_db: None,
            sqnr_db_interval: None,
            overhead: SweepOverhead {
                weights: 1.0 + expand_ratio,
                activations: None,
                macs: None,
                size: f64::from(bits) / 32.0 * (1.0 + expand_ratio),
                file_bytes: None,
            },
            latency: None,
            not_timed: None,
        }
    }

    #[test]
    fn the_table_has_the_columns_of_the_papers_and_marks_the_best() {
        let rows = [
            row(5, 0.0, "none", 0.145),
            row(5, 0.0, "mse", 0.691),
            row(5, 0.02, "none", 0.719),
            row(5, 0.02, "mse", 0.719),
            row(5, 0.02, "kl", 0.7),
            row(4, 0.0, "none", 0.001),
            row(4, 0.0, "mse", 0.45),
            row(4, 0.02, "none", 0.361),
        ];
        let expected = "
activations float
bits  clip none    clip mse    OCS 0.02    OCS+clip 0.02
5         14.50       69.10*      71.90**          71.90**
4          0.10       45.00**     36.10*               –
** best of its line, * best of its kind in the line (clip, OCS, OCS + best clip)
";
        assert_eq!(tables(&rows, Score::Top1), expected);
        let front = pareto_front(&rows, Score::Top1, |row| row.overhead.size);
        let expected = "
no other row is both as small and better
size    weights  bits  input bits  ratio  clip  top-1 %
x0.125   x1.000     4       float      0   mse    45.00
x0.156   x1.000     5       float      0   mse    69.10
x0.159   x1.020     5       float   0.02  none    71.90
x0.159   x1.020     5       float   0.02   mse    71.90
";
        assert_eq!(front_table(&rows, &front, Score::Top1), expected);
    }
}
