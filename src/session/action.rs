//! What a person can ask of a session.

use super::continuation::Prompt;
use super::keys::CalibrationChoice;
use super::resume::Last;
use super::snapshots::Side;
use super::writing::Contents;
use crate::inference::DataOptions;
use crate::inference::auto::AutoOptions;
use crate::inference::sweep::SweepGrid;
use crate::jobs::JobId;
use crate::quantization::{Preset, Recipe};
use std::path::PathBuf;

/// A request to a session. Views send these; [`super::Session::act`] is the one place that carries them out.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few actions a frame at most, and the large one is what a person opened"
)]
pub enum Action {
    /// Opens a model: a file, or `demo:fashion`, `demo:shakespeare` (with recipe and data).
    Open(PathBuf),
    /// Opens what was open the last time.
    Resume(Box<Last>),
    /// Opens data for the open network: a file, a folder, or the data of a demo.
    OpenData {
        /// Where it is.
        path: String,
        /// How to read it.
        options: DataOptions,
    },
    /// Runs the network on seeded noise, which has no labels: for a network without data.
    UseNoise,
    /// Replaces the recipe.
    EditRecipe {
        /// The new recipe.
        recipe: Box<Recipe>,
        /// The hand is still on the control: all edits until [`Action::EndGesture`] are one step of undo.
        gesture: bool,
    },
    /// The hand has left the control.
    EndGesture,
    /// Takes the recipe of a preset, keeping bits and expand ratio.
    ApplyPreset(Preset),
    /// Looks up which presets a person has saved.
    ListPresets,
    /// Saves the present recipe as a preset of that name.
    SavePreset(String),
    /// Takes the recipe that was saved by that name, as it is.
    ApplyUserPreset(String),
    /// Forgets the preset of that name.
    DeletePreset(String),
    /// One step back.
    Undo,
    /// One step forward again.
    Redo,
    /// Reads a recipe file.
    LoadRecipe(PathBuf),
    /// Looks at a layer, by position.
    SelectLayer(usize),
    /// Shows this range of weights, in their units; `None` for all.
    ShowRange(Option<(f64, f64)>),
    /// Asks for the histograms of layer inputs (runs calibration if data is open).
    ShowActivations,
    /// These are in sight now: they are kept up to date with the recipe.
    Watch(Watched),
    /// Measures the present recipe on one layer at a time.
    MeasureSensitivity,
    /// Looks for massive activations and super weights, and runs the float network without each.
    FindMassive,
    /// Looks for the causes of the worst layers' errors, tries fixes and takes the best ones into the recipe that together add no
    /// more than this share of the quantized network's bytes.
    FixAll {
        /// 0.05 for 5 %.
        within: f64,
    },
    /// Compares the splits without any grid with the float network.
    CheckSplit,
    /// Measures what activation splits chosen for each batch would reach.
    MeasureOracle,
    /// Chooses bits, splits and clipping of each layer that the present recipe quantizes.
    StartAuto(AutoOptions),
    /// Runs the present recipe with each combination of these values. Rows that are there already are kept, so that the same
    /// again goes on with a sweep that was cancelled.
    StartSweep(SweepGrid),
    /// Writes the rows of the newest sweep as CSV.
    SaveSweep(PathBuf),
    /// Keeps the present recipe and its results under a name; without one, under a letter.
    TakeSnapshot(String),
    /// Gives a snapshot another name.
    RenameSnapshot {
        /// Which.
        id: u64,
        /// The new name.
        name: String,
    },
    /// Takes the recipe of a snapshot.
    RestoreSnapshot(u64),
    /// Forgets a snapshot.
    RemoveSnapshot(u64),
    /// Lets both networks go on from a text, as long as that is in sight.
    Continue(Prompt),
    /// Applies the recipe that the open file was exported with to the network that is opened next.
    CarryRecipe,
    /// Runs a picture by itself, read like the open data.
    TryPicture(PathBuf),
    /// Forgets a picture that was run by itself.
    ForgetPicture(PathBuf),
    /// Takes the ranges of layer inputs from the open data; `false`: from the demo's calibration data, or without any.
    CalibrateOnData(bool),
    /// Takes the ranges of layer inputs from there.
    CalibrateOn(CalibrationChoice),
    /// Counts as outliers what lies beyond that many standard deviations.
    SetSigma(f64),
    /// Gives each job that starts from now on so many threads; `None` for as many as there are cores.
    SetThreads(Option<usize>),
    /// Evaluates that many samples at most.
    SetSampleLimit(usize),
    /// Compares the open network with this one: a file, or a demo's name; `None` ends that.
    CompareWith(Option<PathBuf>),
    /// Writes the network under the present recipe, the recipe, or a report of both.
    Export {
        /// What to write.
        kind: ExportKind,
        /// Where.
        path: PathBuf,
    },
    /// Puts away what the last export wrote.
    DismissExport,
    /// Stops a job.
    Cancel(JobId),
    /// Tries again what failed or was cancelled.
    Retry,
    /// A fault that happened outside of the session, for the list of messages.
    Report(String),
    /// Something that was done outside of the session, likewise.
    Note(String),
    /// Writes a file; that it was written, or why not, becomes a message.
    Write {
        /// Where.
        path: PathBuf,
        /// What.
        contents: Contents,
    },
    /// Empties the list of messages.
    ClearMessages,
    /// Forgets the recently opened files.
    ClearRecent,
}

/// What is in sight and costs work to keep up to date.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// The error curves of the selected layer.
    pub error_curves: bool,
    /// The selected layer under two recipes.
    pub comparison: Option<[Side; 2]>,
    /// How both networks go on from the prompt.
    pub continuation: bool,
    /// The channels of the selected layer's input.
    pub input_channels: bool,
    /// Every value of the graph, float against quantized.
    pub trace: bool,
    /// Why the selected layer hurts, and what mends it.
    pub cure: bool,
    /// The graph as boxes and lines.
    pub graph: bool,
    /// The cards of these layers, by position.
    pub cards: Vec<usize>,
}

/// What an export writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExportKind {
    /// The rewritten graph.
    Onnx,
    /// The same with inputs and outputs for keys and values of earlier tokens.
    OnnxWithPast,
    /// Tensors, their grids and the splits.
    Safetensors,
    /// The recipe alone.
    Recipe,
    /// A page that shows what the recipe does to the network.
    Report,
}

impl ExportKind {
    /// All kinds, in the order of the menu.
    pub const ALL: [Self; 5] = [
        Self::Onnx,
        Self::OnnxWithPast,
        Self::Safetensors,
        Self::Recipe,
        Self::Report,
    ];

    /// Whether an engine can run what is written.
    pub fn is_graph(self) -> bool {
        matches!(self, Self::Onnx | Self::OnnxWithPast)
    }

    /// The end of the file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Onnx | Self::OnnxWithPast => "onnx",
            Self::Safetensors => "safetensors",
            Self::Recipe => "toml",
            Self::Report => "html",
        }
    }
}
