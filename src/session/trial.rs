//! Pictures that a person drops in: each is run by itself, by the float network and under the present recipe.

use super::continuation::quantized_engine;
use super::derived::{Derived, Newer, Wanted, Work};
use super::keys::CalibrationSource;
use super::open::OpenNetwork;
use super::work::{self, Kind};
use crate::inference::{DataOptions, Dataset, Engine, Outputs, run_outputs};
use crate::jobs::JobError;
use crate::network::Network;
use crate::progress::{Cancelled, Progress};
use crate::quantization::Recipe;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Pictures kept; the oldest goes first.
const MAX_PICTURES: usize = 12;
/// Debounce before they are run under a new recipe.
const SETTLE: Duration = Duration::from_millis(120);

/// A picture that was dropped in.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Its file.
    pub path: PathBuf,
    /// A data set of this one sample.
    pub data: Arc<Dataset>,
    /// What the float network answers.
    pub float: Arc<Outputs>,
    /// The data whose way of reading was taken for it.
    like: Option<u64>,
}

/// What the answers under a recipe depend on: the pictures, and the recipe.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TrialsKey {
    pictures: Vec<PathBuf>,
    like: Option<u64>,
    recipe: Recipe,
    calibration: Option<CalibrationSource>,
}

/// All pictures that were dropped in, newest first.
#[derive(Debug, Default)]
pub struct Trials {
    list: Vec<Trial>,
    /// To be read, in order.
    waiting: VecDeque<PathBuf>,
}

impl Trials {
    pub(super) fn ask(&mut self, path: PathBuf) {
        self.waiting.retain(|waiting| *waiting != path);
        self.waiting.push_back(path);
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.list.retain(|trial| trial.path != path);
        self.waiting.retain(|waiting| waiting != path);
    }

    fn take(&mut self, trial: Trial) {
        self.waiting.retain(|waiting| *waiting != trial.path);
        match self.list.iter_mut().find(|known| known.path == trial.path) {
            Some(known) => *known = trial,
            None => self.list.insert(0, trial),
        }
        self.list.truncate(MAX_PICTURES);
    }

    /// The picture to be read now: one that was dropped in, else one that was read like other data than `like`, which are open
    /// now.
    fn next(&self, like: Option<u64>) -> Option<&PathBuf> {
        let stale = || {
            self.list
                .iter()
                .find(|trial| trial.like != like)
                .map(|trial| &trial.path)
        };
        self.waiting.front().or_else(stale)
    }

    /// All of them, newest first.
    pub fn all(&self) -> &[Trial] {
        &self.list
    }
}

impl OpenNetwork {
    /// The pictures that were dropped in.
    pub fn trials(&self) -> &Trials {
        &self.trials
    }

    /// What the network answers to each of them under a recipe, in their order; maybe under a slightly older one.
    pub fn trial_answers(&self) -> Option<&[Arc<Outputs>]> {
        let (key, answers) = self.slots.of::<PicturesRun>().latest()?;
        let pictures = self.trials.list.iter().map(|trial| &trial.path);
        pictures.eq(&key.pictures).then_some(answers.as_slice())
    }

    fn trials_key(&self) -> TrialsKey {
        TrialsKey {
            pictures: self.trials.list.iter().map(|trial| trial.path.clone()).collect(),
            like: self.data_with_key().map(|(key, _)| key),
            recipe: self.recipe().clone(),
            calibration: self.recipe().needs_activations().then(|| self.calibration_source()),
        }
    }
}

/// The next picture, read and run by the float network.
pub(super) struct PictureRead;

impl Derived for PictureRead {
    /// The picture, and the data it is read like.
    type Key = (PathBuf, Option<u64>);
    type Value = Trial;
    const KIND: Kind = Kind::Trial;
    const NEWER: Newer = Newer::Waits;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<Self::Key> {
        let like = open.data_with_key().map(|(key, _)| key);
        let path = open.trials.next(like)?.clone();
        // Data that are on their way decide how pictures are read.
        (!open.awaits_data()).then_some((path, like))
    }

    fn compute(open: &mut OpenNetwork, (path, like): &Self::Key, _: &Wanted) -> Option<Work<Trial>> {
        let (engine, network, data) = (open.engine()?, Arc::clone(&open.original.network), open.data().cloned());
        let (path, like) = (path.clone(), *like);
        let title = format!("Running {}", path.display());
        Some(Work::new(title, move |progress| {
            let picture = picture(&path, data.as_deref(), &network, &engine)?;
            let float = Arc::new(run_outputs(&engine, &picture, 1, progress)?);
            Ok(Trial {
                path,
                data: Arc::new(picture),
                float,
                like,
            })
        }))
    }

    fn take(open: &mut OpenNetwork, trial: Trial, _: Duration) {
        open.slots.of_mut::<Self>().settle();
        open.trials.take(trial);
    }

    fn fail(open: &mut OpenNetwork, _: &JobError) {
        // It goes, and may be dropped in again.
        if let Some((path, _)) = open.slots.of_mut::<Self>().settle() {
            open.trials.remove(&path);
        }
    }
}

/// What the network predicts for all of them under the current recipe.
pub(super) struct PicturesRun;

impl Derived for PicturesRun {
    type Key = TrialsKey;
    type Value = Vec<Arc<Outputs>>;
    const KIND: Kind = Kind::TrialQuantized;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<TrialsKey> {
        Some(open.trials_key()).filter(|key| !key.pictures.is_empty())
    }

    fn compute(open: &mut OpenNetwork, key: &TrialsKey, _: &Wanted) -> Option<Work<Vec<Arc<Outputs>>>> {
        if open.trials.next(key.like).is_some() {
            return None;
        }
        let (network, plan) = open.current_plan()?;
        let pictures: Vec<Arc<Dataset>> = open.trials.list.iter().map(|trial| Arc::clone(&trial.data)).collect();
        Some(Work::new("Running dropped pictures", move |progress| {
            work::settle(progress, SETTLE)?;
            let engine = quantized_engine(&network, &plan, progress)?;
            let run = |data: &Arc<Dataset>| Ok(Arc::new(run_outputs(&engine, data, 1, &part(progress)?)?));
            pictures.iter().map(run).collect()
        }))
    }
}

/// The picture as a data set, read like the open data, or as is usual for the network where none are open.
fn picture(path: &Path, like: Option<&Dataset>, network: &Network, engine: &dyn Engine) -> Result<Dataset, JobError> {
    let read = like.and_then(|data| data.with_picture(path));
    let options = DataOptions::default().for_network(network);
    let open = || Dataset::open(&path.to_string_lossy(), &options, engine.inputs());
    read.unwrap_or_else(open).map_err(work::failed)
}

fn part(progress: &Progress) -> Result<Progress, Cancelled> {
    progress.check()?;
    Ok(progress.part())
}
