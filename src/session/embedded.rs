//! The recipe that an exported network carries in its metadata.

use super::Session;
use super::open::OpenNetwork;
use crate::network::Network;
use crate::onnx::build::metadata;
use crate::quantization::{RECIPE_KEY, Recipe, RecipeError};

/// The recipe that `network` was exported with; the reason where it cannot be read. `None` for a network without one.
pub(super) fn recipe_in(network: &Network) -> Option<Result<Recipe, RecipeError>> {
    metadata(&network.model, RECIPE_KEY).map(Recipe::from_toml)
}

impl OpenNetwork {
    /// The recipe that the open file was exported with, if it was: it made this network of another one.
    pub fn embedded_recipe(&self) -> Option<&Result<Recipe, RecipeError>> {
        self.embedded.as_ref()
    }
}

impl Session {
    /// Lets the recipe that the open file carries be applied to the network that is opened next: the one that it was made of.
    pub(super) fn carry_recipe(&mut self) {
        let Some(open) = &self.open else { return };
        let Some(Ok(recipe)) = open.embedded_recipe() else {
            return;
        };
        let name = format!("the recipe of {}", open.original.network.name);
        let text = format!("The next network that you open gets {name}");
        self.pending_recipe = Some((name, recipe.clone()));
        self.messages.note(text);
    }
}
