//! The program: parses the command line, runs a subcommand or opens the window.

fn main() {}
