//! The program from outside: what a person or a script that calls it sees.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "../common/mod.rs"]
mod common;

mod check;
mod command_line;
mod diff;
mod free_sizes;
mod memory;
mod names;
mod not_files;
mod report;
mod shards;
mod signals;
