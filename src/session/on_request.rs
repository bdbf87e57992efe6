//! The jobs that start only when somebody asks for what they bring, and what asking changes.

use super::Session;
use super::choosing::AutoKey;
use super::derive::Queue;
use super::keys::{CalibrationSource, PrepareKey};
use super::measure::{self, Subject};
use super::messages::Level;
use super::open::OpenNetwork;
use super::sweeping::SweepKey;
use super::work::{self, Kind, Output};
use crate::inference::sweep::{SweepGrid, SweepSetting, save_rows};
use crate::quantization::Recipe;
use std::path::PathBuf;
use std::sync::Arc;

/// Settings that a sweep tries at most: more is a slip of the hand.
pub const MOST_SETTINGS: usize = 2000;

impl Session {
    /// Notes that a result is wanted; [`Session::advance`] starts the job once all it needs is there.
    pub(super) fn ask(&mut self, ask: impl FnOnce(&mut OpenNetwork)) {
        let Some(open) = &mut self.open else { return };
        if open.data().is_none() {
            let text = "There are no data to run the network on: open some, or use noise";
            self.messages.push(Level::Warning, text, text);
            return;
        }
        ask(open);
    }

    pub(super) fn ask_for_sweep(&mut self, grid: &SweepGrid) {
        let Some(open) = &self.open else { return };
        let recipes = grid.recipes(open.recipe());
        let wrong = recipes
            .iter()
            .find_map(|recipe| recipe.check(&open.original.network).err());
        let refused = match wrong {
            Some(reason) => Some(reason),
            None if recipes.len() > MOST_SETTINGS => Some(format!(
                "a sweep of {} settings is too long: {MOST_SETTINGS} at most",
                recipes.len()
            )),
            None => None,
        };
        match refused {
            Some(reason) => self.messages.push(Level::Warning, reason.clone(), reason),
            None => self.ask(|open| open.sweep.ask(recipes)),
        }
    }

    /// Writes the rows of the newest sweep.
    pub(super) fn save_sweep(&mut self, path: PathBuf) {
        let Some((setting, rows)) = self.open.as_ref().and_then(|open| {
            let setting = open.sweep.setting()?.clone();
            Some((setting, open.sweep.rows().to_vec()))
        }) else {
            let text = "There is no sweep to save yet";
            self.messages.push(Level::Warning, text, text);
            return;
        };
        let title = format!("Writing {}", super::display_name(&path));
        self.jobs.start(Kind::SaveSweep, title, move |_| {
            save_rows(&path, &setting, &rows)?;
            Ok(Output::Exported(path))
        });
    }
}

/// Starts whatever was asked for and can be had.
pub(super) fn start(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize, model: &str) {
    sensitivity(open, jobs, limit);
    split_only(open, jobs, limit);
    oracle(open, jobs, limit);
    auto(open, jobs, limit);
    sweep(open, jobs, limit, model);
}

/// What such a job for `recipe` starts from, once data and float outputs are there.
fn subject(open: &OpenNetwork, recipe: &Recipe, limit: usize) -> Option<Subject> {
    let (data_key, data) = open.data_with_key()?;
    let prepared = PrepareKey::of(recipe);
    let analysis = if prepared.is_nothing() {
        Some(&open.original)
    } else {
        open.prepared.for_key(&prepared)
    };
    let calibration = open.calibration.for_key(&open.calibration_key_of(recipe));
    Some(Subject {
        original: Arc::clone(&open.original.network),
        prepared: analysis.map(|analysis| Arc::clone(&analysis.network)),
        calibration: calibration.cloned(),
        source: open.calibration_source(),
        shapes: open.shapes.as_ref().map(|(_, shapes)| Arc::clone(shapes)),
        data: Arc::clone(data),
        float: Arc::clone(open.float.for_key(&(data_key, limit))?),
    })
}

fn sensitivity(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize) {
    if !open.sensitivity_asked {
        return;
    }
    let Some(key) = open.evaluation_key(limit) else { return };
    if let Some(rows) = open.kept_sensitivity.get(&key).cloned() {
        open.sensitivity_asked = false;
        jobs.replace(Kind::Sensitivity);
        open.sensitivity.put(key, rows);
        return;
    }
    let Some(subject) = subject(open, &key.recipe, limit) else {
        return;
    };
    open.sensitivity_asked = false;
    let recipe = key.recipe.clone();
    let rows = open.sensitivity.restart(key);
    jobs.start(Kind::Sensitivity, "Measuring one layer at a time", move |progress| {
        measure::run_sensitivity(subject, &recipe, &rows, progress)
    });
}

fn split_only(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize) {
    let Some(key) = open.evaluation_key(limit).filter(|key| open.split_only.wants(key)) else {
        return;
    };
    let Some(subject) = subject(open, &key.recipe, limit) else {
        return;
    };
    let recipe = key.recipe.clone();
    open.split_only.begin(key);
    jobs.start(Kind::SplitOnly, "Checking the split", move |progress| {
        measure::run_split_only(subject, &recipe, progress)
    });
}

fn oracle(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize) {
    let Some(key) = open.evaluation_key(limit).filter(|key| open.oracle.wants(key)) else {
        return;
    };
    let Some(subject) = subject(open, &key.recipe, limit) else {
        return;
    };
    let recipe = key.recipe.clone();
    open.oracle.begin(key);
    jobs.start(Kind::Oracle, "Running Oracle OCS", move |progress| {
        measure::run_oracle_bound(subject, &recipe, progress)
    });
}

fn auto(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize) {
    let Some((options, recipe)) = open.auto.asked.clone() else {
        return;
    };
    let Some(subject) = subject(open, &recipe, limit) else {
        return;
    };
    let (Some((data, _)), Some(engine)) = (open.data_with_key(), open.engine.for_key(&()).cloned()) else {
        return;
    };
    let other = open.demo.filter(|demo| demo.has_other_calibration_data());
    open.auto.begin(AutoKey {
        options: options.clone(),
        recipe: recipe.clone(),
        data,
        limit,
        source: subject.source,
    });
    jobs.start(Kind::Auto, "Choosing settings layer by layer", move |progress| {
        measure::run_auto(subject, &engine, other, &recipe, &options, limit, progress)
    });
}

fn sweep(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize, model: &str) {
    let Some(base) = open.sweep.recipes().first().filter(|_| open.sweep.pending) else {
        return;
    };
    let (Some(subject), Some((data, _))) = (subject(open, base, limit), open.data_with_key()) else {
        return;
    };
    let key = SweepKey {
        data,
        limit,
        source: subject.source,
    };
    let setting = SweepSetting {
        model: model.to_owned(),
        data: format!("{} · {}", subject.data.name(), subject.data.preprocessing()),
        calibration: calibration_name(&subject, model),
        samples: subject.float.samples,
    };
    let recipes = open.sweep.recipes().to_vec();
    let rows = open.sweep.begin(key, setting);
    let finished = open.sweep.known.rows().to_vec();
    let title = format!("Sweeping {} settings", recipes.len());
    jobs.start(Kind::Sweep, title, move |progress| {
        measure::run_sweep(subject, &recipes, &finished, &rows, progress)
    });
}

/// Where the ranges of activations come from, in the words of the command line.
fn calibration_name(subject: &Subject, model: &str) -> String {
    let samples = work::CALIBRATION_SAMPLES;
    match subject.source {
        CalibrationSource::Demo(_) => format!("{model}, up to {samples} samples"),
        CalibrationSource::Data(_) => format!("{}, up to {samples} samples", subject.data.name()),
        CalibrationSource::DataFree => "data-free".to_owned(),
    }
}
