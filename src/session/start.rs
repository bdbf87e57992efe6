//! The recipe that a network opens with: one in which the damage shows and the cure is one slider away.

use crate::format::demo::Demo;
use crate::quantization::{Bits, LayerRecipe, Recipe};

/// The recipe for a demo, or for a file that somebody opened.
///
/// The Fashion ResNet at 3 bits, batch-norm folded, falls from 94 % to about 81 %; 5 % of added channels bring it back to
/// about 92 %. The Shakespeare LSTM at 4 bits falls from perplexity 4.7 to 11. Activations stay float, so that what shows
/// is the weights' doing. Both keep float what the tables of `assets/README.md` keep float.
pub fn start_recipe(demo: Option<Demo>) -> Recipe {
    let mut recipe = Recipe {
        weight_bits: Bits::Grid(4),
        activation_bits: Bits::Float,
        fold_batch_norm: true,
        ..Recipe::default()
    };
    if demo == Some(Demo::Fashion) {
        recipe.weight_bits = Bits::Grid(3);
        let float = LayerRecipe {
            float: Some(true),
            ..LayerRecipe::default()
        };
        recipe.layers.insert("conv1".to_owned(), float);
    }
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::Clip;

    #[test]
    fn plain_keeps_the_bits_and_drops_split_and_clip() {
        let mut recipe = start_recipe(Some(Demo::Fashion));
        recipe.expand_ratio = 0.05;
        recipe.clip = Clip::Mse;
        let only_ratio = LayerRecipe {
            expand_ratio: Some(0.2),
            ..LayerRecipe::default()
        };
        recipe.layers.insert("layer1.0.conv1".to_owned(), only_ratio);
        assert_eq!(recipe.plain(), start_recipe(Some(Demo::Fashion)));
    }
}
