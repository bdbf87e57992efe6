//! Massive activations and super weights, looked for on request, and how the network answers without each.

use super::derived::{Derived, Wanted, Work};
use super::open::OpenNetwork;
use super::running::FloatRun;
use super::work::Kind;
use crate::inference::{Massive, MassiveLimits, Metrics, massive, metrics};
use crate::jobs::JobError;
use std::sync::Arc;

/// Of each, as many are run without as a person looks at: every one costs a run over all samples.
const MOST: usize = 4;

/// What was found.
#[derive(Debug, Clone)]
pub struct MassiveFound {
    /// What counted as massive.
    pub limits: MassiveLimits,
    /// By name, the furthest first.
    pub found: Massive,
    /// How the whole network answers, on the samples that the others were run on.
    pub float: Metrics,
}

impl OpenNetwork {
    /// What the last search found, maybe on data that were open before.
    pub fn massive(&self) -> Option<&MassiveFound> {
        self.slots.of::<Searched>().latest().map(|(_, found)| &**found)
    }

    /// Whether that is for the present data and `limit` samples.
    pub fn massive_is_current(&self, limit: usize) -> bool {
        let key = self.data_with_key().map(|(data, _)| (data, limit));
        key.is_some_and(|key| self.slots.of::<Searched>().for_key(&key).is_some())
    }

    /// Why the last search found nothing out.
    pub fn massive_failure(&self) -> Option<&JobError> {
        self.slots.of::<Searched>().last_failure()
    }
}

/// The search.
pub(super) struct Searched;

impl Derived for Searched {
    /// The data's number, and samples.
    type Key = (u64, usize);
    type Value = Arc<MassiveFound>;
    const KIND: Kind = Kind::Massive;
    const ON_REQUEST: bool = true;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<Self::Key> {
        open.data_with_key().map(|(data, _)| (data, wanted.limit))
    }

    fn compute(open: &mut OpenNetwork, key: &Self::Key, _: &Wanted) -> Option<Work<Self::Value>> {
        let engine = open.engine()?;
        let data = Arc::clone(open.data()?);
        let whole = Arc::clone(open.slots.of::<FloatRun>().for_key(key)?);
        let network = Arc::clone(&open.original.network);
        Some(Work::new("Looking for massive activations", move |progress| {
            let limits = MassiveLimits::default();
            let found = massive(&network, &engine, (&data, &whole), limits, MOST, progress)?;
            Ok(Arc::new(MassiveFound {
                limits,
                found,
                float: metrics(&whole, &data),
            }))
        }))
    }
}
