//! Chooses bits, splits, clipping, scales and rounding of each layer for a budget of bytes, or for an accuracy.
//!
//! Each layer has a lattice of choices. What a choice does to the outputs is measured on some samples with that layer alone
//! quantized, and predicted for choices nearby; the bytes go where each removes the most noise. The result is run as a whole,
//! as exported, and so are the uniform settings of no more bytes. Other samples, which no layer's setting was chosen on, then decide
//! between the choices by layers and the best of the uniform settings: the result is never below it there.

mod cost;
mod greedy;
mod lattice;
mod noise;
mod runs;
mod samples;
mod search;
mod settings;
mod table;
mod target;

pub use runs::{RunLog, RunSetting};
pub use samples::AutoSamples;
pub use search::{auto, auto_going_on, auto_part, check_goal};
pub use settings::{AutoLayer, AutoResult, AutoSetting, Origin, Scores};
pub use target::{LatencyLimit, LatencyTarget};

use super::{Dataset, InferenceError, Outputs, Pipeline};
use crate::network::Network;
use crate::quantization::{Activations, Bits, Clip, Granularity, Recipe, Rounding, ValueError};
use std::str::FromStr;

/// What the chosen network must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// As near to the float network as these bytes allow.
    Budget(Budget),
    /// As few bytes as allow this accuracy, a share from 0 to 1: of right answers where there are labels, else of answers that
    /// are the float network's.
    Accuracy(f64),
}

/// Bytes that quantized weights may take as they are stored, with their scales. Everything else (float layers, biases) is not
/// counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// That share more than the recipe's bits take without splits: 0.05 for 5 %. Negative for less.
    Overhead(f64),
    /// That many in all.
    Bytes(u64),
}

/// What may be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoOptions {
    /// What to keep to.
    pub goal: Goal,
    /// Bits that a layer may have, 2 to 8.
    pub bits: Vec<u8>,
    /// Ways to clip that it may have.
    pub clips: Vec<Clip>,
    /// What may have a scale of its own; empty for the recipe's own.
    pub scales: Vec<Granularity>,
    /// Ways to round that it may have; empty for the recipe's own. GPTQ is left out where the second moments of the inputs are not
    /// known.
    pub roundings: Vec<Rounding>,
    /// Whether its scales may have zero points; empty for as the recipe says.
    pub zero_points: Vec<bool>,
    /// Whether to search with batch-norms folded too, where the recipe does not fold them: see [`AutoOptions::folded`].
    pub try_folding: bool,
    /// Whether to try bias correction where the recipe does not ask for it and the means of the inputs are known.
    pub try_bias_correction: bool,
    /// Largest share of a layer's input channels to split.
    pub most_ratio: f64,
    /// How long a run may take; settings that take longer are not chosen. Times are measured, so that with it the same input need
    /// not give the same result.
    pub latency: Option<LatencyTarget>,
}

impl AutoOptions {
    /// Splits of up to a quarter of the channels: beyond a fifth the paper's tables show little more.
    pub const MOST_RATIO: f64 = 0.25;
    /// Ways to clip that are tried: those of the paper's tables.
    pub const CLIPS: [Clip; 4] = [Clip::None, Clip::Mse, Clip::Aciq, Clip::Kl];

    /// What may have a scale of its own where nothing else is said: finer scales cost bytes that more bits may be worth.
    pub const SCALES: [Granularity; 2] = [Granularity::Tensor, Granularity::Channel];

    /// All bits, splits and clips for `goal`, at the recipe's scales and rounding.
    pub fn new(goal: Goal) -> Self {
        Self {
            goal,
            bits: (Bits::MIN..=Bits::MAX).collect(),
            clips: Self::CLIPS.to_vec(),
            scales: Vec::new(),
            roundings: Vec::new(),
            zero_points: Vec::new(),
            try_folding: false,
            try_bias_correction: false,
            most_ratio: Self::MOST_RATIO,
            latency: None,
        }
    }

    /// All that can be chosen for `goal`.
    pub fn all(goal: Goal) -> Self {
        Self {
            scales: Self::SCALES.to_vec(),
            roundings: Rounding::CHOICES.to_vec(),
            try_bias_correction: true,
            ..Self::new(goal)
        }
    }

    /// The recipe to search from too, on the network prepared as it says: with batch-norms folded, where that is to be tried and
    /// `recipe` does not fold them. [`AutoResult::or_better`] takes the better of both.
    pub fn folded(&self, recipe: &Recipe) -> Option<Recipe> {
        (self.try_folding && !recipe.fold_batch_norm).then(|| Recipe {
            fold_batch_norm: true,
            ..recipe.clone()
        })
    }

    /// What must be known of the layers' inputs beyond what `recipe` needs: anything, and second moments.
    pub fn needs(&self, recipe: &Recipe) -> (bool, bool) {
        let moments = recipe.needs_moments() || self.roundings.iter().any(|rounding| rounding.needs_moments());
        // Bias correction is tried where the means are known anyway: they alone are not worth a calibration.
        (moments || recipe.needs_activations(), moments)
    }
}

impl Budget {
    /// The bytes, where the plain network's weights take `plain`.
    fn bytes(self, plain: u64) -> u64 {
        match self {
            Self::Overhead(share) => (plain as f64 * (1.0 + share)).floor().max(0.0) as u64,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl FromStr for Budget {
    type Err = ValueError;

    /// `5%`, `-10%`, `130000`, `130kB`, `1.5MB` (1 kB is 1000 bytes).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ValueError::not("a budget is a share such as 5%, or bytes such as 130kB or 1.5MB", text);
        let text = text.trim();
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        if let Some(percent) = text.strip_suffix('%') {
            let share = number(percent).ok_or_else(wrong)? / 100.0;
            return if share > -1.0 {
                Ok(Self::Overhead(share))
            } else {
                Err(wrong())
            };
        }
        let units = [("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1.0)];
        let unit = units
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
        let (digits, unit) = unit.unwrap_or((text, 1.0));
        let bytes = number(digits).ok_or_else(wrong)? * unit;
        if bytes >= 1.0 {
            Ok(Self::Bytes(bytes as u64))
        } else {
            Err(wrong())
        }
    }
}

/// Samples, and what the float network answers on them.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    /// The data that they are of.
    pub data: &'a Dataset,
    /// The float network's outputs; they say which samples.
    pub float: &'a Outputs,
}

/// What is quantized, and on which samples it is chosen and judged. The two must have no sample in common.
#[derive(Clone, Copy)]
pub struct AutoSubject<'a> {
    /// The network, prepared as the recipe says.
    pub network: &'a Network,
    /// What is known of its layers' inputs; needed when the recipe quantizes them or corrects biases.
    pub activations: Option<&'a Activations>,
    /// The samples to choose on.
    pub choose: Judged<'a>,
    /// The samples that tell what came of it.
    pub judge: Judged<'a>,
}

impl<'a> AutoSubject<'a> {
    /// From a setting to its bytes.
    fn pipeline(&self) -> Pipeline<'a> {
        Pipeline::new(self.network, self.activations)
    }
}
