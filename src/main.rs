//! The program: hands its arguments to the command line, which runs a subcommand or opens the window.

use splitscope::printable;
use std::io::Write;

fn main() -> std::process::ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error"))
        .format(|out, record| {
            // Names from files come by here too. Only what developers ask for may have several lines.
            let text = record.args().to_string();
            let text = if record.level() < log::Level::Debug {
                printable::line(&text)
            } else {
                printable::safe_lines(&text).into_owned()
            };
            writeln!(out, "[{} {}] {text}", record.level(), record.target())
        })
        .init();
    splitscope::cli::main(std::env::args_os())
}
