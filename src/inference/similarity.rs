//! How well a sentence encoder tells alike sentences from others: the correlation of the cosines of its answers with scores that
//! people gave (SICK, Marelli et al. 2014; the STS benchmark, Cer et al. 2017).

use super::intervals::Z;
use super::{Metrics, Outputs};

/// Pairs below which a correlation says nothing.
pub(super) const FEWEST: usize = 4;

/// Correlations of the cosines of samples 2i and 2i + 1 with score i, over the pairs of which both were run.
pub(super) fn similarity(outputs: &Outputs, scores: &[f64]) -> Metrics {
    let range = outputs.range();
    let pairs = range.start.div_ceil(2)..(range.end / 2).min(scores.len());
    let row = |sample: usize| outputs.row(sample - range.start);
    let cosines: Vec<f64> = pairs
        .clone()
        .map(|pair| cosine(row(2 * pair), row(2 * pair + 1)))
        .collect();
    let scores = scores.get(pairs).unwrap_or_default();
    if cosines.len() < FEWEST {
        return Metrics {
            pairs: Some(cosines.len()),
            ..Metrics::default()
        };
    }
    let pearson = correlation(&cosines, scores);
    let spearman = correlation(&ranks(&cosines), &ranks(scores));
    let spread = (cosines.len() as f64 - 3.0).sqrt().recip();
    Metrics {
        pairs: Some(cosines.len()),
        pearson,
        pearson_interval: pearson.map(|r| interval(r, spread)),
        spearman,
        spearman_interval: spearman.map(|r| interval(r, spread * (1.0 + r * r / 2.0).sqrt())),
        ..Metrics::default()
    }
}

/// Fisher's transform makes a correlation near to normal.
fn interval(r: f64, deviation: f64) -> [f64; 2] {
    [-1.0, 1.0].map(|side| (r.atanh() + side * Z * deviation).tanh())
}

/// The cosine of the angle between two rows; 0 where one is 0.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum::<f64>()
    };
    let lengths = (product(a, a) * product(b, b)).sqrt();
    if lengths > 0.0 { product(a, b) / lengths } else { 0.0 }
}

/// Pearson's correlation; `None` where one side is constant.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    let r = ab / (aa * bb).sqrt();
    r.is_finite().then(|| r.clamp(-1.0, 1.0))
}

/// The rank of each number, from 1 on; equal ones share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for run in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let shared = start as f64 + (run.len() as f64 + 1.0) / 2.0;
        run.iter().for_each(|place| ranks[*place] = shared);
        start += run.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of scipy 1.17: `pearsonr` with `confidence_interval(0.95)`, `spearmanr`.
    #[test]
    fn correlations_are_those_of_scipy() {
        let a = [1.0, 2.5, 2.5, 4.0, 7.0, 5.5];
        let b = [0.9, 0.2, 0.4, 0.7, 0.95, 0.7];
        let found = [
            correlation(&a, &b).unwrap(),
            correlation(&ranks(&a), &ranks(&b)).unwrap(),
        ];
        for (found, expected) in found.iter().zip([0.393_604_425_495_266_14, 0.382_352_941_176_470_6]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let interval = interval(found[0], 1.0 / 3.0_f64.sqrt());
        for (found, expected) in interval.iter().zip([-0.614_131_356_912_607_7, 0.913_395_897_647_659_4]) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        assert_eq!(ranks(&a), [1.0, 2.5, 2.5, 4.0, 6.0, 5.0]);
        assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
        assert!((cosine(&[3.0, 0.0], &[1.0, 1.0]) - 0.5_f64.sqrt()).abs() < 1e-7);
    }

    #[test]
    fn only_pairs_of_which_both_were_run_count() {
        let angle = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin()];
        // Sample 1 is the second half of a pair that began before.
        let rows = [10.0, 0.0, 80.0, 0.0, 60.0, 0.0, 40.0, 0.0, 10.0, 0.0];
        let outputs = Outputs {
            first: 1,
            samples: rows.len(),
            classes: 2,
            logits: rows.iter().flat_map(|degrees| angle(*degrees)).collect(),
            ..Outputs::default()
        };
        let found = similarity(&outputs, &[9.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((found.pairs, found.spearman), (Some(4), Some(1.0)));
        let few = similarity(&outputs, &[9.0, 1.0, 2.0]);
        assert_eq!((few.pairs, few.pearson), (Some(2), None));
    }
}
