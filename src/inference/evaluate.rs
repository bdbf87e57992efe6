//! What a network answers on a data set, and how a quantized one compares with the float one.

use super::{Dataset, Engine, InferenceError};
use crate::progress::Progress;
use serde::Serialize;

/// The outputs of a network on the first samples of a data set.
///
/// For images one row a sample; for text one row a predicted token.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Samples (images) or tokens (text).
    pub samples: usize,
    /// Width of a row: number of classes, or size of the vocabulary.
    pub classes: usize,
    /// Row-major `[samples, classes]` logits.
    pub logits: Vec<f32>,
}

/// Metrics of one network. Fields that the data cannot tell are `None` and left out of the JSON.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Metrics {
    /// Fraction whose first answer is the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
    /// Fraction whose first five answers hold the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top5: Option<f64>,
    /// Mean negative log-likelihood of the next token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_per_token: Option<f64>,
    /// `exp(nats_per_token)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<f64>,
}

/// A quantized network beside the float one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Samples (images) or tokens (text).
    pub samples: usize,
    /// The float network.
    pub float: Metrics,
    /// The quantized network.
    pub quantized: Metrics,
    /// Fraction of samples with the same first answer.
    pub agreement: f64,
    /// `10 log10(sum float^2 / sum (float - quantized)^2)` over all outputs, decibels; infinite when equal (null in JSON).
    pub sqnr_db: Option<f64>,
}

/// One answer: class and probability (softmax).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Class index.
    pub class: usize,
    /// Softmax probability, 0 to 1.
    pub probability: f32,
}

/// Runs the first `limit` samples in batches; checks `progress` between batches and advances it by samples.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn run_outputs(
    _engine: &Engine,
    _data: &Dataset,
    _limit: usize,
    _progress: &Progress,
) -> Result<Outputs, InferenceError> {
    todo!()
}

/// Compares two runs on the same samples.
pub fn evaluate(_float: &Outputs, _quantized: &Outputs, _data: &Dataset) -> Evaluation {
    todo!()
}

/// The `k` likeliest classes of one row of logits, likeliest first.
pub fn top_k(_logits: &[f32], _k: usize) -> Vec<Prediction> {
    todo!()
}
