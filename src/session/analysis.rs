//! A network with what one pass over each of its layers tells.

use crate::network::Network;
use crate::progress::{Cancelled, Progress};
use crate::statistics::{TensorStatistics, outlier_count, tensor_statistics};
use rayon::prelude::*;
use std::sync::Arc;

/// A network and the facts of its layers, in its order.
#[derive(Clone)]
pub struct Analysis {
    /// The network.
    pub network: Arc<Network>,
    /// One entry a layer.
    pub layers: Arc<Vec<LayerFacts>>,
}

/// What is known of one layer's weights.
#[derive(Debug, Clone)]
pub struct LayerFacts {
    /// The statistics, or why the weights cannot be read.
    pub statistics: Result<Arc<TensorStatistics>, String>,
    /// Weights beyond the set number of standard deviations from the mean.
    pub outliers: u64,
}

impl LayerFacts {
    /// The statistics, if the weights can be read.
    pub fn readable(&self) -> Option<&TensorStatistics> {
        self.statistics.as_deref().ok()
    }

    /// The largest |w| in standard deviations; 0 for a tensor of equal elements.
    pub fn max_in_sigma(&self) -> Option<f64> {
        self.readable().map(|statistics| {
            let max = f64::from(statistics.max_abs);
            if statistics.std > 0.0 {
                max / statistics.std
            } else {
                0.0
            }
        })
    }
}

impl Analysis {
    /// Reads every layer once, in parallel. A layer that cannot be read says so and stops nothing.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn new(network: Arc<Network>, sigma: f64, progress: &Progress) -> Result<Self, Cancelled> {
        progress.start(network.layers.len() as u64, "reading weights");
        let facts = |index: usize| {
            progress.check()?;
            let facts = match network.weights(index) {
                Ok(weights) => {
                    let statistics = tensor_statistics(&weights, &network.layers[index].layout);
                    let outliers = outlier_count(&weights, statistics.mean, sigma * statistics.std);
                    LayerFacts {
                        statistics: Ok(Arc::new(statistics)),
                        outliers,
                    }
                }
                Err(error) => LayerFacts {
                    statistics: Err(error.to_string()),
                    outliers: 0,
                },
            };
            progress.advance(1);
            Ok(facts)
        };
        let layers: Result<Vec<LayerFacts>, Cancelled> = (0..network.layers.len()).into_par_iter().map(facts).collect();
        let layers = Arc::new(layers?);
        Ok(Self { network, layers })
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
            if let (Ok(statistics), Ok(weights)) = (&facts.statistics, self.network.weights(index)) {
                facts.outliers = outlier_count(&weights, statistics.mean, sigma * statistics.std);
            }
            progress.advance(1);
            Ok(facts)
        };
        let layers: Result<Vec<LayerFacts>, Cancelled> = self.layers.par_iter().enumerate().map(recount).collect();
        Ok(Self {
            network: Arc::clone(&self.network),
            layers: Arc::new(layers?),
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

    /// The layer whose outliers stretch its grid most: the largest |w| in standard deviations, among those that can be
    /// split if there are any.
    pub fn worst_layer(&self) -> Option<usize> {
        let score = |index: &usize| {
            let splittable = self.network.layers[*index].support.why_not_split().is_none();
            (splittable, self.layers[*index].max_in_sigma().unwrap_or(0.0))
        };
        (0..self.layers.len()).max_by(|a, b| {
            let (a, b) = (score(a), score(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        })
    }
}
