//! LSTM, GRU and RNN: what the splits inside a cell compute, against the specification, the engine and stored outputs.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;
mod reference;

use common::{open, relative_difference, shared};
use prost::Message as _;
use reference::Tensor;
use rten::Value;
use rten_tensor::prelude::*;
use splitscope::format::demo::Demo;
use splitscope::inference::sweep::{SweepSubject, sweep};
use splitscope::inference::{Dataset, Engine, metrics, run_outputs};
use splitscope::network::{Format, Network};
use splitscope::onnx::build::{float_tensor, i32_tensor, int_attribute, node, string_attribute};
use splitscope::onnx::schema::OperatorSetIdProto;
use splitscope::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, Clip, LayerRecipe, Outcome, Plan, Recipe, SplitKind, overhead, plan, rewrite, split_only,
};
use std::collections::HashMap;
use std::io::Read as _;

const STEPS: usize = 4;
const BATCH: usize = 2;
const INPUTS: usize = 3;
const HIDDEN: usize = 5;
const OUTPUTS: [&str; 3] = ["Y", "Y_h", "Y_c"];

/// Deterministic numbers between -1 and 1, a few of them large.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let x = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
        if state >> 28 == 3 { 2.0 * x } else { x }
    };
    (0..count).map(|_| next()).collect()
}

/// A small recurrent network.
#[derive(Debug, Clone, Copy)]
struct Case {
    op: &'static str,
    direction: &'static str,
    linear_before_reset: bool,
    bias: bool,
    /// Initial states: none, constants, or inputs of the graph.
    states: States,
    peepholes: bool,
    lengths: bool,
    batch_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum States {
    None,
    Constant,
    Input,
}

impl Case {
    fn plain(op: &'static str) -> Self {
        Self {
            op,
            direction: "forward",
            linear_before_reset: op == "GRU",
            bias: true,
            states: States::None,
            peepholes: false,
            lengths: false,
            batch_first: false,
        }
    }

    /// Whether the engine computes such a node; of the rest it refuses some and leaves out parts of others.
    fn engine_knows(&self) -> bool {
        let reset = self.op != "GRU" || self.linear_before_reset;
        self.op != "RNN" && reset && !self.peepholes && !self.lengths && !self.batch_first
    }

    fn outputs(&self) -> &'static [&'static str] {
        if self.op == "LSTM" { &OUTPUTS } else { &OUTPUTS[..2] }
    }

