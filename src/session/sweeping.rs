//! A sweep as the session sees it: which rows are asked for, which are there.

use super::derived::{Derived, Pieces, Wanted, Work};
use super::keys::CalibrationSource;
use super::measure::{self, Subject};
use super::open::OpenNetwork;
use super::work::{self, Kind};
use crate::inference::calibration_label;
use crate::inference::sweep::{SweepRow, SweepSetting};
use crate::quantization::Recipe;
use std::time::Duration;

/// What all rows of a sweep are computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepKey {
    /// Which data.
    pub data: u64,
    /// Samples at most.
    pub limit: usize,
    /// Where the ranges of activations come from.
    pub source: CalibrationSource,
}

/// The newest sweep, and all rows that were computed on its data so far: a recipe that comes again is not run again.
#[derive(Debug, Default)]
pub struct Sweep {
    recipes: Vec<Recipe>,
    /// What `known` are computed from.
    of: Option<SweepKey>,
    known: Vec<SweepRow>,
    /// Rows of the current recipes, in their order.
    rows: Vec<SweepRow>,
    setting: Option<SweepSetting>,
}

impl Sweep {
    /// Somebody asks for these recipes.
    pub(super) fn ask(&mut self, recipes: Vec<Recipe>) {
        self.recipes = recipes;
        self.arrange();
    }

    /// A job begins on what `setting` describes; rows of other inputs go.
    fn begin(&mut self, key: SweepKey, setting: SweepSetting) {
        if self.of.as_ref() != Some(&key) {
            self.known.clear();
        }
        self.of = Some(key);
        self.setting = Some(setting);
        self.arrange();
    }

    fn take(&mut self, row: SweepRow) {
        self.known.push(row);
        self.arrange();
    }

    fn arrange(&mut self) {
        let row = |recipe: &Recipe| self.known.iter().find(|row| row.recipe == *recipe).cloned();
        self.rows = self.recipes.iter().filter_map(row).collect();
    }

    /// The recipes of the newest sweep, in order; empty before the first.
    pub fn recipes(&self) -> &[Recipe] {
        &self.recipes
    }

    /// Their rows as far as they are there, in the same order.
    pub fn rows(&self) -> &[SweepRow] {
        &self.rows
    }

    /// What the rows are computed from.
    pub fn of(&self) -> Option<&SweepKey> {
        self.of.as_ref()
    }

    /// Model, data and calibration, for a file of the rows.
    pub fn setting(&self) -> Option<&SweepSetting> {
        self.setting.as_ref()
    }
}

/// The rows that the newest sweep lacks.
pub(super) struct Swept;

impl Derived for Swept {
    type Key = (SweepKey, Vec<Recipe>);
    /// Rows come one by one and are kept in the [`Sweep`].
    type Value = ();
    const KIND: Kind = Kind::Sweep;
    const ON_REQUEST: bool = true;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<Self::Key> {
        if !open.slots.of::<Self>().is_asked() {
            return None;
        }
        let key = SweepKey {
            data: open.data_with_key()?.0,
            limit: wanted.limit,
            source: open.calibration_source(),
        };
        Some((key, open.sweep.recipes.clone()))
    }

    fn compute(open: &mut OpenNetwork, (key, recipes): &Self::Key, _: &Wanted) -> Option<Work<()>> {
        let subject = open.subject(recipes.first()?, key.limit)?;
        let model = &open.original.network;
        let model = (model.path.as_ref()).map_or_else(|| model.name.clone(), |path| path.display().to_string());
        let setting = SweepSetting {
            data: format!("{} · {}", subject.data.name(), subject.data.preprocessing()),
            calibration: calibration_name(&subject, &model),
            samples: subject.float.samples,
            model,
        };
        open.sweep.begin(key.clone(), setting);
        let rows = Pieces::of::<Self>(open, |open, row: SweepRow| open.sweep.take(row));
        let (recipes, finished) = (recipes.clone(), open.sweep.known.clone());
        let title = format!("Sweeping {} settings", recipes.len());
        Some(Work::new(title, move |progress| {
            measure::run_sweep(subject, &recipes, &finished, &rows, progress)
        }))
    }

    fn take(open: &mut OpenNetwork, (): (), _: Duration) {
        // The rows that are there are not asked for again; others may be, of the same recipes.
        open.slots.of_mut::<Self>().settle();
    }
}

/// Where the ranges of activations come from.
fn calibration_name(subject: &Subject, model: &str) -> String {
    let data = match subject.source {
        CalibrationSource::Demo(_) => Some(model),
        CalibrationSource::Data(_) => Some(subject.data.name()),
        CalibrationSource::Set(_) => Some(subject.set.path.as_deref().unwrap_or_default()),
        CalibrationSource::DataFree => None,
    };
    calibration_label(data.map(|data| (data, work::CALIBRATION_SAMPLES)))
}
