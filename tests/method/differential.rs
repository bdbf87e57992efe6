//! The exported file of random small networks under random recipes, in the built-in engine and in onnxruntime: the outputs are
//! the same, up to values that lie at the border of two grid points.
//!
//! Needs onnxruntime's library and some time, so that it runs when it is asked for:
//!
//! ```sh
//! SPLITSCOPE_GRAPHS=10000 cargo test --test method differential -- --ignored --nocapture
//! ```
//!
//! `SPLITSCOPE_GRAPHS_FROM` is the number of the first graph: graph N is the same on every machine.

use super::random_networks::{SHAPE, head, random_network, recipe, step};
use crate::common::relative_difference;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rayon::prelude::*;
use splitscope::data::{Tensor, by_name};
use splitscope::engine::{EngineChoice, OnnxruntimeOptions};
use splitscope::inference::{DataOptions, Rten, data_free_activations};
use splitscope::network::Network;
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{Clip, Products, Recipe, Rounding, SplitExport, Storage, plan, prepare, rewrite};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Largest difference of outputs, as a share of the largest output, where only the order of additions differs.
const ROUNDING: f32 = 1e-4;

/// The same where inputs are on a grid: a value at the border of two grid points falls on either side, and takes a step of 8 bits
/// through the layers behind it.
const ONE_STEP: f32 = 0.05;

/// What came of a graph.
enum Found {
    /// The recipe cannot be carried out on the network, which was said.
    Refused,
    /// How far the engines are apart, and whether inputs are on a grid or may be rounded by the runtime.
    Apart(f32, bool),
    /// What is wrong.
    Wrong(String),
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

/// A recipe with everything that changes what is exported.
fn any_recipe() -> impl Strategy<Value = Recipe> {
    let clips = prop_oneof![Just(Clip::None), Just(Clip::Mse), Just(Clip::Aciq), Just(Clip::Kl)];
    let exports = prop_oneof![
        Just(SplitExport::Gather),
        Just(SplitExport::Widen),
        Just(SplitExport::Merge),
        Just(SplitExport::Auto)
    ];
    let stored = prop_oneof![Just(Storage::Auto), Just(Storage::Int8), Just(Storage::Float)];
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (recipe(), clips, exports, stored, flags).prop_map(|(recipe, clip, split_export, storage, flags)| {
        let (squant, fast, quantize_outputs, bias_correction, unsigned_activations, equalize) = flags;
        let on_grid = recipe.quantizes_activations();
        Recipe {
            clip,
            split_export,
            storage,
            rounding: if squant { Rounding::Squant } else { Rounding::Nearest },
            products: if fast { Products::Fast } else { Products::Exact },
            quantize_outputs: quantize_outputs && on_grid,
            bias_correction,
            unsigned_activations,
            cross_layer_equalization: equalize,
            ..recipe
        }
    })
}

/// Network and recipe of graph `number`.
fn graph(number: u64) -> (Network, Recipe) {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let drawn = (any::<u64>(), vec(step(), 1..7), head(), any_recipe());
    let (weights, steps, head, recipe) = drawn.new_tree(&mut runner).unwrap().current();
    (random_network(weights, &steps, &head), recipe)
}

fn run(engine: &EngineChoice, bytes: Vec<u8>) -> Result<Vec<f32>, String> {
    let x = (0..SHAPE.iter().product::<usize>()).map(|i| (i as f32 * 0.7).sin() * 2.0);
    let x = vec![(
        "x".to_owned(),
        Tensor::from_shape(SHAPE, x.collect::<Vec<f32>>()).unwrap(),
    )];
    let loaded = engine.load(bytes).map_err(|error| error.to_string())?;
    let outputs = loaded.run(&by_name(&x), &["y"]).map_err(|error| error.to_string())?;
    Ok(outputs[0].floats().ok_or("no floats")?.to_vec())
}

fn compared(number: u64, other: &EngineChoice) -> Found {
    let (network, recipe) = graph(number);
    let progress = Progress::default();
    let exported = || -> Result<Vec<u8>, String> {
        let prepared = prepare(&network, &recipe).map_err(|error| error.to_string())?;
        let activations = recipe.needs_activations().then(|| {
            let engine = Rten::load(encode(&prepared.runnable_model()).unwrap()).unwrap();
            data_free_activations(&prepared, &engine, &DataOptions::default(), &progress).unwrap()
        });
        let plan = plan(&prepared, &recipe, activations.as_ref(), &progress).map_err(|error| error.to_string())?;
        let model = rewrite(&prepared, &plan).map_err(|error| error.to_string())?;
        encode(&model).map_err(|error| error.to_string())
    };
    let Ok(bytes) = exported() else {
        return Found::Refused;
    };
    let wrong = |what: &str| {
        Found::Wrong(format!(
            "graph {number}: {what}, {}",
            recipe.to_toml().unwrap_or_default()
        ))
    };
    let (ours, theirs) = match (run(&EngineChoice::Rten, bytes.clone()), run(other, bytes)) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(error), _) => return wrong(&format!("built-in engine: {error}")),
        (_, Err(error)) => return wrong(&format!("onnxruntime: {error}")),
    };
    if ours.len() != theirs.len() || ours.iter().chain(&theirs).any(|x| !x.is_finite()) {
        return wrong("outputs of other sizes, or not finite");
    }
    let apart = if ours == theirs {
        0.0
    } else {
        relative_difference(&theirs, &ours)
    };
    let on_grid = recipe.quantizes_activations();
    // Fast products are fused with their weights: onnxruntime may then round the inputs of each.
    let most = if on_grid || recipe.products == Products::Fast {
        ONE_STEP
    } else {
        ROUNDING
    };
    if apart > most {
        return wrong(&format!("the outputs are {apart} apart"));
    }
    Found::Apart(apart, on_grid || recipe.products == Products::Fast)
}

