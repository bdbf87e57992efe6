//! Fields that say something which the rest of the recipe leaves no room for: a threshold for weights that stay float, say.

use super::{FIELDS, LayerRecipe, Recipe};
use crate::quantization::{Bits, Clip, Granularity, Products, Rounding, SplitExport, Storage};
use std::fmt;

/// A field of a recipe that changes nothing, though it asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithoutEffect {
    /// Its name.
    pub field: &'static str,
    /// The layer whose exception it is; `None` for the recipe's own.
    pub layer: Option<String>,
    /// What it holds.
    pub value: String,
    /// What is missing.
    pub lacks: Lacking,
}

/// What a field would need to have an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// Weights on a grid.
    WeightBits,
    /// Inputs of layers on a grid.
    ActivationBits,
    /// Rounding or biases that look at inputs.
    InputsLookedAt,
}

impl fmt::Display for WithoutEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(layer) = &self.layer {
            write!(f, "layers.\"{layer}\".")?;
        }
        let Self {
            field, value, lacks, ..
        } = self;
        write!(f, "{field} = {value} has no effect: {lacks}")
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WeightBits => "weights are on no grid (weight_bits is float)",
            Self::ActivationBits => "inputs are on no grid (activation_bits is float)",
            Self::InputsLookedAt => "no layer is rounded by GPTQ and no bias is corrected",
        })
    }
}

/// What of a layer goes on a grid.
#[derive(Clone, Copy)]
struct OnGrid {
    weights: bool,
    inputs: bool,
    /// Weights are rounded, or biases corrected, by what layers read.
    looks_at_inputs: bool,
}

impl Recipe {
    /// The fields that ask for something which nothing can come of, in the order of the table: whoever takes a recipe from a
    /// person refuses them by their names. (Fields that only say how something else is done, as `split`, are not among them.)
    pub fn without_effect(&self) -> Vec<WithoutEffect> {
        let is_grid = |bits: Option<Bits>| bits.is_some_and(|bits| bits != Bits::Float);
        let whole = self.on_grid();
        let mut found: Vec<WithoutEffect> = (FIELDS.iter())
            .filter_map(|field| {
                let asks = self.asks(field.name)?;
                let lacks = asks.iter().find(|lacks| whole.lacks(**lacks))?;
                Some(WithoutEffect {
                    field: field.name,
                    layer: None,
                    value: field.text(self),
                    lacks: *lacks,
                })
            })
            .collect();
        for (name, layer) in &self.layers {
            let is_float = layer.float == Some(true);
            let own = OnGrid {
                weights: !is_float && is_grid(Some(layer.weight_bits.unwrap_or(self.weight_bits))),
                inputs: !is_float && is_grid(Some(layer.activation_bits.unwrap_or(self.activation_bits))),
                looks_at_inputs: whole.looks_at_inputs,
            };
            let asked = layer.asks();
            let lacking = asked.into_iter().filter(|(_, _, lacks)| own.lacks(*lacks));
            found.extend(lacking.map(|(field, value, lacks)| WithoutEffect {
                field,
                layer: Some(name.clone()),
                value,
                lacks,
            }));
        }
        found
    }

    /// What the field of that name lacks now to have any effect, whatever it holds.
    pub fn lacks_grid_for(&self, field: &str) -> Option<Lacking> {
        let whole = self.on_grid();
        needs(field).iter().find(|lacks| whole.lacks(**lacks)).copied()
    }

    /// What goes on a grid in any layer.
    fn on_grid(&self) -> OnGrid {
        let is_grid = |bits: Bits| bits != Bits::Float;
        let own = |layer: &LayerRecipe| layer.weight_bits.is_some_and(is_grid);
        OnGrid {
            weights: is_grid(self.weight_bits) || self.layers.values().any(own),
            inputs: self.quantizes_activations(),
            looks_at_inputs: self.looks_at_inputs(),
        }
    }

    /// What the field of that name needs, if it asks for something.
    fn asks(&self, field: &str) -> Option<&'static [Lacking]> {
        let asks = match field {
            "clip" => self.clip != Clip::None,
            "scales" => self.scales != Granularity::Tensor,
            "weight_zero_points" => self.weight_zero_points,
            "rounding" => self.rounding != Rounding::Nearest,
            "awq" => self.awq,
            "bias_correction" => self.bias_correction,
            "sequential" => self.sequential,
            "quantize_embeddings" => self.quantize_embeddings,
            "storage" => self.storage != Storage::Auto,
            "products" => self.products == Products::Fast,
            // The other forms of copies are a float network's too.
            "split_export" => self.split_export == SplitExport::Merge,
            "activation_clip" => self.activation_clip != Clip::None,
            "activation_expand_ratio" => self.activation_expand_ratio > 0.0,
            "unsigned_activations" => self.unsigned_activations,
            "quantize_outputs" => self.quantize_outputs,
            _ => return None,
        };
        asks.then(|| needs(field))
    }
}

