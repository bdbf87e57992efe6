//! LSTM, GRU and RNN: what the splits inside a cell compute, against the specification, the engine and stored outputs.

mod cells;
mod people;
mod reference;
mod shakespeare;

use crate::common::graph::{self, value};
use cells::{Case, INPUTS, STEPS, States, cases};

use reference::Tensor;
use splitscope::data;
use splitscope::inference::{Engine, Rten};
use splitscope::network::Network;
use splitscope::onnx::build::float_tensor;
use splitscope::onnx::{ModelProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Activations, Bits, Clip, Granularity, LayerRecipe, Outcome, Plan, Recipe, SplitKind, overhead, plan, rewrite,
    split_only,
};
use std::collections::HashMap;

fn recipe(bits: u8, expand_ratio: f64, clip: Clip) -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(bits),
        expand_ratio,
        clip,
        ..Recipe::default()
    }
}

fn planned(network: &Network, recipe: &Recipe) -> Plan {
    plan(network, recipe, None, &Progress::default()).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.shape, b.shape);
    a.values
        .iter()
        .zip(&b.values)
        .fold(0.0, |m, (a, b)| m.max((a - b).abs()))
}

fn engine_run(model: &ModelProto, inputs: &[(&str, Tensor)], outputs: &[&str]) -> Vec<Tensor> {
    let inputs: Vec<(String, data::Tensor)> = inputs
        .iter()
        .map(|(name, tensor)| {
            let values: Vec<f32> = tensor.values.iter().map(|x| *x as f32).collect();
            (
                (*name).to_owned(),
                data::Tensor::from_shape(&tensor.shape, values).unwrap(),
            )
        })
        .collect();
    let engine = Rten::load(encode(model).unwrap()).unwrap();
    engine
        .run(&data::by_name(&inputs), outputs)
        .unwrap()
        .into_iter()
        .map(|value| of_value(&value))
        .collect()
}

fn of_value(value: &data::Tensor) -> Tensor {
    Tensor {
        shape: value.shape().to_vec(),
        values: value.floats().unwrap().iter().map(|x| f64::from(*x)).collect(),
    }
}

fn assert_equal_outputs(original: &ModelProto, changed: &ModelProto, case: &Case) {
    let inputs = case.inputs();
    let (before, after) = (reference::run(original, &inputs), reference::run(changed, &inputs));
    for output in case.outputs() {
        let difference = largest_difference(&before[*output], &after[*output]);
        assert!(difference <= 1e-5, "{case:?}, {output}: {difference}");
    }
    if case.engine_knows() {
        let before = engine_run(original, &inputs, case.outputs());
        let after = engine_run(changed, &inputs, case.outputs());
        for ((before, after), output) in before.iter().zip(&after).zip(case.outputs()) {
            let difference = largest_difference(before, after);
            assert!(difference <= 1e-5, "{case:?}, engine, {output}: {difference}");
        }
    }
}

#[test]
fn the_engine_computes_what_the_specification_says() {
    for case in cases().into_iter().filter(Case::engine_knows) {
        let network = case.network();
        let expected = reference::run(&network.model, &case.inputs());
        let outputs = engine_run(&network.model, &case.inputs(), case.outputs());
        for (output, name) in outputs.iter().zip(case.outputs()) {
            let difference = largest_difference(output, &expected[*name]);
            assert!(difference <= 1e-5, "{case:?}, {name}: {difference}");
        }
    }
}

#[test]
fn splitting_alone_leaves_every_output_of_every_cell_as_it_was() {
    for case in cases() {
        let network = case.network();
        for split in [SplitKind::Qa, SplitKind::Naive] {
            let recipe = Recipe {
                split,
                ..recipe(4, 0.5, Clip::None)
            };
            let plan = planned(&network, &recipe);
            let splits: Vec<usize> = plan
                .layers
                .iter()
                .map(|l| l.quantized().unwrap().splits.len())
                .collect();
            assert_eq!(splits, [2, 3], "{case:?}");
            let changed = split_only(&network, &plan).unwrap();
            assert_equal_outputs(&network.model, &changed, &case);
        }
    }
}

#[test]
fn a_cell_with_one_float_matrix_is_split_all_the_same() {
    for case in cases() {
        let network = case.network();
        for float in ["cell/W", "cell/R"] {
            let mut recipe = recipe(4, 0.5, Clip::None);
            let kept = LayerRecipe {
                float: Some(true),
                ..LayerRecipe::default()
            };
            recipe.layers.insert(float.to_owned(), kept);
            let plan = planned(&network, &recipe);
            assert_equal_outputs(&network.model, &split_only(&network, &plan).unwrap(), &case);
            assert_equal_outputs(
                &seen_by_the_network(&network, &plan),
                &rewrite(&network, &plan).unwrap(),
                &case,
            );
        }
    }
}