#[test]
#[ignore = "needs onnxruntime's library, and minutes"]
fn exports_of_random_networks_compute_the_same_in_onnxruntime() {
    let other = EngineChoice::Onnxruntime(OnnxruntimeOptions {
        threads: Some(1),
        ..OnnxruntimeOptions::default()
    });
    println!("{}", other.available().unwrap());
    let (from, count) = (number("SPLITSCOPE_GRAPHS_FROM", 0), number("SPLITSCOPE_GRAPHS", 200));
    let done = AtomicUsize::new(0);
    // Frames without optimization are large.
    let threads = rayon::ThreadPoolBuilder::new().stack_size(64 << 20).build().unwrap();
    let run_all = || -> Vec<Found> {
        (from..from + count)
            .into_par_iter()
            .map(|number| {
                let found = compared(number, &other);
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if let Found::Wrong(what) = &found {
                    println!("{what}");
                }
                if done.is_multiple_of(500) {
                    println!("{done} graphs");
                }
                found
            })
            .collect()
    };
    let found = threads.install(run_all);
    let of = |grid: bool| {
        let all = found.iter().filter_map(move |found| match found {
            Found::Apart(apart, on_grid) if *on_grid == grid => Some(*apart),
            _ => None,
        });
        all.collect::<Vec<f32>>()
    };
    let largest = |all: &[f32]| all.iter().copied().fold(0.0, f32::max);
    let (float, grid) = (of(false), of(true));
    let refused = found.iter().filter(|found| matches!(found, Found::Refused)).count();
    let wrong = found.iter().filter(|found| matches!(found, Found::Wrong(_))).count();
    println!(
        "{count} graphs from {from}: {refused} refused; {} with float inputs, at most {:.1e} apart; {} with rounded inputs, at most \
         {:.1e} apart, {} above {ROUNDING:.0e}; {wrong} wrong",
        float.len(),
        largest(&float),
        grid.len(),
        largest(&grid),
        grid.iter().filter(|apart| **apart > ROUNDING).count(),
    );
    assert!(refused * 2 < found.len(), "most recipes were refused");
    assert_eq!(wrong, 0);
}
