//! What a card shows beyond the session's facts: a small histogram, and the error with and without clipping and splitting.
//! Computed in the background, for the layers in sight only.

use crate::jobs::{JobError, Jobs, Waker};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Clip, WeightSettings, plan_layer};
use crate::session::OpenNetwork;
use crate::statistics::histogram;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// Bins of a small histogram, over all of a layer's weights.
pub(super) const BINS: usize = 121;
/// A layer with more weights is not read for a picture of a few hundred points.
const TOO_LARGE: u64 = 1 << 26;
/// The ratio that is compared while the recipe splits nothing.
const USUAL_RATIO: f64 = 0.05;
/// Layers of a job: few, so that pictures appear one after the other.
const BATCH: usize = 6;

/// The errors that a card compares, as root mean square of the error over that of the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Errors {
    pub(super) plain: f64,
    pub(super) clip: f64,
    pub(super) split: f64,
    pub(super) both: f64,
}

/// What is computed for a layer.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The largest |w|: the counts reach from minus that to it.
    pub(super) max_abs: f32,
    /// Weights in each of [`BINS`].
    pub(super) counts: Vec<u64>,
    /// `None` for a layer that stays float.
    pub(super) errors: Option<Errors>,
}

/// Why there is no picture of a layer, or the picture; and the settings it is for.
type Known = (WeightSettings, Result<Arc<Row>, String>);
type Answer = Vec<(usize, Known)>;

/// All that is known of the layers of one network.
#[derive(Default)]
pub(in crate::app) struct Rows {
    jobs: Option<Jobs<(), Answer>>,
    /// The network that the rows are of, which they do not keep in memory.
    of: Weak<Network>,
    known: HashMap<usize, Known>,
    /// In work, so that a row that fails is not asked for again and again.
    asked: HashSet<usize>,
}

