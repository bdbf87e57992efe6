//! Files: what opens and as what, what is refused, and what other people's files may try.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "../common/mod.rs"]
mod common;
mod compressed_tensors;

mod architecture;
mod architecture_hubs;
mod architecture_sequences;
mod gguf_networks;
mod hostile;
mod language;
mod old_operators;
mod opens;
mod other_tools;
mod own_exports;
mod pytorch;
mod shared_models;
