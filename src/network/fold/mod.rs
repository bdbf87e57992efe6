//! Batch-norm folding.

use super::{Network, NetworkError};

/// The same function with every `BatchNormalization` that directly follows a Conv or Gemm (and is that node's only reader)
/// folded into its weight and bias. Layer names, order and input values stay; the folded node's output keeps the name
/// that the batch-norm's output had.
///
/// # Errors
/// [`NetworkError`] when a weight or a batch-norm parameter cannot be read.
pub fn fold_batch_norm(_network: &Network) -> Result<Network, NetworkError> {
    todo!()
}
