//! What the session's jobs do, each as a function from its inputs to an [`Output`].

use super::ExportKind;
use super::against::Against;
use super::analysis::Analysis;
use super::comparison::Comparison;
use super::keys::{CalibrationSource, PrepareKey};
use super::layer_details::LayerDetails;
use super::layer_view::{LayerView, ViewError};
use super::preview::Preview;
use super::snapshots::PlanSummary;
use crate::files;
use crate::format::{self, safetensors};
use crate::inference::auto::AutoResult;
use crate::inference::incremental::{Incremental, Keep};
use crate::inference::{
    AtChance, Calibration, DataOptions, Dataset, Engine, Evaluation, InferenceError, OracleMetrics, Outputs, SplitOnly,
    calibrate, chance_level, data_free_activations, evaluate, metrics, run_outputs, suggest_preprocess, value_shapes,
};
use crate::jobs::JobError;
use crate::network::Network;
use crate::onnx;
use crate::progress::{Cancelled, Progress};
use crate::quantization::{
    Activations, ErrorCurves, Overhead, Plan, QuantizationError, Recipe, ValueShapes, overhead, plan, prepare,
    quantized_tensors, rewrite,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Kinds of jobs; of each the newest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Opening a model.
    Open,
    /// Reading the weights of a large network.
    Measure,
    /// Folding batch-norm, equalizing layers.
    Prepare,
    /// Counting outliers anew.
    Recount,
    /// The selected layer.
    LayerView,
    /// More of it.
    LayerDetails,
    /// The whole network under the recipe.
    Plan,
    /// Loading the float network into the engine.
    Engine,
    /// Opening data.
    LoadData,
    /// Running the float network.
    FloatOutputs,
    /// Trying ways to read pictures that the float network only guesses about.
    Suggest,
    /// Gathering the ranges of layer inputs.
    Calibrate,
    /// Running the network under the recipe.
    Evaluate,
    /// Running the same bits without split and clip.
    EvaluatePlain,
    /// The error curves of the selected layer.
    ErrorCurves,
    /// The selected layer under two recipes.
    Compare,
    /// One layer quantized at a time.
    Sensitivity,
    /// The splits without a grid.
    SplitOnly,
    /// Another network beside the open one.
    Difference,
    /// Splits of activations chosen for each batch.
    Oracle,
    /// The float network goes on from a text.
    ContinueFloat,
    /// So does the quantized one.
    ContinueQuantized,
    /// A picture that was dropped in.
    Trial,
    /// All of these under the recipe.
    TrialQuantized,
    /// Settings chosen layer by layer.
    Auto,
    /// Many recipes.
    Sweep,
    /// Writing the rows of a sweep.
    SaveSweep,
    /// Looking up the recipes saved by name.
    ListPresets,
    /// Saving or deleting one.
    ChangePresets,
    /// Writing a file.
    Export,
    /// Reading a recipe.
    LoadRecipe,
}

impl Kind {
    /// Kinds whose result belongs to the open network: of no use once another one is opened.
    pub(super) const OF_A_NETWORK: [Self; 25] = [
        Self::Suggest,
        Self::Measure,
        Self::Prepare,
        Self::Recount,
        Self::LayerView,
        Self::LayerDetails,
        Self::Plan,
        Self::Engine,
        Self::LoadData,
        Self::FloatOutputs,
        Self::Calibrate,
        Self::Evaluate,
        Self::EvaluatePlain,
        Self::ErrorCurves,
        Self::Compare,
        Self::Sensitivity,
        Self::SplitOnly,
        Self::Difference,
        Self::Oracle,
        Self::ContinueFloat,
        Self::ContinueQuantized,
        Self::Trial,
        Self::TrialQuantized,
        Self::Auto,
        Self::Sweep,
    ];
}

