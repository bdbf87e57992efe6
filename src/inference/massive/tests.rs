//! A network with a planted super weight.

use super::*;
use crate::network::Format;
use crate::onnx::build::{float_tensor, float_value_info, model_of, node};
use crate::onnx::{GraphProto, ModelProto};

const WIDTH: usize = 8;
const HIDDEN: usize = 16;
const ANSWERS: usize = 4;
/// Hidden channel, output channel and value of the weight that is planted.
const PLANTED: (usize, usize, f32) = (3, 5, 1000.0);

fn wave(count: usize, size: f32) -> Vec<f32> {
    let place = |i: usize| ((i * 37) % 101) as f32 / 50.0 - 1.0;
    (0..count).map(|i| size * place(i)).collect()
}

struct Weights {
    up: Vec<f32>,
    down: Vec<f32>,
    head: Vec<f32>,
}

fn weights(planted: bool) -> Weights {
    let mut weights = Weights {
        up: wave(WIDTH * HIDDEN, 0.3),
        down: wave(HIDDEN * WIDTH, 0.1),
        head: wave(WIDTH * ANSWERS, 1.0),
    };
    if planted {
        let (hidden, out, value) = PLANTED;
        (0..WIDTH).for_each(|row| weights.up[row * HIDDEN + hidden] = 20.0);
        (0..WIDTH).for_each(|column| weights.down[hidden * WIDTH + column] = 0.01);
        weights.down[hidden * WIDTH + out] = value;
    }
    weights
}

/// `y = (x + relu(x up) down) head` for sequences of four steps.
fn model(weights: &Weights) -> ModelProto {
    let nodes = vec![
        node("MatMul", "up", ["x", "wu"], ["u"], vec![]),
        node("Relu", "", ["u"], ["h"], vec![]),
        node("MatMul", "down", ["h", "wd"], ["d"], vec![]),
        node("Add", "sum", ["x", "d"], ["s"], vec![]),
        node("MatMul", "head", ["s", "wh"], ["y"], vec![]),
    ];
    model_of(
        17,
        GraphProto {
            node: nodes,
            initializer: vec![
                float_tensor("wu", &[WIDTH, HIDDEN], &weights.up),
                float_tensor("wd", &[HIDDEN, WIDTH], &weights.down),
                float_tensor("wh", &[WIDTH, ANSWERS], &weights.head),
            ],
            input: vec![float_value_info("x", &[-1, 4, WIDTH as i64])],
            output: vec![float_value_info("y", &[-1, 4, ANSWERS as i64])],
            ..GraphProto::default()
        },
    )
}

fn run(weights: &Weights, most: usize) -> (Massive, Dataset, Outputs) {
    let network = Network::new("planted", None, Format::Onnx, model(weights)).unwrap();
    let engine = float_engine(&network).unwrap();
    let data = Dataset::noise(&network, &engine, 6, 3).unwrap();
    let progress = Progress::default();
    let whole = crate::inference::run_outputs(&engine, &data, 6, &progress).unwrap();
    let limits = MassiveLimits::default();
    let found = massive(&network, &engine, (&data, &whole), limits, most, &progress).unwrap();
    (found, data, whole)
}

/// The answers, with `changed` free to change what is added to the stream of each step.
fn answers(data: &Dataset, weights: &Weights, changed: impl Fn(&mut [f64])) -> Vec<f64> {
    let inputs = data.batch(0..6).unwrap();
    let x = inputs[0].1.floats().unwrap().to_vec();
    let product = |row: &[f64], matrix: &[f32], columns: usize| -> Vec<f64> {
        let column = |c: usize| {
            (row.iter().enumerate())
                .map(|(r, x)| x * f64::from(matrix[r * columns + c]))
                .sum()
        };
        (0..columns).map(column).collect()
    };
    let step = |x: &[f32]| {
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let hidden: Vec<f64> = product(&x, &weights.up, HIDDEN).iter().map(|x| x.max(0.0)).collect();
        let mut added = product(&hidden, &weights.down, WIDTH);
        changed(&mut added);
        let sum: Vec<f64> = x.iter().zip(&added).map(|(x, added)| x + added).collect();
        product(&sum, &weights.head, ANSWERS)
    };
    x.chunks(WIDTH).flat_map(step).collect()
}

fn sqnr_db(one: &[f64], other: &[f64]) -> f64 {
    let noise: f64 = one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum();
    10.0 * (one.iter().map(|x| x * x).sum::<f64>() / noise).log10()
}

#[test]
fn a_planted_super_weight_is_named_and_what_hangs_on_it_is_measured() {
    let planted = weights(true);
    let (found, data, whole) = run(&planted, 5);
    let (hidden, out, value) = PLANTED;
    assert_eq!((found.super_weights_found, found.activations_found), (1, 1));
    let weight = &found.super_weights[0];
    assert_eq!((weight.layer.as_str(), weight.output_channel), ("down", out));
    assert_eq!((weight.input_channel, weight.weight), (hidden, value));
    assert!(weight.share > 0.999 && weight.not_run.is_none(), "{weight:?}");
    assert!((weight.output / (value * weight.input) - 1.0).abs() < 1e-3);

    let all = answers(&data, &planted, |_| {});
    let close = |a: f64, b: f32| (a - f64::from(b)).abs() < 1e-2 * a.abs().max(1.0);
    assert!(all.iter().zip(&whole.logits).all(|(a, b)| close(*a, *b)));
    let mut zeroed = weights(true);
    zeroed.down[hidden * WIDTH + out] = 0.0;
    let expected = sqnr_db(&all, &answers(&data, &zeroed, |_| {}));
    let measured = weight.without.as_ref().unwrap().sqnr_db.unwrap();
    assert!((measured - expected).abs() < 0.01, "{measured} {expected}");
    let other = weight.without_largest_other.as_ref().unwrap().sqnr_db.unwrap();
    assert!(
        other > measured + 40.0,
        "the largest other weight: {other} against {measured}"
    );

    let activation = &found.activations[0];
    assert_eq!((activation.value.as_str(), activation.until.as_str()), ("d", "s"));
    assert_eq!((activation.layer.as_deref(), activation.channel), (Some("down"), out));
    assert_eq!((activation.values, activation.seen_at.token.as_ref()), (2, None));
    let (sample, position) = (activation.seen_at.sample, activation.seen_at.position);
    assert!(sample < 6 && position < 4, "{activation:?}");
    let limit = f64::from(activation.limit);
    let without = answers(&data, &planted, |added| {
        if added[out].abs() >= limit {
            added[out] = 0.0;
        }
    });
    let expected = sqnr_db(&all, &without);
    let measured = activation.without.as_ref().unwrap().sqnr_db.unwrap();
    assert!((measured - expected).abs() < 0.01, "{measured} {expected}");
}

#[test]
fn an_ordinary_network_has_none() {
    let (found, ..) = run(&weights(false), 5);
    assert_eq!(found, Massive::default());
}

#[test]
fn no_more_are_run_than_were_asked_for() {
    let mut two = weights(true);
    let (hidden, out, value) = PLANTED;
    two.down[hidden * WIDTH + out + 1] = value / 2.0;
    let (found, ..) = run(&two, 1);
    assert_eq!((found.super_weights_found, found.activations_found), (2, 2));
    assert_eq!((found.super_weights.len(), found.activations.len()), (1, 1));
    assert_eq!(found.super_weights[0].output_channel, out);
}
