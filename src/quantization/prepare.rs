//! What is done to a network before its layers are split and put on grids.

use super::Recipe;
use crate::network::{Network, NetworkError, equalize, fold_batch_norm};

/// The network that `recipe` is carried out on: chosen channel axes taken, batch-norms folded, then layers equalized with each other, each if the
/// recipe says so. It computes what `network` computes; what was done stands in [`Network::preparation`].
///
/// # Errors
/// [`NetworkError`] when a constant of the network cannot be read.
pub fn prepare(network: &Network, recipe: &Recipe) -> Result<Network, NetworkError> {
    let mut prepared = network.with_channel_axes(recipe.channel_axes())?;
    // Without a graph there is nothing to fold, and no other preparation would keep the chosen axes.
    if prepared.nodes() == 0 {
        return Ok(prepared);
    }
    if recipe.fold_batch_norm {
        prepared = fold_batch_norm(&prepared)?;
    }
    if recipe.cross_layer_equalization {
        prepared = equalize(&prepared)?.network;
    }
    Ok(prepared)
}
