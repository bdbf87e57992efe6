//! Tells whoever polls that there is something to see, not too often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Least time between two wake-ups for mere progress: 15 a second look smooth and cost nothing.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(66);

/// A callback that makes the owner of a queue poll it soon; called from worker threads.
#[derive(Clone)]
pub struct Waker {
    wake: Arc<dyn Fn() + Send + Sync>,
    epoch: Instant,
    /// Milliseconds since `epoch` of the last wake-up for progress, plus one; 0 before the first.
    last: Arc<AtomicU64>,
}

impl Waker {
    /// Wakes by calling `wake`.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            wake: Arc::new(wake),
            epoch: Instant::now(),
            last: Arc::new(AtomicU64::new(0)),
        }
    }

    /// For tests and programs that poll anyway.
    pub fn none() -> Self {
        Self::new(|| {})
    }

    /// Something is done: always wakes.
    pub fn wake(&self) {
        (self.wake)();
    }

    /// Some progress was made: wakes unless that was done a moment ago.
    pub fn wake_for_progress(&self) {
        let now = self.epoch.elapsed().as_millis() as u64 + 1;
        let last = self.last.load(Ordering::Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= PROGRESS_INTERVAL.as_millis() as u64;
        // Only one of several workers that find it due gets to wake.
        if due
            && self
                .last
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_flood_of_progress_wakes_a_few_times_only() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let waker = Waker::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let started = Instant::now();
        for _ in 0..100_000 {
            waker.wake_for_progress();
        }
        let allowed = 2 + started.elapsed().as_millis() as usize / PROGRESS_INTERVAL.as_millis() as usize;
        let calls = calls.load(Ordering::Relaxed);
        assert!((1..=allowed).contains(&calls), "{calls} wake-ups, at most {allowed}");
    }

    #[test]
    fn a_result_always_wakes() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let waker = Waker::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        waker.wake();
        waker.wake();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
