//! Threads for engines: as many as whoever runs one has for its own work ([`rayon::current_num_threads`]).

use super::rten::Pool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Threads that a network runs on. The built-in engine's are started when it first runs on them.
pub struct Threads {
    count: usize,
    pool: OnceLock<Pool>,
}

impl Threads {
    /// That many.
    pub fn new(count: usize) -> Self {
        Self {
            count: count.max(1),
            pool: OnceLock::new(),
        }
    }

    /// As many as whoever asks has; the same ones for whoever asks with the same number next.
    pub fn current() -> Arc<Self> {
        static THREADS: Newest<Threads> = Newest::new();
        THREADS.get(Self::new)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(super) fn pool(&self) -> &Pool {
        self.pool.get_or_init(|| Pool::new(self.count))
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Threads({})", self.count)
    }
}

/// What was made last for a number of threads, kept for whoever asks with the same number next.
pub(crate) struct Newest<T>(Mutex<Option<(usize, Arc<T>)>>);
impl<T> Newest<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What `make` makes of the present number of threads.
    pub(crate) fn get(&self, make: impl FnOnce(usize) -> T) -> Arc<T> {
        let threads = rayon::current_num_threads().max(1);
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some((of, made)) if *of == threads => Arc::clone(made),
            _ => {
                let made = Arc::new(make(threads));
                *newest = Some((threads, Arc::clone(&made)));
                made
            }
        }
    }
}

/// Threads for work beside that of whoever asks; `None` where the system gives none.
pub(crate) fn own_threads(threads: usize) -> Option<rayon::ThreadPool> {
    let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    built
        .map_err(|error| log::warn!("no threads to read data: {error}"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_of_threads_takes_other_threads_and_the_same_number_the_same() {
        let newest = Newest::new();
        let within = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| newest.get(|threads| threads))
        };
        assert_eq!(*within(3), 3);
        let two = within(2);
        assert_eq!(*two, 2);
        assert!(Arc::ptr_eq(&two, &within(2)));
    }
}
