//! One pass against a naive count.

use super::*;
use proptest::prelude::*;

fn naive(values: &[f32], layout: &Layout) -> TensorStatistics {
    let finite: Vec<f64> = values.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x)).collect();
    let n = finite.len().max(1) as f64;
    let mean = finite.iter().sum::<f64>() / n;
    let moment = |p: i32| finite.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / n;
    let mut in_channel = vec![0.0_f32; layout.in_channels()];
    let mut out_channel = vec![0.0_f32; layout.out_channels()];
    let mut at = 0;
    for g in 0..layout.groups {
        for o in 0..layout.outer {
            for c in 0..layout.channels {
                for i in 0..layout.inner {
                    let x = if values[at].is_finite() { values[at].abs() } else { 0.0 };
                    at += 1;
                    let j = g * layout.channels + c;
                    in_channel[j] = in_channel[j].max(x);
                    let k = if layout.out_axis == OutAxis::Outer {
                        g * layout.outer + o
                    } else {
                        i
                    };
                    out_channel[k] = out_channel[k].max(x);
                }
            }
        }
    }
    let fold = |f: fn(f64, f64) -> f64| finite.iter().copied().reduce(f).unwrap_or(0.0) as f32;
    let (min, max) = (fold(f64::min), fold(f64::max));
    TensorStatistics {
        count: finite.len() as u64,
        nan: values.iter().filter(|x| x.is_nan()).count() as u64,
        infinite: values.iter().filter(|x| x.is_infinite()).count() as u64,
        min,
        max,
        max_abs: min.abs().max(max.abs()),
        mean,
        std: moment(2).sqrt(),
        kurtosis: if moment(2) > 0.0 {
            moment(4) / moment(2).powi(2)
        } else {
            0.0
        },
        in_channel_max_abs: in_channel,
        out_channel_max_abs: out_channel,
    }
}

fn agree(values: &[f32], layout: &Layout) {
    let (fast, slow) = (tensor_statistics(values, layout), naive(values, layout));
    let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-5 * scale.max(1e-30);
    assert!(
        near(fast.mean, slow.mean, f64::from(slow.max_abs)),
        "mean {} {}",
        fast.mean,
        slow.mean
    );
    assert!(
        near(fast.std, slow.std, slow.std.max(1e-6 * f64::from(slow.max_abs))),
        "std {} {}",
        fast.std,
        slow.std
    );
    if slow.std > 1e-5 * f64::from(slow.max_abs) {
        assert!(
            near(fast.kurtosis, slow.kurtosis, 10.0 * slow.kurtosis),
            "{} {}",
            fast.kurtosis,
            slow.kurtosis
        );
    }
    let exact = |s: &TensorStatistics| {
        (
            s.count,
            s.nan,
            s.infinite,
            s.min,
            s.max,
            s.in_channel_max_abs.clone(),
            s.out_channel_max_abs.clone(),
        )
    };
    assert_eq!(exact(&fast), exact(&slow));
}

fn layouts() -> impl Strategy<Value = Layout> {
    (1_usize..4, 1_usize..6, 1_usize..9, 1_usize..10, any::<bool>()).prop_map(
        |(groups, outer, channels, inner, out)| {
            if out {
                Layout {
                    groups,
                    outer,
                    channels,
                    inner,
                    out_axis: OutAxis::Outer,
                    out_run: 1,
                }
            } else {
                Layout {
                    groups: 1,
                    outer: 1,
                    channels,
                    inner,
                    out_axis: OutAxis::Inner,
                    out_run: 1,
                }
            }
        },
    )
}

proptest! {
    #[test]
    fn one_pass_tells_what_a_naive_count_tells(
        layout in layouts(), seed in any::<u64>(), scale in prop_oneof![Just(1.0_f32), Just(1e-12), Just(1e12)],
    ) {
        let mut state = seed | 1;
        let values: Vec<f32> = (0..layout.elements()).map(|_| {
            state ^= state << 13; state ^= state >> 7; state ^= state << 17;
            match state % 50 { 0 => f32::NAN, 1 => f32::NEG_INFINITY, _ => ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale }
        }).collect();
        agree(&values, &layout);
    }
}

#[test]
fn tensors_of_many_tasks_agree_too() {
    let noise = |n: usize| -> Vec<f32> {
        (0..n)
            .map(|i| ((i as f32 * 0.618_034).fract() - 0.5).powi(3) + 0.3)
            .collect()
    };
    for layout in [
        Layout {
            groups: 1,
            outer: 700,
            channels: 130,
            inner: 9,
            out_axis: OutAxis::Outer,
            out_run: 1,
        },
        Layout {
            groups: 1,
            outer: 900,
            channels: 1000,
            inner: 1,
            out_axis: OutAxis::Outer,
            out_run: 1,
        },
        Layout {
            groups: 1,
            outer: 1,
            channels: 1000,
            inner: 900,
            out_axis: OutAxis::Inner,
            out_run: 1,
        },
    ] {
        agree(&noise(layout.elements()), &layout);
    }
}

#[test]
fn an_empty_tensor_and_one_of_nans_have_zeros_and_no_nan() {
    let layout = Layout {
        groups: 1,
        outer: 2,
        channels: 2,
        inner: 1,
        out_axis: OutAxis::Outer,
        out_run: 1,
    };
    let nothing = tensor_statistics(&[f32::NAN; 4], &layout);
    assert_eq!(
        (nothing.count, nothing.nan, nothing.max_abs, nothing.mean, nothing.std),
        (0, 4, 0.0, 0.0, 0.0)
    );
    let layout = Layout {
        groups: 1,
        outer: 0,
        channels: 0,
        inner: 1,
        out_axis: OutAxis::Outer,
        out_run: 1,
    };
    assert_eq!(tensor_statistics(&[], &layout).count, 0);
}

#[test]
fn the_farthest_lies_where_the_distance_from_the_mean_says_and_not_the_magnitude() {
    // Mean 1, deviation 2: -3 lies two from the mean, and the 3 of equal magnitude only one.
    let values = [-3.0, 1.0, 3.0, 3.0, 1.0, 1.0, 3.0, -1.0];
    let layout = Layout {
        groups: 1,
        outer: 1,
        channels: values.len(),
        inner: 1,
        out_axis: OutAxis::Outer,
        out_run: 1,
    };
    let seen = tensor_statistics(&values, &layout);
    assert!((seen.farthest_in_sigma(f32::MAX).unwrap() - 2.0).abs() < 1e-9);
    assert!((seen.farthest_in_sigma(2.0).unwrap() - 1.5).abs() < 1e-9, "cut at -2");
    let equal = tensor_statistics(&[0.5; 8], &layout);
    assert_eq!(equal.farthest_in_sigma(f32::MAX), Some(0.0));
}
