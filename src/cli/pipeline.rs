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
    wanted.check(&original).map_err(anyhow::Error::msg).context("recipe")?;
    let network = folded(model, &original, &wanted)?;
    progress.check()?;
    let activations = if wanted.quantizes_activations() {
        Some(calibrate(model, &network, calibration, data, progress)?)
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

/// The network that the recipe is carried out on: as opened, or with its batch-norms folded.
pub(super) fn folded(model: &str, original: &Network, recipe: &Recipe) -> anyhow::Result<Network> {
    if !recipe.fold_batch_norm {
        return Ok(original.clone());
    }
    fold_batch_norm(original).with_context(|| format!("{model}: folding batch-norm"))
}

/// The engine for a network as it is.
pub(super) fn engine(network: &Network) -> anyhow::Result<Engine> {
    if let Some(why) = &network.why_not_runnable {
        bail!("{}: {why}", network.name);
    }
    let bytes = onnx::encode(&network.runnable_model()).with_context(|| network.name.clone())?;
    Engine::load(bytes).with_context(|| network.name.clone())
}

/// Ranges of the inputs of `network`'s layers, from the data that the flags name or the demo's own.
pub(super) fn calibrate(
    model: &str,
    network: &Network,
    arguments: &CalibrationArguments,
    data: &DataArguments,
    progress: &Progress,
) -> anyhow::Result<Activations> {
    if let Some(why) = &network.why_not_runnable {
        bail!(
            "{}: activations cannot be quantized (give --activation-bits float): {why}",
            network.name
        );
    }
    // A demo stands for its calibration data here, never for the test data that it is judged by.
    let path = arguments.calibration.as_deref().unwrap_or(model);
    let demo = Demo::from_name(path);
    if arguments.calibration.is_none() && demo.is_none() {
        bail!("quantized activations need calibration data: give --calibration PATH (or --activation-bits float)");
    }
    let engine = engine(network)?;
    let data = match demo {
        Some(demo) => Dataset::demo_calibration(demo),
        None => {
            // Labels and inputs by name belong to the data that the network is judged on.
            let options = DataOptions {
                labels: None,
                inputs: Vec::new(),
                ..data.options(model)
            };
            Dataset::open(path, &options, engine.inputs())?
        }
    };
    let limit = arguments.calibration_limit;
    let learnt = inference::calibrate(network, &engine, &data, limit, progress)
        .with_context(|| format!("calibration on {path}"))?;
    Ok(learnt.activations)
}
