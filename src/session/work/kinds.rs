//! The kinds of jobs that a session has, and what each gives.

use crate::inference::Evaluation;
use crate::quantization::{Overhead, Plan, Recipe};
use crate::session::{Analysis, OpenNetwork, PlanSummary, Preview};
use std::path::PathBuf;
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
    /// The graph as boxes and lines.
    Drawing,
    /// The cards of layers.
    Cards,
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
    /// Looking at the channels of a layer's input.
    InputChannels,
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
    /// Layers ranked in the background by what quantizing each costs.
    LayerOrder,
    /// Every value of the graph, float against quantized.
    Trace,
    /// Why the selected layer hurts, and fixes that are tried.
    Cure,
    /// The worst layers fixed.
    Mend,
    /// Massive activations and super weights.
    Massive,
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
    /// Running the written file beside the preview.
    CheckExport,
    /// Reading a recipe.
    LoadRecipe,
    /// Writing a file that was made elsewhere; each has a number, for none takes the place of another.
    Write(u64),
}

impl Kind {
    /// Whether a person is told that such a job is under way: not of what is over within a few frames and shows where it was
    /// asked for.
    pub(in crate::session) fn is_announced(self) -> bool {
        !matches!(self, Self::Drawing | Self::Cards | Self::Write(_))
    }
}

/// Puts the result of a job in its place, given how long that took.
pub(in crate::session) type Deliver = Box<dyn FnOnce(&mut OpenNetwork, Duration) + Send>;

/// Results of jobs.
pub(in crate::session) enum Output {
    /// A model.
    Opened(Analysis),
    /// A result of the open network.
    Derived(Deliver),
    /// A file was written.
    Wrote(PathBuf),
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
