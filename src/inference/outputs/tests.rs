//! Logits in slices, and what is kept of them.

use super::*;
use crate::data::DataOptions;
use crate::engine::{Head, Rten};
use crate::format::demo::Demo;
use crate::inference::metrics;
use crate::network::Format;
use crate::onnx::build::{Axis, float_tensor, int_attribute, ints_attribute, model_of, node, value_info};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphProto, NodeProto, encode};
use crate::quantization::{Bits, Recipe, plan};
use ndarray::Array1;
use ndarray_npy::WriteNpyExt as _;
use std::sync::Mutex;

/// An engine that notes how many numbers of the output it gave at once, and to how many questions.
struct Noting(Rten, Mutex<Vec<usize>>);

impl Noting {
    fn note(&self, wanted: &[&str], values: &[Tensor]) {
        for (name, value) in wanted.iter().zip(values) {
            if *name == self.0.outputs()[0].name {
                self.1.lock().unwrap().push(value.len());
            }
        }
    }
}

impl Engine for Noting {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn inputs(&self) -> &[Port] {
        self.0.inputs()
    }
    fn outputs(&self) -> &[Port] {
        self.0.outputs()
    }
    fn compute(
        &self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        options: RunOptions<'_>,
    ) -> Result<Vec<Tensor>, EngineError> {
        let values = self.0.compute(inputs, wanted, options)?;
        self.note(wanted, &values);
        Ok(values)
    }
    fn has_value(&self, name: &str) -> bool {
        self.0.has_value(name)
    }
    fn compute_between(
        &self,
        threads: &Threads,
        given: &[(&str, &Tensor)],
        wanted: &[&str],
    ) -> Result<Option<Vec<Tensor>>, EngineError> {
        let values = self.0.compute_between(threads, given, wanted)?;
        self.note(wanted, values.as_deref().unwrap_or_default());
        Ok(values)
    }
    fn head(&self, output: &str) -> Option<&Head> {
        self.0.head(output)
    }
}

fn run(engine: &dyn Engine, data: &Dataset, range: Range<usize>, most: usize) -> Outputs {
    run_in_slices(
        engine,
        data,
        range,
        &Progress::default(),
        most,
        |threads, _, inputs, name| Ok(run_on(engine, threads, inputs, &[name])?.pop()),
    )
    .unwrap()
}

/// Tokens, batch first, through a table of rows, a product with a vocabulary of 90 and a soft cap.
fn small_language_model() -> Network {
    let wave = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
    let nodes = vec![
        node("Gather", "embed", ["table", "tokens"], ["x"], vec![]),
        node("Tanh", "between", ["x"], ["hidden"], vec![]),
        node("MatMul", "head", ["hidden", "weights"], ["scores"], vec![]),
        node("Div", "divide", ["scores", "cap"], ["small"], vec![]),
        node("Tanh", "soft", ["small"], ["capped"], vec![]),
        node("Mul", "multiply", ["cap", "capped"], ["logits"], vec![]),
    ];
    let (batch, steps) = (Axis::Free("batch"), Axis::Free("steps"));
    let graph = GraphProto {
        node: nodes,
        initializer: vec![
            float_tensor("table", &[90, 16], &wave(90 * 16, 0.37)),
            float_tensor("weights", &[16, 90], &wave(90 * 16, 0.73)),
            float_tensor("cap", &[], &[4.0]),
        ],
        input: vec![value_info("tokens", data_type::INT64, &[batch.clone(), steps.clone()])],
        output: vec![value_info("logits", data_type::FLOAT, &[batch, steps, Axis::Size(90)])],
        ..GraphProto::default()
    };
    Network::new("small", None, Format::Onnx, model_of(17, graph)).unwrap()
}

/// Tokens in an `.npy` file, in windows of so many.
fn tokens(count: usize, window: usize, engine: &dyn Engine) -> Dataset {
    let mut npy = Vec::new();
    let tokens = (0..count).map(|at| (at * at * 7 + at) as i64 % 90);
    Array1::from_iter(tokens).write_npy(&mut npy).unwrap();
    let options = DataOptions {
        window: Some(window),
        ..DataOptions::default()
    };
    Dataset::from_bytes("tokens.npy", npy, &options, engine.inputs()).unwrap()
}

