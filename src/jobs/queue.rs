//! The queue: starts, replaces, cancels and collects jobs.

use super::{Waker, on_threads};
use crate::progress::{Cancelled, Progress};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Names one job for as long as the queue lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(u64);

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Somebody cancelled it.
    #[error("cancelled")]
    Cancelled,
    /// It failed, with the reason.
    #[error("{0}")]
    Failed(String),
    /// A fault of the program itself, with the panic's message.
    #[error("internal error (please report it): {0}")]
    Panicked(String),
}

impl From<Cancelled> for JobError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// A job that has ended and was not replaced by a newer one.
#[derive(Debug)]
pub struct Finished<K, T> {
    /// Which job.
    pub id: JobId,
    /// Its kind.
    pub kind: K,
    /// Its title.
    pub title: String,
    /// How long its thread ran.
    pub elapsed: Duration,
    /// What came of it.
    pub result: Result<T, JobError>,
}

/// What to show of a job under way.
#[derive(Debug, Clone)]
pub struct Running<K> {
    /// Which job.
    pub id: JobId,
    /// Its kind.
    pub kind: K,
    /// Its title.
    pub title: String,
    /// Name of its present stage, empty before the first.
    pub stage: String,
    /// Share done of the present stage, 0 to 1.
    pub fraction: Option<f32>,
    /// Time since it was started.
    pub elapsed: Duration,
    /// Estimated time left in the present stage, once there is something to estimate from.
    pub left: Option<Duration>,
}

/// Lets work in the background give way: it counts the jobs that somebody waits for.
#[derive(Debug, Clone, Default)]
pub struct Foreground(Arc<AtomicUsize>);

impl Foreground {
    /// How often is looked whether the others have ended.
    const LOOK: Duration = Duration::from_millis(5);

    /// Waits while any other job runs.
    ///
    /// # Errors
    /// [`Cancelled`] when the work is not wanted any more.
    pub fn let_pass(&self, progress: &Progress) -> Result<(), Cancelled> {
        while self.0.load(Ordering::Relaxed) > 0 {
            progress.check()?;
            std::thread::sleep(Self::LOOK);
        }
        progress.check()
    }

    fn enter(&self) -> Passing {
        self.0.fetch_add(1, Ordering::Relaxed);
        Passing(Arc::clone(&self.0))
    }
}

/// A job of the foreground, for as long as it runs.
struct Passing(Arc<AtomicUsize>);

impl Drop for Passing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Asked on the job's thread when it is done.
type Check<K> = Arc<dyn Fn(K) -> Result<(), JobError> + Send + Sync>;

type Work<T> = Box<dyn FnOnce(&Progress) -> Result<T, JobError> + Send>;

struct Job<K, T> {
    id: JobId,
    kind: K,
    title: String,
    progress: Progress,
    started: Instant,
    /// The present stage and when it was first seen, for the time left.
    stage: (String, Instant),
    /// A newer one of its kind was started: the result is dropped.
    replaced: bool,
    /// It gives way to others.
    background: bool,
    /// The work, until a thread has taken it.
    work: Option<Work<T>>,
}

/// A queue of jobs of kinds `K` with results `T`.
pub struct Jobs<K, T> {
    waker: Waker,
    sender: Sender<(JobId, Result<T, JobError>)>,
    receiver: Receiver<(JobId, Result<T, JobError>)>,
    jobs: Vec<Job<K, T>>,
    next_id: u64,
    check: Check<K>,
    foreground: Foreground,
    /// Jobs that were cancelled since the last poll.
    cancelled: Vec<Finished<K, T>>,
}

impl<K: Copy + PartialEq + Send + 'static, T: Send + 'static> Jobs<K, T> {
    /// An empty queue.
    pub fn new(waker: Waker) -> Self {
        let (sender, receiver) = channel();
        Self {
            waker,
            sender,
            receiver,
            jobs: Vec::new(),
            next_id: 0,
            check: Arc::new(|_| Ok(())),
            foreground: Foreground::default(),
            cancelled: Vec::new(),
        }
    }

    /// The same with a last look before a result is handed over, on the job's own thread: an error takes its place.
    #[must_use]
    pub fn with_check(mut self, check: impl Fn(K) -> Result<(), JobError> + Send + Sync + 'static) -> Self {
        self.check = Arc::new(check);
        self
    }

    /// Starts `work` on a thread of its own; an older job of the same kind is cancelled and its result dropped. The work
    /// asks its [`Progress`] now and then whether to go on.
    pub fn start(
        &mut self,
        kind: K,
        title: impl Into<String>,
        work: impl FnOnce(&Progress) -> Result<T, JobError> + Send + 'static,
    ) -> JobId {
        self.begin(kind, title.into(), Box::new(work), false)
    }

    /// The same for work that nobody waits for: it calls [`Foreground::let_pass`] now and then.
    pub fn start_in_background(
        &mut self,
        kind: K,
        title: impl Into<String>,
        work: impl FnOnce(&Progress) -> Result<T, JobError> + Send + 'static,
    ) -> JobId {
        self.begin(kind, title.into(), Box::new(work), true)
    }

    /// What such work gives way to.
    pub fn foreground(&self) -> Foreground {
        self.foreground.clone()
    }

    fn begin(&mut self, kind: K, title: String, work: Work<T>, background: bool) -> JobId {
        self.replace(kind);
        let id = JobId(self.next_id);
        self.next_id += 1;
        let waker = self.waker.clone();
        let now = Instant::now();
        self.jobs.push(Job {
            id,
            kind,
            title,
            progress: Progress::with_notify(move || waker.wake_for_progress()),
            started: now,
            stage: (String::new(), now),
            replaced: false,
            background,
            work: Some(work),
        });
        self.launch_waiting();
        id
    }

