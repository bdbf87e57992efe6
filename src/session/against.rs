//! A second network beside the open one: opened and compared on a job, layer by layer.

use super::derive::Queue;
use super::open::OpenNetwork;
use super::work::{self, Kind, Output};
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
        self.against.for_key(self.other.as_ref()?)
    }

    /// Why that cannot be told.
    pub fn against_failure(&self) -> Option<&str> {
        self.against.failure(self.other.as_ref()?)
    }
}

impl Session {
    /// Another network is to be compared; a comparison under way is dropped. The same file again is read anew.
    pub(super) fn compare_with(&mut self, path: Option<PathBuf>) {
        let Some(open) = &mut self.open else { return };
        self.jobs.replace(Kind::Difference);
        open.against = Default::default();
        open.other = path;
    }
}

/// Starts the job for the network that was asked for last.
pub(super) fn start(open: &mut OpenNetwork, jobs: &mut Queue) {
    let Some(path) = open.other.clone().filter(|path| open.against.lacks(path)) else {
        return;
    };
    open.against.begin(path.clone());
    let original = Arc::clone(&open.original.network);
    let title = format!("Comparing with {}", display_name(&path));
    jobs.start(Kind::Difference, title, move |progress| {
        compare(&original, &path, progress)
    });
}

fn compare(original: &Network, path: &Path, progress: &Progress) -> Result<Output, JobError> {
    progress.start(0, "reading the file");
    let other = format::open(path).map_err(work::failed)?;
    progress.check()?;
    let name = other.name.clone();
    let Alike { networks, notes } = prepared_alike(original.clone(), other);
    let difference = NetworkDifference::between(&networks[0], &networks[1], progress)?;
    if let Some(why) = difference.nothing_in_common() {
        return Err(JobError::Failed(format!("{} and {name} have {why}", original.name)));
    }
    Ok(Output::Against(Arc::new(Against {
        name,
        notes,
        difference,
    })))
}
