//! Where the open network puts what its jobs have brought.

use super::keys::EvaluationKey;
use super::open::OpenNetwork;
use super::work::{Evaluated, Kind, Output};
use std::sync::Arc;
use std::time::Duration;

/// Results of evaluations kept, so that undo shows its numbers at once.
const KEPT: usize = 8;

impl OpenNetwork {
    pub(super) fn kept(&self, key: &EvaluationKey) -> Option<Arc<Evaluated>> {
        self.kept
            .iter()
            .find(|(of, _)| of == key)
            .map(|(_, evaluated)| Arc::clone(evaluated))
    }

    fn keep(&mut self, key: EvaluationKey, evaluated: Arc<Evaluated>) {
        self.kept.retain(|(of, _)| *of != key);
        self.kept.push((key, evaluated));
        if self.kept.len() > KEPT {
            self.kept.remove(0);
        }
    }

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
            Output::LayerView(view) => self.view.finish(view),
            Output::LayerDetails(details) => self.details.finish(details),
            Output::Planned(planned) => self.plan.finish(planned),
            Output::Engine(engine, shapes) => {
                self.engine.finish(engine);
                self.shapes = shapes.map(|shapes| (0, Arc::new(shapes)));
            }
            Output::Data(data, shapes) => {
                if let (Some(shapes), Some(&key)) = (shapes, self.data.running()) {
                    self.shapes = Some((key, Arc::new(shapes)));
                }
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
                    self.keep(key, evaluated);
                }
            }
            Output::Opened(_) | Output::Exported(_) | Output::Recipe(..) => {}
        }
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
            Kind::Open | Kind::Export | Kind::LoadRecipe => {}
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
    }
}