/// What the field of that name says something about.
fn needs(field: &str) -> &'static [Lacking] {
    use Lacking::{ActivationBits, InputsLookedAt, WeightBits};
    match field {
        "clip"
        | "scales"
        | "weight_zero_points"
        | "rounding"
        | "awq"
        | "bias_correction"
        | "quantize_embeddings"
        | "storage"
        | "products"
        | "split_export" => &[WeightBits],
        "activation_clip" | "activation_expand_ratio" | "unsigned_activations" => &[ActivationBits],
        "quantize_outputs" => &[WeightBits, ActivationBits],
        "sequential" => &[WeightBits, InputsLookedAt],
        _ => &[],
    }
}

impl LayerRecipe {
    /// Exceptions that ask for something: field, value, what they need.
    fn asks(&self) -> Vec<(&'static str, String, Lacking)> {
        use Lacking::{ActivationBits, WeightBits};
        let clip = |clip: Option<Clip>| clip.filter(|clip| *clip != Clip::None).map(|clip| clip.to_string());
        let asked = [
            ("clip", clip(self.clip), WeightBits),
            ("activation_clip", clip(self.activation_clip), ActivationBits),
            (
                "activation_expand_ratio",
                self.activation_expand_ratio
                    .filter(|ratio| *ratio > 0.0)
                    .map(|ratio| ratio.to_string()),
                ActivationBits,
            ),
            (
                "scales",
                self.scales
                    .filter(|scales| *scales != Granularity::Tensor)
                    .map(|scales| scales.to_string()),
                WeightBits,
            ),
            (
                "weight_zero_points",
                self.weight_zero_points
                    .filter(|given| *given)
                    .map(|given| given.to_string()),
                WeightBits,
            ),
            (
                "rounding",
                self.rounding
                    .filter(|rounding| *rounding != Rounding::Nearest)
                    .map(|rounding| rounding.to_string()),
                WeightBits,
            ),
        ];
        let given = asked
            .into_iter()
            .filter_map(|(field, value, lacks)| Some((field, value?, lacks)));
        given.collect()
    }
}

impl OnGrid {
    fn lacks(self, lacks: Lacking) -> bool {
        match lacks {
            Lacking::WeightBits => !self.weights,
            Lacking::ActivationBits => !self.inputs,
            Lacking::InputsLookedAt => !self.looks_at_inputs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::Preset;

    fn names(recipe: &Recipe) -> Vec<String> {
        let found = recipe.without_effect();
        found
            .iter()
            .map(|found| format!("{}{}", found.layer.as_deref().unwrap_or_default(), found.field))
            .collect()
    }

    #[test]
    fn what_needs_a_grid_is_named_where_there_is_none() {
        assert!(names(&Recipe::default()).is_empty());
        for preset in [Preset::Paper, Preset::Deploy, Preset::Int4] {
            assert!(names(&Recipe::preset(preset)).is_empty(), "{preset:?}");
        }
        let mut recipe = Recipe {
            weight_bits: Bits::Float,
            ..Recipe::preset(Preset::Deploy)
        };
        let weights = [
            "scales",
            "rounding",
            "bias_correction",
            "quantize_outputs",
            "quantize_embeddings",
        ];
        assert_eq!(names(&recipe), weights);
        let said = recipe.without_effect()[1].to_string();
        assert_eq!(
            said,
            "rounding = squant has no effect: weights are on no grid (weight_bits is float)"
        );
        recipe.activation_bits = Bits::Float;
        assert!(names(&recipe).contains(&"unsigned_activations".to_owned()));
        let mut recipe = Recipe {
            sequential: true,
            ..Recipe::default()
        };
        assert_eq!(names(&recipe), ["sequential"]);
        let layer = LayerRecipe {
            rounding: Some(Rounding::Gptq),
            ..LayerRecipe::default()
        };
        recipe.layers.insert("conv1".to_owned(), layer);
        assert!(names(&recipe).is_empty());
        // One layer on a grid is enough for the network's fields.
        let layer = LayerRecipe {
            weight_bits: Some(Bits::Grid(4)),
            activation_bits: Some(Bits::Grid(8)),
            clip: Some(Clip::Mse),
            ..LayerRecipe::default()
        };
        recipe.layers.insert("a".to_owned(), layer.clone());
        assert!(names(&recipe).is_empty());
        let float = LayerRecipe {
            float: Some(true),
            ..layer
        };
        recipe.layers.insert("b".to_owned(), float);
        assert_eq!(names(&recipe), ["bclip"]);
    }
}