fn noting(bytes: Vec<u8>) -> Noting {
    Noting(Rten::load_for_outputs(bytes).unwrap(), Mutex::default())
}

/// What the head says to some tokens after the others is what it says to all at once, and no more logits are there at once
/// than asked for: in float, with the head on a grid and split, for tokens from the middle on.
#[test]
fn logits_come_in_slices_and_are_those_of_a_whole_run() {
    let network = small_language_model();
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        expand_ratio: 0.1,
        ..Recipe::default()
    };
    let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
    let quantized = QuantizedModel::of(&network, &plan).unwrap().bytes().unwrap();
    for (what, bytes) in [
        ("float", encode(&network.runnable_model()).unwrap()),
        ("quantized", quantized),
    ] {
        let engine = noting(bytes);
        let data = tokens(7 * 40 + 1, 40, &engine);
        assert_eq!((data.len(), data.is_text()), (280, true));
        for range in [0..280, 35..207] {
            let whole = run(&engine, &data, range.clone(), usize::MAX);
            let largest = engine.1.lock().unwrap().drain(..).max().unwrap();
            assert!(largest >= 40 * 90, "{what}: {largest}");
            // Eleven tokens at once.
            let slices = run(&engine, &data, range.clone(), 11 * 90 + 5);
            let seen: Vec<usize> = engine.1.lock().unwrap().drain(..).collect();
            assert!(seen.iter().all(|numbers| *numbers <= 11 * 90), "{what}: {seen:?}");
            assert_eq!(seen.iter().sum::<usize>(), range.len() * 90, "{what}");
            assert_eq!((slices.classes, slices.classification), (90, true));
            assert_eq!(slices.logits.len(), whole.logits.len());
            let most = whole.logits.iter().zip(&slices.logits).map(|(a, b)| (a - b).abs());
            assert!(most.fold(0.0_f32, f32::max) <= 1e-5, "{what}");
            let perplexity = |outputs: &Outputs| metrics(outputs, &data).perplexity.unwrap();
            assert!((perplexity(&slices) / perplexity(&whole) - 1.0).abs() < 1e-6, "{what}");
            assert!(perplexity(&whole) > 1.5, "{what}");
        }
    }
}

/// Steps come first in the demo, so that the tokens of a stream are no neighbours.
#[test]
fn slices_find_the_tokens_of_streams_whose_steps_come_first() {
    let engine = noting(Demo::Shakespeare.model_bytes().to_vec());
    let data = Dataset::demo(Demo::Shakespeare);
    let whole = run(&engine, &data, 1000..4000, usize::MAX);
    engine.1.lock().unwrap().clear();
    let slices = run(&engine, &data, 1000..4000, 65 * 200);
    assert!(engine.1.lock().unwrap().iter().all(|numbers| *numbers <= 65 * 200));
    let most = whole.logits.iter().zip(&slices.logits).map(|(a, b)| (a - b).abs());
    assert_eq!(slices.logits.len(), 3000 * 65);
    assert!(most.fold(0.0_f32, f32::max) <= 1e-4);
}

#[test]
fn of_too_many_tokens_the_first_logits_are_kept_and_what_each_token_says() {
    let network = small_language_model();
    let engine = noting(encode(&network.runnable_model()).unwrap());
    let data = tokens(201, 40, &engine);
    // As if so many more tokens were asked for that their logits are beyond what is kept.
    let (first, samples) = (0, MOST_KEPT);
    let mut found = Answered::default();
    let logits = run(&engine, &data, 0..200, usize::MAX);
    for token in 0..200 {
        found.keep(&data, (first, samples), token, logits.row(token));
    }
    assert_eq!(
        (found.logits.as_slice(), found.tokens.len()),
        (logits.logits.as_slice(), 200)
    );
    let room = MOST_KEPT / 90;
    let before = found.logits.len();
    found.keep(&data, (first, samples), room - 1, logits.row(0));
    found.keep(&data, (first, samples), room, logits.row(0));
    assert_eq!((found.logits.len(), found.tokens.len()), (before + 90, 202));
    assert_eq!(found.tokens[7].first, logits.first_answer(7));
    assert!((found.tokens[7].nats - logits.nats(7, data.label(7).unwrap())).abs() < 1e-12);
}

