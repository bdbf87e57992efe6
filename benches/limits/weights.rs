//! Passes over weights: statistics against memory, threshold searches against the paper's.

use super::clock::{in_turns, milliseconds};
use super::{paper, row, tensors, versus};
use rayon::prelude::*;
use splitscope::network::Layout;
use splitscope::quantization::{Clip, choose_threshold};
use splitscope::statistics::tensor_statistics;
use std::hint::black_box;
use std::time::Duration;

const BITS: u8 = 6;
/// What the NumPy code of the paper takes for these tensors, seconds, on two cores, and how many times as fast we want to be.
const NUMPY: [(Clip, f64, f64); 3] = [
    (Clip::Mse, 0.33, 10.0),
    (Clip::Aciq, 0.17, 10.0),
    (Clip::Kl, 9.0, 200.0),
];

pub(super) fn run() -> anyhow::Result<()> {
    let tensors = tensors::resnet50(false);
    let bytes = 4 * tensors::elements(&tensors);
    // Layers in parallel, as a plan has them.
    let each =
        |work: &(dyn Fn(&Layout, &[f32]) + Sync)| tensors.par_iter().for_each(|(layout, values)| work(layout, values));
    let [sum, statistics] = in_turns(
        15,
        [
            &mut || {
                each(&|_, values| {
                    black_box(plain_sum(values));
                });
            },
            &mut || each(&|layout, values| drop(black_box(tensor_statistics(values, layout)))),
        ],
    );
    let gigabytes = bytes as f64 / 1e9 / sum.best().as_secs_f64();
    let beside = format!(
        "plain sum {}{}, {gigabytes:.1} GB/s",
        milliseconds(sum.best()),
        sum.mark()
    );
    let share = |sum: Duration, all: Duration| 100.0 * sum.as_secs_f64() / all.as_secs_f64();
    let (share, of_work) = (
        share(sum.best(), statistics.best()),
        share(sum.work(), statistics.work()),
    );
    let measured = format!("{}{}", milliseconds(statistics.best()), statistics.mark());
    let name = format!("statistics of {:.1} M weights", bytes as f64 / 4e6);
    row(
        &name,
        &measured,
        &beside,
        &format!("{share:.0} % (aim 60), work {of_work:.0} %"),
    );

    for (clip, numpy, aim) in NUMPY {
        let port = |values: &[f32]| match clip {
            Clip::Mse => paper::threshold_by_mse(values, BITS),
            Clip::Kl => paper::threshold_by_kl(values, BITS),
            _ => paper::threshold_by_aciq(values, BITS),
        };
        let [ours, theirs] = in_turns(
            if clip == Clip::Kl { 5 } else { 9 },
            [
                &mut || {
                    each(&|_, values| {
                        black_box(choose_threshold(values, BITS, clip));
                    });
                },
                &mut || {
                    tensors.par_iter().for_each(|(_, values)| {
                        black_box(port(values));
                    });
                },
            ],
        );
        let beside = format!(
            "port {}{}; NumPy {numpy} s: {:.0}x (limit {aim:.0}x)",
            milliseconds(theirs.best()),
            theirs.mark(),
            numpy / ours.best().as_secs_f64()
        );
        let measured = format!("{}{}", milliseconds(ours.best()), ours.mark());
        let name = format!("threshold by {}, {BITS} bits", clip.label());
        row(&name, &measured, &beside, &versus(&theirs, &ours));
    }
    Ok(())
}

/// What reading alone takes: as little arithmetic as the compiler cannot leave out, on all threads.
fn plain_sum(values: &[f32]) -> f32 {
    let chunks = values.par_chunks(1 << 16).map(|chunk| {
        let mut lanes = [0.0_f32; 32];
        for part in chunk.chunks_exact(32) {
            lanes.iter_mut().zip(part).for_each(|(lane, x)| *lane += x);
        }
        lanes.iter().sum::<f32>()
    });
    chunks.sum()
}
