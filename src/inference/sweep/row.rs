//! One setting of a sweep and what came of it.

use crate::inference::{Latency, Metrics};
use crate::network::Network;
use crate::quantization::{Plan, Recipe, ValueShapes, overhead};
use serde::Serialize;

/// One setting of a sweep and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepRow {
    /// The whole recipe.
    pub recipe: Recipe,
    /// Samples (images) or tokens (text) that were run.
    pub samples: usize,
    /// Metrics of the quantized network.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Fraction of samples with the same first answer as the float network; see [`crate::inference::Evaluation::agreement`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// Signal to noise of the outputs against the float network, decibels; see [`crate::inference::Evaluation::sqnr_db`].
    pub sqnr_db: Option<f64>,
    /// 95 % confidence interval of `sqnr_db`; see [`crate::inference::Evaluation::sqnr_db_interval`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqnr_db_interval: Option<[f64; 2]>,
    /// What the setting costs.
    pub overhead: SweepOverhead,
    /// How long a run takes, if it was timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<RowLatency>,
    /// Why it was not timed, though that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_timed: Option<String>,
}

/// How long a run of a setting takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowLatency {
    /// What ran it.
    pub engine: String,
    /// Median and 95th percentile of a batch of one.
    #[serde(flatten)]
    pub time: Latency,
}

/// What a setting costs, as ratios to the float network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SweepOverhead {
    /// Number of parameters.
    pub weights: f64,
    /// Input elements over all layers, if shapes are known.
    pub activations: Option<f64>,
    /// Multiply-accumulates over all layers, if shapes are known.
    pub macs: Option<f64>,
    /// Bits of all parameters, a quantized weight at its own bits and everything else at 32; scales are not counted.
    pub size: f64,
    /// Bytes of the exported `.onnx` file; `None` in rows of older files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
}

/// What rows are as large as: bytes of their files, if all tell, else bits of their parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeMeasure {
    /// [`SweepOverhead::file_bytes`].
    FileBytes,
    /// [`SweepOverhead::size`].
    ParameterBits,
}

impl SizeMeasure {
    /// The measure that all `rows` have.
    pub fn of_rows(rows: &[SweepRow]) -> Self {
        let all = !rows.is_empty() && rows.iter().all(|row| row.overhead.file_bytes.is_some());
        if all { Self::FileBytes } else { Self::ParameterBits }
    }

    /// The size of a row: bytes, or a ratio to the float network.
    pub fn value(self, row: &SweepRow) -> f64 {
        match (self, row.overhead.file_bytes) {
            (Self::FileBytes, Some(bytes)) => bytes as f64,
            (Self::FileBytes, None) => f64::NAN,
            (Self::ParameterBits, _) => row.overhead.size,
        }
    }

    /// The same in the unit of [`SizeMeasure::axis`]: kB (1000 bytes), or percent.
    pub fn on_axis(self, row: &SweepRow) -> f64 {
        match self {
            Self::FileBytes => self.value(row) / 1e3,
            Self::ParameterBits => self.value(row) * 100.0,
        }
    }

    /// Name of an axis of sizes, with its unit.
    pub fn axis(self) -> &'static str {
        match self {
            Self::FileBytes => "file size, kB",
            Self::ParameterBits => "size, % of float",
        }
    }
}

/// Bits of a parameter that is on no grid.
const FLOAT_BITS: f64 = 32.0;

impl SweepOverhead {
    /// The cost of `plan` on `network`, whose file has `file_bytes`; `shapes` are of that same network's values.
    pub(super) fn of(network: &Network, plan: &Plan, file_bytes: u64, shapes: Option<&ValueShapes>) -> Self {
        let cost = overhead(network, plan, shapes);
        let parameters = network.parameters().max(1) as f64;
        let saved: f64 = (plan.layers.iter().zip(&cost.layers))
            .filter_map(|(layer, cost)| {
                let bits = f64::from(layer.quantized()?.grid.bits);
                Some(cost.weights.0 as f64 * FLOAT_BITS - cost.weights.1 as f64 * bits)
            })
            .sum();
        Self {
            weights: cost.weights,
            activations: cost.activations,
            macs: cost.macs,
            size: 1.0 - saved / (parameters * FLOAT_BITS),
            file_bytes: Some(file_bytes),
        }
    }
}
