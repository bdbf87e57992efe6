//! What the session's jobs do, each as a function from its inputs to an [`Output`].

mod kinds;

pub(super) use kinds::Output;
pub use kinds::{Evaluated, Kind, Planned};

use super::ExportKind;
use super::analysis::Analysis;
use super::derived::REGISTRY;
use super::keys::CalibrationSource;
use super::layer_view::ViewError;
use super::preview::Preview;
use super::snapshots::PlanSummary;
use crate::files;
use crate::format::{self, safetensors};
use crate::inference::incremental::{Incremental, Keep};
use crate::inference::{
    AtChance, Calibration, DataOptions, Dataset, Engine, EngineError, InferenceError, Outputs, Pipeline,
    QuantizedModel, chance_level, evaluate, float_engine, measure_inputs, metrics, suggest_preprocess, value_shapes,
};
use crate::jobs::JobError;
use crate::network::{Network, NetworkError};
use crate::progress::{Cancelled, Progress};
use crate::quantization::{
    Activations, Plan, QuantizationError, Recipe, ValueShapes, overhead, prepare_with, spool_beside, spooled_tensors,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

impl From<InferenceError> for JobError {
    fn from(error: InferenceError) -> Self {
        match error {
            InferenceError::Cancelled(_) => Self::Cancelled,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<NetworkError> for JobError {
    fn from(error: NetworkError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<QuantizationError> for JobError {
    fn from(error: QuantizationError) -> Self {
        match error {
            QuantizationError::Cancelled(_) => Self::Cancelled,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<ViewError> for JobError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Cancelled(_) => Self::Cancelled,
            error => Self::Failed(error.to_string()),
        }
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> JobError {
    JobError::Failed(error.to_string())
}

/// Refuses what was computed from a mapped file that has changed since. A network that is being opened is checked by itself:
/// the broken one may still be open, and is what it replaces.
pub(super) fn check_files(kind: Kind) -> Result<(), JobError> {
    if REGISTRY.iter().any(|entry| entry.kind == kind) {
        files::check_all().map_err(failed)?;
    }
    Ok(())
}

pub(super) fn open(path: &Path, sigma: f64, progress: &Progress) -> Result<Output, JobError> {
    progress.start(0, "reading the file");
    let network = format::open(path).map_err(failed)?;
    let analysis = Analysis::opened(Arc::new(network), sigma, progress)?;
    analysis.network.check_files().map_err(failed)?;
    Ok(Output::Opened(analysis))
}

/// The network prepared as `recipe` says; what smoothing asks to know is learnt from the source, see [`calibrate_on`].
pub(super) fn prepare_on(
    original: &Network,
    recipe: &Recipe,
    (source, set, data): (CalibrationSource, &CalibrationSet, Option<&Arc<Dataset>>),
    progress: &Progress,
) -> Result<Network, JobError> {
    prepare_with(original, recipe, |network, moments| {
        if let Some(why) = &network.why_not_runnable {
            return Err(JobError::Failed(format!("inputs cannot be smoothed or scaled: {why}")));
        }
        let calibration = calibrate_on(network, (source, moments), set, data, progress)?;
        Ok(calibration.activations.clone())
    })
}

pub(super) fn make_plan(
    network: &Network,
    recipe: &Recipe,
    activations: Option<&Activations>,
    shapes: Option<&ValueShapes>,
    progress: &Progress,
) -> Result<Planned, JobError> {
    let plan = Pipeline::new(network, activations).plan(recipe, progress)?;
    let overhead = overhead(network, &plan, shapes);
    Ok(Planned {
        summary: Arc::new(PlanSummary::of(&plan, &overhead)),
        plan: Arc::new(plan),
        overhead: Arc::new(overhead),
    })
}

/// An engine with a network, and the shapes of the network's values where they are known.
pub(super) type LoadedEngine = (Arc<dyn Engine>, Option<Arc<ValueShapes>>);

pub(super) fn load_engine(network: &Network, progress: &Progress) -> Result<LoadedEngine, JobError> {
    progress.start(0, "loading the engine");
    let engine = float_engine(network)?;
    progress.check()?;
    // Without data the shapes of a network with free sizes may stay unknown: then the overhead counts weights only.
    let shapes = value_shapes(network, &engine, None).ok();
    Ok((engine, shapes.map(Arc::new)))
}

/// The path that stands for noise, as `demo:fashion` stands for a demo.
pub(super) const NOISE: &str = "noise:";

/// Data that somebody asked for.
#[derive(Debug, Clone)]
pub(super) struct DataRequest {
    /// Counts the requests, so that results of older data are told apart.
    pub(super) number: u64,
    pub(super) path: String,
    pub(super) options: DataOptions,
}

/// Data that are open, and what they were opened with.
#[derive(Debug, Clone)]
pub(super) struct OpenData {
    pub(super) data: Arc<Dataset>,
    /// Shapes of the values between the layers for one sample.
    pub(super) shapes: Arc<ValueShapes>,
    pub(super) path: String,
    pub(super) options: DataOptions,
}

/// Opens data; pictures that are open already (`previous`) and are only to be read otherwise are not opened anew.
pub(super) fn load_data(
    request: &DataRequest,
    previous: Option<&OpenData>,
    network: &Network,
    engine: &dyn Engine,
    progress: &Progress,
) -> Result<OpenData, JobError> {
    let DataRequest { path, options, .. } = request;
    progress.start(0, "reading the data");
    let full = options.clone().for_network(network);
    let same = previous.filter(|open| open.path == *path && open.options.reads_the_same_files(options));
    let data = if path == NOISE {
        Dataset::noise(network, engine, Dataset::NOISE_SAMPLES, Dataset::NOISE_SEED)?
    } else {
        match same.and_then(|open| open.data.read_otherwise(&full, engine.inputs())) {
            Some(data) => data,
            None => Dataset::open(path, &full, engine.inputs()),
        }
        .map_err(failed)?
    };
    if data.is_empty() {
        return Err(JobError::Failed(format!("{path}: no samples in it")));
    }
    progress.check()?;
    let shapes = value_shapes(network, engine, Some(&data))
        .map_err(|error| JobError::Failed(format!("{}: the network cannot run on it: {error}", data.name())))?;
    Ok(OpenData {
        data: Arc::new(data),
        shapes: Arc::new(shapes),
        path: path.clone(),
        options: options.clone(),
    })
}

/// Tries other ways to read the pictures if the float network is no better than guessing.
pub(super) fn suggest(
    engine: &dyn Engine,
    data: &Dataset,
    options: &DataOptions,
    network: &Network,
    float: &Outputs,
    progress: &Progress,
) -> Result<Option<AtChance>, JobError> {
    let Some(chance) = chance_level(&metrics(float, data), float.classes) else {
        return Ok(None);
    };
    let options = options.clone().for_network(network);
    let suggestions = suggest_preprocess(engine, data, &options, progress)?;
    Ok(Some(AtChance { chance, suggestions }))
}

/// Samples that calibration runs at most: what the paper takes.
pub(super) const CALIBRATION_SAMPLES: usize = 512;

/// A calibration set that a person chose, if one was. The options say how it is read, and without data what the network's
/// input is like.
#[derive(Debug, Clone, Default)]
pub(super) struct CalibrationSet {
    pub(super) path: Option<String>,
    pub(super) options: DataOptions,
}

/// Runs the prepared network on samples of `source` (`data` are the open data, `set` is the chosen calibration set), or learns
/// what can be known without data.
pub(super) fn calibrate_on(
    network: &Network,
    (source, moments): (CalibrationSource, bool),
    set: &CalibrationSet,
    data: Option<&Arc<Dataset>>,
    progress: &Progress,
) -> Result<Arc<Calibration>, JobError> {
    let engine = float_engine(network)?;
    progress.check()?;
    with_calibration_data((network, &engine), source, set, data, |data| {
        let wanted = (CALIBRATION_SAMPLES, moments);
        Ok(Arc::new(measure_inputs(
            network,
            &engine,
            data,
            &set.options,
            wanted,
            progress,
        )?))
    })
}

/// Calls `run` with the samples of `source` (`data` are the open data, `set` is the chosen calibration set), or without any.
pub(super) fn with_calibration_data<T>(
    (network, engine): (&Network, &dyn Engine),
    source: CalibrationSource,
    set: &CalibrationSet,
    data: Option<&Arc<Dataset>>,
    run: impl FnOnce(Option<&Arc<Dataset>>) -> Result<T, JobError>,
) -> Result<T, JobError> {
    match (source, &set.path) {
        (CalibrationSource::Demo(demo), _) => run(Some(&Arc::new(Dataset::demo_calibration(demo)))),
        (CalibrationSource::Set(_), Some(path)) => {
            let options = set.options.clone().for_network(network);
            let data = Dataset::open(path, &options, engine.inputs()).map_err(failed)?;
            run(Some(&Arc::new(data)))
        }
        (CalibrationSource::Data(_), _) => run(data),
        (CalibrationSource::DataFree | CalibrationSource::Set(_), _) => run(None),
    }
}

/// What an evaluation needs.
pub(super) struct EvaluationInputs {
    pub(super) network: Arc<Network>,
    pub(super) plan: Arc<Plan>,
    pub(super) data: Arc<Dataset>,
    /// Values between the layers on these data.
    pub(super) between: Arc<Incremental<Arc<Dataset>>>,
    pub(super) float: Arc<Outputs>,
    pub(super) limit: usize,
}

/// Waits a moment before the work begins, so that a hand on a slider doesn't start it for every value on the way.
pub(super) fn settle(progress: &Progress, duration: Duration) -> Result<(), Cancelled> {
    let slice = Duration::from_millis(10);
    for _ in 0..duration.as_millis() / slice.as_millis() {
        progress.check()?;
        std::thread::sleep(slice);
    }
    progress.check()
}

/// Runs the bytes that an export would write, from the first layer on that is not known from an evaluation before.
pub(super) fn run_quantized(
    inputs: &EvaluationInputs,
    keep: Keep<'_>,
    progress: &Progress,
) -> Result<Arc<Evaluated>, JobError> {
    progress.start(0, "writing the quantized graph");
    let samples = 0..inputs.limit;
    let outputs = inputs
        .between
        .run_plan(&inputs.network, &inputs.plan, samples, keep, progress)?;
    let outputs = Arc::new(outputs);
    Ok(Arc::new(Evaluated {
        recipe: inputs.plan.recipe.clone(),
        evaluation: evaluate(&inputs.float, &outputs, &inputs.data),
        preview: Preview::new(&inputs.float, outputs, &inputs.data),
    }))
}

/// What an export needs. The network is the one that the recipe asks for (folded, equalized).
pub(super) struct ExportInputs {
    pub(super) network: Arc<Network>,
    pub(super) recipe: Recipe,
    pub(super) calibration: Option<Arc<Calibration>>,
    pub(super) kind: ExportKind,
    pub(super) path: PathBuf,
}

pub(super) fn export(inputs: &ExportInputs, progress: &Progress) -> Result<Output, JobError> {
    let ExportInputs {
        network,
        recipe,
        kind,
        path,
        ..
    } = inputs;
    if *kind == ExportKind::Recipe {
        recipe.save(path).map_err(failed)?;
        return Ok(Output::Wrote(path.clone()));
    }
    let activations = inputs
        .calibration
        .as_deref()
        .map(|calibration| &calibration.activations);
    let spool = match kind {
        ExportKind::Onnx | ExportKind::OnnxWithPast | ExportKind::Safetensors => {
            spool_beside(path, network).map_err(|error| failed(format!("{}: {error}", path.display())))?
        }
        ExportKind::Recipe | ExportKind::Report => None,
    };
    let plan = Pipeline::new(network, activations).plan_spooled(recipe, spool.as_ref(), progress)?;
    progress.start(0, "writing the file");
    match kind {
        ExportKind::Onnx | ExportKind::OnnxWithPast => {
            let mut quantized = match &spool {
                Some(spool) => QuantizedModel::of_spooled(network, &plan, spool)?,
                None => QuantizedModel::of(network, &plan)?,
            };
            if *kind == ExportKind::OnnxWithPast {
                quantized = quantized.with_past()?;
            }
            progress.check()?;
            quantized.write(path)?;
        }
        ExportKind::Safetensors => {
            let (tensors, metadata) = spooled_tensors(network, &plan, spool.as_ref())?;
            progress.check()?;
            safetensors::write(path, &tensors, &metadata).map_err(failed)?;
        }
        ExportKind::Recipe | ExportKind::Report => {}
    }
    Ok(Output::Wrote(path.clone()))
}
