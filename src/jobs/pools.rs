//! The threads that jobs work on: each job has a pool to itself while it runs.
//!
//! In one pool for all, the histogram of a layer would wait behind the plan of all layers, which is a hundred times the work
//! and starts with it; and a job that waits for something would keep a thread from the others. Pools are kept from one job
//! to the next. How many threads one has is chosen for the whole program, and counts for the jobs that start from then on.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

/// Pools kept while no job needs them: each has a sleeping thread a core, and new threads are made in less than a millisecond.
const MOST_IDLE: usize = 2;

static POOLS: Mutex<Pools> = Mutex::new(Pools::new());

/// Pools of the chosen size that no job works on.
struct Pools {
    /// Threads of each; `None` for as many as there are cores.
    threads: Option<usize>,
    idle: Vec<ThreadPool>,
}

impl Pools {
    const fn new() -> Self {
        Self {
            threads: None,
            idle: Vec::new(),
        }
    }

    fn count(&self) -> usize {
        self.threads.unwrap_or_else(available_threads)
    }

    fn choose(&mut self, threads: Option<usize>) {
        let threads = threads.map(|threads| threads.clamp(1, available_threads()));
        if self.threads != threads {
            self.threads = threads;
            self.idle.clear();
        }
    }

    /// A pool of the chosen size; `None` where the system gives no threads.
    fn take(&mut self) -> Option<ThreadPool> {
        self.idle.pop().or_else(|| pool(self.count()))
    }

    /// Keeps a pool for the next job, if it is still of the chosen size.
    fn put_back(&mut self, pool: ThreadPool) {
        if pool.current_num_threads() == self.count() && self.idle.len() < MOST_IDLE {
            self.idle.push(pool);
        }
    }
}

fn pool(threads: usize) -> Option<ThreadPool> {
    let built = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|number| format!("work {number}"))
        .build();
    built.map_err(|error| log::warn!("no threads for a job: {error}")).ok()
}

/// Threads that a job can have: as many as there are cores for this program.
pub fn available_threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Threads that a job which starts now has.
pub fn threads() -> usize {
    with_pools(|pools| pools.count())
}

/// Gives each job that starts from now on so many threads, at most [`available_threads`]; `None` for all of them.
pub fn set_threads(threads: Option<usize>) {
    with_pools(|pools| pools.choose(threads));
}

/// Does `work`, with all that it does in parallel, on as many threads as a job has. They are its own: it may wait there.
pub fn on_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let Some(pool) = with_pools(Pools::take) else {
        return work();
    };
    let done = pool.install(work);
    with_pools(|pools| pools.put_back(pool));
    done
}

fn with_pools<T>(take: impl FnOnce(&mut Pools) -> T) -> T {
    take(&mut POOLS.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_of_another_size_are_not_kept() {
        let mut pools = Pools::new();
        let all = pools.take().unwrap();
        assert_eq!(all.current_num_threads(), available_threads());
        pools.put_back(all);
        assert_eq!(pools.idle.len(), 1);
        pools.choose(Some(1));
        assert!(pools.idle.is_empty());
        let one = pools.take().unwrap();
        assert_eq!(one.install(rayon::current_num_threads), 1);
        // What began before the choice ends on its own threads, which nobody gets again.
        if available_threads() > 1 {
            pools.put_back(pool(available_threads()).unwrap());
            assert!(pools.idle.is_empty());
        }
        pools.put_back(one);
        assert_eq!(pools.idle.len(), 1);
    }

    #[test]
    fn two_pools_at_most_are_kept_for_the_next_jobs() {
        let mut pools = Pools::new();
        let taken: Vec<ThreadPool> = (0..5).filter_map(|_| pools.take()).collect();
        assert_eq!(taken.len(), 5);
        for pool in taken {
            pools.put_back(pool);
        }
        let sleeping: usize = pools.idle.iter().map(ThreadPool::current_num_threads).sum();
        assert_eq!(sleeping, 2 * available_threads());
    }

    #[test]
    fn a_choice_out_of_range_is_the_nearest_in_range() {
        let mut pools = Pools::new();
        pools.choose(Some(0));
        assert_eq!(pools.count(), 1);
        pools.choose(Some(1_000_000));
        assert_eq!(pools.count(), available_threads());
    }
}
