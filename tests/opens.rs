//! What opens and what does not, one test a row of the table in `README.md`; the names in the table are those of the tests.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;
#[path = "opens/safetensors.rs"]
mod safetensors;
#[path = "opens/size.rs"]
mod size;
