//! Clip thresholds against closed forms and the paper's search.

use super::*;
use crate::format::demo::Demo;
use crate::network::Network;
use crate::quantization::Grid;
use crate::quantization::{SplitKind, split_channels, split_count};
use proptest::prelude::*;
use std::path::Path;

fn true_mse(values: &[f32], bits: u8, threshold: f32) -> f64 {
    let grid = Grid::symmetric(bits, threshold);
    values
        .iter()
        .map(|x| f64::from(x - grid.round(*x)).powi(2))
        .sum::<f64>()
        / values.len() as f64
}

/// The search of the paper's code: 201 bins, candidates 0.01 to 0.99 of the largest |x|.
fn reference_mse_threshold(values: &[f32], bits: u8) -> f32 {
    let max = values.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    let width = 2.0 * max / 201.0;
    let mut counts = [0_u32; 201];
    for x in values {
        counts[(((x + max) / width) as usize).min(200)] += 1;
    }
    let mse = |threshold: f32| -> f32 {
        let grid = Grid::symmetric(bits, threshold);
        counts
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let center = (i as f32 + 0.5) * width - max;
                *c as f32 * (center - grid.round(center)).powi(2)
            })
            .sum()
    };
    (1..100)
        .map(|i| i as f32 * 0.01 * max)
        .min_by(|a, b| mse(*a).total_cmp(&mse(*b)))
        .unwrap()
}

/// Gaussian values by Box and Muller's method, without a dependency.
fn gaussian(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    (0..n)
        .map(|_| ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32)
        .collect()
}

/// A grid does not change with the unit of the weights: what holds for weights of 1 holds for weights of 1e30, whose squares no f32
/// holds.
#[test]
fn thresholds_and_errors_of_huge_weights_are_those_of_small_ones_scaled() {
    let small = gaussian(600, 11);
    let factor = 2.0_f32.powi(100);
    let large: Vec<f32> = small.iter().map(|x| x * factor).collect();
    for clip in [Clip::None, Clip::Mse, Clip::Octav, Clip::Percentile(99.0), Clip::Kl] {
        let (one, other) = (choose_threshold(&small, 4, clip), choose_threshold(&large, 4, clip));
        let ratio = f64::from(other.threshold) / f64::from(one.threshold) / f64::from(factor);
        assert!((ratio - 1.0).abs() < 1e-3, "{clip}: {ratio}");
        let ratio = other.mse / one.mse / f64::from(factor).powi(2);
        assert!((ratio - 1.0).abs() < 1e-3, "{clip}: {ratio}");
    }
}

