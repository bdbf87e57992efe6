//! What is done to a picture before the network sees it: the only place where that is decided and done.

use super::DataOptions;
use super::picture::Picture;
use super::presets::{PreprocessPreset, Sides};
use crate::inference::Port;
use crate::network::{Interpolation, PreprocessHint};

/// Smallest side of a network for photographs, such as ImageNet's, pixels.
const LARGE: usize = 160;
/// Largest side that may be asked for, pixels.
const LARGEST: usize = 8192;

/// Where pictures come from: decides the preset when none was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Demo,
    Idx,
    Cifar,
    Folder,
    Array,
}

/// How the network lays out a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// `[n, c, h, w]`
    ChannelsFirst,
    /// `[n, h, w, c]`
    ChannelsLast,
    /// `[n, h, w]`
    Grey,
    /// `[n, c * h * w]`
    Flat,
}

/// The fields of a preprocessing, as they hold.
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessFields {
    /// Mean of each channel, red first.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, red first.
    pub std: Vec<f32>,
    /// Shorter side after the first resizing, pixels; `None` for none.
    pub size: Option<usize>,
    /// Centre crop, pixels; `None` for none.
    pub crop: Option<usize>,
    /// How pictures are resized.
    pub interpolation: Interpolation,
    /// Channels behind rows and columns.
    pub channels_last: bool,
    /// Blue before green before red.
    pub blue_first: bool,
}

/// Steps from picture to numbers: shorter side, centre crop, size, channels, `(x / 255 - mean) / std`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preprocess {
    preset: String,
    shorter_side: Option<usize>,
    crop: Option<usize>,
    /// Final height and width where the network fixes them.
    exact: Option<(usize, usize)>,
    channels: usize,
    order: Order,
    unit: bool,
    mean: Vec<f32>,
    std: Vec<f32>,
    interpolation: Interpolation,
    /// The network takes blue first.
    bgr: bool,
    /// Number for each byte, channel by channel, red first.
    table: Vec<[f32; 256]>,
}

/// What goes before the preset that a name or the network's own hint stands for.
struct Base {
    name: String,
    unit: bool,
    mean: Vec<f32>,
    std: Vec<f32>,
    interpolation: Interpolation,
    shorter_side: Option<usize>,
    crop: Option<usize>,
}

/// The name of what the network's own files say.
pub(super) const OF_NETWORK: &str = "network";

impl Preprocess {
    /// The steps for pictures with `channels` channels from `origin`, fed to `port`.
    pub(super) fn new(
        options: &DataOptions,
        port: Option<&Port>,
        origin: Origin,
        channels: usize,
    ) -> Result<Self, String> {
        let target = Target::new(options, port, channels)?;
        let base = target.base(options, origin)?;
        let mean = per_channel("mean", options.mean.as_deref(), &base.mean, target.channels, &base.name)?;
        let std = per_channel("std", options.std.as_deref(), &base.std, target.channels, &base.name)?;
        if std.contains(&0.0) {
            return Err("a standard deviation of 0 divides by zero".to_owned());
        }
        let (shorter_side, crop) = sides(options, (base.shorter_side, base.crop))?;
        let unit = base.unit;
        let table = (mean.iter().zip(&std))
            .map(|(mean, std)| {
                std::array::from_fn(|byte| {
                    let x = byte as f32;
                    ((if unit { x / 255.0 } else { x }) - mean) / std
                })
            })
            .collect();
        Ok(Self {
            preset: base.name,
            shorter_side,
            crop,
            exact: target.size,
            channels: target.channels,
            order: target.order,
            unit,
            mean,
            std,
            interpolation: options.interpolation.unwrap_or(base.interpolation),
            bgr: options.blue_first && target.channels == 3,
            table,
        })
    }

    /// The name of the preset.
    pub(super) fn preset(&self) -> &str {
        &self.preset
    }

    /// The fields as they hold, for a person to change.
    pub(super) fn fields(&self) -> PreprocessFields {
        PreprocessFields {
            mean: self.mean.clone(),
            std: self.std.clone(),
            size: self.shorter_side,
            crop: self.crop,
            interpolation: self.interpolation,
            channels_last: self.order == Order::ChannelsLast,
            blue_first: self.bgr,
        }
    }