    /// Cancels the job of that kind; it ends as [`JobError::Cancelled`].
    pub fn cancel_kind(&mut self, kind: K) {
        let ids: Vec<JobId> = self
            .visible()
            .filter(|job| job.kind == kind)
            .map(|job| job.id)
            .collect();
        for id in ids {
            self.cancel(id);
        }
    }

    /// Cancels one job; it ends as [`JobError::Cancelled`].
    pub fn cancel(&mut self, id: JobId) {
        let Some(position) = self.jobs.iter().position(|job| job.id == id) else {
            return;
        };
        let job = &mut self.jobs[position];
        if job.replaced {
            return;
        }
        // Whoever cancels it is answered at once; its thread may take a while to notice, and nothing more is heard of it.
        job.progress.cancel();
        job.replaced = true;
        self.cancelled.push(Finished {
            id,
            kind: job.kind,
            title: job.title.clone(),
            elapsed: job.started.elapsed(),
            result: Err(JobError::Cancelled),
        });
        self.jobs.retain(|job| !(job.replaced && job.work.is_some()));
        self.waker.wake();
    }

    /// Drops the job of that kind, if any: it is cancelled and nothing more is heard of it.
    pub fn replace(&mut self, kind: K) {
        for job in self.jobs.iter_mut().filter(|job| job.kind == kind) {
            job.replaced = true;
            job.progress.cancel();
        }
        // One that never got a thread simply disappears.
        self.jobs.retain(|job| !(job.replaced && job.work.is_some()));
    }

    /// The jobs that have ended since the last call.
    pub fn poll(&mut self) -> Vec<Finished<K, T>> {
        let mut finished = std::mem::take(&mut self.cancelled);
        while let Ok((id, result)) = self.receiver.try_recv() {
            let Some(position) = self.jobs.iter().position(|job| job.id == id) else {
                continue;
            };
            let job = self.jobs.remove(position);
            if !job.replaced {
                let elapsed = job.started.elapsed();
                finished.push(Finished {
                    id,
                    kind: job.kind,
                    title: job.title,
                    elapsed,
                    result,
                });
            }
        }
        self.launch_waiting();
        for job in &mut self.jobs {
            let stage = job.progress.stage();
            if stage != job.stage.0 {
                job.stage = (stage, Instant::now());
            }
        }
        finished
    }

    /// The jobs under way, oldest first.
    pub fn running(&self) -> Vec<Running<K>> {
        self.visible()
            .map(|job| {
                let fraction = job.progress.fraction();
                Running {
                    id: job.id,
                    kind: job.kind,
                    title: job.title.clone(),
                    stage: job.progress.stage(),
                    fraction,
                    elapsed: job.started.elapsed(),
                    left: fraction.and_then(|fraction| time_left(fraction, job.stage.1.elapsed())),
                }
            })
            .collect()
    }

    /// Whether a job of that kind is under way.
    pub fn is_running(&self, kind: K) -> bool {
        self.visible().any(|job| job.kind == kind)
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.visible().next().is_none() && self.cancelled.is_empty()
    }

    fn visible(&self) -> impl Iterator<Item = &Job<K, T>> {
        self.jobs.iter().filter(|job| !job.replaced)
    }

    /// Gives a thread to each job whose kind has none.
    fn launch_waiting(&mut self) {
        for position in 0..self.jobs.len() {
            let kind = self.jobs[position].kind;
            let occupied = self.jobs.iter().any(|job| job.kind == kind && job.work.is_none());
            if occupied {
                continue;
            }
            let job = &mut self.jobs[position];
            let Some(work) = job.work.take() else { continue };
            let (id, progress) = (job.id, job.progress.clone());
            let passing = (!job.background).then(|| self.foreground.enter());
            let (sender, waker, check) = (self.sender.clone(), self.waker.clone(), Arc::clone(&self.check));
            let spawned = std::thread::Builder::new()
                .name(format!("job: {}", job.title))
                .spawn(move || {
                    let checked = || on_threads(|| work(&progress)).and_then(|output| check(kind).map(|()| output));
                    let result = catch_unwind(AssertUnwindSafe(checked))
                        .unwrap_or_else(|panic| Err(JobError::Panicked(panic_message(panic.as_ref()))));
                    drop(passing);
                    // Freed here, where it was made, not where jobs are collected.
                    let result = if progress.is_cancelled() {
                        Err(JobError::Cancelled)
                    } else {
                        result
                    };
                    // The queue may be gone by now; then nobody wants the result.
                    let _ = sender.send((id, result));
                    waker.wake();
                });
            if let Err(error) = spawned {
                let reason = format!("no thread could be started: {error}");
                let _ = self.sender.send((id, Err(JobError::Failed(reason))));
                self.waker.wake();
            }
        }
    }
}

impl<K, T> Drop for Jobs<K, T> {
    fn drop(&mut self) {
        for job in &self.jobs {
            job.progress.cancel();
        }
    }
}

/// Time left of a stage that has come to `fraction` in `elapsed`; `None` when it is too early to tell.
fn time_left(fraction: f32, elapsed: Duration) -> Option<Duration> {
    (fraction >= 0.02 && elapsed >= Duration::from_millis(300))
        .then(|| elapsed.mul_f32(((1.0 - fraction) / fraction).max(0.0)))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests;
