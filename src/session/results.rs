//! Where the open network puts what its jobs have brought.

use super::discard::discard;
use super::keys::PlanKey;
use super::open::OpenNetwork;
use super::snapshots::PlanSummary;
use super::work::{Kind, Output, Planned};
use crate::inference::Dataset;
use crate::inference::incremental::Incremental;
use crate::quantization::Recipe;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of values between the layers that are kept from one evaluation to the next.
const MOST_BETWEEN: usize = Incremental::<Arc<Dataset>>::MOST_BYTES;

impl OpenNetwork {
    /// Takes the result of a job.
    pub(super) fn take(&mut self, kind: Kind, output: Output, elapsed: Duration) {
        match output {
            Output::Measured => {
                self.measured.finish(());
                self.arriving = None;
            }
            Output::Prepared(mut analysis) => {
                // Weights may have been read while this was on its way.
                analysis.inherit(&self.original);
                self.prepared.finish(analysis);
            }
            Output::Recounted(original, prepared) => {
                self.original = original;
                if let Some((key, analysis)) = prepared {
                    self.prepared.put(key, analysis);
                }
                self.recount.finish(());
            }
            Output::LayerView(view) => discard(self.view.exchange(view)),
            Output::LayerDetails(details) => discard(self.details.exchange(details)),
            Output::Planned(planned) => discard(self.plan.exchange(planned)),
            Output::Engine(engine, shapes) => {
                self.engine.finish(engine);
                self.shapes = shapes.map(|shapes| (0, Arc::new(shapes)));
            }
            Output::Data(data, shapes) => {
                if let (Some(shapes), Some(&key)) = (shapes, self.data.running()) {
                    self.shapes = Some((key, Arc::new(shapes)));
                }
                // What is known between the layers is of the samples before.
                self.between = Some(Arc::new(Incremental::new(Arc::clone(&data), MOST_BETWEEN)));
                self.data.finish(data);
            }
            Output::FloatOutputs(outputs) => self.float.finish(outputs),
            Output::Suggested(suggested) => self.suggestions.finish(suggested),
            Output::Calibrated(calibration) => self.calibration.finish(calibration),
            Output::Evaluated(evaluated) => {
                let plain = kind == Kind::EvaluatePlain;
                let stage = if plain { &mut self.plain } else { &mut self.evaluation };
                let key = stage.running().cloned();
                stage.finish(Arc::clone(&evaluated));
                if !plain {
                    self.evaluation_time = elapsed;
                }
                if let Some(key) = key {
                    self.kept.put(key, evaluated);
                }
            }
            Output::ErrorCurves(curves) => self.curves.finish(curves),
            Output::Compared(comparison) => self.comparison.finish(comparison),
            Output::Against(against) => self.against.finish(against),
            Output::SplitOnly(found) => self.split_only.finish(found),
            Output::Auto(result) => self.auto.finish(result),
            Output::Oracle(metrics) => self.oracle.finish(metrics),
            Output::Tried(data, float) => self.trials.take(data, float),
            Output::TriedQuantized(answers) => self.trials.quantized.finish(answers),
            Output::AllRows if kind == Kind::Sweep => self.sweep.finish(),
            Output::AllRows if kind == Kind::ContinueFloat => self.continuation.float.finish(),
            Output::AllRows if kind == Kind::ContinueQuantized => self.continuation.quantized.finish(),
            Output::AllRows => {
                self.sensitivity.finish();
                if let Some(key) = self.sensitivity.of() {
                    self.kept_sensitivity.put(key.clone(), self.sensitivity.rows().to_vec());
                }
            }
            Output::Opened(_) | Output::Exported(_) | Output::Recipe(..) | Output::Presets(..) => {}
        }
    }

    /// Takes the rows that running jobs have brought; tells whether there were any.
    pub(super) fn drain(&mut self) -> bool {
        let more = [self.sensitivity.drain(), self.sweep.drain(), self.continuation.drain()];
        more.contains(&true)
    }

    /// Gives snapshots the results that have come since they were taken.
    pub(super) fn complete_snapshots(&mut self, limit: usize) {
        let Some((data, _)) = self.data_with_key() else {
            let plan = self.plan.latest();
            self.snapshots.complete(|recipe| planned(plan, recipe), None, |_| None);
            return;
        };
        let (plan, kept) = (self.plan.latest(), &self.kept);
        let evaluated = |recipe: &Recipe| {
            let found = kept.find(|key| (&key.recipe, key.data, key.limit) == (recipe, data, limit))?;
            Some(found.evaluation.clone())
        };
        self.snapshots
            .complete(|recipe| planned(plan, recipe), Some((data, limit)), evaluated);
    }

    /// A job has failed.
    pub(super) fn fail(&mut self, kind: Kind, reason: &str) {
        let reason = reason.to_owned();
        match kind {
            Kind::Measure => self.measured.fail(reason),
            Kind::Prepare => self.prepared.fail(reason),
            Kind::Recount => self.recount.fail(reason),
            Kind::LayerView => self.view.fail(reason),
            Kind::LayerDetails => self.details.fail(reason),
            Kind::Plan => self.plan.fail(reason),
            Kind::Engine => self.engine.fail(reason),
            Kind::LoadData => self.data.fail(reason),
            Kind::FloatOutputs => self.float.fail(reason),
            Kind::Suggest => self.suggestions.fail(reason),
            Kind::Calibrate => self.calibration.fail(reason),
            Kind::Evaluate => self.evaluation.fail(reason),
            Kind::EvaluatePlain => self.plain.fail(reason),
            Kind::ErrorCurves => self.curves.fail(reason),
            Kind::Compare => self.comparison.fail(reason),
            Kind::Difference => self.against.fail(reason),
            Kind::Sensitivity => self.sensitivity.fail(reason),
            Kind::SplitOnly => self.split_only.fail(reason),
            Kind::Auto => self.auto.fail(reason),
            Kind::Oracle => self.oracle.fail(reason),
            Kind::ContinueFloat => self.continuation.float.fail(reason),
            Kind::ContinueQuantized => self.continuation.quantized.fail(reason),
            Kind::Trial => self.trials.drop_reading(),
            Kind::TrialQuantized => self.trials.quantized.fail(reason),
            Kind::Sweep => self.sweep.fail(reason),
            Kind::Open
            | Kind::Export
            | Kind::LoadRecipe
            | Kind::SaveSweep
            | Kind::ListPresets
            | Kind::ChangePresets => {}
        }
    }

    /// Lets everything that failed be tried again.
    pub(super) fn forgive(&mut self) {
        self.measured.forgive();
        self.prepared.forgive();
        self.view.forgive();
        self.details.forgive();
        self.plan.forgive();
        self.engine.forgive();
        self.float.forgive();
        self.calibration.forgive();
        self.evaluation.forgive();
        self.plain.forgive();
        self.curves.forgive();
        self.comparison.forgive();
        self.trials.quantized.forgive();
        self.continuation.forgive();
        self.against.forgive();
    }
}

/// The numbers of the newest plan, if it is for `recipe`.
fn planned(newest: Option<(&PlanKey, &Planned)>, recipe: &Recipe) -> Option<Arc<PlanSummary>> {
    let (key, planned) = newest?;
    (key.recipe == *recipe).then(|| Arc::clone(&planned.summary))
}
