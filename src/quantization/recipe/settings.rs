//! What a recipe says of one layer, and what of that the layer can do.

use super::super::{Bits, Clip, Granularity, Rounding, SplitKind};
use super::{LayerRecipe, Recipe};
use crate::network::{Layer, LayerKind, Network, Support};

/// What holds for one layer once exceptions are applied.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LayerSettings {
    /// For its weights.
    pub weights: WeightSettings,
    /// For its input.
    pub input: InputSettings,
}

/// What happens to a layer's weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightSettings {
    /// Bits; [`Bits::Float`] for a layer left as it is.
    pub bits: Bits,
    /// Share of input channels to add, 0 to 1.
    pub expand_ratio: f64,
    /// How a weight is split.
    pub split: SplitKind,
    /// How the threshold is chosen.
    pub clip: Clip,
    /// Which parts have a scale of their own.
    pub scales: Granularity,
    /// Whether each scale has a zero point.
    pub zero_points: bool,
    /// Which integer each weight gets.
    pub rounding: Rounding,
}

/// What happens to a layer's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputSettings {
    /// Bits.
    pub bits: Bits,
    /// How the threshold is chosen.
    pub clip: Clip,
    /// Share of input channels whose activation is split, 0 to 1.
    pub expand_ratio: f64,
    /// How an activation is split.
    pub split: SplitKind,
    /// Use a grid of unsigned integers: with a zero point where the input is negative somewhere.
    pub unsigned: bool,
}

impl Default for WeightSettings {
    /// 8 bits, nothing split or clipped, one scale.
    fn default() -> Self {
        Self {
            bits: Bits::Grid(Bits::MAX),
            expand_ratio: 0.0,
            split: SplitKind::Qa,
            clip: Clip::None,
            scales: Granularity::Tensor,
            zero_points: false,
            rounding: Rounding::Nearest,
        }
    }
}

impl Default for InputSettings {
    /// Float.
    fn default() -> Self {
        Self {
            bits: Bits::Float,
            clip: Clip::None,
            expand_ratio: 0.0,
            split: SplitKind::Qa,
            unsigned: false,
        }
    }
}

impl WeightSettings {
    /// What of the settings `layer` can do: a layer that cannot be split has ratio 0, one whose output channels cannot be told
    /// apart has one scale for the tensor. Transposed convolutions have a scale for each output channel at most: the inputs of
    /// one are not neighbours in the file. The rows of an embedding are looked up, not added up: they have a scale each at most,
    /// on a symmetric grid, and each number is rounded to the nearest. [`WeightSettings::shortfalls`] says so to a person.
    pub fn effective(self, layer: &Layer) -> Self {
        let splits = layer.support == Support::Split;
        let is_table = layer.kind == LayerKind::Embedding;
        let scales = match self.scales {
            Granularity::Tensor => Granularity::Tensor,
            Granularity::Channel | Granularity::Block(_) if !layer.takes_scales_per_channel() => Granularity::Tensor,
            Granularity::Block(_) if is_table || layer.kind == LayerKind::ConvTranspose => Granularity::Channel,
            scales => scales,
        };
        Self {
            expand_ratio: if splits { self.expand_ratio } else { 0.0 },
            scales,
            zero_points: self.zero_points && !is_table,
            rounding: if is_table { Rounding::Nearest } else { self.rounding },
            ..self
        }
    }
}

impl WeightSettings {
    /// What `layer` cannot do of the settings, and why: a sentence for each.
    pub fn shortfalls(self, layer: &Layer) -> Vec<String> {
        let possible = self.effective(layer);
        let mut sentences = Vec::new();
        if possible.scales != self.scales {
            let (asked, given) = (self.scales, possible.scales);
            let why = match layer.kind {
                LayerKind::Embedding => "the rows of a table are looked up one by one",
                LayerKind::ConvTranspose => "the inputs of an output channel are not neighbours in its weight",
                _ => "its output channels are on two axes of the tensor",
            };
            sentences.push(format!("scales {given}, not {asked}: {why}"));
        }
        if possible.zero_points != self.zero_points {
            sentences.push("no zero points: the rows of a table are looked up one by one".to_owned());
        }
        if possible.expand_ratio != self.expand_ratio
            && let Some(why) = layer.support.why_not_split()
        {
            sentences.push(format!("not split: {why}"));
        }
        sentences
    }
}

impl InputSettings {
    /// What of the settings `layer` can do: recurrent layers have their weights quantized only (Zhao et al. 2019, section 5.4),
    /// and an input whose layer cannot be split is not split.
    pub fn effective(self, layer: &Layer) -> Self {
        Self {
            bits: if layer.kind.is_recurrent() {
                Bits::Float
            } else {
                self.bits
            },
            expand_ratio: if layer.support == Support::Split {
                self.expand_ratio
            } else {
                0.0
            },
            ..self
        }
    }
}

impl LayerSettings {
    /// What of the settings `layer` can do; the one place that says so.
    pub fn effective(self, layer: &Layer) -> Self {
        Self {
            weights: self.weights.effective(layer),
            input: self.input.effective(layer),
        }
    }
}

impl Recipe {
    /// What is asked of layer `index` of `network`, exceptions applied. What the layer can do of it:
    /// [`Recipe::effective`].
    pub fn settings(&self, network: &Network, index: usize) -> LayerSettings {
        let inherited = LayerRecipe::default();
        let layer = network.layers.get(index);
        let own = layer
            .and_then(|layer| self.layers.get(&layer.name))
            .unwrap_or(&inherited);
        // A table is neither the first layer nor the last: those compute.
        let is_table = |layer: &Layer| layer.kind == LayerKind::Embedding;
        let can_quantize = |layer: &Layer| layer.support.can_quantize() && !is_table(layer);
        let end = (self.float_first_layer && network.layers.iter().position(can_quantize) == Some(index))
            || (self.float_last_layer && network.layers.iter().rposition(can_quantize) == Some(index));
        // Embeddings stay float unless they are asked for, all of them or one by its name.
        let end = end || (layer.is_some_and(is_table) && own.weight_bits.is_none() && !self.quantize_embeddings);
        // A layer left as it is: neither its weights nor its input change. Float weights alone may still be split.
        let as_it_is = own.float.unwrap_or(end);
        let unless = |bits: Bits| if as_it_is { Bits::Float } else { bits };
        let share = |ratio: f64| if as_it_is { 0.0 } else { ratio };
        LayerSettings {
            weights: WeightSettings {
                bits: unless(own.weight_bits.unwrap_or(self.weight_bits)),
                expand_ratio: share(own.expand_ratio.unwrap_or(self.expand_ratio)),
                split: own.split.unwrap_or(self.split),
                clip: own.clip.unwrap_or(self.clip),
                scales: own.scales.unwrap_or(self.scales),
                zero_points: own.weight_zero_points.unwrap_or(self.weight_zero_points),
                rounding: own.rounding.unwrap_or(self.rounding),
            },
            input: InputSettings {
                bits: unless(own.activation_bits.unwrap_or(self.activation_bits)),
                clip: own.activation_clip.unwrap_or(self.activation_clip),
                expand_ratio: share(own.activation_expand_ratio.unwrap_or(self.activation_expand_ratio)),
                split: own.activation_split.unwrap_or(self.activation_split),
                unsigned: self.unsigned_activations,
            },
        }
    }

    /// What holds for layer `index` of `network`: what is asked, as far as the layer can do it.
    pub fn effective(&self, network: &Network, index: usize) -> LayerSettings {
        let asked = self.settings(network, index);
        match network.layers.get(index) {
            Some(layer) => asked.effective(layer),
            None => asked,
        }
    }
}
