//! The data of the open network, and what was measured on them.

use super::OpenNetwork;
use crate::data::TextUnit;
use crate::inference::{AtChance, Calibration, DataOptions, Dataset, Engine, Outputs};
use crate::jobs::JobError;
use crate::quantization::{Recipe, ValueShapes};
use crate::session::running::{Calibrated, EngineLoaded, FloatRun, Opened, PlainRun, QuantizedRun, Suggested};
use crate::session::weights::Prepared;
use crate::session::work::{CalibrationSet, NOISE, OpenData};
use crate::session::{
    CalibrationChoice, CalibrationKey, CalibrationSource, Evaluated, EvaluationKey, PrepareKey, RunState,
};
use std::sync::Arc;

impl OpenNetwork {
    /// The data, with the number of their request.
    pub(in crate::session) fn data_with_key(&self) -> Option<(u64, &Arc<Dataset>)> {
        let newest = self.slots.of::<Opened>().latest();
        newest.map(|(key, open)| (*key, &open.data))
    }

    /// Where the newest data were asked for, and how they are read.
    pub fn data_opened(&self) -> Option<(&str, &DataOptions)> {
        let wanted = self.data_wanted.as_ref()?;
        Some((&wanted.path, &wanted.options))
    }

    /// Whether other data than the open ones are on their way.
    pub(in crate::session) fn awaits_data(&self) -> bool {
        let data = self.slots.of::<Opened>();
        self.data_wanted
            .as_ref()
            .is_some_and(|wanted| data.for_key(&wanted.number).is_none() && data.failure(&wanted.number).is_none())
    }

    /// The float network in the engine.
    pub(in crate::session) fn engine(&self) -> Option<Arc<dyn Engine>> {
        let (engine, _) = self.slots.of::<EngineLoaded>().for_key(&())?;
        Some(Arc::clone(engine))
    }

    /// Shapes of the values between the layers, with the number of the data that they are for: 0 without data.
    pub(in crate::session) fn shapes_with_key(&self) -> Option<(u64, Arc<ValueShapes>)> {
        if let Some((key, open)) = self.slots.of::<Opened>().latest() {
            return Some((*key, Arc::clone(&open.shapes)));
        }
        let (_, shapes) = self.slots.of::<EngineLoaded>().for_key(&())?;
        shapes.clone().map(|shapes| (0, shapes))
    }

    pub(in crate::session) fn shapes(&self) -> Option<Arc<ValueShapes>> {
        self.shapes_with_key().map(|(_, shapes)| shapes)
    }

    /// That the float network does no better than guessing on the open data, and what would help.
    pub fn at_chance(&self) -> Option<&AtChance> {
        let (data, _) = self.data_with_key()?;
        self.slots.of::<Suggested>().for_key(&data)?.as_ref()
    }

    /// The open data.
    pub fn data(&self) -> Option<&Arc<Dataset>> {
        self.data_with_key().map(|(_, data)| data)
    }

    /// What the open text is read in; without a text, tokens.
    pub fn text_unit(&self) -> TextUnit {
        self.data().map_or(TextUnit::Token, |data| data.text_unit())
    }

    /// Where the ranges of layer inputs come from now. Unless a person chooses: from the calibration data of a demo, else from
    /// the open data as soon as there are some, else from no data. Noise is no data: batch-norm statistics tell more.
    pub fn calibration_source(&self) -> CalibrationSource {
        let without = self.demo.map_or(CalibrationSource::DataFree, CalibrationSource::Demo);
        let open_data = self.data_with_key().map(|(data, _)| CalibrationSource::Data(data));
        match (&self.calibration_choice, self.demo) {
            (CalibrationChoice::Set(_), _) => CalibrationSource::Set(self.calibration_choices),
            (CalibrationChoice::DataFree, _) => CalibrationSource::DataFree,
            (CalibrationChoice::OpenData, _) => open_data.unwrap_or(without),
            (CalibrationChoice::Automatic, Some(_)) => without,
            (CalibrationChoice::Automatic, None) => {
                let is_noise = self.data_read().is_some_and(|read| read.path == NOISE);
                open_data.filter(|_| !is_noise).unwrap_or(without)
            }
        }
    }

    /// What a person wants the ranges to come from.
    pub fn calibration_choice(&self) -> &CalibrationChoice {
        &self.calibration_choice
    }

    pub(in crate::session) fn calibrate_on(&mut self, choice: CalibrationChoice) {
        if self.calibration_choice != choice {
            self.calibration_choice = choice;
            self.calibration_choices += 1;
        }
    }

