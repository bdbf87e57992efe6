//! Activation OCS (Zhao et al. 2019, section 3.4) in rewritten networks.

use crate::common::graph::{model, network, run, value};
use crate::common::{open, relative_difference};
use splitscope::format::demo::Demo;
use splitscope::inference::{Dataset, Engine, Rten, calibrate, run_outputs};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, int_attribute, node};
use splitscope::onnx::{NodeProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Activations, Bits, Clip, Expansion, Plan, Recipe, SplitKind, plan, rewrite, split_only,
};
use splitscope::statistics::{ActivationStatistics, RangeSource};

fn noise(count: usize, seed: f32) -> Vec<f32> {
    (0..count)
        .map(|i| ((i as f32 * 12.9898 + seed).sin() * 43758.547).fract())
        .collect()
}

/// A network of one layer from `x` to `y` with the weight `w`.
fn one_layer(layer: NodeProto, shape: &[usize]) -> Network {
    let mut weights = noise(shape.iter().product(), 0.7);
    weights[1] *= 4.0;
    let parts = (vec![layer], vec![float_tensor("w", shape, &weights)]);
    network(model(13, parts, vec![value("x")], vec![value("y")]))
}

fn plan_on(network: &Network, recipe: &Recipe, x: &[f32], shape: &[usize]) -> Plan {
    let mut seen = ActivationStatistics::new(RangeSource::Calibration);
    seen.add_channels(x, shape, network.layers[0].input.as_ref().unwrap().1);
    let activations = Activations::from([("x".to_owned(), seen)]);
    plan(network, recipe, Some(&activations), &Progress::default()).unwrap()
}

fn recipe(activation_bits: u8, activation_expand_ratio: f64) -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(8),
        activation_bits: Bits::Grid(activation_bits),
        activation_expand_ratio,
        ..Recipe::default()
    }
}

/// Layers of each kind with their input shape and the axis and size of its channels.
fn layers() -> Vec<(Network, Vec<usize>, usize)> {
    let mm = |inputs: [&str; 2]| node("MatMul", "m", inputs, ["y"], vec![]);
    let conv = |groups| node("Conv", "c", ["x", "w"], ["y"], vec![int_attribute("group", groups)]);
    let gemm = node("Gemm", "g", ["x", "w"], ["y"], vec![int_attribute("transB", 1)]);
    vec![
        (one_layer(conv(1), &[6, 8, 3, 3]), vec![2, 8, 5, 5], 1),
        (one_layer(conv(2), &[6, 4, 1, 1]), vec![2, 8, 5, 5], 1),
        (one_layer(conv(1), &[6, 8, 3]), vec![2, 8, 25], 1),
        (one_layer(gemm, &[6, 8]), vec![50, 8], 1),
        (one_layer(mm(["x", "w"]), &[8, 6]), vec![2, 25, 8], 2),
        (one_layer(mm(["w", "x"]), &[6, 8]), vec![2, 8, 25], 1),
    ]
}

/// 400 numbers; channel 3 is ten times as large as the others.
fn input(shape: &[usize], axis: usize) -> Vec<f32> {
    let inner: usize = shape[axis + 1..].iter().product();
    let scale = |i: usize| if i / inner % shape[axis] == 3 { 10.0 } else { 1.0 };
    noise(400, 0.1).iter().enumerate().map(|(i, x)| x * scale(i)).collect()
}

#[test]
fn split_activations_without_a_grid_compute_the_same() {
    for (network, shape, axis) in layers() {
        let x = input(&shape, axis);
        for (ratio, expand_ratio, split) in [
            (0.1, 0.0, SplitKind::Qa),
            (0.5, 0.3, SplitKind::Naive),
            (1.0, 0.3, SplitKind::Qa),
        ] {
            let recipe = Recipe {
                expand_ratio,
                activation_split: split,
                ..recipe(5, ratio)
            };
            let plan = plan_on(&network, &recipe, &x, &shape);
            let quantized = plan.layers[0].quantized().unwrap();
            assert!(quantized.activation_splits.contains(&3));
            assert!(Expansion::of(quantized).channels > quantized.layout.channels);
            let float = run(&network.runnable_model(), &shape, &x);
            let split = run(&split_only(&network, &plan).unwrap(), &shape, &x);
            let difference = relative_difference(&float, &split);
            assert!(difference <= 1e-5, "{shape:?} {ratio}: {difference}");
        }
    }
}

