//! What a person chose: defaults, presets, exceptions for single layers. TOML on disk.

use super::{Bits, Clip, SplitExport, SplitKind};
use crate::network::{Layer, Network};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A named starting point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// As in the paper: first layer and classifier float, batch-norm not folded, 8-bit activations, one scale a tensor.
    Paper,
    /// For shipping: batch-norm folded, every layer quantized, 8-bit activations.
    Deploy,
}

/// Everything that decides what a quantized network looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Bits of the weights.
    pub weight_bits: Bits,
    /// Share of input channels to add in each layer, 0 to 1.
    pub expand_ratio: f64,
    /// How a weight is split.
    pub split: SplitKind,
    /// How the weights' threshold is chosen.
    pub clip: Clip,
    /// Bits of the layers' inputs.
    pub activation_bits: Bits,
    /// How the activations' threshold is chosen.
    pub activation_clip: Clip,
    /// Share of input channels whose activation is halved and sent twice (activation OCS), 0 to 1; only where the input is
    /// on a grid.
    pub activation_expand_ratio: f64,
    /// How an activation is split.
    pub activation_split: SplitKind,
    /// Use the grid `0..2^k - 1` for activations that are never negative.
    pub unsigned_activations: bool,
    /// One scale for each output channel of a weight, instead of one a tensor.
    pub per_channel: bool,
    /// Fold batch-norm into the layer before it, first of all.
    pub fold_batch_norm: bool,
    /// Scale the channels between two layers so that both have weights of the same range, after folding.
    pub cross_layer_equalization: bool,
    /// Take back in the bias what rounding the weights does to a layer's mean outputs.
    pub bias_correction: bool,
    /// How an exported graph makes the copies of split channels.
    pub split_export: SplitExport,
    /// Leave the first layer as it is.
    pub float_first_layer: bool,
    /// Leave the last layer (the classifier) as it is.
    pub float_last_layer: bool,
    /// Exceptions, by layer name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, LayerRecipe>,
}

/// Exceptions for one layer; what is missing is inherited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerRecipe {
    /// Leave this layer as it is (or not, against `float_first_layer`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub float: Option<bool>,
    /// See [`Recipe::weight_bits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_bits: Option<Bits>,
    /// See [`Recipe::expand_ratio`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expand_ratio: Option<f64>,
    /// See [`Recipe::split`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitKind>,
    /// See [`Recipe::clip`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// See [`Recipe::activation_bits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_bits: Option<Bits>,
    /// See [`Recipe::activation_clip`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_clip: Option<Clip>,
    /// See [`Recipe::activation_expand_ratio`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_expand_ratio: Option<f64>,
    /// See [`Recipe::activation_split`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_split: Option<SplitKind>,
    /// The axis of the input channels, for a tensor of a file without a graph; 1 where nothing is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_axis: Option<usize>,
}

/// What holds for one layer once exceptions are applied. `weight_bits` is [`Bits::Float`] for a layer left as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerSettings {
    /// Bits of the weights.
    pub weight_bits: Bits,
    /// Share of input channels to add.
    pub expand_ratio: f64,
    /// How a weight is split.
    pub split: SplitKind,
    /// How the weights' threshold is chosen.
    pub clip: Clip,
    /// Bits of the input.
    pub activation_bits: Bits,
    /// How the input's threshold is chosen.
    pub activation_clip: Clip,
    /// Share of input channels whose activation is split.
    pub activation_expand_ratio: f64,
    /// How an activation is split.
    pub activation_split: SplitKind,
    /// Use an unsigned grid where the input is never negative.
    pub unsigned_activations: bool,
    /// One scale for each output channel.
    pub per_channel: bool,
}

impl Preset {
    /// All presets, in the order of the menu.
    pub const ALL: [Self; 2] = [Self::Paper, Self::Deploy];

    /// Name on the command line and in menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Deploy => "deploy",
        }
    }
}

impl Default for Recipe {
    /// 8-bit weights for every layer, nothing else touched.
    fn default() -> Self {
        Self {
            weight_bits: Bits::Grid(8),
            expand_ratio: 0.0,
            split: SplitKind::Qa,
            clip: Clip::None,
            activation_bits: Bits::Float,
            activation_clip: Clip::None,
            activation_expand_ratio: 0.0,
            activation_split: SplitKind::Qa,
            unsigned_activations: false,
            per_channel: false,
            fold_batch_norm: false,
            cross_layer_equalization: false,
            bias_correction: false,
            split_export: SplitExport::Gather,
            float_first_layer: false,
            float_last_layer: false,
            layers: BTreeMap::new(),
        }
    }
}

impl Recipe {
    /// The recipe of a preset, at 8 bits without splitting.
    pub fn preset(preset: Preset) -> Self {
        let common = Self {
            activation_bits: Bits::Grid(8),
            ..Self::default()
        };
        match preset {
            Preset::Paper => Self {
                float_first_layer: true,
                float_last_layer: true,
                ..common
            },
            Preset::Deploy => Self {
                fold_batch_norm: true,
                unsigned_activations: true,
                ..common
            },
        }
    }

