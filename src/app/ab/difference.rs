//! In what two recipes differ, in words.

use crate::app::wording::{Choice, choices, exceptions};
use crate::quantization::Recipe;
use std::collections::BTreeSet;

/// A choice that two recipes make differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// Which choice: `weight bits`, or `conv1: clip`.
    pub(super) what: String,
    /// What each says.
    pub(super) sides: [String; 2],
}

/// All differences: those of the whole network first, then layer by layer.
pub(super) fn differences(one: &Recipe, other: &Recipe) -> Vec<Difference> {
    let mut found = differing("", &choices(one), &choices(other));
    let names: BTreeSet<&String> = one.layers.keys().chain(other.layers.keys()).collect();
    for name in names {
        let of = |recipe: &Recipe| exceptions(&recipe.layers.get(name).cloned().unwrap_or_default());
        found.extend(differing(&format!("{name}: "), &of(one), &of(other)));
    }
    found
}

fn differing(before: &str, one: &[Choice], other: &[Choice]) -> Vec<Difference> {
    let pairs = one.iter().zip(other).filter(|(one, other)| one.1 != other.1);
    pairs
        .map(|(one, other)| Difference {
            what: format!("{before}{}", one.0),
            sides: [one.1.clone(), other.1.clone()],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::wording::AS_THE_NETWORK;
    use crate::quantization::{Bits, Clip, LayerRecipe};

    #[test]
    fn recipes_that_are_alike_do_not_differ() {
        assert_eq!(differences(&Recipe::default(), &Recipe::default()), []);
    }

    #[test]
    fn what_differs_is_named_with_both_values_the_whole_network_first() {
        let one = Recipe {
            weight_bits: Bits::Grid(4),
            ..Recipe::default()
        };
        let mut other = Recipe {
            weight_bits: Bits::Float,
            expand_ratio: one.expand_ratio + 0.025,
            ..one.clone()
        };
        let layer = LayerRecipe {
            clip: Some(Clip::Percentile(99.5)),
            ..LayerRecipe::default()
        };
        other.layers.insert("conv1".to_owned(), layer);
        let found = differences(&one, &other);
        let shown: Vec<(&str, &str, &str)> = (found.iter())
            .map(|row| (row.what.as_str(), row.sides[0].as_str(), row.sides[1].as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("weight bits", "4 bits", "float"),
                ("expand ratio", "0 %", "2.5 %"),
                ("conv1: clip", AS_THE_NETWORK, "percentile 99.5"),
            ]
        );
    }

    /// Each field of the file of a recipe, changed alone, is a difference.
    #[test]
    fn no_choice_of_a_recipe_is_forgotten() {
        let plain = Recipe::default();
        let mut written: toml::Table = toml::from_str(&plain.to_toml().unwrap()).unwrap();
        // The older name of scales.
        written.remove("per_channel");
        let mut checked = 0;
        for (name, value) in &written {
            let changed = match value {
                toml::Value::Boolean(yes) => toml::Value::Boolean(!yes),
                toml::Value::Float(x) => toml::Value::Float(x + 0.25),
                toml::Value::Integer(bits) => toml::Value::Integer(if *bits == 5 { 6 } else { 5 }),
                toml::Value::String(text) => toml::Value::String(match text.as_str() {
                    "none" => "mse".to_owned(),
                    "qa" => "naive".to_owned(),
                    "naive" => "qa".to_owned(),
                    "gather" => "widen".to_owned(),
                    "float" => "5".to_owned(),
                    "tensor" => "channel".to_owned(),
                    "nearest" => "squant".to_owned(),
                    "auto" => "int8".to_owned(),
                    "exact" => "fast".to_owned(),
                    _ => "none".to_owned(),
                }),
                other => panic!("{name} = {other}"),
            };
            let mut table = written.clone();
            table.insert(name.clone(), changed);
            let text = toml::to_string(&table).unwrap();
            let Ok(other) = toml::from_str::<Recipe>(&text) else {
                panic!("{text}")
            };
            assert_eq!(differences(&plain, &other).len(), 1, "{name}");
            checked += 1;
        }
        assert!(checked >= 16, "{checked}");
    }
}
