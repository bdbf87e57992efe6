//! One table of a recipe's fields: names, labels, help and accessors. The command line, recipe files, the window, CSV,
//! differences and reports read it, so that a new field is a line here beside its declaration in [`super::Recipe`].

use super::{LayerRecipe, Recipe, ValueError};
use crate::quantization::{Bits, Clip, Granularity, Products, Rounding, SplitExport, SplitKind, Storage};
use serde::de::MapAccess;
use serde::ser::SerializeMap;
use std::fmt;

/// A kind of value that a field can hold: read from text, shown to a person.
pub trait FieldValue: Copy + PartialEq + serde::Serialize + serde::de::DeserializeOwned {
    /// The value from its text on the command line or in a table.
    ///
    /// # Errors
    /// What is allowed.
    fn read(text: &str) -> Result<Self, ValueError>;
    /// The text that [`FieldValue::read`] takes.
    fn text(&self) -> String;
    /// The value as a sentence shows it.
    fn show(&self) -> String {
        self.text()
    }
}

/// Where a field is: in the recipe and, if a layer can have its own, among its exceptions.
pub struct At<T: 'static> {
    /// In a recipe.
    pub recipe: fn(&Recipe) -> &T,
    /// In a recipe, to change it.
    pub recipe_mut: fn(&mut Recipe) -> &mut T,
    /// Among the exceptions of a layer.
    pub layer: Option<InLayer<T>>,
}

/// The place of a field among the exceptions of a layer: to read it, and to change it.
pub type InLayer<T> = (fn(&LayerRecipe) -> &Option<T>, fn(&mut LayerRecipe) -> &mut Option<T>);

/// The place of a field, by the kind of its value.
pub enum Access {
    /// Bits of a tensor.
    Bits(At<Bits>),
    /// A share from 0 to 1.
    Share(At<f64>),
    /// How a number becomes two.
    Split(At<SplitKind>),
    /// How a threshold is chosen.
    Clip(At<Clip>),
    /// What has a scale of its own.
    Scales(At<Granularity>),
    /// Which integer a weight gets.
    Rounding(At<Rounding>),
    /// Who makes the copies of split channels.
    Copies(At<SplitExport>),
    /// How quantized weights are stored.
    Storage(At<Storage>),
    /// How products of float inputs are exported.
    Products(At<Products>),
    /// Yes or no.
    Switch(At<bool>),
}

/// One field of a recipe.
pub struct Field {
    /// Name in recipe files, JSON and CSV; the flag is the same with dashes.
    pub name: &'static str,
    /// Name in the window.
    pub label: &'static str,
    /// What stands for its value on the command line; empty for a switch.
    pub value_name: &'static str,
    /// One line for the command line.
    pub flag_help: &'static str,
    /// What it does and what it costs, for the window.
    pub help: &'static str,
    /// Where it is.
    pub access: Access,
}

/// Calls the same code for whichever kind of value a field has.
macro_rules! for_access {
    ($access:expr, $at:ident => $body:expr) => {
        match $access {
            Access::Bits($at) => $body,
            Access::Share($at) => $body,
            Access::Split($at) => $body,
            Access::Clip($at) => $body,
            Access::Scales($at) => $body,
            Access::Rounding($at) => $body,
            Access::Copies($at) => $body,
            Access::Storage($at) => $body,
            Access::Products($at) => $body,
            Access::Switch($at) => $body,
        }
    };
}

