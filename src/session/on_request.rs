//! The jobs that start only when somebody asks for what they bring, and what asking changes.

use super::Session;
use super::derived::{Derived, Wanted, Work, rows};
use super::keys::EvaluationKey;
use super::measure::{self, Subject};
use super::open::OpenNetwork;
use super::running::FloatRun;
use super::sweeping::Swept;
use super::work::{Kind, Output};
use crate::inference::sweep::{SweepGrid, save_rows};
use crate::inference::{LayerSensitivity, OracleMetrics, SplitOnly};
use crate::quantization::Recipe;
use std::path::PathBuf;
use std::sync::Arc;

/// Results kept of each kind.
const KEPT: usize = 8;
/// Settings that a sweep tries at most: more is a slip of the hand.
pub const MOST_SETTINGS: usize = 2000;

impl Session {
    /// Notes that a result is wanted; [`Session::advance`] starts the job once all it needs is there.
    pub(super) fn ask(&mut self, ask: impl FnOnce(&mut OpenNetwork)) {
        let Some(open) = &mut self.open else { return };
        if open.data().is_none() {
            let text = "There are no data to run the network on: open some, or use noise";
            self.messages.warn(text);
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
            Some(reason) => Some(reason.to_string()),
            None if recipes.len() > MOST_SETTINGS => Some(format!(
                "a sweep of {} settings is too long: {MOST_SETTINGS} at most",
                recipes.len()
            )),
            None => None,
        };
        match refused {
            Some(reason) => self.messages.warn(reason),
            None => self.ask(|open| {
                open.sweep.ask(recipes);
                open.slots.of_mut::<Swept>().ask();
            }),
        }
    }

    /// Writes the rows of the newest sweep.
    pub(super) fn save_sweep(&mut self, path: PathBuf) {
        let Some((setting, rows)) = self.open.as_ref().and_then(|open| {
            let setting = open.sweep.setting()?.clone();
            Some((setting, open.sweep.rows().to_vec()))
        }) else {
            let text = "There is no sweep to save yet";
            self.messages.warn(text);
            return;
        };
        let title = format!("Writing {}", super::display_name(&path));
        self.jobs.start(Kind::SaveSweep, title, move |_| {
            save_rows(&path, &setting, &rows)?;
            Ok(Output::Wrote(path))
        });
    }
}

impl OpenNetwork {
    /// What a job for `recipe` on `limit` samples starts from, once data and float outputs are there.
    pub(super) fn subject(&self, recipe: &Recipe, limit: usize) -> Option<Subject> {
        let (data_key, data) = self.data_with_key()?;
        let analysis = self.prepared_as(self.prepare_key(recipe));
        Some(Subject {
            original: Arc::clone(&self.original.network),
            prepared: analysis.map(|analysis| Arc::clone(&analysis.network)),
            calibration: self.calibration_of(recipe).cloned(),
            source: self.calibration_source(),
            set: self.calibration_set(),
            shapes: self.shapes(),
            data: Arc::clone(data),
            float: Arc::clone(self.slots.of::<FloatRun>().for_key(&(data_key, limit))?),
        })
    }
}

/// One layer quantized at a time, on all samples.
pub(super) struct Sensitivity;

impl Derived for Sensitivity {
    type Key = EvaluationKey;
    type Value = Vec<LayerSensitivity>;
    const KIND: Kind = Kind::Sensitivity;
    const ON_REQUEST: bool = true;
    const KEPT: usize = KEPT;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<EvaluationKey> {
        open.evaluation_key(wanted.limit)
    }

    fn compute(open: &mut OpenNetwork, key: &EvaluationKey, _: &Wanted) -> Option<Work<Vec<LayerSensitivity>>> {
        let (subject, recipe) = (open.subject(&key.recipe, key.limit)?, key.recipe.clone());
        let rows = rows::<Self, LayerSensitivity>(open);
        Some(Work::new("Measuring layer sensitivity", move |progress| {
            measure::run_sensitivity(subject, &recipe, &rows, progress)
        }))
    }
}

/// The splits without a grid.
pub(super) struct SplitAlone;

impl Derived for SplitAlone {
    type Key = EvaluationKey;
    type Value = Option<SplitOnly>;
    const KIND: Kind = Kind::SplitOnly;
    const ON_REQUEST: bool = true;
    const KEPT: usize = KEPT;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<EvaluationKey> {
        open.evaluation_key(wanted.limit)
    }

    fn compute(open: &mut OpenNetwork, key: &EvaluationKey, _: &Wanted) -> Option<Work<Option<SplitOnly>>> {
        let (subject, recipe) = (open.subject(&key.recipe, key.limit)?, key.recipe.clone());
        Some(Work::new("Checking the split", move |progress| {
            measure::run_split_only(subject, &recipe, progress)
        }))
    }
}

/// Splits of activations chosen for each batch.
pub(super) struct Oracle;

impl Derived for Oracle {
    type Key = EvaluationKey;
    type Value = OracleMetrics;
    const KIND: Kind = Kind::Oracle;
    const ON_REQUEST: bool = true;
    const KEPT: usize = KEPT;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<EvaluationKey> {
        open.evaluation_key(wanted.limit)
    }

    fn compute(open: &mut OpenNetwork, key: &EvaluationKey, _: &Wanted) -> Option<Work<OracleMetrics>> {
        let (subject, recipe) = (open.subject(&key.recipe, key.limit)?, key.recipe.clone());
        Some(Work::new("Running Oracle OCS", move |progress| {
            measure::run_oracle_bound(subject, &recipe, progress)
        }))
    }
}
