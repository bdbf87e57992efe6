//! What a person chose: defaults, presets, exceptions for single layers. TOML on disk.
//!
//! A new field is declared in [`Recipe`] (and [`LayerRecipe`], if a layer can have its own), gets its default in
//! [`Recipe::default`] and a line in [`FIELDS`]; what it holds for a layer stands in `settings`.

mod check;
mod disk;
mod effect;
mod error;
mod field;
mod settings;
mod table;

pub use effect::{Lacking, WithoutEffect};
pub use error::{RecipeError, ValueError};
pub use field::{Access, At, Field, FieldValue, InLayer};
pub use settings::{InputSettings, LayerSettings, WeightSettings};
pub use table::FIELDS;

use super::{Bits, Clip, Granularity, Products, Rounding, SplitExport, SplitKind, Storage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A named starting point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// As in the paper: first layer and classifier float, batch-norm not folded, 8-bit activations, one scale a tensor.
    Paper,
    /// For shipping on integer hardware: batch-norm folded, every layer quantized with a scale for each output channel, weights
    /// rounded by SQuant (by GPTQ where there are calibration data), biases corrected, 8-bit activations, the values between layers
    /// too, so that runtimes compute in integers from layer to layer.
    Deploy,
    /// The same with weights of 8 bits, whatever bits are asked for otherwise.
    Int8,
    /// As small as weights get in onnxruntime: 4 bits in blocks of 32, rounded by SQuant (by GPTQ, and biases corrected, where there
    /// are calibration data); activations float.
    Int4,
}

/// Everything that decides what a quantized network looks like.
#[derive(Debug, Clone, PartialEq)]
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
    /// Which parts of a weight have a scale of their own.
    pub scales: Granularity,
    /// Give each scale of the weights a zero point, so that its grid reaches from the least weight to the greatest.
    pub weight_zero_points: bool,
    /// Which integer each weight gets.
    pub rounding: Rounding,
    /// Put activations on grids of unsigned integers: `0..2^k - 1` for those that are never negative, with a zero point for the others,
    /// from the least value to the greatest.
    pub unsigned_activations: bool,
    /// Fold batch-norm into the layer before it, first of all.
    pub fold_batch_norm: bool,
    /// Scale the channels between two layers so that both have weights of the same range, after folding.
    pub cross_layer_equalization: bool,
    /// Rotate the residual stream of a transformer, before anything is smoothed or scaled (offline rotation of QuaRot).
    pub rotate: bool,
    /// How much of the outliers of inputs is moved into the weights before anything else (SmoothQuant's strength a), 0 to 1; 0
    /// leaves the network as it is.
    pub smooth: f64,
    /// Multiply columns of weights that meet large inputs before they are rounded, as much as leaves the least error of the
    /// outputs (AWQ).
    pub awq: bool,
    /// Take back in the bias what rounding the weights does to a layer's mean outputs.
    pub bias_correction: bool,
    /// Round and correct layer after layer, by the inputs that each has behind the quantized layers before it.
    pub sequential: bool,
    /// Put the outputs of layers, sums and pools on a grid too, where the inputs of layers are: runtimes then compute in
    /// integers from layer to layer.
    pub quantize_outputs: bool,
    /// Put tables of embeddings (constants that a `Gather` reads) on a grid too, a scale for each row at most.
    pub quantize_embeddings: bool,
    /// How an exported graph makes the copies of split channels.
    pub split_export: SplitExport,
    /// How an exported file stores quantized weights.
    pub storage: Storage,
    /// How products of float inputs and quantized weights are exported.
    pub products: Products,
    /// Leave the first layer as it is.
    pub float_first_layer: bool,
    /// Leave the last layer (the classifier) as it is.
    pub float_last_layer: bool,
    /// Exceptions, by layer name.
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
    /// See [`Recipe::scales`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scales: Option<Granularity>,
    /// See [`Recipe::weight_zero_points`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_zero_points: Option<bool>,
    /// See [`Recipe::rounding`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounding: Option<Rounding>,
    /// The axis of the input channels, for a tensor of a file without a graph; 1 where nothing is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_axis: Option<usize>,
}

impl Preset {
    /// All presets, in the order of the menu.
    pub const ALL: [Self; 4] = [Self::Paper, Self::Deploy, Self::Int8, Self::Int4];

