//! How long work says where it is, and learns that nobody wants it any more.
//!
//! A [`Progress`] is shared between the worker and whoever watches. It knows no thread and no window.
//!
//! # Example
//!
//! ```
//! use splitscope::progress::Progress;
//!
//! let progress = Progress::default();
//! progress.start(4, "reading");
//! progress.advance(1);
//! assert_eq!(progress.steps(), (1, 4));
//! progress.cancel();
//! assert!(progress.check().is_err(), "the worker learns it at its next step");
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The work was cancelled; whatever it had made so far is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Shared state of one piece of work. Cloning gives another handle on the same work.
#[derive(Clone, Default)]
pub struct Progress(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancelled: Arc<AtomicBool>,
    done: AtomicU64,
    total: AtomicU64,
    stage: Mutex<String>,
    notify: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Progress {
    /// Progress that calls `notify` (from the worker's thread) after each change.
    pub fn with_notify(notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            notify: Some(Box::new(notify)),
            ..Inner::default()
        }))
    }

    /// Progress of one part of this work: its steps are its own, and it is cancelled together with this.
    #[must_use]
    pub fn part(&self) -> Self {
        Self(Arc::new(Inner {
            cancelled: Arc::clone(&self.0.cancelled),
            ..Inner::default()
        }))
    }

    /// Begins a stage of `total` steps, named for the person who waits.
    pub fn start(&self, total: u64, stage: impl Into<String>) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
        self.stage_is(stage);
    }

    /// Renames the present stage.
    pub fn stage_is(&self, stage: impl Into<String>) {
        *self.0.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage.into();
        self.notify();
    }

    /// Adds `steps` finished steps.
    pub fn advance(&self, steps: u64) {
        self.0.done.fetch_add(steps, Ordering::Relaxed);
        self.notify();
    }

    /// Finished and all steps of the present stage; `(0, 0)` before the first stage.
    pub fn steps(&self) -> (u64, u64) {
        (
            self.0.done.load(Ordering::Relaxed),
            self.0.total.load(Ordering::Relaxed),
        )
    }

    /// Share done of the present stage, 0 to 1; `None` before the first stage.
    pub fn fraction(&self) -> Option<f32> {
        let (done, total) = self.steps();
        (total > 0).then(|| (done as f32 / total as f32).min(1.0))
    }

    /// Name of the present stage.
    pub fn stage(&self) -> String {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the work to stop at its next [`Progress::check`].
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
        self.notify();
    }

    /// Whether [`Progress::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// For the worker: go on, or stop here.
    ///
    /// # Errors
    /// [`Cancelled`] once [`Progress::cancel`] was called.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    fn notify(&self) {
        if let Some(notify) = &self.0.notify {
            notify();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_for_itself_and_is_cancelled_with_the_whole() {
        let whole = Progress::default();
        whole.start(3, "rows");
        let part = whole.part();
        part.start(10, "samples");
        part.advance(10);
        assert_eq!((whole.steps(), whole.stage()), ((0, 3), "rows".to_owned()));
        assert!(part.check().is_ok());
        whole.cancel();
        assert!(part.check().is_err());
    }
}
