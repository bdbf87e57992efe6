//! A network with what one pass over each of its layers tells.
//!
//! A small network is measured while it opens. A large one is shown at once; its layers are measured in the background, the
//! selected one first, and their facts arrive one by one.

use crate::network::{Layer, Network, NetworkError};
use crate::progress::{Cancelled, Progress};
use crate::statistics::{Histogram, TensorStatistics, outline, streamed_outlier_count, streamed_statistics};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Weights that are measured before a network is shown: these take about a tenth of a second.
const AT_ONCE: u64 = 1 << 25;

/// A network and the facts of its layers, in its order.
#[derive(Clone)]
pub struct Analysis {
    /// The network.
    pub network: Arc<Network>,
    /// One entry a layer.
    pub layers: Arc<Vec<LayerFacts>>,
    /// Parameters of the network, counted once: it may have ten thousands of tensors.
    pub parameters: u64,
    /// Those of them that are weights of its layers.
    pub(super) weights: u64,
    /// Standard deviations beyond which the outliers were counted.
    pub(super) sigma: f64,
}

/// Why there are no statistics of a layer's weights.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoStatistics {
    /// They come when the weights were read.
    #[error("the weights are still being read")]
    Pending,
    /// The weights cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Arc<NetworkError>),
}

/// What is known of one layer's weights.
#[derive(Debug, Clone)]
pub struct LayerFacts {
    /// The statistics, or why the weights cannot be read.
    pub statistics: Result<Arc<TensorStatistics>, NoStatistics>,
    /// Weights beyond the set number of standard deviations from the mean.
    pub outliers: u64,
    /// The shape of their distribution between the largest magnitudes, from some of the weights.
    pub outline: Option<Arc<Histogram>>,
    /// The weights have not been read yet.
    pub pending: bool,
}

impl LayerFacts {
    /// Facts that are to come.
    fn to_come() -> Self {
        Self {
            statistics: Err(NoStatistics::Pending),
            outliers: 0,
            outline: None,
            pending: true,
        }
    }

    /// Reads the weights of layer `index` once from the file, piece by piece.
    fn of(network: &Network, index: usize, sigma: f64) -> Self {
        match network.weight_elements(index) {
            Ok(weights) => {
                let statistics = streamed_statistics(&weights, &network.layers[index].layout);
                // The pieces were read a moment ago: this pass finds them in memory.
                let outliers = streamed_outlier_count(&weights, statistics.mean, sigma * statistics.std);
                let outline = outline(&weights, statistics.max_abs).map(Arc::new);
                // Only now is it known that the file was all there while it was read.
                if let Err(error) = network.weight_elements(index) {
                    return Self::unreadable(error);
                }
                Self {
                    statistics: Ok(Arc::new(statistics)),
                    outliers,
                    outline,
                    pending: false,
                }
            }
            Err(error) => Self::unreadable(error),
        }
    }

    fn unreadable(error: NetworkError) -> Self {
        Self {
            statistics: Err(NoStatistics::Unreadable(Arc::new(error))),
            outliers: 0,
            outline: None,
            pending: false,
        }
    }

    /// The statistics, if the weights can be read and were.
    pub fn readable(&self) -> Option<&TensorStatistics> {
        self.statistics.as_deref().ok()
    }

    /// How far from the mean the farthest weight lies, in standard deviations; 0 for a tensor of equal elements.
    pub fn farthest_in_sigma(&self) -> Option<f64> {
        self.readable()?.farthest_in_sigma(f32::MAX)
    }
}

