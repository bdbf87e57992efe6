//! What the card of a layer shows beyond its facts: a small histogram, and the error with and without clipping and splitting.
//! Made a few layers at a time, while their cards are in sight.

use super::derived::{Derived, Wanted, Work};
use super::keys::PrepareKey;
use super::open::OpenNetwork;
use super::work::Kind;
use crate::network::{Network, NetworkError};
use crate::quantization::{Clip, WeightSettings, plan_layer};
use crate::statistics::histogram;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Bins of a card's histogram, over all of a layer's weights.
pub const CARD_BINS: usize = 121;
/// A layer with more weights is not read for a picture of a few hundred points.
const TOO_LARGE: u64 = 1 << 26;
/// The ratio that is compared while the recipe splits nothing.
const USUAL_RATIO: f64 = 0.05;
/// Layers of a job: few, so that pictures appear one after the other.
const BATCH: usize = 6;

/// The errors that a card compares, as root mean square of the error over that of the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CardErrors {
    /// Neither clipped nor split.
    pub plain: f64,
    /// Clipped alone.
    pub clip: f64,
    /// Split alone.
    pub split: f64,
    /// Split, then clipped.
    pub both: f64,
}

/// What is computed for the card of a layer.
#[derive(Debug, Clone)]
pub struct LayerCard {
    /// The largest |w|: the counts reach from minus that to it.
    pub max_abs: f32,
    /// Weights in each of [`CARD_BINS`].
    pub counts: Vec<u64>,
    /// `None` for a layer that stays float.
    pub errors: Option<CardErrors>,
}

/// Why a layer has no card.
#[derive(Debug, thiserror::Error)]
pub enum NoCard {
    /// Its weights would take too long.
    #[error("too large to be drawn here; select it to see it")]
    TooLarge,
    /// Its weights cannot be read.
    #[error(transparent)]
    Weights(#[from] NetworkError),
}

/// The cards that are known of one network.
pub struct Cards {
    of: PrepareKey,
    /// By position of the layer: the settings it was made for, and the card or why there is none.
    known: BTreeMap<usize, (WeightSettings, Result<LayerCard, NoCard>)>,
}

impl Cards {
    pub(super) const NONE: Self = Self {
        of: PrepareKey::NOTHING,
        known: BTreeMap::new(),
    };

    /// The card of a layer, maybe for older settings, or why there is none; `None` while it is not known.
    pub fn get(&self, layer: usize) -> Option<&Result<LayerCard, NoCard>> {
        self.known.get(&layer).map(|(_, card)| card)
    }

    fn lacks(&self, layer: usize, settings: &WeightSettings) -> bool {
        self.known.get(&layer).is_none_or(|(of, _)| of != settings)
    }
}

impl OpenNetwork {
    /// The cards of the network that is shown, as far as they are known: they are made for the layers of
    /// [`super::Watched::cards`].
    pub fn cards(&self) -> &Cards {
        if self.cards.of == self.shown_as() {
            &self.cards
        } else {
            const { &Cards::NONE }
        }
    }

    /// The ratio and the way to clip that cards compare.
    pub fn compared_on_cards(&self) -> (f64, Clip) {
        usual(self.recipe().expand_ratio, self.recipe().clip)
    }
}

/// What is compared: what is set, or what is usual where nothing is.
fn usual(ratio: f64, clip: Clip) -> (f64, Clip) {
    let ratio = if ratio > 0.0 { ratio } else { USUAL_RATIO };
    let clip = if clip == Clip::None { Clip::Mse } else { clip };
    (ratio, clip)
}

/// The next cards.
pub(super) struct CardsMade;

/// Layers of a network and the settings for which their cards are made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    prepared: PrepareKey,
    layers: Vec<(usize, WeightSettings)>,
}

