//! Settings chosen layer by layer: within the budget, the same each time, and no worse than uniform where nothing was chosen on.

use crate::common::{evaluate_recipe, open, shared};
use splitscope::format::demo::Demo;
use splitscope::inference::auto::{
    AutoLayer, AutoOptions, AutoResult, AutoSamples, Budget, Goal, Origin, RunLog, RunSetting, auto, auto_going_on,
    auto_part,
};
use splitscope::inference::sweep::{SweepGrid, SweepSubject, sweep};
use splitscope::inference::{DataOptions, Dataset, Engine, InferenceError, Rten, measure_inputs};
use splitscope::network::Network;
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{
    Activations, Bits, Clip, Granularity, LayerRecipe, Plan, Recipe, Rounding, overhead, plan, prepare,
};
use std::sync::Arc;

fn engine(network: &Network) -> Rten {
    Rten::load(encode(&network.runnable_model()).unwrap()).unwrap()
}

/// The demo's recipe: first convolution float, batch-norm folded.
fn fashion(bits: u8) -> Recipe {
    let mut recipe = Recipe {
        weight_bits: Bits::Grid(bits),
        fold_batch_norm: true,
        ..Recipe::default()
    };
    let float = LayerRecipe {
        float: Some(true),
        ..LayerRecipe::default()
    };
    recipe.layers.insert("conv1".to_owned(), float);
    recipe
}

/// Few bits and clips, so that a test is quick.
fn quick(goal: Goal) -> AutoOptions {
    AutoOptions {
        bits: vec![3, 4, 5],
        clips: vec![Clip::None, Clip::Mse],
        ..AutoOptions::new(goal)
    }
}

/// Chosen on training images, judged by test images.
fn on_fashion(recipe: &Recipe, options: &AutoOptions, judged: usize) -> Result<AutoResult, InferenceError> {
    let original = open("demo:fashion");
    let network = prepare(&original, recipe).unwrap();
    let (data, other) = (Dataset::demo(Demo::Fashion), Dataset::demo_calibration(Demo::Fashion));
    let progress = Progress::default();
    let samples = AutoSamples::of(
        &engine(&original),
        &Arc::new(data),
        Some(Arc::new(other)),
        (Some(100), judged),
        &progress,
    )?;
    auto(&samples.subject(&network, None), recipe, options, &progress)
}

/// Bytes of the weights that a plan quantizes.
fn quantized_bytes(network: &Network, plan: &Plan) -> u64 {
    let costs = overhead(network, plan, None).layers;
    let quantized = plan
        .layers
        .iter()
        .zip(costs)
        .filter(|(layer, _)| layer.quantized().is_some());
    quantized.map(|(_, cost)| cost.bytes.1).sum()
}

#[test]
fn the_demo_is_nearer_to_float_than_with_any_uniform_setting_of_the_same_bytes() {
    let recipe = fashion(4);
    let result = on_fashion(&recipe, &quick(Goal::Budget(Budget::Overhead(0.05))), 1000).unwrap();
    // The bytes told are those of the plan, and within 5 % of plain.
    let network = prepare(&open("demo:fashion"), &recipe).unwrap();
    let planned = |recipe: &Recipe| plan(&network, recipe, None, &Progress::default()).unwrap();
    let plain = quantized_bytes(&network, &planned(&recipe));
    assert_eq!(result.budget_bytes, (plain as f64 * 1.05) as u64);
    for setting in [&result.auto, &result.uniform, &result.plain] {
        assert_eq!(setting.bytes, quantized_bytes(&network, &planned(&setting.recipe)));
        assert!(setting.bytes <= result.budget_bytes);
    }
    assert_eq!(result.plain.recipe, recipe);
    let of_layers: u64 = result.layers.iter().map(|layer| layer.bytes).sum();
    assert_eq!((result.layers.len(), of_layers), (21, result.auto.bytes));
    assert_ne!(result.origin, Origin::Uniform);
    // On images that nothing was chosen on.
    let gain = result.gain_db().unwrap();
    assert!(gain > 1.0, "{gain} dB");
    assert!(result.uniform.judged_on.sqnr_db >= result.plain.judged_on.sqnr_db);
    // What is told is what the recipe gives.
    let again = evaluate_recipe(&open("demo:fashion"), &result.auto.recipe, Demo::Fashion, 1000);
    assert_eq!(again.sqnr_db, result.auto.judged_on.sqnr_db);
    assert_eq!(again.quantized, result.auto.judged_on.metrics);
}

