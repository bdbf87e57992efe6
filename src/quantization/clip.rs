//! How the clip threshold is chosen.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A way to choose the clip threshold. Written `none`, `mse`, `manual:T` on the command line and in recipes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Clip {
    /// The largest |x|.
    #[default]
    None,
    /// The threshold with the least mean squared quantization error.
    Mse,
    /// As given, in the units of the tensor.
    Manual(f32),
}

/// A threshold and what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipChoice {
    /// The threshold a: values beyond it are cut to it.
    pub threshold: f32,
    /// Expected mean squared error at that threshold.
    pub mse: f64,
}

impl Clip {
    /// The ways without a parameter, for menus.
    pub const CHOICES: [Self; 2] = [Self::None, Self::Mse];

    /// Name for a person.
    pub fn label(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mse => "MSE",
            Self::Manual(_) => "manual",
        }
    }
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Mse => f.write_str("mse"),
            Self::Manual(threshold) => write!(f, "manual:{threshold}"),
        }
    }
}

impl FromStr for Clip {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "mse" => Ok(Self::Mse),
            _ => match text.strip_prefix("manual:").map(str::parse::<f32>) {
                Some(Ok(threshold)) if threshold > 0.0 && threshold.is_finite() => Ok(Self::Manual(threshold)),
                _ => Err(format!("clip is none, mse or manual:T with T > 0, not '{text}'")),
            },
        }
    }
}

impl Serialize for Clip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Clip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The threshold that `clip` chooses for `values` on a symmetric grid of `bits`.
pub fn choose_threshold(_values: &[f32], _bits: u8, _clip: Clip) -> ClipChoice {
    todo!()
}
