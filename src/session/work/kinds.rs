//! The kinds of jobs that a session has, and what each gives.

use crate::inference::auto::AutoResult;
use crate::inference::{AtChance, Calibration, Dataset, Engine, Evaluation, OracleMetrics, Outputs, SplitOnly};
use crate::quantization::{ErrorCurves, Overhead, Plan, Recipe, ValueShapes};
use crate::session::{Against, Analysis, Comparison, LayerDetails, LayerView, PlanSummary, PrepareKey, Preview};
use std::path::PathBuf;
use std::sync::Arc;

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
    pub(in crate::session) const OF_A_NETWORK: [Self; 25] = [
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
pub(in crate::session) enum Output {
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