/// Results of jobs.
pub(super) enum Output {
    Opened(Analysis),
    /// All facts that were to come have been sent.
    Measured,
    Prepared(Analysis),
    Recounted(Analysis, Option<(PrepareKey, Analysis)>),
    LayerView(LayerView),
    LayerDetails(LayerDetails),
    Planned(Planned),
    Engine(Arc<Engine>, Option<ValueShapes>),
    Data(Arc<Dataset>, Option<ValueShapes>),
    FloatOutputs(Arc<Outputs>),
    Suggested(Option<AtChance>),
    Calibrated(Arc<Calibration>),
    Evaluated(Arc<Evaluated>),
    ErrorCurves(ErrorCurves),
    Compared(Comparison),
    Against(Arc<Against>),
    SplitOnly(Option<SplitOnly>),
    Oracle(OracleMetrics),
    Tried(Arc<Dataset>, Arc<Outputs>),
    TriedQuantized(Vec<Arc<Outputs>>),
    Auto(Arc<AutoResult>),
    /// The rows came one by one; there are no more.
    AllRows,
    Exported(PathBuf),
    /// A recipe, and what it is called.
    Recipe(String, Box<Recipe>),
    /// The names of the saved presets, and what was done.
    Presets(Vec<String>, Option<String>),
}

/// A plan and its cost.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What it costs.
    pub overhead: Arc<Overhead>,
    /// Both in a few numbers.
    pub summary: Arc<PlanSummary>,
}

/// What running the network under a recipe told.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The recipe.
    pub recipe: Recipe,
    /// The numbers.
    pub evaluation: Evaluation,
    /// Samples to look at.
    pub preview: Preview,
}

