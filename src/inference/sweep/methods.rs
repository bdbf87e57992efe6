//! The ways to quantize that stand against each other: scales, clips, splits (OCS) and rounding, alone and together.

use crate::quantization::{Bits, Clip, Granularity, Recipe, Rounding};

/// Ratio of the splits where other methods are at work too.
const RATIO: f64 = 0.05;
/// Ratios of splits alone.
const RATIOS: [f64; 3] = [0.05, 0.1, 0.2];

/// A way to quantize, with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Method {
    /// What it is, for a person.
    pub name: String,
    /// `base` with this way.
    pub recipe: Recipe,
}

/// All of them for the weights at these bits; nothing of the inputs changes. With one scale for a tensor, for each output channel
/// and for blocks of 32: nearest rounding, SQuant and GPTQ, and each with splits; with one scale clips and more splits too.
pub fn weight_methods(base: &Recipe, bits: u8) -> Vec<Method> {
    let mut methods = Vec::new();
    for (scales, name) in [
        (Granularity::Tensor, "one scale"),
        (Granularity::Channel, "channel"),
        (Granularity::Block(32), "blocks of 32"),
    ] {
        let with = |rounding: Rounding, expand_ratio: f64, clip: Clip| {
            let mut parts = vec![name.to_owned()];
            if rounding != Rounding::Nearest {
                parts.push(rounding.label().to_owned());
            }
            if expand_ratio > 0.0 {
                parts.push(format!("OCS {expand_ratio}"));
            }
            if clip != Clip::None {
                parts.push(format!("clip {clip}"));
            }
            Method {
                name: parts.join(" + "),
                recipe: Recipe {
                    weight_bits: Bits::Grid(bits),
                    scales,
                    rounding,
                    expand_ratio,
                    clip,
                    ..base.clone()
                },
            }
        };
        methods.push(with(Rounding::Nearest, 0.0, Clip::None));
        methods.push(with(Rounding::Nearest, 0.0, Clip::Mse));
        let ratios = if scales == Granularity::Tensor {
            &RATIOS[..]
        } else {
            &[RATIO]
        };
        methods.extend(ratios.iter().map(|ratio| with(Rounding::Nearest, *ratio, Clip::None)));
        if scales == Granularity::Tensor {
            methods.extend(RATIOS.map(|ratio| with(Rounding::Nearest, ratio, Clip::Mse)));
        }
        for rounding in [Rounding::Squant, Rounding::Gptq] {
            methods.push(with(rounding, 0.0, Clip::None));
            methods.push(with(rounding, RATIO, Clip::None));
        }
    }
    methods
}

/// Ways for the layers' inputs at these bits, with 8-bit weights that cost nothing: none, a clip, splits, both.
pub fn input_methods(base: &Recipe, bits: u8) -> Vec<Method> {
    let with = |name: &str, activation_expand_ratio: f64, activation_clip: Clip| Method {
        name: name.to_owned(),
        recipe: Recipe {
            weight_bits: Bits::Grid(Bits::MAX),
            scales: Granularity::Channel,
            activation_bits: Bits::Grid(bits),
            activation_expand_ratio,
            activation_clip,
            ..base.clone()
        },
    };
    vec![
        with("inputs as they are", 0.0, Clip::None),
        with("clip mse", 0.0, Clip::Mse),
        with(&format!("OCS {RATIO}"), RATIO, Clip::None),
        with(&format!("OCS {RATIO} + clip mse"), RATIO, Clip::Mse),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_a_name_and_a_recipe_of_its_own() {
        let base = Recipe {
            fold_batch_norm: true,
            ..Recipe::default()
        };
        let weights = weight_methods(&base, 3);
        assert_eq!(weights.len(), 12 + 7 + 7);
        let inputs = input_methods(&base, 4);
        let all: Vec<&Method> = weights.iter().chain(&inputs).collect();
        for (number, one) in all.iter().enumerate() {
            assert!(one.recipe.fold_batch_norm);
            for other in &all[..number] {
                assert!(one.name != other.name || number >= weights.len(), "{}", one.name);
                assert_ne!(one.recipe, other.recipe, "{}", one.name);
            }
        }
        assert!(weights.iter().all(|method| method.recipe.weight_bits == Bits::Grid(3)));
        assert_eq!(weights[10].name, "one scale + GPTQ");
    }
}
