//! Threads that are kept for what a hand waits for.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::OnceLock;

/// Does `work`, with all that it does in parallel, on threads of its own. In the pool that all jobs share, the histogram of one
/// layer would wait behind the plan of all of them, which is a hundred times the work and starts with it.
pub(super) fn on_own_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let built = ThreadPoolBuilder::new()
            .thread_name(|number| format!("selected layer {number}"))
            .build();
        built
            .map_err(|error| log::warn!("no threads for the selected layer: {error}"))
            .ok()
    });
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
