//! A network prepared as the other one was before it was quantized.

use crate::network::Network;
use crate::onnx::build::metadata;
use crate::quantization::{RECIPE_KEY, Recipe, prepare};

/// Two networks that can be compared, and what was done for that.
#[derive(Clone)]
pub struct Alike {
    /// The first and the second network.
    pub networks: [Network; 2],
    /// What was done, in sentences.
    pub notes: Vec<String>,
}

/// Prepares whichever of two networks carries no recipe as the recipe of the other says: batch-norms folded, layers equalized,
/// channel axes taken. An export is then compared with what it was made from, and the difference is that of the grid alone.
/// A recipe that cannot be read or does not fit is told in the notes and left out of account.
pub fn prepared_alike(one: Network, other: Network) -> Alike {
    let mut networks = [one, other];
    let mut notes = Vec::new();
    let recipes = [0, 1].map(|which: usize| metadata(&networks[which].model, RECIPE_KEY).map(str::to_owned));
    for (plain, exported) in [(0, 1), (1, 0)] {
        let (None, Some(recipe)) = (&recipes[plain], &recipes[exported]) else {
            continue;
        };
        let name = networks[plain].name.clone();
        let carrier = networks[exported].name.clone();
        let prepared = Recipe::from_toml(recipe)
            .map_err(|error| error.to_string())
            .and_then(|recipe| prepare(&networks[plain], &recipe).map_err(|error| error.to_string()));
        match prepared {
            Ok(prepared) => {
                let steps = prepared.preparation.steps.iter();
                notes.extend(
                    steps.map(|step| format!("{name} was prepared by the recipe that {carrier} carries: {step}")),
                );
                networks[plain] = prepared;
            }
            Err(why) => notes.push(format!(
                "{carrier} carries a recipe that {name} cannot be prepared by, so it is compared as it is: {why}"
            )),
        }
    }
    Alike { networks, notes }
}
