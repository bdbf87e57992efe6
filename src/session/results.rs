//! What goes from one result to another: rows on their way, failures, snapshots.

use super::derived::{REGISTRY, Slot};
use super::keys::{EvaluationKey, PlanKey};
use super::open::OpenNetwork;
use super::running::{PlainRun, QuantizedRun};
use super::snapshots::PlanSummary;
use super::weights::{Planning, Prepared};
use super::work::{Evaluated, Kind, Planned};
use crate::jobs::JobError;
use crate::quantization::Recipe;
use std::sync::Arc;

impl OpenNetwork {
    /// Takes the pieces that running jobs have brought; tells whether there were any.
    pub(super) fn take_arrived(&mut self) -> bool {
        let arrived = self.slots.arrived();
        if arrived.is_empty() {
            return false;
        }
        for piece in arrived {
            piece(self);
        }
        if let Some((_, prepared)) = self.slots.of_mut::<Prepared>().latest_mut()
            && !prepared.is_complete()
        {
            prepared.inherit(&self.original);
        }
        true
    }

    /// Gives snapshots the results that have come since they were taken.
    pub(super) fn complete_snapshots(&mut self, limit: usize) {
        let measured_on = self.data_with_key().map(|(data, _)| (data, limit));
        let (plan, runs) = (self.slots.of::<Planning>().latest(), self.slots.of::<QuantizedRun>());
        let plain = self.slots.of::<PlainRun>();
        let of = |slot: &Slot<EvaluationKey, Arc<Evaluated>>, recipe: &Recipe| {
            let found = slot.find(|key| key.recipe == *recipe && Some((key.data, key.limit)) == measured_on)?;
            Some(found.evaluation.clone())
        };
        let evaluated = |recipe: &Recipe| of(runs, recipe).or_else(|| of(plain, recipe));
        self.snapshots
            .complete(|recipe| planned(plan, recipe), measured_on, evaluated);
    }

    /// A job has failed.
    pub(super) fn fail(&mut self, kind: Kind, error: &JobError) {
        for entry in REGISTRY.iter().filter(|entry| entry.kind == kind) {
            (entry.fail)(self, error);
        }
    }

    /// Lets everything that failed be tried again.
    pub(super) fn retry(&mut self) {
        for entry in &REGISTRY {
            (entry.retry)(self);
        }
    }
}

/// The numbers of the newest plan, if it is for `recipe`.
fn planned(newest: Option<(&PlanKey, &Planned)>, recipe: &Recipe) -> Option<Arc<PlanSummary>> {
    let (key, planned) = newest?;
    (key.recipe == *recipe).then(|| Arc::clone(&planned.summary))
}
