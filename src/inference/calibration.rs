//! Ranges of layer inputs from samples run through the float network.

use super::{Dataset, Engine, InferenceError};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Activations, ValueShapes};

/// What calibration learnt.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// Statistics by value name.
    pub activations: Activations,
    /// Samples that were run.
    pub samples: usize,
    /// Where they came from, for a person.
    pub data_name: String,
}

/// Runs up to `limit` samples through `engine` (the float network) and gathers the input of every layer.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn calibrate(
    _network: &Network,
    _engine: &Engine,
    _data: &Dataset,
    _limit: usize,
    _progress: &Progress,
) -> Result<Calibration, InferenceError> {
    todo!()
}

/// Shapes of all layer inputs and outputs for one sample (the first of `data`, or zeros of the declared shape).
///
/// # Errors
/// [`InferenceError`] when the network cannot run on it.
pub fn value_shapes(
    _network: &Network,
    _engine: &Engine,
    _data: Option<&Dataset>,
) -> Result<ValueShapes, InferenceError> {
    todo!()
}