impl Analysis {
    /// Reads every layer once, in parallel. A layer that cannot be read says so and stops nothing.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn new(network: Arc<Network>, sigma: f64, progress: &Progress) -> Result<Self, Cancelled> {
        let mut analysis = Self::to_come(network, sigma);
        analysis.complete(progress, |_| true)?;
        Ok(analysis)
    }

    /// A network that was opened: measured if it is small, else with all its facts to come.
    pub(super) fn opened(network: Arc<Network>, sigma: f64, progress: &Progress) -> Result<Self, Cancelled> {
        let mut analysis = Self::to_come(network, sigma);
        if analysis.weights <= AT_ONCE {
            analysis.complete(progress, |_| true)?;
        }
        Ok(analysis)
    }

    /// `network`, made of this one, with the facts of all layers whose weights are the same as here; the others are read.
    pub(super) fn of_prepared(&self, network: Arc<Network>, progress: &Progress) -> Result<Self, Cancelled> {
        let mut prepared = Self::to_come(network, self.sigma);
        let network = Arc::clone(&prepared.network);
        // What is to come here comes there, too: nothing is read twice.
        prepared.complete(progress, |index| !same_weights(&self.network, &network, index))?;
        prepared.inherit(self);
        Ok(prepared)
    }

    /// Takes over the facts of layers that have the same weights there.
    pub(super) fn inherit(&mut self, other: &Self) {
        let network = Arc::clone(&self.network);
        for (index, facts) in Arc::make_mut(&mut self.layers).iter_mut().enumerate() {
            if let Some(theirs) = other.layers.get(index)
                && facts.pending
                && same_weights(&other.network, &network, index)
            {
                *facts = theirs.clone();
            }
        }
    }

    /// Puts in the facts of one layer.
    pub(super) fn put(&mut self, index: usize, facts: LayerFacts) {
        if let Some(place) = Arc::make_mut(&mut self.layers).get_mut(index) {
            *place = facts;
        }
    }

    /// Whether the facts of all layers are known.
    pub fn is_complete(&self) -> bool {
        self.layers.iter().all(|facts| !facts.pending)
    }

    /// Reads the layers whose facts are to come and hands each to `known` as it is there; always `selected` first. One
    /// layer at a time, so that no more than a few pieces of weights are held.
    pub(super) fn stream(
        &self,
        selected: &AtomicUsize,
        known: impl Fn(usize, LayerFacts),
        progress: &Progress,
    ) -> Result<(), Cancelled> {
        let weights = |index: usize| self.network.layers[index].parameters();
        let mut waiting: Vec<usize> = (0..self.layers.len())
            .rev()
            .filter(|index| self.layers[*index].pending)
            .collect();
        progress.start(waiting.iter().map(|index| weights(*index)).sum(), "reading weights");
        loop {
            progress.check()?;
            let wanted = selected.load(Ordering::Relaxed);
            let first = waiting.iter().position(|index| *index == wanted);
            let Some(index) = first.map(|place| waiting.remove(place)).or_else(|| waiting.pop()) else {
                return Ok(());
            };
            known(index, LayerFacts::of(&self.network, index, self.sigma));
            progress.advance(weights(index));
        }
    }

    fn to_come(network: Arc<Network>, sigma: f64) -> Self {
        let layers = vec![LayerFacts::to_come(); network.layers.len()];
        let weights = network.layers.iter().map(Layer::parameters);
        Self {
            parameters: network.parameters(),
            weights: weights.fold(0, u64::saturating_add),
            network,
            layers: Arc::new(layers),
            sigma,
        }
    }

    /// Reads the layers that are `wanted`.
    fn complete(&mut self, progress: &Progress, wanted: impl Fn(usize) -> bool + Sync) -> Result<(), Cancelled> {
        progress.start(self.layers.len() as u64, "reading weights");
        let (network, sigma) = (&self.network, self.sigma);
        let facts = |(index, facts): (usize, &LayerFacts)| {
            progress.check()?;
            let facts = if wanted(index) {
                LayerFacts::of(network, index, sigma)
            } else {
                facts.clone()
            };
            progress.advance(1);
            Ok(facts)
        };
        let layers: Result<Vec<LayerFacts>, Cancelled> = self.layers.par_iter().enumerate().map(facts).collect();
        self.layers = Arc::new(layers?);
        Ok(())
    }

    /// The same with outliers counted beyond another number of standard deviations.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn recount(&self, sigma: f64, progress: &Progress) -> Result<Self, Cancelled> {
        progress.start(self.layers.len() as u64, "counting outliers");
        let recount = |(index, facts): (usize, &LayerFacts)| {
            progress.check()?;
            let mut facts = facts.clone();
            if let (Ok(statistics), Ok(weights)) = (&facts.statistics, self.network.weight_elements(index)) {
                facts.outliers = streamed_outlier_count(&weights, statistics.mean, sigma * statistics.std);
            }
            progress.advance(1);
            Ok(facts)
        };
        let layers: Result<Vec<LayerFacts>, Cancelled> = self.layers.par_iter().enumerate().map(recount).collect();
        Ok(Self {
            layers: Arc::new(layers?),
            sigma,
            ..self.clone()
        })
    }

    /// Layers with NaN or infinite weights: position, NaN, infinite.
    pub fn not_finite(&self) -> Vec<(usize, u64, u64)> {
        let faults = self.layers.iter().enumerate().filter_map(|(index, facts)| {
            let statistics = facts.readable()?;
            (statistics.nan + statistics.infinite > 0).then_some((index, statistics.nan, statistics.infinite))
        });
        faults.collect()
    }

    /// The layer whose outliers stretch its grid most: with the weight farthest from the mean in standard deviations, among those
    /// that can be split if there are any; the first of equal ones, as long as nothing is known.
    pub fn worst_layer(&self) -> Option<usize> {
        let score = |index: &usize| {
            let splittable = self.network.layers[*index].support.why_not_split().is_none();
            (splittable, self.layers[*index].farthest_in_sigma().unwrap_or(0.0))
        };
        (0..self.layers.len()).rev().max_by(|a, b| {
            let (a, b) = (score(a), score(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        })
    }
}

/// Whether layer `index` of both networks has the same bytes for weights and reads them alike.
fn same_weights(one: &Network, other: &Network, index: usize) -> bool {
    let (Some(first), Some(second)) = (one.layers.get(index), other.layers.get(index)) else {
        return false;
    };
    let place = |network: &Network, layer: &Layer| {
        let bytes = network.tensor(layer).ok()?.raw_data.as_ref()?;
        Some((bytes.as_ptr() as usize, bytes.len()))
    };
    let (here, there) = (place(one, first), place(other, second));
    first.layout == second.layout && here.is_some() && here == there
}

#[cfg(test)]
mod tests;
