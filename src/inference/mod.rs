//! Running networks: the engine, data sets, calibration, metrics. Runs exactly the bytes that an export writes.
//!
//! # Example
//!
//! ```
//! use splitscope::format::demo::Demo;
//! use splitscope::inference::{self, Dataset, Rten};
//! use splitscope::progress::Progress;
//!
//! let engine = Rten::load(Demo::Fashion.model_bytes().to_vec())?;
//! let data = Dataset::demo(Demo::Fashion);
//! let outputs = inference::run_outputs(&engine, &data, 100, &Progress::default())?;
//! let top1 = inference::metrics(&outputs, &data).top1;
//! assert!(top1.is_some_and(|top1| top1 > 0.85));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
pub mod auto;
mod average_precision;
mod calibration;
mod changed;
mod continuation;
mod cure;
mod data_free;
mod detections;
mod distilled;
mod evaluate;
mod free_sizes;
mod growing_csv;
pub mod incremental;
mod input_channels;
mod intervals;
mod lanes;
mod latency;
mod layer_order;
mod massive;
mod metric_columns;
mod moments;
mod noise;
mod oracle;
mod outputs;
mod own_text;
mod pipeline;
mod prefetch;
mod score;
mod segmentation;
mod sensitivity;
mod sequential;
mod shapes;
mod similarity;
mod split_only;
mod suggest;
pub mod sweep;
mod token_loss;
mod trace;
mod unused_labels;
mod verify;

pub use crate::data::{DataOptions, Dataset, DatasetError, Port};
pub use crate::engine::{Engine, EngineError, Rten};
pub use answer::{answering, skipped_outputs};
pub use calibration::{Calibration, calibrate, value_shapes};
pub use changed::{ChangedAnswers, ChangedCell, Verdict, Verdicts, changed_answers};
pub use continuation::{Sampling, TextWriter, continue_text};
pub use cure::{Cause, ChosenFix, Cure, Examination, Fix, Mended, NetworkEnd, TriedFix, mend, worst_layers};
pub use data_free::{data_free_activations, layers_on_noise, noise_warning};
pub use detections::{Detection, Detections, NoDetector};
pub use evaluate::{Evaluation, Metrics, Prediction, evaluate, metrics, top_k};
pub use free_sizes::noise_sizes_note;
pub use growing_csv::{RowError, TableError};
pub use input_channels::{InputChannel, InputChannels, PositionMap, StackedInput, input_channels};
pub use latency::{Latency, LatencyReport, NetworkLatency, latency, latency_of_one, latency_report};
pub use layer_order::{
    ORDER_SAMPLES, ORDER_TOKENS, OrderBasis, made_up_data, most_ranked, order_on_data, order_samples, spearman,
    worst_first,
};
pub use massive::{Massive, MassiveActivation, MassiveLimits, SeenAt, SuperWeight, Without, massive};
pub use moments::{MAX_MOMENT_BYTES, MAX_ROWS, add_moments};
pub use oracle::{OracleMetrics, run_oracle};
pub use outputs::{Outputs, TokenAnswer, run_outputs, run_plan, run_samples};
pub use pipeline::{
    Pipeline, QuantizedModel, RANGES_WITHOUT_DATA, calibration_label, float_engine, known_shapes, measure_inputs,
};
pub use score::{Score, fixed, is_huge};
pub use sensitivity::{AccuracyLost, LayerSensitivity, sensitivity};
pub use sequential::{MAX_KEPT_BYTES, SequentialSamples};
pub use split_only::{SplitOnly, split_only_difference};
pub use suggest::{AtChance, Suggestion, chance_level, suggest_preprocess};
pub use token_loss::{TokenLosses, token_losses};
pub use trace::{MAX_POSITIONS, Trace, TracedValue, trace, trace_in};
pub use verify::{EngineDifference, Verification, engine_difference, verify};

use crate::onnx::OnnxError;
use crate::progress::Cancelled;
use crate::quantization::QuantizationError;
use std::path::PathBuf;

/// Why a network could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// Somebody else's result is wanted by now.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The engine cannot load or run the network.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The recipe cannot be carried out on the network.
    #[error(transparent)]
    Quantization(QuantizationError),
    /// The network cannot be written as the bytes that the engine loads.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The data do not fit the network.
    #[error("{0}")]
    Data(String),
    /// A file of results cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: TableError,
    },
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
