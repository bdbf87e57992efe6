//! Many recipes on one network and one data set: bits x expand ratio x clip (x activation bits).
//!
//! What the rows share is computed once and given in: the float outputs, the ranges of activations, the folded network.
//! Rows that differ in the bits of activations alone stand one after the other and share the splits and grids of the weights.

mod csv;
mod methods;
mod pareto;
mod row;
mod shard;
mod table;

#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;

pub use csv::{SweepCsv, SweepSetting, load_rows, save_rows};
pub use methods::{Method, OutlierMove, input_methods, moved_input_methods, moved_weight_methods, weight_methods};
pub use pareto::pareto_front;
pub use row::{RowLatency, SizeMeasure, SweepOverhead, SweepRow};
pub use shard::Shard;
pub use table::{Mark, PaperTable, TableCell};

use super::{Dataset, InferenceError, Outputs, Pipeline, QuantizedModel, evaluate, latency_of_one, run_samples};
use crate::engine::{self, EngineChoice, Threads};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Activations, Bits, Clip, Granularity, Plan, Recipe, Rounding, ValueShapes};

/// The values to try. An empty axis stands for the base recipe's own value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SweepGrid {
    /// Bits of the weights.
    pub weight_bits: Vec<Bits>,
    /// Shares of input channels to add.
    pub expand_ratios: Vec<f64>,
    /// Ways to choose the weights' threshold.
    pub clips: Vec<Clip>,
    /// Bits of the layers' inputs.
    pub activation_bits: Vec<Bits>,
    /// What has a scale of its own.
    pub scales: Vec<Granularity>,
    /// Ways to round the weights.
    pub roundings: Vec<Rounding>,
    /// Whether each scale of the weights has a zero point.
    pub zero_points: Vec<bool>,
}

impl SweepGrid {
    /// `base` with each combination of the values, each once; weight bits vary slowest, activation bits fastest, so that
    /// neighbours share their weights.
    pub fn recipes(&self, base: &Recipe) -> Vec<Recipe> {
        let mut recipes = vec![base.clone()];
        vary(&mut recipes, &self.weight_bits, |recipe| &mut recipe.weight_bits);
        vary(&mut recipes, &self.scales, |recipe| &mut recipe.scales);
        vary(&mut recipes, &self.zero_points, |recipe| &mut recipe.weight_zero_points);
        vary(&mut recipes, &self.expand_ratios, |recipe| &mut recipe.expand_ratio);
        vary(&mut recipes, &self.clips, |recipe| &mut recipe.clip);
        vary(&mut recipes, &self.roundings, |recipe| &mut recipe.rounding);
        vary(&mut recipes, &self.activation_bits, |recipe| {
            &mut recipe.activation_bits
        });
        let mut different: Vec<Recipe> = Vec::new();
        for mut recipe in recipes {
            // Nothing is clipped or rounded, unless of a layer with settings of its own.
            if recipe.weight_bits == Bits::Float && recipe.layers.is_empty() {
                (recipe.clip, recipe.rounding) = (Clip::None, Rounding::Nearest);
                recipe.scales = self.scales.first().copied().unwrap_or(base.scales);
                recipe.weight_zero_points = self.zero_points.first().copied().unwrap_or(base.weight_zero_points);
            }
            if !different.contains(&recipe) {
                different.push(recipe);
            }
        }
        different
    }
}

/// Each recipe with each of the values of a field; as it is where there are none.
fn vary<T: Copy>(recipes: &mut Vec<Recipe>, values: &[T], field: fn(&mut Recipe) -> &mut T) {
    if values.is_empty() {
        return;
    }
    let with = |recipe: &Recipe, value: &T| {
        let mut recipe = recipe.clone();
        *field(&mut recipe) = *value;
        recipe
    };
    *recipes = recipes
        .iter()
        .flat_map(|recipe| values.iter().map(move |value| with(recipe, value)))
        .collect();
}

/// What all rows of a sweep share.
#[derive(Clone, Copy)]
pub struct SweepSubject<'a> {
    /// The network that recipes are carried out on, its batch-norms folded already if the recipes fold.
    pub network: &'a Network,
    /// Ranges of its layers' inputs; needed when a recipe quantizes activations.
    pub activations: Option<&'a Activations>,
    /// Shapes of its values for one sample, for the overhead of activations and operations.
    pub shapes: Option<&'a ValueShapes>,
    /// The samples; without labels rows are judged by their output SQNR alone.
    pub data: &'a Dataset,
    /// What the original network answers on some of the samples; each row is run on the same.
    pub float: &'a Outputs,
}

