//! Which samples to show, and what the two networks say of them.

use crate::inference::{
    ChangedAnswers, Dataset, Outputs, Prediction, TokenLosses, changed_answers, token_losses, top_k,
};
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
    /// The same by classes, and whether for better or worse.
    pub answers: ChangedAnswers,
    /// How surprised both networks are by each token, of text.
    pub losses: Option<TokenLosses>,
    /// Answers of the quantized network.
    pub quantized: Arc<Outputs>,
}

impl Preview {
    /// Compares the first answers of two runs on the same samples of `data`. Of text that is read in streams the beginnings
    /// are not listed: with nothing read yet, neither network can know.
    pub fn new(float: &Outputs, quantized: Arc<Outputs>, data: &Dataset) -> Self {
        let answers = changed_answers(float, &quantized, data);
        let losses = token_losses(float, &quantized, data);
        let stream = data.text_layout().map(|layout| layout.length);
        let listed = |sample: &usize| stream.is_none_or(|stream| stream < 2 * WARM_UP || sample % stream >= WARM_UP);
        Self {
            order: order(&answers).filter(listed).take(LISTED).collect(),
            changed: answers.count(),
            answers,
            losses,
            quantized,
        }
    }
}

/// All samples: those that changed, then the others, each ascending.
fn order(answers: &ChangedAnswers) -> impl Iterator<Item = usize> {
    let mut changed: Vec<usize> = answers
        .cells
        .iter()
        .flat_map(|cell| cell.samples.iter().copied())
        .collect();
    changed.sort_unstable();
    let has_changed = {
        let changed = changed.clone();
        move |sample: &usize| changed.binary_search(sample).is_ok()
    };
    let same = (0..answers.samples).filter(move |sample| !has_changed(sample));
    changed.into_iter().chain(same)
}

/// The logits of one sample; empty if it was not run.
pub fn row(outputs: &Outputs, sample: usize) -> &[f32] {
    outputs.row(sample)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;

    fn outputs(rows: &[[f32; 2]]) -> Outputs {
        Outputs {
            samples: rows.len(),
            classes: 2,
            logits: rows.concat(),
            classification: true,
            ..Outputs::default()
        }
    }

    #[test]
    fn samples_whose_answer_changed_come_first() {
        let float = outputs(&[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]);
        let quantized = outputs(&[[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [0.7, 0.7]]);
        let preview = Preview::new(&float, Arc::new(quantized), &Dataset::demo(Demo::Fashion));
        assert_eq!(preview.order, [1, 2, 0, 3]);
        assert_eq!(preview.changed, 2);
        assert!(preview.losses.is_none(), "pictures have no tokens");
    }

    #[test]
    fn a_sample_that_was_not_run_has_no_answers() {
        assert!(answers(&outputs(&[[1.0, 0.0]]), 7, 3).is_empty());
    }
}
