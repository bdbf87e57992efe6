//! State dicts whose weights are made by a formula, with what another implementation computes with them: the fixtures of
//! `fixtures/architecture/sequences` and `fixtures/architecture/hubs`, as the scripts there write them.

use super::formula::{uniform, values};
use super::relative_difference;
use flate2::read::GzDecoder;
use serde::Deserialize;
use splitscope::data::{Tensor, by_name};
use splitscope::format;
use splitscope::inference::{Engine, Rten};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, i64_tensor};
use splitscope::onnx::{TensorProto, encode, float_values};
use std::path::Path;

/// What the script wrote.
#[derive(Deserialize)]
pub(crate) struct Fixture {
    pub(crate) architecture: String,
    pub(crate) config: Option<serde_json::Value>,
    pub(crate) gain: f64,
    pub(crate) tensors: Vec<(String, Vec<usize>)>,
    pub(crate) integers: Vec<(String, Vec<usize>, Vec<i32>)>,
    pub(crate) numbers: Vec<(String, Vec<usize>)>,
    pub(crate) outputs: Vec<(String, Vec<f32>)>,
}

impl Fixture {
    pub(crate) fn read(path: &Path) -> Self {
        serde_json::from_reader(GzDecoder::new(std::fs::File::open(path).unwrap())).unwrap()
    }

    pub(crate) fn tensors(&self) -> Vec<TensorProto> {
        let tensor = |(name, shape): &(String, Vec<usize>)| {
            if name.ends_with("num_batches_tracked") {
                return i64_tensor(name, shape, &[1]);
            }
            float_tensor(name, shape, &values(name, shape, self.gain))
        };
        self.tensors.iter().map(tensor).collect()
    }

    /// Writes the file of weights and its configuration, and opens it.
    pub(crate) fn open(&self, tensors: &[TensorProto]) -> Network {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        format::safetensors::write(&path, tensors, &[]).unwrap();
        if let Some(config) = &self.config {
            std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        }
        format::open(&path).unwrap()
    }

    /// The first output on the fixture's inputs.
    pub(crate) fn run(&self, network: &Network) -> Vec<f32> {
        self.answers(network).swap_remove(0)
    }

    /// All outputs, in the order of the fixture.
    pub(crate) fn answers(&self, network: &Network) -> Vec<Vec<f32>> {
        assert_eq!(network.why_not_runnable, None);
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let integers = (self.integers.iter())
            .map(|(name, shape, numbers)| (name.clone(), Tensor::from_shape(shape, numbers.clone()).unwrap()));
        let numbers =
            (self.numbers.iter()).map(|(name, shape)| (name.clone(), Tensor::from_shape(shape, input(shape)).unwrap()));
        let names: Vec<&str> = self.outputs.iter().map(|(name, _)| name.as_str()).collect();
        let inputs: Vec<(String, Tensor)> = integers.chain(numbers).collect();
        let outputs = engine.run(&by_name(&inputs), &names).unwrap();
        (outputs.iter())
            .map(|output| output.floats().unwrap().to_vec())
            .collect()
    }

    /// Opens the file, compares its name and all outputs with torch's, and returns the network.
    pub(crate) fn assert_like_torch(&self, name: &str) -> Network {
        let network = self.open(&self.tensors());
        assert_eq!(network.why_not_runnable, None, "{name}");
        let architecture = network.architecture.as_deref();
        assert_eq!(architecture, Some(self.architecture.as_str()), "{name}");
        for ((output, expected), found) in self.outputs.iter().zip(self.answers(&network)) {
            let difference = relative_difference(expected, &found);
            println!("{name} {output}: {difference:.1e}");
            assert!(difference <= 1e-4, "{name} {output}: {difference}");
        }
        network
    }
}

/// Pictures for four axes, else noise: the script's formula.
fn input(shape: &[usize]) -> Vec<f32> {
    let noise = uniform("input", shape.iter().product());
    if shape.len() < 4 {
        return noise.iter().map(|u| *u as f32).collect();
    }
    let plane: usize = shape[2..].iter().product();
    let colours = uniform("colours", shape[0] * shape[1]);
    (noise.iter().enumerate())
        .map(|(at, u)| (0.5 * u + colours[at / plane]) as f32)
        .collect()
}

/// Puts `weight` at a row and a column of the matrix of that name.
pub(crate) fn plant(tensors: &mut [TensorProto], name: &str, (row, column): (usize, usize), weight: f32) {
    let tensor = tensors.iter_mut().find(|tensor| tensor.name() == name).unwrap();
    let shape: Vec<usize> = tensor.dims.iter().map(|size| *size as usize).collect();
    let mut weights = float_values(tensor).unwrap().to_vec();
    weights[row * shape[1] + column] = weight;
    *tensor = float_tensor(name, &shape, &weights);
}
