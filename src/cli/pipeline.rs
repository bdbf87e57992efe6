//! What `quantize` and `evaluate` share: from a model's name and a recipe to a plan, exactly as the window does it.

use super::arguments::{CalibrationArguments, DataArguments, RecipeArguments};
use crate::files::Spool;
use crate::format::{self, demo::Demo};
use crate::inference::{self, DataOptions, Dataset, Engine, Pipeline, RANGES_WITHOUT_DATA, calibration_label};
use crate::network::Network;
use crate::printable;
use crate::progress::Progress;
use crate::quantization::{self, Activations, Plan, Recipe, Rounding};
use crate::statistics::RangeSource;
use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A network with its plan.
pub(super) struct Planned {
    /// The network as opened.
    pub(super) original: Network,
    /// What the plan is for: the original, prepared as the recipe says.
    pub(super) network: Network,
    /// What becomes of each layer.
    pub(super) plan: Plan,
    /// What is known of the layers' inputs, if the recipe needs it.
    pub(super) activations: Option<Activations>,
    /// Which preset was taken, where the flags ask for nothing.
    pub(super) suggestion: Option<&'static str>,
    /// Whether there were data to calibrate on.
    pub(super) with_data: bool,
}

/// A network as opened, and the recipe for it.
pub(super) struct Asked {
    pub(super) original: Network,
    pub(super) recipe: Recipe,
    /// Which preset was taken, where the flags ask for nothing.
    pub(super) suggestion: Option<&'static str>,
}

/// Opens a model and finds the recipe that the flags ask for, or what is best where they ask for nothing.
pub(super) fn ask(model: &str, flags: &RecipeArguments, calibration: &CalibrationArguments) -> anyhow::Result<Asked> {
    let with_data = CalibrationFrom::of(calibration, model).is_data();
    let asked = flags.recipe(with_data)?;
    let original = format::open(Path::new(model))?;
    let (recipe, suggestion) = if flags.are_empty() {
        let (recipe, sentence) = Recipe::suggested(original.why_not_runnable.is_none(), with_data);
        (recipe, Some(sentence))
    } else {
        (asked, None)
    };
    recipe.check(&original).map_err(anyhow::Error::msg).context("recipe")?;
    flags.save(&recipe)?;
    Ok(Asked {
        original,
        recipe,
        suggestion,
    })
}

/// Opens a model and carries the recipe out on it.
pub(super) fn plan(
    model: &str,
    recipe: &RecipeArguments,
    calibration: &CalibrationArguments,
    data: &DataArguments,
    progress: &Progress,
) -> anyhow::Result<Planned> {
    plan_asked(
        ask(model, recipe, calibration)?,
        model,
        (calibration, data),
        None,
        progress,
    )
}

/// Carries a recipe out on the network that it is for; codes wait in the file of `spool`, if there is one.
pub(super) fn plan_asked(
    asked: Asked,
    model: &str,
    (calibration, data): (&CalibrationArguments, &DataArguments),
    spool: Option<&Spool>,
    progress: &Progress,
) -> anyhow::Result<Planned> {
    let Asked {
        original,
        recipe,
        suggestion,
    } = asked;
    let network = prepared(model, &original, &recipe, calibration, data, progress)?;
    progress.check()?;
    let activations = needed_activations(model, &recipe, &network, calibration, data, progress)?;
    let pipeline = Pipeline::new(&network, activations.as_ref());
    let plan = pipeline.plan_spooled(&recipe, spool, progress)?;
    Ok(Planned {
        original,
        network,
        plan,
        activations,
        suggestion,
        with_data: CalibrationFrom::of(calibration, model).is_data(),
    })
}

/// The network that the recipe is carried out on: batch-norms folded, layers equalized and inputs smoothed, if it says so.
pub(super) fn prepared(
    model: &str,
    original: &Network,
    recipe: &Recipe,
    calibration: &CalibrationArguments,
    data: &DataArguments,
    progress: &Progress,
) -> anyhow::Result<Network> {
    let learn = |network: &Network, moments: bool| {
        // What else the recipe needs is learnt of the network that comes of it.
        let asked = Recipe {
            rounding: if moments { Rounding::Gptq } else { Rounding::Nearest },
            ..Recipe::default()
        };
        activations(
            model,
            (&asked, asked.needs_moments()),
            network,
            calibration,
            data,
            progress,
        )
        .context("the inputs to smooth or scale")
    };
    let network = quantization::prepare_with(original, recipe, learn).with_context(|| format!("{model}: preparing"))?;
    tell_steps(model, &network);
    Ok(network)
}

