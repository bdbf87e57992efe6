//! What is open, and what goes on around the program: threads, files that change, full disks, kills.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "../common/mod.rs"]
mod common;

mod changed_files;
mod faults;
mod idle_threads;
mod threads;