    fn state_shape(&self) -> [usize; 3] {
        let directions = self.directions();
        if self.batch_first {
            [BATCH, directions, HIDDEN]
        } else {
            [directions, BATCH, HIDDEN]
        }
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.direction == "bidirectional")
    }

    fn network(&self) -> Network {
        let d = self.directions();
        let gates = match self.op {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let mut constants = vec![
            float_tensor(
                "W",
                &[d, gates * HIDDEN, INPUTS],
                &noise(d * gates * HIDDEN * INPUTS, 1),
            ),
            float_tensor(
                "R",
                &[d, gates * HIDDEN, HIDDEN],
                &noise(d * gates * HIDDEN * HIDDEN, 2),
            ),
        ];
        let mut names = vec!["X", "W", "R", "", "", "", "", ""];
        if self.bias {
            names[3] = "B";
            constants.push(float_tensor(
                "B",
                &[d, 2 * gates * HIDDEN],
                &noise(d * 2 * gates * HIDDEN, 3),
            ));
        }
        if self.lengths {
            names[4] = "lengths";
            constants.push(i32_tensor("lengths", &[BATCH], &[3, 4]));
        }
        let mut inputs = vec!["X"];
        if self.states != States::None {
            for (slot, name) in [(5, "h"), (6, "c")].into_iter().take(self.outputs().len() - 1) {
                names[slot] = name;
                if self.states == States::Input {
                    inputs.push(name);
                } else {
                    let shape = self.state_shape();
                    constants.push(float_tensor(name, &shape, &noise(shape.iter().product(), slot as u32)));
                }
            }
        }
        if self.peepholes {
            names[7] = "P";
            constants.push(float_tensor("P", &[d, 3 * HIDDEN], &noise(d * 3 * HIDDEN, 8)));
        }
        while names.last() == Some(&"") {
            names.pop();
        }
        let mut attributes = vec![
            int_attribute("hidden_size", HIDDEN as i64),
            string_attribute("direction", self.direction),
        ];
        if self.op == "GRU" {
            attributes.push(int_attribute(
                "linear_before_reset",
                i64::from(self.linear_before_reset),
            ));
        }
        if self.batch_first {
            attributes.push(int_attribute("layout", 1));
        }
        let cell = node(self.op, "cell", names, self.outputs().iter().copied(), attributes);
        network(vec![cell], constants, &inputs, self.outputs())
    }

    fn inputs(&self) -> Vec<(&'static str, Tensor)> {
        let tensor = |shape: &[usize], seed| Tensor {
            shape: shape.to_vec(),
            values: noise(shape.iter().product(), seed)
                .iter()
                .map(|x| f64::from(*x))
                .collect(),
        };
        let x = if self.batch_first {
            [BATCH, STEPS, INPUTS]
        } else {
            [STEPS, BATCH, INPUTS]
        };
        let mut inputs = vec![("X", tensor(&x, 10))];
        if self.states == States::Input {
            inputs.push(("h", tensor(&self.state_shape(), 11)));
            if self.op == "LSTM" {
                inputs.push(("c", tensor(&self.state_shape(), 12)));
            }
        }
        inputs
    }
}

fn network(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, inputs: &[&str], outputs: &[&str]) -> Network {
    let value = |name: &&str| ValueInfoProto {
        name: Some((*name).to_owned()),
        ..ValueInfoProto::default()
    };
    let model = ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(14),
        }],
        graph: Some(GraphProto {
            name: Some("g".to_owned()),
            node: nodes,
            initializer: constants,
            input: inputs.iter().map(value).collect(),
            output: outputs.iter().map(value).collect(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    Network::new("small", None, Format::Onnx, model).unwrap()
}

/// Every kind of cell in every direction, with and without what is optional.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["LSTM", "GRU", "RNN"] {
        for direction in ["forward", "reverse", "bidirectional"] {
            for states in [States::None, States::Constant, States::Input] {
                let plain = Case {
                    direction,
                    states,
                    ..Case::plain(op)
                };
                cases.push(plain);
                cases.push(Case { bias: false, ..plain });
                cases.push(Case { lengths: true, ..plain });
                cases.push(Case {
                    batch_first: true,
                    ..plain
                });
                match op {
                    "LSTM" => cases.push(Case {
                        peepholes: true,
                        ..plain
                    }),
                    "GRU" => cases.push(Case {
                        linear_before_reset: false,
                        ..plain
                    }),
                    _ => {}
                }
            }
        }
    }
    cases
}

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
    let inputs: Vec<(&str, Value)> = inputs
        .iter()
        .map(|(name, tensor)| {
            let values: Vec<f32> = tensor.values.iter().map(|x| *x as f32).collect();
            (*name, Value::from_shape(&tensor.shape, values).unwrap())
        })
        .collect();
    let engine = Engine::load(encode(model).unwrap()).unwrap();
    engine
        .run(&inputs, outputs)
        .unwrap()
        .into_iter()
        .map(of_value)
        .collect()
}

