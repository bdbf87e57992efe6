//! The selected layer in detail: what the slider changes within a frame or two.

use super::analysis::Analysis;
use super::keys::PrepareKey;
use crate::network::Layout;
use crate::progress::{Cancelled, Progress};
use crate::quantization::{LayerSettings, QuantizedLayer, plan_layer, split_weights};
use crate::statistics::{Histogram, histogram, tensor_statistics};
use std::collections::BTreeMap;
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
    /// Whose weights lie in a bin of `before`, for bins with few weights.
    pub members: Arc<BTreeMap<usize, Members>>,
}

/// The input channels that have weights in a bin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// The first ones, ascending by their place in the tensor, each once.
    pub channels: Vec<usize>,
    /// There are others.
    pub more: bool,
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
        let before = count(&weights);
        let same_weights =
            |of: &LayerViewKey| (of.layer, of.prepared, of.range) == (key.layer, key.prepared, key.range);
        let members = match previous.filter(|(of, _)| same_weights(of)) {
            Some((_, view)) => Arc::clone(&view.members),
            None => Arc::new(members(&weights, layer.layout, &before)),
        };
        Ok(Self {
            range,
            before,
            members,
            channels: statistics.in_channel_max_abs.clone(),
            after_histogram: after.as_ref().map(|after| count(&after.split)),
            after,
        })
    }
}

/// A bin with more weights doesn't tell its channels.
const FEW: u64 = 24;
/// Channels told of a bin.
const TOLD: usize = 6;

/// The channels in the bins that hold few weights.
fn members(weights: &[f32], layout: Layout, bins: &Histogram) -> BTreeMap<usize, Members> {
    let mut members: BTreeMap<usize, Members> = BTreeMap::new();
    let width = bins.bin_width();
    let group = layout.outer * layout.channels * layout.inner;
    for (place, &weight) in weights.iter().enumerate() {
        let bin = ((f64::from(weight) - bins.low) / width).floor();
        // Also false for NaN.
        if !(bin >= 0.0
            && bins
                .counts
                .get(bin as usize)
                .is_some_and(|count| (1..=FEW).contains(count)))
        {
            continue;
        }
        let channel = place / group.max(1) * layout.channels + place / layout.inner.max(1) % layout.channels.max(1);
        let told = members.entry(bin as usize).or_default();
        if !told.channels.contains(&channel) {
            if told.channels.len() < TOLD {
                told.channels.push(channel);
            } else {
                told.more = true;
            }
        }
    }
    members
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
    fn compute(weights: &[f32], layout: Layout, settings: &LayerSettings) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;

    #[test]
    fn a_bin_with_few_weights_names_their_input_channels() {
        let layout = Layout {
            groups: 2,
            outer: 1,
            channels: 2,
            inner: 2,
            out_axis: OutAxis::Outer,
        };
        let weights = [0.1, 0.1, 0.1, 0.9, 0.1, 0.9, 0.1, f32::NAN];
        let found = members(&weights, layout, &histogram(&weights, 0.0, 1.0, 2));
        assert_eq!(
            found[&1].channels,
            [1, 2],
            "the second of the first group, the first of the second"
        );
        assert_eq!(found[&0].channels, [0, 1, 2, 3]);
        assert!(!found[&1].more);
    }
}
