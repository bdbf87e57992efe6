//! Outlier channel splitting of a weight tensor (Zhao et al. 2019, sections 3.2 and 3.3).

use crate::network::Layout;
use serde::{Deserialize, Serialize};

/// How one weight becomes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// Quantization-aware: `(w - d/2)/2` and `(w + d/2)/2` (section 3.3).
    #[default]
    Qa,
    /// Halves.
    Naive,
}

/// A weight tensor with some input channels in two or more copies.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Elements, as [`Split::layout`] says; the copies of each group stand after its own channels.
    pub values: Vec<f32>,
    /// Layout of `values`: `channels` is larger by the splits of each group.
    pub layout: Layout,
    /// For each input channel of the expanded layer (`groups * channels`), the input channel of the layer it copies.
    pub index: Vec<usize>,
    /// The input channels (of the layer) in the order they were split.
    pub order: Vec<usize>,
}

/// Number of splits in each group: `ceil(expand_ratio * channels)`.
pub fn split_count(_layout: &Layout, _expand_ratio: f64) -> usize {
    todo!()
}

/// Splits `count` channels of each group, each time the one that then holds the group's largest |w|.
pub fn split_channels(_values: &[f32], _layout: &Layout, _count: usize, _kind: SplitKind, _step: f32) -> Split {
    todo!()
}