    /// The calibration set that was chosen, if one was, and how it is read: like the open data, but without their labels.
    pub(in crate::session) fn calibration_set(&self) -> CalibrationSet {
        let like = self.data_read().map(|read| read.options.clone()).unwrap_or_default();
        CalibrationSet {
            path: match &self.calibration_choice {
                CalibrationChoice::Set(path) => Some(path.clone()),
                CalibrationChoice::Automatic | CalibrationChoice::OpenData | CalibrationChoice::DataFree => None,
            },
            options: DataOptions {
                labels: None,
                inputs: Vec::new(),
                ..like
            },
        }
    }

    /// The open data with where they are from and how they are read.
    pub(in crate::session) fn data_read(&self) -> Option<&OpenData> {
        self.slots.of::<Opened>().latest().map(|(_, open)| open)
    }

    pub(in crate::session) fn calibration_key(&self) -> CalibrationKey {
        self.calibration_key_of(self.recipe())
    }

    pub(in crate::session) fn calibration_key_of(&self, recipe: &Recipe) -> CalibrationKey {
        let (source, stated) = self.known_from();
        CalibrationKey {
            prepared: self.prepare_key(recipe),
            source,
            stated,
            moments: recipe.needs_moments(),
        }
    }

    /// What tells of the layers' inputs now; without data also the data whose preprocessing tells of the network's.
    fn known_from(&self) -> (CalibrationSource, Option<u64>) {
        let source = self.calibration_source();
        let stated = self.data_with_key().filter(|_| source == CalibrationSource::DataFree);
        (source, stated.map(|(data, _)| data))
    }

    /// What `recipe` asks to be done to the network first.
    pub fn prepare_key(&self, recipe: &Recipe) -> PrepareKey {
        PrepareKey::of(recipe, self.known_from())
    }

    /// Ranges and histograms of layer inputs.
    pub fn calibration(&self) -> Option<&Arc<Calibration>> {
        self.calibration_of(self.recipe())
    }

    /// The same for another recipe.
    pub(in crate::session) fn calibration_of(&self, recipe: &Recipe) -> Option<&Arc<Calibration>> {
        self.slots.of::<Calibrated>().for_key(&self.calibration_key_of(recipe))
    }

    /// Why the engine cannot run the network.
    pub fn engine_failure(&self) -> Option<&JobError> {
        self.slots.of::<EngineLoaded>().failure(&())
    }

    /// Whether histograms of layer inputs were asked for.
    pub fn wants_activations(&self) -> bool {
        self.wants_activations
    }

    /// Why there are none.
    pub fn calibration_failure(&self) -> Option<&JobError> {
        self.slots.of::<Calibrated>().failure(&self.calibration_key())
    }

    /// Logits of the float network, maybe of fewer or more samples than are wanted now.
    pub fn float_outputs(&self) -> Option<&Arc<Outputs>> {
        let (data, _) = self.data_with_key()?;
        let newest = self.slots.of::<FloatRun>().latest();
        newest.filter(|((of, _), _)| *of == data).map(|(_, outputs)| outputs)
    }

    /// The newest evaluation, maybe of an older recipe.
    pub fn evaluated(&self) -> Option<(&EvaluationKey, &Arc<Evaluated>)> {
        self.slots.of::<QuantizedRun>().latest()
    }

    /// The newest evaluation of the same bits without split and clip, if it is for the present recipe's bits.
    pub fn plain_evaluated(&self) -> Option<&Arc<Evaluated>> {
        let (key, evaluated) = self.slots.of::<PlainRun>().latest()?;
        (key.recipe == self.recipe().plain()).then_some(evaluated)
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
        if let Some(reason) = &self.original.network.why_not_runnable {
            return RunState::CannotRun(reason.clone());
        }
        if let Some(error) = self.engine_failure() {
            return RunState::CannotRun(error.to_string());
        }
        let Some(key) = self.evaluation_key(limit) else {
            return if self.awaits_data() {
                RunState::Waiting
            } else {
                RunState::NoData
            };
        };
        if self.evaluation(&key).is_some() {
            return RunState::Done;
        }
        let slots = &self.slots;
        let failure = (slots.of::<QuantizedRun>().failure(&key))
            .or_else(|| slots.of::<FloatRun>().failure(&(key.data, limit)))
            .or_else(|| slots.of::<Prepared>().failure(&self.prepare_key(self.recipe())))
            .or_else(|| self.plan_failure())
            .or_else(|| self.calibration_failure().filter(|_| self.recipe().needs_activations()));
        match failure {
            None => RunState::Waiting,
            Some(JobError::Cancelled) => RunState::Cancelled,
            Some(error) => RunState::Failed(error.to_string()),
        }
    }

    /// The evaluation for exactly these inputs.
    pub(in crate::session) fn evaluation(&self, key: &EvaluationKey) -> Option<&Arc<Evaluated>> {
        self.slots.of::<QuantizedRun>().for_key(key)
    }
}