#[test]
fn a_huge_input_channel_halves_the_range_and_the_error_falls() {
    for (network, shape, axis) in layers() {
        let x = input(&shape, axis);
        let float = run(&network.runnable_model(), &shape, &x);
        let outcome = |ratio: f64| {
            let plan = plan_on(&network, &recipe(4, ratio), &x, &shape);
            let quantized = plan.layers[0].quantized().unwrap();
            let output = run(&rewrite(&network, &plan).unwrap(), &shape, &x);
            let error: f32 = float.iter().zip(&output).map(|(a, b)| (a - b).powi(2)).sum();
            (
                quantized.activation.unwrap().threshold,
                quantized.activation_splits.clone(),
                error,
            )
        };
        let (plain, split) = (outcome(0.0), outcome(0.1));
        assert!(plain.1.is_empty() && split.1[0] == 3, "{:?}", split.1);
        assert_eq!(split.0, plain.0 * 0.5, "{shape:?}");
        assert!(split.2 < 0.5 * plain.2, "{shape:?}: {} {}", split.2, plain.2);
    }
}

/// On one and the same grid, the quantization-aware split changes nothing at all; naive halves round otherwise.
#[test]
fn on_the_same_grid_split_activations_round_to_the_same_sum() {
    for (network, shape, axis) in layers() {
        let x = input(&shape, axis);
        let output = |ratio: f64, split: SplitKind| {
            let recipe = Recipe {
                expand_ratio: 0.3,
                activation_split: split,
                activation_clip: Clip::Manual(10.0),
                ..recipe(5, ratio)
            };
            run(
                &rewrite(&network, &plan_on(&network, &recipe, &x, &shape)).unwrap(),
                &shape,
                &x,
            )
        };
        let plain = output(0.0, SplitKind::Qa);
        let (qa, naive) = (output(1.0, SplitKind::Qa), output(1.0, SplitKind::Naive));
        assert!(
            relative_difference(&plain, &qa) <= 1e-5,
            "{shape:?}: {}",
            relative_difference(&plain, &qa)
        );
        assert!(relative_difference(&plain, &naive) > 0.01, "{shape:?}");
    }
}

#[test]
fn the_demo_keeps_its_function_and_its_ranges_shrink() {
    let network = open("demo:fashion");
    let (data, progress) = (Dataset::demo(Demo::Fashion), Progress::default());
    let recipe = |ratio: f64, bits: u8| Recipe {
        expand_ratio: 0.05,
        unsigned_activations: true,
        ..recipe(bits, ratio)
    };
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let calibration = Dataset::demo_calibration(Demo::Fashion);
    let seen = calibrate(&network, &engine, &calibration, 50, &progress)
        .unwrap()
        .activations;
    let planned = plan(&network, &recipe(0.1, 5), Some(&seen), &progress).unwrap();
    let split = Rten::load(encode(&split_only(&network, &planned).unwrap()).unwrap()).unwrap();
    let logits = |engine: &dyn Engine| run_outputs(engine, &data, 100, &progress).unwrap().logits;
    let difference = relative_difference(&logits(&engine), &logits(&split));
    assert!(difference > 0.0 && difference <= 1e-5, "{difference}");
    // Fewer channels reach far once those with most outliers are halved; accuracy is another matter.
    let thresholds = |ratio: f64| -> Vec<f32> {
        let planned = plan(&network, &recipe(ratio, 5), Some(&seen), &progress).unwrap();
        let grids = planned
            .layers
            .iter()
            .map(|layer| layer.quantized().unwrap().activation.unwrap());
        grids.map(|grid| grid.threshold).collect()
    };
    let (plain, ocs) = (thresholds(0.0), thresholds(1.0));
    assert!(
        plain.iter().zip(&ocs).all(|(plain, ocs)| *ocs == 0.5 * plain),
        "{plain:?} {ocs:?}"
    );
    let some = thresholds(0.1);
    assert!(
        plain
            .iter()
            .zip(&some)
            .all(|(plain, ocs)| ocs <= plain && *ocs >= 0.5 * plain)
    );
    assert!(
        some.iter().sum::<f32>() < 0.95 * plain.iter().sum::<f32>(),
        "{plain:?} {some:?}"
    );
}
