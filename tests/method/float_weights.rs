//! Networks whose weights stay float: their channels are split all the same, and their inputs go on grids.

use crate::common::graph::{model, network, run, value};
use crate::common::{float_outputs, open, relative_difference, shared};
use splitscope::format::demo::Demo;
use splitscope::inference::{Dataset, Rten, calibrate, run_outputs};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, node};
use splitscope::onnx::{ModelProto, encode, float_values};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Activations, Bits, Expansion, FIELDS, Outcome, Recipe, SplitExport, SplitKind, overhead, plan, prepare,
    quantized_tensors, rewrite,
};
use splitscope::statistics::{ActivationStatistics, RangeSource};
use std::collections::HashMap;

fn float_split(ratio: f64) -> Recipe {
    Recipe {
        weight_bits: Bits::Float,
        expand_ratio: ratio,
        split: SplitKind::Naive,
        ..Recipe::default()
    }
}

/// Elements of all float tensors of a model's main graph.
fn parameters(model: &ModelProto) -> u64 {
    let graph = model.graph.as_ref().unwrap();
    let floats = graph.initializer.iter().filter(|tensor| tensor.data_type() == 1);
    floats
        .map(|tensor| tensor.dims.iter().map(|size| *size as u64).product::<u64>())
        .sum()
}

#[test]
fn a_split_float_network_is_written_and_computes_the_same() {
    for (demo, path, samples) in [
        (Demo::Fashion, "demo:fashion", 40),
        (Demo::Shakespeare, "demo:shakespeare", 2000),
    ] {
        let network = open(path);
        let float = float_outputs(&network, demo, samples);
        for export in [SplitExport::Gather, SplitExport::Widen] {
            let recipe = Recipe {
                split_export: export,
                ..float_split(0.1)
            };
            let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
            let splits: usize = plan
                .layers
                .iter()
                .filter_map(|layer| Some(layer.inputs()?.splits.len()))
                .sum();
            assert!(splits > 20, "{path}: {splits}");
            let written = rewrite(&network, &plan).unwrap();
            let engine = Rten::load(encode(&written).unwrap()).unwrap();
            let outputs = run_outputs(&engine, &Dataset::demo(demo), samples, &Progress::default()).unwrap();
            let difference = relative_difference(&float.logits, &outputs.logits);
            assert!(difference <= 1e-5, "{path} {export}: {difference}");
            // The size that is told is that of the file.
            let cost = overhead(&network, &plan, None);
            let before = parameters(&network.runnable_model());
            let added = parameters(&written) - before;
            assert!(added > 0);
            assert_eq!(
                cost.bytes.quantized,
                encode(&written).unwrap().len() as u64,
                "{path} {export}"
            );
            assert!(cost.bytes.quantized - cost.bytes.float >= 4 * added, "{path} {export}");
            let ratio = (network.parameters() + added) as f64 / network.parameters() as f64;
            assert!((cost.weights - ratio).abs() < 1e-12, "{path} {export}");
        }
    }
}

/// Every weight is the sum of its copies, to the bit, in both kinds of file.
#[test]
fn the_copies_of_a_float_weight_add_up_to_it() {
    let network = open("demo:fashion");
    let plan = plan(&network, &float_split(0.05), None, &Progress::default()).unwrap();
    let (tensors, metadata) = quantized_tensors(&network, &plan).unwrap();
    assert!(
        metadata
            .iter()
            .any(|(key, value)| key == "splitscope.recipe" && value.contains("float"))
    );
    let by_name: HashMap<&str, _> = tensors.iter().map(|tensor| (tensor.name(), tensor)).collect();
    let written = rewrite(&network, &plan).unwrap();
    let constants = &written.graph.as_ref().unwrap().initializer;
    for (number, (layer, planned)) in network.layers.iter().zip(&plan.layers).enumerate() {
        let Outcome::Expanded(float) = &planned.outcome else {
            panic!("{}: {:?}", layer.name, planned.outcome);
        };
        let original = network.weights(number).unwrap();
        assert!(!by_name.contains_key(format!("{}.q", layer.weight).as_str()));
        let in_file = constants
            .iter()
            .find(|tensor| tensor.name() == format!("{}.split", layer.weight));
        for tensor in [by_name[layer.weight.as_str()], in_file.unwrap()] {
            let values = float_values(tensor).unwrap();
            assert_eq!(tensor.dims[layer.channel_axis()], float.layout.channels as i64);
            let inner = layer.layout.inner;
            let (row, wide) = (layer.layout.channels * inner, float.layout.channels * inner);
            for (line, copies) in original.chunks(row).zip(values.chunks(wide)) {
                let mut sums = vec![0.0_f32; row];
                for (copy, source) in float.index.iter().enumerate() {
                    for place in 0..inner {
                        sums[source * inner + place] += copies[copy * inner + place];
                    }
                }
                assert_eq!(sums, line, "{}", layer.name);
            }
        }
    }
}