    /// Name on the command line and in menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Deploy => "deploy",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }

    /// Whether the bits of the weights belong to it: of the others they are a choice of their own.
    pub fn has_bits(self) -> bool {
        matches!(self, Self::Int8 | Self::Int4)
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
            scales: Granularity::Tensor,
            weight_zero_points: false,
            rounding: Rounding::Nearest,
            unsigned_activations: false,
            fold_batch_norm: false,
            cross_layer_equalization: false,
            rotate: false,
            smooth: 0.0,
            awq: false,
            bias_correction: false,
            sequential: false,
            quantize_outputs: false,
            quantize_embeddings: false,
            split_export: SplitExport::Gather,
            storage: Storage::Auto,
            products: Products::Exact,
            float_first_layer: false,
            float_last_layer: false,
            layers: BTreeMap::new(),
        }
    }
}

impl Recipe {
    /// The recipe of a preset where there are no calibration data, at 8 bits (4 for [`Preset::Int4`]) without splitting.
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
            Preset::Deploy | Preset::Int8 => Self {
                quantize_outputs: true,
                fold_batch_norm: true,
                unsigned_activations: true,
                scales: Granularity::Channel,
                rounding: Rounding::Squant,
                bias_correction: true,
                quantize_embeddings: true,
                split_export: SplitExport::Auto,
                ..common
            },
            Preset::Int4 => Self {
                weight_bits: Bits::Grid(4),
                fold_batch_norm: true,
                scales: Granularity::Block(32),
                rounding: Rounding::Squant,
                quantize_embeddings: true,
                ..Self::default()
            },
        }
    }

    /// The recipe of a preset, as it is best `with_data` to calibrate on or without.
    pub fn preset_for(preset: Preset, with_data: bool) -> Self {
        let recipe = Self::preset(preset);
        match preset {
            Preset::Deploy | Preset::Int8 | Preset::Int4 if with_data => Self {
                rounding: Rounding::Gptq,
                bias_correction: true,
                sequential: true,
                ..recipe
            },
            _ => recipe,
        }
    }

    /// What a person gets who chose nothing, and a sentence that says so: [`Preset::Deploy`] as far as it is safe. Without data
    /// to calibrate on, activations stay float: ranges that nobody measured can ruin a network. What cannot be run (weights
    /// alone, `runs` is false) has no inputs to correct biases by.
    pub fn suggested(runs: bool, with_data: bool) -> (Self, &'static str) {
        let recipe = Self::preset_for(Preset::Deploy, runs && with_data);
        match (runs, with_data) {
            (true, true) => (recipe, "no recipe was given: taking --preset deploy"),
            (true, false) => (
                Self {
                    activation_bits: Bits::Float,
                    ..recipe
                },
                "no recipe was given: taking --preset deploy --activation-bits float (give --calibration PATH to quantize \
                 activations too)",
            ),
            (false, _) => (
                Self {
                    activation_bits: Bits::Float,
                    bias_correction: false,
                    ..recipe
                },
                "no recipe was given: taking --preset deploy --activation-bits float --no-bias-correction, because the network \
                 cannot be run",
            ),
        }
    }

    /// The same bits, preparation and layers left float, but no splits, no clipping, and every weight rounded to the nearest
    /// point of the same grid: the baseline that splits, clips and rounding are compared with.
    pub fn plain(&self) -> Self {
        // Taken apart field by field, so that a new field does not compile until it is known whether it belongs to the baseline.
        let Self {
            weight_bits,
            expand_ratio: _,
            split: _,
            clip: _,
            activation_bits,
            activation_clip: _,
            activation_expand_ratio: _,
            activation_split: _,
            scales,
            weight_zero_points,
            rounding: _,
            unsigned_activations,
            fold_batch_norm,
            cross_layer_equalization,
            rotate,
            smooth,
            awq,
            bias_correction,
            sequential,
            quantize_outputs,
            quantize_embeddings,
            split_export,
            storage,
            products,
            float_first_layer,
            float_last_layer,
            layers,
        } = self;
        let layers = layers.iter().map(|(name, layer)| (name.clone(), layer.plain()));
        Self {
            weight_bits: *weight_bits,
            activation_bits: *activation_bits,
            scales: *scales,
            weight_zero_points: *weight_zero_points,
            unsigned_activations: *unsigned_activations,
            fold_batch_norm: *fold_batch_norm,
            cross_layer_equalization: *cross_layer_equalization,
            rotate: *rotate,
            smooth: *smooth,
            awq: *awq,
            bias_correction: *bias_correction,
            sequential: *sequential,
            quantize_outputs: *quantize_outputs,
            quantize_embeddings: *quantize_embeddings,
            split_export: *split_export,
            storage: *storage,
            products: *products,
            float_first_layer: *float_first_layer,
            float_last_layer: *float_last_layer,
            layers: layers.filter(|(_, layer)| *layer != LayerRecipe::default()).collect(),
            ..Self::default()
        }
    }

    /// The recipe with the same settings for all layers: of the exceptions only those stay that say which layers are float and
    /// where their channels are.
    pub fn uniform(&self) -> Self {
        let keep = |layer: &LayerRecipe| LayerRecipe {
            float: layer.float,
            channel_axis: layer.channel_axis,
            ..LayerRecipe::default()
        };
        let layers = self.layers.iter().map(|(name, layer)| (name.clone(), keep(layer)));
        Self {
            layers: layers.filter(|(_, layer)| *layer != LayerRecipe::default()).collect(),
            ..self.clone()
        }
    }

    /// The recipe for layers that are looked at one at a time, all others float: each is planned on the inputs that it has then.
    /// Layers planned one after the other would make good errors that are not there.
    pub fn of_layers_apart(&self) -> Self {
        Self {
            sequential: false,
            ..self.clone()
        }
    }

    /// Whether the network that `other` is carried out on is the same: whatever is done before layers are put on grids
    /// ([`super::prepare_with`]) is asked for alike. Scaling by activations (AWQ) goes by all of the recipe.
    pub fn prepares_like(&self, other: &Self) -> bool {
        self.fold_batch_norm == other.fold_batch_norm
            && self.cross_layer_equalization == other.cross_layer_equalization
            && self.rotate == other.rotate
            && self.smooth == other.smooth
            && self.channel_axes().eq(other.channel_axes())
            && (self.awq, other.awq) != (false, true)
            && (!self.awq || self == other)
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
        self.quantizes_activations() || self.looks_at_inputs()
    }

    /// Whether layers are planned one after the other, because something of a layer depends on those before it.
    pub fn plans_in_sequence(&self) -> bool {
        self.sequential && self.looks_at_inputs()
    }

    /// Whether weights are rounded, or biases corrected, by what layers read.
    pub(super) fn looks_at_inputs(&self) -> bool {
        self.bias_correction || self.needs_moments()
    }

    /// Whether second moments of the layers' inputs are asked for.
    pub fn needs_moments(&self) -> bool {
        let layers = self.layers.values().filter_map(|layer| layer.rounding);
        layers.chain([self.rounding]).any(Rounding::needs_moments)
    }

    /// What the recipe lacks where nothing is known of the layers' inputs, or something is.
    pub(super) fn lacks(&self, inputs_are_known: bool) -> Option<&'static str> {
        match inputs_are_known {
            true => None,
            false if self.quantizes_activations() => {
                Some("quantized activations need calibration data; give some, or leave activation_bits at \"float\"")
            }
            false if self.bias_correction => Some(
                "bias correction needs the means of the layers' inputs, from calibration data or data-free; give some, or set \
                 bias_correction = false",
            ),
            false if self.needs_moments() => Some(
                "rounding by GPTQ needs the layers' inputs, from calibration data or data-free; give some, or set rounding = \
                 \"squant\"",
            ),
            false => None,
        }
    }
}

impl LayerRecipe {
    /// What [`Recipe::plain`] keeps of a layer's exceptions.
    fn plain(&self) -> Self {
        let Self {
            float,
            weight_bits,
            expand_ratio: _,
            split: _,
            clip: _,
            activation_bits,
            activation_clip: _,
            activation_expand_ratio: _,
            activation_split: _,
            scales,
            weight_zero_points,
            rounding: _,
            channel_axis,
        } = self;
        Self {
            float: *float,
            weight_bits: *weight_bits,
            activation_bits: *activation_bits,
            scales: *scales,
            weight_zero_points: *weight_zero_points,
            channel_axis: *channel_axis,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
