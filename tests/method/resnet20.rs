//! Scales and rounding on a ResNet-20 for CIFAR-10 against what an independent implementation in numpy and onnxruntime measured.

use crate::common::{open, shared};
use splitscope::inference::{DataOptions, Dataset, Engine, Rten, evaluate, measure_inputs, run_outputs, run_plan};
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Granularity, Recipe, Rounding, plan};
use std::sync::Arc;

/// Test images that all figures are of; the standard error is 0.9 to 1.5 points.
const IMAGES: usize = 1000;
/// Training images that GPTQ sees, without their labels.
const CALIBRATION: usize = 256;
/// Scales, rounding, and the accuracy by bits.
type Row = (Granularity, Rounding, &'static [(u8, f64)]);

/// Top-1 accuracies: weights alone, all layers, batch-norm not folded.
const MEASURED: [Row; 4] = [
    (Granularity::Channel, Rounding::Squant, &[(4, 0.913), (3, 0.907)]),
    (Granularity::Tensor, Rounding::Squant, &[(4, 0.910), (3, 0.821)]),
    (
        Granularity::Channel,
        Rounding::Gptq,
        &[(4, 0.918), (3, 0.911), (2, 0.698)],
    ),
    (
        Granularity::Block(32),
        Rounding::Gptq,
        &[(4, 0.909), (3, 0.917), (2, 0.826)],
    ),
];

#[test]
#[ignore = "needs ../shared"]
fn scales_and_rounding_reach_what_numpy_measured_within_a_point() {
    let network = open(shared("models/cifar10_resnet20.onnx").to_str().unwrap());
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let options = DataOptions::default().for_network(&network);
    let data = |name: &str| {
        let path = shared(name);
        Arc::new(Dataset::open(path.to_str().unwrap(), &options, engine.inputs()).unwrap())
    };
    let (test, training) = (
        data("data/cifar10_test_first5000.bin"),
        data("data/cifar10_calib_2000.bin"),
    );
    let progress = Progress::default();
    let float = run_outputs(&engine, &test, IMAGES, &progress).unwrap();
    let known = measure_inputs(
        &network,
        &engine,
        Some(&training),
        &options,
        (CALIBRATION, true),
        &progress,
    )
    .unwrap();
    let mut wrong = String::new();
    for (scales, rounding, expected) in MEASURED {
        for &(bits, expected) in expected {
            let recipe = Recipe {
                weight_bits: Bits::Grid(bits),
                scales,
                rounding,
                ..Recipe::default()
            };
            let plan = plan(&network, &recipe, Some(&known.activations), &progress).unwrap();
            let rounded = plan.layers.iter().filter_map(|layer| layer.quantized());
            assert!(rounded.filter(|layer| layer.rounding.by == rounding).count() == network.layers.len());
            let outputs = run_plan(&network, &plan, &test, 0..IMAGES, &progress).unwrap();
            let top1 = evaluate(&float, &outputs, &test).quantized.top1.unwrap();
            let line = format!("{scales} + {rounding}, {bits} bits: {top1:.3}, measured {expected:.3}\n");
            print!("{line}");
            if top1 < expected - 0.01 {
                wrong.push_str(&line);
            }
        }
    }
    assert!(wrong.is_empty(), "more than a point below:\n{wrong}");
}
