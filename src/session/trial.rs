//! Pictures that a person drops in: each is run by itself, by the float network and under the present recipe.

use super::continuation::quantized_engine;
use super::derive::Queue;
use super::keys::CalibrationSource;
use super::open::OpenNetwork;
use super::stage::Stage;
use super::work::{self, Kind, Output};
use crate::inference::{DataOptions, Dataset, Engine, Outputs, run_outputs};
use crate::jobs::JobError;
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::Recipe;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Pictures kept; the oldest goes first.
const MOST: usize = 12;
/// Rest of the hand before they are run under a new recipe.
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
    waiting: VecDeque<PathBuf>,
    /// The one being read, and the data it is read like.
    reading: Option<(PathBuf, Option<u64>)>,
    pub(super) quantized: Stage<TrialsKey, Vec<Arc<Outputs>>>,
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

    /// The picture under way was read and run.
    pub(super) fn take(&mut self, data: Arc<Dataset>, float: Arc<Outputs>) {
        if let Some((path, like)) = self.reading.take() {
            let trial = Trial {
                path,
                data,
                float,
                like,
            };
            match self.list.iter_mut().find(|known| known.path == trial.path) {
                Some(known) => *known = trial,
                None => self.list.insert(0, trial),
            }
            self.list.truncate(MOST);
        }
    }

    /// The picture under way could not be read or run.
    pub(super) fn drop_reading(&mut self) {
        if let Some((path, _)) = self.reading.take() {
            self.remove(&path);
        }
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
        let (key, answers) = self.trials.quantized.latest()?;
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

/// Reads and runs what waits, and runs all under the present recipe.
pub(super) fn start(open: &mut OpenNetwork, jobs: &mut Queue) {
    read(open, jobs);
    run(open, jobs);
}

fn read(open: &mut OpenNetwork, jobs: &mut Queue) {
    let like = open.data_with_key().map(|(key, _)| key);
    if open.trials.waiting.is_empty() {
        // Pictures are read like the open data: once these are read otherwise, so are they.
        let stale = open.trials.list.iter().find(|trial| trial.like != like);
        open.trials.waiting.extend(stale.map(|trial| trial.path.clone()));
    }
    // Data that are on their way decide how pictures are read.
    if open.trials.reading.is_some() || open.data_request.is_some() || open.data.running().is_some() {
        return;
    }
    let Some(engine) = open.engine.for_key(&()).cloned() else {
        return;
    };
    let Some(path) = open.trials.waiting.pop_front() else {
        return;
    };
    let (data, network) = (open.data().cloned(), Arc::clone(&open.original.network));
    open.trials.reading = Some((path.clone(), like));
    let title = format!("Running {}", path.display());
    jobs.start(Kind::Trial, title, move |progress| {
        let picture = picture(&path, data.as_deref(), &network, &engine)?;
        let outputs = run_outputs(&engine, &picture, 1, progress)?;
        Ok(Output::Tried(Arc::new(picture), Arc::new(outputs)))
    });
}

/// The picture as a data set, read like the open data, or as is usual for the network where none are open.
fn picture(path: &Path, like: Option<&Dataset>, network: &Network, engine: &Engine) -> Result<Dataset, JobError> {
    let read = like.and_then(|data| data.with_picture(path));
    let options = DataOptions::default().for_network(network);
    let open = || Dataset::open(&path.to_string_lossy(), &options, engine.inputs());
    read.unwrap_or_else(open).map_err(work::failed)
}

fn run(open: &mut OpenNetwork, jobs: &mut Queue) {
    let key = open.trials_key();
    if open.trials.quantized.running().is_some_and(|running| *running != key) {
        jobs.replace(Kind::TrialQuantized);
        open.trials.quantized.abandon();
    }
    let settled = open.trials.reading.is_none() && open.trials.waiting.is_empty();
    if key.pictures.is_empty() || !settled || !open.trials.quantized.lacks(&key) || open.lacks_calibration() {
        return;
    }
    let Some(analysis) = open.analysis() else { return };
    let Some(planned) = open.plan.for_key(&open.plan_key()) else {
        return;
    };
    let (network, plan) = (Arc::clone(&analysis.network), Arc::clone(&planned.plan));
    let pictures: Vec<Arc<Dataset>> = open.trials.list.iter().map(|trial| Arc::clone(&trial.data)).collect();
    open.trials.quantized.begin(key);
    jobs.start(Kind::TrialQuantized, "Running dropped pictures", move |progress| {
        work::settle(progress, SETTLE)?;
        let engine = quantized_engine(&network, &plan, progress)?;
        let run = |data: &Arc<Dataset>| Ok(Arc::new(run_outputs(&engine, data, 1, &part(progress)?)?));
        let answers = pictures.iter().map(run).collect::<Result<Vec<_>, JobError>>()?;
        Ok(Output::TriedQuantized(answers))
    });
}

fn part(progress: &Progress) -> Result<Progress, JobError> {
    progress.check()?;
    Ok(progress.part())
}
