//! The order of layers by what quantizing each costs: made in the background as soon as the network can be run.
//!
//! On the first samples of the open data; without data on inputs that are made up, which is called an estimate. It is made
//! after the evaluation of the recipe and gives way to all other jobs; layers come one by one.

use super::derived::{Derived, Wanted, Work, rows};
use super::keys::CalibrationSource;
use super::open::OpenNetwork;
use super::running::QuantizedRun;
use super::work::{Kind, NOISE};
use crate::inference::{DataOptions, InferenceError, LayerSensitivity, OrderBasis, most_ranked, order_on_data};
use crate::jobs::JobError;
use crate::quantization::{Plan, Recipe};
use std::sync::Arc;

/// What an order is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderKey {
    /// The recipe.
    pub recipe: Recipe,
    /// The data: where they are, how they are read, how many; `None` without any.
    pub data: Option<(String, DataOptions, usize)>,
    /// Where the ranges of layer inputs come from, if the recipe needs them.
    pub calibration: Option<CalibrationSource>,
}

/// The order of layers as far as it is known.
#[derive(Debug, Clone)]
pub struct LayerOrder<'a> {
    /// On what it was found; `None` as long as nothing is known.
    pub basis: Option<OrderBasis>,
    /// By position of the layer; `None` for layers that stay float, and for those that are still to come.
    pub costs: Vec<Option<&'a LayerSensitivity>>,
    /// The plan, where the network is too deep to run each layer by itself and those that are run are known.
    pub plan_of_some: Option<&'a Plan>,
    /// Whether all of it is for the current recipe and data.
    pub is_current: bool,
    /// Largest [`LayerSensitivity::output_error`] of any layer.
    pub max_error: f64,
}

impl LayerOrder<'_> {
    /// Error of the outputs that a layer makes by itself, as a share of what the worst layer makes: 1 for the worst. This is the
    /// length of its bar. `None` where it has no error that is known.
    pub fn share_of_worst(&self, layer: usize) -> Option<f64> {
        let cost = (*self.costs.get(layer)?)?;
        (self.max_error > 0.0).then(|| cost.output_error() / self.max_error)
    }

    /// Whether a layer is quantized and not run by itself: see [`most_ranked`].
    pub fn leaves_out(&self, layer: usize) -> bool {
        let planned = self.plan_of_some.and_then(|plan| plan.layers.get(layer));
        self.costs.get(layer) == Some(&None) && planned.is_some_and(|planned| planned.inputs().is_some())
    }

    /// Positions of the layers, the one that hurts most first; those without a known cost are left out.
    pub fn worst_first(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.costs.len())
            .filter(|layer| self.costs[*layer].is_some())
            .collect();
        let error = |layer: usize| self.costs[layer].map_or(0.0, LayerSensitivity::output_error);
        order.sort_by(|one, other| error(*other).total_cmp(&error(*one)));
        order
    }
}

impl OpenNetwork {
    pub(super) fn order_key(&self) -> OrderKey {
        // Of noise nothing is known: other inputs are the better estimate.
        let data = self.data_read().filter(|read| read.path != NOISE);
        OrderKey {
            recipe: self.recipe().clone(),
            data: data.map(|read| (read.path.clone(), read.options.clone(), read.data.len())),
            calibration: self.recipe().needs_activations().then(|| self.calibration_source()),
        }
    }

    /// Whether layers can be run one at a time now.
    pub(super) fn can_be_ranked(&self) -> bool {
        self.engine().is_some() && !self.awaits_data() && !self.is_too_large_to_plan()
    }

    /// Whether the recipe itself was run, which comes first, or nothing can be had of that.
    pub(super) fn was_evaluated(&self, limit: usize) -> bool {
        let run = self.slots.of::<QuantizedRun>();
        (self.evaluation_key(limit)).is_none_or(|key| run.for_key(&key).is_some() || run.failure(&key).is_some())
    }

    /// The order of layers by what quantizing each costs, as far as it is known by now: see [`LayerSensitivity::accuracy_lost`].
    /// Layers that are still to come have the cost that they had under the recipe before. Made anew at each call: once a frame.
    pub fn layer_order(&self) -> LayerOrder<'_> {
        let slot = self.slots.of::<Ordered>();
        let mut costs = vec![None; self.original.network.layers.len()];
        let before = slot.latest().map(|(_, rows)| rows.as_slice()).unwrap_or_default();
        for row in before.iter().chain(slot.rows()) {
            if let Some(place) = costs.get_mut(row.layer) {
                *place = Some(row);
            }
        }
        let basis = slot.of().map(|key| match key.data {
            Some(_) => OrderBasis::Data,
            None => OrderBasis::Estimate,
        });
        let errors = costs.iter().flatten().map(|row| row.output_error());
        let is_current = slot.is_complete() && slot.of() == Some(&self.order_key());
        LayerOrder {
            basis,
            is_current,
            plan_of_some: (self.planned())
                .filter(|_| is_current && most_ranked(costs.len()) < costs.len())
                .map(|(_, planned)| &*planned.plan),
            max_error: errors.filter(|error| error.is_finite()).fold(0.0, f64::max),
            costs,
        }
    }

    /// Why there is no order of layers under the current recipe.
    pub fn layer_order_failure(&self) -> Option<&JobError> {
        self.slots.of::<Ordered>().failure(&self.order_key())
    }
}

/// The cost of each layer, in the network's order.
pub(super) struct Ordered;

impl Derived for Ordered {
    type Key = OrderKey;
    type Value = Vec<LayerSensitivity>;
    const KIND: Kind = Kind::LayerOrder;
    const BACKGROUND: bool = true;
    const KEPT: usize = 8;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<OrderKey> {
        open.can_be_ranked().then(|| open.order_key())
    }

    fn compute(open: &mut OpenNetwork, key: &OrderKey, wanted: &Wanted) -> Option<Work<Vec<LayerSensitivity>>> {
        let (network, _) = open.current_plan().filter(|_| open.was_evaluated(wanted.limit))?;
        let (engine, recipe) = (open.engine()?, key.recipe.clone());
        let data = open.data().filter(|_| key.data.is_some()).cloned();
        let calibration = open.calibration().filter(|_| recipe.needs_activations()).cloned();
        let (rows, foreground) = (rows::<Self, LayerSensitivity>(open), open.foreground.clone());
        let (made_up, original) = (open.made_up.clone(), Arc::clone(&open.original.network));
        Some(Work::new("Ranking layers", move |progress| {
            foreground.let_pass(progress)?;
            let activations = calibration.as_deref().map(|calibration| &calibration.activations);
            let settings = (&recipe, activations);
            let mut on_row = |row: &LayerSensitivity| -> Result<(), InferenceError> {
                rows.send(row.clone());
                Ok(foreground.let_pass(progress)?)
            };
            let data = match data {
                Some(data) => data,
                None => {
                    let mut give_way = || Ok(foreground.let_pass(progress)?);
                    made_up.data(&original, &engine, &mut give_way, &progress.part())?
                }
            };
            Ok(order_on_data(
                &network,
                &engine,
                &data,
                settings,
                progress,
                &mut on_row,
            )?)
        }))
    }
}
