//! What a network answers on a data set, and how a quantized one compares with the float one.

use super::dataset::TextLayout;
use super::{Dataset, Engine, InferenceError, OracleMetrics, SplitOnly};
use crate::progress::Progress;
use rten::Value;
use rten_tensor::prelude::*;
use serde::Serialize;
use std::ops::Range;

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
    /// Whether a row has one number a class; false for maps and other outputs, which have no accuracy.
    pub classification: bool,
}

/// Metrics of one network. Fields that the data cannot tell are `None` and left out of the JSON.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Metrics {
    /// Fraction whose first answer is the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
    /// 95 % confidence interval of `top1` (Wilson 1927), low and high: what other samples of the same kind could give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1_interval: Option<[f64; 2]>,
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
    /// What the splits alone change, if it was measured: see [`super::split_only_difference`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_only: Option<SplitOnly>,
    /// What Oracle OCS would reach, if it was asked for: see [`super::run_oracle`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<OracleMetrics>,
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
    engine: &Engine,
    data: &Dataset,
    limit: usize,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    run_batches(engine, data, limit, progress, |inputs, output| {
        Ok(engine.run(inputs, &[output])?.pop())
    })
}

/// [`run_outputs`] with the output of each batch from `answer`, which gets the inputs and the output's name; `engine` tells
/// what the network takes.
pub(super) fn run_batches(
    engine: &Engine,
    data: &Dataset,
    limit: usize,
    progress: &Progress,
    mut answer: impl FnMut(&[(&str, Value)], &str) -> Result<Option<Value>, InferenceError>,
) -> Result<Outputs, InferenceError> {
    let samples = data.len().min(limit);
    if samples == 0 {
        return Err(InferenceError::Data(format!("{}: no samples to run", data.name())));
    }
    let output = engine.outputs().first().map(|port| port.name.clone());
    let output = output.ok_or_else(|| InferenceError::Data("the network has no output".to_owned()))?;
    progress.start(samples as u64, format!("Running {}", data.name()));
    let mut outputs = Outputs {
        samples,
        classes: 0,
        logits: Vec::new(),
        classification: true,
    };
    for batch in batches(engine, data, samples, IMAGES)? {
        progress.check()?;
        let inputs = data
            .batch(batch.run.clone())
            .map_err(|error| InferenceError::Data(error.to_string()))?;
        let inputs: Vec<(&str, Value)> = inputs
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let value = answer(&inputs, &output)?;
        let Some(Value::FloatTensor(value)) = value else {
            return Err(InferenceError::Data(format!(
                "the output '{output}' is no float tensor"
            )));
        };
        outputs.take_in(&output, value.shape(), &value.to_vec(), data, &batch)?;
        progress.advance(batch.wanted.len() as u64);
    }
    if outputs.classification && !data.is_text() {
        let wrong = (0..samples).find_map(|at| Some((at, data.label(at).filter(|label| *label >= outputs.classes)?)));
        if let Some((sample, label)) = wrong {
            return Err(InferenceError::Data(format!(
                "{}: sample {sample} has the label {label}, the network answers {} classes",
                data.name(),
                outputs.classes
            )));
        }
    }
    Ok(outputs)
}

/// What is run at once, and which of its samples are wanted.
pub(super) struct Batch {
    pub(super) run: Range<usize>,
    pub(super) wanted: Range<usize>,
}

/// Images that run at once. From 16 to 100 the size makes no difference to the demo's speed; this one cancels quickly.
const IMAGES: usize = 25;

/// Images of [`LARGE`] numbers and more that run at once.
const LARGE_IMAGES: usize = 4;

/// Numbers of a sample from which on it counts as large: a ResNet-50 takes 70 ms an image.
const LARGE: usize = 3 * 128 * 128;

/// Streams of text that run at once: fewer are slower a stream, more are not faster.
const STREAMS: usize = 4;