    /// Whether pictures of every size come out in one size.
    pub(super) fn fixes_size(&self) -> bool {
        self.crop.is_some() || self.exact.is_some()
    }

    /// The same, but pictures end in that height and width unless they end in one size anyway.
    pub(super) fn or_exactly(mut self, height: usize, width: usize) -> Self {
        if !self.fixes_size() {
            self.exact = Some((height, width));
        }
        self
    }

    /// The sizes of a batch of `samples` pictures that come out as `height` x `width`.
    pub(super) fn shape(&self, samples: usize, height: usize, width: usize) -> Vec<usize> {
        match self.order {
            Order::ChannelsFirst => vec![samples, self.channels, height, width],
            Order::ChannelsLast => vec![samples, height, width, self.channels],
            Order::Grey => vec![samples, height, width],
            Order::Flat => vec![samples, self.channels * height * width],
        }
    }

    /// Geometry: the picture in its final size and channels.
    ///
    /// # Errors
    /// A picture so long and narrow that it would be enlarged beyond [`super::picture::LARGEST`].
    pub(super) fn fit(&self, picture: Picture) -> Result<Picture, String> {
        let mut picture = picture.with_channels(self.channels);
        if let Some(side) = self.shorter_side {
            picture = picture.with_shorter_side(side, self.interpolation)?;
        }
        if let Some(side) = self.crop {
            picture = picture.cropped(side, self.interpolation)?;
        }
        Ok(match self.exact {
            Some((height, width)) => picture.resized(width, height, self.interpolation),
            None => picture,
        })
    }

    /// Numbers of a picture that [`Preprocess::fit`] gave, in the network's order.
    pub(super) fn numbers(&self, picture: &Picture) -> Vec<f32> {
        let channels = self.channels;
        let red_first = |channel: usize| if self.bgr { channels - 1 - channel } else { channel };
        if self.order == Order::ChannelsLast {
            let pixels = picture.pixels.chunks_exact(channels);
            let number = |pixel: &[u8], c: usize| self.table[c][usize::from(pixel[c])];
            return pixels
                .flat_map(|pixel| (0..channels).map(move |channel| number(pixel, red_first(channel))))
                .collect();
        }
        (0..channels)
            .map(red_first)
            .flat_map(|channel| {
                let plane = picture.pixels.iter().skip(channel).step_by(channels);
                plane.map(move |byte| self.table[channel][usize::from(*byte)])
            })
            .collect()
    }

    /// The picture that the numbers which the network gets stand for, with mean and deviation taken back and its channels in
    /// the network's order; and the least and the greatest number.
    pub(super) fn seen(&self, picture: &Picture) -> (Picture, (f32, f32)) {
        let numbers = self.numbers(picture);
        let low = numbers.iter().copied().fold(f32::INFINITY, f32::min);
        let high = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (channels, plane) = (self.channels, picture.width * picture.height);
        let byte = |(at, number): (usize, &f32)| {
            let place = match self.order {
                Order::ChannelsLast => at % channels,
                _ => at / plane.max(1),
            };
            let channel = if self.bgr { channels - 1 - place } else { place };
            let x = number * self.std[channel] + self.mean[channel];
            (if self.unit { x * 255.0 } else { x }).round() as u8
        };
        let bytes: Vec<u8> = numbers.iter().enumerate().map(byte).collect();
        let seen = if self.order == Order::ChannelsLast {
            Picture {
                pixels: bytes,
                ..picture.clone()
            }
        } else {
            Picture::from_planes(picture.width, picture.height, channels, &bytes)
        };
        (seen, (low, high))
    }

    /// The order of colours and of axes: `BGR, NCHW`.
    pub(super) fn order_text(&self) -> String {
        let colors = match (self.channels, self.bgr) {
            (3, false) => "RGB",
            (3, true) => "BGR",
            _ => "grey",
        };
        let axes = match self.order {
            Order::ChannelsFirst => "NCHW",
            Order::ChannelsLast => "NHWC",
            Order::Grey => "NHW",
            Order::Flat => "flat",
        };
        format!("{colors}, {axes}")
    }

