//! A recipe in words: every choice with what is chosen.

use crate::quantization::{FIELDS, Field, LayerRecipe, Recipe};

/// What an exception says that is none.
pub(super) const AS_THE_NETWORK: &str = "as the network";

/// A choice and what is chosen.
pub(super) type Choice = (String, String);

/// Every choice for the whole network.
pub(super) fn choices(recipe: &Recipe) -> Vec<Choice> {
    let of = |field: &'static Field| (field.label.to_lowercase(), field.show(recipe));
    FIELDS.iter().map(of).collect()
}

/// Every exception of a layer.
pub(super) fn exceptions(layer: &LayerRecipe) -> Vec<Choice> {
    fn or_network(value: Option<String>) -> String {
        value.unwrap_or_else(|| AS_THE_NETWORK.to_owned())
    }
    let of = |field: &'static Field| (field.label.to_lowercase(), or_network(field.show_layer(layer)));
    let axis = layer.channel_axis.map(|axis| axis.to_string());
    let mut exceptions = vec![("keep float".to_owned(), or_network(layer.float.map(yes)))];
    exceptions.extend(FIELDS.iter().filter(|field| field.is_per_layer()).map(of));
    exceptions.push(("channel axis".to_owned(), or_network(axis)));
    exceptions
}

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}
