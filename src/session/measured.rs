//! What the open network has of results that were asked for.

use super::choosing::{AutoKey, Chosen};
use super::derived::Slot;
use super::keys::EvaluationKey;
use super::on_request::{Oracle, Sensitivity, SplitAlone};
use super::open::OpenNetwork;
use super::snapshots::{Side, Snapshot, Snapshots};
use super::sweeping::{Sweep, Swept};
use super::weights::Planning;
use crate::inference::auto::AutoResult;
use crate::inference::{LayerSensitivity, OracleMetrics, SplitOnly};
use crate::jobs::JobError;
use std::sync::Arc;

impl OpenNetwork {
    /// One layer quantized at a time: rows of the newest request, which may be of an older recipe.
    pub fn sensitivity(&self) -> &Slot<EvaluationKey, Vec<LayerSensitivity>> {
        self.slots.of::<Sensitivity>()
    }

    /// Whether the sensitivity is for the present recipe on `limit` samples of the present data.
    pub fn sensitivity_is_current(&self, limit: usize) -> bool {
        let of = self.sensitivity().of();
        of.is_some() && of == self.evaluation_key(limit).as_ref()
    }

    /// What the splits alone change, once it was asked for under the present recipe; `Some(None)` where nothing is split.
    pub fn split_only(&self, limit: usize) -> Option<Option<SplitOnly>> {
        self.split_only_request().for_key(&self.evaluation_key(limit)?).copied()
    }

    /// The request for it.
    pub fn split_only_request(&self) -> &Slot<EvaluationKey, Option<SplitOnly>> {
        self.slots.of::<SplitAlone>()
    }

    /// What Oracle OCS reaches, once it was asked for under the present recipe.
    pub fn oracle(&self, limit: usize) -> Option<&OracleMetrics> {
        self.oracle_request().for_key(&self.evaluation_key(limit)?)
    }

    /// The request for it.
    pub fn oracle_request(&self) -> &Slot<EvaluationKey, OracleMetrics> {
        self.slots.of::<Oracle>()
    }

    /// Settings chosen layer by layer.
    pub fn auto(&self) -> &Slot<AutoKey, Arc<AutoResult>> {
        self.slots.of::<Chosen>()
    }

    /// The newest sweep.
    pub fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    /// Whether rows of the sweep are being computed, or will be.
    pub fn sweep_is_under_way(&self) -> bool {
        self.slots.of::<Swept>().is_under_way()
    }

    /// Why the sweep has no more rows.
    pub fn sweep_failure(&self) -> Option<&JobError> {
        self.slots.of::<Swept>().last_failure()
    }

    /// Settings kept under a name.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// One side of a comparison with its results, for `limit` samples; `None` for a snapshot that is gone.
    pub fn side(&self, side: Side, limit: usize) -> Option<Snapshot> {
        match side {
            Side::Snapshot(id) => self.snapshots.get(id).cloned(),
            Side::Present => {
                let key = self.evaluation_key(limit);
                let evaluated = key.as_ref().and_then(|key| self.evaluation(key));
                Some(Snapshot {
                    id: u64::MAX,
                    name: "now".to_owned(),
                    recipe: self.recipe().clone(),
                    planned: self
                        .slots
                        .of::<Planning>()
                        .for_key(&self.plan_key())
                        .map(|planned| Arc::clone(&planned.summary)),
                    evaluation: evaluated.map(|evaluated| evaluated.evaluation.clone()),
                    measured_on: key.map(|key| (key.data, key.limit)),
                })
            }
        }
    }
}
