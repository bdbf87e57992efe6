//! Which integer each weight gets, once scales are chosen: one file a method.
//!
//! A new method is a file beside this one, a variant of [`Rounding`] with its name, and a line in [`round`]: the command line,
//! recipe files and the window take it from here.

mod gptq;
mod moments;
mod nearest;
mod squant;

use gptq::NotRounded;
pub use moments::{InputMoments, MAX_COLUMNS, NoMoments};

use super::layer_error::Expanded;
use super::{Grid, PlacedScales, ValueError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a weight between two grid points is put on one of them. Written `nearest`, `squant`, `gptq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// `floor(w / scale + 1/2)` (Zhao et al. 2019, section 3.1).
    #[default]
    Nearest,
    /// Errors of each kernel and each output channel add up to less than half a step (Guo et al. 2022).
    Squant,
    /// Errors are pushed on the weights not yet rounded, so that the layer's outputs change least (Frantar et al. 2022).
    Gptq,
}

impl Rounding {
    /// All that can be chosen.
    pub const CHOICES: [Self; 3] = [Self::Nearest, Self::Squant, Self::Gptq];

    /// Whether it asks what the inputs of a layer have in common.
    pub fn needs_moments(self) -> bool {
        self == Self::Gptq
    }

    /// Name for a person.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Squant => "SQuant",
            Self::Gptq => "GPTQ",
        }
    }

    /// What it does, in a sentence.
    pub fn help(self) -> &'static str {
        match self {
            Self::Nearest => "Each weight goes to the closer grid point.",
            Self::Squant => {
                "Some weights go to the other neighbour, so that the errors of each kernel and each output channel add up to zero; no data needed (Guo et al. 2022)."
            }
            Self::Gptq => {
                "Each error is pushed on the weights not yet rounded, so that the layer's outputs change least; needs the layer's inputs, measured or estimated from batch-norm (Frantar et al. 2022)."
            }
        }
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nearest => "nearest",
            Self::Squant => "squant",
            Self::Gptq => "gptq",
        })
    }
}

impl FromStr for Rounding {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::CHOICES
            .into_iter()
            .find(|rounding| rounding.to_string() == text)
            .ok_or_else(|| ValueError::not("rounding is nearest, squant or gptq", text))
    }
}

/// How the weights of a layer were rounded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rounded {
    /// The method.
    pub by: Rounding,
    /// What a person should know: why another method was taken than the one asked for, or what it had to do without.
    pub note: Option<String>,
}

impl Rounded {
    fn by(by: Rounding) -> Self {
        Self { by, note: None }
    }
}

/// Puts split weights on their grid; `inputs` is what is known of the layer's inputs.
pub(super) fn round(
    rounding: Rounding,
    split: Expanded<'_>,
    grid: Grid,
    scales: PlacedScales<'_>,
    inputs: Result<&InputMoments, NoMoments>,
) -> (Vec<i8>, Rounded) {
    match (rounding, inputs) {
        (Rounding::Nearest, _) => (nearest::round(split, grid, scales), Rounded::by(Rounding::Nearest)),
        (Rounding::Squant, _) => (squant::round(split, grid, scales), Rounded::by(Rounding::Squant)),
        (Rounding::Gptq, Ok(inputs)) => match gptq::round(split, grid, scales, inputs) {
            Ok((codes, note)) => (
                codes,
                Rounded {
                    by: Rounding::Gptq,
                    note,
                },
            ),
            Err(why) => instead(split, grid, scales, why),
        },
        (Rounding::Gptq, Err(why)) => instead(split, grid, scales, why.into()),
    }
}

/// The nearest points, and why.
fn instead(split: Expanded<'_>, grid: Grid, scales: PlacedScales<'_>, why: NotRounded) -> (Vec<i8>, Rounded) {
    let rounded = Rounded {
        by: Rounding::Nearest,
        note: Some(format!("rounded to nearest, not by GPTQ: {why}")),
    };
    (nearest::round(split, grid, scales), rounded)
}
