//! Thresholds by Kullback-Leibler divergence beside those of the paper's own search, which `tests/fixtures/paper_kl.py` writes.

use crate::common::{evaluate_against, float_outputs, open, shared};
use splitscope::format::demo::Demo;
use splitscope::inference::{DataOptions, Dataset, Rten, calibrate, evaluate, run_outputs, run_plan};
use splitscope::network::Network;
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Clip, LayerRecipe, Preset, Recipe, plan, prepare};
use std::collections::HashMap;

/// A point: what a run of 1000 samples may differ by without a reason.
const POINT: f64 = 0.01;

/// Thresholds of one network by the name of the weight, for 3 to 8 bits.
fn paper(network: &str) -> HashMap<String, Vec<f32>> {
    let all: serde_json::Value = serde_json::from_str(include_str!("../fixtures/paper_kl.json")).unwrap();
    assert_eq!(all["bits"], serde_json::json!([3, 4, 5, 6, 7, 8]));
    serde_json::from_value(all[network].clone()).unwrap()
}

/// Weights of `bits` clipped by our KL, and at the paper's thresholds.
fn both(network: &Network, thresholds: &HashMap<String, Vec<f32>>, bits: u8) -> [Recipe; 2] {
    let ours = Recipe {
        weight_bits: Bits::Grid(bits),
        clip: Clip::Kl,
        ..Recipe::default()
    };
    let mut papers = ours.clone();
    for layer in &network.layers {
        let threshold = thresholds[&layer.weight][usize::from(bits) - 3];
        let exception = LayerRecipe {
            clip: Some(Clip::Manual(threshold)),
            ..LayerRecipe::default()
        };
        papers.layers.insert(layer.name.clone(), exception);
    }
    [ours, papers]
}

#[test]
fn on_the_demo_it_is_never_worse_than_the_papers_search() {
    let network = open("demo:fashion");
    let thresholds = paper("fashion");
    let float = float_outputs(&network, Demo::Fashion, 1000);
    for bits in 3..=8 {
        let [ours, papers] = both(&network, &thresholds, bits).map(|recipe| {
            let evaluation = evaluate_against(&float, &network, &recipe, Demo::Fashion);
            evaluation.quantized.top1.unwrap()
        });
        println!("{bits} bits: ours {ours}, the paper's {papers}");
        assert!(ours >= papers - POINT, "{bits} bits: {ours} {papers}");
    }
}

#[test]
#[ignore = "needs ../shared"]
fn on_a_resnet20_it_is_never_worse_than_the_papers_search() {
    let network = splitscope::format::open(&shared("models/cifar10_resnet20.onnx")).unwrap();
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let path = shared("data/cifar10_test_first5000.bin");
    let options = DataOptions::default().for_network(&network);
    let data = Dataset::open(
        path.to_str().unwrap(),
        &options,
        splitscope::inference::Engine::inputs(&engine),
    )
    .unwrap();
    let progress = Progress::default();
    let float = run_outputs(&engine, &data, 1000, &progress).unwrap();
    let thresholds = paper("resnet20");
    for bits in 3..=8 {
        let [ours, papers] = both(&network, &thresholds, bits).map(|recipe| {
            let plan = plan(&network, &recipe, None, &progress).unwrap();
            let quantized = run_plan(&network, &plan, &data, 0..1000, &progress).unwrap();
            evaluate(&float, &quantized, &data).quantized.top1.unwrap()
        });
        println!("{bits} bits: ours {ours}, the paper's {papers}");
        assert!(ours >= papers - POINT, "{bits} bits: {ours} {papers}");
    }
    // Activations of 8 bits: clipping by a fitted distribution never costs a point.
    let calibration = shared("data/cifar10_calib_2000.bin");
    let calibration = Dataset::open(
        calibration.to_str().unwrap(),
        &options,
        splitscope::inference::Engine::inputs(&engine),
    )
    .unwrap();
    let activations = calibrate(&network, &engine, &calibration, 128, &progress)
        .unwrap()
        .activations;
    let top1 = |clip: Clip| {
        let recipe = Recipe {
            activation_bits: Bits::Grid(8),
            activation_clip: clip,
            ..Recipe::default()
        };
        let plan = plan(&network, &recipe, Some(&activations), &progress).unwrap();
        let quantized = run_plan(&network, &plan, &data, 0..1000, &progress).unwrap();
        evaluate(&float, &quantized, &data).quantized.top1.unwrap()
    };
    let [none, kl, aciq] = [Clip::None, Clip::Kl, Clip::Aciq].map(top1);
    println!("activations of 8 bits: none {none}, kl {kl}, aciq {aciq}");
    assert!(kl >= none - POINT && aciq >= none - POINT, "{none} {kl} {aciq}");
}

#[test]
fn activations_of_8_bits_clipped_by_it_or_by_a_fit_keep_the_accuracy() {
    let network = open("demo:fashion");
    let float = float_outputs(&network, Demo::Fashion, 1000);
    for base in [Recipe::default(), Recipe::preset(Preset::Deploy)] {
        let network = prepare(&network, &base).unwrap();
        let top1 = |clip: Clip| {
            let recipe = Recipe {
                activation_bits: Bits::Grid(8),
                activation_clip: clip,
                ..base.clone()
            };
            let evaluation = evaluate_against(&float, &network, &recipe, Demo::Fashion);
            evaluation.quantized.top1.unwrap()
        };
        let [none, kl, aciq] = [Clip::None, Clip::Kl, Clip::Aciq].map(top1);
        assert!(kl >= none - POINT && aciq >= none - POINT, "{none} {kl} {aciq}");
    }
}
