//! The method on whole networks: what must hold for any of them, and what an independent simulation measured on the demo.

use crate::common::graph::{self, model, network, run, value};
use crate::common::{evaluate_against, evaluate_recipe, float_outputs, open, relative_difference};
use splitscope::format::demo::Demo;
use splitscope::inference::{Dataset, Rten, run_outputs};
use splitscope::network::fold_batch_norm;
use splitscope::onnx::build::{float_tensor, ints_attribute, node};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{ModelProto, TensorProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Clip, LayerRecipe, Preset, Recipe, plan, rewrite, split_only};

/// The recipe of the demo's tables: first convolution float, weights only.
fn fashion(bits: u8, expand_ratio: f64, clip: Clip, fold_batch_norm: bool) -> Recipe {
    let mut recipe = Recipe {
        weight_bits: Bits::Grid(bits),
        expand_ratio,
        clip,
        fold_batch_norm,
        ..Recipe::default()
    };
    recipe.layers.insert(
        "conv1".to_owned(),
        LayerRecipe {
            float: Some(true),
            ..LayerRecipe::default()
        },
    );
    recipe
}

/// `assets/README.md`, tables "the same on `fashion_test_1000`": accuracy of an independent simulation, per mille. Both
/// programs must place nearly every image alike; half a point is left for sums in another order.
#[test]
fn accuracies_on_the_demo_are_those_of_an_independent_simulation() {
    let network = open("demo:fashion");
    let float = float_outputs(&network, Demo::Fashion, 1000);
    for (fold, bits, ratio, published) in [
        (false, 5, 0.0, 941),
        (false, 4, 0.0, 934),
        (false, 4, 0.05, 946),
        (false, 3, 0.0, 889),
        (false, 3, 0.02, 900),
        (false, 3, 0.1, 931),
        (true, 4, 0.02, 939),
        (true, 3, 0.0, 808),
        (true, 3, 0.02, 921),
        (true, 3, 0.05, 920),
        (true, 3, 0.2, 925),
    ] {
        let recipe = fashion(bits, ratio, Clip::None, fold);
        let evaluation = evaluate_against(&float, &network, &recipe, Demo::Fashion);
        assert_eq!(evaluation.float.top1, Some(0.942));
        let measured = evaluation.quantized.top1.unwrap() * 1000.0;
        assert!(
            (measured - f64::from(published)).abs() <= 5.0,
            "folded {fold}, {bits} bits, ratio {ratio}: {measured}, published {published}"
        );
    }
}

#[test]
fn splitting_alone_never_changes_what_the_network_computes() {
    let network = open("demo:fashion");
    let data = Dataset::demo(Demo::Fashion);
    let progress = Progress::default();
    for fold in [false, true] {
        let network = if fold {
            fold_batch_norm(&network).unwrap()
        } else {
            network.clone()
        };
        let plan = plan(&network, &fashion(4, 0.2, Clip::None, fold), None, &progress).unwrap();
        assert!(
            plan.layers
                .iter()
                .filter_map(|l| l.quantized())
                .any(|l| !l.splits.is_empty())
        );
        let outputs = |bytes| {
            run_outputs(&Rten::load(bytes).unwrap(), &data, 100, &progress)
                .unwrap()
                .logits
        };
        let float = outputs(encode(&network.runnable_model()).unwrap());
        let split = outputs(encode(&split_only(&network, &plan).unwrap()).unwrap());
        let difference = relative_difference(&float, &split);
        assert!(difference <= 1e-5, "folded {fold}: {difference}");
    }
}

#[test]
fn an_export_has_the_parameters_of_its_network_and_its_steps() {
    let network = open("demo:fashion");
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        ..Recipe::default()
    };
    let model = rewrite(&network, &plan(&network, &recipe, None, &Progress::default()).unwrap()).unwrap();
    let exported = graph::network(model);
    assert_eq!(exported.layers.len(), 22);
    let added = exported.parameters() - network.parameters();
    assert_eq!(added, 22, "one step for each layer, and nothing lost");
}

