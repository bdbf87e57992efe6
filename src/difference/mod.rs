//! Two networks side by side: which layers belong together, and how far apart their weights are.
//!
//! The weights are compared as the networks see them. Integers come with their scale, and the copies that splitting made of a
//! channel are added up, so that a quantized export stands beside its float original as `quantize` reports it. A network
//! that carries a recipe was folded and equalized as it says; the other one is prepared alike ([`prepared_alike`]).
//!
//! # Example
//!
//! ```
//! use splitscope::difference::NetworkDifference;
//! use splitscope::format::demo::Demo;
//! use splitscope::progress::Progress;
//!
//! let network = Demo::Fashion.network()?;
//! let found = NetworkDifference::between(&network, &network, &Progress::default())?;
//! assert_eq!(found.counts(), [network.layers.len(), 0, 0], "equal, different, not compared");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alike;
mod matching;
mod rows;
mod seen;
mod sums;

#[cfg(test)]
mod tests;

pub use alike::{Alike, prepared_alike};
pub use matching::MatchedBy;
pub use sums::WeightDifference;

use crate::network::{Network, NetworkError};
use crate::progress::{Cancelled, Progress};
use matching::matches;
use seen::Reader;
use serde::Serialize;
use std::sync::Arc;

/// How two networks differ.
#[derive(Debug, Clone)]
pub struct NetworkDifference {
    /// Layers of both, in the order of the first network.
    pub layers: Vec<LayerDifference>,
    /// Names of layers that only the first, and only the second network has.
    pub only_in: [Vec<String>; 2],
}

/// Why the weights of two layers cannot be compared.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotCompared {
    /// Those of one of them cannot be read.
    #[error(transparent)]
    Weights(#[from] Arc<NetworkError>),
    /// They do not lie over each other, whatever is turned or left out.
    #[error("the shapes {0:?} and {1:?} do not belong to each other")]
    Shapes(Vec<usize>, Vec<usize>),
}

/// A layer of both networks.
#[derive(Debug, Clone)]
pub struct LayerDifference {
    /// The layer in the first and in the second network.
    pub sides: [LayerSide; 2],
    /// What told that they belong together.
    pub matched_by: MatchedBy,
    /// How their weights differ, or why that cannot be told.
    pub weights: Result<WeightDifference, NotCompared>,
}

/// A layer in one of the networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSide {
    /// Position among the layers of its network.
    #[serde(skip)]
    pub layer: usize,
    /// Its name.
    pub name: String,
    /// Name of the weight tensor.
    pub weight: String,
    /// Shape of the tensor as stored.
    pub shape: Vec<usize>,
    /// Copies of input channels and of output channels that were added up or left out for the comparison.
    pub copies: usize,
}

impl NetworkDifference {
    /// Compares `one` with `other`, layer by layer.
    ///
    /// # Errors
    /// [`Cancelled`]. A layer that cannot be compared says so and stops nothing.
    pub fn between(one: &Network, other: &Network, progress: &Progress) -> Result<Self, Cancelled> {
        progress.start(0, "matching layers");
        let readers = [Reader::new(one), Reader::new(other)];
        let matching = matches(&readers);
        progress.start(matching.pairs.len() as u64, "comparing layers");
        let mut layers = Vec::with_capacity(matching.pairs.len());
        // One layer at a time, so that no more of large networks is held than two layers; each is read in parallel.
        for pair in &matching.pairs {
            progress.check()?;
            let (copies, weights) = match seen::both(&readers, &matching, pair) {
                Ok((seen, copies)) => (copies, Ok(sums::compare(&seen))),
                Err(why) => ([0; 2], Err(why)),
            };
            let side = |which: usize| {
                let layer = &readers[which].network.layers[pair.layers[which]];
                LayerSide {
                    layer: pair.layers[which],
                    name: layer.name.clone(),
                    weight: layer.weight.clone(),
                    shape: layer.shape.clone(),
                    copies: copies[which],
                }
            };
            layers.push(LayerDifference {
                sides: [side(0), side(1)],
                matched_by: pair.by,
                weights,
            });
            progress.advance(1);
        }
        let names = |which: usize| {
            let layers = &readers[which].network.layers;
            let left = matching.left[which].iter();
            left.map(|layer| layers[*layer].name.clone()).collect()
        };
        Ok(Self {
            layers,
            only_in: [names(0), names(1)],
        })
    }

    /// The layers whose weights differ most first: least SQNR, then those that cannot be compared, equal ones last.
    pub fn worst_first(&self) -> Vec<&LayerDifference> {
        let mut layers: Vec<&LayerDifference> = self.layers.iter().collect();
        layers.sort_by(|a, b| rank(a).0.cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1)));
        layers
    }

    /// That the networks have no layer of which the weights can be compared, with what came nearest; `None` if they have one.
    pub fn nothing_in_common(&self) -> Option<String> {
        if self.layers.iter().any(|layer| layer.weights.is_ok()) {
            return None;
        }
        let first = self
            .layers
            .first()
            .and_then(|layer| Some((layer, layer.weights.as_ref().err()?)));
        Some(match first {
            Some((layer, why)) => format!(
                "no layer in common that can be compared; {}: {why}",
                layer.sides[0].name
            ),
            None => "no layer in common, neither by name nor by shape".to_owned(),
        })
    }

    /// How many layers have equal weights, differing ones, and ones that cannot be compared.
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for layer in &self.layers {
            counts[match &layer.weights {
                Ok(weights) if weights.is_equal() => 0,
                Ok(_) => 1,
                Err(_) => 2,
            }] += 1;
        }
        counts
    }
}

fn rank(layer: &LayerDifference) -> (u8, f64) {
    match &layer.weights {
        Ok(weights) if !weights.is_equal() => (0, weights.sqnr_db),
        Err(_) => (1, 0.0),
        Ok(_) => (2, 0.0),
    }
}
