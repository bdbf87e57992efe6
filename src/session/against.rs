//! A second network beside the open one: opened and compared on a job, layer by layer.

use super::derived::{Derived, Wanted, Work};
use super::open::OpenNetwork;
use super::work::{self, Kind};
use super::{Session, display_name};
use crate::difference::{Alike, NetworkDifference, prepared_alike};
use crate::format;
use crate::jobs::JobError;
use crate::network::Network;
use crate::progress::Progress;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The open network and another one.
#[derive(Debug)]
pub struct Against {
    /// Name of the other network.
    pub name: String,
    /// What was done to one of them so that they can be compared.
    pub notes: Vec<String>,
    /// How they differ; the open network is the first.
    pub difference: NetworkDifference,
}

impl OpenNetwork {
    /// The file of the network that this one is to be compared with.
    pub fn other(&self) -> Option<&Path> {
        self.other.as_deref()
    }

    /// How the two differ, once that is known.
    pub fn against(&self) -> Option<&Arc<Against>> {
        self.slots.of::<Difference>().for_key(self.other.as_ref()?)
    }

    /// Why that cannot be told.
    pub fn against_failure(&self) -> Option<&JobError> {
        self.slots.of::<Difference>().failure(self.other.as_ref()?)
    }
}

impl Session {
    /// Another network is to be compared; a comparison under way is dropped. The same file again is read anew.
    pub(super) fn compare_with(&mut self, path: Option<PathBuf>) {
        let Some(open) = &mut self.open else { return };
        self.jobs.replace(Kind::Difference);
        *open.slots.of_mut::<Difference>() = Default::default();
        open.other = path;
    }
}

/// The comparison with the network that was asked for last.
pub(super) struct Difference;

impl Derived for Difference {
    type Key = PathBuf;
    type Value = Arc<Against>;
    const KIND: Kind = Kind::Difference;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<PathBuf> {
        open.other.clone()
    }

    fn compute(open: &mut OpenNetwork, path: &PathBuf, _: &Wanted) -> Option<Work<Arc<Against>>> {
        let (original, path) = (Arc::clone(&open.original.network), path.clone());
        let title = format!("Comparing with {}", display_name(&path));
        Some(Work::new(title, move |progress| compare(&original, &path, progress)))
    }
}

fn compare(original: &Network, path: &Path, progress: &Progress) -> Result<Arc<Against>, JobError> {
    progress.start(0, "reading the file");
    let other = format::open(path).map_err(work::failed)?;
    progress.check()?;
    let name = other.name.clone();
    let Alike { networks, notes } = prepared_alike(original.clone(), other);
    let difference = NetworkDifference::between(&networks[0], &networks[1], progress)?;
    if let Some(why) = difference.nothing_in_common() {
        return Err(JobError::Failed(format!("{} and {name} have {why}", original.name)));
    }
    Ok(Arc::new(Against {
        name,
        notes,
        difference,
    }))
}
