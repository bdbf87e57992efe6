//! What `quantize` and `evaluate` share: from a model's name and a recipe to a plan, exactly as the window does it.

use super::arguments::{CalibrationArguments, DataArguments, RecipeArguments};
use crate::format::{self, demo::Demo};
use crate::inference::{self, DataOptions, Dataset, Engine};
use crate::network::{Network, fold_batch_norm};
use crate::onnx;
use crate::progress::Progress;
use crate::quantization::{self, Activations, Plan, Recipe};
use anyhow::{Context, bail};
use std::path::Path;

/// A network with its plan.
pub(super) struct Planned {
    /// The network as opened.
    pub(super) original: Network,
    /// What the plan is for: the original, or the original with its batch-norms folded.
    pub(super) network: Network,
    /// What becomes of each layer.
    pub(super) plan: Plan,
}

/// Opens a model and carries the recipe out on it.
pub(super) fn plan(
    model: &str,
    recipe: &RecipeArguments,
    calibration: &CalibrationArguments,
    data: &DataArguments,
    progress: &Progress,
) -> anyhow::Result<Planned> {
    let wanted = recipe.recipe()?;
    let original = format::open(Path::new(model))?;
    check_names(&original, &recipe.float_layer)?;
    wanted.check(&original).map_err(anyhow::Error::msg).context("recipe")?;
    let network = if wanted.fold_batch_norm {
        fold_batch_norm(&original).with_context(|| format!("{model}: folding batch-norm"))?
    } else {
        original.clone()
    };
    progress.check()?;
    let activations = if quantizes_activations(&network, &wanted) {
        Some(calibrate(model, &network, calibration, &data.options()?, progress)?)
    } else {
        None
    };
    let plan = quantization::plan(&network, &wanted, activations.as_ref(), progress)?;
    Ok(Planned {
        original,
        network,
        plan,
    })
}

/// The engine for a network as it is.
pub(super) fn engine(network: &Network) -> anyhow::Result<Engine> {
    if let Some(why) = &network.why_not_runnable {
        bail!("{}: {why}", network.name);
    }
    let bytes = onnx::encode(&network.model).with_context(|| network.name.clone())?;
    Engine::load(bytes).with_context(|| network.name.clone())
}

fn quantizes_activations(network: &Network, recipe: &Recipe) -> bool {
    (0..network.layers.len()).any(|layer| recipe.settings(network, layer).activation_bits.grid().is_some())
}

fn calibrate(
    model: &str,
    network: &Network,
    arguments: &CalibrationArguments,
    options: &DataOptions,
    progress: &Progress,
) -> anyhow::Result<Activations> {
    // A demo stands for its calibration data here, never for the test data that it is judged by.
    let path = arguments.calibration.as_deref().unwrap_or(model);
    let demo = Demo::from_name(path);
    if arguments.calibration.is_none() && demo.is_none() {
        bail!("quantized activations need calibration data: give --calibration PATH (or --activation-bits float)");
    }
    let engine = engine(network)?;
    let data = match demo {
        Some(demo) => Dataset::demo_calibration(demo),
        None => Dataset::open(path, options, engine.inputs())?,
    };
    let limit = arguments.calibration_limit;
    let learnt = inference::calibrate(network, &engine, &data, limit, progress)
        .with_context(|| format!("calibration on {path}"))?;
    Ok(learnt.activations)
}

/// Checks that each name is a layer's; a wrong one is answered with names like it.
fn check_names(network: &Network, names: &[String]) -> anyhow::Result<()> {
    let Some(wrong) = names.iter().find(|name| network.layer_index(name).is_none()) else {
        return Ok(());
    };
    let known: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    let close = closest(wrong, &known).join(", ");
    bail!(
        "--float-layer {wrong}: {} has no layer of that name; close to it are: {close} (`splitscope inspect` lists all)",
        network.name
    );
}

/// Up to three of `known` that are likest to `wrong`: those that hold it first, then by edit distance.
fn closest<'a>(wrong: &str, known: &[&'a str]) -> Vec<&'a str> {
    let mut ranked: Vec<_> = known
        .iter()
        .map(|&name| (!name.contains(wrong), edit_distance(wrong, name), name))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(3).map(|(_, _, name)| name).collect()
}

/// Least number of letters to insert, delete or replace (Levenshtein).
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_letters() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", ""), 3);
    }

    #[test]
    fn names_that_hold_the_wrong_one_come_first() {
        let known = ["fc", "layer1.0.conv1", "conv2", "conv11"];
        assert_eq!(closest("conv1", &known), ["conv11", "layer1.0.conv1", "conv2"]);
    }
}
