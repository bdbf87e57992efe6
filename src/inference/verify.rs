//! The same bytes in two engines: how far apart what they compute is.

use super::outputs::run_samples;
use super::split_only::largest_difference;
use super::{Dataset, Engine, InferenceError, Outputs};
use crate::progress::Progress;
use serde::Serialize;

/// A network in two engines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineDifference {
    /// The two engines.
    pub engines: [String; 2],
    /// Samples (images) or tokens (text) that were run.
    pub samples: usize,
    /// Largest difference of an output, in the units of the output; infinite (null in JSON) where only one is a number.
    pub max_abs_difference: f64,
    /// The same as a share of the largest |output|.
    pub relative_difference: f64,
    /// Samples whose first answer is another one in the second engine; `None` where the outputs are no classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_predictions: Option<usize>,
}

/// A float and a quantized network, each in two engines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// The float network.
    pub float: EngineDifference,
    /// The quantized network: the bytes that an export writes.
    pub quantized: EngineDifference,
}

/// Runs the first `limit` samples of `data` through two engines that have loaded the same bytes.
///
/// # Errors
/// [`InferenceError`] of data, of either engine, or `Cancelled`.
pub fn verify(
    engines: [&dyn Engine; 2],
    data: &Dataset,
    limit: usize,
    progress: &Progress,
) -> Result<EngineDifference, InferenceError> {
    let [one, other] = engines;
    let before = run_samples(one, data, 0..limit, progress)?;
    let after = run_samples(other, data, 0..limit, progress)?;
    Ok(engine_difference(engines.map(Engine::name), &before, &after))
}

/// Compares what two engines gave on the same samples.
pub fn engine_difference(engines: [&str; 2], one: &Outputs, other: &Outputs) -> EngineDifference {
    let samples = one.samples.min(other.samples);
    let (largest, difference) = largest_difference(one, other);
    let changed = |row: &usize| one.first_answer(*row) != other.first_answer(*row);
    let classes = one.classification && other.classification;
    EngineDifference {
        engines: engines.map(str::to_owned),
        samples,
        max_abs_difference: difference,
        relative_difference: if difference > 0.0 { difference / largest } else { 0.0 },
        changed_predictions: classes.then(|| (0..samples).filter(changed).count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;
    use crate::onnx::encode;

    #[test]
    fn the_same_bytes_in_the_same_engine_do_not_differ_and_other_weights_do() {
        let bytes = Demo::Fashion.model_bytes().to_vec();
        let data = Dataset::demo(Demo::Fashion);
        let network = Demo::Fashion.network().unwrap();
        let mut model = network.model.as_ref().clone();
        let graph = model.graph.as_mut().unwrap();
        // The classes of the last layer change places.
        let bias = graph
            .initializer
            .iter_mut()
            .rfind(|tensor| tensor.dims == [10])
            .unwrap();
        let name = bias.name().to_owned();
        *bias = crate::onnx::build::float_tensor(&name, &[10], &[0.0, 100.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let (one, again) = (Rten::load(bytes.clone()).unwrap(), Rten::load(bytes).unwrap());
        let moved = Rten::load(encode(&model).unwrap()).unwrap();
        let same = verify([&one, &again], &data, 20, &Progress::default()).unwrap();
        assert_eq!(
            (same.samples, same.max_abs_difference, same.changed_predictions),
            (20, 0.0, Some(0))
        );
        assert_eq!(same.engines, ["rten 0.27", "rten 0.27"]);
        let other = verify([&one, &moved], &data, 20, &Progress::default()).unwrap();
        let trousers = (0..20).filter(|sample| data.label(*sample) == Some(1)).count();
        assert!(other.max_abs_difference > 90.0, "{other:?}");
        assert!(other.changed_predictions >= Some(20 - trousers - 2), "{other:?}");
    }
}
