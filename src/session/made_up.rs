//! Inputs made up for a network without data, on which its layers are ranked and examined: made once, since it takes a while.

use crate::inference::{Dataset, Engine, InferenceError, made_up_data};
use crate::network::Network;
use crate::progress::Progress;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The inputs, once some job has made them.
#[derive(Debug, Clone, Default)]
pub(super) struct MadeUp(Arc<Mutex<Option<Arc<Dataset>>>>);

impl MadeUp {
    /// The inputs for `network`, which `engine` runs; see [`made_up_data`]. Nobody waits for another who makes them: both can be
    /// cancelled.
    pub(super) fn data(
        &self,
        network: &Network,
        engine: &dyn Engine,
        between: &mut dyn FnMut() -> Result<(), InferenceError>,
        progress: &Progress,
    ) -> Result<Arc<Dataset>, InferenceError> {
        if let Some(data) = self.kept() {
            return Ok(data);
        }
        let made = Arc::new(made_up_data(network, engine, between, progress)?);
        Ok(Arc::clone(self.lock().get_or_insert(made)))
    }

    /// The inputs, where they are made.
    pub(super) fn kept(&self) -> Option<Arc<Dataset>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Dataset>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
