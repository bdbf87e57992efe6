//! How well a network answers, and how a quantized one compares with the float one.

use super::average_precision::average_precision;
use super::intervals::{BLOCK, Z, mean_interval, sqnr_interval};
use super::segmentation::segmentation;
use super::similarity::similarity;
use super::unused_labels::unused_labels;
use super::{AtChance, Dataset, Detections, LatencyReport, OracleMetrics, Outputs, SplitOnly, Verification};
use serde::Serialize;

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
    /// 95 % confidence interval of `perplexity`, low and high: `exp` of the normal interval of the mean loss, blocks of 50
    /// tokens taken as independent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity_interval: Option<[f64; 2]>,
    /// Intersection over union of the pixels of a class, mean over the classes that occur, 0 to 1 (segmentation).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_iou: Option<f64>,
    /// Fraction of pixels whose likeliest class is the label (segmentation).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixel_accuracy: Option<f64>,
    /// Mean average precision of boxes, over overlaps of 0.5 to 0.95 and categories, as COCO counts it, 0 to 1 (detection).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_ap: Option<f64>,
    /// The same at an overlap of 0.5 alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_ap_50: Option<f64>,
    /// Pairs of sentences that were judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<usize>,
    /// Correlation (Pearson) of the cosines of pairs of sentences with how alike people say they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pearson: Option<f64>,
    /// 95 % confidence interval of `pearson` (Fisher 1921), low and high.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pearson_interval: Option<[f64; 2]>,
    /// The same correlation of their ranks (Spearman).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spearman: Option<f64>,
    /// 95 % confidence interval of `spearman` (Bonett and Wright 2000), low and high.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spearman_interval: Option<[f64; 2]>,
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
    /// Fraction of samples with the same first answer. `None` where the outputs are not one number for each of several classes
    /// (a single number, a map): they have no first answer, and `sqnr_db` is what tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// 95 % confidence interval of `agreement` (Wilson 1927), low and high.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement_interval: Option<[f64; 2]>,
    /// `10 log10(sum float^2 / sum (float - quantized)^2)` over all outputs that are kept, decibels; infinite when equal (null
    /// in JSON).
    pub sqnr_db: Option<f64>,
    /// 95 % confidence interval of `sqnr_db`, low and high: the normal interval of the logarithm of the ratio, samples (of
    /// text: blocks of 50 tokens) taken as independent. `None` for fewer than ten of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqnr_db_interval: Option<[f64; 2]>,
    /// What the splits alone change, if it was measured: see [`super::split_only_difference`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_only: Option<SplitOnly>,
    /// What Oracle OCS would reach, if it was asked for: see [`super::run_oracle`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<OracleMetrics>,
    /// That the float network does no better than guessing, if it was looked into: see [`super::suggest_preprocess`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_chance: Option<AtChance>,
    /// What ran the networks, if it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// What both networks take, if it was measured: see [`super::latency_report`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyReport>,
    /// Both networks in another engine, if they were run there: see [`super::verify`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verification>,
    /// What a person should know of the data: samples that were left out, values that are no numbers, sizes that were chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why labels that are there do not count; also the last of the notes.
    #[serde(skip)]
    pub labels_unused: Option<String>,
}

/// One answer: class and probability (softmax).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Class index.
    pub class: usize,
    /// Softmax probability, 0 to 1.
    pub probability: f32,
}

/// Compares two runs on the same samples.
pub fn evaluate(float: &Outputs, quantized: &Outputs, data: &Dataset) -> Evaluation {
    let samples = float.samples.min(quantized.samples);
    let agreement = agreement(float, quantized);
    let block = if data.is_text() { BLOCK } else { 1 };
    let of_float = metrics(float, data);
    let labels_unused = unused_labels(float, &of_float, data);
    Evaluation {
        samples,
        float: of_float,
        quantized: metrics(quantized, data),
        agreement,
        agreement_interval: agreement.map(|share| wilson_interval(share, samples)),
        sqnr_db: sqnr_db(&float.logits, &quantized.logits),
        sqnr_db_interval: sqnr_interval(float, quantized, block),
        split_only: None,
        oracle: None,
        at_chance: None,
        engine: None,
        latency: None,
        verified: None,
        notes: data.notes().iter().chain(&labels_unused).cloned().collect(),
        labels_unused,
    }
}

