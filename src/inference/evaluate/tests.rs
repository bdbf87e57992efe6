//! Tests of running and comparing networks.

use super::*;
use crate::format::demo::Demo;
use crate::inference::{Engine, InferenceError, Rten, run_outputs};
use crate::progress::Progress;

fn outputs(classes: usize, logits: &[f32]) -> Outputs {
    Outputs {
        samples: logits.len() / classes,
        classes,
        logits: logits.to_vec(),
        classification: true,
        ..Outputs::default()
    }
}

fn run(demo: Demo, limit: usize) -> (Dataset, Outputs) {
    let data = Dataset::demo(demo);
    let engine = Rten::load(demo.model_bytes().to_vec()).unwrap();
    let outputs = run_outputs(&engine, &data, limit, &Progress::default()).unwrap();
    (data, outputs)
}

#[test]
fn the_fashion_demo_is_as_accurate_as_its_training_said() {
    // assets/README.md: 94.2 % on the first 1000 test images.
    let (data, outputs) = run(Demo::Fashion, usize::MAX);
    let evaluation = evaluate(&outputs, &outputs, &data);
    assert_eq!((evaluation.samples, outputs.classes), (1000, 10));
    assert_eq!(evaluation.float.top1, Some(0.942));
    assert!(evaluation.float.top5 > Some(0.99));
    assert_eq!(
        (evaluation.agreement, evaluation.sqnr_db),
        (Some(1.0), Some(f64::INFINITY))
    );
    assert_eq!(evaluation.float.perplexity, None);
}

#[test]
fn the_shakespeare_demo_has_the_perplexity_that_onnxruntime_gives() {
    // onnxruntime 1.x in Python: the text as 32 streams of 1562 tokens, log-softmax in float64, mean over all tokens;
    // and the mean over the first 2000 tokens (the first stream and part of the second).
    let (data, outputs) = run(Demo::Shakespeare, usize::MAX);
    let all = metrics(&outputs, &data);
    assert_eq!((data.len(), outputs.samples, outputs.classes), (49_984, 49_984, 65));
    assert!((all.nats_per_token.unwrap() - 1.496_669_1).abs() < 1e-5, "{all:?}");
    assert!((all.perplexity.unwrap() - 4.466_786).abs() < 1e-4);
    let (data, outputs) = run(Demo::Shakespeare, 2000);
    let some = metrics(&outputs, &data);
    assert!((some.nats_per_token.unwrap() - 1.415_473_1).abs() < 1e-5, "{some:?}");
    assert_eq!((some.top1, outputs.samples), (None, 2000));
}

#[test]
#[ignore = "needs ../shared"]
fn resnet20_on_cifar_is_as_accurate_as_in_onnxruntime() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
    let engine = Rten::load(std::fs::read(format!("{shared}/models/cifar10_resnet20.onnx")).unwrap()).unwrap();
    let path = format!("{shared}/data/cifar10_test_first5000.bin");
    let data = Dataset::open(&path, &Default::default(), engine.inputs()).unwrap();
    assert!(data.preprocessing().starts_with("cifar: "));
    let outputs = run_outputs(&engine, &data, usize::MAX, &Progress::default()).unwrap();
    assert_eq!(metrics(&outputs, &data).top1, Some(0.9148));
}

#[test]
fn the_first_answers_do_not_depend_on_the_limit() {
    let (_, some) = run(Demo::Fashion, 57);
    let (_, more) = run(Demo::Fashion, 120);
    assert_eq!(some.logits, more.logits[..570]);
    assert_eq!(more.row(56), some.row(56));
    assert!(some.row(57).is_empty());
}

#[test]
fn progress_counts_samples_and_cancel_stops_between_batches() {
    let data = Dataset::demo(Demo::Fashion);
    let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
    let progress = Progress::default();
    run_outputs(&engine, &data, 60, &progress).unwrap();
    assert_eq!(progress.steps(), (60, 60));
    progress.cancel();
    let cancelled = run_outputs(&engine, &data, 60, &progress);
    assert!(matches!(cancelled, Err(InferenceError::Cancelled(_))));
    let none = run_outputs(&engine, &data, 0, &Progress::default()).unwrap_err();
    assert!(none.to_string().contains("no samples"));
}