/// The batches for the first `samples` samples. A network with a fixed batch size gets full batches only: the last one
/// begins earlier then.
pub(super) fn batches(
    engine: &Engine,
    data: &Dataset,
    samples: usize,
    images: usize,
) -> Result<Vec<Batch>, InferenceError> {
    let fixed = |axis: usize| -> Option<usize> {
        let port = engine
            .inputs()
            .iter()
            .find(|port| port.integer == data.is_text())
            .or(engine.inputs().first())?;
        let shape = port.shape.as_ref()?;
        if shape.len() > 1 { *shape.get(axis)? } else { None }
    };
    let large = engine
        .inputs()
        .iter()
        .filter_map(|port| port.shape.as_ref())
        .any(|shape| {
            let known = shape.iter().skip(1).flatten();
            known.fold(1_usize, |product, size| product.saturating_mul(*size)) >= LARGE
        });
    let (size, fixed) = match data.text_layout() {
        Some(layout) => {
            let axis = usize::from(!layout.batch_first);
            let one = (engine.inputs().iter().find(|port| port.integer))
                .and_then(|port| port.shape.as_ref())
                .is_some_and(|shape| shape.len() == 1);
            let fixed = if one { Some(1) } else { fixed(axis) };
            (
                fixed.unwrap_or(STREAMS) * layout.length,
                fixed.map(|streams| streams * layout.length),
            )
        }
        None => (
            fixed(0).unwrap_or(if large { images.min(LARGE_IMAGES) } else { images }),
            fixed(0),
        ),
    };
    if size == 0 || fixed.is_some_and(|size| size > data.len()) {
        return Err(InferenceError::Data(format!(
            "{}: the network takes {size} samples at once, there are {}",
            data.name(),
            data.len()
        )));
    }
    let batch = |at: usize| {
        let wanted = at..samples.min(at + size);
        let run = match fixed {
            Some(size) => {
                let start = at.min(data.len() - size);
                start..start + size
            }
            None => wanted.clone(),
        };
        Batch { run, wanted }
    };
    Ok((0..samples).step_by(size).map(batch).collect())
}

impl Outputs {
    /// The answer for one sample; empty beyond the last.
    pub fn row(&self, sample: usize) -> &[f32] {
        let from = sample.saturating_mul(self.classes);
        self.logits
            .get(from..from.saturating_add(self.classes))
            .unwrap_or_default()
    }

    /// Adds the wanted rows of a batch's output.
    fn take_in(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
        data: &Dataset,
        batch: &Batch,
    ) -> Result<(), InferenceError> {
        let wrong = |rows: usize| {
            InferenceError::Data(format!(
                "the output '{name}' has the shape {shape:?} for {rows} samples at once"
            ))
        };
        match data.text_layout() {
            None => {
                let rows = batch.run.len();
                if shape.first() != Some(&rows) {
                    return Err(wrong(rows));
                }
                self.classes = values.len() / rows;
                self.classification = shape.len() >= 2 && shape[2..].iter().all(|size| *size == 1);
                let from = (batch.wanted.start - batch.run.start) * self.classes;
                self.logits
                    .extend_from_slice(&values[from..from + batch.wanted.len() * self.classes]);
            }
            Some(TextLayout { length, batch_first }) => {
                let first = batch.run.start / length;
                let streams = batch.run.end.div_ceil(length) - first;
                // A single stream is run up to the last wanted token only.
                let steps = if streams == 1 { batch.run.len() } else { length };
                let classes = shape.last().copied().unwrap_or(0);
                // One-stream networks without a batch axis run their whole stream.
                let steps = if values.len() == length * classes && streams == 1 {
                    length
                } else {
                    steps
                };
                if classes == 0 || values.len() != streams * steps * classes {
                    return Err(wrong(streams * steps));
                }
                self.classes = classes;
                for token in batch.wanted.clone() {
                    let (stream, time) = (token / length - first, token % length);
                    let row = if batch_first {
                        stream * steps + time
                    } else {
                        time * streams + stream
                    };
                    self.logits.extend_from_slice(&values[row * classes..][..classes]);
                }
            }
        }
        Ok(())
    }
}

/// Compares two runs on the same samples.
pub fn evaluate(float: &Outputs, quantized: &Outputs, data: &Dataset) -> Evaluation {
    let samples = float.samples.min(quantized.samples);
    Evaluation {
        samples,
        float: metrics(float, data),
        quantized: metrics(quantized, data),
        agreement: agreement(float, quantized),
        sqnr_db: sqnr_db(&float.logits, &quantized.logits),
        split_only: None,
        oracle: None,
    }
}

/// Fraction of the samples of both runs with the same first answer.
pub(super) fn agreement(one: &Outputs, other: &Outputs) -> f64 {
    let samples = one.samples.min(other.samples);
    let same = |sample: &usize| largest(one.row(*sample)) == largest(other.row(*sample));
    share((0..samples).filter(same).count(), samples)
}

