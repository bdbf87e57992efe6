//! Where the error arises under the current recipe: every value of the graph, made while it is in sight.

use super::derived::{Derived, Wanted, Work};
use super::keys::EvaluationKey;
use super::open::OpenNetwork;
use super::work::{self, Kind};
use crate::inference::{QuantizedModel, Trace, trace};
use crate::jobs::JobError;
use std::sync::Arc;
use std::time::Duration;

/// Samples that are compared: the values of the whole graph are summed over them.
pub const TRACE_SAMPLES: usize = 16;
/// Debounce before comparing.
const SETTLE: Duration = Duration::from_millis(250);

impl OpenNetwork {
    /// The newest trace and what it is computed from, maybe a slightly older recipe. Made while [`super::Watched::trace`] is set
    /// and data are open.
    pub fn trace(&self) -> Option<(&EvaluationKey, &Arc<Trace>)> {
        self.slots.of::<Traced>().latest()
    }

    /// Whether the trace is for the current recipe and data.
    pub fn trace_is_current(&self) -> bool {
        let key = self.evaluation_key(TRACE_SAMPLES);
        key.is_some_and(|key| self.slots.of::<Traced>().for_key(&key).is_some())
    }

    /// Why there is no trace of the current recipe.
    pub fn trace_failure(&self) -> Option<&JobError> {
        self.slots.of::<Traced>().failure(&self.evaluation_key(TRACE_SAMPLES)?)
    }
}

/// The trace of the current recipe.
pub(super) struct Traced;

impl Derived for Traced {
    type Key = EvaluationKey;
    type Value = Arc<Trace>;
    const KIND: Kind = Kind::Trace;
    const KEPT: usize = 4;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<EvaluationKey> {
        open.evaluation_key(TRACE_SAMPLES).filter(|_| wanted.watched.trace)
    }

    fn compute(open: &mut OpenNetwork, _: &EvaluationKey, _: &Wanted) -> Option<Work<Arc<Trace>>> {
        let ((network, plan), data) = (open.current_plan()?, open.data()?.clone());
        Some(Work::new("Comparing every value", move |progress| {
            work::settle(progress, SETTLE)?;
            let quantized = QuantizedModel::of(&network, &plan)?;
            let found = trace(&network, quantized.model(), &data, TRACE_SAMPLES, progress)?;
            Ok(Arc::new(found))
        }))
    }
}