/// The same where nothing can be known of inputs: a recipe that smooths them is refused.
pub(super) fn prepared_without_inputs(model: &str, original: &Network, recipe: &Recipe) -> anyhow::Result<Network> {
    let network = quantization::prepare(original, recipe).with_context(|| format!("{model}: preparing"))?;
    tell_steps(model, &network);
    Ok(network)
}

fn tell_steps(model: &str, network: &Network) {
    for step in &network.preparation.steps {
        log::info!("{model}: {step}");
    }
}

/// The engine for a network as it is.
pub(super) fn engine(network: &Network) -> anyhow::Result<Arc<dyn Engine>> {
    inference::float_engine(network).with_context(|| network.name.clone())
}

/// The data that a network is judged on; noise when none are given.
pub(super) fn data_or_noise(
    data: Option<&str>,
    limit: Option<usize>,
    flags: &DataArguments,
    network: &Network,
    engine: &dyn Engine,
) -> anyhow::Result<Dataset> {
    let options = DataOptions {
        limit,
        ..flags.options(network)
    };
    let data = match data {
        None if options.inputs.is_empty() => {
            let samples = limit.unwrap_or(Dataset::NOISE_SAMPLES);
            return Ok(Dataset::noise(network, engine, samples, Dataset::NOISE_SEED)?);
        }
        path => Dataset::open(path.unwrap_or_default(), &options, engine.inputs())?,
    };
    if data.is_empty() {
        bail!("{}: holds no samples", data.name());
    }
    Ok(data)
}

/// The same for what ranks layers; without data inputs are made up as the window does ([`inference::made_up_data`]).
pub(super) fn data_or_made_up(
    data: Option<&str>,
    limit: Option<usize>,
    flags: &DataArguments,
    (network, engine): (&Network, &dyn Engine),
    progress: &Progress,
) -> anyhow::Result<Dataset> {
    if data.is_none() && flags.options(network).inputs.is_empty() {
        return Ok(inference::made_up_data(network, engine, &mut || Ok(()), progress)?);
    }
    data_or_noise(data, limit, flags, network, engine)
}

/// `data`, judged by the output that was chosen; a name that the network does not have is refused, and outputs that are skipped
/// without a choice are told.
pub(super) fn judged(data: Dataset, output: Option<&String>, engine: &dyn Engine) -> anyhow::Result<Dataset> {
    let data = data.judged_by(output.cloned());
    inference::answering(engine, &data)?;
    if let Some(skipped) = inference::skipped_outputs(engine, &data) {
        note(&format!("{skipped} (--output NAME chooses another)"));
    }
    Ok(data)
}

/// Tells on standard error what a person should know but did not ask for.
pub(super) fn note(text: &str) {
    // Nobody may be reading it.
    let _ = writeln!(std::io::stderr(), "splitscope: {}", printable::line(text));
}

/// What the recipe must know of the layers' inputs; nothing where it needs nothing.
pub(super) fn needed_activations(
    model: &str,
    recipe: &Recipe,
    network: &Network,
    calibration: &CalibrationArguments,
    data: &DataArguments,
    progress: &Progress,
) -> anyhow::Result<Option<Activations>> {
    let needed = recipe.needs_activations();
    let wanted = (recipe, recipe.needs_moments());
    needed
        .then(|| activations(model, wanted, network, calibration, data, progress))
        .transpose()
}

/// What is known of the layers' inputs, if any of the recipes needs it. What it is gathered for does not change it: one recipe
/// that needs the most stands for all.
pub(super) fn activations_of_all(
    model: &str,
    recipes: &[Recipe],
    network: &Network,
    calibration: &CalibrationArguments,
    data: &DataArguments,
    progress: &Progress,
) -> anyhow::Result<Option<Activations>> {
    let most = (recipes.iter().find(|recipe| recipe.needs_moments()))
        .or_else(|| recipes.iter().find(|recipe| recipe.needs_activations()));
    match most {
        Some(recipe) => needed_activations(model, recipe, network, calibration, data, progress),
        None => Ok(None),
    }
}