#[test]
fn equal_answers_rank_by_class_and_nan_ranks_last() {
    let row = [1.0, f32::NAN, 3.0, 3.0, -1.0];
    let top = top_k(&row, 4);
    assert_eq!(top.iter().map(|p| p.class).collect::<Vec<_>>(), [2, 3, 0, 4]);
    assert!((top[0].probability - 0.4637).abs() < 1e-3, "{top:?}");
    assert_eq!(
        (rank(&row, 2), rank(&row, 3), rank(&row, 0), rank(&row, 1)),
        (0, 1, 2, usize::MAX)
    );
    assert_eq!(largest(&[f32::NAN, f32::NAN]), None);
    let softmax = top_k(&[0.1, 0.7, 0.2], 1);
    assert_eq!((softmax[0].class, softmax[0].probability), (1, 0.7));
}

#[test]
fn sqnr_is_ten_log10_of_signal_over_noise() {
    let db = |a: &[f32], b: &[f32]| evaluate(&outputs(2, a), &outputs(2, b), &Dataset::demo(Demo::Fashion)).sqnr_db;
    assert!((db(&[10.0, 0.0], &[9.0, 0.0]).unwrap() - 20.0).abs() < 1e-9);
    assert_eq!(db(&[0.0, 0.0], &[1.0, 0.0]), None);
    assert_eq!(db(&[1.0, f32::NAN], &[1.0, 0.0]), None);
    let json = serde_json::to_string(&evaluate(
        &outputs(2, &[1.0, 2.0]),
        &outputs(2, &[1.0, 2.0]),
        &Dataset::demo(Demo::Fashion),
    ));
    assert!(json.unwrap().contains("\"sqnr_db\":null"));
}

#[test]
fn the_confidence_interval_is_wilson_s() {
    let near = |share: f64, samples: usize, expected: [f64; 2]| {
        let [low, high] = wilson_interval(share, samples);
        assert!(
            (low - expected[0]).abs() < 1e-9 && (high - expected[1]).abs() < 1e-9,
            "{low} {high}"
        );
    };
    // At the ends it is z^2 / (n + z^2) wide, z^2 = 3.841 458 820 694.
    let z2 = 3.841_458_820_694_124;
    near(0.0, 10, [0.0, z2 / (10.0 + z2)]);
    near(1.0, 10, [10.0 / (10.0 + z2), 1.0]);
    // The roots of (p - share)^2 = z^2 p (1 - p) / n.
    let [low, high] = wilson_interval(0.942, 1000);
    for p in [low, high] {
        assert!(((p - 0.942_f64).powi(2) - z2 * p * (1.0 - p) / 1000.0).abs() < 1e-12);
    }
    assert!(low < 0.942 && 0.942 < high);
    near(0.5, 0, [0.0, 1.0]);
}

#[test]
fn only_labelled_images_have_an_interval() {
    let (data, outputs) = run(Demo::Fashion, 50);
    let [low, high] = metrics(&outputs, &data).top1_interval.unwrap();
    let top1 = metrics(&outputs, &data).top1.unwrap();
    assert!(low < top1 && top1 < high, "{low} {top1} {high}");
    let (data, outputs) = run(Demo::Shakespeare, 20);
    assert_eq!(metrics(&outputs, &data).top1_interval, None);
}

#[test]
fn likelihoods_survive_large_logits() {
    assert!((negative_log_likelihood(&[1000.0, 1000.0], 0) - 2.0_f64.ln()).abs() < 1e-9);
    assert!((negative_log_likelihood(&[0.25, 0.75], 0) - 4.0_f64.ln()).abs() < 1e-6);
}