fn linear() -> (Network, Vec<f32>, Vec<f32>) {
    let weights: Vec<f32> = (0..48)
        .map(|i| ((i as f32 * 0.618_034).fract() - 0.5).powi(3))
        .collect();
    let x: Vec<f32> = (0..40)
        .map(|i| (i as f32 * 0.37).sin() * if i % 8 == 3 { 9.0 } else { 1.0 })
        .collect();
    let layer = node("MatMul", "m", ["x", "w"], ["y"], vec![]);
    let parts = (vec![layer], vec![float_tensor("w", &[8, 6], &weights)]);
    (
        network(model(13, parts, vec![value("x")], vec![value("y")])),
        weights,
        x,
    )
}

fn seen(x: &[f32]) -> Activations {
    let mut seen = ActivationStatistics::new(RangeSource::Calibration);
    seen.add_channels(x, &[5, 8], -1);
    Activations::from([("x".to_owned(), seen)])
}

/// `y = Q(x) W` with float W, where Q is the grid of 8 bits over the largest |x|, computed here.
#[test]
fn inputs_of_float_weights_go_on_their_grid() {
    let (network, weights, x) = linear();
    for (expand_ratio, halved) in [(0.0, 0.0), (0.25, 0.0), (0.25, 0.1), (0.0, 0.1)] {
        let recipe = Recipe {
            activation_bits: Bits::Grid(6),
            activation_expand_ratio: halved,
            ..float_split(expand_ratio)
        };
        let plan = plan(&network, &recipe, Some(&seen(&x)), &Progress::default()).unwrap();
        let inputs = plan.layers[0].inputs().unwrap();
        assert_eq!(inputs.splits.len(), (expand_ratio * 8.0) as usize);
        assert_eq!(inputs.activation_splits, if halved > 0.0 { vec![3] } else { vec![] });
        let largest = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let step = largest / if halved > 0.0 { 62.0 } else { 31.0 };
        let on_grid = |x: f32| (x / step).round_ties_even().clamp(-31.0, 31.0) * step;
        let rounded = |place: usize, x: f32| match halved > 0.0 && place % 8 == 3 {
            true => on_grid(x / 2.0 - step / 4.0) + on_grid(x / 2.0 + step / 4.0),
            false => on_grid(x),
        };
        let output = run(&rewrite(&network, &plan).unwrap(), &[5, 8], &x);
        let expected: Vec<f32> = (0..30)
            .map(|place| {
                let (row, column) = (place / 6, place % 6);
                (0..8)
                    .map(|i| rounded(row * 8 + i, x[row * 8 + i]) * weights[i * 6 + column])
                    .sum()
            })
            .collect();
        let difference = relative_difference(&expected, &output);
        assert!(difference <= 1e-6, "{expand_ratio} {halved}: {difference}");
        let float = run(&network.runnable_model(), &[5, 8], &x);
        assert!(relative_difference(&float, &output) > 1e-3, "the input is rounded");
        assert_eq!(
            Expansion::of(inputs).channels,
            8 + inputs.splits.len()
                + inputs.activation_splits.len() * (1 + inputs.splits.iter().filter(|it| **it == 3).count())
        );
    }
}