/// What is known of the layers' inputs, with second moments if they are wanted: from calibration data, or without any.
pub(super) fn activations(
    model: &str,
    (recipe, moments): (&Recipe, bool),
    network: &Network,
    arguments: &CalibrationArguments,
    data: &DataArguments,
    progress: &Progress,
) -> anyhow::Result<Activations> {
    if let Some(why) = &network.why_not_runnable {
        let cannot = if recipe.quantizes_activations() {
            "activations cannot be quantized (give --activation-bits float)"
        } else if recipe.bias_correction {
            "biases cannot be corrected"
        } else {
            "weights cannot be rounded by GPTQ (give --rounding squant)"
        };
        bail!("{}: {cannot}: {why}", network.name);
    }
    let engine = engine(network)?;
    let wanted = (arguments.calibration_limit, moments);
    let source = CalibrationFrom::of(arguments, model);
    let stated = data.options(network);
    let data = match source {
        CalibrationFrom::Nothing => {
            let learnt = inference::measure_inputs(network, &engine, None, &stated, wanted, progress)
                .context("ranges of activations without data (give --calibration PATH for ranges from data)")?;
            note(&sources(network, &learnt.activations));
            if let Some(sizes) = inference::noise_sizes_note(learnt.activations.noise_sizes()) {
                note(&sizes);
            }
            if recipe.plans_in_sequence() {
                note("layers are not rounded one after the other: that needs samples (give --calibration PATH)");
            }
            if recipe.quantizes_activations()
                && let Some(warning) = inference::noise_warning(network, &learnt.activations)
            {
                note(&format!(
                    "warning: {warning}; give --calibration PATH, or say by --preprocess what the input is"
                ));
            }
            return Ok(learnt.activations);
        }
        CalibrationFrom::Demo(demo, _) => Arc::new(Dataset::demo_calibration(demo)),
        CalibrationFrom::Path(path) => {
            // Labels and inputs by name belong to the data that the network is judged on.
            let options = DataOptions {
                labels: None,
                inputs: Vec::new(),
                limit: Some(arguments.calibration_limit),
                ..data.options(network)
            };
            let data = Dataset::open(path, &options, engine.inputs())?;
            data.notes()
                .iter()
                .for_each(|text| note(&format!("calibration data: {text}")));
            Arc::new(data)
        }
    };
    let learnt = inference::measure_inputs(network, &engine, Some(&data), &stated, wanted, progress)
        .with_context(|| format!("calibration on {}", source.name()))?;
    Ok(learnt.activations)
}

/// Which samples show what the layers' inputs are like.
#[derive(Clone, Copy)]
pub(super) enum CalibrationFrom<'a> {
    /// None: batch-norm statistics and noise stand in.
    Nothing,
    /// A demo's own, and how the demo was named. A demo stands for its calibration data here, never for the test data that it is
    /// judged by.
    Demo(Demo, &'a str),
    /// Those of a path.
    Path(&'a str),
}

impl<'a> CalibrationFrom<'a> {
    /// What the flags ask for; without any a demo brings its own.
    pub(super) fn of(arguments: &'a CalibrationArguments, model: &'a str) -> Self {
        let path = arguments.calibration.as_deref().unwrap_or(model);
        match Demo::from_name(path) {
            _ if arguments.data_free => Self::Nothing,
            Some(demo) => Self::Demo(demo, path),
            None if arguments.calibration.is_none() => Self::Nothing,
            None => Self::Path(path),
        }
    }

    /// Whether there are any.
    pub(super) fn is_data(self) -> bool {
        !matches!(self, Self::Nothing)
    }

    fn name(self) -> &'a str {
        match self {
            Self::Nothing => "no data",
            Self::Demo(_, path) | Self::Path(path) => path,
        }
    }

    /// As the rows of a sweep have it.
    pub(super) fn label(self, limit: usize) -> String {
        calibration_label(match self {
            Self::Nothing => None,
            Self::Demo(..) | Self::Path(_) => Some((self.name(), limit)),
        })
    }

    /// In words, for a report on `model`.
    pub(super) fn sentence(self, model: &str, limit: usize) -> String {
        match self {
            Self::Nothing => RANGES_WITHOUT_DATA.to_owned(),
            Self::Demo(_, path) if path == model => format!("up to {limit} samples of the demo's calibration data"),
            Self::Demo(_, path) | Self::Path(path) => format!("up to {limit} samples of {path}"),
        }
    }
}

/// Where the ranges come from, for a person: "no calibration data: 12 inputs from batch-norm statistics, 1 from the stated
/// preprocessing, 3 from noise".
fn sources(network: &Network, activations: &Activations) -> String {
    // Values between layers are known too; the sentence is of inputs.
    let inputs: BTreeSet<&str> = network
        .layers
        .iter()
        .filter_map(|layer| Some(layer.input.as_ref()?.0.as_str()))
        .collect();
    let known = inputs.into_iter().filter_map(|input| activations.get(input));
    let known: Vec<RangeSource> = known.map(|seen| seen.source).collect();
    let count = |source| known.iter().filter(|known| **known == source).count();
    let stated = match count(RangeSource::Preprocessing) {
        0 => String::new(),
        count => format!(" {count} from the stated preprocessing,"),
    };
    format!(
        "no calibration data: {} inputs from batch-norm statistics,{stated} {} from noise",
        count(RangeSource::BatchNorm),
        count(RangeSource::Noise)
    )
}
