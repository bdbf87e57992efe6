//! Batches that run side by side, each on a share of the threads.
//!
//! The engine divides its large operators among threads and does the small ones between them on one: on two cores a network
//! of small layers keeps one idle for a third of the time. Batches side by side keep all busy, and read, decode and make
//! ready their inputs beside each other too. What a batch gives does not depend on who runs it.

use super::{Dataset, EngineError, InferenceError};
use crate::data::{Tensor, by_name};
use crate::engine::EngineFault;
use crate::engine::{Newest, Threads, own_threads};
use crate::progress::Progress;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

/// Batches that run at once at most: each holds the values of a network between its layers.
const MOST: usize = 8;

/// A share of the threads.
struct Lane {
    /// For the engine.
    engine: Threads,
    /// For reading batches; `None` where the system gives no threads.
    own: Option<rayon::ThreadPool>,
}

impl Lane {
    fn new(threads: usize) -> Self {
        Self {
            engine: Threads::new(threads),
            own: own_threads(threads),
        }
    }

    fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.own {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// The lanes among which the threads of whoever asks are divided.
fn lanes() -> Arc<Vec<Lane>> {
    static LANES: Newest<Vec<Lane>> = Newest::new();
    LANES.get(|threads| {
        let count = threads.min(MOST);
        std::iter::repeat_with(|| Lane::new(threads / count))
            .take(count)
            .collect()
    })
}

/// Calls `run` with the position and inputs of each of `ranges` and the threads to run on, several at once, and `take` with the position
/// and what came of it, in order. Checks `progress` before each.
///
/// # Errors
/// [`InferenceError`] of data, of `run`, of `take`, or `Cancelled`; of several, the first in the order of the batches.
pub(super) fn side_by_side<T: Send>(
    data: &Dataset,
    ranges: &[Range<usize>],
    progress: &Progress,
    run: impl Fn(usize, &[(&str, &Tensor)], &Threads) -> Result<T, InferenceError> + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), InferenceError>,
) -> Result<(), InferenceError> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let lanes = lanes();
    let lanes = &lanes[..lanes.len().min(ranges.len())];
    let batch = |position: usize, lane: &Lane| {
        progress.check()?;
        let inputs =
            (data.filled_batch(ranges[position].clone())).map_err(|error| InferenceError::Data(error.to_string()))?;
        run(position, &by_name(&inputs), &lane.engine)
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(lanes.len());
        for lane in lanes {
            let (sender, next, stopped, batch) = (sender.clone(), &next, &stopped, &batch);
            let work = move || {
                while !stopped.load(Ordering::Relaxed) {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    // Whoever takes the results may have stopped.
                    if position >= ranges.len()
                        || sender.send((position, lane.install(|| batch(position, lane)))).is_err()
                    {
                        return;
                    }
                }
            };
            std::thread::Builder::new()
                .name("running batches".to_owned())
                .spawn_scoped(scope, work)
                .map_err(|error| EngineError::Run(EngineFault::NoThread(error.to_string())))?;
        }
        drop(sender);
        let mut early = BTreeMap::new();
        for position in 0..ranges.len() {
            let result = loop {
                if let Some(result) = early.remove(&position) {
                    break result;
                }
                let Ok((at, result)) = receiver.recv() else {
                    return Err(EngineError::Run(EngineFault::Stopped).into());
                };
                early.insert(at, result);
            };
            let taken = result.and_then(|value| take(position, value));
            if taken.is_err() {
                stopped.store(true, Ordering::Relaxed);
                return taken;
            }
        }
        Ok(())
    })
}
