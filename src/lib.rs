//! Splitscope opens a trained network, shows where its outliers are, splits and clips them away, previews the quantized
//! result on a real engine and exports exactly what was previewed.
//!
//! The method is Outlier Channel Splitting (Zhao, Hu, Dotzel, De Sa, Zhang, ICML 2019, arXiv 1901.09504).
//!
//! The rooms, in the order that data flows; each imports only from those above it:
//!
//! - [`progress`]: how long work reports where it is and learns that it is no longer wanted.
//! - [`replacement`]: files that appear whole or not at all.
//! - [`printable`]: text of strangers made safe and short; lines of CSV.
//! - [`files`]: reading files of other people: sizes bounded, small ones copied, large ones mapped under guard.
//! - [`onnx`]: the protobuf schema, reading (zero-copy from a memory map), writing, tensors as floats.
//! - [`network`]: a model once opened: its layers with their weights and axes; what prepares it and keeps its function.
//! - [`format`](mod@format): files to networks: ONNX, safetensors, PyTorch, GGUF, folders of hubs, the embedded demos.
//! - [`statistics`]: one pass over a tensor: moments, per-channel ranges, histograms, outliers.
//! - [`quantization`]: recipe, split, clip, scales, rounding, plan, the rewritten graph, its overhead.
//! - [`data`]: data sets, preprocessing, tokens, noise; what a network takes and gives.
//! - [`engine`]: runs the bytes of an ONNX file, built in or in onnxruntime.
//! - [`inference`]: a network on data: calibration, metrics, sensitivity, causes and fixes, trace, sweep, auto.
//! - [`difference`]: two networks side by side: which layers belong together, how far apart their weights are.
//! - [`report`]: a page that shows what a recipe does to a network, and what all drawings share.
//! - [`jobs`]: background work: progress, cancel, newest wins, panics caught.
//! - [`session`]: what is open now and what is known of it; actions, undo. Knows no window.
//! - [`app`]: the window: draws a session and sends it actions (feature `window`, on by default).
//! - [`cli`]: the command line over the same rooms.

#[cfg(feature = "window")]
pub mod app;
pub mod cli;
pub mod data;
pub mod difference;
pub mod engine;
pub mod files;
pub mod format;
pub mod inference;
pub mod jobs;
pub mod network;
pub mod onnx;
pub mod printable;
pub mod progress;
pub mod quantization;
pub mod replacement;
pub mod report;
pub mod session;
pub mod statistics;
