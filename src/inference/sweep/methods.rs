//! The ways to quantize that stand against each other: scales, clips, splits (OCS) and rounding, alone and together, and what moves
//! outliers before that: rotation, smoothing, scaling by activations.

use crate::quantization::{Bits, Clip, Granularity, Recipe, Rounding};

/// Ratio of the splits where other methods are at work too.
const RATIO: f64 = 0.05;
/// Ratios of splits alone.
const RATIOS: [f64; 3] = [0.05, 0.1, 0.2];

/// Strength of smoothing: that of SmoothQuant's paper.
const STRENGTH: f64 = 0.5;

/// A preparation that moves outliers before anything is put on a grid, and leaves the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutlierMove {
    /// Rotation of the residual stream (QuaRot).
    Rotate,
    /// Out of the inputs into the weights (SmoothQuant).
    Smooth,
    /// Columns of weights scaled by their inputs (AWQ).
    Awq,
}

impl OutlierMove {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rotate, Self::Smooth, Self::Awq];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rotate => "rotate",
            Self::Smooth => "smooth",
            Self::Awq => "awq",
        }
    }

    /// As part of a method's name.
    fn label(self) -> String {
        match self {
            Self::Rotate => "rotate".to_owned(),
            Self::Smooth => format!("smooth {STRENGTH}"),
            Self::Awq => "AWQ".to_owned(),
        }
    }

    /// `recipe` with it, and the method's name with its own.
    fn before(self, method: &Method) -> Method {
        let mut recipe = method.recipe.clone();
        match self {
            Self::Rotate => recipe.rotate = true,
            Self::Smooth => recipe.smooth = STRENGTH,
            Self::Awq => recipe.awq = true,
        }
        let name = match method.name.split_once(" + ") {
            Some((scales, rest)) => format!("{scales} + {} + {rest}", self.label()),
            None => format!("{} + {}", method.name, self.label()),
        };
        Method { name, recipe }
    }
}

/// A way to quantize, with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Method {
    /// What it is, for a person.
    pub name: String,
    /// `base` with this way.
    pub recipe: Recipe,
}

/// All of them for the weights at these bits; nothing of the inputs changes. With one scale for a tensor, for each output channel
/// and for blocks of 32: nearest rounding, SQuant and GPTQ, and each with splits; with one scale clips and more splits too; zero
/// points with nearest rounding and GPTQ; where there are calibration data (`with_data`) GPTQ layer by layer.
pub fn weight_methods(base: &Recipe, bits: u8, with_data: bool) -> Vec<Method> {
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
        if with_data {
            let method = with(Rounding::Gptq, 0.0, Clip::None);
            methods.push(Method {
                name: format!("{} layer by layer", method.name),
                recipe: Recipe {
                    sequential: true,
                    ..method.recipe
                },
            });
        }
        for rounding in [Rounding::Nearest, Rounding::Gptq] {
            let method = with(rounding, 0.0, Clip::None);
            methods.push(Method {
                name: format!("{} + zero points", method.name),
                recipe: Recipe {
                    weight_zero_points: true,
                    ..method.recipe
                },
            });
        }
    }
    methods
}

/// The methods of [`weight_methods`] behind each of the preparations: nearest rounding, splits and GPTQ for rotation, with each kind
/// of scales; nearest rounding and GPTQ with several scales for AWQ, and nearest rounding with a scale a channel for smoothing.
pub fn moved_weight_methods(base: &Recipe, bits: u8, moves: &[OutlierMove]) -> Vec<Method> {
    let methods = weight_methods(base, bits, false);
    let takes = |outliers: OutlierMove, recipe: &Recipe| {
        let Recipe {
            scales,
            rounding,
            expand_ratio,
            clip: Clip::None,
            weight_zero_points: false,
            ..
        } = *recipe
        else {
            return false;
        };
        let is_plain = expand_ratio == 0.0 && rounding != Rounding::Squant;
        match outliers {
            OutlierMove::Rotate => is_plain || (expand_ratio == RATIO && rounding == Rounding::Nearest),
            OutlierMove::Awq => is_plain && scales != Granularity::Tensor,
            OutlierMove::Smooth => is_plain && rounding == Rounding::Nearest && scales == Granularity::Channel,
        }
    };
    let with = |outliers: OutlierMove| {
        let taken = methods.iter().filter(move |method| takes(outliers, &method.recipe));
        taken.map(move |method| outliers.before(method))
    };
    moves.iter().flat_map(|outliers| with(*outliers)).collect()
}

/// The methods of [`input_methods`] behind rotation and smoothing, where those are among the preparations.
pub fn moved_input_methods(base: &Recipe, bits: u8, moves: &[OutlierMove]) -> Vec<Method> {
    let methods = input_methods(base, bits);
    let moves = moves.iter().filter(|outliers| **outliers != OutlierMove::Awq);
    moves
        .flat_map(|outliers| methods.iter().map(|method| outliers.before(method)))
        .collect()
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
        let without = weight_methods(&base, 3, false);
        assert_eq!(without.len(), 12 + 7 + 7 + 3 * 2);
        let weights = weight_methods(&base, 3, true);
        let in_sequence = weights.iter().filter(|method| method.recipe.sequential);
        assert_eq!((in_sequence.count(), weights.len()), (3, without.len() + 3));
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

    #[test]
    fn preparations_go_before_what_is_rounded() {
        let base = Recipe::default();
        let names = |methods: Vec<Method>| methods.into_iter().map(|method| method.name).collect::<Vec<_>>();
        let weights = moved_weight_methods(&base, 4, &OutlierMove::ALL);
        let plain = weight_methods(&base, 4, false);
        for method in &weights {
            let Recipe {
                rotate, smooth, awq, ..
            } = method.recipe;
            assert_eq!(
                usize::from(rotate) + usize::from(smooth > 0.0) + usize::from(awq),
                1,
                "{}",
                method.name
            );
            let unmoved = Recipe {
                rotate: false,
                smooth: 0.0,
                awq: false,
                ..method.recipe.clone()
            };
            assert!(plain.iter().any(|plain| plain.recipe == unmoved), "{}", method.name);
        }
        assert_eq!(
            names(weights)[..5],
            [
                "one scale + rotate",
                "one scale + rotate + OCS 0.05",
                "one scale + rotate + GPTQ",
                "channel + rotate",
                "channel + rotate + OCS 0.05"
            ]
        );
        assert_eq!(
            names(moved_weight_methods(&base, 4, &[OutlierMove::Awq, OutlierMove::Smooth])),
            [
                "channel + AWQ",
                "channel + AWQ + GPTQ",
                "blocks of 32 + AWQ",
                "blocks of 32 + AWQ + GPTQ",
                "channel + smooth 0.5"
            ]
        );
        assert_eq!(
            names(moved_input_methods(&base, 8, &[OutlierMove::Smooth, OutlierMove::Awq])),
            [
                "inputs as they are + smooth 0.5",
                "clip mse + smooth 0.5",
                "OCS 0.05 + smooth 0.5",
                "OCS 0.05 + smooth 0.5 + clip mse"
            ]
        );
    }
}
