//! What decides the steps of a preprocessing: the network's input, then a preset or the network's own files, then what a
//! person chose.

use super::{OF_NETWORK, Origin, PreprocessError};
use crate::data::presets::{PreprocessPreset, Sides};
use crate::data::{DataOptions, ElementKind, Port};
use crate::network::{Interpolation, PreprocessHint, USUAL_FOR};

/// Smallest side of a network for photographs, such as ImageNet's, pixels.
const LARGE: usize = 160;

/// Largest side that may be asked for, pixels.
pub(super) const LARGEST: usize = 8192;

/// Smallest side of a picture that a row of numbers is taken for: fewer numbers are something else.
const FEWEST_PIXELS: usize = 8;

/// How the network lays out a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `[n, c, h, w]`
    ChannelsFirst,
    /// `[n, h, w, c]`
    ChannelsLast,
    /// `[n, h, w]`
    Grey,
    /// `[n, c * h * w]`
    Flat,
}

/// What goes before the preset that a name or the network's own hint stands for.
pub(super) struct Base {
    pub(super) name: String,
    pub(super) unit: bool,
    pub(super) mean: Vec<f32>,
    pub(super) std: Vec<f32>,
    pub(super) interpolation: Interpolation,
    pub(super) shorter_side: Option<usize>,
    pub(super) crop: Option<usize>,
}

/// What the network's input asks for.
pub(super) struct Target {
    pub(super) order: Order,
    pub(super) channels: usize,
    /// Height and width.
    pub(super) size: Option<(usize, usize)>,
    /// Whether it takes bytes.
    bytes: bool,
}

/// Channels and side of the square picture that has so many numbers.
fn square_of(numbers: usize) -> Option<(usize, usize)> {
    [1, 3].into_iter().find_map(|channels| {
        let side = (numbers / channels).isqrt();
        (side >= FEWEST_PIXELS && channels * side * side == numbers).then_some((channels, side))
    })
}

impl Target {
    pub(super) fn new(options: &DataOptions, port: Option<&Port>, channels: usize) -> Result<Self, PreprocessError> {
        let named = port.map_or_else(
            || "the input".to_owned(),
            |port| format!("the input {}", port.describe()),
        );
        let last = |shape: Option<&[Option<usize>]>| {
            let channel = |size: Option<usize>| matches!(size, Some(1 | 3));
            let guessed = shape.is_some_and(|s| s.len() == 4 && !channel(s[1]) && channel(s[3]));
            options.channels_last.unwrap_or(guessed)
        };
        let ordered = |last: bool| {
            if last {
                Order::ChannelsLast
            } else {
                Order::ChannelsFirst
            }
        };
        let (order, wanted, size) = match port.and_then(|port| port.shape.as_deref()) {
            None => (ordered(last(None)), None, (None, None)),
            Some(shape @ &[_, second, third, fourth]) if last(Some(shape)) => {
                (Order::ChannelsLast, fourth, (second, third))
            }
            Some(&[_, second, third, fourth]) => (Order::ChannelsFirst, second, (third, fourth)),
            Some(&[_, height, width]) => (Order::Grey, Some(1), (height, width)),
            Some(&[_, numbers]) => {
                let (channels, side) = numbers.and_then(square_of).unzip();
                (Order::Flat, channels, (side, side))
            }
            Some(_) => return Err(PreprocessError::NoPictures(named)),
        };
        let channels = wanted.unwrap_or(channels);
        if channels != 1 && channels != 3 {
            let hint = if order == Order::ChannelsFirst {
                "; is it NHWC?"
            } else {
                ""
            };
            return Err(PreprocessError::Channels {
                input: named,
                channels,
                hint,
            });
        }
        let size = match size {
            (Some(height), Some(width)) => Some((height, width)),
            _ => None,
        };
        if size.is_some_and(|(height, width)| !(1..=LARGEST).contains(&height) || !(1..=LARGEST).contains(&width)) {
            return Err(PreprocessError::InputSize(named));
        }
        let bytes = port.is_some_and(|port| port.kind == ElementKind::Byte);
        Ok(Self {
            order,
            channels,
            size,
            bytes,
        })
    }

    /// What the chosen preset says, else the network's own files, else what is usual for such data.
    pub(super) fn base(&self, options: &DataOptions, origin: Origin) -> Result<Base, PreprocessError> {
        let hint = options.hint.as_deref().filter(|hint| says_something(hint));
        let name = match (&options.preprocess, hint) {
            (Some(name), Some(hint)) if name == OF_NETWORK => return Ok(self.of_network(hint)),
            (Some(name), None) if name == OF_NETWORK => return Err(PreprocessError::NotTold),
            (None, _) if self.bytes => "raw",
            (None, Some(hint)) if origin != Origin::Demo => return self.of_network_or_usual(hint, origin),
            (Some(name), _) => name.as_str(),
            (None, _) => self.usual_preset(origin),
        };
        let preset = PreprocessPreset::called(name)?;
        let (shorter_side, crop) = self.sides_of(preset.sides);
        Ok(Base {
            name: preset.name.to_owned(),
            unit: preset.unit,
            mean: preset.mean.to_vec(),
            std: preset.std.to_vec(),
            interpolation: preset.interpolation,
            shorter_side,
            crop,
        })
    }