/// Fraction of the samples of both runs with the same first answer; `None` where the outputs are no classes.
pub(super) fn agreement(one: &Outputs, other: &Outputs) -> Option<f64> {
    let samples = one.samples.min(other.samples);
    let same = |row: &usize| one.first_answer(*row) == other.first_answer(*row);
    (one.classification && other.classification).then(|| share((0..samples).filter(same).count(), samples))
}

/// Metrics of one run on `data`.
pub fn metrics(outputs: &Outputs, data: &Dataset) -> Metrics {
    if let Some(scores) = data.similarity_scores() {
        return similarity(outputs, scores);
    }
    if let Some(boxes) = data.boxes() {
        return match &outputs.detections {
            Some(Detections::Found(found)) => average_precision(found, outputs.first, boxes, data).unwrap_or_default(),
            _ => Metrics::default(),
        };
    }
    if let Some(maps) = data.label_maps() {
        return segmentation(outputs, maps).unwrap_or_default();
    }
    let samples = outputs.samples;
    let labels: Option<Vec<usize>> = outputs.range().map(|sample| data.label(sample)).collect();
    let Some(labels) = labels.filter(|_| samples > 0 && outputs.classification) else {
        return Metrics::default();
    };
    if data.is_text() {
        let losses: Vec<f64> = labels
            .iter()
            .enumerate()
            .map(|(row, label)| outputs.nats(row, *label))
            .collect();
        let nats = losses.iter().sum::<f64>() / samples as f64;
        return Metrics {
            nats_per_token: Some(nats),
            perplexity: Some(nats.exp()),
            perplexity_interval: mean_interval(&losses, BLOCK).map(|ends| ends.map(f64::exp)),
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
pub(super) fn rank(logits: &[f32], label: usize) -> usize {
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
pub(super) fn largest(logits: &[f32]) -> Option<usize> {
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

pub(super) fn is_distribution(row: &[f32]) -> bool {
    let sum: f64 = row.iter().map(|p| f64::from(*p)).sum();
    row.len() > 1 && row.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < 1e-4
}

/// `-ln softmax(logits)[label]`, or `-ln p[label]` where the row is a distribution already; infinite for a label that the
/// network does not know.
pub(super) fn negative_log_likelihood(logits: &[f32], label: usize) -> f64 {
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
    if samples == 0 {
        return [0.0, 1.0];
    }
    let n = samples as f64;
    let shrink = 1.0 / (1.0 + Z * Z / n);
    let centre = shrink * (share + Z * Z / (2.0 * n));
    let half = shrink * Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

fn signal_and_noise(float: &[f32], quantized: &[f32]) -> (f64, f64) {
    let (mut signal, mut noise) = (0.0_f64, 0.0_f64);
    for (&float, &quantized) in float.iter().zip(quantized) {
        signal += f64::from(float).powi(2);
        noise += (f64::from(float) - f64::from(quantized)).powi(2);
    }
    (signal, noise)
}

/// `None` where it is undefined: nothing to compare, no signal, or a NaN.
fn sqnr_db(float: &[f32], quantized: &[f32]) -> Option<f64> {
    if float.len() != quantized.len() {
        return None;
    }
    let (signal, noise) = signal_and_noise(float, quantized);
    if noise == 0.0 && signal > 0.0 {
        return Some(f64::INFINITY);
    }
    Some(10.0 * (signal / noise).log10()).filter(|db| db.is_finite())
}

#[cfg(test)]
mod tests;
