//! Frames of the whole window with a DenseNet-121 and with 10 000 layers open and a hand on a slider: layout and tessellation,
//! nothing painted.
//!
//! `cargo bench --bench frame` prints for each view the median and the 99th percentile over some hundred frames of a drag, and for
//! the DenseNet-121 what criterion makes of the means. A frame's own work should stay below 8 ms at the 99th percentile.

#![allow(dead_code, reason = "each bench uses its own part of what they share")]
#![allow(clippy::expect_used, reason = "a bench that cannot go on has failed")]

#[path = "common/clock.rs"]
mod clock;
#[path = "common/frames.rs"]
mod frames;
#[path = "common/headless.rs"]
mod headless;
#[path = "common/networks.rs"]
mod networks;
#[path = "common/tensors.rs"]
mod tensors;

use criterion::{Criterion, criterion_group, criterion_main};
use egui::accesskit::Role;
use egui::vec2;
use headless::Headless;
use std::time::Duration;

fn frames_of_a_drag(criterion: &mut Criterion) {
    let measured = frames::each_network(|name, window| {
        frames::every_view(window, |figure| {
            println!("{name}: {}: {}", figure.what, figure.describe());
        });
        if name == "DenseNet-121" {
            means_of_a_drag(criterion, window);
        }
    });
    measured.expect("the networks are written and opened");
}

fn means_of_a_drag(criterion: &mut Criterion, window: &mut Headless) {
    let mut group = criterion.benchmark_group("frame");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(4));
    for view in frames::VIEWS {
        window.show(view);
        let slider = window.expect(Role::Slider, "Expand ratio").left_center();
        group.bench_function(view, |bencher| {
            bencher.iter_custom(|count| {
                let frames = window.drag(slider + vec2(10.0, 0.0), slider + vec2(60.0, 0.0), count as usize);
                frames.iter().map(|frame| frame.own).sum()
            });
        });
        window.settle();
    }
    group.finish();
}

criterion_group!(benches, frames_of_a_drag);
criterion_main!(benches);