/// The original graph with the weights that the quantized one stands for: dequantized, the copies of a channel added up.
fn seen_by_the_network(network: &Network, plan: &Plan) -> ModelProto {
    let mut model = (*network.model).clone();
    for (layer, planned) in network.layers.iter().zip(&plan.layers) {
        let Some(quantized) = planned.quantized() else { continue };
        let (channels, expanded) = (layer.layout.channels, quantized.layout.channels);
        let mut values = vec![0.0_f32; layer.layout.elements()];
        for (i, q) in quantized.values.iter().enumerate() {
            let (row, channel) = (i / expanded, i % expanded);
            let step = quantized.scales.on(&quantized.layout).at(row, i % expanded);
            values[row * channels + quantized.index[channel]] += f32::from(*q) * step;
        }
        let graph = model.graph.as_mut().unwrap();
        let tensor = graph.initializer.iter_mut().find(|t| t.name() == layer.weight).unwrap();
        *tensor = float_tensor(layer.weight.clone(), &layer.shape, &values);
    }
    model
}

#[test]
fn a_quantized_cell_computes_with_the_weights_of_its_plan() {
    for case in cases() {
        let network = case.network();
        for scales in [Granularity::Tensor, Granularity::Channel] {
            let recipe = Recipe {
                scales,
                ..recipe(3, 0.5, Clip::Mse)
            };
            let plan = planned(&network, &recipe);
            for layer in &plan.layers {
                assert_eq!(layer.quantized().unwrap().scales.granularity(), scales, "{case:?}");
                assert_eq!(layer.settings.weights.scales, scales);
            }
            let changed = rewrite(&network, &plan).unwrap();
            assert_equal_outputs(&seen_by_the_network(&network, &plan), &changed, &case);
        }
    }
}

#[test]
fn a_wide_cell_holds_int8_weights_and_no_float_ones() {
    let case = Case {
        states: States::Input,
        peepholes: true,
        ..Case::plain("LSTM")
    };
    let network = case.network();
    let model = rewrite(&network, &planned(&network, &recipe(4, 0.5, Clip::None))).unwrap();
    let graph = model.graph.unwrap();
    let shape = |name: &str| {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name() == name);
        tensor.map(|tensor| tensor.dims.clone())
    };
    assert_eq!(shape("W.q"), Some(vec![1, 32, 5]));
    assert_eq!(shape("R.q"), Some(vec![1, 32, 8]));
    assert_eq!(
        (shape("W"), shape("R"), shape("B"), shape("P")),
        (None, None, None, None)
    );
    assert_eq!(
        (shape("B.wide"), shape("P.wide")),
        (Some(vec![1, 64]), Some(vec![1, 24]))
    );
    let cell = graph.node.iter().find(|node| node.op_type() == "LSTM").unwrap();
    let size = cell.attribute.iter().find(|a| a.name() == "hidden_size").unwrap();
    assert_eq!(size.i, Some(8));
}

#[test]
fn the_overhead_counts_the_rows_of_the_copies() {
    let network = Case::plain("LSTM").network();
    let plan = planned(&network, &recipe(4, 0.5, Clip::None));
    let shapes = HashMap::from([("X".to_owned(), vec![STEPS, 1, INPUTS])]);
    let cost = overhead(&network, &plan, Some(&shapes));
    let weights: Vec<(u64, u64)> = cost.layers.iter().map(|layer| layer.weights).collect();
    assert_eq!(weights, [(4 * 5 * 3, 4 * 8 * 5), (4 * 5 * 5, 4 * 8 * 8)]);
    assert_eq!(cost.layers[1].macs, Some((STEPS as u64 * 100, STEPS as u64 * 256)));
}

#[test]
fn inputs_of_recurrent_layers_stay_float() {
    let network = Case::plain("GRU").network();
    let recipe = Recipe {
        activation_bits: Bits::Grid(8),
        ..recipe(8, 0.0, Clip::None)
    };
    let plan = plan(&network, &recipe, Some(&Activations::new()), &Progress::default()).unwrap();
    for layer in &plan.layers {
        assert!(matches!(&layer.outcome, Outcome::Quantized(quantized) if quantized.activation.is_none()));
    }
}

#[test]
fn weights_that_are_computed_at_run_time_are_widened_at_run_time() {
    let case = Case::plain("LSTM");
    let mut model = (*case.network().model).clone();
    let graph = model.graph.as_mut().unwrap();
    let (w, bias) = (graph.initializer.remove(0), graph.initializer.pop().unwrap());
    graph.input.extend([value("W"), value("B")]);
    let network = graph::network(model);
    assert_eq!(network.layers.len(), 1);
    let changed = split_only(&network, &planned(&network, &recipe(4, 0.5, Clip::None))).unwrap();
    let mut inputs = case.inputs();
    inputs.push(("W", Tensor::of(&w)));
    inputs.push(("B", Tensor::of(&bias)));
    let (before, after) = (
        reference::run(&network.model, &inputs),
        reference::run(&changed, &inputs),
    );
    for output in case.outputs() {
        assert!(largest_difference(&before[*output], &after[*output]) <= 1e-5);
    }
}
