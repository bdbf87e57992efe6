//! Curves against planning the layer for every point.

use super::super::plan_layer;
use super::copies::{copies, depths};
use super::*;
use crate::format::demo::Demo;
use crate::network::OutAxis;
use crate::quantization::SplitKind;

fn settings(bits: u8, expand_ratio: f64, split: SplitKind) -> WeightSettings {
    WeightSettings {
        bits: Bits::Grid(bits),
        expand_ratio,
        split,
        clip: Clip::None,
        ..WeightSettings::default()
    }
}

fn layout(groups: usize, outer: usize, channels: usize, inner: usize) -> Layout {
    Layout {
        groups,
        outer,
        channels,
        inner,
        out_axis: OutAxis::Outer,
        out_run: 1,
    }
}

/// Bell-shaped weights, and some channels with a few large ones.
fn weights(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    (0..layout.elements())
        .map(|i| {
            let bell = (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
            let channel = i / layout.inner % layout.channels;
            let stretch = if channel % 7 == 3 && uniform() < 0.01 {
                2.0 + channel as f64 / 12.0
            } else {
                1.0
            };
            (0.05 * stretch * bell) as f32
        })
        .collect()
}

/// The largest difference in decibels from planning, over all points of the curves of `clip`.
fn farthest(values: &[f32], layout: &Layout, settings: &WeightSettings, curves: &ErrorCurves, clip: Clip) -> f64 {
    differences(values, layout, settings, curves, clip).pop().unwrap()
}

/// Differences in decibels from planning, of all points of the curves of `clip`, sorted.
fn differences(
    values: &[f32],
    layout: &Layout,
    settings: &WeightSettings,
    curves: &ErrorCurves,
    clip: Clip,
) -> Vec<f64> {
    let of = |curves: &[(Clip, Vec<CurvePoint>)]| -> Vec<CurvePoint> {
        curves.iter().find(|(own, _)| *own == clip).unwrap().1.clone()
    };
    let (by_splits, by_bits) = (of(&curves.by_splits), of(&curves.by_bits));
    assert_eq!(
        by_bits.iter().map(|point| point.bits).collect::<Vec<_>>(),
        (2..=8).collect::<Vec<_>>()
    );
    let points = by_splits.iter().chain(&by_bits);
    let mut differences: Vec<f64> = points
        .map(|point| {
            let settings = WeightSettings {
                bits: Bits::Grid(point.bits),
                expand_ratio: point.splits as f64 / layout.channels as f64,
                clip,
                ..*settings
            };
            let planned = plan_layer(values, layout, &settings);
            (planned.sqnr_db - point.sqnr_db).abs()
        })
        .collect();
    differences.sort_by(f64::total_cmp);
    differences
}

#[test]
fn counting_once_gives_the_errors_of_planning_every_point() {
    for (layout, split, bits) in [
        (layout(1, 48, 64, 9), SplitKind::Qa, 4),
        (layout(1, 48, 64, 9), SplitKind::Naive, 3),
        (layout(2, 40, 60, 4), SplitKind::Qa, 3),
        (layout(1, 30, 200, 1), SplitKind::Qa, 8),
    ] {
        let values = weights(&layout, 5);
        let settings = settings(bits, 0.07, split);
        let curves = error_curves(&values, &layout, &settings, 0.2, &Progress::default()).unwrap();
        let last = split_count(&layout, 0.2);
        for (_, points) in &curves.by_splits {
            assert_eq!(
                points.iter().map(|point| point.splits).collect::<Vec<_>>(),
                (0..=last).collect::<Vec<_>>()
            );
        }
        for clip in Clip::CHOICES {
            let differences = differences(&values, &layout, &settings, &curves, clip);
            let (half, all) = (differences[differences.len() / 2], differences[differences.len() - 1]);
            eprintln!("{layout:?} {split:?} {bits} bits, {clip}: half within {half:.4} dB, all within {all:.4} dB");
            let off = match clip {
                // Of two thresholds with nearly the same divergence either may be taken.
                Clip::Kl => half,
                _ => all,
            };
            assert!(off <= 0.1, "{layout:?} {split:?} {bits} bits, {clip}: {off} dB");
        }
    }
}

#[test]
fn counting_once_gives_the_errors_of_planning_on_trained_layers() {
    for (demo, name) in [(Demo::Fashion, "layer3.2.conv1"), (Demo::Shakespeare, "rnn.l0/R")] {
        let network = demo.network().unwrap();
        let index = network.layer_index(name).unwrap();
        let (values, layout) = (network.weights(index).unwrap(), network.layers[index].layout);
        let settings = settings(4, 0.05, SplitKind::Qa);
        let curves = error_curves(&values, &layout, &settings, 0.2, &Progress::default()).unwrap();
        for clip in [Clip::None, Clip::Mse, Clip::Octav] {
            let off = farthest(&values, &layout, &settings, &curves, clip);
            assert!(off <= 0.1, "{name}, {clip}: {off} dB");
        }
    }
}

#[test]
fn small_tensors_have_the_very_errors_of_their_plans() {
    let layout = layout(1, 10, 20, 9);
    let values = weights(&layout, 3);
    let settings = settings(4, 0.1, SplitKind::Qa);
    let curves = error_curves(&values, &layout, &settings, 0.2, &Progress::default()).unwrap();
    assert_eq!(curves.by_splits[0].1.len(), 5);
    for clip in Clip::CHOICES {
        assert_eq!(farthest(&values, &layout, &settings, &curves, clip), 0.0, "{clip}");
    }
}

#[test]
fn one_channel_may_be_split_again_and_again() {
    let layout = layout(1, 30, 40, 9);
    let mut values = weights(&layout, 9);
    values[9] = 4.0;
    let settings = settings(4, 0.2, SplitKind::Qa);
    let curves = error_curves(&values, &layout, &settings, 0.2, &Progress::default()).unwrap();
    let off = farthest(&values, &layout, &settings, &curves, Clip::None);
    assert!(off <= 0.1, "{off} dB");
    let none = &curves.by_splits[0].1;
    assert!(
        none[7].sqnr_db > none[0].sqnr_db,
        "a channel of eight copies has an eighth of the range"
    );
}

#[test]
fn copies_of_a_channel_add_up_to_it() {
    for times in [0, 1, 2, 3, 6, 30, 200] {
        assert_eq!(
            depths(times).iter().map(|(_, count)| count).sum::<u64>(),
            times as u64 + 1
        );
        for kind in [SplitKind::Qa, SplitKind::Naive] {
            let whole: f64 = copies(times, kind)
                .iter()
                .map(|c| c.count * (3.0 + c.offset) * c.scale)
                .sum();
            assert!((whole - 3.0).abs() < 1e-9, "{kind:?} {times}: {whole}");
        }
    }
}

#[test]
fn many_splits_are_thinned_out_with_both_ends_kept() {
    assert_eq!(thinned(0), [0]);
    assert_eq!(thinned(3), [0, 1, 2, 3]);
    let many = thinned(1000);
    assert_eq!((many.len(), many[0], many[128]), (129, 0, 1000));
    assert!(many.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn zeros_have_no_error_and_what_is_not_finite_no_curve() {
    let layout = layout(1, 60, 40, 4);
    let settings = settings(4, 0.1, SplitKind::Qa);
    let progress = Progress::default();
    let curves = error_curves(&vec![0.0; 9600], &layout, &settings, 0.2, &progress).unwrap();
    let points = || {
        curves
            .by_splits
            .iter()
            .chain(&curves.by_bits)
            .flat_map(|(_, points)| points)
    };
    assert!(points().all(|point| point.mse == 0.0 && point.sqnr_db == f64::INFINITY));
    let curves = error_curves(&vec![f32::NAN; 9600], &layout, &settings, 0.2, &progress).unwrap();
    assert_eq!(curves, ErrorCurves::default());
}

#[test]
fn nobody_waits_for_cancelled_curves() {
    let layout = layout(1, 60, 40, 4);
    let progress = Progress::default();
    progress.cancel();
    let values = weights(&layout, 1);
    assert!(error_curves(&values, &layout, &settings(4, 0.1, SplitKind::Qa), 0.2, &progress).is_err());
}
