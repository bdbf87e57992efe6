//! Whether splitting leaves the network's function unchanged: the plan's splits without a grid, on a person's own data.

use super::evaluate::agreement;
use super::outputs::batches;
use super::{Dataset, InferenceError, Outputs, QuantizedModel, run_outputs};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::Plan;
use serde::Serialize;

/// Images that are run: the difference is rounding, which more images do not change.
const IMAGES: usize = 64;

/// How far the network with its splits alone, in float, is from the original network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SplitOnly {
    /// Samples (images) or tokens (text) that were run: the first 64 images, or the first batch of text.
    pub samples: usize,
    /// Largest difference of an output, in the units of the output.
    pub max_abs_difference: f64,
    /// The same as a share of the largest |output|.
    pub relative_difference: f64,
    /// Fraction of samples with the same first answer; see [`super::Evaluation::agreement`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
}

/// Runs the splits of `plan` without a grid on the first samples of `data` and compares with `float`, the outputs of the
/// original network on the same data. `network` is the one that the plan was made for. `None` when the plan splits nothing.
///
/// # Errors
/// [`InferenceError`] of graph, data, engine, or `Cancelled`.
pub fn split_only_difference(
    network: &Network,
    plan: &Plan,
    data: &Dataset,
    float: &Outputs,
    progress: &Progress,
) -> Result<Option<SplitOnly>, InferenceError> {
    let splits = |layer: &crate::quantization::LayerPlan| layer.inputs().is_some_and(|inputs| inputs.is_expanded());
    if !plan.layers.iter().any(splits) {
        return Ok(None);
    }
    let engine = QuantizedModel::of_splits_alone(network, plan)?.engine()?;
    let mut samples = float.samples.min(data.len());
    if data.is_text() {
        let first = batches(&engine, data, 0..samples, IMAGES)?
            .first()
            .map(|batch| batch.wanted.len());
        samples = first.unwrap_or(samples);
    } else {
        samples = samples.min(IMAGES);
    }
    let split = run_outputs(&engine, data, samples, progress)?;
    if split.logits.is_empty() {
        // A detector whose candidates vary in number: there is nothing to compare one by one.
        return Ok(None);
    }
    Ok(Some(difference(float, &split)))
}

/// Compares the samples of `split` with the first samples of `float`.
fn difference(float: &Outputs, split: &Outputs) -> SplitOnly {
    let (largest, difference) = largest_difference(float, split);
    SplitOnly {
        samples: float.samples.min(split.samples),
        max_abs_difference: difference,
        relative_difference: if difference > 0.0 { difference / largest } else { 0.0 },
        agreement: agreement(float, split),
    }
}

/// The largest |output| of `float` and the largest difference of an output, as far as both have outputs.
pub(super) fn largest_difference(float: &Outputs, split: &Outputs) -> (f64, f64) {
    let (mut largest, mut difference) = (0.0_f64, 0.0_f64);
    for (before, after) in float.logits.iter().zip(&split.logits) {
        largest = largest.max(f64::from(before.abs()));
        let moved = (f64::from(*before) - f64::from(*after)).abs();
        // A NaN on one side only must not pass for equal.
        if moved > difference || (moved.is_nan() && before.is_nan() != after.is_nan()) {
            difference = if moved.is_nan() { f64::INFINITY } else { moved };
        }
    }
    (largest, difference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;
    use crate::quantization::{Bits, Recipe, plan};

    fn outputs(logits: &[f32]) -> Outputs {
        Outputs {
            samples: logits.len() / 2,
            classes: 2,
            logits: logits.to_vec(),
            classification: true,
            ..Outputs::default()
        }
    }

    #[test]
    fn the_largest_difference_counts_and_is_told_as_a_share_too() {
        let found = difference(&outputs(&[1.0, -4.0, 2.0, 0.0]), &outputs(&[1.5, -4.0]));
        assert_eq!(
            (found.samples, found.max_abs_difference, found.agreement),
            (1, 0.5, Some(1.0))
        );
        assert_eq!(found.relative_difference, 0.125);
        let broken = difference(&outputs(&[1.0, 2.0]), &outputs(&[f32::NAN, 2.0]));
        assert_eq!(broken.max_abs_difference, f64::INFINITY);
        assert_eq!(
            difference(&outputs(&[0.0, 0.0]), &outputs(&[0.0, 0.0])).relative_difference,
            0.0
        );
    }

    #[test]
    fn splits_alone_leave_the_fashion_demo_as_it_was() {
        let network = Demo::Fashion.network().unwrap();
        let data = Dataset::demo(Demo::Fashion);
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let progress = Progress::default();
        let float = run_outputs(&engine, &data, 100, &progress).unwrap();
        let recipe = |expand_ratio| Recipe {
            weight_bits: Bits::Grid(3),
            expand_ratio,
            ..Recipe::default()
        };
        let split = plan(&network, &recipe(0.1), None, &progress).unwrap();
        let found = split_only_difference(&network, &split, &data, &float, &progress).unwrap();
        let found = found.unwrap();
        assert_eq!((found.samples, found.agreement), (64, Some(1.0)));
        assert!(
            found.max_abs_difference > 0.0 && found.relative_difference < 1e-5,
            "{found:?}"
        );
        let plain = plan(&network, &recipe(0.0), None, &progress).unwrap();
        let none = split_only_difference(&network, &plain, &data, &float, &progress).unwrap();
        assert_eq!(none, None);
    }
}
