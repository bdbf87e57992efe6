//! Quantized checkpoints (`fixtures/quantized/make_checkpoints.py`): each layout beside the numbers that it stands for.

use splitscope::format::open;
use splitscope::network::{Network, Support, Unsupported};
use splitscope::onnx::numbers;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, plan, quantized_tensors};
use std::path::Path;

fn file(name: &str) -> Network {
    open(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/quantized")
            .join(name),
    )
    .unwrap()
}

#[test]
fn packed_weights_are_read_as_they_multiply() {
    let (network, expected) = (
        file("checkpoints.safetensors"),
        file("checkpoints_expected.safetensors"),
    );
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    // One layer for each matrix, called as in the float checkpoint, and none for a companion.
    let wanted: Vec<&str> = expected.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names.len(), 10);
    for (at, name) in wanted.iter().enumerate() {
        let index = network.layer_index(name).unwrap_or_else(|| panic!("{name}: {names:?}"));
        let layer = &network.layers[index];
        assert_eq!(layer.shape, expected.layers[at].shape, "{name}");
        assert!(
            matches!(&layer.support, Support::View(Unsupported::Quantized(_))),
            "{:?}",
            layer.support
        );
        let ours = network
            .real_weights(index)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let theirs = expected.weights(at).unwrap();
        for (a, b) in ours.iter().zip(theirs.iter()) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(0.01), "{name}: {a} {b}");
        }
        let grid = network.integer_grid(index).unwrap();
        assert_eq!(grid.is_some(), !name.starts_with("fp8"), "{name}");
        if let Some(grid) = grid {
            assert_eq!(grid.counts.iter().sum::<u64>(), ours.len() as u64);
            assert!(grid.scale.is_some());
        }
    }
}

#[test]
fn an_export_keeps_what_is_packed() {
    let network = file("checkpoints.safetensors");
    let recipe = Recipe {
        weight_bits: Bits::Grid(6),
        expand_ratio: 0.1,
        activation_bits: Bits::Float,
        ..Recipe::default()
    };
    let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
    let (tensors, _) = quantized_tensors(&network, &plan).unwrap();
    let originals = &network.model.graph.as_ref().unwrap().initializer;
    assert_eq!(tensors.len(), originals.len());
    for (ours, original) in tensors.iter().zip(originals) {
        assert_eq!(ours.name(), original.name());
        assert_eq!(numbers(ours).unwrap().to_vec(), numbers(original).unwrap().to_vec());
    }
}
