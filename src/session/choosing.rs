//! Settings chosen layer by layer, as the session sees them: asked for, under way, there.

use super::keys::CalibrationSource;
use super::stage::Stage;
use crate::inference::auto::{AutoOptions, AutoResult};
use crate::quantization::Recipe;
use std::sync::Arc;

/// What chosen settings are computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoKey {
    /// What to keep to, and what may be chosen.
    pub options: AutoOptions,
    /// The recipe when it was asked for.
    pub recipe: Recipe,
    /// Which data.
    pub data: u64,
    /// Samples to judge by at most.
    pub limit: usize,
    /// Where the ranges of activations come from.
    pub source: CalibrationSource,
}

/// The newest settings that were chosen.
#[derive(Debug, Default)]
pub struct Auto {
    /// Asked for, but not started yet.
    pub(super) asked: Option<(AutoOptions, Recipe)>,
    stage: Stage<AutoKey, Arc<AutoResult>>,
    failure: Option<String>,
}

impl Auto {
    /// Somebody asks for it.
    pub(super) fn ask(&mut self, options: AutoOptions, recipe: Recipe) {
        self.asked = Some((options, recipe));
        self.failure = None;
        self.stage.forgive();
    }

    /// A job begins.
    pub(super) fn begin(&mut self, key: AutoKey) {
        self.asked = None;
        self.stage.begin(key);
    }

    pub(super) fn finish(&mut self, result: Arc<AutoResult>) {
        self.stage.finish(result);
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.failure = Some(reason.clone());
        self.stage.fail(reason);
    }

    /// The newest result and what it was computed from.
    pub fn latest(&self) -> Option<(&AutoKey, &Arc<AutoResult>)> {
        self.stage.latest()
    }

    /// Whether it was asked for and is not there yet.
    pub fn is_under_way(&self) -> bool {
        self.asked.is_some() || self.stage.running().is_some()
    }

    /// Why there is no result of what was asked for last.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}
