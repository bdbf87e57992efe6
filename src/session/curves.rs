//! The selected layer's error against splits and against bits, kept up to date as long as it is in sight.

use super::analysis::Analysis;
use super::derived::{Derived, Newer, Wanted, Work};
use super::keys::PrepareKey;
use super::open::OpenNetwork;
use super::work::{self, Kind};
use crate::jobs::JobError;
use crate::network::Support;
use crate::progress::Progress;
use crate::quantization::{Bits, Clip, ErrorCurves, LayerSettings, SplitKind, error_curves};

/// What the error curves of a layer are computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorCurvesKey {
    /// Position of the layer.
    pub layer: usize,
    /// What is done to the network first.
    pub prepared: PrepareKey,
    /// What the recipe says for its weights; without the way to clip, because all ways have their curve.
    pub settings: LayerSettings,
}

impl OpenNetwork {
    /// What the error curves of the selected layer should be computed from now.
    pub fn error_curves_key(&self) -> ErrorCurvesKey {
        let settings = self.settings(self.selected);
        let layer = self.shown().network.layers.get(self.selected);
        let splits = layer.is_some_and(|layer| layer.support == Support::Split);
        ErrorCurvesKey {
            layer: self.selected,
            prepared: PrepareKey::of(self.recipe()),
            settings: LayerSettings {
                expand_ratio: if splits { settings.expand_ratio } else { 0.0 },
                clip: Clip::None,
                activation_bits: Bits::Float,
                activation_clip: Clip::None,
                activation_expand_ratio: 0.0,
                activation_split: SplitKind::Qa,
                unsigned_activations: false,
                per_channel: false,
                ..settings
            },
        }
    }

    /// The newest error curves of the selected layer, maybe of slightly older settings.
    pub fn error_curves(&self) -> Option<(&ErrorCurvesKey, &ErrorCurves)> {
        let curves = self.slots.of::<Curves>().latest();
        curves.filter(|(key, _)| key.layer == self.selected)
    }

    /// Why the selected layer has no error curves.
    pub fn error_curves_failure(&self) -> Option<&JobError> {
        self.slots.of::<Curves>().failure(&self.error_curves_key())
    }
}

/// The error curves of the selected layer, while they are in sight.
pub(super) struct Curves;

impl Derived for Curves {
    type Key = ErrorCurvesKey;
    type Value = ErrorCurves;
    const KIND: Kind = Kind::ErrorCurves;
    const NEWER: Newer = Newer::Waits;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<ErrorCurvesKey> {
        let layer = open.analysis()?.network.layers.get(open.selected())?;
        (wanted.watched.error_curves && layer.support.can_quantize()).then(|| open.error_curves_key())
    }

    fn compute(open: &mut OpenNetwork, key: &ErrorCurvesKey, _: &Wanted) -> Option<Work<ErrorCurves>> {
        let (analysis, key) = (open.analysis()?.clone(), key.clone());
        let title = format!("Error curves of {}", analysis.network.layers[key.layer].name);
        Some(Work::new(title, move |progress| compute(&analysis, &key, progress)))
    }
}

fn compute(analysis: &Analysis, key: &ErrorCurvesKey, progress: &Progress) -> Result<ErrorCurves, JobError> {
    let layer = &analysis.network.layers[key.layer];
    let weights = analysis.network.weights(key.layer).map_err(work::failed)?;
    progress.check()?;
    let max_ratio = if layer.support == Support::Split {
        ErrorCurves::MAX_RATIO
    } else {
        0.0
    };
    Ok(error_curves(
        &weights,
        &layer.layout,
        &key.settings,
        max_ratio,
        progress,
    )?)
}