#[test]
fn the_same_input_gives_the_same_recipe() {
    let run = || on_fashion(&fashion(3), &quick(Goal::Budget(Budget::Overhead(0.02))), 20).unwrap();
    assert_eq!(run(), run());
}

#[test]
fn bits_stay_where_one_alone_is_allowed_and_float_layers_float() {
    let options = AutoOptions {
        bits: vec![4],
        ..quick(Goal::Budget(Budget::Overhead(0.03)))
    };
    let result = on_fashion(&fashion(4), &options, 200).unwrap();
    assert!(result.layers.iter().all(|layer| layer.weight_bits == Bits::Grid(4)));
    assert_eq!(result.auto.recipe.layers["conv1"].float, Some(true));
    assert!(result.layers.iter().any(|layer| layer.splits > 0));
    assert!(result.auto.chosen_on.sqnr_db >= result.uniform.chosen_on.sqnr_db);
}

#[test]
fn an_accuracy_is_reached_where_it_is_chosen_with_fewer_bytes_than_most() {
    let result = on_fashion(&fashion(4), &quick(Goal::Accuracy(0.9)), 100).unwrap();
    assert!(result.auto.chosen_on.accuracy() >= Some(0.9));
    // Three bits everywhere are the fewest, five the most there is.
    assert!(
        result.auto.bytes < result.plain.bytes * 5 / 4,
        "{} {}",
        result.auto.bytes,
        result.plain.bytes
    );
    let Err(InferenceError::OutOfReach(reason)) = on_fashion(&fashion(4), &quick(Goal::Accuracy(1.0)), 10) else {
        panic!("the float network itself is not always right");
    };
    assert!(reason.contains("no choice reaches 100.00 %"), "{reason}");
}

