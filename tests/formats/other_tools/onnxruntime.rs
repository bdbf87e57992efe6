//! Networks that onnxruntime's tools quantized (`fixtures/quantized/make_files.py`): their weights as they multiply, their
//! levels, and what they compute, beside onnxruntime's numbers.

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;
use splitscope::data::Tensor;
use splitscope::inference::{Engine, Rten};
use splitscope::network::{LayerKind, Network, OutAxis};
use splitscope::onnx::encode;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Networks with convolutions: layers conv1, conv2, fc.
const CONVOLUTIONS: [&str; 7] = [
    "qdq_int8",
    "qdq_uint8",
    "qdq_int4",
    "qdq_uint4",
    "qoperator_int8",
    "dynamic_int8",
    "dynamic_uint8",
];
/// Networks of two matrices, up and down.
const MATRICES: [&str; 7] = [
    "matmulnbits_symmetric",
    "matmulnbits_zero_points",
    "matmulnbits_rest",
    "matmulnbits_8_bits",
    "matmulnbits_2_bits",
    "qdq_blocks_int4",
    "qdq_blocks_uint4",
];
/// A table and a matrix.
const TABLES: [&str; 2] = ["gather_blocks_symmetric", "gather_blocks_zero_points"];
/// One matrix.
const PRODUCTS: [&str; 2] = ["qdq_blocks_int2", "qdq_float8"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/quantized")
        .join(name)
}

fn network(name: &str) -> Network {
    splitscope::format::open(&path(&format!("{name}.onnx"))).unwrap()
}

struct Expected(NpzReader<File>);

impl Expected {
    fn of(name: &str) -> Self {
        Self(NpzReader::new(File::open(path(&format!("{name}.npz"))).unwrap()).unwrap())
    }

    fn array(&mut self, name: &str) -> ArrayD<f32> {
        self.0.by_name::<OwnedRepr<f32>, IxDyn>(&format!("{name}.npy")).unwrap()
    }

    fn ids(&mut self, name: &str) -> Vec<i64> {
        self.0
            .by_name::<OwnedRepr<i64>, IxDyn>(&format!("{name}.npy"))
            .unwrap()
            .into_raw_vec_and_offset()
            .0
    }
}

/// The largest difference, as a share of the largest number.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let off = ours
        .iter()
        .zip(theirs)
        .fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    off / largest
}

fn check_weights(name: &str, layers: &[&str]) {
    let network = network(name);
    let mut expected = Expected::of(name);
    for layer in layers {
        let index = network
            .layers
            .iter()
            .position(|l| l.name == *layer || l.name.starts_with(&format!("{layer}_")));
        let index = index.unwrap_or_else(|| panic!("{name}: no layer {layer}"));
        let found = &network.layers[index];
        assert_eq!(found.kind, LayerKind::Quantized, "{name} {layer}");
        let ours = network
            .real_weights(index)
            .unwrap_or_else(|error| panic!("{name} {layer}: {error}"));
        let theirs = expected.array(&format!("w.{layer}"));
        // A MatMulNBits keeps the matrix turned: onnxruntime's products have a row for each input.
        let turned = theirs.ndim() == 2
            && found.shape.len() == 2
            && found.layout.out_axis == OutAxis::Outer
            && found.op == "MatMulNBits";
        let theirs: Vec<f32> = if turned {
            theirs.t().iter().copied().collect()
        } else {
            theirs.iter().copied().collect()
        };
        assert!(
            difference(&ours, &theirs) < 1e-6,
            "{name} {layer}: {}",
            difference(&ours, &theirs)
        );
        let grid = network.integer_grid(index).unwrap();
        if name != "qdq_float8" {
            let grid = grid.unwrap_or_else(|| panic!("{name} {layer}: no levels"));
            assert_eq!(grid.counts.iter().sum::<u64>(), ours.len() as u64, "{name} {layer}");
            assert!(grid.scale.is_some(), "{name} {layer}");
        }
    }
}

fn check_outputs(name: &str, most: f32) {
    let network = network(name);
    let engine =
        Rten::load(encode(&network.runnable_model()).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut expected = Expected::of(name);
    let input = engine.inputs()[0].clone();
    let x = if input.is_integer() {
        let ids: Vec<i32> = expected.ids("x").iter().map(|id| *id as i32).collect();
        Tensor::from_shape([ids.len()], ids).unwrap()
    } else {
        let x = expected.array("x");
        Tensor::from_shape(x.shape(), x.iter().copied().collect::<Vec<f32>>()).unwrap()
    };
    let output = engine.outputs()[0].name.clone();
    let values = engine
        .run(&[(&input.name, &x)], &[&output])
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let theirs: Vec<f32> = expected.array("y").iter().copied().collect();
    let off = difference(values[0].floats().unwrap(), &theirs);
    assert!(off < most, "{name}: off by {off} of the largest");
}

#[test]
fn weights_of_other_tools_are_read_as_they_multiply() {
    CONVOLUTIONS
        .iter()
        .for_each(|name| check_weights(name, &["conv1", "conv2", "fc"]));
    MATRICES.iter().for_each(|name| check_weights(name, &["up", "down"]));
    TABLES
        .iter()
        .for_each(|name| check_weights(name, &["embedding", "out"]));
    PRODUCTS.iter().for_each(|name| check_weights(name, &["fc"]));
}

/// Roundings of activations at a tie may fall differently where onnxruntime sums in another order: with weights alone there are
/// none.
#[test]
fn networks_of_other_tools_compute_what_they_do_in_onnxruntime() {
    for name in CONVOLUTIONS.iter().filter(|name| !name.starts_with("dynamic")) {
        check_outputs(name, 1e-3);
    }
    MATRICES
        .iter()
        .chain(&TABLES)
        .chain(&PRODUCTS)
        .for_each(|name| check_outputs(name, 1e-5));
}
