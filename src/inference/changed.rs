//! Which answers a quantized network changes: from which class to which, and whether for better or worse.

use super::{Dataset, Outputs};
use std::collections::BTreeMap;

/// Samples whose first answer went from one class to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedCell {
    /// The float network's first answer.
    pub from: usize,
    /// The quantized network's.
    pub to: usize,
    /// The samples, ascending.
    pub samples: Vec<usize>,
}

/// What a change does to the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Right before, wrong now.
    Broken,
    /// Wrong before, right now.
    Mended,
    /// Wrong before and now, but otherwise.
    StillWrong,
}

/// How many changes were for better or worse, on labelled samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdicts {
    /// Right before, wrong now.
    pub broken: usize,
    /// Wrong before, right now.
    pub mended: usize,
    /// Wrong before and now, but otherwise.
    pub still_wrong: usize,
}

/// The first answers of two networks compared, sample by sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangedAnswers {
    /// Samples that were compared.
    pub samples: usize,
    /// Changes by their classes: the commonest first, of equal ones that with the lower classes.
    pub cells: Vec<ChangedCell>,
    /// For better or worse; `None` without labels.
    pub verdicts: Option<Verdicts>,
}

/// Compares the first answers of two runs on the same samples. Samples of which a network has no answer (NaN in all
/// classes) are not counted as changed; where the outputs stand for no classes, nothing is.
pub fn changed_answers(float: &Outputs, quantized: &Outputs, data: &Dataset) -> ChangedAnswers {
    let samples = float.samples.min(quantized.samples);
    let mut cells: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    let mut verdicts = Some(Verdicts::default());
    let compared = if float.classification { samples } else { 0 };
    for (row, sample) in (float.first..).take(compared).enumerate() {
        let (Some(from), Some(to)) = (float.first_answer(row), quantized.first_answer(row)) else {
            continue;
        };
        if from == to {
            continue;
        }
        cells.entry((from, to)).or_default().push(sample);
        match (&mut verdicts, data.label(sample)) {
            (Some(verdicts), Some(label)) => match Verdict::of(from, to, label) {
                Verdict::Broken => verdicts.broken += 1,
                Verdict::Mended => verdicts.mended += 1,
                Verdict::StillWrong => verdicts.still_wrong += 1,
            },
            _ => verdicts = None,
        }
    }
    let labelled = samples > 0 && data.label(float.first).is_some();
    let mut cells: Vec<ChangedCell> = (cells.into_iter())
        .map(|((from, to), samples)| ChangedCell { from, to, samples })
        .collect();
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.samples.len()));
    ChangedAnswers {
        samples,
        cells,
        verdicts: verdicts.filter(|_| labelled),
    }
}

impl Verdict {
    /// What a change from one class to another is for a sample of class `label`.
    pub fn of(from: usize, to: usize, label: usize) -> Self {
        if from == label {
            Self::Broken
        } else if to == label {
            Self::Mended
        } else {
            Self::StillWrong
        }
    }
}

impl Verdicts {
    /// How likely broken and mended answers would differ by as much or more if either were as likely as the other: the
    /// two-sided sign test, that is McNemar's (1947) in its exact form.
    pub fn p_value(&self) -> f64 {
        let (fewer, n) = (self.broken.min(self.mended), self.broken + self.mended);
        // Terms of the binomial distribution from its logarithm at 0: small ones must not vanish before they add up.
        let mut log_term = -(n as f64) * std::f64::consts::LN_2;
        let mut tail = log_term.exp();
        for k in 1..=fewer {
            log_term += ((n - k + 1) as f64 / k as f64).ln();
            tail += log_term.exp();
        }
        (2.0 * tail).min(1.0)
    }
}

impl ChangedAnswers {
    /// Samples whose first answer changed.
    pub fn count(&self) -> usize {
        self.cells.iter().map(|cell| cell.samples.len()).sum()
    }

    /// The cell of two classes.
    pub fn cell(&self, from: usize, to: usize) -> Option<&ChangedCell> {
        self.cells.iter().find(|cell| (cell.from, cell.to) == (from, to))
    }

