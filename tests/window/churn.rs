//! Seeded random clicking, typing, dragging and job churn on the whole window: no panic, no job that does not end.
//!
//! `SPLITSCOPE_CHURN_STEPS=100000 cargo test --test window churn -- --nocapture` goes on for longer, `SPLITSCOPE_CHURN_SEED`
//! takes another way. A step that fails prints the seed and what was done last; the same seed and number of steps asks the same of
//! the window again, though jobs end when they end.

mod asking;
mod hand;
mod random;

use crate::harness::{Window, builder, session};
use random::Random;
use splitscope::app::{App, StartOptions};
use splitscope::session::Action;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const STEPS: usize = 600;
const SEED: u64 = 1;
/// Steps that a failure prints.
const REMEMBERED: usize = 40;
/// After so many steps all that runs is cancelled, and everything must come to rest.
const ROUND: usize = 100;
/// A job that has been told to stop and goes on for longer is stuck.
const STUCK: Duration = Duration::from_secs(120);
/// How long jobs are waited for, now and then, before they are told to stop.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names the folder that the churn may write to; set in the process that churns.
const FOLDER: &str = "SPLITSCOPE_CHURN_FOLDER";

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The churn types paths and saves presets: it runs in a process of its own, at home in a folder that is thrown away.
#[test]
fn nothing_breaks_and_nothing_gets_stuck_under_random_hands() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "churn::churn_in_a_folder_of_its_own",
            "--ignored",
            "--nocapture",
        ])
        .current_dir(folder.path())
        .env(FOLDER, folder.path())
        .env("HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path().join("config"))
        .status()
        .unwrap();
    assert!(status.success(), "see above");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn churn_in_a_folder_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let seed = number("SPLITSCOPE_CHURN_SEED", SEED);
    let steps = number("SPLITSCOPE_CHURN_STEPS", STEPS as u64) as usize;
    let mut churn = Churn::new(seed, Path::new(&folder));
    let started = Instant::now();
    for step in 0..steps {
        let done = catch_unwind(AssertUnwindSafe(|| churn.step(step)));
        if let Err(panic) = done {
            eprintln!("seed {seed}, step {step}; the last steps:");
            for line in &churn.last {
                eprintln!("  {line}");
            }
            resume_unwind(panic);
        }
        if step % 1000 == 999 {
            eprintln!("{} steps, {:.0} s", step + 1, started.elapsed().as_secs_f64());
        }
    }
    churn.come_to_rest();
    let secs = started.elapsed().as_secs_f64();
    eprintln!("seed {seed}: {steps} steps, {} frames, {secs:.0} s", churn.frames);
}

/// A window under random hands.
struct Churn {
    window: Window,
    random: Random,
    files: asking::Files,
    last: VecDeque<String>,
    frames: usize,
}

impl Churn {
    fn new(seed: u64, folder: &Path) -> Self {
        let builder = builder().renderer(hand::NoRenderer);
        let window = builder.build_eframe(|cc| {
            let mut app = App::new(cc, &StartOptions::default()).without_native_dialogs();
            app.act(Action::SetSampleLimit(20));
            app
        });
        Self {
            window,
            random: Random::new(seed),
            files: asking::Files::write(folder),
            last: VecDeque::new(),
            frames: 0,
        }
    }

    fn step(&mut self, step: usize) {
        if step % ROUND == ROUND - 1 {
            self.come_to_rest();
        }
        let asks = self.random.below(10) < 3;
        let what = if asks {
            let action = asking::action(&mut self.random, session(&self.window), &self.files);
            let mut what = format!("{action:?}");
            if what.len() > 300 {
                what = what.chars().take(300).collect();
            }
            self.note(format!("{step}: asks for {what}"));
            self.window.state_mut().act(action);
            self.frame();
            return;
        } else {
            hand::choose(&mut self.random, &self.window)
        };
        self.note(format!("{step}: {what}"));
        for events in what.events() {
            let input = self.window.input_mut();
            input.events.extend(events);
            self.frame();
        }
        if let hand::Deed::Resize(size) = what {
            self.window.set_size(size);
        }
        for _ in 0..self.random.below(3) {
            self.frame();
        }
        if self.random.below(8) == 0 {
            // Time for jobs to end between two frames.
            std::thread::sleep(Duration::from_millis(self.random.below(30) as u64));
        }
    }

    fn note(&mut self, line: String) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn frame(&mut self) {
        self.window.step();
        self.frames += 1;
        let fault = session(&self.window)
            .messages()
            .iter()
            .find(|message| message.text.contains("internal error"));
        if let Some(message) = fault {
            panic!("a job has panicked: {}", message.text);
        }
    }

    /// Lets what runs end, and cancels what takes long; all must end.
    fn come_to_rest(&mut self) {
        let started = Instant::now();
        let patience = if self.random.below(3) == 0 {
            PATIENCE
        } else {
            Duration::ZERO
        };
        while !self.window.state().is_idle() {
            // Whatever follows from the end of one job is cancelled too; what a network needs is made again later.
            if started.elapsed() >= patience {
                for job in session(&self.window).running() {
                    self.window.state_mut().act(Action::Cancel(job.id));
                }
            }
            self.frame();
            let running = session(&self.window).running();
            assert!(started.elapsed() < STUCK, "stuck: {running:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        // Messages would pile up otherwise, and a fault is looked for in all of them.
        self.window.state_mut().act(Action::ClearMessages);
        self.window.state_mut().act(Action::Retry);
        self.frame();
    }
}
