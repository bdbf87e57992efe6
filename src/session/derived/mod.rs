//! What all derived results have in common: computed by a job from a key, kept in a slot, made anew when the key changes.
//!
//! A new result is a type that implements [`Derived`] in a file of its own, a [`Kind`] and a line of the [registry](REGISTRY).

mod registry;
mod slot;
mod slots;

pub(super) use registry::REGISTRY;
pub use slot::Slot;
pub(super) use slots::{Pieces, Slots, rows};

use super::action::Watched;
use super::discard::discard;
use super::open::OpenNetwork;
use super::work::{Kind, Output};
use crate::jobs::{JobError, Jobs};
use crate::progress::Progress;
use std::time::Duration;

/// The queue of the session's jobs.
pub(super) type Queue = Jobs<Kind, Output>;

/// What is wanted beside what the open network says: settings of the session, and what is in sight.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Standard deviations beyond which a weight is an outlier.
    pub(super) sigma: f64,
    /// Samples (of text: tokens) that are run at most.
    pub(super) limit: usize,
    /// What is in sight.
    pub(super) watched: Watched,
}

/// What becomes of a running job when its inputs have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newer {
    /// It is cancelled: the newest wins.
    Replaces,
    /// It ends first, so that a dragged slider shows results on its way; then the newest inputs are taken.
    Waits,
}

/// What a job runs.
type Run<V> = Box<dyn FnOnce(&Progress) -> Result<V, JobError> + Send>;

/// The work of a job.
pub(super) struct Work<V> {
    title: String,
    run: Run<V>,
}

impl<V> Work<V> {
    /// Work that a person sees under `title`.
    pub(super) fn new(
        title: impl Into<String>,
        run: impl FnOnce(&Progress) -> Result<V, JobError> + Send + 'static,
    ) -> Self {
        Self {
            title: title.into(),
            run: Box::new(run),
        }
    }
}

/// A result that follows from what is open.
pub(super) trait Derived: Sized + 'static {
    /// What it is computed from: equal keys give equal results.
    type Key: Clone + PartialEq + Send + 'static;
    /// The result.
    type Value: Send + 'static;
    /// The kind of its jobs.
    const KIND: Kind;
    /// What becomes of a running job when the key changes.
    const NEWER: Newer = Newer::Replaces;
    /// It is made only when somebody asks for it.
    const ON_REQUEST: bool = false;
    /// Nobody waits for it: its job gives way to all others.
    const BACKGROUND: bool = false;
    /// Results that are kept, so that undo shows them at once.
    const KEPT: usize = 1;

    /// What it should be computed from now; `None` while it is not wanted, or nobody can tell.
    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<Self::Key>;

    /// The result for `key`, if it is known without a job.
    fn known(_open: &OpenNetwork, _key: &Self::Key) -> Option<Self::Value> {
        None
    }

    /// The work that computes it; `None` as long as something that it needs is not there.
    fn compute(open: &mut OpenNetwork, key: &Self::Key, wanted: &Wanted) -> Option<Work<Self::Value>>;

    /// Puts the result in its place.
    fn take(open: &mut OpenNetwork, value: Self::Value, _elapsed: Duration) {
        if let Some(old) = open.slots.of_mut::<Self>().finish(value, Self::KEPT) {
            discard(old);
        }
    }

    /// The job has failed or was cancelled.
    fn fail(open: &mut OpenNetwork, error: &JobError) {
        open.slots.of_mut::<Self>().fail(error);
    }
}

/// A derived result as the registry lists it.
pub(super) struct Entry {
    /// The kind of its jobs.
    pub(super) kind: Kind,
    /// Starts its job if it is missing and can be had.
    pub(super) start: fn(&mut OpenNetwork, &mut Queue, &Wanted),
    /// Its job has failed.
    pub(super) fail: fn(&mut OpenNetwork, &JobError),
    /// Lets it be tried again.
    pub(super) retry: fn(&mut OpenNetwork),
}

impl Entry {
    const fn of<D: Derived>() -> Self {
        Self {
            kind: D::KIND,
            start: start::<D>,
            fail: D::fail,
            retry: |open| open.slots.of_mut::<D>().retry(),
        }
    }
}

fn start<D: Derived>(open: &mut OpenNetwork, jobs: &mut Queue, wanted: &Wanted) {
    let Some(key) = D::key(open, wanted) else { return };
    let slot = open.slots.of_mut::<D>();
    if D::ON_REQUEST && !slot.is_asked() {
        slot.renew(&key);
        return;
    }
    if slot.running().is_some_and(|running| *running != key) {
        if D::NEWER == Newer::Waits {
            return;
        }
        jobs.replace(D::KIND);
        slot.abandon();
    }
    if !slot.lacks(&key) {
        slot.renew(&key);
        return;
    }
    if let Some(value) = D::known(open, &key) {
        open.slots.of_mut::<D>().put(key, value, D::KEPT);
        return;
    }
    let Some(work) = D::compute(open, &key, wanted) else {
        return;
    };
    open.slots.of_mut::<D>().begin(key);
    let run = move |progress: &Progress| {
        let value = (work.run)(progress)?;
        Ok(Output::Derived(Box::new(move |open, elapsed| {
            D::take(open, value, elapsed);
        })))
    };
    if D::BACKGROUND {
        jobs.start_in_background(D::KIND, work.title, run);
    } else {
        jobs.start(D::KIND, work.title, run);
    }
}
