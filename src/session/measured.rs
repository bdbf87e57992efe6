//! What the open network has of results that were asked for.

use super::OnRequest;
use super::choosing::Auto;
use super::keys::EvaluationKey;
use super::live::Live;
use super::open::OpenNetwork;
use super::snapshots::{Side, Snapshot, Snapshots};
use super::sweeping::Sweep;
use crate::inference::{LayerSensitivity, OracleMetrics, SplitOnly};
use std::sync::Arc;

impl OpenNetwork {
    /// One layer quantized at a time: rows of the newest request, which may be of an older recipe.
    pub fn sensitivity(&self) -> &Live<EvaluationKey, LayerSensitivity> {
        &self.sensitivity
    }

    /// Whether the sensitivity is for the present recipe on `limit` samples of the present data.
    pub fn sensitivity_is_current(&self, limit: usize) -> bool {
        self.sensitivity.of().is_some() && self.sensitivity.of() == self.evaluation_key(limit).as_ref()
    }

    /// What the splits alone change, once it was asked for under the present recipe; `Some(None)` where nothing is split.
    pub fn split_only(&self, limit: usize) -> Option<Option<SplitOnly>> {
        self.split_only.for_key(&self.evaluation_key(limit)?).copied()
    }

    /// The request for it.
    pub fn split_only_request(&self) -> &OnRequest<Option<SplitOnly>> {
        &self.split_only
    }

    /// What Oracle OCS reaches, once it was asked for under the present recipe.
    pub fn oracle(&self, limit: usize) -> Option<&OracleMetrics> {
        self.oracle.for_key(&self.evaluation_key(limit)?)
    }

    /// The request for it.
    pub fn oracle_request(&self) -> &OnRequest<OracleMetrics> {
        &self.oracle
    }

    /// Settings chosen layer by layer.
    pub fn auto(&self) -> &Auto {
        &self.auto
    }

    /// The newest sweep.
    pub fn sweep(&self) -> &Sweep {
        &self.sweep
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
                let evaluated = key.as_ref().and_then(|key| self.evaluation.for_key(key));
                Some(Snapshot {
                    id: u64::MAX,
                    name: "now".to_owned(),
                    recipe: self.recipe().clone(),
                    planned: self
                        .plan
                        .for_key(&self.plan_key())
                        .map(|planned| Arc::clone(&planned.summary)),
                    evaluation: evaluated.map(|evaluated| evaluated.evaluation.clone()),
                    measured_on: key.map(|key| (key.data, key.limit)),
                })
            }
        }
    }
}