#[test]
fn a_budget_below_the_least_and_a_recipe_without_grids_are_refused() {
    let refused = |recipe: &Recipe, budget| match on_fashion(recipe, &quick(Goal::Budget(budget)), 10) {
        Err(InferenceError::OutOfReach(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let few = refused(&fashion(4), Budget::Bytes(1000));
    assert!(
        few.contains("1000 bytes are too few") && few.contains("at least"),
        "{few}"
    );
    let float = Recipe {
        weight_bits: Bits::Float,
        ..fashion(4)
    };
    assert!(refused(&float, Budget::Overhead(0.05)).contains("float in the recipe"));
}

/// What a search with all axes takes, and on which samples it is judged.
fn all_axes(recipe: &Recipe, goal: Goal, judged: usize) -> (Network, Activations, AutoSamples, AutoOptions) {
    let original = open("demo:fashion");
    let network = prepare(&original, recipe).unwrap();
    let (data, other) = (
        Dataset::demo(Demo::Fashion),
        Arc::new(Dataset::demo_calibration(Demo::Fashion)),
    );
    let progress = Progress::default();
    let known = measure_inputs(
        &network,
        &engine(&network),
        Some(&other),
        &DataOptions::default(),
        (100, true),
        &progress,
    )
    .unwrap();
    let limits = (Some(100), judged);
    let samples = AutoSamples::of(&engine(&original), &Arc::new(data), Some(other), limits, &progress);
    (network, known.activations, samples.unwrap(), with_all_axes(goal))
}

fn with_all_axes(goal: Goal) -> AutoOptions {
    AutoOptions {
        scales: AutoOptions::SCALES.to_vec(),
        roundings: Rounding::CHOICES.to_vec(),
        try_bias_correction: true,
        bits: vec![3, 4],
        ..quick(goal)
    }
}

#[test]
fn scales_and_rounding_are_chosen_by_layers_and_no_uniform_setting_of_as_few_bytes_is_better() {
    let recipe = fashion(3);
    let options = with_all_axes(Goal::Budget(Budget::Overhead(0.05)));
    // All uniform settings by a sweep, on the samples that it was judged by.
    let grid = SweepGrid {
        weight_bits: [3, 4].map(Bits::Grid).to_vec(),
        clips: vec![Clip::None, Clip::Mse],
        scales: options.scales.clone(),
        roundings: options.roundings.clone(),
        ..SweepGrid::default()
    };
    let (result, within) = chosen_against_all_of(&recipe, &options, &grid);
    // What presets find, auto finds: finer scales and a rounding that keeps sums or outputs.
    let better = |layer: &&AutoLayer| layer.scales == Granularity::Channel || layer.rounding != Rounding::Nearest;
    assert!(result.layers.iter().filter(better).count() > 15, "{:?}", result.layers);
    assert!(within >= 12, "{within} settings are within the budget");
}

/// Chooses among `few` values on the demo, with everything known of the layers' inputs, and runs every uniform setting of `grid`: none
/// that takes no more bytes is better on the samples to judge by. Tells how many take no more, one at least.
fn chosen_against_all_of(recipe: &Recipe, few: &AutoOptions, grid: &SweepGrid) -> (AutoResult, usize) {
    let (network, activations, samples, _) = all_axes(recipe, few.goal, 300);
    let subject = samples.subject(&network, Some(&activations));
    let progress = Progress::default();
    let result = auto(&subject, recipe, few, &progress).unwrap();
    let bytes = |recipe: &Recipe| {
        let plan = plan(&network, recipe, Some(&activations), &progress).unwrap();
        quantized_bytes(&network, &plan)
    };
    for setting in [&result.auto, &result.uniform] {
        assert_eq!(setting.bytes, bytes(&setting.recipe));
        assert!(setting.bytes <= result.budget_bytes);
    }
    let of = SweepSubject {
        network: &network,
        activations: Some(&activations),
        shapes: None,
        data: subject.judge.data,
        float: subject.judge.float,
    };
    let rows = sweep(&of, &grid.recipes(recipe), &[], &progress, &mut |_| Ok(())).unwrap();
    let within = rows.iter().filter(|row| bytes(&row.recipe) <= result.budget_bytes);
    let tops: Vec<Option<f64>> = within.map(|row| row.metrics.top1).collect();
    assert!(!tops.is_empty());
    let reached = result.auto.judged_on.metrics.top1;
    assert!(tops.iter().all(|top1| reached >= *top1), "{reached:?} {tops:?}");
    (result, tops.len())
}

/// Two bits with a scale for each channel, rounded in one way: 10 % more bytes than with one scale are enough for scales and zero points.
fn two_bits(rounding: Rounding) -> AutoOptions {
    AutoOptions {
        bits: vec![2],
        clips: vec![Clip::None],
        scales: vec![Granularity::Channel],
        roundings: vec![rounding],
        ..AutoOptions::new(Goal::Budget(Budget::Overhead(0.1)))
    }
}

/// A symmetric grid of 2 bits has three values, one with a zero point has four.
#[test]
fn zero_points_are_chosen_by_layers_where_they_pay() {
    let recipe = fashion(2);
    let grid = SweepGrid {
        scales: vec![Granularity::Channel],
        zero_points: vec![false, true],
        ..SweepGrid::default()
    };
    assert_eq!(grid.recipes(&recipe).len(), 2);
    let options = AutoOptions {
        zero_points: vec![false, true],
        ..two_bits(Rounding::Nearest)
    };
    let (with, _) = chosen_against_all_of(&recipe, &options, &grid);
    let (without, _) = chosen_against_all_of(&recipe, &two_bits(Rounding::Nearest), &SweepGrid::default());
    let have = |result: &AutoResult| result.layers.iter().filter(|layer| layer.zero_points).count();
    assert!(
        have(&with) > 10 && have(&without) == 0,
        "{} {}",
        have(&with),
        have(&without)
    );
    let top1 = |result: &AutoResult| result.auto.judged_on.metrics.top1.unwrap();
    // The front has 83.1 for 12.2 %, all layers on grids.
    assert!(top1(&with) > top1(&without) + 0.2, "{} {}", top1(&with), top1(&without));
}

#[test]
fn of_two_preparations_the_better_is_taken() {
    let goal = Goal::Budget(Budget::Overhead(0.05));
    let options = AutoOptions {
        bits: vec![3],
        clips: vec![Clip::None],
        ..quick(goal)
    };
    let on = |fold_batch_norm| {
        let recipe = Recipe {
            fold_batch_norm,
            ..fashion(3)
        };
        on_fashion(&recipe, &options, 300).unwrap()
    };
    let (folded, unfolded) = (on(true), on(false));
    let top1 = |result: &AutoResult| result.auto.judged_on.metrics.top1.unwrap();
    let better = unfolded.clone().or_better(folded.clone(), goal);
    assert_eq!(top1(&better), top1(&folded).max(top1(&unfolded)));
    assert_eq!(better.runs, folded.runs + unfolded.runs);
    assert_eq!(folded.or_better(unfolded, goal).auto, better.auto);
}

#[test]
fn machines_share_the_runs_out_and_the_result_is_that_of_one() {
    let recipe = fashion(3);
    let goal = Goal::Budget(Budget::Overhead(0.05));
    let (network, activations, samples, options) = all_axes(&recipe, goal, 40);
    let options = AutoOptions {
        clips: vec![Clip::None],
        ..options
    };
    let subject = samples.subject(&network, Some(&activations));
    let (folder, progress) = (tempfile::tempdir().unwrap(), Progress::default());
    let setting = RunSetting {
        model: "demo:fashion".to_owned(),
        choose: "100".to_owned(),
        judge: "40".to_owned(),
        calibration: "100".to_owned(),
        base: recipe.clone(),
    };
    let whole = auto(&subject, &recipe, &options, &progress).unwrap();
    let (mut joined, mut counts) = (String::new(), Vec::new());
    for shard in ["1/3", "2/3", "3/3"] {
        let path = folder.path().join(shard.replace('/', "of"));
        let mut log = RunLog::create(&path, &setting).unwrap();
        let (all, own) = auto_part(&subject, &recipe, &options, shard.parse().unwrap(), &mut log, &progress).unwrap();
        assert_eq!(log.made(), own, "no run belongs to two parts");
        counts.push((all, own));
        drop(log);
        joined += &std::fs::read_to_string(path).unwrap();
    }
    // 21 layers with three ways to round, and the uniform settings.
    let (all, sum) = (counts[0].0, counts.iter().map(|(_, own)| own).sum::<usize>());
    assert!(all > 63 && sum == all, "{counts:?}");
    let lines: std::collections::BTreeSet<&str> = joined.lines().collect();
    assert_eq!(lines.len(), all + 1, "all runs differ");
    let path = folder.path().join("joined.csv");
    std::fs::write(&path, &joined).unwrap();
    let mut log = RunLog::resume(&path, &setting).unwrap();
    let merged = auto_going_on(&subject, &recipe, &options, &mut log, &progress).unwrap();
    assert_eq!(merged, whole);
    let made = log.made();
    drop(log);
    // Once more, nothing but choices by layers as a whole is run.
    let mut log = RunLog::resume(&path, &setting).unwrap();
    let again = auto_going_on(&subject, &recipe, &options, &mut log, &progress).unwrap();
    assert_eq!(
        (again, log.made()),
        (whole, 0),
        "{made} runs were left for the last machine"
    );
}

#[test]
fn a_cancelled_search_ends() {
    let recipe = fashion(4);
    let original = open("demo:fashion");
    let network = prepare(&original, &recipe).unwrap();
    let progress = Progress::default();
    let data = Arc::new(Dataset::demo(Demo::Fashion));
    let samples = AutoSamples::of(&engine(&original), &data, None, (Some(20), 40), &progress).unwrap();
    progress.cancel();
    let options = quick(Goal::Budget(Budget::Overhead(0.05)));
    let outcome = auto(&samples.subject(&network, None), &recipe, &options, &progress);
    assert!(matches!(outcome, Err(InferenceError::Cancelled(_))));
}

#[test]
fn noise_does_for_a_network_without_data() {
    let recipe = fashion(4);
    let original = open("demo:fashion");
    let network = prepare(&original, &recipe).unwrap();
    let progress = Progress::default();
    let samples = AutoSamples::noise(&original, &engine(&original), (Some(16), 16), None, &progress).unwrap();
    let options = quick(Goal::Budget(Budget::Overhead(0.05)));
    let result = auto(&samples.subject(&network, None), &recipe, &options, &progress).unwrap();
    assert_eq!(result.auto.judged_on.metrics.top1, None);
    assert!(result.gain_db().unwrap() > 0.0);
}

#[test]
fn recurrent_layers_keep_the_budget_too() {
    let original = open("demo:shakespeare");
    let data = Arc::new(Dataset::demo(Demo::Shakespeare));
    let progress = Progress::default();
    let samples = AutoSamples::of(&engine(&original), &data, None, (Some(2000), usize::MAX), &progress).unwrap();
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        ..Recipe::default()
    };
    let options = quick(Goal::Budget(Budget::Overhead(0.05)));
    let result = auto(&samples.subject(&original, None), &recipe, &options, &progress).unwrap();
    let planned = plan(&original, &result.auto.recipe, None, &progress).unwrap();
    assert!(quantized_bytes(&original, &planned) <= result.budget_bytes);
    assert!(result.gain_db().unwrap() > 0.0);
    let perplexity = |metrics: &splitscope::inference::Metrics| metrics.perplexity.unwrap();
    assert!(perplexity(&result.auto.judged_on.metrics) < perplexity(&result.plain.judged_on.metrics));
}

/// ResNet-20 at 4 bits, chosen on training images and judged by test images.
#[test]
#[ignore = "needs ../shared"]
fn resnet20_is_nearer_to_float_than_uniform_on_images_that_nothing_was_chosen_on() {
    let original = open(shared("models/cifar10_resnet20.onnx").to_str().unwrap());
    let engine = engine(&original);
    let options = DataOptions {
        mean: Some(vec![0.485, 0.456, 0.406]),
        std: Some(vec![0.229, 0.224, 0.225]),
        ..DataOptions::default()
    };
    let data = |name: &str| {
        let path = shared(name);
        Arc::new(Dataset::open(path.to_str().unwrap(), &options, engine.inputs()).unwrap())
    };
    let (test, training) = (
        data("data/cifar10_test_first5000.bin"),
        data("data/cifar10_calib_2000.bin"),
    );
    let progress = Progress::default();
    let samples = AutoSamples::of(&engine, &test, Some(training), (None, 2000), &progress).unwrap();
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        float_first_layer: true,
        float_last_layer: true,
        ..Recipe::default()
    };
    for budget in [0.02, 0.05, 0.1] {
        let options = AutoOptions::new(Goal::Budget(Budget::Overhead(budget)));
        let result = auto(&samples.subject(&original, None), &recipe, &options, &progress).unwrap();
        assert!(result.auto.bytes <= result.budget_bytes);
        assert!(result.gain_db().unwrap() > 0.0, "{budget}: {:?}", result.gain_db());
    }
}
