//! `splitscope inspect --curves`: one layer's error against splits and against bits.

use super::arguments::InspectArguments;
use super::output::{Table, to_json};
use super::pipeline;
use crate::format;
use crate::network::Support;
use crate::printable::short;
use crate::progress::Progress;
use crate::quantization::{Bits, Clip, CurvePoint, ErrorCurves, Recipe, SplitKind, error_curves};
use anyhow::{Context, bail};
use serde::Serialize;
use std::path::Path;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    layer: &'a str,
    /// Bits of the curves over splits.
    bits: u8,
    /// Expand ratio of the curves over bits.
    expand_ratio: f64,
    split: SplitKind,
    by_splits: Vec<Curve<'a>>,
    by_bits: Vec<Curve<'a>>,
}

#[derive(Serialize)]
struct Curve<'a> {
    clip: Clip,
    points: &'a [CurvePoint],
}

/// Computes the curves of the layer of that name and returns what to print.
pub(super) fn run(
    arguments: &InspectArguments,
    name: &str,
    recipe: &Recipe,
    progress: &Progress,
) -> anyhow::Result<String> {
    let original = format::open(Path::new(&arguments.model))?;
    recipe.check(&original).map_err(anyhow::Error::msg).context("recipe")?;
    arguments.recipe_flags.save(recipe)?;
    let network = pipeline::prepared_without_inputs(&arguments.model, &original, recipe)?;
    let Some(index) = network.layer_index(name) else {
        bail!(
            "{}: there is no layer '{name}'; inspect without --curves lists them",
            arguments.model
        );
    };
    let layer = &network.layers[index];
    if let Support::View(why) = &layer.support {
        bail!("{name}: {why}");
    }
    let settings = recipe.effective(&network, index).weights;
    let expand_ratio = settings.expand_ratio;
    let max_ratio = match layer.support {
        Support::Split => ErrorCurves::MAX_RATIO,
        Support::Quantize(_) | Support::View(_) => 0.0,
    };
    let curves = error_curves(&network.weights(index)?, &layer.layout, &settings, max_ratio, progress)?;
    if curves.by_splits.is_empty() {
        bail!("{name}: has no weights, or some that are NaN or infinite; repair them in the source network");
    }
    let bits = settings.bits.grid().unwrap_or(Bits::MAX);
    if arguments.json {
        return to_json(&Report {
            layer: name,
            bits,
            expand_ratio,
            split: settings.split,
            by_splits: named(&curves.by_splits),
            by_bits: named(&curves.by_bits),
        });
    }
    let why = layer
        .support
        .why_not_split()
        .map(|why| format!(" · {why}"))
        .unwrap_or_default();
    Ok(format!(
        "{} · SQNR of its weights in dB, one scale for the tensor\n\nat {bits} bits{why}\n{}\nat expand ratio \
         {expand_ratio}\n{}",
        short(name),
        table("splits", &curves.by_splits, |point| point.splits.to_string()),
        table("bits", &curves.by_bits, |point| point.bits.to_string()),
    ))
}

fn named(curves: &[(Clip, Vec<CurvePoint>)]) -> Vec<Curve<'_>> {
    curves
        .iter()
        .map(|(clip, points)| Curve { clip: *clip, points })
        .collect()
}

/// A line for each point, a column for each way of clipping.
fn table(title: &str, curves: &[(Clip, Vec<CurvePoint>)], line: fn(&CurvePoint) -> String) -> String {
    let titles: Vec<String> = std::iter::once(title.to_owned())
        .chain(curves.iter().map(|(clip, _)| clip.to_string()))
        .collect();
    let mut rows = Table::new(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    for (place, point) in curves
        .first()
        .map(|(_, points)| points)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let points = curves.iter().filter_map(|(_, points)| points.get(place));
        let cells = points.map(|point| format!("{:.2}", point.sqnr_db));
        rows.row(std::iter::once(line(point)).chain(cells).collect());
    }
    rows.text()
}
