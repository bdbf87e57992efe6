//! Whether a recipe can be carried out on a network.

use super::super::{Bits, Clip, Granularity};
use super::{LayerRecipe, Recipe, RecipeError};
use crate::network::Network;

impl Recipe {
    /// Checks ranges (bits 2 to 8, ratios 0 to 1, thresholds positive) and that every exception names a layer.
    ///
    /// # Errors
    /// Which field, which value, what is allowed.
    pub fn check(&self, network: &Network) -> Result<(), RecipeError> {
        self.check_values()?;
        for (name, axis) in self.channel_axes() {
            if let Some(index) = network.layer_index(name) {
                let fault = |reason| RecipeError::ChannelAxis {
                    name: name.to_owned(),
                    reason,
                };
                network.layers[index].check_channel_axis(axis).map_err(fault)?;
            }
        }
        match self.layers.keys().find(|name| network.layer_index(name).is_none()) {
            Some(name) => Err(RecipeError::NoLayer {
                name: name.clone(),
                network: network.name.clone(),
                near: closest(name, network).map(str::to_owned),
            }),
            None => Ok(()),
        }
    }

    /// The part of [`Recipe::check`] that needs no network.
    pub(super) fn check_values(&self) -> Result<(), RecipeError> {
        let own = |field: &str| field.to_owned();
        bits(own("weight_bits"), self.weight_bits)?;
        bits(own("activation_bits"), self.activation_bits)?;
        ratio(own("expand_ratio"), self.expand_ratio)?;
        ratio(own("activation_expand_ratio"), self.activation_expand_ratio)?;
        ratio(own("smooth"), self.smooth)?;
        clip(own("clip"), self.clip)?;
        clip(own("activation_clip"), self.activation_clip)?;
        scales(own("scales"), self.scales)?;
        if self.splits_activations() {
            let layers = self.layers.values().filter_map(|layer| layer.scales);
            if let Some(Granularity::Block(_)) = layers
                .chain([self.scales])
                .find(|scales| matches!(scales, Granularity::Block(_)))
            {
                return Err(RecipeError::Lacks(
                    "activation_expand_ratio needs scales = \"tensor\" or \"channel\": the copies of a channel would have to share \
                     their blocks",
                ));
            }
        }
        for (name, layer) in &self.layers {
            check_layer(name, layer)?;
        }
        Ok(())
    }
}

fn check_layer(name: &str, layer: &LayerRecipe) -> Result<(), RecipeError> {
    let field = |field: &str| format!("layers.\"{name}\".{field}");
    bits(field("weight_bits"), layer.weight_bits.unwrap_or(Bits::Float))?;
    bits(field("activation_bits"), layer.activation_bits.unwrap_or(Bits::Float))?;
    ratio(field("expand_ratio"), layer.expand_ratio.unwrap_or(0.0))?;
    let activations = layer.activation_expand_ratio.unwrap_or(0.0);
    ratio(field("activation_expand_ratio"), activations)?;
    clip(field("clip"), layer.clip.unwrap_or_default())?;
    clip(field("activation_clip"), layer.activation_clip.unwrap_or_default())?;
    scales(field("scales"), layer.scales.unwrap_or_default())
}

fn bits(field: String, bits: Bits) -> Result<(), RecipeError> {
    match bits {
        Bits::Grid(bits) if !(Bits::MIN..=Bits::MAX).contains(&bits) => Err(RecipeError::OutOfRange {
            field,
            value: bits.to_string(),
            allowed: "2 to 8 or \"float\"",
        }),
        _ => Ok(()),
    }
}

fn ratio(field: String, ratio: f64) -> Result<(), RecipeError> {
    match ratio {
        0.0..=1.0 => Ok(()),
        _ => Err(RecipeError::OutOfRange {
            field,
            value: ratio.to_string(),
            allowed: "0 to 1",
        }),
    }
}

fn clip(field: String, clip: Clip) -> Result<(), RecipeError> {
    match clip {
        Clip::Manual(value) if !(value > 0.0 && value.is_finite()) => Err(RecipeError::Threshold { field, value }),
        _ => Ok(()),
    }
}

fn scales(field: String, scales: Granularity) -> Result<(), RecipeError> {
    match scales {
        Granularity::Block(size) if !Granularity::BLOCKS.contains(&size) => Err(RecipeError::OutOfRange {
            field,
            value: scales.to_string(),
            allowed: "tensor, channel or block:N with N 16, 32, 64 or 128",
        }),
        _ => Ok(()),
    }
}

/// The layer whose name shares the longest beginning or end with `name`, if they share at least half of it.
fn closest<'a>(name: &str, network: &'a Network) -> Option<&'a str> {
    let shared = |other: &str| {
        let beginning = name.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
        let end = name
            .chars()
            .rev()
            .zip(other.chars().rev())
            .take_while(|(a, b)| a == b)
            .count();
        beginning.max(end)
    };
    let best = network.layers.iter().max_by_key(|layer| shared(&layer.name))?;
    (2 * shared(&best.name) >= name.chars().count()).then_some(best.name.as_str())
}
