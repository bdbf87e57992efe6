//! The selected layer in detail: what the slider changes within a frame or two.

mod after;
mod members;
mod stacked;

pub use after::{After, Staircase};
pub use members::Members;
pub use stacked::{STACKED, StackedChannel};

use super::analysis::{Analysis, NoStatistics};
use super::derived::{Derived, Newer, Wanted, Work};
use super::keys::{CalibrationKey, PlanKey, PrepareKey};
use super::open::OpenNetwork;
use super::work::Kind;
use crate::network::{NetworkError, Support};
use crate::progress::{Cancelled, Progress};
use crate::quantization::{InputMoments, LayerSettings, NO_INPUTS, NoMoments, QuantizedLayer, split_levels};
use crate::statistics::{Histogram, histogram};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The view of the selected layer.
pub(super) struct Viewed;

impl Derived for Viewed {
    type Key = LayerViewKey;
    type Value = LayerView;
    const KIND: Kind = Kind::LayerView;
    const NEWER: Newer = Newer::Waits;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<LayerViewKey> {
        let facts = open.analysis()?.layers.get(open.selected())?;
        (!facts.pending).then(|| open.view_key())
    }

    fn compute(open: &mut OpenNetwork, key: &LayerViewKey, _: &Wanted) -> Option<Work<LayerView>> {
        let (analysis, key) = (open.analysis()?.clone(), key.clone());
        let calibration = key.moments.and_then(|_| open.calibration().map(Arc::clone));
        let plan = key
            .plan
            .as_ref()
            .and_then(|_| open.current_plan())
            .map(|(_, plan)| plan);
        let previous = open.slots.of::<Self>().latest();
        let previous = previous.map(|(key, view)| (key.clone(), view.clone()));
        let title = format!("Looking at {}", analysis.network.layers[key.layer].name);
        Some(Work::new(title, move |progress| {
            let previous = previous.as_ref().map(|(key, view)| (key, view));
            let name = &analysis.network.layers[key.layer].name;
            let inputs = (calibration.as_ref()).map_or(NO_INPUTS, |known| known.activations.moments_of(name));
            let planned = plan.as_ref().and_then(|plan| plan.layers.get(key.layer)?.quantized());
            let known = (inputs, planned);
            Ok(LayerView::compute(&analysis, &key, known, previous, progress)?)
        }))
    }
}

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
    /// What holds for it.
    pub settings: LayerSettings,
    /// Where the moments of its inputs come from, if its rounding asks for them and they are known.
    pub moments: Option<CalibrationKey>,
    /// The plan that it is part of, once there is one, where the layers before it decide how it is rounded.
    pub plan: Option<PlanKey>,
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
    /// Greatest |w| of each output channel as it is.
    pub out_channels: Vec<f32>,
    /// The largest |w| that 0, 1, … splits in each group leave: the level above which channels are split. Empty for a layer
    /// that cannot be split.
    pub levels: Arc<Vec<f32>>,
    /// The channels with the largest |w|, counted apart; largest first.
    pub stacked: Vec<StackedChannel>,
    /// What the recipe makes of it; `None` when the layer stays float.
    pub after: Option<Arc<After>>,
    /// The split weights, counted over the visible range.
    pub after_histogram: Option<Histogram>,
    /// Whose weights lie in a bin of `before`, for bins with few weights.
    pub members: Arc<BTreeMap<usize, Members>>,
}

impl LayerView {
    /// Computes the view of `key`; `inputs` is what rounding is told of the layer's inputs, `planned` the layer where it is rounded
    /// already, `previous` lends what has not changed.
    ///
    /// # Errors
    /// [`ViewError`] when cancelled, or when the weights cannot be read.
    pub fn compute(
        analysis: &Analysis,
        key: &LayerViewKey,
        (inputs, planned): (Result<&InputMoments, NoMoments>, Option<&QuantizedLayer>),
        previous: Option<(&LayerViewKey, &Self)>,
        progress: &Progress,
    ) -> Result<Self, ViewError> {
        let layer = &analysis.network.layers[key.layer];
        let facts = &analysis.layers[key.layer];
        let statistics = facts.statistics.as_ref().map_err(NoStatistics::clone)?;
        let weights = analysis.network.weights(key.layer)?;
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
            None if key.settings.weights.bits.grid().is_some() && layer.support.can_quantize() => {
                let settings = &key.settings.weights;
                Some(Arc::new(match planned {
                    Some(planned) => After::of(&weights, layer.layout, settings, planned.clone()),
                    None => After::compute(&weights, layer.layout, settings, inputs),
                }))
            }
            None => None,
        };
        progress.check()?;

        let range = key.range.unwrap_or_else(|| whole_range(statistics.max_abs));
        let bins = bins(layer.parameters());
        let count = |values: &[f32]| histogram(values, range.0, range.1, bins);
        let same_weights =
            |of: &LayerViewKey| (of.layer, of.prepared, of.range) == (key.layer, key.prepared, key.range);
        let (before, members) = match previous.filter(|(of, _)| same_weights(of)) {
            Some((_, view)) => (view.before.clone(), Arc::clone(&view.members)),
            None => {
                let before = count(&weights);
                let members = members::members(&weights, layer.layout, &before);
                (before, Arc::new(members))
            }
        };
        let same_layer = |of: &LayerViewKey| (of.layer, of.prepared) == (key.layer, key.prepared);
        let levels = match previous.filter(|(of, _)| same_layer(of)) {
            Some((_, view)) => Arc::clone(&view.levels),
            None if layer.support == Support::Split => {
                let most = layer.layout.channels;
                Arc::new(split_levels(&statistics.in_channel_max_abs, &layer.layout, most))
            }
            None => Arc::default(),
        };
        let largest = stacked::largest(&statistics.in_channel_max_abs);
        Ok(Self {
            range,
            stacked: stacked::stacked(&weights, layer.layout, after.as_deref(), &largest, &before),
            before,
            members,
            channels: statistics.in_channel_max_abs.clone(),
            out_channels: statistics.out_channel_max_abs.clone(),
            levels,
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
    /// Nothing is known of the weights.
    #[error(transparent)]
    Statistics(#[from] NoStatistics),
    /// The weights cannot be read.
    #[error(transparent)]
    Weights(#[from] NetworkError),
}

/// The range that shows all of a tensor, symmetric as the grid is.
pub fn whole_range(max_abs: f32) -> (f64, f64) {
    let max = f64::from(max_abs) * 1.05;
    let max = if max > 0.0 && max.is_finite() { max } else { 1.0 };
    (-max, max)
}
