//! The hot paths on a set of tensors shaped like ResNet-50's: 53 convolutions and the classifier, 25.5 M weights.
//!
//! `cargo bench --bench hot_paths` prints each time and its throughput in elements a second.
//!
//! Where the time goes: the statistics pass waits for memory, at two thirds of the plain sum's bandwidth. Histograms and threshold
//! searches are bound by counting, one load and one store an element (half of the histogram's time; the other half finds the
//! slots in f64). After that the MSE search measures three candidates on all weights. A plan with splits writes the expanded
//! tensor once for the threshold and once for the grid, to memory that its layers use in turn.

#![allow(dead_code, reason = "each bench uses its own part of what they share")]

#[path = "common/tensors.rs"]
mod tensors;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use splitscope::network::Layout;
use splitscope::quantization::{
    Bits, Buffers, Clip, Granularity, InputMoments, NO_INPUTS, Rounding, SplitKind, Splitter, WeightSettings,
    choose_threshold, plan_layer_in, split_count,
};
use splitscope::statistics::{histogram, tensor_statistics};
use std::hint::black_box;

fn settings(bits: u8, expand_ratio: f64, clip: Clip) -> WeightSettings {
    WeightSettings {
        bits: Bits::Grid(bits),
        expand_ratio,
        split: SplitKind::Qa,
        clip,
        ..WeightSettings::default()
    }
}

fn hot_paths(criterion: &mut Criterion) {
    let tensors = tensors::resnet50(true);
    let buffers = Buffers::default();
    let elements = tensors::elements(&tensors) as u64;
    let mut group = criterion.benchmark_group("resnet50");
    group.sample_size(10).throughput(Throughput::Elements(elements));
    let mut bench = |name: &str, work: &dyn Fn(&Layout, &[f32])| {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (),
                |()| tensors.iter().for_each(|(layout, values)| work(layout, values)),
                BatchSize::PerIteration,
            );
        });
    };
    bench("memory: plain sum", &|_, values| {
        use rayon::prelude::*;
        let sum: f32 = values
            .par_chunks(1 << 16)
            .map(|chunk| {
                let mut lanes = [0.0_f32; 32];
                for part in chunk.chunks_exact(32) {
                    lanes.iter_mut().zip(part).for_each(|(lane, x)| *lane += x);
                }
                lanes.iter().sum::<f32>()
            })
            .sum();
        black_box(sum);
    });
    bench("statistics", &|layout, values| {
        black_box(tensor_statistics(values, layout));
    });
    bench("histogram of 512 bins", &|_, values| {
        black_box(histogram(values, -1.0, 1.0, 512));
    });
    bench("threshold by MSE, 6 bits", &|_, values| {
        black_box(choose_threshold(values, 6, Clip::Mse));
    });
    for clip in [Clip::Aciq, Clip::Kl, Clip::Octav] {
        bench(&format!("threshold by {}, 6 bits", clip.label()), &|_, values| {
            black_box(choose_threshold(values, 6, clip));
        });
    }
    for ratio in [0.02, 0.05] {
        bench(&format!("OCS in two passes, ratio {ratio}"), &|layout, values| {
            let count = split_count(layout, ratio);
            let splitter = Splitter::new(values, layout);
            let max_abs = splitter.max_abs_after(count, SplitKind::Naive, 0.0);
            let split = black_box(splitter.split(count, SplitKind::Qa, &[max_abs / 31.0], &buffers));
            buffers.give_back(split.values);
        });
    }
    for ratio in [0.0, 0.02, 0.05] {
        bench(&format!("plan at 4 bits, ratio {ratio}"), &|layout, values| {
            black_box(plan_layer_in(
                &buffers,
                values,
                layout,
                &settings(4, ratio, Clip::None),
                NO_INPUTS,
            ));
        });
    }
    bench("plan at 4 bits, ratio 0.02, MSE", &|layout, values| {
        black_box(plan_layer_in(
            &buffers,
            values,
            layout,
            &settings(4, 0.02, Clip::Mse),
            NO_INPUTS,
        ));
    });
    let rounded = |rounding| WeightSettings {
        scales: Granularity::Channel,
        rounding,
        ..settings(4, 0.0, Clip::None)
    };
    for rounding in [Rounding::Nearest, Rounding::Squant] {
        bench(
            &format!("plan at 4 bits, scales per channel, {rounding}"),
            &|layout, values| {
                black_box(plan_layer_in(&buffers, values, layout, &rounded(rounding), NO_INPUTS));
            },
        );
    }
    group.finish();
    gptq(criterion, &tensors, &rounded(Rounding::Gptq));
}

/// GPTQ of one layer, the first of the network's with 512 channels and a kernel of 3 x 3: 4608 inputs, the most that have one
/// matrix of moments. The time grows with the cube of the inputs.
fn gptq(criterion: &mut Criterion, tensors: &tensors::Tensors, settings: &WeightSettings) {
    let large = |(layout, _): &&(Layout, Vec<f32>)| (layout.outer, layout.channels, layout.inner) == (512, 512, 9);
    let Some((layout, values)) = tensors.iter().find(large) else {
        return;
    };
    let mut moments = InputMoments::new(1, layout.channels * layout.inner);
    // Neighbours are alike, as pixels are.
    moments.set(0, |i, j| 0.8_f64.powi((i as i32 - j as i32).abs()));
    let mut group = criterion.benchmark_group("512 x 512 x 3 x 3");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("plan at 4 bits, scales per channel, gptq", |bencher| {
        bencher.iter(|| {
            black_box(plan_layer_in(
                &Buffers::default(),
                values,
                layout,
                settings,
                Ok(&moments),
            ))
        });
    });
    group.finish();
}

criterion_group!(benches, hot_paths);
criterion_main!(benches);
