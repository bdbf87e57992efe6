//! Settings kept under a name with what they gave, to be compared and taken up again.

use crate::inference::Evaluation;
use crate::quantization::{Bits, Outcome, Overhead, Plan, Recipe};
use std::sync::Arc;

/// Snapshots kept.
const MOST: usize = 12;

/// One side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The present recipe.
    Present,
    /// A snapshot.
    Snapshot(u64),
}

/// Named settings with their results.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Tells snapshots apart.
    pub id: u64,
    /// What a person calls it.
    pub name: String,
    /// The settings.
    pub recipe: Recipe,
    /// What they make of the layers; `None` until they were planned.
    pub planned: Option<Arc<PlanSummary>>,
    /// What the network answers on the open data; `None` until it was run on them.
    pub evaluation: Option<Evaluation>,
    /// The data and the number of samples that `evaluation` is for.
    pub(super) measured_on: Option<(u64, usize)>,
}

/// A plan in a few numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanSummary {
    /// One entry a layer, `None` for those that stay float.
    pub layers: Vec<Option<LayerSummary>>,
    /// Parameters as a ratio to the original network.
    pub weights: f64,
    /// Multiply-accumulates as a ratio, if shapes are known.
    pub macs: Option<f64>,
    /// Bytes of all parameters.
    pub bytes: u64,
}

impl PlanSummary {
    /// Signal to noise of a layer's weights, decibels; `None` where it stays float.
    pub fn sqnr_db(&self, layer: usize) -> Option<f64> {
        self.layers.get(layer)?.map(|layer| layer.sqnr_db)
    }
}

/// A quantized layer in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerSummary {
    /// Bits of the weights.
    pub bits: Bits,
    /// Channels added.
    pub splits: usize,
    /// Where the grid ends.
    pub threshold: f32,
    /// Signal to noise of the weights, decibels.
    pub sqnr_db: f64,
}

impl PlanSummary {
    /// The numbers of a plan and of its cost.
    pub(super) fn of(plan: &Plan, overhead: &Overhead) -> Self {
        let layer = |outcome: &Outcome| match outcome {
            Outcome::Float(_) | Outcome::Expanded(_) => None,
            Outcome::Quantized(layer) => Some(LayerSummary {
                bits: Bits::Grid(layer.grid.bits),
                splits: layer.splits.len(),
                threshold: layer.threshold,
                sqnr_db: layer.sqnr_db,
            }),
        };
        Self {
            layers: plan.layers.iter().map(|planned| layer(&planned.outcome)).collect(),
            weights: overhead.weights,
            macs: overhead.macs,
            bytes: overhead.bytes.quantized,
        }
    }
}

/// All snapshots of the open network, oldest first.
#[derive(Debug, Default)]
pub struct Snapshots {
    list: Vec<Snapshot>,
    next_id: u64,
}

impl Snapshots {
    /// Keeps `recipe` under a name (without one: the first letter that is free). The oldest goes when there are too many.
    pub(super) fn take(&mut self, name: &str, recipe: Recipe) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let name = match name.trim() {
            "" => self.free_letter(),
            name => name.to_owned(),
        };
        self.list.push(Snapshot {
            id,
            name,
            recipe,
            planned: None,
            evaluation: None,
            measured_on: None,
        });
        if self.list.len() > MOST {
            self.list.remove(0);
        }
        id
    }

    /// The same where other data will be opened, whose numbers are counted from the start again: results are of the old ones.
    pub(super) fn of_other_data(mut self) -> Self {
        for snapshot in &mut self.list {
            (snapshot.evaluation, snapshot.measured_on) = (None, None);
        }
        self
    }

    fn free_letter(&self) -> String {
        let taken = |letter: &String| self.list.iter().any(|snapshot| snapshot.name == *letter);
        let mut letters = ('A'..='Z').map(String::from);
        letters
            .find(|letter| !taken(letter))
            .unwrap_or_else(|| format!("{}", self.next_id))
    }

    pub(super) fn rename(&mut self, id: u64, name: &str) {
        let name = name.trim();
        if let Some(snapshot) = self.list.iter_mut().find(|snapshot| snapshot.id == id)
            && !name.is_empty()
        {
            name.clone_into(&mut snapshot.name);
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.list.retain(|snapshot| snapshot.id != id);
    }

    /// Gives snapshots what they lack of results and what is known by now.
    /// `open` are the present data and number of samples: numbers of others are not compared with theirs.
    pub(super) fn complete(
        &mut self,
        planned: impl Fn(&Recipe) -> Option<Arc<PlanSummary>>,
        open: Option<(u64, usize)>,
        evaluated: impl Fn(&Recipe) -> Option<Evaluation>,
    ) {
        for snapshot in &mut self.list {
            if snapshot.planned.as_ref().is_none_or(|planned| planned.macs.is_none()) {
                snapshot.planned = planned(&snapshot.recipe).or(snapshot.planned.take());
            }
            if snapshot.measured_on != open || snapshot.evaluation.is_none() {
                snapshot.evaluation = evaluated(&snapshot.recipe);
                snapshot.measured_on = open;
            }
        }
    }

    /// All of them, oldest first.
    pub fn all(&self) -> &[Snapshot] {
        &self.list
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<&Snapshot> {
        self.list.iter().find(|snapshot| snapshot.id == id)
    }
}
