//! Threads that sleep between jobs are few, however many jobs ran at once. In a process of its own: it counts the threads of
//! the whole process.

#![cfg(target_os = "linux")]

use crate::common::alone::ran_alone;
use splitscope::jobs::{available_threads, on_threads};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Threads of this process that work for jobs.
fn workers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
    tasks.filter_map(name).filter(|name| name.starts_with("work ")).count()
}

#[test]
fn many_jobs_at_once_leave_two_pools_behind() {
    if ran_alone("idle_threads::many_jobs_at_once_leave_two_pools_behind") {
        return;
    }
    const JOBS: usize = 8;
    let together = Barrier::new(JOBS);
    let most = std::thread::scope(|scope| {
        let job = || {
            on_threads(|| {
                together.wait();
                let seen = workers();
                together.wait();
                seen
            })
        };
        let jobs: Vec<_> = (0..JOBS).map(|_| scope.spawn(job)).collect();
        jobs.into_iter().map(|job| job.join().unwrap()).max()
    });
    assert_eq!(most, Some(JOBS * available_threads()), "each job has its own threads");
    let start = Instant::now();
    while workers() > 2 * available_threads() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(workers(), 2 * available_threads());
}