/// Metrics of one run on `data`.
pub fn metrics(outputs: &Outputs, data: &Dataset) -> Metrics {
    let samples = outputs.samples;
    let labels: Option<Vec<usize>> = (0..samples).map(|sample| data.label(sample)).collect();
    let Some(labels) = labels.filter(|_| samples > 0 && outputs.classification) else {
        return Metrics::default();
    };
    if data.is_text() {
        let nats: f64 = labels
            .iter()
            .enumerate()
            .map(|(at, label)| negative_log_likelihood(outputs.row(at), *label))
            .sum();
        let nats = nats / samples as f64;
        return Metrics {
            nats_per_token: Some(nats),
            perplexity: Some(nats.exp()),
            ..Metrics::default()
        };
    }
    let within = |k: usize| {
        labels
            .iter()
            .enumerate()
            .filter(|(at, label)| rank(outputs.row(*at), **label) < k)
            .count()
    };
    let top1 = share(within(1), samples);
    Metrics {
        top1: Some(top1),
        top1_interval: Some(wilson_interval(top1, samples)),
        top5: (outputs.classes > 5).then(|| share(within(5), samples)),
        ..Metrics::default()
    }
}

/// The `k` likeliest classes of one row of logits, likeliest first; of equal ones the lower class. A row that is a
/// distribution already (the network ends in a softmax) keeps its probabilities.
pub fn top_k(logits: &[f32], k: usize) -> Vec<Prediction> {
    let distribution = is_distribution(logits);
    let highest = logits
        .iter()
        .copied()
        .filter(|l| !l.is_nan())
        .fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| {
        if distribution {
            f64::from(logit)
        } else {
            f64::from(logit - highest).exp()
        }
    };
    let total: f64 = logits.iter().filter(|l| !l.is_nan()).map(|logit| weight(*logit)).sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| comparable(logits[*b]).total_cmp(&comparable(logits[*a])));
    order.truncate(k);
    (order.into_iter())
        .map(|class| {
            let probability = (weight(logits[class]) / total) as f32;
            Prediction {
                class,
                probability: if probability.is_nan() { 0.0 } else { probability },
            }
        })
        .collect()
}

/// Position of `label` when the classes are sorted, likeliest first and lower class first among equal ones.
fn rank(logits: &[f32], label: usize) -> usize {
    let Some(own) = logits.get(label).copied().map(comparable) else {
        return usize::MAX;
    };
    if own == f32::NEG_INFINITY {
        return usize::MAX;
    }
    let above = |(class, logit): (usize, &f32)| {
        let logit = comparable(*logit);
        logit > own || (logit == own && class < label)
    };
    logits.iter().enumerate().filter(|entry| above(*entry)).count()
}

/// The first answer; NaN never is one.
fn largest(logits: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (class, &logit) in logits.iter().enumerate() {
        if !logit.is_nan() && best.is_none_or(|(_, highest)| logit > highest) {
            best = Some((class, logit));
        }
    }
    best.map(|(class, _)| class)
}

/// NaN counts as the unlikeliest answer, and both zeros as equal.
fn comparable(logit: f32) -> f32 {
    if logit.is_nan() { f32::NEG_INFINITY } else { logit + 0.0 }
}

fn is_distribution(row: &[f32]) -> bool {
    let sum: f64 = row.iter().map(|p| f64::from(*p)).sum();
    row.len() > 1 && row.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < 1e-4
}

/// `-ln softmax(logits)[label]`, or `-ln p[label]` where the row is a distribution already; infinite for a label that the
/// network does not know.
fn negative_log_likelihood(logits: &[f32], label: usize) -> f64 {
    let Some(own) = logits.get(label).map(|logit| f64::from(*logit)) else {
        return f64::INFINITY;
    };
    if is_distribution(logits) {
        return -own.ln();
    }
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    f64::from(highest) + sum.ln() - own
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The 95 % confidence interval of a share seen in `samples` trials (Wilson 1927): unlike the share's standard error it
/// stays within 0 and 1 and does not vanish at them.
pub(super) fn wilson_interval(share: f64, samples: usize) -> [f64; 2] {
    /// The standard normal distribution lies within this many deviations with probability 0.95.
    const Z: f64 = 1.959_963_984_540_054;
    if samples == 0 {
        return [0.0, 1.0];
    }
    let n = samples as f64;
    let shrink = 1.0 / (1.0 + Z * Z / n);
    let centre = shrink * (share + Z * Z / (2.0 * n));
    let half = shrink * Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

/// `None` where it is undefined: nothing to compare, no signal, or a NaN.
fn sqnr_db(float: &[f32], quantized: &[f32]) -> Option<f64> {
    if float.len() != quantized.len() {
        return None;
    }
    let (mut signal, mut noise) = (0.0_f64, 0.0_f64);
    for (&float, &quantized) in float.iter().zip(quantized) {
        signal += f64::from(float).powi(2);
        noise += (f64::from(float) - f64::from(quantized)).powi(2);
    }
    if noise == 0.0 && signal > 0.0 {
        return Some(f64::INFINITY);
    }
    Some(10.0 * (signal / noise).log10()).filter(|db| db.is_finite())
}

#[cfg(test)]
mod tests;
