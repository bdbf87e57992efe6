//! A sweep as the session sees it: which rows are asked for, which are there.

use super::keys::CalibrationSource;
use super::live::Live;
use crate::inference::sweep::{SweepRow, SweepSetting};
use crate::quantization::Recipe;

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
    /// Asked for, but not started yet.
    pub(super) pending: bool,
    recipes: Vec<Recipe>,
    pub(super) known: Live<SweepKey, SweepRow>,
    /// Rows of the present recipes, in their order.
    rows: Vec<SweepRow>,
    setting: Option<SweepSetting>,
}

impl Sweep {
    /// Somebody asks for these recipes.
    pub(super) fn ask(&mut self, recipes: Vec<Recipe>) {
        self.recipes = recipes;
        self.pending = true;
        self.arrange();
    }

    /// A job begins on what `setting` describes; rows go into what is returned, with those that are known already.
    pub(super) fn begin(&mut self, key: SweepKey, setting: SweepSetting) -> std::sync::mpsc::Sender<SweepRow> {
        self.pending = false;
        self.setting = Some(setting);
        let sender = self.known.begin(key);
        self.arrange();
        sender
    }

    /// Takes the rows that have come; tells whether there were any.
    pub(super) fn drain(&mut self) -> bool {
        let more = self.known.drain();
        if more {
            self.arrange();
        }
        more
    }

    pub(super) fn finish(&mut self) {
        self.known.finish();
        self.arrange();
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.known.fail(reason);
        self.arrange();
    }

    fn arrange(&mut self) {
        let known = self.known.rows();
        let row = |recipe: &Recipe| known.iter().find(|row| row.recipe == *recipe).cloned();
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
        self.known.of()
    }

    /// Model, data and calibration, for a file of the rows.
    pub fn setting(&self) -> Option<&SweepSetting> {
        self.setting.as_ref()
    }

    /// Whether rows are being computed, or will be.
    pub fn is_under_way(&self) -> bool {
        self.pending || self.known.is_running()
    }

    /// Why there are no more rows.
    pub fn failure(&self) -> Option<&str> {
        self.known.failure()
    }
}
