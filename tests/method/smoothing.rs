//! Outliers moved between inputs and weights before quantization: what that gains where a norm gives two huge channels.

use crate::common::graph::{floats, model, network};
use splitscope::data::{DataOptions, Dataset};
use splitscope::inference::{InferenceError, Pipeline, evaluate, float_engine, measure_inputs, run_outputs};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, int_attribute, node};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Granularity, Recipe, Rounding, prepare_with};
use std::sync::Arc;

const WIDTH: usize = 64;
const HIDDEN: usize = 128;

/// Numbers like those of a normal distribution.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..count)
        .map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0)
        .collect()
}

/// A norm with two huge gains, a matrix, ReLU, a matrix.
fn two_layers() -> Network {
    let gain: Vec<f32> = (0..WIDTH)
        .map(|j| if [5, 40].contains(&j) { 60.0 } else { 1.0 })
        .collect();
    let nodes = vec![
        node(
            "LayerNormalization",
            "norm",
            ["x", "gain"],
            ["n"],
            vec![int_attribute("axis", -1)],
        ),
        node("MatMul", "fc1", ["n", "w1"], ["p"], vec![]),
        node("Relu", "relu", ["p"], ["r"], vec![]),
        node("MatMul", "fc2", ["r", "w2"], ["y"], vec![]),
    ];
    let constants = vec![
        float_tensor("gain", &[WIDTH], &gain),
        float_tensor("w1", &[WIDTH, HIDDEN], &noise(WIDTH * HIDDEN, 1)),
        float_tensor("w2", &[HIDDEN, 10], &noise(HIDDEN * 10, 2)),
    ];
    let ends = (vec![floats("x", &[0, WIDTH as i64])], vec![floats("y", &[0, 10])]);
    network(model(17, (nodes, constants), ends.0, ends.1))
}

/// Output SQNR of a recipe, measured on other noise than it is calibrated on.
fn sqnr(network: &Network, recipe: &Recipe) -> f64 {
    let progress = Progress::default();
    let float = float_engine(network).unwrap();
    let noise = |seed: u64| Arc::new(Dataset::noise(network, &float, 300, seed).unwrap());
    let (calibration, data) = (noise(1), noise(2));
    let learn = |network: &Network, moments: bool| -> Result<_, anyhow::Error> {
        let engine = float_engine(network)?;
        let stated = DataOptions::default();
        let known = measure_inputs(network, &engine, Some(&calibration), &stated, (300, moments), &progress);
        Ok(known
            .map_err(|error: InferenceError| anyhow::anyhow!(error))?
            .activations)
    };
    let prepared = prepare_with(network, recipe, learn).unwrap();
    let known = learn(&prepared, recipe.needs_moments()).unwrap();
    let quantized = Pipeline::new(&prepared, Some(&known))
        .quantize(recipe, &progress)
        .unwrap();
    let before = run_outputs(&float, &data, 300, &progress).unwrap();
    let after = run_outputs(&quantized.engine().unwrap(), &data, 300, &progress).unwrap();
    evaluate(&before, &after, &data).sqnr_db.unwrap()
}

#[test]
fn smoothing_mends_8_bit_inputs_and_scaling_by_activations_3_bit_weights() {
    let network = two_layers();
    let w8a8 = Recipe {
        activation_bits: Bits::Grid(8),
        scales: Granularity::Channel,
        ..Recipe::default()
    };
    let smoothed = Recipe {
        smooth: 0.5,
        ..w8a8.clone()
    };
    let (plain, better) = (sqnr(&network, &w8a8), sqnr(&network, &smoothed));
    println!("W8A8: plain {plain:.1} dB, smoothed {better:.1} dB");
    assert!(better > plain + 5.0, "{plain} {better}");

    let w3 = Recipe {
        weight_bits: Bits::Grid(3),
        scales: Granularity::Channel,
        ..Recipe::default()
    };
    let scaled = Recipe {
        awq: true,
        ..w3.clone()
    };
    let (plain, better) = (sqnr(&network, &w3), sqnr(&network, &scaled));
    println!("W3: plain {plain:.1} dB, scaled {better:.1} dB");
    assert!(better > plain + 1.5, "{plain} {better}");
    // Both go on top of each other: scaled, then rounded by GPTQ.
    let gptq = |recipe: &Recipe| Recipe {
        rounding: Rounding::Gptq,
        ..recipe.clone()
    };
    let (rounded, both) = (sqnr(&network, &gptq(&w3)), sqnr(&network, &gptq(&scaled)));
    println!("W3: GPTQ {rounded:.1} dB, scaled and GPTQ {both:.1} dB");
    assert!(both > rounded && both > better, "{rounded} {both}");
}