#[test]
fn a_far_outlier_does_not_move_a_percentile() {
    let mut values = gaussian(400, 5);
    values[7] = 3e38;
    let mut sorted: Vec<f32> = values.iter().map(|x| x.abs()).collect();
    sorted.sort_by(f32::total_cmp);
    for (percent, rank) in [(50.0, 199), (99.0, 395), (99.75, 398), (100.0, 399)] {
        assert_eq!(
            threshold_of_part(&values, 4, Clip::Percentile(percent)),
            sorted[rank],
            "{percent}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn mse_is_never_worse_than_the_papers_search_nor_than_no_clipping(
        n in 20_usize..3000, seed in any::<u64>(), bits in 2_u8..=8, outlier in 1.0_f32..30.0, scale in 0.001_f32..10.0,
    ) {
        let mut values = gaussian(n, seed);
        values[0] = outlier;
        values.iter_mut().for_each(|x| *x *= scale);
        let ours = choose_threshold(&values, bits, Clip::Mse);
        let found = true_mse(&values, bits, ours.threshold);
        prop_assert!((ours.mse - found).abs() <= 1e-4 * found + 1e-12);
        let reference = true_mse(&values, bits, reference_mse_threshold(&values, bits));
        let none = true_mse(&values, bits, choose_threshold(&values, bits, Clip::None).threshold);
        prop_assert!(found <= reference * 1.000_01, "ours {found} reference {reference}");
        prop_assert!(found <= none * 1.000_01, "ours {found} none {none}");
    }
}

/// Large tensors have few of their candidates measured.
#[test]
fn mse_is_never_worse_than_the_papers_search_on_large_tensors() {
    for (seed, outlier) in [(3, 1.0), (5, 12.0), (8, 60.0)] {
        let mut values = gaussian(1 << 17, seed);
        values[0] = outlier;
        for bits in 2..=8 {
            let ours = choose_threshold(&values, bits, Clip::Mse);
            let found = true_mse(&values, bits, ours.threshold);
            let reference = true_mse(&values, bits, reference_mse_threshold(&values, bits));
            let none = true_mse(&values, bits, choose_threshold(&values, bits, Clip::None).threshold);
            assert!((ours.mse - found).abs() <= 1e-4 * found);
            assert!(
                found <= reference * 1.000_01 && found <= none * 1.000_01,
                "{bits} bits, outlier {outlier}: {found}, the paper's search {reference}, no clipping {none}"
            );
        }
    }
}

/// Thresholds of layers' split weights are of less true error than the paper's search finds, on the weights themselves.
fn assert_better_than_the_papers_search(network: &Network) {
    for (index, layer) in network.layers.iter().enumerate() {
        let weights = network.weights(index).unwrap();
        for ratio in [0.0, 0.01, 0.05, 0.1, 0.2] {
            let count = split_count(&layer.layout, ratio);
            let split = split_channels(&weights, &layer.layout, count, SplitKind::Naive, 0.0).values;
            for bits in [3, 4] {
                let ours = true_mse(&split, bits, choose_threshold(&split, bits, Clip::Mse).threshold);
                let reference = true_mse(&split, bits, reference_mse_threshold(&split, bits));
                assert!(
                    ours <= reference * 1.000_01,
                    "{}, ratio {ratio}, {bits} bits: {ours}, the paper's search {reference}",
                    layer.name
                );
            }
        }
    }
}

#[test]
fn mse_is_never_worse_than_the_papers_search_on_the_demos() {
    for demo in [Demo::Fashion, Demo::Shakespeare] {
        assert_better_than_the_papers_search(&demo.network().unwrap());
    }
}

#[test]
#[ignore = "needs ../shared"]
fn mse_is_never_worse_than_the_papers_search_on_a_resnet20() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models/cifar10_resnet20.onnx");
    assert_better_than_the_papers_search(&crate::format::open(Path::new(path)).unwrap());
}

/// The optimal thresholds of the grid with 2^k - 1 values for a Gaussian, in units of its deviation (`docs/method.md`, "Clipping").
#[test]
fn mse_finds_the_optimum_of_a_gaussian() {
    let values = gaussian(400_000, 7);
    for (bits, optimum) in [(2, 1.224), (3, 1.952), (4, 2.474), (5, 2.899), (6, 3.270)] {
        let found = choose_threshold(&values, bits, Clip::Mse).threshold;
        assert!(
            (found - optimum).abs() < 0.06,
            "{bits} bits: {found}, expected {optimum}"
        );
    }
}

#[test]
fn no_clipping_keeps_the_largest_value_and_manual_what_was_given() {
    let values = [0.1, -0.7, 0.3];
    assert_eq!(choose_threshold(&values, 4, Clip::None).threshold, 0.7);
    assert_eq!(choose_threshold(&values, 4, Clip::Manual(0.25)).threshold, 0.25);
    assert_eq!(choose_threshold(&[0.0; 5], 4, Clip::Mse).threshold, 0.0);
    assert_eq!(choose_threshold(&[], 4, Clip::Mse).threshold, 0.0);
}

#[test]
fn names_read_back_as_what_was_written() {
    for clip in Clip::CHOICES
        .into_iter()
        .chain([Clip::Manual(0.123_456_79), Clip::Percentile(99.99)])
    {
        assert_eq!(clip.to_string().parse(), Ok(clip));
    }
    for wrong in [
        "",
        "manual",
        "manual:-1",
        "manual:NaN",
        "manual:inf",
        "best",
        "mse:3",
        "percentile:0",
        "percentile:101",
    ] {
        assert!(wrong.parse::<Clip>().is_err(), "{wrong}");
    }
}
