//! The Shakespeare demo: its function under splits, and its perplexities.

use super::{planned, recipe};
use crate::common::{open, relative_difference};
use splitscope::format::demo::Demo;
use splitscope::inference::sweep::{SweepSubject, sweep};
use splitscope::inference::{Dataset, Rten, metrics, run_outputs};
use splitscope::onnx::{ModelProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Clip, rewrite, split_only};

#[test]
fn splitting_alone_leaves_the_shakespeare_demo_as_it_was() {
    let network = open("demo:shakespeare");
    let plan = planned(&network, &recipe(4, 0.2, Clip::None));
    let splits: Vec<usize> = plan
        .layers
        .iter()
        .map(|l| l.quantized().unwrap().splits.len())
        .collect();
    assert_eq!(splits, [13, 26, 26, 26, 26]);
    let data = Dataset::demo(Demo::Shakespeare);
    let outputs = |model: &ModelProto| {
        let engine = Rten::load(encode(model).unwrap()).unwrap();
        run_outputs(&engine, &data, 3000, &Progress::default()).unwrap().logits
    };
    let difference = relative_difference(
        &outputs(&network.runnable_model()),
        &outputs(&split_only(&network, &plan).unwrap()),
    );
    assert!(difference <= 1e-5, "{difference}");
}

/// Numbers of `tests/fixtures/shakespeare_simulation.py`: numpy and onnxruntime, the text as 32 streams. The recipe is that
/// of the table in `assets/README.md` (both LSTM layers and the last layer, weights only), measured there on a text twice
/// as long. Where a threshold is searched, the search here is the finer one.
#[test]
fn perplexities_of_the_shakespeare_demo_are_those_of_an_independent_simulation() {
    let network = open("demo:shakespeare");
    let data = Dataset::demo(Demo::Shakespeare);
    let perplexity = |model: &ModelProto| {
        let engine = Rten::load(encode(model).unwrap()).unwrap();
        let outputs = run_outputs(&engine, &data, usize::MAX, &Progress::default()).unwrap();
        metrics(&outputs, &data).perplexity.unwrap()
    };
    for (bits, ratio, clip, simulated, tolerance) in [
        (4, 0.0, Clip::None, 10.8784, 2e-3),
        (4, 0.05, Clip::None, 5.7978, 2e-3),
        (4, 0.05, Clip::Mse, 4.8172, 2e-2),
        (3, 0.2, Clip::None, 17.8800, 2e-3),
    ] {
        let plan = planned(&network, &recipe(bits, ratio, clip));
        let measured = perplexity(&rewrite(&network, &plan).unwrap());
        assert!(
            (measured / simulated - 1.0).abs() <= tolerance,
            "{bits} bits, ratio {ratio}, {clip:?}: {measured}, simulated {simulated}"
        );
    }
}

/// The pattern of the table in `assets/README.md` at 4 bits, as in table 6 of Zhao et al. 2019: perplexity falls with the
/// share of channels that are split, and splitting with the threshold of least squared error is best of all.
#[test]
fn perplexity_falls_with_splits_and_is_least_with_clipping_too() {
    let network = open("demo:shakespeare");
    let data = Dataset::demo(Demo::Shakespeare);
    let progress = Progress::default();
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let float = run_outputs(&engine, &data, 16_000, &progress).unwrap();
    let subject = SweepSubject {
        network: &network,
        activations: None,
        shapes: None,
        data: &data,
        float: &float,
    };
    let setting = |ratio: f64, clip: Clip| recipe(4, ratio, clip);
    let splits = [0.0, 0.02, 0.05, 0.1, 0.2].map(|ratio| setting(ratio, Clip::None));
    let clipped = [0.0, 0.02, 0.05].map(|ratio| setting(ratio, Clip::Mse));
    let recipes = [&splits[..], &clipped[..]].concat();
    let rows = sweep(&subject, &recipes, &[], &progress, &mut |_| Ok(())).unwrap();
    let float = metrics(&float, &data).perplexity.unwrap();
    let perplexities: Vec<f64> = rows.iter().map(|row| row.metrics.perplexity.unwrap()).collect();
    let (split, clipped) = perplexities.split_at(splits.len());
    println!("float {float:.3}, r = 0, .02, .05, .1, .2: {split:.3?}; with mse, r = 0, .02, .05: {clipped:.3?}");
    assert!(split.windows(2).all(|pair| pair[1] < pair[0]), "{split:?}");
    assert!(split[0] > 2.0 * float && split[4] < 1.3 * float, "{split:?}");
    assert!(
        clipped[0] < split[0] && clipped[1..].iter().all(|both| *both < clipped[0]),
        "{clipped:?}"
    );
    let best = clipped[1].min(clipped[2]);
    assert!(
        perplexities.iter().all(|other| best <= *other) && best > float,
        "{perplexities:?}"
    );
}