    /// What holds for layer `index` of `network`.
    pub fn settings(&self, network: &Network, index: usize) -> LayerSettings {
        let inherited = LayerRecipe::default();
        let layer = network.layers.get(index);
        let own = layer
            .and_then(|layer| self.layers.get(&layer.name))
            .unwrap_or(&inherited);
        let can_quantize = |layer: &Layer| layer.support.can_quantize();
        let end = (self.float_first_layer && network.layers.iter().position(can_quantize) == Some(index))
            || (self.float_last_layer && network.layers.iter().rposition(can_quantize) == Some(index));
        let weight_bits = if own.float.unwrap_or(end) {
            Bits::Float
        } else {
            own.weight_bits.unwrap_or(self.weight_bits)
        };
        LayerSettings {
            weight_bits,
            expand_ratio: own.expand_ratio.unwrap_or(self.expand_ratio),
            split: own.split.unwrap_or(self.split),
            clip: own.clip.unwrap_or(self.clip),
            activation_bits: own.activation_bits.unwrap_or(self.activation_bits),
            activation_clip: own.activation_clip.unwrap_or(self.activation_clip),
            activation_expand_ratio: own.activation_expand_ratio.unwrap_or(self.activation_expand_ratio),
            activation_split: own.activation_split.unwrap_or(self.activation_split),
            unsigned_activations: self.unsigned_activations,
            per_channel: self.per_channel,
        }
    }

    /// The layers whose axis of input channels was chosen, and which axis.
    pub fn channel_axes(&self) -> impl Iterator<Item = (&str, usize)> {
        self.layers
            .iter()
            .filter_map(|(name, layer)| Some((name.as_str(), layer.channel_axis?)))
    }

    /// Whether any layer's input goes on a grid, so that activation ranges are needed.
    pub fn quantizes_activations(&self) -> bool {
        self.activation_bits != Bits::Float
            || self
                .layers
                .values()
                .any(|layer| layer.activation_bits.is_some_and(|bits| bits != Bits::Float))
    }

    /// Whether any layer's activations are split, where they are on a grid.
    pub fn splits_activations(&self) -> bool {
        let layers = self.layers.values().filter_map(|layer| layer.activation_expand_ratio);
        self.quantizes_activations() && layers.chain([self.activation_expand_ratio]).any(|ratio| ratio > 0.0)
    }

    /// Whether something must be known of the layers' inputs: their ranges, or their means.
    pub fn needs_activations(&self) -> bool {
        self.quantizes_activations() || self.bias_correction
    }

    /// Checks ranges (bits 2 to 8, ratios 0 to 1, thresholds positive) and that every exception names a layer.
    ///
    /// # Errors
    /// One sentence: which field, which value, what is allowed.
    pub fn check(&self, network: &Network) -> Result<(), String> {
        self.check_values()?;
        for (name, axis) in self.channel_axes() {
            if let Some(index) = network.layer_index(name) {
                let layer = &network.layers[index];
                let fault = |reason| format!("layers.\"{name}\".channel_axis: {reason}");
                layer.check_channel_axis(axis).map_err(fault)?;
            }
        }
        match self.layers.keys().find(|name| network.layer_index(name).is_none()) {
            Some(name) => Err(match closest(name, network) {
                Some(near) => format!(
                    "layers: there is no layer '{name}' in {}; did you mean '{near}'?",
                    network.name
                ),
                None => format!("layers: there is no layer '{name}' in {}", network.name),
            }),
            None => Ok(()),
        }
    }

    /// The part of [`Recipe::check`] that needs no network.
    fn check_values(&self) -> Result<(), String> {
        let bits = |field: &str, bits: Bits| match bits {
            Bits::Grid(bits) if !(Bits::MIN..=Bits::MAX).contains(&bits) => {
                Err(format!("{field} is 2 to 8 or \"float\", not {bits}"))
            }
            _ => Ok(()),
        };
        let ratio = |field: &str, ratio: f64| match ratio {
            0.0..=1.0 => Ok(()),
            _ => Err(format!("{field} is 0 to 1, not {ratio}")),
        };
        let clip = |field: &str, clip: Clip| match clip {
            Clip::Manual(t) if !(t > 0.0 && t.is_finite()) => Err(format!("{field}: a threshold is positive, not {t}")),
            _ => Ok(()),
        };
        bits("weight_bits", self.weight_bits)?;
        bits("activation_bits", self.activation_bits)?;
        ratio("expand_ratio", self.expand_ratio)?;
        ratio("activation_expand_ratio", self.activation_expand_ratio)?;
        clip("clip", self.clip)?;
        clip("activation_clip", self.activation_clip)?;
        for (name, layer) in &self.layers {
            let field = |field: &str| format!("layers.\"{name}\".{field}");
            bits(&field("weight_bits"), layer.weight_bits.unwrap_or(Bits::Float))?;
            bits(&field("activation_bits"), layer.activation_bits.unwrap_or(Bits::Float))?;
            ratio(&field("expand_ratio"), layer.expand_ratio.unwrap_or(0.0))?;
            let activations = layer.activation_expand_ratio.unwrap_or(0.0);
            ratio(&field("activation_expand_ratio"), activations)?;
            clip(&field("clip"), layer.clip.unwrap_or_default())?;
            clip(&field("activation_clip"), layer.activation_clip.unwrap_or_default())?;
        }
        Ok(())
    }

    /// The recipe as TOML.
    ///
    /// # Errors
    /// Never in practice; the serializer's reason.
    pub fn to_toml(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|e| e.to_string())
    }

    /// A recipe from TOML; an unknown field is refused by its name, a missing one has its default.
    ///
    /// # Errors
    /// The line and what is wrong there.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let recipe: Self = toml::from_str(text).map_err(|e| match e.span() {
            Some(span) => {
                let line = text.get(..span.start).unwrap_or(text).matches('\n').count() + 1;
                format!("line {line}: {}", e.message())
            }
            None => e.message().to_owned(),
        })?;
        recipe.check_values()?;
        Ok(recipe)
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = crate::files::read_text(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::from_toml(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Writes a recipe file, beside and renamed.
    ///
    /// # Errors
    /// The file and the system's reason.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        let text = self.to_toml()?;
        crate::replacement::replace_file(path, text.as_bytes()).map_err(|e| format!("{}: {e}", path.display()))
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