/// The integers of a tensor of INT8, or of INT4 or INT2, of which a byte holds several, the first in its lowest bits.
fn codes(tensor: &TensorProto) -> Vec<i32> {
    let width = match tensor.data_type() {
        data_type::INT8 => 8,
        data_type::INT4 => 4,
        data_type::INT2 => 2,
        other => panic!("type {other}"),
    };
    let count = tensor.dims.iter().product::<i64>() as usize;
    let bytes = tensor.raw_data.as_ref().unwrap();
    assert_eq!(bytes.len(), (count * width).div_ceil(8));
    let place = |at: usize| (at * width / 8, at * width % 8);
    let code = |(byte, shift): (usize, usize)| i32::from((bytes[byte] >> shift << (8 - width)) as i8 >> (8 - width));
    (0..count).map(|at| code(place(at))).collect()
}

#[test]
fn exported_weights_lie_inside_the_grid_of_their_bits() {
    let network = open("demo:fashion");
    for bits in 2..=8 {
        let recipe = Recipe {
            weight_bits: Bits::Grid(bits),
            expand_ratio: 0.05,
            ..Recipe::default()
        };
        let model = rewrite(&network, &plan(&network, &recipe, None, &Progress::default()).unwrap()).unwrap();
        let graph = model.graph.unwrap();
        let n = (1_i32 << (bits - 1)) - 1;
        let mut tensors = 0;
        for tensor in graph.initializer.iter().filter(|t| t.name().ends_with(".q")) {
            assert!(
                codes(tensor).iter().all(|code| code.abs() <= n),
                "{} at {bits} bits",
                tensor.name()
            );
            tensors += 1;
        }
        assert_eq!(tensors, 22, "every layer of the demo has its integers");
        assert!(
            graph.initializer.iter().all(|t| t.name() != "layer1.0.conv1.weight"),
            "the float weight is gone"
        );
    }
}

#[test]
fn quantized_activations_need_calibration_and_then_cost_little_at_8_bits() {
    let network = open("demo:fashion");
    let recipe = Recipe::preset(Preset::Deploy);
    assert!(plan(&network, &recipe, None, &Progress::default()).is_err());
    let evaluation = evaluate_recipe(&network, &recipe, Demo::Fashion, 1000);
    let top1 = evaluation.quantized.top1.unwrap();
    assert!((top1 - 0.942).abs() <= 0.006, "{top1}");
    assert!(evaluation.agreement < Some(1.0) || evaluation.sqnr_db.is_some_and(f64::is_finite));
}

#[test]
fn float_everywhere_is_the_float_network() {
    let network = open("demo:fashion");
    let recipe = Recipe {
        weight_bits: Bits::Float,
        ..Recipe::default()
    };
    let evaluation = evaluate_recipe(&network, &recipe, Demo::Fashion, 200);
    assert_eq!(evaluation.agreement, Some(1.0));
    assert_eq!(evaluation.float, evaluation.quantized);
}

/// ONNX lets a file leave out strides, dilations, pads and the kernel's shape; the engine does not.
#[test]
fn convolutions_and_pools_with_their_defaults_left_out_run() {
    let weights: Vec<f32> = (0..24).map(|i| (i as f32 * 0.7).sin()).collect();
    let pool = vec![ints_attribute("kernel_shape", [2, 2])];
    let nodes = vec![
        node("Conv", "conv", ["x", "w"], ["a"], vec![]),
        node("MaxPool", "pool", ["a"], ["y"], pool),
    ];
    let parts = (nodes, vec![float_tensor("w", &[3, 2, 2, 2], &weights)]);
    let network = network(model(13, parts, vec![value("x")], vec![value("y")]));
    let x: Vec<f32> = (0..50).map(|i| (i as f32 * 0.3).cos()).collect();
    let run = |model: &ModelProto| run(model, &[1, 2, 5, 5], &x);
    let recipe = Recipe {
        expand_ratio: 0.5,
        ..Recipe::default()
    };
    let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
    let float = run(&network.runnable_model());
    assert_eq!(float.len(), 3 * 3 * 3);
    assert!(relative_difference(&float, &run(&split_only(&network, &plan).unwrap())) <= 1e-5);
    assert!(relative_difference(&float, &run(&rewrite(&network, &plan).unwrap())) <= 0.02);
}