impl Derived for CardsMade {
    type Key = Batch;
    type Value = Vec<Result<LayerCard, NoCard>>;
    const KIND: Kind = Kind::Cards;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<Batch> {
        let prepared = open.shown_as();
        // A batch comes to its end before the next begins, unless another network is shown by now.
        let running = open.slots.of::<Self>().running();
        if let Some(batch) = running.filter(|batch| batch.prepared == prepared) {
            return Some(batch.clone());
        }
        let (facts, known) = (&open.shown().layers, open.cards());
        let lacking = wanted.watched.cards.iter().filter_map(|&layer| {
            // What was in sight may be of the network before.
            if facts.get(layer).is_none_or(|facts| facts.pending) {
                return None;
            }
            let settings = open.effective(layer).weights;
            known.lacks(layer, &settings).then_some((layer, settings))
        });
        let layers: Vec<_> = lacking.take(BATCH).collect();
        (!layers.is_empty()).then_some(Batch { prepared, layers })
    }

    fn compute(open: &mut OpenNetwork, batch: &Batch, _: &Wanted) -> Option<Work<Self::Value>> {
        let (network, layers) = (Arc::clone(&open.shown().network), batch.layers.clone());
        Some(Work::new("Drawing layers", move |progress| {
            let mut cards = Vec::new();
            for (layer, settings) in &layers {
                progress.check()?;
                cards.push(card(&network, *layer, settings));
            }
            Ok(cards)
        }))
    }

    fn take(open: &mut OpenNetwork, cards: Self::Value, _: Duration) {
        let Some(batch) = open.slots.of_mut::<Self>().settle() else {
            return;
        };
        if open.cards.of != batch.prepared {
            open.cards = Cards {
                of: batch.prepared,
                ..Cards::NONE
            };
        }
        let made = batch.layers.into_iter().zip(cards);
        let made = made.map(|((layer, settings), card)| (layer, (settings, card)));
        open.cards.known.extend(made);
    }
}

fn card(network: &Network, index: usize, settings: &WeightSettings) -> Result<LayerCard, NoCard> {
    let layer = &network.layers[index];
    if layer.parameters() > TOO_LARGE {
        return Err(NoCard::TooLarge);
    }
    let weights = network.weights(index)?;
    let max_abs = weights
        .iter()
        .copied()
        .filter(|w| w.is_finite())
        .fold(0.0, |max: f32, w| max.max(w.abs()));
    let reach = if max_abs > 0.0 { f64::from(max_abs) } else { 1.0 };
    // A little further, so that the largest weight is inside of the last bin.
    let counts = histogram(&weights, -reach * 1.0001, reach * 1.0001, CARD_BINS).counts;
    let quantizable = settings.bits.grid().is_some() && layer.support.can_quantize();
    let errors = quantizable.then(|| {
        let error = |clipped: bool, split: bool| {
            let settings = variant(settings, clipped, split).effective(layer);
            relative_error(plan_layer(&weights, &layer.layout, &settings).sqnr_db)
        };
        CardErrors {
            plain: error(false, false),
            clip: error(true, false),
            split: error(false, true),
            both: error(true, true),
        }
    });
    Ok(LayerCard {
        max_abs,
        counts,
        errors,
    })
}

/// The settings with or without clipping and splitting: as the recipe does it, or as is usual where it does not.
fn variant(settings: &WeightSettings, clipped: bool, split: bool) -> WeightSettings {
    let (ratio, clip) = usual(settings.expand_ratio, settings.clip);
    WeightSettings {
        clip: if clipped { clip } else { Clip::None },
        expand_ratio: if split { ratio } else { 0.0 },
        ..*settings
    }
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
    fn a_card_counts_every_weight_and_compares_four_ways() {
        let network = crate::format::open(Path::new("demo:fashion")).unwrap();
        let index = network.layer_index("layer1.0.conv1").unwrap();
        let recipe = start_recipe(Some(Demo::Fashion));
        let settings = recipe.effective(&network, index).weights;
        let card = card(&network, index, &settings).unwrap();
        assert_eq!(card.counts.iter().sum::<u64>(), network.layers[index].parameters());
        let errors = card.errors.unwrap();
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
        assert!(super::card(&network, float, &settings).unwrap().errors.is_none());
    }

    #[test]
    fn decibels_become_a_share() {
        assert!((relative_error(20.0) - 0.1).abs() < 1e-12);
        assert_eq!(relative_error(f64::INFINITY), 0.0);
    }
}
