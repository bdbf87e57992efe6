//! What a person chose: defaults, presets, exceptions for single layers. TOML on disk.

use super::{Bits, Clip, SplitKind};
use crate::network::Network;
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
    /// Fold batch-norm into the layer before it, first of all.
    pub fold_batch_norm: bool,
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
}

impl Default for Recipe {
    fn default() -> Self {
        todo!()
    }
}

impl Recipe {
    /// The recipe of a preset, at 8 bits without splitting.
    pub fn preset(_preset: Preset) -> Self {
        todo!()
    }

    /// What holds for layer `index` of `network`.
    pub fn settings(&self, _network: &Network, _index: usize) -> LayerSettings {
        todo!()
    }

    /// Checks ranges (bits 2 to 8, ratios 0 to 1, thresholds positive) and that every exception names a layer.
    ///
    /// # Errors
    /// One sentence: which field, which value, what is allowed.
    pub fn check(&self, _network: &Network) -> Result<(), String> {
        todo!()
    }

    /// The recipe as TOML.
    ///
    /// # Errors
    /// Never in practice; the serializer's reason.
    pub fn to_toml(&self) -> Result<String, String> {
        todo!()
    }

    /// A recipe from TOML; an unknown field is refused by its name.
    ///
    /// # Errors
    /// The line and what is wrong there.
    pub fn from_toml(_text: &str) -> Result<Self, String> {
        todo!()
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn load(_path: &Path) -> Result<Self, String> {
        todo!()
    }

    /// Writes a recipe file, beside and renamed.
    ///
    /// # Errors
    /// The file and the system's reason.
    pub fn save(&self, _path: &Path) -> Result<(), String> {
        todo!()
    }
}
