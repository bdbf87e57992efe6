//! The inputs of the next batch are read, decoded and made ready while the engine runs the present one.

use super::{Dataset, EngineError, InferenceError};
use crate::data::{Tensor, by_name};
use crate::engine::EngineFault;
use crate::engine::own_threads;
use crate::progress::Progress;
use std::ops::Range;
use std::sync::mpsc::sync_channel;

/// Batches that wait for the engine. One is enough: either the engine or the reader is the slower, and keeps busy.
const AHEAD: usize = 1;

/// Calls `run` with the position and the inputs of each of `ranges`, in order. Checks `progress` before each.
///
/// # Errors
/// [`InferenceError`] of data, of `run`, or `Cancelled`; the first in the order of the batches.
pub(super) fn each_batch(
    data: &Dataset,
    ranges: &[Range<usize>],
    progress: &Progress,
    mut run: impl FnMut(usize, &[(&str, &Tensor)]) -> Result<(), InferenceError>,
) -> Result<(), InferenceError> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let threads = own_threads(rayon::current_num_threads());
        let reader = move || {
            for range in ranges {
                let batch = || data.filled_batch(range.clone());
                let batch = threads.as_ref().map_or_else(batch, |threads| threads.install(batch));
                // Whoever runs the batches may have stopped.
                if sender.send(batch).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("reading data".to_owned())
            .spawn_scoped(scope, reader)
            .map_err(|error| EngineError::Run(EngineFault::NoThread(error.to_string())))?;
        for position in 0..ranges.len() {
            progress.check()?;
            let inputs = receiver
                .recv()
                .map_err(|_| InferenceError::Data(format!("{}: reading it stopped", data.name())))?
                .map_err(|error| InferenceError::Data(error.to_string()))?;
            run(position, &by_name(&inputs))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use std::time::Duration;

    #[test]
    fn batches_come_in_order_and_end_where_the_work_stops() {
        let data = Dataset::demo(Demo::Fashion);
        let ranges: Vec<Range<usize>> = (0..5).map(|at| at * 2..at * 2 + 2).collect();
        let progress = Progress::default();
        let mut seen = Vec::new();
        each_batch(&data, &ranges, &progress, |position, inputs| {
            let direct = data.batch(ranges[position].clone()).unwrap();
            assert_eq!(*inputs[0].1, direct[0].1);
            seen.push(position);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [0, 1, 2, 3, 4]);

        let stopped = each_batch(&data, &ranges, &progress, |position, _| match position {
            1 => Err(EngineError::Run(EngineFault::FewOutputs).into()),
            _ => Ok(()),
        });
        assert!(matches!(stopped, Err(InferenceError::Engine(EngineError::Run(_)))));
        progress.cancel();
        let cancelled = each_batch(&data, &ranges, &progress, |_, _| Ok(()));
        assert!(matches!(cancelled, Err(InferenceError::Cancelled(_))));
    }

    #[test]
    fn the_next_batch_is_read_while_the_present_one_runs() {
        let folder = tempfile::tempdir().unwrap();
        let ports = [super::super::Port {
            name: "x".to_owned(),
            shape: Some(vec![None, Some(1), Some(2), Some(2)]),
            axis_names: vec![None; 4],
            kind: Default::default(),
        }];
        let file = |name: &str| folder.path().join(name);
        for name in ["a.png", "b.png"] {
            image::GrayImage::from_pixel(2, 2, image::Luma([9]))
                .save(file(name))
                .unwrap();
        }
        let data = Dataset::open(&folder.path().display().to_string(), &Default::default(), &ports).unwrap();
        each_batch(&data, &[0..1, 1..2], &Progress::default(), |position, _| {
            if position == 0 {
                // Time to read the second picture; then it is gone.
                std::thread::sleep(Duration::from_millis(300));
                std::fs::remove_file(file("b.png")).unwrap();
            }
            Ok(())
        })
        .unwrap();
    }
}
