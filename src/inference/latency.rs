//! How long a network takes, and how much memory, on the engine that runs it and on this machine.

use super::outputs::run_on;
use super::{Dataset, Engine, InferenceError};
use crate::data::by_name;
use crate::engine::Threads;
use crate::progress::Progress;
use serde::Serialize;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Runs before anything is timed: caches fill, memory is taken, the engine's threads start.
const WARM_UP: usize = 3;
/// Runs that are timed at least.
const MIN_RUNS: usize = 10;
/// Runs that are timed at most.
const MAX_RUNS: usize = 200;
/// How long is timed, if [`MIN_RUNS`] take no longer.
const BUDGET: Duration = Duration::from_secs(3);

/// Times of one network, the same batch run again and again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// Samples of a batch (images), or tokens of the streams of one (text).
    pub batch: usize,
    /// Runs that were timed, after a few that were not.
    pub runs: usize,
    /// Median of a run, milliseconds.
    pub median_ms: f64,
    /// 95th percentile of a run (nearest rank), milliseconds.
    pub p95_ms: f64,
}

/// What a network takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkLatency {
    /// For a batch of one, then of several where the network takes that.
    pub batches: Vec<Latency>,
    /// The process's largest resident memory while it ran, bytes: the program itself, the network and its values. `None` where
    /// the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

/// The float and the quantized network on the same data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyReport {
    /// What ran them.
    pub engine: String,
    /// Threads that the engine ran on.
    pub threads: usize,
    /// The float network.
    pub float: NetworkLatency,
    /// The quantized network.
    pub quantized: NetworkLatency,
}

/// Times the float and the quantized network, one after the other, on the first samples of `data`.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn latency_report(
    float: &dyn Engine,
    quantized: &dyn Engine,
    data: &Dataset,
    progress: &Progress,
) -> Result<LatencyReport, InferenceError> {
    let threads = Threads::current();
    Ok(LatencyReport {
        engine: quantized.name().to_owned(),
        threads: quantized.threads().unwrap_or(threads.count()),
        float: latency(float, data, &threads, progress)?,
        quantized: latency(quantized, data, &threads, progress)?,
    })
}

/// Times a network on the first samples of `data` on these threads: batches of one, and of as many as an evaluation runs at once.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn latency(
    engine: &dyn Engine,
    data: &Dataset,
    threads: &Threads,
    progress: &Progress,
) -> Result<NetworkLatency, InferenceError> {
    let single = single(engine, data)?;
    let several = super::outputs::batches(engine, data, 0..data.len(), super::outputs::IMAGES)?;
    let mut sizes: Vec<_> = std::iter::once(single)
        .chain(several.into_iter().take(1).map(|batch| batch.run))
        .collect();
    sizes.dedup_by_key(|range| range.len());
    let peak = PeakMemory::start();
    let mut batches = Vec::new();
    progress.start(sizes.len() as u64, "Timing");
    for range in sizes {
        batches.push(timed(engine, data, range, threads, progress)?);
        progress.advance(1);
    }
    Ok(NetworkLatency {
        batches,
        peak_memory_bytes: peak.bytes(),
    })
}

/// Times a network on one sample of `data` at a time on these threads.
///
/// # Errors
/// As [`latency`].
pub fn latency_of_one(
    engine: &dyn Engine,
    data: &Dataset,
    threads: &Threads,
    progress: &Progress,
) -> Result<Latency, InferenceError> {
    timed(engine, data, single(engine, data)?, threads, progress)
}

/// The first sample, or as many as the network insists on; the first stream of a text.
fn single(engine: &dyn Engine, data: &Dataset) -> Result<Range<usize>, InferenceError> {
    let one = match data.text_layout() {
        Some(layout) => layout.length,
        None => 1,
    };
    let batches = super::outputs::batches(engine, data, 0..one.min(data.len()), 1)?;
    let first = batches.into_iter().next().map(|batch| batch.run);
    first.ok_or_else(|| InferenceError::Data(format!("{}: no samples to time", data.name())))
}

/// Times of the batch `range`.
fn timed(
    engine: &dyn Engine,
    data: &Dataset,
    range: Range<usize>,
    threads: &Threads,
    progress: &Progress,
) -> Result<Latency, InferenceError> {
    progress.check()?;
    let batch = range.len();
    let inputs = data
        .filled_batch(range)
        .map_err(|error| InferenceError::Data(error.to_string()))?;
    let output = super::answering(engine, data)?.name.clone();
    let run = || run_on(engine, threads, &by_name(&inputs), &[&output]).map(drop);
    for _ in 0..WARM_UP {
        run()?;
    }
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < MIN_RUNS || (times.len() < MAX_RUNS && begun.elapsed() < BUDGET) {
        progress.check()?;
        let start = Instant::now();
        run()?;
        times.push(start.elapsed());
    }
    Ok(summary(batch, times))
}

fn summary(batch: usize, mut times: Vec<Duration>) -> Latency {
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let at = |rank: usize| times.get(rank.saturating_sub(1)).copied().unwrap_or_default();
    let runs = times.len();
    // The mean of the two in the middle of an even number.
    let median_ms = (ms(at(runs.div_ceil(2))) + ms(at(runs / 2 + 1))) / 2.0;
    Latency {
        batch,
        runs,
        median_ms,
        p95_ms: ms(at((runs * 95).div_ceil(100))),
    }
}

/// The largest resident memory of the process from a moment on.
struct PeakMemory {
    /// Whether it counts from that moment; else from the start of the process.
    counts: bool,
}

impl PeakMemory {
    /// From now on.
    fn start() -> Self {
        // 5 sets the mark of the largest resident set back (proc(5)).
        let counts = cfg!(target_os = "linux") && std::fs::write("/proc/self/clear_refs", "5").is_ok();
        Self { counts }
    }

    /// So far.
    fn bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status")
            .ok()
            .filter(|_| self.counts)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;

    #[test]
    fn the_summary_is_of_the_middle_and_of_nineteen_twentieths() {
        let times: Vec<Duration> = (1..=20).rev().map(Duration::from_millis).collect();
        let summary = summary(4, times);
        assert_eq!((summary.batch, summary.runs), (4, 20));
        assert!(
            (summary.median_ms - 10.5).abs() < 1e-9 && (summary.p95_ms - 19.0).abs() < 1e-9,
            "{summary:?}"
        );
        let odd = super::summary(1, [3, 1, 2].map(Duration::from_millis).to_vec());
        assert!(
            (odd.median_ms - 2.0).abs() < 1e-9 && (odd.p95_ms - 3.0).abs() < 1e-9,
            "{odd:?}"
        );
    }

    #[test]
    fn a_network_is_timed_alone_and_in_a_batch_as_an_evaluation_runs_it() {
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let data = Dataset::demo(Demo::Fashion);
        let timed = latency(&engine, &data, &Threads::new(1), &Progress::default()).unwrap();
        let sizes: Vec<usize> = timed.batches.iter().map(|latency| latency.batch).collect();
        assert_eq!(sizes, [1, crate::inference::outputs::IMAGES]);
        for latency in &timed.batches {
            assert!(latency.runs >= MIN_RUNS && latency.median_ms > 0.0 && latency.p95_ms >= latency.median_ms);
        }
        // The values between the layers of one image at least, and the program.
        if cfg!(target_os = "linux") {
            assert!(
                timed.peak_memory_bytes.is_some_and(|bytes| bytes > 1 << 20),
                "{timed:?}"
            );
        }
    }
}
