//! The order of layers by what quantizing each alone does to the outputs: which layer hurts.
//!
//! Weight SQNR does not tell it (Spearman .25 to .37 against the truth on six networks); one layer at a time on a few dozen samples
//! does (.98). Without data the network runs on inputs that are made up; `cargo bench --bench ranking` prints how near both come.

use super::distilled::distilled;
use super::own_text::own_text;
use super::sensitivity::{LayerSensitivity, sensitivity_of_worst};
use super::sweep::SweepSubject;
use super::{Dataset, Engine, InferenceError, run_outputs};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Activations, Recipe};
use std::ops::Range;

/// On what inputs layers were ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderBasis {
    /// The first samples of the open data.
    Data,
    /// Made-up inputs: an estimate.
    Estimate,
}

/// Samples that rank the layers of a network: of text tokens, else pictures or arrays.
pub const ORDER_SAMPLES: usize = 64;
/// Tokens: those of a text depend on each other.
pub const ORDER_TOKENS: usize = 1024;

/// Samples of `data` that rank the layers.
pub fn order_samples(data: &Dataset) -> usize {
    let samples = if data.is_text() { ORDER_TOKENS } else { ORDER_SAMPLES };
    samples.min(data.len())
}

/// Layers that all runs together may go through: each run is as long as the network is deep, and a network of ten thousand layers
/// would never be ranked.
const ORDER_LAYER_RUNS: usize = 2_000_000;
/// The least number of layers that are ranked, however deep the network is.
const FEWEST_RANKED: usize = 64;

/// Layers that are ranked in a network of so many: all up to 1414, of more the ones whose weights have the least SQNR.
pub fn most_ranked(layers: usize) -> usize {
    (ORDER_LAYER_RUNS / layers.max(1)).max(FEWEST_RANKED)
}

/// Ranks on samples: runs `network` (prepared as the recipe says) with one layer quantized at a time on the first
/// [`order_samples`] of `data`, against `engine`, the float network; no more than [`most_ranked`] layers. `on_row` sees each layer as
/// it is finished, in the network's order.
///
/// # Errors
/// As [`super::sensitivity::sensitivity`].
pub fn order_on_data(
    network: &Network,
    engine: &dyn Engine,
    data: &Dataset,
    (recipe, activations): (&Recipe, Option<&Activations>),
    progress: &Progress,
    on_row: &mut dyn FnMut(&LayerSensitivity) -> Result<(), InferenceError>,
) -> Result<Vec<LayerSensitivity>, InferenceError> {
    let float = run_outputs(engine, data, order_samples(data), &progress.part())?;
    let subject = SweepSubject {
        network,
        activations,
        shapes: None,
        data,
        float: &float,
    };
    let most = most_ranked(network.layers.len());
    sensitivity_of_worst(&subject, recipe, most, progress, on_row)
}

/// The inputs that layers are ranked on without data, the same each time: of a language model a text of its own, else noise, which
/// is changed until it reproduces what the batch-norms remember. `engine` runs `network`, in which batch-norms are not folded.
/// Layers ranked on them have an order that is an estimate.
///
/// It takes a while: `between` is asked before each run, and may wait or end it.
///
/// # Errors
/// [`InferenceError::Data`] when an input would be too large; that of `between`; `Cancelled`.
pub fn made_up_data(
    network: &Network,
    engine: &dyn Engine,
    between: &mut dyn FnMut() -> Result<(), InferenceError>,
    progress: &Progress,
) -> Result<Dataset, InferenceError> {
    match own_text(network, engine, SEED, between, progress)? {
        Some(text) => Ok(text),
        None => {
            let noise = Dataset::made_up(network, engine, ORDER_SAMPLES, SEED)?;
            distilled(network, engine, noise, between, progress)
        }
    }
}

/// The inputs are the same each time.
const SEED: u64 = 1;

/// Positions of `rows`, the layer that hurts most first; of equal ones the earlier.
pub fn worst_first(rows: &[LayerSensitivity]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|one, other| rows[*other].output_error().total_cmp(&rows[*one].output_error()));
    order
}

/// Rank correlation of two rows of numbers (Spearman 1904): 1 where both rank alike, 0 where they have nothing to do with each
/// other. Equal numbers share the mean of their ranks. 0 for fewer than two, or where all are equal.
///
/// # Example
///
/// ```
/// use splitscope::inference::spearman;
/// assert_eq!(spearman(&[1.0, 2.0, 30.0], &[0.1, 0.2, 0.3]), 1.0);
/// assert_eq!(spearman(&[1.0, 2.0, 30.0], &[3.0, 2.0, 1.0]), -1.0);
/// ```
pub fn spearman(one: &[f64], other: &[f64]) -> f64 {
    let (one, other) = (ranks(one), ranks(other));
    let mean = |ranks: &[f64]| ranks.iter().sum::<f64>() / ranks.len().max(1) as f64;
    let (first, second) = (mean(&one), mean(&other));
    let mut sums = [0.0; 3];
    for (a, b) in one.iter().zip(&other) {
        let (a, b) = (a - first, b - second);
        sums = [sums[0] + a * b, sums[1] + a * a, sums[2] + b * b];
    }
    let scale = (sums[1] * sums[2]).sqrt();
    if scale > 0.0 { sums[0] / scale } else { 0.0 }
}

fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|one, other| numbers[*one].total_cmp(&numbers[*other]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut start = 0;
    while start < order.len() {
        let equal = |place: &&usize| numbers[**place] == numbers[order[start]];
        let tied: Range<usize> = start..start + order[start..].iter().take_while(equal).count().max(1);
        let mean = (tied.start + tied.end - 1) as f64 / 2.0;
        order[tied.clone()].iter().for_each(|place| ranks[*place] = mean);
        start = tied.end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::super::Outputs;
    use super::super::sensitivity::sensitivity;
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;
    use crate::quantization::Bits;

    fn subject<'a>(network: &'a Network, data: &'a Dataset, float: &'a Outputs) -> SweepSubject<'a> {
        SweepSubject {
            network,
            activations: None,
            shapes: None,
            data,
            float,
        }
    }

    #[test]
    fn equal_numbers_share_their_mean_rank() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 9.0]), [1.5, 0.0, 1.5, 3.0]);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
        // 1 - 6 * (1 + 1) / (4 * 15).
        assert!((spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 3.0, 4.0]) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn few_samples_rank_layers_as_many_do_and_weights_do_not() {
        let (network, data) = (Demo::Fashion.network().unwrap(), Dataset::demo(Demo::Fashion));
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            ..Recipe::default()
        };
        let progress = Progress::default();
        let few = order_on_data(&network, &engine, &data, (&recipe, None), &progress, &mut |_| Ok(())).unwrap();
        assert_eq!(few[0].samples, ORDER_SAMPLES);
        let float = run_outputs(&engine, &data, 300, &progress).unwrap();
        let subject = subject(&network, &data, &float);
        let many = sensitivity(&subject, &recipe, &progress, &mut |_| Ok(())).unwrap();
        let errors = |rows: &[LayerSensitivity]| rows.iter().map(LayerSensitivity::output_error).collect::<Vec<f64>>();
        let weights: Vec<f64> = few.iter().map(|row| -row.weight_sqnr_db).collect();
        assert!(spearman(&errors(&few), &errors(&many)) > 0.95);
        assert!(spearman(&weights, &errors(&many)) < 0.8);
        let order = worst_first(&many);
        assert!(
            order
                .windows(2)
                .all(|pair| many[pair[0]].output_error() >= many[pair[1]].output_error())
        );
    }

    /// Of a network that is too deep the layers with the worst weights are run, with the numbers and in the order of all.
    #[test]
    fn the_worst_of_a_deep_network_are_ranked_as_among_all() {
        let sizes = [0, 1, 1414, 1415, 10_000, 1_000_000];
        assert_eq!(sizes.map(most_ranked), [2_000_000, 2_000_000, 1414, 1413, 200, 64]);
        let (network, data) = (Demo::Fashion.network().unwrap(), Dataset::demo(Demo::Fashion));
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let progress = Progress::default();
        let float = run_outputs(&engine, &data, 8, &progress).unwrap();
        let subject = subject(&network, &data, &float);
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            ..Recipe::default()
        };
        let all = sensitivity(&subject, &recipe, &progress, &mut |_| Ok(())).unwrap();
        let few = sensitivity_of_worst(&subject, &recipe, 5, &progress, &mut |_| Ok(())).unwrap();
        let mut errors: Vec<f64> = all.iter().map(|row| row.weight_sqnr_db).collect();
        errors.sort_by(f64::total_cmp);
        let expected: Vec<&LayerSensitivity> = all.iter().filter(|row| row.weight_sqnr_db <= errors[4]).collect();
        assert_eq!(few.iter().collect::<Vec<_>>(), expected);
        assert_eq!(few.len(), 5);
    }

    #[test]
    fn inputs_that_batch_norms_know_rank_layers_nearly_as_data_do() {
        let original = Demo::Fashion.network().unwrap();
        let (engine, data) = (
            Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap(),
            Dataset::demo(Demo::Fashion),
        );
        let recipe = Recipe {
            weight_bits: Bits::Grid(3),
            fold_batch_norm: true,
            ..Recipe::default()
        };
        let (network, progress) = (
            crate::quantization::prepare(&original, &recipe).unwrap(),
            Progress::default(),
        );
        let errors = |data: &Dataset| {
            let rows = order_on_data(&network, &engine, data, (&recipe, None), &progress, &mut |_| Ok(())).unwrap();
            rows.iter().map(LayerSensitivity::output_error).collect::<Vec<f64>>()
        };
        let truth = errors(&data);
        let made_up = errors(&made_up_data(&original, &engine, &mut || Ok(()), &progress).unwrap());
        let noise = errors(&Dataset::noise(&original, &engine, ORDER_SAMPLES, SEED).unwrap());
        assert!(spearman(&made_up, &truth) > 0.8 && spearman(&noise, &truth) < 0.8);
    }
}
