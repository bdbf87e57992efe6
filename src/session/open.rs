//! The open network with all that is known of it.

mod data;

use super::analysis::{Analysis, LayerFacts};
use super::cards::Cards;
use super::continuation::Prompt;
use super::derived::Slots;
use super::embedded::recipe_in;
use super::exported::Exported;
use super::history::History;
use super::keys::{CalibrationChoice, PlanKey, PrepareKey};
use super::layer_view::{LayerView, LayerViewKey, Viewed};
use super::made_up::MadeUp;
use super::remembered::Identity;
use super::saved::usual_tokens;
use super::snapshots::Snapshots;
use super::start::start_recipe;
use super::sweeping::Sweep;
use super::trial::Trials;
use super::weights::{Planning, Prepared};
use super::work::{DataRequest, Planned};
use crate::format::demo::Demo;
use crate::inference::auto::AutoOptions;
use crate::inference::incremental::Incremental;
use crate::inference::{DataOptions, Dataset, TextWriter};
use crate::jobs::{Foreground, JobError};
use crate::network::Network;
use crate::quantization::{Bits, LayerSettings, Plan, Recipe, RecipeError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Weights of a network whose layers are all planned while a person edits the recipe. A plan holds a byte or more of each.
const MOST_PLANNED: u64 = 1 << 28;

/// The open network with all that is known of it.
pub struct OpenNetwork {
    /// As it was opened.
    pub original: Analysis,
    /// The demo, if it is one.
    pub demo: Option<Demo>,
    /// All that is derived from it by jobs.
    pub(super) slots: Slots,
    pub(super) cards: Cards,
    /// The layer to read first: the selected one.
    pub(super) wanted: Arc<AtomicUsize>,
    pub(super) history: History<Recipe>,
    pub(super) selected: usize,
    pub(super) range: Option<(f64, f64)>,
    /// The data that were asked for last.
    pub(super) data_wanted: Option<DataRequest>,
    /// Values between the layers on the newest data, from the evaluations before.
    pub(super) between: Option<Arc<Incremental<Arc<Dataset>>>>,
    pub(super) wants_activations: bool,
    pub(super) calibration_choice: CalibrationChoice,
    /// Counts the choices, so that one calibration set is told from another.
    pub(super) calibration_choices: u64,
    /// What work in the background gives way to.
    pub(super) foreground: Foreground,
    /// What it is judged on without data.
    pub(super) made_up: MadeUp,
    /// Which model it is, so that what belongs to it comes back with it.
    pub(super) identity: Option<Identity>,
    /// What was last asked of the search for settings, and the recipe of that moment.
    pub(super) auto_wanted: Option<(AutoOptions, Recipe)>,
    /// The share of bytes that fixes may add, as it was last asked for.
    pub(super) mend_within: Option<f64>,
    /// The last export, as it began and as it ended.
    pub(super) exporting: Option<Exported>,
    pub(super) exported: Option<Exported>,
    pub(super) sweep: Sweep,
    pub(super) snapshots: Snapshots,
    pub(super) prompt: Option<Prompt>,
    /// The float network that goes on from texts, once it was asked for.
    pub(super) float_writer: Arc<Mutex<Option<Arc<TextWriter>>>>,
    pub(super) trials: Trials,
    /// The recipe that the file was exported with.
    pub(super) embedded: Option<Result<Recipe, RecipeError>>,
    /// The file to compare with.
    pub(super) other: Option<PathBuf>,
    /// How long the newest evaluation took.
    pub(super) evaluation_time: Duration,
    /// Tokens that it is evaluated on where nobody says how many.
    pub(super) usual_tokens: usize,
}

impl OpenNetwork {
    pub(super) fn new(original: Analysis, demo: Option<Demo>) -> Self {
        let selected = original.worst_layer().unwrap_or(0);
        let embedded = recipe_in(&original.network);
        let usual_tokens = usual_tokens(original.network.parameters());
        Self {
            original,
            demo,
            slots: Slots::default(),
            cards: Cards::NONE,
            wanted: Arc::new(AtomicUsize::new(selected)),
            history: History::new(start_recipe(demo)),
            selected,
            range: None,
            data_wanted: None,
            between: None,
            wants_activations: false,
            calibration_choice: CalibrationChoice::default(),
            calibration_choices: 0,
            foreground: Foreground::default(),
            made_up: MadeUp::default(),
            identity: None,
            auto_wanted: None,
            mend_within: None,
            exporting: None,
            exported: None,
            sweep: Sweep::default(),
            snapshots: Snapshots::default(),
            prompt: None,
            float_writer: Arc::default(),
            trials: Trials::default(),
            embedded,
            other: None,
            evaluation_time: Duration::ZERO,
            usual_tokens,
        }
    }

    /// The current recipe.
    pub fn recipe(&self) -> &Recipe {
        self.history.present()
    }

    /// The history of recipes.
    pub fn history(&self) -> &History<Recipe> {
        &self.history
    }

    /// The network prepared as the recipe says: folded, equalized. `None` while that is under way.
    pub fn analysis(&self) -> Option<&Analysis> {
        self.prepared_as(self.prepare_key(self.recipe()))
    }

    /// The network prepared in that way; `None` where that was not done.
    pub(super) fn prepared_as(&self, key: PrepareKey) -> Option<&Analysis> {
        if key.is_nothing() {
            Some(&self.original)
        } else {
            self.slots.of::<Prepared>().for_key(&key)
        }
    }

    /// The same, or the network as it was opened while it is being prepared.
    pub fn shown(&self) -> &Analysis {
        self.analysis().unwrap_or(&self.original)
    }

    /// How [`OpenNetwork::shown`] is prepared.
    pub(super) fn shown_as(&self) -> PrepareKey {
        let key = self.prepare_key(self.recipe());
        if self.prepared_as(key).is_some() {
            key
        } else {
            PrepareKey::NOTHING
        }
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

    /// What of that a layer can do.
    pub fn effective(&self, layer: usize) -> LayerSettings {
        self.recipe().effective(&self.shown().network, layer)
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
        let settings = self.effective(self.selected);
        let asks = settings.weights.rounding.needs_moments() && self.calibration().is_some();
        LayerViewKey {
            layer: self.selected,
            prepared: self.prepare_key(self.recipe()),
            settings,
            moments: asks.then(|| self.calibration_key()),
            plan: (asks && self.recipe().plans_in_sequence() && self.current_plan().is_some()).then(|| self.plan_key()),
            range: self.range,
        }
    }

    /// The newest view of the selected layer, maybe of slightly older settings; `None` until there is one.
    pub fn view(&self) -> Option<(&LayerViewKey, &LayerView)> {
        let view = self.slots.of::<Viewed>().latest();
        view.filter(|(key, _)| key.layer == self.selected)
    }

    /// Why the selected layer cannot be shown.
    pub fn view_failure(&self) -> Option<&JobError> {
        self.slots.of::<Viewed>().failure(&self.view_key())
    }

    /// The newest plan and the inputs it is for, maybe of a slightly older recipe.
    pub fn planned(&self) -> Option<(&PlanKey, &Planned)> {
        self.slots.of::<Planning>().latest()
    }

    /// Why the present recipe cannot be planned.
    pub fn plan_failure(&self) -> Option<&JobError> {
        self.slots.of::<Planning>().failure(&self.plan_key())
    }

    /// The network under the current recipe, once it is prepared, its inputs are known and it is planned.
    pub(super) fn current_plan(&self) -> Option<(Arc<Network>, Arc<Plan>)> {
        if self.lacks_calibration() {
            return None;
        }
        let planned = self.slots.of::<Planning>().for_key(&self.plan_key())?;
        Some((Arc::clone(&self.analysis()?.network), Arc::clone(&planned.plan)))
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
            shapes: self.shapes_with_key().map(|(of, _)| of),
        }
    }

    /// Other data are wanted; the same ones again are read anew.
    pub(super) fn request_data(&mut self, path: String, options: DataOptions) {
        let before = self.data_wanted.as_ref().map_or(0, |wanted| wanted.number);
        self.data_wanted = Some(DataRequest {
            number: before + 1,
            path,
            options,
        });
    }
}
