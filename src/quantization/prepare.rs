//! What is done to a network before its layers are split and put on grids.

use super::awq::scaled_by_activations;
use super::{Activations, Recipe};
use crate::network::{Network, NetworkError, Rotation, Smoothing, equalize, fold_batch_norm, rotate, smooth};

/// The network that `recipe` is carried out on: chosen channel axes taken, batch-norms folded, layers equalized with each other, then the
/// residual stream rotated, each if the recipe says so. It computes what `network` computes; what was done stands in [`Network::preparation`].
///
/// # Errors
/// [`NetworkError`] when a constant of the network cannot be read, or the recipe smooths or scales inputs: that needs to know them, see
/// [`prepare_with`].
pub fn prepare(network: &Network, recipe: &Recipe) -> Result<Network, NetworkError> {
    prepare_with(network, recipe, |_, _| {
        Err(NetworkError::Graph(
            "inputs are smoothed or scaled by what is known of them, and nothing is known here (smooth = 0 and awq = false leave \
             it out)"
                .to_owned(),
        ))
    })
}

/// [`prepare`] that smooths inputs or scales them for the weights too, if the recipe says so. `learn` then tells what is known of the
/// inputs of the network so far, measured or estimated without data; with their second moments if it is told so.
///
/// # Errors
/// [`NetworkError`] when a constant of the network cannot be read; those of `learn`.
pub fn prepare_with<E: From<NetworkError>>(
    network: &Network,
    recipe: &Recipe,
    learn: impl Fn(&Network, bool) -> Result<Activations, E>,
) -> Result<Network, E> {
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
    if recipe.rotate {
        prepared = told_rotation(&prepared, rotate(&prepared)?);
    }
    if recipe.smooth > 0.0 {
        let known = learn(&prepared, false)?;
        let largest = |value: &str| -> Option<Vec<f32>> {
            let channels = known.get(value)?.channel_outliers()?;
            Some(channels.into_iter().map(|(_, largest)| largest).collect())
        };
        prepared = told(smooth(&prepared, largest, recipe.smooth)?, "smoothed");
    }
    if recipe.awq {
        let known = learn(&prepared, true)?;
        prepared = told(scaled_by_activations(&prepared, recipe, &known)?, "scaled");
    }
    Ok(prepared)
}

/// The rotated network with its steps told.
fn told_rotation(before: &Network, rotation: Rotation) -> Network {
    let Rotation {
        mut network,
        streams,
        skipped,
    } = rotation;
    let mut preparation = network.preparation.as_ref().clone();
    preparation.steps.extend(streams.iter().map(|stream| {
        format!(
            "rotated a residual stream of {} channels: {} layers read it, {} write it, {} gains of norms went into layers",
            stream.width,
            stream.readers.len(),
            stream.writers.len(),
            stream.norms
        )
    }));
    let more = network.parameters().saturating_sub(before.parameters());
    if more > 0 {
        let step = format!("weights that layers shared are no longer the same: {more} parameters more");
        preparation.steps.push(step);
    }
    let skips = skipped
        .iter()
        .map(|(value, why)| format!("not rotated at '{value}': {why}"));
    preparation.steps.extend(skips);
    network.preparation = preparation.into();
    network
}

/// The network with its steps told.
fn told(smoothing: Smoothing, done: &str) -> Network {
    let Smoothing {
        mut network,
        groups,
        skipped,
    } = smoothing;
    let mut preparation = network.preparation.as_ref().clone();
    preparation
        .steps
        .push(format!("{done} the inputs of {} groups of layers", groups.len()));
    let skips = skipped
        .iter()
        .map(|(layer, why)| format!("not {done} before '{layer}': {why}"));
    preparation.steps.extend(skips);
    network.preparation = preparation.into();
    network
}