    fn of_network(&self, hint: &PreprocessHint) -> Base {
        let square = |[height, width]: [usize; 2]| (height == width).then_some(height);
        let own = self.size.map(|(height, width)| [height, width]);
        let side = own
            .or(hint.size)
            .and_then(square)
            .filter(|side| (1..=LARGEST).contains(side));
        let share = hint.crop.filter(|share| (0.05..=1.0).contains(share));
        let shorter = side
            .zip(share)
            .map(|(side, share)| (side as f32 / share).floor() as usize);
        Base {
            name: OF_NETWORK.to_owned(),
            unit: true,
            mean: hint.mean.clone().unwrap_or_else(|| vec![0.0]),
            std: hint.std.clone().unwrap_or_else(|| vec![1.0]),
            interpolation: hint.interpolation.unwrap_or(Interpolation::Bilinear),
            shorter_side: shorter,
            crop: side.filter(|_| shorter.is_some() || self.size.is_none()),
        }
    }

    /// What the network says. Where its files say nothing and its architecture nothing of the normalization, that is what is usual
    /// for such data: a small network for CIFAR-10 was trained on normalized pictures.
    fn of_network_or_usual(&self, hint: &PreprocessHint, origin: Origin) -> Result<Base, PreprocessError> {
        let base = self.of_network(hint);
        let usual = PreprocessPreset::called(self.usual_preset(origin))?;
        let is_told = hint.mean.is_some() || hint.std.is_some() || !hint.source.starts_with(USUAL_FOR);
        let same = base.unit == usual.unit && base.mean == usual.mean && base.std == usual.std;
        Ok(if is_told || same {
            base
        } else {
            Base {
                name: usual.name.to_owned(),
                unit: usual.unit,
                mean: usual.mean.to_vec(),
                std: usual.std.to_vec(),
                ..base
            }
        })
    }

    fn usual_preset(&self, origin: Origin) -> &'static str {
        let large = self.size.is_none_or(|(height, width)| height.min(width) >= LARGE);
        match origin {
            Origin::Demo => "fashion",
            Origin::Cifar if self.channels == 3 && self.size.is_none_or(|size| size == (32, 32)) => "cifar",
            Origin::Folder if self.channels == 3 && large => "imagenet",
            _ => "unit",
        }
    }

    /// Shorter side and crop of a preset, scaled to the network's own size.
    fn sides_of(&self, sides: Sides) -> (Option<usize>, Option<usize>) {
        let square = self
            .size
            .filter(|(height, width)| height == width)
            .map(|(height, _)| height);
        match (sides, self.size) {
            (Sides::Crop(shorter, crop), None) => (Some(shorter), Some(crop)),
            (Sides::Square(side), None) => (Some(side), Some(side)),
            (Sides::Crop(shorter, crop), Some(_)) if square.is_some() => {
                (square.map(|side| (side * shorter + crop / 2) / crop), square)
            }
            (Sides::CropLarge, Some(_)) if square.is_some_and(|side| side >= LARGE) => {
                (square.map(|side| (side * 256 + 112) / 224), square)
            }
            _ => (None, None),
        }
    }
}

/// Whether anything of the hint is about pixels.
fn says_something(hint: &PreprocessHint) -> bool {
    hint.mean.is_some()
        || hint.std.is_some()
        || hint.size.is_some()
        || hint.crop.is_some()
        || hint.interpolation.is_some()
}

/// Shorter side and crop: as chosen, else the preset's.
pub(super) fn sides(
    options: &DataOptions,
    own: (Option<usize>, Option<usize>),
) -> Result<(Option<usize>, Option<usize>), PreprocessError> {
    if let Some(side) = [options.size, options.crop]
        .into_iter()
        .flatten()
        .find(|side| !(1..=LARGEST).contains(side))
    {
        return Err(PreprocessError::Side(side));
    }
    Ok(match (options.size, options.crop) {
        (None, None) => own,
        (Some(size), None) => (Some(size), own.1.filter(|crop| *crop <= size)),
        (size, Some(crop)) => (size.or(own.0), Some(crop)),
    })
}

/// The numbers chosen, else the preset's; one number stands for all channels.
pub(super) fn per_channel(
    what: &'static str,
    chosen: Option<&[f32]>,
    preset: &[f32],
    channels: usize,
    name: &str,
) -> Result<Vec<f32>, PreprocessError> {
    let numbers = chosen.unwrap_or(preset);
    if numbers.iter().any(|number| !number.is_finite()) {
        let numbers = numbers.to_vec();
        return Err(PreprocessError::NotFinite { what, numbers });
    }
    match numbers {
        [number] => Ok(vec![*number; channels]),
        _ if numbers.len() == channels => Ok(numbers.to_vec()),
        _ if chosen.is_some() => Err(PreprocessError::Count {
            what,
            count: numbers.len(),
            channels,
        }),
        _ => Err(PreprocessError::OtherChannels {
            name: name.to_owned(),
            own: numbers.len(),
            channels,
        }),
    }
}