impl Rows {
    pub(super) fn poll(&mut self) {
        let Some(jobs) = &mut self.jobs else { return };
        for job in jobs.poll() {
            self.asked.clear();
            if let Ok(answer) = job.result {
                self.known.extend(answer);
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.jobs.as_ref().is_none_or(Jobs::is_idle)
    }

    /// What is known of a layer, maybe for older settings.
    pub(super) fn get(&self, open: &OpenNetwork, layer: usize) -> Option<&Result<Arc<Row>, String>> {
        let same = self.of.as_ptr() == Arc::as_ptr(&open.shown().network);
        let (_, row) = self.known.get(&layer).filter(|_| same)?;
        Some(row)
    }

    /// Begins to compute what the layers in sight lack.
    pub(super) fn want(&mut self, ctx: &egui::Context, open: &OpenNetwork, layers: &[usize]) {
        let network = &open.shown().network;
        if self.of.as_ptr() != Arc::as_ptr(network) {
            self.known.clear();
            self.asked.clear();
            self.of = Arc::downgrade(network);
            if let Some(jobs) = &mut self.jobs {
                jobs.replace(());
            }
        }
        let jobs = self.jobs.get_or_insert_with(|| {
            let ctx = ctx.clone();
            Jobs::new(Waker::new(move || ctx.request_repaint()))
        });
        if jobs.is_running(()) {
            return;
        }
        let lacking = layers.iter().filter_map(|&layer| {
            let settings = open.effective(layer).weights;
            let known = self.known.get(&layer).is_some_and(|(of, _)| *of == settings);
            let pending = open.shown().layers.get(layer).is_none_or(|facts| facts.pending);
            (!known && !pending && !self.asked.contains(&layer)).then_some((layer, settings))
        });
        let batch: Vec<(usize, WeightSettings)> = lacking.take(BATCH).collect();
        if batch.is_empty() {
            return;
        }
        self.asked.extend(batch.iter().map(|(layer, _)| *layer));
        let network = Arc::clone(network);
        jobs.start((), "Drawing layers", move |progress| {
            compute(&network, &batch, progress)
        });
    }
}

fn compute(network: &Network, batch: &[(usize, WeightSettings)], progress: &Progress) -> Result<Answer, JobError> {
    let mut answer = Vec::new();
    for (layer, settings) in batch {
        progress.check()?;
        let row = row(network, *layer, settings).map(Arc::new);
        answer.push((*layer, (*settings, row)));
    }
    Ok(answer)
}

fn row(network: &Network, index: usize, settings: &WeightSettings) -> Result<Row, String> {
    let layer = &network.layers[index];
    if layer.parameters() > TOO_LARGE {
        return Err("too large to be drawn here; select it to see it".to_owned());
    }
    let weights = network.weights(index).map_err(|error| error.to_string())?;
    let max_abs = weights
        .iter()
        .copied()
        .filter(|w| w.is_finite())
        .fold(0.0, |max: f32, w| max.max(w.abs()));
    let reach = if max_abs > 0.0 { f64::from(max_abs) } else { 1.0 };
    // A little further, so that the largest weight is inside of the last bin.
    let counts = histogram(&weights, -reach * 1.0001, reach * 1.0001, BINS).counts;
    let quantizable = settings.bits.grid().is_some() && layer.support.can_quantize();
    let errors = quantizable.then(|| {
        let error = |clipped: bool, split: bool| {
            let settings = variant(settings, clipped, split).effective(layer);
            relative_error(plan_layer(&weights, &layer.layout, &settings).sqnr_db)
        };
        Errors {
            plain: error(false, false),
            clip: error(true, false),
            split: error(false, true),
            both: error(true, true),
        }
    });
    Ok(Row {
        max_abs,
        counts,
        errors,
    })
}

/// The settings with or without clipping and splitting: as the recipe does it, or as is usual where it does not.
fn variant(settings: &WeightSettings, clipped: bool, split: bool) -> WeightSettings {
    let usual = |ratio: f64| if ratio > 0.0 { ratio } else { USUAL_RATIO };
    let clip = if settings.clip == Clip::None {
        Clip::Mse
    } else {
        settings.clip
    };
    WeightSettings {
        clip: if clipped { clip } else { Clip::None },
        expand_ratio: if split { usual(settings.expand_ratio) } else { 0.0 },
        ..*settings
    }
}

/// The ratio and the way to clip that are compared, for a person.
pub(super) fn compared(open: &OpenNetwork) -> [String; 2] {
    let recipe = open.recipe();
    let ratio = if recipe.expand_ratio > 0.0 {
        recipe.expand_ratio
    } else {
        USUAL_RATIO
    };
    let clip = if recipe.clip == Clip::None {
        Clip::Mse
    } else {
        recipe.clip
    };
    [crate::app::text::percent(ratio), super::text::clip(clip)]
}

/// Size of the error over that of the weights, from decibels.
fn relative_error(sqnr_db: f64) -> f64 {
    10_f64.powf(-sqnr_db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use crate::session::start_recipe;
    use std::path::Path;

    #[test]
    fn a_row_counts_every_weight_and_compares_four_ways() {
        let network = crate::format::open(Path::new("demo:fashion")).unwrap();
        let index = network.layer_index("layer1.0.conv1").unwrap();
        let recipe = start_recipe(Some(Demo::Fashion));
        let settings = recipe.effective(&network, index).weights;
        let row = row(&network, index, &settings).unwrap();
        assert_eq!(row.counts.iter().sum::<u64>(), network.layers[index].parameters());
        let errors = row.errors.unwrap();
        // Clipping at the least mean squared error can't be worse than not clipping, and 5 % of splits help this layer.
        assert!(errors.clip <= errors.plain && errors.both <= errors.split, "{errors:?}");
        assert!(errors.split < errors.plain * 0.9, "{errors:?}");
        let own = plan_layer(
            &network.weights(index).unwrap(),
            &network.layers[index].layout,
            &settings,
        );
        assert!((errors.plain - relative_error(own.sqnr_db)).abs() < 1e-12);

        let float = network.layer_index("conv1").unwrap();
        let settings = recipe.effective(&network, float).weights;
        assert!(super::row(&network, float, &settings).unwrap().errors.is_none());
    }

    #[test]
    fn decibels_become_a_share() {
        assert!((relative_error(20.0) - 0.1).abs() < 1e-12);
        assert_eq!(relative_error(f64::INFINITY), 0.0);
    }
}
