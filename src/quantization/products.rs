//! Matrix products with float inputs: as the plan says, or as onnxruntime computes them fastest.

use super::ValueError;
use serde::{Deserialize, Serialize};

/// How a product of float inputs and quantized weights is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Products {
    /// So that every runtime computes it in float, as the preview does.
    #[default]
    Exact,
    /// So that onnxruntime fuses it into one operator that also rounds its inputs.
    Fast,
}

impl Products {
    /// All that can be chosen.
    pub const CHOICES: [Self; 2] = [Self::Exact, Self::Fast];

    /// Name on the command line, in recipes and in menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
        }
    }

    /// What it costs and what it means, for a person.
    pub fn help(self) -> &'static str {
        match self {
            Self::Exact => {
                "A Reshape keeps onnxruntime from fusing: it computes what is shown here, 2 to 6 times slower than fused."
            }
            Self::Fast => {
                "onnxruntime fuses weights and product into MatMulNBits, which rounds the inputs to 8 bits unless the session \
                 option session.qdq_matmulnbits_accuracy_level is 1. The preview does not round them. Weights of 2 bits are \
                 exported as for exact: onnxruntime 1.32 computes other numbers from them."
            }
        }
    }
}

impl std::fmt::Display for Products {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Products {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = Self::CHOICES.into_iter().find(|products| products.name() == text);
        found.ok_or_else(|| ValueError::not("matrix products are exact or fast", text))
    }
}
