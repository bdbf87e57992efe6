//! Segmentation: a class for each pixel, judged by pixel accuracy and mean intersection over union (Long et al. 2015, section 5).

use super::{Metrics, Outputs};
use crate::data::LabelMaps;
use rayon::prelude::*;

/// The metrics of outputs `[samples, classes, height, width]` (or with the classes last) against label maps of the same height and
/// width. Pixels whose label is no class of the output do not count, as 255 in most data sets. Intersection and union are counted
/// over all samples together; the mean is over the classes that occur in labels or answers. `None` where the sizes differ.
pub(super) fn segmentation(outputs: &Outputs, maps: &LabelMaps) -> Option<Metrics> {
    let [height, width] = maps.size();
    let pixels = height * width;
    let (classes, stride, step) = match outputs.map? {
        [classes, rows, columns] if [rows, columns] == maps.size() => (classes, pixels, 1),
        [rows, columns, classes] if [rows, columns] == maps.size() => (classes, 1, classes),
        _ => return None,
    };
    // Of each class: pixels of it, pixels answered so, both.
    let zero = || vec![[0_u64; 3]; classes];
    let count = |mut counts: Vec<[u64; 3]>, sample: usize| {
        let (row, labels) = (outputs.row(sample), maps.sample(outputs.first + sample));
        for (pixel, label) in labels.iter().enumerate() {
            let Some(label) = usize::try_from(*label).ok().filter(|label| *label < classes) else {
                continue;
            };
            let score = |class: usize| row.get(pixel * step + class * stride).copied().unwrap_or(f32::NAN);
            let mut best: Option<(usize, f32)> = None;
            for class in 0..classes {
                let score = score(class);
                if !score.is_nan() && best.is_none_or(|(_, highest)| score > highest) {
                    best = Some((class, score));
                }
            }
            counts[label][0] += 1;
            if let Some((answer, _)) = best {
                counts[answer][1] += 1;
                counts[answer][2] += u64::from(answer == label);
            }
        }
        counts
    };
    let add = |mut sum: Vec<[u64; 3]>, other: Vec<[u64; 3]>| {
        for (sum, other) in sum.iter_mut().zip(other) {
            sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
        }
        sum
    };
    let counts = (0..outputs.samples).into_par_iter().fold(zero, count).reduce(zero, add);
    let total: u64 = counts.iter().map(|[labelled, ..]| labelled).sum();
    if total == 0 {
        return None;
    }
    let right: u64 = counts.iter().map(|[.., both]| both).sum();
    let unions = counts
        .iter()
        .map(|[labelled, answered, both]| (labelled + answered - both, *both));
    let ious: Vec<f64> = unions
        .filter(|(union, _)| *union > 0)
        .map(|(union, both)| both as f64 / union as f64)
        .collect();
    Some(Metrics {
        mean_iou: Some(ious.iter().sum::<f64>() / ious.len() as f64),
        pixel_accuracy: Some(right as f64 / total as f64),
        ..Metrics::default()
    })
}
