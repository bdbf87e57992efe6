//! Background work: a queue that knows neither networks nor windows.
//!
//! A job has a kind. Of each kind the newest wins: starting one cancels the older, whose late result is dropped. At most
//! one thread of a kind runs at a time (a cancelled one is waited for), so that a dragged slider can't pile threads up.
//! Results are taken by [`Jobs::poll`]; a [`Waker`] tells when it is worth polling. A panic becomes an error. What a job does
//! in parallel it does on threads of its own, as many as [`set_threads`] says.
//!
//! # Example
//!
//! ```
//! use splitscope::jobs::{Jobs, Waker};
//!
//! let mut jobs = Jobs::new(Waker::none());
//! jobs.start("sum", "Adding up", |_| Ok((1..=4).sum::<i32>()));
//! let finished = loop {
//!     if let Some(job) = jobs.poll().pop() {
//!         break job;
//!     }
//!     std::thread::yield_now();
//! };
//! assert_eq!(finished.result, Ok(10));
//! ```

mod pools;
mod queue;
mod waker;

pub use pools::{available_threads, on_threads, set_threads, threads};
pub use queue::{Finished, Foreground, JobError, JobId, Jobs, Running};
pub use waker::Waker;
