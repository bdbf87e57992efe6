//! One pass over a tensor: moments, per-channel ranges, histograms, outliers; and the running range of an activation.
//!
//! # Example
//!
//! ```
//! use splitscope::format::demo::Demo;
//! use splitscope::statistics::{outlier_count, tensor_statistics};
//!
//! let network = Demo::Fashion.network()?;
//! let weights = network.weights(0)?;
//! let seen = tensor_statistics(&weights, &network.layers[0].layout);
//! assert_eq!(seen.count, weights.len() as u64);
//! let outliers = outlier_count(&weights, seen.mean, 4.0 * seen.std);
//! assert!(outliers < seen.count / 16, "Chebyshev 1867");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod activation;
mod channel;
mod counters;
mod histogram;
mod moments;
mod normal;
mod outline;
mod tails;
mod tensor;

pub use activation::{ActivationStatistics, ChannelSpread, RangeSource, ratio_to_median};
pub use channel::ChannelDistribution;
pub(crate) use counters::Counters;
pub use histogram::{Histogram, histogram, outlier_count, streamed_outlier_count};
pub use outline::outline;
pub use tensor::{TensorStatistics, streamed_statistics, tensor_statistics};
