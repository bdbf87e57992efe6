//! Ranges of layer inputs from samples run through the float network.

use super::free_sizes::first_that_runs;
use super::prefetch::each_batch;
use super::{Dataset, Engine, InferenceError, Port};
use crate::data::{ElementKind, FreeSizes, Tensor, by_name, shapes_of_a_run};
use crate::engine::UNOPTIMIZED;
use crate::network::{Layer, Network};
use crate::onnx::ModelProto;
use crate::progress::Progress;
use crate::quantization::{Activations, ValueShapes, joined_values};
use crate::statistics::{ActivationStatistics, RangeSource};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Samples that run at once: fewer than for an evaluation, because the inputs of all layers are kept at the same time.
pub(super) const BATCH: usize = 25;

/// Elements that an input may have where its sizes are tried.
const MAX_ELEMENTS: usize = 1 << 28;

/// What is tried first for free sizes, where one sample of one step is wanted. Further ones follow.
pub(super) const ONE_SAMPLE: [FreeSizes; 2] = [(224, 1), (32, 1)];

/// What calibration learnt.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// Statistics by value name.
    pub activations: Activations,
    /// Samples that were run.
    pub samples: usize,
    /// Where they came from, for a person.
    pub data_name: String,
}

/// Runs up to `limit` samples through `engine` (the float network) and gathers the input of every layer that lies in the
/// main graph, and the values between layers that can go on a grid ([`joined_values`]). The engine's optimizations are not used, so that the ranges do not depend on them.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn calibrate(
    network: &Network,
    engine: &dyn Engine,
    data: &Dataset,
    limit: usize,
    progress: &Progress,
) -> Result<Calibration, InferenceError> {
    let samples = data.len().min(limit);
    if samples == 0 {
        return Err(InferenceError::Data(format!(
            "{}: no samples to calibrate on",
            data.name()
        )));
    }
    let joined = joined_values(network);
    let mut names = input_names(network);
    names.extend(joined.iter().map(String::as_str));
    let mut activations = Activations::new();
    progress.start(samples as u64, format!("Calibrating on {}", data.name()));
    let batches = super::outputs::measured_batches(engine, data, 0..samples)?;
    let ranges: Vec<Range<usize>> = batches.iter().map(|batch| batch.run.clone()).collect();
    // A network with a fixed batch size runs earlier samples again in its last batch: they count twice there, which leaves
    // the range as it is.
    each_batch(data, &ranges, progress, |position, inputs| {
        let values = engine.run_with(inputs, &names, UNOPTIMIZED)?;
        gather(&mut activations, &names, values, network, RangeSource::Calibration);
        progress.advance(batches[position].wanted.len() as u64);
        Ok(())
    })?;
    Ok(Calibration {
        activations,
        samples,
        data_name: data.name().to_owned(),
    })
}

/// Takes in the `values` of a batch, which `names` names.
pub(super) fn gather(
    activations: &mut Activations,
    names: &[&str],
    values: Vec<Tensor>,
    network: &Network,
    source: RangeSource,
) {
    let mut axes: HashMap<&str, i64> = HashMap::new();
    for (input, axis) in main_layers(network).filter_map(|layer| layer.input.as_ref()) {
        axes.entry(input).or_insert(*axis);
    }
    for (name, value) in names.iter().zip(values) {
        // Integers (already quantized, or token ids) have no range to choose.
        let Some(values) = value.floats() else { continue };
        let statistics = (activations.entry((*name).to_owned())).or_insert_with(|| ActivationStatistics::new(source));
        let axis = axes.get(name).copied().unwrap_or(1);
        statistics.add_channels(values, value.shape(), axis);
    }
}

/// Shapes of all layer inputs and outputs for one sample (the first of `data`, or zeros of the declared shape).
///
/// # Errors
/// [`InferenceError`] when the network cannot run on it.
pub fn value_shapes(
    network: &Network,
    engine: &dyn Engine,
    data: Option<&Dataset>,
) -> Result<ValueShapes, InferenceError> {
    let names = layer_values(network);
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let one = super::outputs::batches(engine, data, 0..1, 1)?.remove(0).run;
        let inputs = data
            .filled_batch(one)
            .map_err(|error| InferenceError::Data(error.to_string()))?;
        return shapes(engine, &names, &inputs);
    }
    let run = |free: FreeSizes| {
        let ports = engine.inputs().iter().zip(sizes(engine.inputs(), free)?);
        let zeros = ports.map(|(port, shape)| Ok((port.name.clone(), zeros(port, &shape)?)));
        shapes(engine, &names, &zeros.collect::<Result<Vec<_>, InferenceError>>()?)
    };
    first_that_runs(engine.inputs(), &ONE_SAMPLE, run).map(|(shapes, _)| shapes)
}

fn shapes(engine: &dyn Engine, names: &[&str], inputs: &[(String, Tensor)]) -> Result<ValueShapes, InferenceError> {
    let values = engine.run(&by_name(inputs), names)?;
    Ok((names.iter().zip(values))
        .map(|(name, value)| ((*name).to_owned(), value.shape().to_vec()))
        .collect())
}

