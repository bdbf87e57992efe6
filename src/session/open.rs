//! The open network with all that is known of it.

use super::analysis::{Analysis, LayerFacts};
use super::history::History;
use super::layer_view::{LayerView, LayerViewKey};
use super::stage::Stage;
use super::start::{plain, start_recipe};
use super::work::{Evaluated, Kind, Output, Planned};
use crate::format::demo::Demo;
use crate::inference::{Calibration, DataOptions, Dataset, Engine, Outputs};
use crate::quantization::{Bits, LayerSettings, Recipe, ValueShapes};
use std::sync::Arc;
use std::time::Duration;

/// What a plan is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanKey {
    /// The recipe; with float activations while their ranges are unknown.
    pub recipe: Recipe,
    /// Which calibration.
    pub calibration: Option<u64>,
    /// Whether shapes are known, and from which data.
    pub shapes: Option<u64>,
}

/// What an evaluation is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationKey {
    /// The recipe.
    pub recipe: Recipe,
    /// Which data.
    pub data: u64,
    /// Samples at most.
    pub limit: usize,
}

/// Results of evaluations kept, so that undo shows its numbers at once.
const KEPT: usize = 8;

/// How far the running of the network has come.
#[derive(Debug, Clone, PartialEq)]
pub enum RunState {
    /// It can't be run; the reason.
    CannotRun(String),
    /// No data are open.
    NoData,
    /// Something is under way that must come first.
    Waiting,
    /// The present recipe could not be run; the reason.
    Failed(String),
    /// The result for the present recipe is there.
    Done,
}

/// The open network with all that is known of it.
pub struct OpenNetwork {
    /// As it was opened.
    pub original: Analysis,
    /// The demo, if it is one.
    pub demo: Option<Demo>,
    pub(super) folded: Stage<(), Analysis>,
    pub(super) recount: Stage<u64, ()>,
    pub(super) history: History<Recipe>,
    pub(super) selected: usize,
    pub(super) range: Option<(f64, f64)>,
    pub(super) view: Stage<LayerViewKey, LayerView>,
    pub(super) plan: Stage<PlanKey, Planned>,
    pub(super) engine: Stage<(), Arc<Engine>>,
    pub(super) shapes: Option<(u64, Arc<ValueShapes>)>,
    pub(super) data_request: Option<(String, DataOptions)>,
    pub(super) data: Stage<u64, Arc<Dataset>>,
    pub(super) float: Stage<(u64, usize), Arc<Outputs>>,
    pub(super) wants_activations: bool,
    pub(super) calibration: Stage<u64, Arc<Calibration>>,
    pub(super) evaluation: Stage<EvaluationKey, Arc<Evaluated>>,
    pub(super) plain: Stage<EvaluationKey, Arc<Evaluated>>,
    pub(super) kept: Vec<(EvaluationKey, Arc<Evaluated>)>,
    /// How long the newest evaluation took.
    pub(super) evaluation_time: Duration,
    /// Counts data requests, so that results of older data are told apart.
    generation: u64,
}

impl OpenNetwork {
    pub(super) fn new(original: Analysis, demo: Option<Demo>) -> Self {
        let selected = original.worst_layer().unwrap_or(0);
        Self {
            original,
            demo,
            folded: Stage::default(),
            recount: Stage::default(),
            history: History::new(start_recipe(demo)),
            selected,
            range: None,
            view: Stage::default(),
            plan: Stage::default(),
            engine: Stage::default(),
            shapes: None,
            data_request: None,
            data: Stage::default(),
            float: Stage::default(),
            wants_activations: false,
            calibration: Stage::default(),
            evaluation: Stage::default(),
            plain: Stage::default(),
            kept: Vec::new(),
            evaluation_time: Duration::ZERO,
            generation: 0,
        }
    }

    /// The present recipe.
    pub fn recipe(&self) -> &Recipe {
        self.history.present()
    }

    /// The history of recipes.
    pub fn history(&self) -> &History<Recipe> {
        &self.history
    }

    /// The network that the recipe asks for: batch-norm folded or not. `None` while it is being folded.
    pub fn analysis(&self) -> Option<&Analysis> {
        if self.recipe().fold_batch_norm {
            self.folded.for_key(&())
        } else {
            Some(&self.original)
        }
    }

    /// The same, or the network as it was opened while it is being folded.
    pub fn shown(&self) -> &Analysis {
        self.analysis().unwrap_or(&self.original)
    }

    /// Position of the selected layer; there may be no layer at all.
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// Facts of the selected layer.
    pub fn selected_facts(&self) -> Option<&LayerFacts> {
        self.shown().layers.get(self.selected)
    }

    /// What the recipe says for a layer.
    pub fn settings(&self, layer: usize) -> LayerSettings {
        self.recipe().settings(&self.shown().network, layer)
    }

    pub(super) fn select(&mut self, layer: usize) {
        let layer = layer.min(self.original.layers.len().saturating_sub(1));
        if layer != self.selected {
            self.selected = layer;
            self.range = None;
        }
    }

