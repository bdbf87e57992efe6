//! Results that are computed only when somebody asks for them.

use super::kept::Kept;
use super::keys::EvaluationKey;
use super::stage::Stage;

/// Results kept of each kind.
const KEPT: usize = 8;

/// A result that is computed when it is asked for, for the recipe and data of that moment.
#[derive(Debug)]
pub struct OnRequest<V> {
    asked: bool,
    stage: Stage<EvaluationKey, ()>,
    kept: Kept<EvaluationKey, V>,
}

impl<V> Default for OnRequest<V> {
    fn default() -> Self {
        Self {
            asked: false,
            stage: Stage::default(),
            kept: Kept::new(KEPT),
        }
    }
}

impl<V> OnRequest<V> {
    /// Somebody asks for the result.
    pub(super) fn ask(&mut self) {
        self.asked = true;
        self.stage.forgive();
    }

    /// Whether a job should be started for `key` now.
    pub(super) fn wants(&mut self, key: &EvaluationKey) -> bool {
        if self.asked && self.kept.get(key).is_some() {
            self.asked = false;
        }
        self.asked
    }

    /// A job for `key` was started.
    pub(super) fn begin(&mut self, key: EvaluationKey) {
        self.asked = false;
        self.stage.begin(key);
    }

    /// The job has brought `value`.
    pub(super) fn finish(&mut self, value: V) {
        if let Some(key) = self.stage.running().cloned() {
            self.kept.put(key, value);
        }
        self.stage.finish(());
    }

    /// The job has failed.
    pub(super) fn fail(&mut self, reason: String) {
        self.stage.fail(reason);
    }

    /// Whether it was asked for and is not there yet.
    pub fn is_under_way(&self) -> bool {
        self.asked || self.stage.running().is_some()
    }

    /// The result for exactly these inputs.
    pub fn for_key(&self, key: &EvaluationKey) -> Option<&V> {
        self.kept.get(key)
    }

    /// Why there is no result for these inputs.
    pub fn failure(&self, key: &EvaluationKey) -> Option<&str> {
        self.stage.failure(key)
    }
}
