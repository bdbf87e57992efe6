//! The command line over the same rooms as the window: arguments, exit status, one line for any fault.
//!
//! Results go to standard output, progress and faults to standard error. What a subcommand does is in its own file.
//!
//! # Example
//!
//! ```
//! let words = ["splitscope", "inspect", "demo:fashion"];
//! let status = splitscope::cli::main(words.map(Into::into));
//! assert_eq!(status, std::process::ExitCode::SUCCESS);
//! ```

mod arguments;
mod auto;
mod bar;
mod check;
mod continuation;
mod cure;
mod curves;
mod diff;
mod evaluate;
mod front;
mod generate;
mod inspect;
mod massive;
mod output;
mod pipeline;
mod quantize;
mod report;
mod sensitivity;
mod sweep;
mod trace;

use crate::files;
use crate::jobs;
use crate::printable;
use crate::progress::Progress;
use crate::replacement;
use arguments::{Arguments, Command};
use std::ffi::OsString;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// Exit status of a fault, told in one line.
const FAILED: u8 = 1;
/// Exit status of wrong usage, as clap has it.
const WRONG_USAGE: u8 = 2;
/// Exit status of `check` when a limit is missed.
const LIMIT_MISSED: u8 = 3;
/// Exit status of a cancelled run: 128 + SIGINT, as a shell has it.
const CANCELLED: u8 = 130;

/// The command line asks for what cannot be, whatever the files hold.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// Limits that `check` found missed; its result is printed already.
#[derive(Debug, thiserror::Error)]
#[error("limits missed: {0}")]
struct LimitsMissed(String);

/// Runs the program with these arguments (the first is its own name) and returns its exit status.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::read(arguments) {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Help and version also come this way. That nobody reads them is no fault.
            let _ = answer.print();
            return ExitCode::from(if answer.use_stderr() { WRONG_USAGE } else { 0 });
        }
    };
    note_panics();
    let progress = Progress::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(arguments, &progress)));
    let error = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error,
        Err(_) => anyhow::anyhow!("internal fault, please report it: {}", last_panic()),
    };
    if progress.is_cancelled() {
        say_cancelled();
        return ExitCode::from(CANCELLED);
    }
    let status = match () {
        () if error.is::<UsageError>() => WRONG_USAGE,
        () if error.is::<LimitsMissed>() => LIMIT_MISSED,
        () => FAILED,
    };
    // Nobody may be reading standard error either.
    let _ = writeln!(std::io::stderr(), "splitscope: error: {}", one_line(&error));
    ExitCode::from(status)
}

fn run(arguments: Arguments, progress: &Progress) -> anyhow::Result<()> {
    if let Err(reason) = arguments.engine.choose() {
        pipeline::note(&reason.to_string());
    }
    let Some(command) = arguments.command else {
        return window(arguments);
    };
    cancel_on_interrupt(progress);
    // The bar is wiped before the result is printed; what is printed as it comes would tear it.
    let bar = (!matches!(command, Command::Continue(_))).then(|| bar::Bar::start(progress));
    let result = match arguments.threads {
        None => carry_out(command, progress)?,
        Some(threads) => {
            jobs::set_threads(Some(threads));
            jobs::on_threads(|| carry_out(command, progress))?
        }
    };
    drop(bar);
    // Numbers from a file that changed while they were computed are no result.
    files::check_closed()?;
    output::print(&result)
}

/// What a subcommand prints.
fn carry_out(command: Command, progress: &Progress) -> anyhow::Result<String> {
    match command {
        Command::Inspect(arguments) => inspect::run(&arguments, progress),
        Command::Quantize(arguments) => quantize::run(&arguments, progress),
        Command::Evaluate(arguments) => evaluate::run(&arguments, progress),
        Command::Continue(arguments) => continuation::run(&arguments, progress),
        Command::Check(arguments) => check::run(&arguments, progress),
        Command::Sensitivity(arguments) => sensitivity::run(&arguments, progress),
        Command::Cure(arguments) => cure::run(&arguments, progress),
        Command::Massive(arguments) => massive::run(&arguments, progress),
        Command::Sweep(arguments) => sweep::run(&arguments, progress),
        Command::Front(arguments) => front::run(&arguments, progress),
        Command::Auto(arguments) => auto::run(&arguments, progress),
        Command::Diff(arguments) => diff::run(&arguments, progress),
        Command::Report(arguments) => report::run(&arguments, progress),
        Command::Trace(arguments) => trace::run(&arguments, progress),
        Command::Generate(arguments) => generate::run(&arguments),
    }
}

#[cfg(feature = "window")]
fn window(arguments: Arguments) -> anyhow::Result<()> {
    refuse_unknown_word(&arguments)?;
    crate::app::run(crate::app::StartOptions {
        model: arguments.model,
        recipe: arguments.recipe,
        data: arguments.data,
        threads: arguments.threads,
        memory: crate::app::user_memory(),
    })
}

#[cfg(not(feature = "window"))]
#[allow(clippy::needless_pass_by_value, reason = "as the window takes them")]
fn window(arguments: Arguments) -> anyhow::Result<()> {
    refuse_unknown_word(&arguments)?;
    Err(UsageError(
        "this program was built without its window (feature 'window'): name a subcommand, see --help".to_owned(),
    )
    .into())
}

fn refuse_unknown_word(arguments: &Arguments) -> anyhow::Result<()> {
    match arguments.model.as_deref().and_then(arguments::no_such_word) {
        Some(why) => Err(UsageError(why).into()),
        None => Ok(()),
    }
}

/// Says that the program was cancelled, once: work may come to its end while it is being ended.
fn say_cancelled() {
    static SAID: Once = Once::new();
    SAID.call_once(|| drop(writeln!(std::io::stderr(), "splitscope: cancelled")));
}

/// How long work may take to its next step once it is asked to stop.
const GRACE: Duration = Duration::from_millis(500);

/// Ctrl-C and SIGTERM ask the work to stop at its next step. Work that has none soon (one that reads, waits for whoever reads
/// what it writes, or runs a large network) is ended: files that were being written are removed, and those in their places stay.
fn cancel_on_interrupt(progress: &Progress) {
    let progress = progress.clone();
    let handler = move || {
        progress.cancel();
        replacement::write_no_more();
        // The handler has a thread of its own, which ends with the program.
        std::thread::sleep(GRACE);
        replacement::abandon_all();
        say_cancelled();
        std::process::exit(CANCELLED.into());
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will not clean up: {error}");
    }
}

/// A fault and its causes as one line. A cause that its effect repeats already is left out.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    let parts: Vec<&str> = line
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    printable::line(&parts.join(" "))
}

/// Message and place of the latest panic, for the one line that the person sees.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Keeps panics off standard error: the last one is told in one line when the program ends.
fn note_panics() {
    std::panic::set_hook(Box::new(|panic| {
        log::debug!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
        let message = panic.payload_as_str().unwrap_or("panic");
        let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = format!("{message}{place}");
    }));
}

fn last_panic() -> String {
    let message = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
    message.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_stand_in_one_line_and_repetitions_are_left_out() {
        let error = anyhow::anyhow!("a\n  b").context("file.onnx: a\n  b").context("outer");
        assert_eq!(one_line(&error), "outer: file.onnx: a b");
    }

    #[test]
    fn wrong_usage_is_told_from_faults_through_anyhow() {
        let failed: anyhow::Result<()> = Err(UsageError("no".to_owned()).into());
        assert!(failed.context("while reading").unwrap_err().is::<UsageError>());
    }
}
