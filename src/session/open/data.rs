//! The data of the open network, and what was measured on them.

use super::OpenNetwork;
use crate::inference::{AtChance, Calibration, DataOptions, Dataset, Outputs};
use crate::quantization::Recipe;
use crate::session::{CalibrationKey, CalibrationSource, Evaluated, EvaluationKey, PrepareKey, RunState, plain};
use std::sync::Arc;

impl OpenNetwork {
    /// The data, with the number of their request.
    pub(in crate::session) fn data_with_key(&self) -> Option<(u64, &Arc<Dataset>)> {
        self.data.latest().map(|(key, data)| (*key, data))
    }

    /// Where the newest data were asked for, and how they are read.
    pub fn data_opened(&self) -> Option<&(String, DataOptions)> {
        self.data_opened.as_ref()
    }

    /// The open data with where they are from and how they are read; `None` while others are on their way.
    pub(in crate::session) fn data_read(&self) -> Option<(String, DataOptions, Arc<Dataset>)> {
        let (path, options) = self.data_opened.clone().filter(|_| self.data.running().is_none())?;
        Some((path, options, Arc::clone(self.data()?)))
    }

    /// That the float network does no better than guessing on the open data, and what would help.
    pub fn at_chance(&self) -> Option<&AtChance> {
        let (data, _) = self.data_with_key()?;
        self.suggestions.for_key(&data)?.as_ref()
    }

    /// The open data.
    pub fn data(&self) -> Option<&Arc<Dataset>> {
        self.data_with_key().map(|(_, data)| data)
    }

    /// Where the ranges of layer inputs come from now: from the calibration data of a demo, else without data, as on the
    /// command line; or from the open data, if a person wants that.
    pub fn calibration_source(&self) -> CalibrationSource {
        match (self.data_with_key(), self.demo) {
            (Some((data, _)), _) if self.calibrate_on_data => CalibrationSource::Data(data),
            (_, Some(demo)) => CalibrationSource::Demo(demo),
            (_, None) => CalibrationSource::DataFree,
        }
    }

    pub(in crate::session) fn calibration_key(&self) -> CalibrationKey {
        self.calibration_key_of(self.recipe())
    }

    pub(in crate::session) fn calibration_key_of(&self, recipe: &Recipe) -> CalibrationKey {
        CalibrationKey {
            prepared: PrepareKey::of(recipe),
            source: self.calibration_source(),
        }
    }

    /// Ranges and histograms of layer inputs.
    pub fn calibration(&self) -> Option<&Arc<Calibration>> {
        self.calibration.for_key(&self.calibration_key())
    }

    /// Why the engine cannot run the network.
    pub fn engine_failure(&self) -> Option<&str> {
        self.engine.failure(&())
    }

    /// Whether histograms of layer inputs were asked for.
    pub fn wants_activations(&self) -> bool {
        self.wants_activations
    }

    /// Why there are none.
    pub fn calibration_failure(&self) -> Option<&str> {
        self.calibration.failure(&self.calibration_key())
    }

    /// Logits of the float network, maybe of fewer or more samples than are wanted now.
    pub fn float_outputs(&self) -> Option<&Arc<Outputs>> {
        let (data, _) = self.data_with_key()?;
        self.float
            .latest()
            .filter(|((of, _), _)| *of == data)
            .map(|(_, outputs)| outputs)
    }

    /// The newest evaluation, maybe of an older recipe.
    pub fn evaluated(&self) -> Option<(&EvaluationKey, &Arc<Evaluated>)> {
        self.evaluation.latest()
    }

    /// The newest evaluation of the same bits without split and clip, if it is for the present recipe's bits.
    pub fn plain_evaluated(&self) -> Option<&Arc<Evaluated>> {
        let (key, evaluated) = self.plain.latest()?;
        (key.recipe == plain(self.recipe())).then_some(evaluated)
    }

    /// What results for the present recipe and data on `limit` samples are computed from; `None` without data.
    pub fn evaluation_key(&self, limit: usize) -> Option<EvaluationKey> {
        let (data, _) = self.data_with_key()?;
        Some(EvaluationKey {
            recipe: self.recipe().clone(),
            data,
            limit,
            calibration: self.recipe().needs_activations().then(|| self.calibration_source()),
        })
    }

    /// How far the running of the present recipe has come, for `limit` samples.
    pub fn run_state(&self, limit: usize) -> RunState {
        if let Some(reason) = self
            .original
            .network
            .why_not_runnable
            .as_deref()
            .or_else(|| self.engine_failure())
        {
            return RunState::CannotRun(reason.to_owned());
        }
        let Some(key) = self.evaluation_key(limit) else {
            let waiting = self.data_request.is_some() || self.data.running().is_some();
            return if waiting { RunState::Waiting } else { RunState::NoData };
        };
        if self.evaluation.for_key(&key).is_some() {
            return RunState::Done;
        }
        let failure = self
            .evaluation
            .failure(&key)
            .or_else(|| self.float.failure(&(key.data, limit)));
        let failure = failure
            .or_else(|| self.prepared.failure(&PrepareKey::of(self.recipe())))
            .or_else(|| self.plan_failure());
        let failure = failure.or_else(|| self.calibration_failure().filter(|_| self.recipe().needs_activations()));
        failure.map_or(RunState::Waiting, |reason| RunState::Failed(reason.to_owned()))
    }
}
