//! The method: what splitting, clipping and rounding compute, against closed forms and other implementations.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "../common/mod.rs"]
mod common;

mod activation_ocs;
mod against_numpy;
mod answer;
mod auto;
mod conformance;
mod cure;
mod data_free;
mod differential;
mod embedding;
mod float_weights;
mod incremental;
mod kl;
mod outputs;
mod random_networks;
mod recipe;
mod recurrent;
mod resnet20;
mod rounding;
mod scales;
mod sequential;
mod smoothing;
mod split_export;
mod storage;
mod whole_networks;
mod zero_points;