/// Zeros for a port.
fn zeros(port: &Port, shape: &[usize]) -> Result<Tensor, InferenceError> {
    let elements = shape.iter().product();
    let zeros = match port.kind {
        ElementKind::Float => Tensor::from_shape(shape, vec![0.0_f32; elements]),
        ElementKind::Integer => Tensor::from_shape(shape, vec![0_i32; elements]),
        ElementKind::Byte => Tensor::from_shape(shape, vec![0_u8; elements]),
        ElementKind::SignedByte => Tensor::from_shape(shape, vec![0_i8; elements]),
    };
    zeros.map_err(|_| too_large(port))
}

fn too_large(port: &Port) -> InferenceError {
    InferenceError::Data(format!("the input {} is too large to try", port.describe()))
}

/// A shape for each port, for one run.
///
/// # Errors
/// [`InferenceError::Data`] naming an input that would have more elements than can be tried.
pub(super) fn sizes(ports: &[Port], free: FreeSizes) -> Result<Vec<Vec<usize>>, InferenceError> {
    let shapes = ports.iter().zip(shapes_of_a_run(ports, free));
    let small = shapes.map(|(port, shape)| {
        let sizes = shape.sizes;
        let elements = sizes
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size));
        match elements {
            Some(0..=MAX_ELEMENTS) => Ok(sizes),
            _ => Err(too_large(port)),
        }
    });
    small.collect()
}

/// Layers of the main graph: what goes on inside a subgraph cannot be asked for.
pub(super) fn main_layers(network: &Network) -> impl Iterator<Item = &Layer> {
    let main = |layer: &&Layer| layer.node.as_ref().is_some_and(|node| node.subgraphs.is_empty());
    network.layers.iter().filter(main)
}

/// The inputs of the layers, each once.
pub(super) fn input_names(network: &Network) -> Vec<&str> {
    let mut seen = HashSet::new();
    let names = main_layers(network).filter_map(|layer| Some(layer.input.as_ref()?.0.as_str()));
    names.filter(|name| !name.is_empty() && seen.insert(*name)).collect()
}

/// The inputs and outputs of the layers, each once.
pub(super) fn layer_values(network: &Network) -> Vec<&str> {
    let mut seen = HashSet::new();
    (input_names(network).into_iter().chain(output_names(network)))
        .filter(|name| seen.insert(*name))
        .collect()
}

/// The first output of each layer's node.
fn output_names(network: &Network) -> impl Iterator<Item = &str> {
    let model: &ModelProto = &network.model;
    main_layers(network).filter_map(move |layer| {
        let node = model.graph.as_ref()?.node.get(layer.node.as_ref()?.node)?;
        (node.output.iter())
            .find(|output| !output.is_empty())
            .map(String::as_str)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;

    #[test]
    fn every_layer_of_the_fashion_demo_gets_a_range() {
        let network = Demo::Fashion.network().unwrap();
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let data = Dataset::demo_calibration(Demo::Fashion);
        let progress = Progress::default();
        let calibration = calibrate(&network, &engine, &data, 60, &progress).unwrap();
        assert_eq!((calibration.samples, progress.steps()), (60, (60, 60)));
        for layer in &network.layers {
            let (input, _) = layer.input.as_ref().unwrap();
            let statistics = &calibration.activations[input];
            assert!(statistics.count > 0 && statistics.max_abs() > 0.0, "{}", layer.name);
        }
        let first = &calibration.activations["input"];
        assert_eq!(first.count, 60 * 784);
        // (0 / 255 - 0.2860) / 0.3530 and (255 / 255 - 0.2860) / 0.3530.
        assert!((first.min + 0.8102).abs() < 1e-3 && (first.max - 2.0227).abs() < 1e-3);
        assert_eq!(calibration.activations["layer1.0.relu1.out"].min, 0.0);
    }

    #[test]
    fn calibration_is_the_same_without_the_engine_s_optimizations() {
        for demo in Demo::ALL {
            let network = demo.network().unwrap();
            let data = Dataset::demo_calibration(demo);
            let bytes = demo.model_bytes().to_vec();
            let engines = [
                Rten::load(bytes.clone()).unwrap(),
                Rten::load_unoptimized(bytes).unwrap(),
            ];
            let [fast, plain] = engines.map(|engine| {
                calibrate(&network, &engine, &data, 30, &Progress::default())
                    .unwrap()
                    .activations
            });
            assert!(fast == plain, "{}", demo.name());
        }
    }

    #[test]
    fn shapes_of_one_sample_are_known_with_and_without_data() {
        let network = Demo::Fashion.network().unwrap();
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let with = value_shapes(&network, &engine, Some(&Dataset::demo(Demo::Fashion))).unwrap();
        let without = value_shapes(&network, &engine, None).unwrap();
        assert_eq!(with, without);
        assert_eq!(with["input"], [1, 1, 28, 28]);
        assert_eq!(with["layer1.0.conv1.out"], [1, 16, 28, 28]);
        let network = Demo::Shakespeare.network().unwrap();
        let engine = Rten::load(Demo::Shakespeare.model_bytes().to_vec()).unwrap();
        let shapes = value_shapes(&network, &engine, Some(&Dataset::demo(Demo::Shakespeare))).unwrap();
        assert_eq!(shapes["rnn.l0.out"], [1, 1, 128]);
    }
}