fn of_value(value: Value) -> Tensor {
    let Value::FloatTensor(tensor) = value else {
        panic!("no floats");
    };
    Tensor {
        shape: tensor.shape().to_vec(),
        values: tensor.iter().map(|x| f64::from(*x)).collect(),
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
            let step = quantized.channel_steps.get(row).copied().unwrap_or(quantized.grid.step);
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
        for per_channel in [false, true] {
            let recipe = Recipe {
                per_channel,
                ..recipe(3, 0.5, Clip::Mse)
            };
            let plan = planned(&network, &recipe);
            for layer in &plan.layers {
                let steps = layer.quantized().unwrap().channel_steps.len();
                let one_direction = case.direction != "bidirectional";
                assert_eq!(steps > 0, per_channel && one_direction, "{case:?}");
                assert_eq!(layer.settings.per_channel, per_channel && one_direction);
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
    let plan = plan(&network, &recipe, Some(&HashMap::new()), &Progress::default()).unwrap();
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
    graph.input.push(ValueInfoProto {
        name: Some("W".to_owned()),
        ..ValueInfoProto::default()
    });
    graph.input.push(ValueInfoProto {
        name: Some("B".to_owned()),
        ..ValueInfoProto::default()
    });
    let network = Network::new("small", None, Format::Onnx, model).unwrap();
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
        let engine = Engine::load(encode(model).unwrap()).unwrap();
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
        let engine = Engine::load(encode(model).unwrap()).unwrap();
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
    let engine = Engine::load(encode(&network.runnable_model()).unwrap()).unwrap();
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

/// Numbers for every input: integers below 60, floats between -1 and 1; free axes are 7 long, but a batch 1.
fn inputs_for(engine: &Engine, batch_axis: &[&str]) -> Vec<(String, Value)> {
    engine
        .inputs()
        .iter()
        .map(|port| {
            let sizes = port.shape.clone().unwrap();
            let shape: Vec<usize> = (sizes.iter().zip(&port.axis_names))
                .map(|(size, name)| {
                    let batch = name.as_deref().is_some_and(|name| batch_axis.contains(&name));
                    size.unwrap_or(if batch { 1 } else { 7 })
                })
                .collect();
            let values = noise(shape.iter().product(), 21);
            let value = if port.integer {
                let tokens: Vec<i32> = values.iter().map(|x| (x.abs() * 29.0) as i32).collect();
                Value::from_shape(&shape, tokens).unwrap()
            } else {
                Value::from_shape(&shape, values).unwrap()
            };
            (port.name.clone(), value)
        })
        .collect()
}

#[test]
#[ignore = "needs ../shared"]
fn splitting_alone_leaves_networks_of_other_people_as_they_were() {
    for (file, cells) in [("charrnn_shakespeare.onnx", 2), ("silero_vad_16k_sequence.onnx", 1)] {
        let path = shared("models").join(file);
        let network = open(path.to_str().unwrap());
        let plan = planned(&network, &recipe(4, 0.2, Clip::None));
        let split = network.layers.iter().zip(&plan.layers).filter(|(layer, planned)| {
            let split = planned
                .quantized()
                .is_some_and(|quantized| !quantized.splits.is_empty());
            layer.kind.is_recurrent() && split
        });
        assert_eq!(split.count(), 2 * cells, "{file}");
        let outputs = |model: &ModelProto| -> Vec<Tensor> {
            let engine = Engine::load(encode(model).unwrap()).unwrap();
            let inputs = inputs_for(&engine, &["B"]);
            let inputs: Vec<(&str, Value)> = inputs.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
            let names: Vec<&str> = engine.outputs().iter().map(|port| port.name.as_str()).collect();
            engine.run(&inputs, &names).unwrap().into_iter().map(of_value).collect()
        };
        let before = outputs(&network.runnable_model());
        let after = outputs(&split_only(&network, &plan).unwrap());
        for (before, after) in before.iter().zip(&after) {
            let largest = before.values.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            let difference = largest_difference(before, after) / largest;
            assert!(difference <= 1e-5, "{file}: {difference}");
        }
    }
}

/// The files of a tar archive: headers of 512 bytes with the name first and the size in octal at 124, contents padded to
/// 512.
fn untar(tar: &[u8]) -> HashMap<String, &[u8]> {
    let (mut files, mut position) = (HashMap::new(), 0);
    while tar.get(position).is_some_and(|&byte| byte != 0) {
        let text = |range: std::ops::Range<usize>| {
            let field = &tar[position + range.start..position + range.end];
            String::from_utf8_lossy(field).trim_matches(['\0', ' ']).to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        files.insert(text(0..100), &tar[position + 512..][..size]);
        position += 512 + size.next_multiple_of(512);
    }
    files
}

/// The weights of ONNX's cases are inputs of the graph; made constants, they can be split.
#[test]
#[ignore = "needs ../shared"]
fn splitting_alone_gives_the_stored_outputs_of_every_recurrent_case_of_onnx() {
    let archive = std::fs::File::open(shared("data/onnx-1.17.0-backend-test-data.tar.gz")).unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let files = untar(&tar);
    let mut cases: Vec<&str> = files
        .keys()
        .filter_map(|name| name.strip_suffix("/model.onnx"))
        .filter(|name| {
            ["/test_lstm_", "/test_gru_", "/test_rnn_", "/test_simple_rnn_"]
                .iter()
                .any(|op| name.contains(op))
        })
        .collect();
    cases.sort_unstable();
    let mut in_engine = 0;
    for case in &cases {
        let mut model = ModelProto::decode(files[&format!("{case}/model.onnx")]).unwrap();
        let tensor = |kind: &str, number: usize| {
            let bytes = files.get(&format!("{case}/test_data_set_0/{kind}_{number}.pb"))?;
            Some(TensorProto::decode(*bytes).unwrap())
        };
        let graph = model.graph.as_mut().unwrap();
        let inputs = std::mem::take(&mut graph.input);
        let mut x = None;
        for (number, input) in inputs.into_iter().enumerate() {
            let given = TensorProto {
                name: input.name.clone(),
                ..tensor("input", number).unwrap()
            };
            if number == 0 {
                x = Some((input.name().to_owned(), Tensor::of(&given)));
                graph.input.push(input);
            } else {
                graph.initializer.push(given);
            }
        }
        let (name, x) = x.unwrap();
        let network = Network::new(*case, None, Format::Onnx, model).unwrap();
        let plan = planned(&network, &recipe(4, 0.5, Clip::None));
        assert!(
            plan.layers
                .iter()
                .all(|layer| !layer.quantized().unwrap().splits.is_empty()),
            "{case}"
        );
        let changed = split_only(&network, &plan).unwrap();
        let cell = network.model.graph.as_ref().unwrap();
        let names: Vec<&str> = cell.output.iter().map(ValueInfoProto::name).collect();
        let inputs = [(name.as_str(), x)];
        let values = reference::run(&changed, &inputs);
        for (number, output) in names.iter().enumerate() {
            let stored = Tensor::of(&tensor("output", number).unwrap());
            let difference = largest_difference(&values[*output], &stored);
            assert!(difference <= 1e-5, "{case}, {output}: {difference}");
        }
        // The engine leaves some of these cases out; what it loads and gives right before, it gives right after.
        let run = |model: &ModelProto| -> Option<Vec<Tensor>> {
            let engine = Engine::load(encode(model).unwrap()).ok()?;
            let values: Vec<f32> = inputs[0].1.values.iter().map(|x| *x as f32).collect();
            let x = Value::from_shape(&inputs[0].1.shape, values).unwrap();
            let outputs = engine.run(&[(name.as_str(), x)], &names).ok()?;
            Some(outputs.into_iter().map(of_value).collect())
        };
        if let Some(before) = run(&network.model) {
            let after = run(&changed).unwrap();
            in_engine += 1;
            for (before, after) in before.iter().zip(&after) {
                assert!(largest_difference(before, after) <= 1e-5, "{case}");
            }
        }
    }
    println!("{} cases, {in_engine} in the engine too", cases.len());
    assert!(cases.len() >= 12 && in_engine >= 2, "{cases:?}, {in_engine}");
}
