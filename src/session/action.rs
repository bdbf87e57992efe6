//! What a person can ask of a session.

use crate::inference::DataOptions;
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
    /// Opens data for the open network: a file, a folder, or the data of a demo.
    OpenData {
        /// Where it is.
        path: String,
        /// How to read it.
        options: DataOptions,
    },
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
    /// Takes the ranges of layer inputs from the open data, instead of the demo's calibration data or none.
    CalibrateOnData(bool),
    /// Counts as outliers what lies beyond that many standard deviations.
    SetSigma(f64),
    /// Evaluates that many samples at most.
    SetSampleLimit(usize),
    /// Writes the network under the present recipe, or the recipe.
    Export {
        /// What to write.
        kind: ExportKind,
        /// Where.
        path: PathBuf,
    },
    /// Stops a job.
    Cancel(JobId),
    /// Tries again what failed or was cancelled.
    Retry,
    /// A fault that happened outside of the session, for the list of messages.
    Report(String),
    /// Something that was done outside of the session, likewise.
    Note(String),
    /// Empties the list of messages.
    ClearMessages,
    /// Forgets the recently opened files.
    ClearRecent,
}

/// What an export writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExportKind {
    /// The rewritten graph.
    Onnx,
    /// Tensors, their grids and the splits.
    Safetensors,
    /// The recipe alone.
    Recipe,
}

impl ExportKind {
    /// All kinds, in the order of the menu.
    pub const ALL: [Self; 3] = [Self::Onnx, Self::Safetensors, Self::Recipe];

    /// The end of the file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Safetensors => "safetensors",
            Self::Recipe => "toml",
        }
    }
}
