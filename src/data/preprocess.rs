//! What is done to a picture before the network sees it: the only place where that is decided and done.

mod choice;
mod error;

use super::DataOptions;
use super::picture::{LARGEST, Picture, PictureError, area};
use crate::data::{ElementKind, Port};
use crate::network::Interpolation;
use crate::quantization::ChannelPlace;
use choice::{Order, Target, per_channel, sides};
pub use error::PreprocessError;

/// Where pictures come from: decides the preset when none was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Demo,
    Idx,
    Cifar,
    Folder,
    /// A folder of pictures with boxes around objects: nothing is cut off.
    Boxes,
    Array,
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
    /// The network takes bytes.
    bytes: bool,
    /// Number for each byte, channel by channel, red first.
    table: Vec<[f32; 256]>,
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
    ) -> Result<Self, PreprocessError> {
        let target = Target::new(options, port, channels)?;
        let base = target.base(options, origin)?;
        let mean = per_channel("mean", options.mean.as_deref(), &base.mean, target.channels, &base.name)?;
        let std = per_channel("std", options.std.as_deref(), &base.std, target.channels, &base.name)?;
        if std.contains(&0.0) {
            return Err(PreprocessError::ZeroDeviation);
        }
        let own = if origin == Origin::Boxes {
            if options.crop.is_some() {
                return Err(PreprocessError::CropsObjects);
            }
            (None, None)
        } else {
            (base.shorter_side, base.crop)
        };
        let (shorter_side, crop) = sides(options, own)?;
        let unit = base.unit;
        let bytes = port.is_some_and(|port| port.kind != ElementKind::Float);
        if bytes && (unit || mean.iter().any(|mean| *mean != 0.0) || std.iter().any(|std| *std != 1.0)) {
            return Err(PreprocessError::TakesBytes);
        }
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
            bytes,
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

    /// What pixels from 0 to 255 become in each channel, in the network's order: least and greatest number.
    pub(super) fn intervals(&self) -> Vec<[f32; 2]> {
        let ends = |table: &[f32; 256]| [table[0].min(table[255]), table[0].max(table[255])];
        let mut intervals: Vec<[f32; 2]> = self.table.iter().map(ends).collect();
        if self.bgr {
            intervals.reverse();
        }
        intervals
    }

    /// Where the channels of what the network takes are.
    pub(super) fn channel_place(&self) -> ChannelPlace {
        match self.order {
            Order::ChannelsLast => ChannelPlace::Last,
            Order::ChannelsFirst => ChannelPlace::Second,
            // A single channel without an axis of its own is the whole sample, as it is once flattened.
            Order::Grey | Order::Flat => ChannelPlace::Flat,
        }
    }

    /// Whether the network takes bytes instead of floats.
    pub(super) fn takes_bytes(&self) -> bool {
        self.bytes
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
    /// A picture that would take more than [`LARGEST`] once it is resized, as one so long and narrow that it is enlarged.
    pub(super) fn fit(&self, picture: Picture) -> Result<Picture, PictureError> {
        // Grey is repeated at the end: resized and cropped, each channel would be the same.
        let mut picture = if self.channels == 1 {
            picture.with_channels(1)
        } else {
            picture
        };
        if let Some(side) = self.shorter_side {
            if self.crop.is_some() {
                picture = picture.without_long_ends();
            }
            picture = picture.with_shorter_side(side, self.interpolation)?;
        }
        if let Some(side) = self.crop {
            picture = picture.cropped(side, self.interpolation)?;
        }
        let picture = match self.exact {
            Some((height, width)) => picture.resized(width, height, self.interpolation)?,
            None => picture,
        };
        let (width, height) = (picture.width, picture.height);
        if area(width, height, self.channels) > LARGEST {
            return Err(PictureError::Channels {
                width,
                height,
                channels: self.channels,
            });
        }
        Ok(picture.with_channels(self.channels))
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

/// What a way to resize is called.
pub fn interpolation_name(interpolation: Interpolation) -> &'static str {
    match interpolation {
        Interpolation::Nearest => "nearest",
        Interpolation::Bilinear => "bilinear",
        Interpolation::Bicubic => "bicubic",
        Interpolation::Lanczos => "lanczos",
    }
}

#[cfg(test)]
mod tests;
