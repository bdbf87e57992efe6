//! What results are computed from, so that it is known which result belongs to the present recipe and data.

use crate::format::demo::Demo;
use crate::quantization::Recipe;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What is done to the network before its layers are looked at and split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrepareKey {
    /// Batch-norms are folded.
    pub fold: bool,
    /// Layers are equalized with each other.
    pub equalize: bool,
    /// The residual stream is rotated.
    pub rotate: bool,
    /// Which channel axes were chosen, as a fingerprint of layers and axes; 0 for none.
    pub channel_axes: u64,
    /// How inputs are smoothed; `None` where they are not.
    pub smooth: Option<SmoothKey>,
}

/// How inputs are smoothed, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmoothKey {
    /// The strength, as bits.
    pub strength: u64,
    /// The recipe by whose grids inputs are scaled, as a fingerprint; 0 where they are not.
    pub awq: u64,
    /// What tells how large inputs are.
    pub source: CalibrationSource,
    /// The data whose preprocessing tells the range of the network's input, where nothing is measured.
    pub stated: Option<u64>,
}

impl PrepareKey {
    /// The network as it was opened.
    pub(super) const NOTHING: Self = Self {
        fold: false,
        equalize: false,
        rotate: false,
        channel_axes: 0,
        smooth: None,
    };

    /// What `recipe` asks for, if inputs are known from `source`.
    pub(super) fn of(recipe: &Recipe, (source, stated): (CalibrationSource, Option<u64>)) -> Self {
        let smooth = SmoothKey {
            strength: recipe.smooth.to_bits(),
            awq: if recipe.awq {
                text_fingerprint(&recipe.to_toml().unwrap_or_default())
            } else {
                0
            },
            source,
            stated,
        };
        Self {
            smooth: (recipe.smooth > 0.0 || recipe.awq).then_some(smooth),
            fold: recipe.fold_batch_norm,
            equalize: recipe.cross_layer_equalization,
            rotate: recipe.rotate,
            channel_axes: fingerprint(recipe.channel_axes()),
        }
    }

    pub(super) fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }
}

/// A number that tells texts apart; not 0.
fn text_fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().max(1)
}

/// A number that tells choices of channel axes apart; 0 for no choice.
fn fingerprint<'a>(axes: impl Iterator<Item = (&'a str, usize)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut any = false;
    for choice in axes {
        choice.hash(&mut hasher);
        any = true;
    }
    if any { hasher.finish().max(1) } else { 0 }
}

/// What a person wants the ranges of layer inputs to come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CalibrationChoice {
    /// A demo's own calibration data, else the open data, else none.
    #[default]
    Automatic,
    /// The open data.
    OpenData,
    /// A calibration set of its own, so that nobody tunes on what judges: a file or a folder, read like the open data.
    Set(String),
    /// No data.
    DataFree,
}

/// Where the ranges of layer inputs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationSource {
    /// The calibration data that come with a demo.
    Demo(Demo),
    /// The open data, by the number of their request.
    Data(u64),
    /// A calibration set of its own, by the number of the choice.
    Set(u64),
    /// No data: batch-norm statistics where there are some, noise where not.
    DataFree,
}

/// What the ranges of layer inputs are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalibrationKey {
    /// The network that is run.
    pub prepared: PrepareKey,
    /// On what.
    pub source: CalibrationSource,
    /// The data whose preprocessing tells the range of the network's input, where nothing is measured.
    pub stated: Option<u64>,
    /// With second moments of the layers' inputs, which GPTQ asks for.
    pub moments: bool,
}

/// What a plan is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanKey {
    /// The recipe; with float activations while their ranges are unknown.
    pub recipe: Recipe,
    /// Which calibration.
    pub calibration: Option<CalibrationKey>,
    /// Whether shapes are known, and from which data.
    pub shapes: Option<u64>,
}

/// What an evaluation is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationKey {
    /// The recipe.
    pub recipe: Recipe,
    /// Which data.
    pub data: u64,
    /// Samples at most.
    pub limit: usize,
    /// Where the ranges of layer inputs come from, if the recipe needs them.
    pub calibration: Option<CalibrationSource>,
}

/// How far the running of the network has come.
#[derive(Debug, Clone, PartialEq)]
pub enum RunState {
    /// It can't be run; the reason.
    CannotRun(String),
    /// No data are open.
    NoData,
    /// Something is under way that must come first.
    Waiting,
    /// The current recipe could not be run; the reason.
    Failed(String),
    /// Somebody stopped the run of the current recipe, or what must come before it.
    Cancelled,
    /// The result for the present recipe is there.
    Done,
}