/// `x` of `axes` through `nodes` to `y` of the axes `answers`.
fn small(axes: &[Axis; 3], answers: &[Axis], nodes: Vec<NodeProto>) -> Rten {
    let graph = GraphProto {
        node: nodes,
        input: vec![value_info("x", data_type::FLOAT, axes)],
        output: vec![value_info("y", data_type::FLOAT, answers)],
        ..GraphProto::default()
    };
    let network = Network::new("small", None, Format::Onnx, model_of(17, graph)).unwrap();
    Rten::load(encode(&network.runnable_model()).unwrap()).unwrap()
}

/// Numbers from 0 on, of so many samples of 2 by 3.
fn counted(samples: usize, engine: &dyn Engine) -> Dataset {
    let mut npy = Vec::new();
    let numbers = Array1::from_iter((0..samples * 6).map(|at| at as f32));
    numbers
        .into_shape_with_order([samples, 2, 3])
        .unwrap()
        .write_npy(&mut npy)
        .unwrap();
    Dataset::from_bytes("x.npy", npy, &DataOptions::default(), engine.inputs()).unwrap()
}

/// Recognizers of text answer with the steps first. Two samples of two steps look alike both ways: names tell them apart.
#[test]
fn a_sample_has_its_own_steps_where_the_output_has_them_first() {
    let turn = || {
        vec![node(
            "Transpose",
            "turn",
            ["x"],
            ["y"],
            vec![ints_attribute("perm", [1, 0, 2])],
        )]
    };
    let (two, three) = (Axis::Size(2), Axis::Size(3));
    let networks = [
        (
            "named",
            Axis::Free("batch"),
            vec![Axis::Free("steps"), Axis::Free("batch"), three.clone()],
            2,
        ),
        (
            "named",
            Axis::Free("batch"),
            vec![Axis::Free("steps"), Axis::Free("batch"), three.clone()],
            5,
        ),
        (
            "unnamed",
            Axis::Free("?"),
            vec![Axis::Free("?"), Axis::Free("?"), Axis::Free("?")],
            5,
        ),
        (
            "one at a time",
            Axis::Size(1),
            vec![two.clone(), Axis::Size(1), three.clone()],
            5,
        ),
    ];
    for (what, samples_axis, answers, samples) in networks {
        let engine = small(&[samples_axis, two.clone(), three.clone()], &answers, turn());
        let data = counted(samples, &engine);
        let outputs = run_samples(&engine, &data, 0..samples, &Progress::default()).unwrap();
        assert_eq!(
            (outputs.samples, outputs.classes, outputs.classification),
            (samples, 6, false),
            "{what}"
        );
        for sample in 0..samples {
            let expected: Vec<f32> = (sample * 6..sample * 6 + 6).map(|at| at as f32).collect();
            assert_eq!(outputs.row(sample), expected, "{what}, {sample} of {samples}");
        }
    }
}

/// One sample is 0 in the first place, so that fewer places of it are none.
#[test]
fn answers_of_different_lengths_are_refused_by_name() {
    let nodes = vec![
        node("NonZero", "find", ["x"], ["places"], vec![]),
        node("Cast", "cast", ["places"], ["y"], vec![int_attribute("to", 1)]),
    ];
    let axes = [Axis::Size(1), Axis::Size(2), Axis::Size(3)];
    let engine = small(&axes, &[Axis::Size(3), Axis::Free("found")], nodes);
    let data = counted(2, &engine);
    let error = run_samples(&engine, &data, 0..2, &Progress::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("'y' has 18 numbers for some samples and 15 for others"),
        "{error}"
    );
    let one = run_samples(&engine, &data, 1..2, &Progress::default()).unwrap();
    assert_eq!((one.classes, one.samples), (18, 1));
}
