//! Running networks: the engine, data sets, calibration, metrics. Runs exactly the bytes that an export writes.
//!
//! # Example
//!
//! ```
//! use splitscope::format::demo::Demo;
//! use splitscope::inference::{self, Dataset, Engine};
//! use splitscope::progress::Progress;
//!
//! let engine = Engine::load(Demo::Fashion.model_bytes().to_vec())?;
//! let data = Dataset::demo(Demo::Fashion);
//! let outputs = inference::run_outputs(&engine, &data, 100, &Progress::default())?;
//! let top1 = inference::metrics(&outputs, &data).top1;
//! assert!(top1.is_some_and(|top1| top1 > 0.85));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod auto;
mod calibration;
mod changed;
mod continuation;
mod data_free;
pub mod dataset;
mod engine;
mod evaluate;
pub mod incremental;
mod intervals;
mod lanes;
mod oracle;
mod outputs;
mod prefetch;
mod sensitivity;
mod split_only;
mod stack;
mod suggest;
pub mod sweep;
mod threads;
mod token_loss;
mod unsigned;
mod widen;

pub use calibration::{Calibration, calibrate, value_shapes};
pub use changed::{ChangedAnswers, ChangedCell, Verdict, Verdicts, changed_answers};
pub use continuation::{Sampling, continue_text};
pub use data_free::data_free_activations;
pub use dataset::{DataOptions, Dataset, DatasetError};
pub use engine::{Engine, Port};
pub use evaluate::{Evaluation, Metrics, Prediction, evaluate, metrics, top_k};
pub use oracle::{OracleMetrics, run_oracle};
pub use outputs::{Outputs, TokenAnswer, run_outputs, run_plan, run_samples};
pub use sensitivity::{LayerSensitivity, sensitivity};
pub use split_only::{SplitOnly, split_only_difference};
pub use suggest::{AtChance, Suggestion, chance_level, suggest_preprocess};
pub use token_loss::{TokenLosses, token_losses};

use crate::onnx::OnnxError;
use crate::progress::Cancelled;
use crate::quantization::QuantizationError;

/// Why a network could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// Somebody else's result is wanted by now.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The engine cannot load the model; names node and operator where known.
    #[error("the engine cannot load this network: {0}")]
    Load(String),
    /// The engine stopped while running.
    #[error("the network failed while running: {0}")]
    Run(String),
    /// The recipe cannot be carried out on the network.
    #[error(transparent)]
    Quantization(QuantizationError),
    /// The network cannot be written as the bytes that the engine loads.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The data do not fit the network.
    #[error("{0}")]
    Data(String),
    /// What was asked for cannot be reached; says how near one can come.
    #[error("{0}")]
    OutOfReach(String),
}

impl From<QuantizationError> for InferenceError {
    fn from(error: QuantizationError) -> Self {
        match error {
            QuantizationError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Quantization(error),
        }
    }
}