impl<'a> SweepSubject<'a> {
    /// From a recipe to the bytes of its row.
    pub(super) fn pipeline(&self) -> Pipeline<'a> {
        Pipeline::new(self.network, self.activations)
    }
}

/// Runs the recipes one after the other and gives their rows in the same order. `on_row` sees each new row as it finishes
/// and may stop the sweep with an error. A recipe that one of the `finished` rows has on as many samples is not run again.
///
/// # Errors
/// [`InferenceError`] of recipe, graph, engine, data, of `on_row`, or `Cancelled`; rows that were seen by then are good.
pub fn sweep(
    subject: &SweepSubject,
    recipes: &[Recipe],
    finished: &[SweepRow],
    progress: &Progress,
    on_row: &mut dyn FnMut(&SweepRow) -> Result<(), InferenceError>,
) -> Result<Vec<SweepRow>, InferenceError> {
    timed_sweep(subject, recipes, (finished, None), progress, on_row)
}

/// [`sweep`] that also times each row in an engine, if one is given; a finished row without a time is run again then.
///
/// # Errors
/// As [`sweep`].
pub fn timed_sweep(
    subject: &SweepSubject,
    recipes: &[Recipe],
    (finished, timed_in): (&[SweepRow], Option<&EngineChoice>),
    progress: &Progress,
    on_row: &mut dyn FnMut(&SweepRow) -> Result<(), InferenceError>,
) -> Result<Vec<SweepRow>, InferenceError> {
    progress.start(recipes.len() as u64, "Sweeping");
    let mut rows = Vec::with_capacity(recipes.len());
    let mut newest: Option<Plan> = None;
    for (number, recipe) in recipes.iter().enumerate() {
        progress.check()?;
        let timed = |row: &SweepRow| row.latency.is_some() || timed_in.is_none();
        let known = |row: &&SweepRow| row.recipe == *recipe && row.samples == subject.float.samples && timed(row);
        if let Some(row) = finished.iter().find(known) {
            rows.push(row.clone());
            progress.advance(1);
            continue;
        }
        progress.stage_is(format!("Row {} of {}: {}", number + 1, recipes.len(), describe(recipe)));
        let part = progress.part();
        let plan = subject.pipeline().replan(recipe, newest.as_ref(), &part)?;
        let row = run_row(subject, &plan, timed_in, &part)?;
        newest = Some(plan);
        on_row(&row)?;
        rows.push(row);
        progress.advance(1);
    }
    Ok(rows)
}

/// The row's own values for a person.
fn describe(recipe: &Recipe) -> String {
    let zero_points = if recipe.weight_zero_points { ", zero points" } else { "" };
    format!(
        "{} bits, scales {}{zero_points}, ratio {}, clip {}, {}",
        recipe.weight_bits, recipe.scales, recipe.expand_ratio, recipe.clip, recipe.rounding
    )
}

fn run_row(
    subject: &SweepSubject,
    plan: &Plan,
    timed_in: Option<&EngineChoice>,
    progress: &Progress,
) -> Result<SweepRow, InferenceError> {
    let network = subject.network;
    let bytes = QuantizedModel::of(network, plan)?.bytes()?;
    let file_bytes = bytes.len() as u64;
    let (latency, not_timed) = match timed_in.map(|choice| row_latency(choice, bytes.clone(), subject.data, progress)) {
        None => (None, None),
        Some(Ok(latency)) => (Some(latency), None),
        Some(Err(InferenceError::Cancelled(cancelled))) => return Err(cancelled.into()),
        // One runtime that cannot run one setting does not end the sweep.
        Some(Err(why)) => (None, Some(why.to_string())),
    };
    let engine = engine::load(bytes)?;
    let outputs = run_samples(&engine, subject.data, subject.float.range(), progress)?;
    let evaluation = evaluate(subject.float, &outputs, subject.data);
    Ok(SweepRow {
        recipe: plan.recipe.clone(),
        samples: evaluation.samples,
        metrics: evaluation.quantized,
        agreement: evaluation.agreement,
        sqnr_db: evaluation.sqnr_db,
        sqnr_db_interval: evaluation.sqnr_db_interval,
        overhead: SweepOverhead::of(network, plan, file_bytes, subject.shapes),
        latency,
        not_timed,
    })
}

/// Median and 95th percentile of one sample in the chosen engine.
pub(super) fn row_latency(
    choice: &EngineChoice,
    bytes: Vec<u8>,
    data: &Dataset,
    progress: &Progress,
) -> Result<RowLatency, InferenceError> {
    let timed = choice.load(bytes)?;
    let time = latency_of_one(&timed, data, &Threads::current(), progress)?;
    Ok(RowLatency {
        engine: timed.name().to_owned(),
        time,
    })
}
