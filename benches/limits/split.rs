//! Outlier channel splitting in two passes, against the paper's way to do it.

use super::clock::{in_turns, milliseconds};
use super::{paper, row, tensors, versus};
use rayon::prelude::*;
use splitscope::quantization::{Buffers, SplitKind, Splitter, split_count};
use std::hint::black_box;

/// Expand ratio; seconds that the NumPy code of the paper takes on two cores; how many times as fast we want to be.
const NUMPY: [(f64, f64, f64); 2] = [(0.02, 1.73, 40.0), (0.05, 3.58, 80.0)];
const BITS: u8 = 6;

pub(super) fn run() -> anyhow::Result<()> {
    let tensors = tensors::resnet50(false);
    for (ratio, numpy, aim) in NUMPY {
        let [ours, theirs] = in_turns(
            5,
            [
                &mut || {
                    // Layers in parallel, as a plan has them, and the memory that they are written to used again.
                    let buffers = Buffers::default();
                    tensors.par_iter().for_each(|(layout, values)| {
                        let count = split_count(layout, ratio);
                        let splitter = Splitter::new(values, layout);
                        let max_abs = splitter.max_abs_after(count, SplitKind::Naive, 0.0);
                        let split = black_box(splitter.split(count, SplitKind::Qa, &[max_abs / 31.0], &buffers));
                        buffers.give_back(split.values);
                    });
                },
                &mut || {
                    tensors.par_iter().for_each(|(layout, values)| {
                        let count = split_count(layout, ratio);
                        black_box(paper::split_in_two_passes(values, layout, count, BITS));
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
        let name = format!("OCS in two passes, ratio {ratio}");
        row(&name, &measured, &beside, &versus(&theirs, &ours));
    }
    Ok(())
}