/// A value of the field that is not `now`.
fn other(field: &str, now: &str) -> &'static str {
    match field {
        "weight_bits" => "5",
        "expand_ratio" | "activation_expand_ratio" | "smooth" => "0.3",
        "split" => "qa",
        "clip" | "activation_clip" => "mse",
        "activation_bits" => "5",
        "activation_split" => "naive",
        "scales" => "channel",
        "rounding" => "squant",
        "split_export" => "merge",
        "storage" => "int8",
        "products" => "fast",
        _ if now == "true" => "false",
        _ => "true",
    }
}

/// Each field of a recipe for float weights changes the file that is written, or is named as one that cannot. (`split` says how
/// the other is done, and `smooth` finds no norm in this network and says so; on the command line quantization-aware halves of float weights are refused.)
#[test]
fn every_field_has_an_effect_on_float_weights_or_is_refused() {
    let network = open("demo:fashion");
    let data = Dataset::demo_calibration(Demo::Fashion);
    let written = |recipe: &Recipe| {
        let network = prepare(&network, recipe).unwrap();
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let calibration = calibrate(&network, &engine, &data, 16, &Progress::default()).unwrap();
        let plan = plan(&network, recipe, Some(&calibration.activations), &Progress::default()).unwrap();
        let mut model = rewrite(&network, &plan).unwrap();
        model.metadata_props.clear();
        encode(&model).unwrap()
    };
    let base = Recipe {
        activation_bits: Bits::Grid(8),
        activation_expand_ratio: 0.1,
        // Batch-norms bar the way of the equalization.
        fold_batch_norm: true,
        ..float_split(0.1)
    };
    assert!(base.without_effect().is_empty());
    let before = written(&base);
    let mut refused = Vec::new();
    for field in FIELDS {
        let mut recipe = base.clone();
        field.set(&mut recipe, other(field.name, &field.text(&base))).unwrap();
        assert!(!field.same(&recipe, &base), "{}", field.name);
        let names: Vec<&str> = recipe.without_effect().iter().map(|found| found.field).collect();
        match names[..] {
            // A network of convolutions has no stream to rotate: that is refused, with the reason.
            [] if field.name == "rotate" => assert!(prepare(&network, &recipe).is_err()),
            [] if ["split", "smooth"].contains(&field.name) => {}
            [] => assert!(
                written(&recipe) != before,
                "{} does nothing and nobody says so",
                field.name
            ),
            [name] => {
                assert_eq!(name, field.name);
                refused.push(name);
            }
            _ => panic!("{names:?}"),
        }
    }
    assert_eq!(
        refused,
        [
            "clip",
            "scales",
            "weight_zero_points",
            "rounding",
            "awq",
            "bias_correction",
            "sequential",
            "quantize_outputs",
            "quantize_embeddings",
            "split_export",
            "storage",
            "products"
        ]
    );
}

#[test]
#[ignore = "needs ../shared"]
fn split_float_networks_of_other_people_compute_the_same() {
    for name in [
        "cifar10_resnet20.onnx",
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "silero_vad_16k_op15.onnx",
    ] {
        let network = splitscope::format::open(&shared("models").join(name)).unwrap();
        let plan = plan(&network, &float_split(0.05), None, &Progress::default()).unwrap();
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let data = Dataset::noise(&network, &engine, 4, 7).unwrap();
        let outputs = |model: &ModelProto| {
            let engine = Rten::load(encode(model).unwrap()).unwrap();
            run_outputs(&engine, &data, 4, &Progress::default()).unwrap().logits
        };
        let difference = relative_difference(
            &outputs(&network.runnable_model()),
            &outputs(&rewrite(&network, &plan).unwrap()),
        );
        assert!(difference <= 1e-5, "{name}: {difference}");
        println!("{name}: {difference:.1e}");
    }
}
