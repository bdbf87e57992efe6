//! The queue, driven without a window.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Plan,
    Export,
}

fn wait<T: Send + 'static>(jobs: &mut Jobs<Kind, T>) -> Vec<Finished<Kind, T>> {
    let started = Instant::now();
    let mut all = Vec::new();
    while !jobs.jobs.is_empty() {
        all.extend(jobs.poll());
        assert!(started.elapsed() < Duration::from_secs(20), "a job is stuck");
        std::thread::sleep(Duration::from_millis(1));
    }
    all
}

#[test]
fn a_result_arrives_and_the_owner_is_woken() {
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let mut jobs = Jobs::new(Waker::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let id = jobs.start(Kind::Plan, "plan", |_| Ok(7));
    let finished = wait(&mut jobs);
    assert_eq!(finished.len(), 1);
    assert_eq!((finished[0].id, finished[0].result.clone()), (id, Ok(7)));
    assert!(woken.load(Ordering::Relaxed) >= 1);
    assert!(jobs.is_idle());
}

#[test]
fn the_newest_of_a_kind_wins_and_the_late_result_of_the_older_is_dropped() {
    let mut jobs = Jobs::new(Waker::none());
    let (release, gate) = mpsc::channel::<()>();
    // Stubborn: does not ask whether it is cancelled.
    jobs.start(Kind::Plan, "old", move |_| {
        let _ = gate.recv();
        Ok("old")
    });
    jobs.start(Kind::Plan, "middle", |_| Ok("middle"));
    jobs.start(Kind::Plan, "new", |_| Ok("new"));
    jobs.start(Kind::Export, "other", |_| Ok("other"));
    assert_eq!(
        jobs.running().iter().map(|job| job.title.as_str()).collect::<Vec<_>>(),
        ["new", "other"]
    );
    release.send(()).unwrap();
    let mut results: Vec<&str> = wait(&mut jobs).into_iter().map(|job| job.result.unwrap()).collect();
    results.sort_unstable();
    assert_eq!(results, ["new", "other"]);
}

#[test]
fn only_one_thread_of_a_kind_runs_at_a_time() {
    let mut jobs = Jobs::new(Waker::none());
    let alive = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let (alive, most) = (Arc::clone(&alive), Arc::clone(&most));
        jobs.start(Kind::Plan, "plan", move |_| {
            most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(3));
            alive.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        });
        jobs.poll();
        std::thread::sleep(Duration::from_millis(1));
    }
    wait(&mut jobs);
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_cancelled_job_stops_at_its_next_check_and_says_so() {
    let mut jobs: Jobs<Kind, ()> = Jobs::new(Waker::none());
    let id = jobs.start(Kind::Plan, "endless", |progress| {
        loop {
            progress.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    jobs.cancel(id);
    assert_eq!(wait(&mut jobs)[0].result, Err(JobError::Cancelled));
}

#[test]
fn a_job_cancelled_before_it_got_a_thread_ends_as_cancelled() {
    let mut jobs = Jobs::new(Waker::none());
    let (release, gate) = mpsc::channel::<()>();
    jobs.start(Kind::Plan, "old", move |_| {
        let _ = gate.recv();
        Ok(1)
    });
    let waiting = jobs.start(Kind::Plan, "new", |_| Ok(2));
    jobs.cancel(waiting);
    release.send(()).unwrap();
    let finished = wait(&mut jobs);
    assert_eq!(finished.len(), 1);
    assert_eq!(
        (finished[0].id, finished[0].result.clone()),
        (waiting, Err(JobError::Cancelled))
    );
}

#[test]
fn a_panic_becomes_an_error_with_its_message() {
    let mut jobs: Jobs<Kind, ()> = Jobs::new(Waker::none());
    jobs.start(Kind::Plan, "faulty", |_| panic!("index {} out of range", 3));
    let result = wait(&mut jobs).remove(0).result;
    assert_eq!(result, Err(JobError::Panicked("index 3 out of range".to_owned())));
    jobs.start(Kind::Plan, "sound", |_| Ok(()));
    assert_eq!(
        wait(&mut jobs).remove(0).result,
        Ok(()),
        "the queue goes on after a panic"
    );
}

#[test]
fn the_list_of_jobs_tells_stage_share_and_time_left() {
    let mut jobs = Jobs::new(Waker::none());
    let (release, gate) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel::<()>();
    jobs.start(Kind::Export, "export", move |progress| {
        progress.start(4, "writing");
        progress.advance(1);
        tell.send(()).unwrap();
        let _ = gate.recv();
        Ok(())
    });
    told.recv().unwrap();
    jobs.poll();
    let running = jobs.running();
    assert_eq!(
        (running[0].stage.as_str(), running[0].fraction),
        ("writing", Some(0.25))
    );
    release.send(()).unwrap();
    wait(&mut jobs);
    assert_eq!(time_left(0.25, Duration::from_secs(2)), Some(Duration::from_secs(6)));
    assert_eq!(time_left(0.0, Duration::from_secs(2)), None);
}

#[test]
fn dropping_the_queue_cancels_what_runs() {
    let mut jobs: Jobs<Kind, ()> = Jobs::new(Waker::none());
    let (tell, told) = mpsc::channel::<()>();
    jobs.start(Kind::Plan, "endless", move |progress| {
        while progress.check().is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        tell.send(()).unwrap();
        Err(JobError::Cancelled)
    });
    drop(jobs);
    assert!(told.recv_timeout(Duration::from_secs(10)).is_ok());
}

#[test]
fn work_in_the_background_gives_way_to_jobs_that_somebody_waits_for() {
    let mut jobs: Jobs<u8, u8> = Jobs::new(Waker::none());
    let (release, held) = mpsc::channel::<()>();
    jobs.start(1, "in front", move |_| {
        let _ = held.recv();
        Ok(1)
    });
    let (tell, told) = mpsc::channel();
    let foreground = jobs.foreground();
    jobs.start_in_background(2, "behind", move |progress| {
        let _ = tell.send("began");
        foreground.let_pass(progress)?;
        let _ = tell.send("went on");
        Ok(2)
    });
    assert_eq!(told.recv(), Ok("began"));
    assert!(told.try_recv().is_err(), "the other has not ended");
    release.send(()).unwrap();
    assert_eq!(told.recv(), Ok("went on"));
}

#[test]
fn whoever_cancels_a_job_is_answered_at_once_however_long_its_thread_takes_to_notice() {
    let mut jobs: Jobs<u8, u8> = Jobs::new(Waker::none());
    let (release, held) = mpsc::channel::<()>();
    let id = jobs.start(1, "deaf", move |_| {
        let _ = held.recv();
        Ok(1)
    });
    jobs.cancel(id);
    let ended = jobs.poll();
    assert_eq!(
        (ended.len(), ended[0].id, &ended[0].result),
        (1, id, &Err(JobError::Cancelled))
    );
    assert!(jobs.is_idle());
    // The next of its kind waits for the thread, and the late result is dropped.
    jobs.start(1, "next", |_| Ok(2));
    release.send(()).unwrap();
    let ended = loop {
        let ended = jobs.poll();
        if !ended.is_empty() {
            break ended;
        }
        std::thread::yield_now();
    };
    assert_eq!((ended.len(), &ended[0].result), (1, &Ok(2)));
}
