//! A progress bar on standard error, when a person is looking.

use crate::progress::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work that ends sooner than this shows no bar.
const TICK: Duration = Duration::from_millis(100);
/// Steps of the bar; the work's own steps are scaled to them.
const LENGTH: u64 = 1000;

/// Draws a bar until dropped, then wipes it.
pub(super) struct Bar {
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Bar {
    /// Follows `progress` from a thread of its own; does nothing when standard error is no terminal.
    pub(super) fn start(progress: &Progress) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { ticker: None };
        }
        let progress = progress.clone();
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("progress bar".to_owned());
        let ticker = thread.spawn(move || {
            let bar = ProgressBar::new(LENGTH);
            if let Ok(style) = ProgressStyle::with_template("{msg:30!} {wide_bar} {percent:>3} %") {
                bar.set_style(style);
            }
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if let Some(fraction) = progress.fraction() {
                    bar.set_message(progress.stage());
                    bar.set_position((f64::from(fraction) * LENGTH as f64) as u64);
                }
            }
            bar.finish_and_clear();
        });
        Self {
            ticker: ticker.ok().map(|thread| (stop, thread)),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