impl Field {
    /// The field of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        super::FIELDS.iter().find(|field| field.name == name)
    }

    /// The flag without its dashes: `weight-bits`.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Whether it is yes or no.
    pub fn is_switch(&self) -> bool {
        matches!(self.access, Access::Switch(_))
    }

    /// Whether a layer can have its own.
    pub fn is_per_layer(&self) -> bool {
        for_access!(&self.access, at => at.layer.is_some())
    }

    /// The value as text that [`Field::set`] takes.
    pub fn text(&self, recipe: &Recipe) -> String {
        for_access!(&self.access, at => (at.recipe)(recipe).text())
    }

    /// The value for a person.
    pub fn show(&self, recipe: &Recipe) -> String {
        for_access!(&self.access, at => (at.recipe)(recipe).show())
    }

    /// The exception of a layer for a person, `None` where it has none.
    pub fn show_layer(&self, layer: &LayerRecipe) -> Option<String> {
        for_access!(&self.access, at => at.layer.and_then(|(get, _)| get(layer).as_ref().map(FieldValue::show)))
    }

    /// Sets the value from its text.
    ///
    /// # Errors
    /// What is allowed.
    pub fn set(&self, recipe: &mut Recipe, text: &str) -> Result<(), ValueError> {
        for_access!(&self.access, at => {
            *(at.recipe_mut)(recipe) = FieldValue::read(text)?;
            Ok(())
        })
    }

    /// Whether two recipes agree in it.
    pub fn same(&self, one: &Recipe, other: &Recipe) -> bool {
        for_access!(&self.access, at => (at.recipe)(one) == (at.recipe)(other))
    }

    /// Copies it from one recipe to another, exceptions of layers aside.
    pub fn copy(&self, from: &Recipe, to: &mut Recipe) {
        for_access!(&self.access, at => *(at.recipe_mut)(to) = *(at.recipe)(from));
    }

    /// Drops the exception of a layer.
    pub fn inherit(&self, layer: &mut LayerRecipe) {
        for_access!(&self.access, at => {
            if let Some((_, get)) = at.layer {
                *get(layer) = None;
            }
        });
    }

    /// Writes name and value to a map.
    pub(super) fn write<M: SerializeMap>(&self, recipe: &Recipe, map: &mut M) -> Result<(), M::Error> {
        for_access!(&self.access, at => map.serialize_entry(self.name, (at.recipe)(recipe)))
    }

    /// Reads the value that stands next in a map.
    pub(super) fn read<'de, M: MapAccess<'de>>(&self, recipe: &mut Recipe, map: &mut M) -> Result<(), M::Error> {
        for_access!(&self.access, at => {
            *(at.recipe_mut)(recipe) = map.next_value()?;
            Ok(())
        })
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A value whose text is that of `Display` and `FromStr`.
macro_rules! as_displayed {
    ($($kind:ty),*) => {$(
        impl FieldValue for $kind {
            fn read(text: &str) -> Result<Self, ValueError> {
                text.parse()
            }
            fn text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
as_displayed!(Granularity, Products, Rounding, SplitExport, Storage);

impl FieldValue for SplitKind {
    fn read(text: &str) -> Result<Self, ValueError> {
        text.parse()
    }
    fn text(&self) -> String {
        self.to_string()
    }
    fn show(&self) -> String {
        match self {
            Self::Qa => "quantization-aware".to_owned(),
            Self::Naive => "naive".to_owned(),
        }
    }
}

impl FieldValue for Bits {
    fn read(text: &str) -> Result<Self, ValueError> {
        text.parse()
    }
    fn text(&self) -> String {
        self.to_string()
    }
    fn show(&self) -> String {
        match self {
            Self::Grid(bits) => format!("{bits} bits"),
            Self::Float => "float".to_owned(),
        }
    }
}

impl FieldValue for Clip {
    fn read(text: &str) -> Result<Self, ValueError> {
        text.parse()
    }
    fn text(&self) -> String {
        self.to_string()
    }
    fn show(&self) -> String {
        match self {
            Self::Percentile(percent) => format!("percentile {percent}"),
            Self::Manual(threshold) => format!("manual {threshold}"),
            other => other.label().to_owned(),
        }
    }
}

impl FieldValue for f64 {
    fn read(text: &str) -> Result<Self, ValueError> {
        match text.parse::<Self>() {
            Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
            _ => Err(ValueError::Needed("a share from 0 to 1 is needed")),
        }
    }
    fn text(&self) -> String {
        self.to_string()
    }
    fn show(&self) -> String {
        // Four digits are more than a slider sets; a share from a file may have more.
        format!("{} %", (self * 1e6).round() / 1e4)
    }
}

impl FieldValue for bool {
    fn read(text: &str) -> Result<Self, ValueError> {
        text.parse().map_err(|_| ValueError::Needed("true or false is needed"))
    }
    fn text(&self) -> String {
        self.to_string()
    }
    fn show(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}
