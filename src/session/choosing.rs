//! Settings chosen layer by layer.

use super::derived::{Derived, Wanted, Work};
use super::keys::CalibrationSource;
use super::measure::run_auto;
use super::open::OpenNetwork;
use super::work::Kind;
use crate::inference::auto::{AutoOptions, AutoResult};
use crate::quantization::Recipe;
use std::sync::Arc;

/// What chosen settings are computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoKey {
    /// What to keep to, and what may be chosen.
    pub options: AutoOptions,
    /// The recipe when it was asked for.
    pub recipe: Recipe,
    /// Which data.
    pub data: u64,
    /// Samples to judge by at most.
    pub limit: usize,
    /// Where the ranges of activations come from.
    pub source: CalibrationSource,
}

/// The settings that were chosen, for what was asked last.
pub(super) struct Chosen;

impl Derived for Chosen {
    type Key = AutoKey;
    type Value = Arc<AutoResult>;
    const KIND: Kind = Kind::Auto;
    const ON_REQUEST: bool = true;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<AutoKey> {
        let (options, recipe) = open.auto_wanted.clone()?;
        Some(AutoKey {
            options,
            recipe,
            data: open.data_with_key()?.0,
            limit: wanted.limit,
            source: open.calibration_source(),
        })
    }

    fn compute(open: &mut OpenNetwork, key: &AutoKey, _: &Wanted) -> Option<Work<Arc<AutoResult>>> {
        let (subject, engine) = (open.subject(&key.recipe, key.limit)?, open.engine()?);
        let (key, other) = (key.clone(), open.demo.filter(|demo| demo.has_other_calibration_data()));
        Some(Work::new("Choosing settings layer by layer", move |progress| {
            run_auto(subject, &engine, other, &key, progress)
        }))
    }
}
