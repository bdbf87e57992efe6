//! The program: hands its arguments to the command line, which runs a subcommand or opens the window.

fn main() -> std::process::ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error")).init();
    splitscope::cli::main(std::env::args_os())
}
