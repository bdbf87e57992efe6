//! The window, driven through its labels as a person with a screen reader would, and its pictures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

#[path = "../common/mod.rs"]
mod common;
mod cpu;
mod harness;

mod ab_view;
mod answers_view;
mod auto_view;
mod blocks_view;
mod churn;
mod compare_view;
mod controls;
mod errors_view;
mod frame;
mod freed;
mod look_only_view;
mod massive_view;
mod one_step;
mod pictures;
mod quantized_view;
mod small_and_large;
mod snapshots;
mod sweep_view;
mod tour;
mod whole;