    /// The classes that are in some cell, ascending.
    pub fn classes(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = self.cells.iter().flat_map(|cell| [cell.from, cell.to]).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use crate::inference::{Rten, run_outputs};
    use crate::progress::Progress;

    fn outputs(answers: &[usize]) -> Outputs {
        let row = |answer: usize| (0..10).map(move |class| f32::from(u8::from(class == answer)));
        Outputs {
            samples: answers.len(),
            classes: 10,
            logits: answers.iter().copied().flat_map(row).collect(),
            classification: true,
            ..Outputs::default()
        }
    }

    #[test]
    fn changes_are_counted_by_class_and_by_whether_they_help() {
        let data = Dataset::demo(Demo::Fashion);
        let label = |sample: usize| data.label(sample).unwrap();
        let other = |sample: usize, by: usize| (label(sample) + by) % 10;
        // Right and stays; right to wrong; wrong to right; wrong to another wrong; wrong and stays.
        let float = outputs(&[label(0), label(1), other(2, 1), other(3, 1), other(4, 1)]);
        let quantized = outputs(&[label(0), other(1, 3), label(2), other(3, 2), other(4, 1)]);
        let changed = changed_answers(&float, &quantized, &data);
        let verdicts = Verdicts {
            broken: 1,
            mended: 1,
            still_wrong: 1,
        };
        assert_eq!(
            (changed.samples, changed.count(), changed.verdicts),
            (5, 3, Some(verdicts))
        );
        assert_eq!(changed.cell(label(1), other(1, 3)).unwrap().samples, [1]);
        assert_eq!(changed.cell(label(0), label(0)), None);
    }

    #[test]
    fn the_commonest_change_comes_first_and_a_network_without_an_answer_changed_nothing() {
        let data = Dataset::demo(Demo::Fashion);
        let float = outputs(&[1, 2, 2, 2]);
        let mut quantized = outputs(&[3, 4, 4, 4]);
        quantized.logits[30..].fill(f32::NAN);
        let changed = changed_answers(&float, &quantized, &data);
        let cells: Vec<(usize, usize, &[usize])> = (changed.cells.iter())
            .map(|cell| (cell.from, cell.to, cell.samples.as_slice()))
            .collect();
        assert_eq!(cells, [(2, 4, &[1, 2][..]), (1, 3, &[0][..])]);
        assert_eq!(changed.classes(), [1, 2, 3, 4]);
    }

    #[test]
    fn broken_and_mended_answers_explain_the_change_of_accuracy() {
        use crate::quantization::{plan, rewrite};
        let mut network = Demo::Fashion.network().unwrap();
        network.name = "fashion".to_owned();
        let recipe = crate::quantization::Recipe {
            weight_bits: crate::quantization::Bits::Grid(3),
            activation_bits: crate::quantization::Bits::Float,
            ..Default::default()
        };
        let progress = Progress::default();
        let network = crate::quantization::prepare(&network, &recipe).unwrap();
        let made = plan(&network, &recipe, None, &progress).unwrap();
        let model = crate::onnx::encode(&rewrite(&network, &made).unwrap()).unwrap();
        let data = Dataset::demo(Demo::Fashion);
        let run = |bytes: Vec<u8>| run_outputs(&Rten::load(bytes).unwrap(), &data, 200, &progress).unwrap();
        let (float, quantized) = (run(Demo::Fashion.model_bytes().to_vec()), run(model));
        let evaluation = crate::inference::evaluate(&float, &quantized, &data);
        let changed = changed_answers(&float, &quantized, &data);
        let verdicts = changed.verdicts.unwrap();
        let lost = evaluation.float.top1.unwrap() - evaluation.quantized.top1.unwrap();
        assert!(verdicts.broken > verdicts.mended);
        assert!((lost * 200.0 - (verdicts.broken as f64 - verdicts.mended as f64)).abs() < 1e-9);
        assert!((evaluation.agreement.unwrap() - (1.0 - changed.count() as f64 / 200.0)).abs() < 1e-12);
    }

    #[test]
    fn the_sign_test_gives_the_tails_of_the_binomial_distribution() {
        let p = |broken, mended| {
            let verdicts = Verdicts {
                broken,
                mended,
                still_wrong: 5,
            };
            verdicts.p_value()
        };
        // 2 (C(10,0) + C(10,1)) / 2^10.
        assert!((p(9, 1) - 22.0 / 1024.0).abs() < 1e-12);
        assert_eq!((p(0, 0), p(4, 4)), (1.0, 1.0));
        assert_eq!(p(3, 12), p(12, 3));
        assert!(p(2000, 1000) < 1e-60 && p(2000, 1000) > 0.0, "{}", p(2000, 1000));
    }
}
