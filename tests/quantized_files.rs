//! Files that other tools quantized: element types, operators and layouts, each beside the numbers of the tool that made it.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "quantized_files/elements.rs"]
mod elements;
