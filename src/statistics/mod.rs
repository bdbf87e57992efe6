//! One pass over a tensor: moments, per-channel ranges, histograms, outliers; and the running range of an activation.

mod activation;
mod channel;
mod counters;
mod histogram;
mod moments;
mod normal;
mod tails;
mod tensor;

pub use activation::{ActivationStatistics, RangeSource};
pub use channel::ChannelDistribution;
pub(crate) use counters::Counters;
pub use histogram::{Histogram, histogram, outlier_count, streamed_outlier_count};
pub use tensor::{TensorStatistics, streamed_statistics, tensor_statistics};
