//! Times on a machine that others use too: best of several rounds, what is compared taken in turns.

use cpu_time::ProcessTime;
use std::time::{Duration, Instant};

/// What one side of a comparison took.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    rounds: Vec<Duration>,
    /// What the whole program ran for in each round, all its threads added up.
    work: Vec<Duration>,
}

impl Times {
    /// The quickest round: what the work takes when nobody else wants the machine.
    pub(crate) fn best(&self) -> Duration {
        self.rounds.iter().copied().min().unwrap_or_default()
    }

    /// The least that all threads together ran for: what the work takes whatever else the machine does.
    pub(crate) fn work(&self) -> Duration {
        self.work.iter().copied().min().unwrap_or_default()
    }

    /// Median over best, minus one: 0 on a quiet machine.
    fn unrest(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        median.as_secs_f64() / self.best().as_secs_f64().max(1e-9) - 1.0
    }

    /// A mark for a figure whose rounds differ by more than a quarter.
    pub(crate) fn mark(&self) -> &'static str {
        if self.unrest() > 0.25 { "~" } else { "" }
    }
}

/// Runs each of `sides` once in every one of `rounds`, in turns, after one round that does not count.
pub(crate) fn in_turns<const N: usize>(rounds: usize, sides: [&mut dyn FnMut(); N]) -> [Times; N] {
    let mut sides = sides;
    let mut times: [Times; N] = std::array::from_fn(|_| Times {
        rounds: Vec::new(),
        work: Vec::new(),
    });
    for round in 0..=rounds {
        for (side, times) in sides.iter_mut().zip(&mut times) {
            let (started, work) = (Instant::now(), ProcessTime::now());
            side();
            if round > 0 {
                times.rounds.push(started.elapsed());
                times.work.push(work.elapsed());
            }
        }
    }
    times
}

/// The value below which `share` of `times` lie.
pub(crate) fn percentile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(place).copied().unwrap_or_default()
}

/// Milliseconds, three digits.
pub(crate) fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    let decimals = if ms < 10.0 { 2 } else { usize::from(ms < 100.0) };
    format!("{ms:.decimals$} ms")
}
