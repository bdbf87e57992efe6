//! What jobs do that are started on request: each needs the network run several times.

use super::choosing::AutoKey;
use super::derived::Pieces;
use super::keys::CalibrationSource;
use super::work;
use crate::format::demo::Demo;
use crate::inference::auto::{AutoResult, AutoSamples, auto};
use crate::inference::sweep::{SweepRow, SweepSubject, sweep};
use crate::inference::{
    Calibration, Dataset, Engine, InferenceError, LayerSensitivity, OracleMetrics, Outputs, Pipeline, SplitOnly,
    evaluate, float_engine, run_oracle, sensitivity, split_only_difference,
};
use crate::jobs::JobError;
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Activations, Plan, Recipe, ValueShapes};
use std::sync::Arc;

/// What all of them start from.
#[derive(Clone)]
pub(super) struct Subject {
    /// The network as it was opened.
    pub(super) original: Arc<Network>,
    /// The same prepared as the recipe says, if that is done already.
    pub(super) prepared: Option<Arc<Network>>,
    /// Ranges of its layers' inputs, if they are known already.
    pub(super) calibration: Option<Arc<Calibration>>,
    /// Where they come from.
    pub(super) source: CalibrationSource,
    /// The calibration set, if they come from one.
    pub(super) set: work::CalibrationSet,
    pub(super) shapes: Option<Arc<ValueShapes>>,
    pub(super) data: Arc<Dataset>,
    /// What the original network answers on the first samples of the data.
    pub(super) float: Arc<Outputs>,
}

/// A subject with all that its recipes need.
struct Ready {
    subject: Subject,
    network: Arc<Network>,
    calibration: Option<Arc<Calibration>>,
}

impl Subject {
    /// Prepares the network for `recipe` and, if asked for, calibrates it (with second moments too), where that was not done
    /// before.
    fn ready(
        self,
        recipe: &Recipe,
        (calibrated, moments): (bool, bool),
        progress: &Progress,
    ) -> Result<Ready, JobError> {
        let network = match &self.prepared {
            Some(network) => Arc::clone(network),
            None => {
                progress.start(0, "preparing the network");
                let known_from = (self.source, &self.set, Some(&self.data));
                Arc::new(work::prepare_on(&self.original, recipe, known_from, progress)?)
            }
        };
        progress.check()?;
        let calibration = match &self.calibration {
            known if !calibrated => known.clone(),
            Some(known) if !moments || known.activations.has_moments() => Some(Arc::clone(known)),
            _ => Some(work::calibrate_on(
                &network,
                (self.source, moments),
                &self.set,
                Some(&self.data),
                progress,
            )?),
        };
        Ok(Ready {
            subject: self,
            network,
            calibration,
        })
    }
}

/// Whether any of the recipes needs a calibration, and second moments of the layers' inputs.
fn needs(recipes: &[Recipe]) -> (bool, bool) {
    (
        recipes.iter().any(Recipe::needs_activations),
        recipes.iter().any(Recipe::needs_moments),
    )
}

impl Ready {
    fn activations(&self) -> Option<&Activations> {
        self.calibration.as_deref().map(|known| &known.activations)
    }

    fn sweep_subject(&self) -> SweepSubject<'_> {
        SweepSubject {
            network: &self.network,
            activations: self.activations(),
            shapes: self.subject.shapes.as_deref(),
            data: &self.subject.data,
            float: &self.subject.float,
        }
    }

    fn plan(&self, recipe: &Recipe, progress: &Progress) -> Result<Plan, JobError> {
        Ok(Pipeline::new(&self.network, self.activations()).plan(recipe, progress)?)
    }
}

/// Hands each row over as it is finished.
fn hand_over<T: Clone + Send + 'static>(rows: &Pieces<T>) -> impl FnMut(&T) -> Result<(), InferenceError> {
    move |row| {
        rows.send(row.clone());
        Ok(())
    }
}

/// One layer quantized at a time.
pub(super) fn run_sensitivity(
    subject: Subject,
    recipe: &Recipe,
    rows: &Pieces<LayerSensitivity>,
    progress: &Progress,
) -> Result<Vec<LayerSensitivity>, JobError> {
    let ready = subject.ready(recipe, needs(std::slice::from_ref(recipe)), progress)?;
    let (subject, on_row) = (ready.sweep_subject(), &mut hand_over(rows));
    Ok(sensitivity(&subject, recipe, progress, on_row)?)
}

/// Many recipes, those that `finished` has left out.
pub(super) fn run_sweep(
    subject: Subject,
    recipes: &[Recipe],
    finished: &[SweepRow],
    rows: &Pieces<SweepRow>,
    progress: &Progress,
) -> Result<(), JobError> {
    if let Some(base) = recipes.first() {
        let ready = subject.ready(base, needs(recipes), progress)?;
        sweep(
            &ready.sweep_subject(),
            recipes,
            finished,
            progress,
            &mut hand_over(rows),
        )?;
    }
    Ok(())
}

/// Settings layer by layer: chosen on the calibration data of `other`, or without such on half of the open data.
pub(super) fn run_auto(
    subject: Subject,
    engine: &dyn Engine,
    other: Option<Demo>,
    key: &AutoKey,
    progress: &Progress,
) -> Result<Arc<AutoResult>, JobError> {
    let options = &key.options;
    let other = other.map(|demo| Arc::new(Dataset::demo_calibration(demo)));
    let samples = AutoSamples::of(engine, &subject.data, other, (None, key.limit), progress)?;
    let search = |subject: Subject, recipe: &Recipe| -> Result<AutoResult, JobError> {
        let ready = subject.ready(recipe, options.needs(recipe), progress)?;
        let subject = samples.subject(&ready.network, ready.activations());
        Ok(auto(&subject, recipe, options, progress)?)
    };
    let result = search(subject.clone(), &key.recipe)?;
    let Some(folded) = options.folded(&key.recipe) else {
        return Ok(Arc::new(result));
    };
    // What is known already is of the network that is not folded.
    let subject = Subject {
        prepared: None,
        calibration: None,
        ..subject
    };
    Ok(Arc::new(result.or_better(search(subject, &folded)?, options.goal)))
}

/// The splits alone, in float.
pub(super) fn run_split_only(
    subject: Subject,
    recipe: &Recipe,
    progress: &Progress,
) -> Result<Option<SplitOnly>, JobError> {
    let ready = subject.ready(recipe, needs(std::slice::from_ref(recipe)), progress)?;
    let plan = ready.plan(recipe, progress)?;
    let Subject { data, float, .. } = &ready.subject;
    Ok(split_only_difference(&ready.network, &plan, data, float, progress)?)
}

/// Splits of activations chosen anew for each batch.
pub(super) fn run_oracle_bound(
    subject: Subject,
    recipe: &Recipe,
    progress: &Progress,
) -> Result<OracleMetrics, JobError> {
    let ready = subject.ready(recipe, needs(std::slice::from_ref(recipe)), progress)?;
    let plan = ready.plan(recipe, progress)?;
    let engine = float_engine(&ready.network)?;
    let Subject { data, float, .. } = &ready.subject;
    let outputs = run_oracle(&ready.network, &engine, &plan, data, float.samples, progress)?;
    Ok(evaluate(float, &outputs, data).into())
}
