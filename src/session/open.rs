//! The open network with all that is known of it.

mod data;

use super::against::Against;
use super::analysis::{Analysis, LayerFacts};
use super::choosing::Auto;
use super::comparison::{Comparison, ComparisonKey};
use super::continuation::Continuation;
use super::curves::ErrorCurvesKey;
use super::embedded::recipe_in;
use super::history::History;
use super::kept::Kept;
use super::keys::{CalibrationKey, EvaluationKey, PlanKey, PrepareKey};
use super::layer_details::{LayerDetails, LayerDetailsKey};
use super::layer_view::{LayerView, LayerViewKey};
use super::live::Live;
use super::request::OnRequest;
use super::snapshots::Snapshots;
use super::stage::Stage;
use super::start::start_recipe;
use super::sweeping::Sweep;
use super::trial::Trials;
use super::work::{Evaluated, Planned};
use crate::format::demo::Demo;
use crate::inference::incremental::Incremental;
use crate::inference::{
    AtChance, Calibration, DataOptions, Dataset, Engine, LayerSensitivity, OracleMetrics, Outputs, SplitOnly,
};
use crate::quantization::{Bits, ErrorCurves, LayerSettings, Recipe, ValueShapes};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Results of evaluations kept, so that undo shows its numbers at once.
const KEPT: usize = 8;
/// Weights of a network whose layers are all planned while a person edits the recipe. A plan holds a byte or more of each.
const MOST_PLANNED: u64 = 1 << 28;

/// The open network with all that is known of it.
pub struct OpenNetwork {
    /// As it was opened.
    pub original: Analysis,
    /// Reading of the weights that were not read while opening.
    pub(super) measured: Stage<(), ()>,
    /// What that brings, layer by layer.
    pub(super) arriving: Option<Receiver<(usize, LayerFacts)>>,
    /// The layer to read first: the selected one.
    pub(super) wanted: Arc<AtomicUsize>,
    /// The demo, if it is one.
    pub demo: Option<Demo>,
    pub(super) prepared: Stage<PrepareKey, Analysis>,
    pub(super) recount: Stage<u64, ()>,
    pub(super) history: History<Recipe>,
    pub(super) selected: usize,
    pub(super) range: Option<(f64, f64)>,
    pub(super) view: Stage<LayerViewKey, LayerView>,
    pub(super) details: Stage<LayerDetailsKey, LayerDetails>,
    pub(super) plan: Stage<PlanKey, Planned>,
    pub(super) engine: Stage<(), Arc<Engine>>,
    pub(super) shapes: Option<(u64, Arc<ValueShapes>)>,
    pub(super) data_request: Option<(String, DataOptions)>,
    pub(super) data_opened: Option<(String, DataOptions)>,
    pub(super) data: Stage<u64, Arc<Dataset>>,
    /// Values between the layers on the newest data, from the evaluations before.
    pub(super) between: Option<Arc<Incremental<Arc<Dataset>>>>,
    pub(super) float: Stage<(u64, usize), Arc<Outputs>>,
    pub(super) suggestions: Stage<u64, Option<AtChance>>,
    pub(super) wants_activations: bool,
    pub(super) calibrate_on_data: bool,
    pub(super) calibration: Stage<CalibrationKey, Arc<Calibration>>,
    pub(super) evaluation: Stage<EvaluationKey, Arc<Evaluated>>,
    pub(super) plain: Stage<EvaluationKey, Arc<Evaluated>>,
    pub(super) kept: Kept<EvaluationKey, Arc<Evaluated>>,
    pub(super) curves: Stage<ErrorCurvesKey, ErrorCurves>,
    pub(super) comparison: Stage<ComparisonKey, Comparison>,
    pub(super) sensitivity_asked: bool,
    pub(super) sensitivity: Live<EvaluationKey, LayerSensitivity>,
    pub(super) kept_sensitivity: Kept<EvaluationKey, Vec<LayerSensitivity>>,
    pub(super) split_only: OnRequest<Option<SplitOnly>>,
    pub(super) oracle: OnRequest<OracleMetrics>,
    pub(super) auto: Auto,
    pub(super) sweep: Sweep,
    pub(super) snapshots: Snapshots,
    pub(super) continuation: Continuation,
    pub(super) trials: Trials,
    /// The recipe that the file was exported with.
    pub(super) embedded: Option<Result<Recipe, String>>,
    /// The file to compare with.
    pub(super) other: Option<PathBuf>,
    pub(super) against: Stage<PathBuf, Arc<Against>>,
    /// How long the newest evaluation took.
    pub(super) evaluation_time: Duration,
    /// Counts data requests, so that results of older data are told apart.
    generation: u64,
}

