//! The selected layer in detail: what the slider changes within a frame or two.

use super::analysis::Analysis;
use super::open::PrepareKey;
use crate::progress::{Cancelled, Progress};
use crate::quantization::{LayerSettings, QuantizedLayer, plan_layer, split_weights};
use crate::statistics::{Histogram, histogram, tensor_statistics};
use std::sync::Arc;

/// Bins over the visible range for a tensor of `elements`: as many as its counts can carry, odd, so that 0 lies in the middle
/// of one.
fn bins(elements: u64) -> usize {
    let wanted = 2.0 * (elements as f64).sqrt();
    (wanted.clamp(60.0, 240.0) as usize / 2) * 2 + 1
}

/// What a [`LayerView`] is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerViewKey {
    /// Position of the layer.
    pub layer: usize,
    /// What is done to the network first.
    pub prepared: PrepareKey,
    /// What the recipe says for it.
    pub settings: LayerSettings,
    /// The visible range, if it is not all.
    pub range: Option<(f64, f64)>,
}

/// The selected layer before and after.
#[derive(Debug, Clone)]
pub struct LayerView {
    /// The visible range, in the units of the weights.
    pub range: (f64, f64),
    /// The weights as they are, counted over the visible range.
    pub before: Histogram,
    /// Greatest |w| of each input channel as it is.
    pub channels: Vec<f32>,
    /// What the recipe makes of it; `None` when the layer stays float.
    pub after: Option<Arc<After>>,
    /// The split weights, counted over the visible range.
    pub after_histogram: Option<Histogram>,
}

/// A layer after splitting.
#[derive(Debug, Clone)]
pub struct After {
    /// The layer on its grid.
    pub quantized: QuantizedLayer,
    /// The split weights before they are rounded.
    pub split: Vec<f32>,
    /// Greatest |w| over the copies of each input channel.
    pub channels: Vec<f32>,
    /// Copies of each input channel, 1 for those that were not split.
    pub copies: Vec<usize>,
}

impl LayerView {
    /// Computes the view of `key`; `previous` lends what has not changed.
    ///
    /// # Errors
    /// [`ViewError`] when cancelled, or when the weights cannot be read.
    pub fn compute(
        analysis: &Analysis,
        key: &LayerViewKey,
        previous: Option<(&LayerViewKey, &Self)>,
        progress: &Progress,
    ) -> Result<Self, ViewError> {
        let layer = &analysis.network.layers[key.layer];
        let facts = &analysis.layers[key.layer];
        let statistics = facts
            .statistics
            .as_ref()
            .map_err(|reason| ViewError::Weights(reason.clone()))?;
        let weights = analysis
            .network
            .weights(key.layer)
            .map_err(|error| ViewError::Weights(error.to_string()))?;
        progress.check()?;

        let same_settings = |of: &LayerViewKey| {
            LayerViewKey {
                range: key.range,
                ..of.clone()
            } == *key
        };
        let reusable = previous
            .filter(|(of, _)| same_settings(of))
            .map(|(_, view)| view.after.clone());
        let after = match reusable {
            Some(after) => after,
            None if key.settings.weight_bits.grid().is_some() && layer.support.can_quantize() => {
                Some(Arc::new(After::compute(&weights, layer.layout, &key.settings)))
            }
            None => None,
        };
        progress.check()?;

        let range = key.range.unwrap_or_else(|| whole_range(statistics.max_abs));
        let bins = bins(layer.parameters());
        let count = |values: &[f32]| histogram(values, range.0, range.1, bins);
        Ok(Self {
            range,
            before: count(&weights),
            channels: statistics.in_channel_max_abs.clone(),
            after_histogram: after.as_ref().map(|after| count(&after.split)),
            after,
        })
    }
}

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// A newer view is wanted.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The weights cannot be read.
    #[error("{0}")]
    Weights(String),
}

/// The range that shows all of a tensor, symmetric as the grid is.
pub fn whole_range(max_abs: f32) -> (f64, f64) {
    let max = f64::from(max_abs) * 1.05;
    let max = if max > 0.0 && max.is_finite() { max } else { 1.0 };
    (-max, max)
}

impl After {
    fn compute(weights: &[f32], layout: crate::network::Layout, settings: &LayerSettings) -> Self {
        let quantized = plan_layer(weights, &layout, settings);
        let split = split_weights(weights, &layout, settings, &quantized);
        let expanded = tensor_statistics(&split.values, &split.layout).in_channel_max_abs;
        let mut channels = vec![0.0_f32; layout.in_channels()];
        let mut copies = vec![0; layout.in_channels()];
        for (&source, &max) in split.index.iter().zip(&expanded) {
            channels[source] = channels[source].max(max);
            copies[source] += 1;
        }
        Self {
            quantized,
            split: split.values,
            channels,
            copies,
        }
    }
}
