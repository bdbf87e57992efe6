//! The method: grid, clip, split; the recipe that chooses among them, the plan it gives for a network, the graph that
//! carries the plan out, and what it costs.
//!
//! # Example
//!
//! ```
//! use splitscope::format::demo::Demo;
//! use splitscope::progress::Progress;
//! use splitscope::quantization::{self, Bits, Recipe};
//!
//! let recipe = Recipe {
//!     weight_bits: Bits::Grid(4),
//!     expand_ratio: 0.05,
//!     ..Recipe::default()
//! };
//! let network = quantization::prepare(&Demo::Fashion.network()?, &recipe)?;
//! let plan = quantization::plan(&network, &recipe, None, &Progress::default())?;
//! let split = plan.layers.iter().filter_map(|layer| layer.quantized()).map(|layer| layer.splits.len());
//! assert!(split.sum::<usize>() > 0);
//! let exported = quantization::rewrite(&network, &plan)?;
//! assert!(exported.graph.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod activation_split;
mod activations;
mod awq;
mod bias_correction;
mod clip;
mod codes;
mod data_free;
mod deployment;
mod error_curves;
mod grid;
mod int32_bias;
mod layer_error;
mod outputs;
mod overhead;
mod plan;
mod planned_inputs;
mod prepare;
mod presets;
mod products;
mod recipe;
mod rewrite;
mod rounding;
mod scales;
mod sequential;
mod shared;
mod split;
mod storage;
mod weight;
mod widen;

pub use activation_split::{Copied, Expansion, Share};
pub use activations::Activations;
pub use clip::{
    CentredFits, Clip, ClipChoice, ExpectedError, choose_activation_threshold, choose_threshold, expected_error,
    mean_squared_errors,
};
pub use codes::Codes;
pub use data_free::{ChannelPlace, KnownInput, batch_norm_activations, batch_norm_moments, moments_of_channels};
pub use error_curves::{CurvePoint, ErrorCurves, error_curves};
pub use grid::{Bits, Grid};
pub use outputs::{ValueGrids, joined_values};
pub use overhead::{Bytes, Copies, CopyCosts, LayerOverhead, Overhead, ValueShapes, overhead, weight_bytes};
pub use plan::{
    ActivationPlan, LayerPlan, NoInputGrid, Outcome, Plan, QuantizedLayer, oracle_plan, plan, plan_input, plan_one,
    plan_spooled, replan,
};
pub use planned_inputs::{FloatLayer, PlannedInputs};
pub use prepare::{prepare, prepare_with};
pub use presets::{PresetError, UserPresets};
pub use products::Products;
pub use recipe::{
    Access, At, FIELDS, Field, FieldValue, InLayer, InputSettings, Lacking, LayerRecipe, LayerSettings, Preset, Recipe,
    RecipeError, ValueError, WeightSettings, WithoutEffect,
};
pub use rewrite::{
    CompressedTensors, NamedTensors, QUANTIZATION_CONFIG, RECIPE_KEY, compressed_tensors, exported_bytes,
    quantized_tensors, rewrite, rewrite_spooled, split_only, spool_beside, spooled_tensors,
};
pub use rounding::{InputMoments, MAX_COLUMNS, NoMoments, Rounded, Rounding};
pub use scales::{Granularity, PlacedScale, PlacedScales, Scales};
pub use sequential::{CalibrationSamples, InputsBehind, MeasuredInput, Stages, WantedInput};
pub use split::{Buffers, Split, SplitKind, Splitter, split_channels, split_count, split_levels};
pub use storage::{CodeType, Storage};
pub use weight::{NO_INPUTS, clip_thresholds, plan_layer, plan_layer_in, split_weights};
pub use widen::SplitExport;

use crate::network::NetworkError;
use crate::progress::Cancelled;

/// Why a recipe could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizationError {
    /// Somebody else's result is wanted by now.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A fault of the network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The recipe asks for what cannot be.
    #[error("recipe: {0}")]
    Recipe(#[from] RecipeError),
    /// The graph cannot be rewritten.
    #[error("{0}")]
    Rewrite(String),
    /// The inputs of layers behind quantized layers cannot be measured.
    #[error("layer by layer: {0}")]
    Inputs(String),
}