impl OpenNetwork {
    pub(super) fn new(original: Analysis, demo: Option<Demo>) -> Self {
        let selected = original.worst_layer().unwrap_or(0);
        let embedded = recipe_in(&original.network);
        Self {
            original,
            measured: Stage::default(),
            arriving: None,
            wanted: Arc::new(AtomicUsize::new(selected)),
            demo,
            prepared: Stage::default(),
            recount: Stage::default(),
            history: History::new(start_recipe(demo)),
            selected,
            range: None,
            view: Stage::default(),
            details: Stage::default(),
            plan: Stage::default(),
            engine: Stage::default(),
            shapes: None,
            data_request: None,
            data_opened: None,
            data: Stage::default(),
            between: None,
            float: Stage::default(),
            suggestions: Stage::default(),
            wants_activations: false,
            calibrate_on_data: false,
            calibration: Stage::default(),
            evaluation: Stage::default(),
            plain: Stage::default(),
            kept: Kept::new(KEPT),
            curves: Stage::default(),
            comparison: Stage::default(),
            sensitivity_asked: false,
            sensitivity: Live::default(),
            kept_sensitivity: Kept::new(KEPT),
            split_only: OnRequest::default(),
            oracle: OnRequest::default(),
            auto: Auto::default(),
            sweep: Sweep::default(),
            snapshots: Snapshots::default(),
            continuation: Continuation::default(),
            trials: Trials::default(),
            embedded,
            other: None,
            against: Stage::default(),
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

    /// The network prepared as the recipe says: folded, equalized. `None` while that is under way.
    pub fn analysis(&self) -> Option<&Analysis> {
        let key = PrepareKey::of(self.recipe());
        if key.is_nothing() {
            Some(&self.original)
        } else {
            self.prepared.for_key(&key)
        }
    }

    /// What the network still lacks of its preparation.
    pub(super) fn lacks_preparation(&self) -> Option<PrepareKey> {
        let key = PrepareKey::of(self.recipe());
        (!key.is_nothing() && self.prepared.lacks(&key)).then_some(key)
    }

    /// The same, or the network as it was opened while it is being prepared.
    pub fn shown(&self) -> &Analysis {
        self.analysis().unwrap_or(&self.original)
    }

    /// Position of the selected layer; there may be no layer at all.
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// Whether the weights are so many that a plan of all layers would take more memory than a person expects of looking at
    /// a file: then only an export plans them.
    pub fn is_too_large_to_plan(&self) -> bool {
        self.original.weights > MOST_PLANNED
    }

    /// Takes the facts that have arrived. Tells whether there were any.
    pub(super) fn take_arrived(&mut self) -> bool {
        let Some(receiver) = &self.arriving else { return false };
        let arrived: Vec<(usize, LayerFacts)> = receiver.try_iter().collect();
        if arrived.is_empty() {
            return false;
        }
        for (index, facts) in arrived {
            self.original.put(index, facts);
        }
        if let Some(prepared) = self.prepared.latest_mut() {
            prepared.inherit(&self.original);
        }
        true
    }

    /// Facts of the selected layer.
    pub fn selected_facts(&self) -> Option<&LayerFacts> {
        self.shown().layers.get(self.selected)
    }

    /// Name of the selected layer; empty where there is none.
    pub fn selected_name(&self) -> &str {
        let layer = self.original.network.layers.get(self.selected);
        layer.map_or("", |layer| layer.name.as_str())
    }

    /// What the recipe says for a layer.
    pub fn settings(&self, layer: usize) -> LayerSettings {
        self.recipe().settings(&self.shown().network, layer)
    }

    pub(super) fn select(&mut self, layer: usize) {
        let layer = layer.min(self.original.layers.len().saturating_sub(1));
        if layer != self.selected {
            self.selected = layer;
            self.wanted.store(layer, Ordering::Relaxed);
            self.range = None;
        }
    }

    /// What the view of the selected layer should show now.
    pub fn view_key(&self) -> LayerViewKey {
        LayerViewKey {
            layer: self.selected,
            prepared: PrepareKey::of(self.recipe()),
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

    /// Whether the recipe needs to know layer inputs (their ranges or means) that are not known (yet).
    pub fn lacks_calibration(&self) -> bool {
        self.recipe().needs_activations() && self.calibration().is_none()
    }

    /// What the plan should be computed from now: with float activations and biases as they are, as long as nothing is known
    /// of the layers' inputs.
    pub fn plan_key(&self) -> PlanKey {
        let mut recipe = self.recipe().clone();
        if self.lacks_calibration() {
            recipe.activation_bits = Bits::Float;
            recipe.bias_correction = false;
            recipe
                .layers
                .values_mut()
                .for_each(|layer| layer.activation_bits = None);
        }
        let known = self.recipe().needs_activations() && self.calibration().is_some();
        PlanKey {
            recipe,
            calibration: known.then(|| self.calibration_key()),
            shapes: self.shapes.as_ref().map(|(of, _)| *of),
        }
    }

    pub(super) fn request_data(&mut self, path: String, options: DataOptions) {
        self.data_request = Some((path, options));
    }

    /// The number of a new data request.
    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }
}
