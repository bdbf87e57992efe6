//! Which samples to show, and what the two networks say of them.

use crate::inference::{Outputs, Prediction, top_k};
use std::sync::Arc;

/// Samples listed for the preview.
const LISTED: usize = 200;

/// Characters at the beginning of a stream that are not listed.
const WARM_UP: usize = 40;

/// Answers of both networks to the samples worth looking at.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Sample positions: those whose first answer changed, then the others.
    pub order: Vec<usize>,
    /// Samples whose first answer changed, among all that were run.
    pub changed: usize,
    /// Answers of the quantized network.
    pub quantized: Arc<Outputs>,
}

impl Preview {
    /// Compares the first answers of two runs on the same samples. Of text that is read in streams of `stream` characters,
    /// the beginnings are not listed: with nothing read yet, neither network can know.
    pub fn new(float: &Outputs, quantized: Arc<Outputs>, stream: Option<usize>) -> Self {
        let samples = float.samples.min(quantized.samples);
        let (changed, same): (Vec<usize>, Vec<usize>) =
            (0..samples).partition(|&sample| first_answer(float, sample) != first_answer(&quantized, sample));
        let count = changed.len();
        let listed = |sample: &usize| stream.is_none_or(|stream| stream < 2 * WARM_UP || sample % stream >= WARM_UP);
        let order = changed.into_iter().chain(same).filter(listed).take(LISTED).collect();
        Self {
            order,
            changed: count,
            quantized,
        }
    }
}

/// The logits of one sample; empty if it was not run.
pub fn row(outputs: &Outputs, sample: usize) -> &[f32] {
    let start = sample.saturating_mul(outputs.classes);
    outputs
        .logits
        .get(start..start.saturating_add(outputs.classes))
        .unwrap_or(&[])
}

/// The likeliest answers to one sample.
pub fn answers(outputs: &Outputs, sample: usize, k: usize) -> Vec<Prediction> {
    let row = row(outputs, sample);
    if row.is_empty() || !outputs.classification {
        Vec::new()
    } else {
        top_k(row, k)
    }
}

fn first_answer(outputs: &Outputs, sample: usize) -> Option<usize> {
    let row = row(outputs, sample).iter().enumerate();
    row.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))
        .map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(rows: &[[f32; 2]]) -> Outputs {
        Outputs {
            samples: rows.len(),
            classes: 2,
            logits: rows.concat(),
            classification: true,
            tokens: Vec::new(),
        }
    }

    #[test]
    fn samples_whose_answer_changed_come_first() {
        let float = outputs(&[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]);
        let quantized = outputs(&[[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [0.7, 0.7]]);
        let preview = Preview::new(&float, Arc::new(quantized), None);
        assert_eq!(preview.order, [1, 2, 0, 3]);
        assert_eq!(preview.changed, 2);
    }

    #[test]
    fn a_sample_that_was_not_run_has_no_answers() {
        assert!(answers(&outputs(&[[1.0, 0.0]]), 7, 3).is_empty());
    }
}