impl From<InferenceError> for JobError {
    fn from(error: InferenceError) -> Self {
        match error {
            InferenceError::Cancelled(_) => Self::Cancelled,
            other => Self::Failed(other.to_string()),
        }
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
            ViewError::Weights(reason) => Self::Failed(reason),
        }
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> JobError {
    JobError::Failed(error.to_string())
}

/// Refuses what was computed from a mapped file that has changed since. A network that is being opened is checked by itself:
/// the broken one may still be open, and is what it replaces.
pub(super) fn check_files(kind: Kind) -> Result<(), JobError> {
    if Kind::OF_A_NETWORK.contains(&kind) {
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

pub(super) fn prepare_network(
    original: &Analysis,
    recipe: &Recipe,
    sigma: f64,
    progress: &Progress,
) -> Result<Output, JobError> {
    progress.start(0, "preparing the network");
    let prepared = prepare(&original.network, recipe).map_err(failed)?;
    progress.check()?;
    let analysis = original.of_prepared(Arc::new(prepared), sigma, progress)?;
    Ok(Output::Prepared(analysis))
}

pub(super) fn make_plan(
    network: &Network,
    recipe: &Recipe,
    activations: Option<&Activations>,
    shapes: Option<&ValueShapes>,
    progress: &Progress,
) -> Result<Output, JobError> {
    recipe.check(network).map_err(JobError::Failed)?;
    let plan = plan(network, recipe, activations, progress)?;
    let overhead = overhead(network, &plan, shapes);
    Ok(Output::Planned(Planned {
        summary: Arc::new(PlanSummary::of(&plan, &overhead)),
        plan: Arc::new(plan),
        overhead: Arc::new(overhead),
    }))
}

pub(super) fn load_engine(network: &Network, progress: &Progress) -> Result<Output, JobError> {
    progress.start(0, "loading the engine");
    let engine = Engine::load(onnx::encode(&network.runnable_model()).map_err(failed)?)?;
    progress.check()?;
    // Without data the shapes of a network with free sizes may stay unknown: then the overhead counts weights only.
    let shapes = value_shapes(network, &engine, None).ok();
    Ok(Output::Engine(Arc::new(engine), shapes))
}

/// The path that stands for noise, as `demo:fashion` stands for a demo.
pub(super) const NOISE: &str = "noise:";
/// As on the command line.
const NOISE_SAMPLES: usize = 64;
const NOISE_SEED: u64 = 1;

/// Data that are open, and what they were opened with.
pub(super) struct OpenData {
    pub(super) data: Arc<Dataset>,
    pub(super) path: String,
    pub(super) options: DataOptions,
}

/// Opens data; pictures that are open already (`previous`) and are only to be read otherwise are not opened anew.
pub(super) fn load_data(
    path: &str,
    options: &DataOptions,
    previous: Option<&OpenData>,
    network: &Network,
    engine: &Engine,
    progress: &Progress,
) -> Result<Output, JobError> {
    progress.start(0, "reading the data");
    let full = options.clone().for_network(network);
    let same = previous.filter(|open| open.path == path && open.options.reads_the_same_files(options));
    let data = if path == NOISE {
        Dataset::noise(network, engine, NOISE_SAMPLES, NOISE_SEED)?
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
    Ok(Output::Data(Arc::new(data), Some(shapes)))
}

/// Tries other ways to read the pictures if the float network is no better than guessing.
pub(super) fn suggest(
    engine: &Engine,
    data: &Dataset,
    options: &DataOptions,
    network: &Network,
    float: &Outputs,
    progress: &Progress,
) -> Result<Output, JobError> {
    let Some(chance) = chance_level(&metrics(float, data), float.classes) else {
        return Ok(Output::Suggested(None));
    };
    let options = options.clone().for_network(network);
    let suggestions = suggest_preprocess(engine, data, &options, progress)?;
    Ok(Output::Suggested(Some(AtChance { chance, suggestions })))
}

pub(super) fn run_float(
    engine: &Engine,
    data: &Dataset,
    limit: usize,
    progress: &Progress,
) -> Result<Output, JobError> {
    Ok(Output::FloatOutputs(Arc::new(run_outputs(
        engine, data, limit, progress,
    )?)))
}

/// Samples that calibration runs at most: what the paper takes.
pub(super) const CALIBRATION_SAMPLES: usize = 512;

/// Runs the prepared network on samples of `source` (`data` are the open data), or learns what can be known without data.
pub(super) fn calibrate_on(
    network: &Network,
    source: CalibrationSource,
    data: Option<&Dataset>,
    progress: &Progress,
) -> Result<Arc<Calibration>, JobError> {
    let engine = Engine::load(onnx::encode(&network.runnable_model()).map_err(failed)?)?;
    progress.check()?;
    let own;
    let data = match source {
        CalibrationSource::Demo(demo) => {
            own = Dataset::demo_calibration(demo);
            Some(&own)
        }
        CalibrationSource::Data(_) => data,
        CalibrationSource::DataFree => None,
    };
    Ok(Arc::new(match data {
        Some(data) => calibrate(network, &engine, data, CALIBRATION_SAMPLES, progress)?,
        None => Calibration {
            activations: data_free_activations(network, &engine, progress)?,
            samples: 0,
            data_name: "no data".to_owned(),
        },
    }))
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
) -> Result<Output, JobError> {
    progress.start(0, "writing the quantized graph");
    let samples = 0..inputs.limit;
    let outputs = inputs
        .between
        .run_plan(&inputs.network, &inputs.plan, samples, keep, progress)?;
    let outputs = Arc::new(outputs);
    Ok(Output::Evaluated(Arc::new(Evaluated {
        recipe: inputs.plan.recipe.clone(),
        evaluation: evaluate(&inputs.float, &outputs, &inputs.data),
        preview: Preview::new(&inputs.float, outputs, &inputs.data),
    })))
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
        recipe.save(path).map_err(JobError::Failed)?;
        return Ok(Output::Exported(path.clone()));
    }
    recipe.check(network).map_err(JobError::Failed)?;
    let activations = inputs
        .calibration
        .as_deref()
        .map(|calibration| &calibration.activations);
    let plan = plan(network, recipe, activations, progress)?;
    progress.start(0, "writing the file");
    match kind {
        ExportKind::Onnx => {
            let model = rewrite(network, &plan)?;
            progress.check()?;
            onnx::write_file(&model, path).map_err(failed)?;
        }
        ExportKind::Safetensors => {
            let (tensors, metadata) = quantized_tensors(network, &plan)?;
            progress.check()?;
            safetensors::write(path, &tensors, &metadata).map_err(failed)?;
        }
        ExportKind::Recipe | ExportKind::Report => {}
    }
    Ok(Output::Exported(path.clone()))
}
