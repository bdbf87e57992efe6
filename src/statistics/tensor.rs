//! Moments and channel ranges of a weight tensor, in one parallel pass.

use crate::network::Layout;

/// What one pass over a tensor tells. NaN and infinities are counted and left out of everything else.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorStatistics {
    /// Finite elements.
    pub count: u64,
    /// Elements that are NaN.
    pub nan: u64,
    /// Elements that are infinite.
    pub infinite: u64,
    /// Least element.
    pub min: f32,
    /// Greatest element.
    pub max: f32,
    /// Greatest |element|.
    pub max_abs: f32,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the elements (divided by n).
    pub std: f64,
    /// Fourth central moment over the squared variance; 3 for a Gaussian, 0 if all elements are equal.
    pub kurtosis: f64,
    /// Greatest |element| of each input channel.
    pub in_channel_max_abs: Vec<f32>,
    /// Greatest |element| of each output channel.
    pub out_channel_max_abs: Vec<f32>,
}

/// Statistics of `values`, read as `layout` says.
pub fn tensor_statistics(_values: &[f32], _layout: &Layout) -> TensorStatistics {
    todo!()
}