    /// In one line for a person.
    pub(super) fn describe(&self) -> String {
        let mut steps = Vec::new();
        if let Some(side) = self.shorter_side {
            steps.push(format!("shorter side to {side}"));
        }
        if let Some(side) = self.crop {
            steps.push(format!("centre crop {side} x {side}"));
        }
        if let Some((height, width)) = self.exact {
            steps.push(format!("{width} x {height} pixels"));
        }
        let list = |numbers: &[f32]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let x = if self.unit { "x / 255" } else { "x, 0 to 255" };
        let plain = self.mean.iter().all(|m| *m == 0.0) && self.std.iter().all(|s| *s == 1.0);
        steps.push(if plain {
            x.to_owned()
        } else {
            format!("({x} - [{}]) / [{}]", list(&self.mean), list(&self.std))
        });
        if self.interpolation != Interpolation::Bilinear {
            steps.push(interpolation_name(self.interpolation).to_owned());
        }
        steps.push(self.order_text());
        format!("{}: {}", self.preset, steps.join(", "))
    }
}

/// What the network's input asks for.
struct Target {
    order: Order,
    channels: usize,
    /// Height and width.
    size: Option<(usize, usize)>,
}

impl Target {
    fn new(options: &DataOptions, port: Option<&Port>, channels: usize) -> Result<Self, String> {
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
            Some(&[_, _]) => (Order::Flat, None, (None, None)),
            Some(_) => return Err(format!("{named} takes no pictures")),
        };
        let channels = wanted.unwrap_or(channels);
        if channels != 1 && channels != 3 {
            let hint = if order == Order::ChannelsFirst {
                "; is it NHWC?"
            } else {
                ""
            };
            return Err(format!("{named} has {channels} channels, pictures have 1 or 3{hint}"));
        }
        let size = match size {
            (Some(height), Some(width)) => Some((height, width)),
            _ => None,
        };
        if size.is_some_and(|(height, width)| !(1..=LARGEST).contains(&height) || !(1..=LARGEST).contains(&width)) {
            return Err(format!("{named} takes no pictures of 1 to {LARGEST} pixels a side"));
        }
        Ok(Self { order, channels, size })
    }

    /// What the chosen preset says, else the network's own files, else what is usual for such data.
    fn base(&self, options: &DataOptions, origin: Origin) -> Result<Base, String> {
        let hint = options.hint.as_deref().filter(|hint| says_something(hint));
        let name = match (&options.preprocess, hint) {
            (Some(name), Some(hint)) if name == OF_NETWORK => return Ok(self.of_network(hint)),
            (None, Some(hint)) if origin != Origin::Demo => return Ok(self.of_network(hint)),
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
fn sides(options: &DataOptions, own: (Option<usize>, Option<usize>)) -> Result<(Option<usize>, Option<usize>), String> {
    if let Some(side) = [options.size, options.crop]
        .into_iter()
        .flatten()
        .find(|side| !(1..=LARGEST).contains(side))
    {
        return Err(format!("{side} pixels a side: choose 1 to {LARGEST}"));
    }
    Ok(match (options.size, options.crop) {
        (None, None) => own,
        (Some(size), None) => (Some(size), own.1.filter(|crop| *crop <= size)),
        (size, Some(crop)) => (size.or(own.0), Some(crop)),
    })
}

/// What a way to resize is called.
pub fn interpolation_name(interpolation: Interpolation) -> &'static str {
    match interpolation {
        Interpolation::Nearest => "nearest",
        Interpolation::Bilinear => "bilinear",
        Interpolation::Bicubic => "bicubic",
        Interpolation::Lanczos => "lanczos",
    }
}

/// The numbers chosen, else the preset's; one number stands for all channels.
fn per_channel(
    what: &str,
    chosen: Option<&[f32]>,
    preset: &[f32],
    channels: usize,
    name: &str,
) -> Result<Vec<f32>, String> {
    let numbers = chosen.unwrap_or(preset);
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(format!("the {what} {numbers:?} is not finite"));
    }
    match numbers {
        [number] => Ok(vec![*number; channels]),
        _ if numbers.len() == channels => Ok(numbers.to_vec()),
        _ if chosen.is_some() => Err(format!(
            "{} numbers for the {what} of {channels} channel(s)",
            numbers.len()
        )),
        _ => Err(format!(
            "the preprocessing '{name}' is for {} channels, the network takes {channels}: choose 'unit', or give mean and std",
            numbers.len()
        )),
    }
}

#[cfg(test)]
mod tests;
