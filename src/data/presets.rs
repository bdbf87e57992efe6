//! Named ways to make pictures ready for a network.

use super::PreprocessError;
use crate::network::Interpolation;

/// Mean of ImageNet's channels (torchvision's models).
pub(super) const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's channels.
pub(super) const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A named way to make pictures ready.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreprocessPreset {
    /// Its name, as `--preprocess` takes it.
    pub name: &'static str,
    /// What it does, for a person.
    pub about: &'static str,
    /// Pixels are divided by 255 first.
    pub(super) unit: bool,
    pub(super) mean: &'static [f32],
    pub(super) std: &'static [f32],
    pub(super) interpolation: Interpolation,
    pub(super) sides: Sides,
}

/// What is done about sizes before the network's own size is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    /// Resized, then cut out of the centre, where the network takes large squares: the two sides where it takes any size.
    Crop(usize, usize),
    /// The same, but nothing where the network takes any size.
    CropLarge,
    /// Squares of that size where the network takes any.
    Square(usize),
    /// Stretched to the network's size.
    Stretch,
}

impl PreprocessPreset {
    /// All presets, in the order of the menu.
    pub const ALL: [Self; 8] = [
        Self {
            name: "imagenet",
            about: "Resized and cropped as torchvision does; minus the mean of ImageNet, over its deviation.",
            unit: true,
            mean: &IMAGENET_MEAN,
            std: &IMAGENET_STD,
            interpolation: Interpolation::Bilinear,
            sides: Sides::Crop(256, 224),
        },
        Self {
            name: "imagenet-bicubic",
            about: "As imagenet, resized by cubic interpolation: most networks of timm, and vision transformers.",
            unit: true,
            mean: &IMAGENET_MEAN,
            std: &IMAGENET_STD,
            interpolation: Interpolation::Bicubic,
            sides: Sides::Crop(256, 224),
        },
        Self {
            name: "inception",
            about: "Cropped to 299 pixels, -1 to 1: Inception and its relatives.",
            unit: true,
            mean: &[0.5],
            std: &[0.5],
            interpolation: Interpolation::Bicubic,
            sides: Sides::Crop(342, 299),
        },
        Self {
            name: "minus-one-to-one",
            about: "-1 to 1: most networks that come from TensorFlow.",
            unit: true,
            mean: &[0.5],
            std: &[0.5],
            interpolation: Interpolation::Bilinear,
            sides: Sides::CropLarge,
        },
        Self {
            name: "unit",
            about: "0 to 1.",
            unit: true,
            mean: &[0.0],
            std: &[1.0],
            interpolation: Interpolation::Bilinear,
            sides: Sides::CropLarge,
        },
        Self {
            name: "raw",
            about: "0 to 255, as they are.",
            unit: false,
            mean: &[0.0],
            std: &[1.0],
            interpolation: Interpolation::Bilinear,
            sides: Sides::CropLarge,
        },
        Self {
            name: "cifar",
            about: "Minus the mean of ImageNet, over its deviation, at their own size.",
            unit: true,
            mean: &IMAGENET_MEAN,
            std: &IMAGENET_STD,
            interpolation: Interpolation::Bilinear,
            sides: Sides::Square(32),
        },
        Self {
            name: "fashion",
            about: "Minus the mean of Fashion-MNIST, over its deviation; grey.",
            unit: true,
            mean: &[0.2860],
            std: &[0.3530],
            interpolation: Interpolation::Bilinear,
            sides: Sides::Stretch,
        },
    ];

    /// The preset called `name`.
    ///
    /// # Errors
    /// A sentence that lists the names.
    pub(super) fn called(name: &str) -> Result<Self, PreprocessError> {
        let found = Self::ALL.into_iter().find(|preset| preset.name == name);
        found.ok_or_else(|| PreprocessError::Unknown(name.to_owned()))
    }
}
