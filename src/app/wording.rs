//! A recipe in words: every choice with what is chosen.

use super::text;
use crate::quantization::{Bits, Clip, LayerRecipe, Recipe, SplitExport, SplitKind};

/// What an exception says that is none.
pub(super) const AS_THE_NETWORK: &str = "as the network";

/// A choice and what is chosen.
pub(super) type Choice = (&'static str, String);

/// Every choice for the whole network. Taken apart field by field, so that a new one cannot be forgotten here.
pub(super) fn choices(recipe: &Recipe) -> Vec<Choice> {
    let Recipe {
        weight_bits,
        expand_ratio,
        split,
        clip,
        activation_bits,
        activation_clip,
        activation_expand_ratio,
        activation_split,
        unsigned_activations,
        per_channel,
        fold_batch_norm,
        cross_layer_equalization,
        bias_correction,
        split_export,
        float_first_layer,
        float_last_layer,
        layers: _,
    } = recipe;
    vec![
        ("weight bits", text::bits(*weight_bits)),
        ("expand ratio", ratio(*expand_ratio)),
        ("split", text::split(*split).to_owned()),
        ("clip", clip_text(*clip)),
        ("activation bits", text::bits(*activation_bits)),
        ("activation clip", clip_text(*activation_clip)),
        ("activation ratio", ratio(*activation_expand_ratio)),
        ("activation split", text::split(*activation_split).to_owned()),
        ("unsigned activations", yes(*unsigned_activations)),
        ("one scale a channel", yes(*per_channel)),
        ("fold batch-norm", yes(*fold_batch_norm)),
        ("equalize layers", yes(*cross_layer_equalization)),
        ("correct biases", yes(*bias_correction)),
        (
            "copies",
            match split_export {
                SplitExport::Gather => "gather",
                SplitExport::Widen => "widen",
            }
            .to_owned(),
        ),
        ("keep first layer float", yes(*float_first_layer)),
        ("keep last layer float", yes(*float_last_layer)),
    ]
}

/// Every exception of a layer.
pub(super) fn exceptions(layer: &LayerRecipe) -> Vec<Choice> {
    let LayerRecipe {
        float,
        weight_bits,
        expand_ratio,
        split,
        clip,
        activation_bits,
        activation_clip,
        activation_expand_ratio,
        activation_split,
        channel_axis,
    } = layer;
    fn or_network<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
        value.map_or_else(|| AS_THE_NETWORK.to_owned(), show)
    }
    let bits = |value: Option<Bits>| or_network(value, text::bits);
    let split_of = |value: Option<SplitKind>| or_network(value, |split| text::split(split).to_owned());
    vec![
        ("keep float", or_network(*float, yes)),
        ("weight bits", bits(*weight_bits)),
        ("expand ratio", or_network(*expand_ratio, ratio)),
        ("split", split_of(*split)),
        ("clip", or_network(*clip, clip_text)),
        ("activation bits", bits(*activation_bits)),
        ("activation clip", or_network(*activation_clip, clip_text)),
        ("activation ratio", or_network(*activation_expand_ratio, ratio)),
        ("activation split", split_of(*activation_split)),
        ("channel axis", or_network(*channel_axis, |axis| axis.to_string())),
    ]
}

fn ratio(ratio: f64) -> String {
    format!("{} %", text::short_number(ratio * 100.0))
}

/// The way to clip with its number, if it has one.
fn clip_text(clip: Clip) -> String {
    match clip {
        Clip::Percentile(percent) => format!("percentile {percent}"),
        other => text::clip(other),
    }
}

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}
