//! What several whole-program tests need.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub(crate) mod alone;
pub(crate) mod formula;
pub(crate) mod graph;
pub(crate) mod judged;
pub(crate) mod single_output;
pub(crate) mod state_dict;

use splitscope::format::demo::Demo;
use splitscope::inference::{Dataset, Evaluation, Outputs, Rten, calibrate, evaluate, run_outputs};
use splitscope::network::Network;
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{Recipe, plan, prepare, rewrite};
use std::path::{Path, PathBuf};

/// Networks and data of other people, beside the project where there are any.
pub(crate) fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path)
}

pub(crate) fn open(path: &str) -> Network {
    splitscope::format::open(Path::new(path)).unwrap()
}

/// Prepares, calibrates, plans, rewrites and runs, as the command line does.
pub(crate) fn evaluate_recipe(network: &Network, recipe: &Recipe, demo: Demo, limit: usize) -> Evaluation {
    let float = float_outputs(network, demo, limit);
    evaluate_against(&float, network, recipe, demo)
}

/// The float network on the first samples of a demo's data.
pub(crate) fn float_outputs(network: &Network, demo: Demo, limit: usize) -> Outputs {
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    run_outputs(&engine, &Dataset::demo(demo), limit, &Progress::default()).unwrap()
}

/// [`evaluate_recipe`] when the float network has been run already.
pub(crate) fn evaluate_against(float: &Outputs, network: &Network, recipe: &Recipe, demo: Demo) -> Evaluation {
    let progress = Progress::default();
    let prepared = prepare(network, recipe).unwrap();
    let activations = recipe.needs_activations().then(|| {
        let engine = Rten::load(encode(&prepared.runnable_model()).unwrap()).unwrap();
        let data = Dataset::demo_calibration(demo);
        calibrate(&prepared, &engine, &data, 128, &progress)
            .unwrap()
            .activations
    });
    let plan = plan(&prepared, recipe, activations.as_ref(), &progress).unwrap();
    let quantized = Rten::load(encode(&rewrite(&prepared, &plan).unwrap()).unwrap()).unwrap();
    let data = Dataset::demo(demo);
    evaluate(
        float,
        &run_outputs(&quantized, &data, float.samples, &progress).unwrap(),
        &data,
    )
}

/// Largest difference over the largest value.
pub(crate) fn relative_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / largest
}
