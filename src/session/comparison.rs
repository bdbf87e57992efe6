//! The selected layer under two recipes, side by side.

use super::derived::{Derived, Newer, Wanted, Work};
use super::keys::PrepareKey;
use super::layer_view::whole_range;
use super::open::OpenNetwork;
use super::snapshots::Side;
use super::work::{self, Kind};
use crate::jobs::JobError;
use crate::network::Network;
use crate::progress::{Cancelled, Progress};
use crate::quantization::{Grid, Recipe, WeightSettings, plan_layer, prepare, split_weights};
use crate::statistics::{Histogram, histogram};
use std::sync::Arc;

/// Bins of the histograms.
const BINS: usize = 121;

/// What a comparison is computed from: the layer, and for each side what is done to the network and asked of the layer.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonKey {
    /// Position of the layer.
    pub layer: usize,
    /// The two sides.
    pub sides: [(PrepareKey, WeightSettings); 2],
}

/// A layer under two recipes.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The two sides; both histograms cover the same range.
    pub sides: [ComparedLayer; 2],
}

/// A layer under one recipe.
#[derive(Debug, Clone)]
pub struct ComparedLayer {
    /// The weights that are rounded: after splitting, if the layer is split.
    pub histogram: Histogram,
    /// The grid, `None` for a layer that stays float.
    pub grid: Option<Grid>,
}

impl OpenNetwork {
    /// The recipe of a side; `None` for a snapshot that is gone.
    pub fn recipe_of(&self, side: Side) -> Option<&Recipe> {
        match side {
            Side::Present => Some(self.recipe()),
            Side::Snapshot(id) => self.snapshots.get(id).map(|snapshot| &snapshot.recipe),
        }
    }

    fn comparison_key(&self, sides: [Side; 2]) -> Option<ComparisonKey> {
        let of = |side: Side| {
            let recipe = self.recipe_of(side)?;
            let settings = recipe.effective(&self.original.network, self.selected).weights;
            Some((self.prepare_key(recipe), settings))
        };
        Some(ComparisonKey {
            layer: self.selected,
            sides: [of(sides[0])?, of(sides[1])?],
        })
    }

    /// The selected layer under the recipes of both sides, once it is there.
    pub fn comparison(&self, sides: [Side; 2]) -> Option<&Comparison> {
        self.slots.of::<Compared>().for_key(&self.comparison_key(sides)?)
    }

    /// Why there is none.
    pub fn comparison_failure(&self, sides: [Side; 2]) -> Option<&JobError> {
        self.slots.of::<Compared>().failure(&self.comparison_key(sides)?)
    }
}

/// The selected layer under both recipes, while that is in sight.
pub(super) struct Compared;

impl Derived for Compared {
    type Key = ComparisonKey;
    type Value = Comparison;
    const KIND: Kind = Kind::Compare;
    const NEWER: Newer = Newer::Waits;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<ComparisonKey> {
        open.comparison_key(wanted.watched.comparison?)
    }

    fn compute(open: &mut OpenNetwork, key: &ComparisonKey, wanted: &Wanted) -> Option<Work<Comparison>> {
        let layer = open.original.network.layers.get(key.layer)?;
        let title = format!("Comparing {}", layer.name);
        let known = |prepared: PrepareKey| open.prepared_as(prepared).map(|analysis| Arc::clone(&analysis.network));
        let networks = [known(key.sides[0].0), known(key.sides[1].0)];
        let recipe = |side: Side| open.recipe_of(side).cloned().unwrap_or_default();
        let recipes = wanted.watched.comparison?.map(recipe);
        let (original, key) = (Arc::clone(&open.original.network), key.clone());
        Some(Work::new(title, move |progress| {
            let network = |side: usize| match &networks[side] {
                Some(network) => Ok(Arc::clone(network)),
                None => prepare(&original, &recipes[side]).map(Arc::new).map_err(work::failed),
            };
            let weights = [
                Weights::of(&*network(0)?, &key, 0)?,
                Weights::of(&*network(1)?, &key, 1)?,
            ];
            Ok(compare(&weights, progress)?)
        }))
    }
}

/// The weights of one side as they are rounded.
struct Weights {
    values: Vec<f32>,
    grid: Option<Grid>,
}

impl Weights {
    fn of(network: &Network, key: &ComparisonKey, side: usize) -> Result<Self, JobError> {
        let values = network.weights(key.layer).map_err(work::failed)?;
        let (layer, settings) = (&network.layers[key.layer], &key.sides[side].1);
        if settings.bits.grid().is_none() || !layer.support.can_quantize() {
            return Ok(Self {
                values: values.to_vec(),
                grid: None,
            });
        }
        let quantized = plan_layer(&values, &layer.layout, settings);
        Ok(Self {
            values: split_weights(&values, &layer.layout, settings, &quantized).values,
            grid: Some(quantized.grid),
        })
    }
}

fn compare(weights: &[Weights; 2], progress: &Progress) -> Result<Comparison, Cancelled> {
    progress.check()?;
    let largest = weights.iter().flat_map(|side| &side.values);
    let largest = largest.fold(0.0_f32, |most, x| if x.is_finite() { most.max(x.abs()) } else { most });
    let (low, high) = whole_range(largest);
    let side = |weights: &Weights| ComparedLayer {
        histogram: histogram(&weights.values, low, high, BINS),
        grid: weights.grid,
    };
    Ok(Comparison {
        sides: [side(&weights[0]), side(&weights[1])],
    })
}