    /// What the view of the selected layer should show now.
    pub fn view_key(&self) -> LayerViewKey {
        LayerViewKey {
            layer: self.selected,
            folded: self.recipe().fold_batch_norm,
            settings: self.settings(self.selected),
            range: self.range,
        }
    }

    /// The newest view of the selected layer, maybe of slightly older settings; `None` until there is one.
    pub fn view(&self) -> Option<(&LayerViewKey, &LayerView)> {
        self.view.latest().filter(|(key, _)| key.layer == self.selected)
    }

    /// Why the selected layer cannot be shown.
    pub fn view_failure(&self) -> Option<&str> {
        self.view.failure(&self.view_key())
    }

    /// The newest plan and the inputs it is for, maybe of a slightly older recipe.
    pub fn planned(&self) -> Option<(&PlanKey, &Planned)> {
        self.plan.latest()
    }

    /// Why the present recipe cannot be planned.
    pub fn plan_failure(&self) -> Option<&str> {
        self.plan.failure(&self.plan_key())
    }

    /// Whether the recipe puts any activation on a grid.
    pub fn quantizes_activations(&self) -> bool {
        self.recipe().quantizes_activations()
    }

    /// Whether the recipe wants activations on a grid whose ranges are not known (yet).
    pub fn lacks_calibration(&self) -> bool {
        self.quantizes_activations() && self.calibration().is_none()
    }

    /// What the plan should be computed from now: with float activations as long as their ranges are unknown.
    pub fn plan_key(&self) -> PlanKey {
        let mut recipe = self.recipe().clone();
        if self.lacks_calibration() {
            recipe.activation_bits = Bits::Float;
            recipe
                .layers
                .values_mut()
                .for_each(|layer| layer.activation_bits = None);
        }
        let calibrated = self
            .quantizes_activations()
            .then(|| self.calibration.latest().map(|(key, _)| *key));
        PlanKey {
            recipe,
            calibration: calibrated.flatten(),
            shapes: self.shapes.as_ref().map(|(of, _)| *of),
        }
    }

    /// The data, with the number of their request.
    pub(super) fn data_with_key(&self) -> Option<(u64, &Arc<Dataset>)> {
        self.data.latest().map(|(key, data)| (*key, data))
    }

    /// The open data.
    pub fn data(&self) -> Option<&Arc<Dataset>> {
        self.data_with_key().map(|(_, data)| data)
    }

    /// Ranges and histograms of layer inputs, for the open data.
    pub fn calibration(&self) -> Option<&Arc<Calibration>> {
        let (key, _) = self.data_with_key()?;
        self.calibration.for_key(&key)
    }

    /// Why there are none.
    pub fn calibration_failure(&self) -> Option<&str> {
        let (key, _) = self.data_with_key()?;
        self.calibration.failure(&key)
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

    pub(super) fn evaluation_key(&self, limit: usize) -> Option<EvaluationKey> {
        let (data, _) = self.data_with_key()?;
        Some(EvaluationKey {
            recipe: self.recipe().clone(),
            data,
            limit,
        })
    }

    /// How far the running of the present recipe has come, for `limit` samples.
    pub fn run_state(&self, limit: usize) -> RunState {
        if let Some(reason) = self
            .original
            .network
            .why_not_runnable
            .as_deref()
            .or_else(|| self.engine.failure(&()))
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
            .or_else(|| self.folded.failure(&()))
            .or_else(|| self.plan_failure());
        let failure = failure.or_else(|| self.calibration_failure().filter(|_| self.quantizes_activations()));
        failure.map_or(RunState::Waiting, |reason| RunState::Failed(reason.to_owned()))
    }

    pub(super) fn request_data(&mut self, path: String, options: DataOptions) {
        self.data_request = Some((path, options));
    }

    /// The number of a new data request.
    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

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
            Output::Folded(analysis) => self.folded.finish(analysis),
            Output::Recounted(original, folded) => {
                self.original = original;
                if let Some(folded) = folded {
                    self.folded.put((), folded);
                }
                self.recount.finish(());
            }
            Output::LayerView(view) => self.view.finish(view),
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
            Kind::Fold => self.folded.fail(reason),
            Kind::Recount => self.recount.fail(reason),
            Kind::LayerView => self.view.fail(reason),
            Kind::Plan => self.plan.fail(reason),
            Kind::Engine => self.engine.fail(reason),
            Kind::LoadData => self.data.fail(reason),
            Kind::FloatOutputs => self.float.fail(reason),
            Kind::Calibrate => self.calibration.fail(reason),
            Kind::Evaluate => self.evaluation.fail(reason),
            Kind::EvaluatePlain => self.plain.fail(reason),
            Kind::Open | Kind::Export | Kind::LoadRecipe => {}
        }
    }

    /// Lets everything that failed be tried again.
    pub(super) fn forgive(&mut self) {
        self.folded.forgive();
        self.view.forgive();
        self.plan.forgive();
        self.engine.forgive();
        self.float.forgive();
        self.calibration.forgive();
        self.evaluation.forgive();
        self.plain.forgive();
    }
}
