//! Recipes as TOML and JSON, by the names in the table of fields.
//!
//! `per_channel` is the name that scales had before there were blocks: it is still written, as `true` where each output
//! channel has a scale, and still read.

use super::super::Granularity;
use super::{FIELDS, Field, LayerRecipe, Recipe, RecipeError};
use serde::de::{self, DeserializeSeed, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The older name of [`Recipe::scales`].
const PER_CHANNEL: &str = "per_channel";
/// The exceptions.
const LAYERS: &str = "layers";

impl Serialize for Recipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in FIELDS {
            field.write(self, &mut map)?;
        }
        map.serialize_entry(PER_CHANNEL, &(self.scales == Granularity::Channel))?;
        // Last: in TOML what follows a table belongs to it.
        if !self.layers.is_empty() {
            map.serialize_entry(LAYERS, &self.layers)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

/// Refuses the value that stands there: a fault of a value has its line, one of the whole table has not.
struct Refusal(String);

impl<'de> DeserializeSeed<'de> for Refusal {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(de::Error::custom(self.0))
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Recipe;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a recipe")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Recipe, M::Error> {
        let mut recipe = Recipe::default();
        let (mut scales_given, mut per_channel) = (false, None);
        while let Some(name) = map.next_key::<String>()? {
            match (Field::named(&name), name.as_str()) {
                (Some(field), _) => {
                    field.read(&mut recipe, &mut map)?;
                    scales_given |= field.name == "scales";
                }
                (None, PER_CHANNEL) => per_channel = Some(map.next_value::<bool>()?),
                (None, LAYERS) => recipe.layers = map.next_value::<BTreeMap<String, LayerRecipe>>()?,
                (None, other) => {
                    let names: Vec<&str> = FIELDS.iter().map(|field| field.name).chain([LAYERS]).collect();
                    let names = names.join("`, `");
                    map.next_value_seed(Refusal(format!("unknown field `{other}`, expected one of `{names}`")))?;
                }
            }
        }
        match per_channel {
            Some(true) if !scales_given => recipe.scales = Granularity::Channel,
            Some(given) if scales_given && given != (recipe.scales == Granularity::Channel) => {
                let scales = recipe.scales;
                return Err(de::Error::custom(format_args!(
                    "per_channel = {given} contradicts scales = \"{scales}\"; leave per_channel out"
                )));
            }
            _ => {}
        }
        Ok(recipe)
    }
}

impl Recipe {
    /// The recipe as TOML.
    ///
    /// # Errors
    /// Never in practice; the serializer's reason.
    pub fn to_toml(&self) -> Result<String, RecipeError> {
        toml::to_string(self).map_err(|e| RecipeError::Syntax(e.to_string()))
    }

    /// A recipe from TOML; an unknown field is refused by its name, a missing one has its default.
    ///
    /// # Errors
    /// The line and what is wrong there.
    pub fn from_toml(text: &str) -> Result<Self, RecipeError> {
        let recipe: Self = toml::from_str(text).map_err(|e| match e.span() {
            Some(span) => RecipeError::Line {
                line: text.get(..span.start).unwrap_or(text).matches('\n').count() + 1,
                reason: e.message().to_owned(),
            },
            None => RecipeError::Syntax(e.message().to_owned()),
        })?;
        recipe.check_values()?;
        Ok(recipe)
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let text = crate::files::read_text(path).map_err(|e| in_file(path, e))?;
        Self::from_toml(&text).map_err(|e| in_file(path, e))
    }

    /// Writes a recipe file, beside and renamed.
    ///
    /// # Errors
    /// The file and the system's reason.
    pub fn save(&self, path: &Path) -> Result<(), RecipeError> {
        let text = self.to_toml()?;
        crate::replacement::replace_file(path, text.as_bytes()).map_err(|e| in_file(path, e))
    }
}

fn in_file(path: &Path, reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RecipeError {
    RecipeError::File {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
