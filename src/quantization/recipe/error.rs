//! What can be wrong with a recipe.

use crate::network::AxisError;
use std::path::PathBuf;

/// Why a recipe cannot be read or carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A field holds what it cannot hold.
    #[error("{field} is {allowed}, not {value}")]
    OutOfRange {
        /// The field, with its layer if it is an exception.
        field: String,
        /// What it holds.
        value: String,
        /// What it can hold.
        allowed: &'static str,
    },
    /// A threshold that is not positive.
    #[error("{field}: a threshold is positive, not {value}")]
    Threshold {
        /// The field, with its layer if it is an exception.
        field: String,
        /// What it holds.
        value: f32,
    },
    /// An exception for a layer that the network does not have.
    #[error("layers: there is no layer '{name}' in {network}{}", hint(.near))]
    NoLayer {
        /// The name in the recipe.
        name: String,
        /// The network.
        network: String,
        /// A layer with a name like it.
        near: Option<String>,
    },
    /// A channel axis that cannot be chosen.
    #[error("layers.\"{name}\".channel_axis: {reason}")]
    ChannelAxis {
        /// The layer.
        name: String,
        /// Why not.
        reason: AxisError,
    },
    /// Something that must be known of the layers' inputs is not.
    #[error("{0}")]
    Lacks(&'static str),
    /// Not a recipe.
    #[error("{0}")]
    Syntax(String),
    /// Line of a file, and what is wrong there.
    #[error("line {line}: {reason}")]
    Line {
        /// From 1 on.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file that cannot be read, written or understood.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A text that is no value of what it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// What is allowed.
    #[error("{0}")]
    Needed(&'static str),
    /// What is allowed, where what was given is named too.
    #[error("{allowed}, not '{given}'")]
    Not {
        /// What is allowed.
        allowed: &'static str,
        /// What was given.
        given: String,
    },
}

impl ValueError {
    pub(crate) fn not(allowed: &'static str, given: &str) -> Self {
        let given = given.to_owned();
        Self::Not { allowed, given }
    }
}

fn hint(near: &Option<String>) -> String {
    near.as_ref()
        .map(|near| format!("; did you mean '{near}'?"))
        .unwrap_or_default()
}
