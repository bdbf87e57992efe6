//! `splitscope trace`: where the error of a quantized network arises, value by value.

use super::UsageError;
use super::arguments::TraceArguments;
use super::output::{Table, to_json};
use super::pipeline::{self, CalibrationFrom};
use crate::data::Port;
use crate::engine::Engine;
use crate::format;
use crate::inference::{Pipeline, Trace, TracedValue, trace};
use crate::progress::Progress;
use crate::quantization::Recipe;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// What `--json` prints. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    /// The quantized network; left out where a recipe makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantized: Option<&'a str>,
    data: &'a str,
    /// Left out where the quantized network comes from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<&'a Recipe>,
    #[serde(flatten)]
    trace: &'a Trace,
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &TraceArguments, progress: &Progress) -> anyhow::Result<String> {
    let model = &arguments.model;
    let original = format::open(Path::new(model))?;
    let engine = pipeline::engine(&original)?;
    let data = pipeline::data_or_noise(
        arguments.data.as_deref(),
        Some(arguments.limit),
        &arguments.data_flags,
        &original,
        &engine,
    )?;
    if let Some(output) = &arguments.output {
        is_output(&engine, output)?;
    }
    let (recipe, mut found) = match &arguments.quantized {
        Some(path) => {
            if !arguments.recipe_flags.are_empty() {
                return Err(UsageError(format!(
                    "{path} is quantized already: leave the recipe's flags out, or that file"
                ))
                .into());
            }
            let quantized = format::open(Path::new(path))?;
            if let Some(why) = &quantized.why_not_runnable {
                anyhow::bail!("{path}: {why}");
            }
            let quantized = quantized.runnable_model();
            let found = trace(&original, &quantized, &data, arguments.limit, progress)
                .with_context(|| format!("{model} against {path}"))?;
            (None, found)
        }
        None => {
            let (calibration, flags) = (&arguments.calibration, &arguments.recipe_flags);
            let recipe = flags.recipe(CalibrationFrom::of(calibration, model).is_data())?;
            recipe.check(&original).map_err(anyhow::Error::msg).context("recipe")?;
            flags.save(&recipe)?;
            let flags = &arguments.data_flags;
            let network = pipeline::prepared(model, &original, &recipe, calibration, flags, progress)?;
            let activations = pipeline::needed_activations(model, &recipe, &network, calibration, flags, progress)?;
            let quantized = Pipeline::new(&network, activations.as_ref()).quantize(&recipe, progress)?;
            let found = trace(&network, quantized.model(), &data, arguments.limit, progress)?;
            (Some(recipe), found)
        }
    };
    if let Some(output) = &arguments.output {
        found.keep_leading_to(&original.runnable_model(), output);
    }
    if arguments.json {
        return to_json(&Report {
            model,
            quantized: arguments.quantized.as_deref(),
            data: data.name(),
            recipe: recipe.as_ref(),
            trace: &found,
        });
    }
    Ok(table(&found, data.name()))
}

/// Refuses a name that no output has.
fn is_output(engine: &dyn Engine, name: &str) -> anyhow::Result<()> {
    let outputs = engine.outputs();
    if !outputs.iter().any(|port| port.name == name) {
        let all: Vec<String> = outputs.iter().map(Port::describe).collect();
        anyhow::bail!("the network has no output '{name}'; it has {}", all.join(", "));
    }
    Ok(())
}

/// The values in the order of the graph.
fn table(found: &Trace, data: &str) -> String {
    let mut shown = Table::new(&[
        "value",
        "operator",
        "layer",
        "cumulative dB",
        "own dB",
        "grid dB",
        "worst channel",
    ]);
    let decibels = |db: f64| {
        if db.is_finite() {
            format!("{db:.1}")
        } else {
            "exact".to_owned()
        }
    };
    let or_dash = |db: Option<f64>| db.map_or_else(|| "-".to_owned(), decibels);
    for value in &found.values {
        shown.row(vec![
            value.name.clone(),
            value.operator.clone().unwrap_or_else(|| "input".to_owned()),
            value.layer.clone().unwrap_or_default(),
            decibels(value.sqnr_db),
            or_dash(value.own_sqnr_db),
            or_dash(value.grid_sqnr_db),
            worst_channel(value).map_or_else(String::new, |(channel, db)| format!("{channel} ({db:.1})")),
        ]);
    }
    let unmatched = match found.unmatched.as_slice() {
        [] => String::new(),
        names => format!("\nwithout a counterpart: {}\n", names.join(", ")),
    };
    format!(
        "{data} · {} samples · {} · float against quantized, SQNR of each value\n{unmatched}\n{}",
        found.samples,
        found.engine,
        shown.text()
    )
}

/// The channel with the least SQNR, if the value has an error.
fn worst_channel(value: &TracedValue) -> Option<(usize, f64)> {
    let channels = value.channel_sqnr_db.iter().copied().enumerate();
    let worst = channels.min_by(|one, other| one.1.total_cmp(&other.1));
    worst.filter(|(_, db)| db.is_finite())
}
