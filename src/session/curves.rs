//! The selected layer's error against splits and against bits, kept up to date as long as it is in sight.

use super::analysis::Analysis;
use super::keys::PrepareKey;
use super::open::OpenNetwork;
use super::work::{Kind, Output};
use crate::jobs::{JobError, Jobs};
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
        self.curves.latest().filter(|(key, _)| key.layer == self.selected)
    }

    /// Why the selected layer has no error curves.
    pub fn error_curves_failure(&self) -> Option<&str> {
        self.curves.failure(&self.error_curves_key())
    }
}

/// Starts the job for the selected layer's curves. As for the layer's view a running one ends first, so that a dragged
/// slider shows curves on its way.
pub(super) fn start(open: &mut OpenNetwork, jobs: &mut Jobs<Kind, Output>) {
    let Some(analysis) = open.analysis() else { return };
    let key = open.error_curves_key();
    let Some(layer) = analysis.network.layers.get(key.layer) else {
        return;
    };
    if !layer.support.can_quantize() || jobs.is_running(Kind::ErrorCurves) || !open.curves.lacks(&key) {
        return;
    }
    let title = format!("Error curves of {}", layer.name);
    let analysis = analysis.clone();
    open.curves.begin(key.clone());
    jobs.start(Kind::ErrorCurves, title, move |progress| {
        compute(&analysis, &key, progress)
    });
}

fn compute(analysis: &Analysis, key: &ErrorCurvesKey, progress: &Progress) -> Result<Output, JobError> {
    let layer = &analysis.network.layers[key.layer];
    let weights = analysis
        .network
        .weights(key.layer)
        .map_err(|error| JobError::Failed(error.to_string()))?;
    progress.check()?;
    let most = if layer.support == Support::Split {
        ErrorCurves::MAX_RATIO
    } else {
        0.0
    };
    let curves = error_curves(&weights, &layer.layout, &key.settings, most, progress)?;
    Ok(Output::ErrorCurves(curves))
}
