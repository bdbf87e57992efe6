//! The selected layer's error against splits and against bits, kept up to date as long as it is in sight.

use super::analysis::Analysis;
use super::derived::{Derived, Newer, Wanted, Work};
use super::keys::PrepareKey;
use super::open::OpenNetwork;
use super::work::{self, Kind};
use crate::jobs::JobError;
use crate::network::Support;
use crate::progress::Progress;
use crate::quantization::{Clip, ErrorCurves, Granularity, Rounding, WeightSettings, error_curves};

/// What the error curves of a layer are computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorCurvesKey {
    /// Position of the layer.
    pub layer: usize,
    /// What is done to the network first.
    pub prepared: PrepareKey,
    /// What the recipe says for its weights; without the way to clip, because all ways have their curve, on one scale.
    pub settings: WeightSettings,
}

impl OpenNetwork {
    /// What the error curves of the selected layer should be computed from now.
    pub fn error_curves_key(&self) -> ErrorCurvesKey {
        ErrorCurvesKey {
            layer: self.selected,
            prepared: self.prepare_key(self.recipe()),
            settings: WeightSettings {
                clip: Clip::None,
                scales: Granularity::Tensor,
                rounding: Rounding::Nearest,
                ..self.effective(self.selected).weights
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
