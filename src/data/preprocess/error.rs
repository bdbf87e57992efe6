//! What can be wrong with a choice of preprocessing.

use super::choice::LARGEST;
use crate::data::PreprocessPreset;

/// Why pictures cannot be made ready for a network as is asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// Nothing beside the model says what the network was trained on.
    #[error("nothing beside the model tells the network's own preprocessing: there is no preprocessor_config.json or config.json that does; choose one of {names}", names = PreprocessPreset::ALL.map(|preset| preset.name).join(", "))]
    NotTold,
    /// The name of no preset.
    #[error("no preprocessing is called '{0}': choose one of {names}", names = PreprocessPreset::ALL.map(|preset| preset.name).join(", "))]
    Unknown(String),
    /// Numbers cannot be divided by it.
    #[error("a standard deviation of 0 divides by zero")]
    ZeroDeviation,
    /// Boxes are in pixels of the whole picture.
    #[error("a crop cuts objects off whose boxes are asked for: leave the crop out")]
    CropsObjects,
    /// The numbers that pixels become are no bytes.
    #[error("the network takes pixels as bytes, 0 to 255: choose the preprocessing 'raw'")]
    TakesBytes,
    /// An input of other axes.
    #[error("{0} takes no pictures")]
    NoPictures(String),
    /// An input of other channels.
    #[error("{input} has {channels} channels, pictures have 1 or 3{hint}")]
    Channels {
        /// The input.
        input: String,
        /// How many it has.
        channels: usize,
        /// What may be the matter.
        hint: &'static str,
    },
    /// An input of a size that no picture has.
    #[error("{0} takes no pictures of 1 to {LARGEST} pixels a side")]
    InputSize(String),
    /// A chosen side.
    #[error("{0} pixels a side: choose 1 to {LARGEST}")]
    Side(usize),
    /// Chosen numbers that are none.
    #[error("the {what} {numbers:?} is not finite")]
    NotFinite {
        /// Mean or deviation.
        what: &'static str,
        /// What was chosen.
        numbers: Vec<f32>,
    },
    /// Chosen numbers that are neither one nor one for each channel.
    #[error("{count} numbers for the {what} of {channels} channel(s)")]
    Count {
        /// Mean or deviation.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// Channels of the input.
        channels: usize,
    },
    /// A preset that has numbers for other channels.
    #[error(
        "the preprocessing '{name}' is for {own} channels, the network takes {channels}: choose 'unit', or give mean and std"
    )]
    OtherChannels {
        /// The preset.
        name: String,
        /// How many it has numbers for.
        own: usize,
        /// Channels of the input.
        channels: usize,
    },
}
