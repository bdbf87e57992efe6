//! What is done to a picture before the network sees it: the only place where that is decided and done.

use super::DataOptions;
use super::picture::Picture;
use crate::inference::Port;

/// Mean of ImageNet's channels (torchvision's models).
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's channels.
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Smallest input that an unlabelled choice takes for an ImageNet network's, pixels.
const IMAGENET_LEAST: usize = 160;
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
    /// Number for each byte, channel by channel.
    table: Vec<[f32; 256]>,
}

impl Preprocess {
    /// The steps for pictures with `channels` channels from `origin`, fed to `port`.
    pub(super) fn new(
        options: &DataOptions,
        port: Option<&Port>,
        origin: Origin,
        channels: usize,
    ) -> Result<Self, String> {
        let target = Target::new(options, port, channels)?;
        let preset = match &options.preprocess {
            Some(name) => name.as_str(),
            None => target.default_preset(origin),
        };
        let (unit, mean, std): (bool, &[f32], &[f32]) = match preset {
            "imagenet" | "cifar" => (true, &IMAGENET_MEAN, &IMAGENET_STD),
            "fashion" => (true, &[0.2860], &[0.3530]),
            "unit" => (true, &[0.0], &[1.0]),
            "raw" => (false, &[0.0], &[1.0]),
            other => {
                return Err(format!(
                    "no preprocessing is called '{other}': choose imagenet, cifar, fashion, unit or raw"
                ));
            }
        };
        let mean = per_channel("mean", options.mean.as_deref(), mean, target.channels, preset)?;
        let std = per_channel("std", options.std.as_deref(), std, target.channels, preset)?;
        if std.contains(&0.0) {
            return Err("a standard deviation of 0 divides by zero".to_owned());
        }
        let (shorter_side, crop) = target.sides(options, preset)?;
        let table = (mean.iter().zip(&std))
            .map(|(mean, std)| {
                std::array::from_fn(|byte| {
                    let x = byte as f32;
                    ((if unit { x / 255.0 } else { x }) - mean) / std
                })
            })
            .collect();
        Ok(Self {
            preset: preset.to_owned(),
            shorter_side,
            crop,
            exact: target.size,
            channels: target.channels,
            order: target.order,
            unit,
            mean,
            std,
            table,
        })
    }

    /// Whether pictures of every size come out in one size.
    pub(super) fn fixes_size(&self) -> bool {
        self.crop.is_some() || self.exact.is_some()
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
    pub(super) fn fit(&self, picture: Picture) -> Picture {
        let mut picture = picture.with_channels(self.channels);
        if let Some(side) = self.shorter_side {
            picture = picture.with_shorter_side(side);
        }
        if let Some(side) = self.crop {
            picture = picture.cropped(side);
        }
        match self.exact {
            Some((height, width)) => picture.resized(width, height),
            None => picture,
        }
    }

    /// Numbers of a picture that [`Preprocess::fit`] gave, in the network's order.
    pub(super) fn numbers(&self, picture: &Picture) -> Vec<f32> {
        let channels = self.channels;
        if self.order == Order::ChannelsLast {
            let pixels = picture.pixels.iter().enumerate();
            return pixels
                .map(|(at, byte)| self.table[at % channels][usize::from(*byte)])
                .collect();
        }
        (self.table.iter().enumerate())
            .flat_map(|(channel, table)| {
                let plane = picture.pixels.iter().skip(channel).step_by(channels);
                plane.map(|byte| table[usize::from(*byte)])
            })
            .collect()
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
        steps.push(if self.channels == 3 { "RGB" } else { "grey" }.to_owned());
        steps.push(
            match self.order {
                Order::ChannelsFirst => "NCHW",
                Order::ChannelsLast => "NHWC",
                Order::Grey => "NHW",
                Order::Flat => "flat",
            }
            .to_owned(),
        );
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

    fn default_preset(&self, origin: Origin) -> &'static str {
        let large = self
            .size
            .is_none_or(|(height, width)| height.min(width) >= IMAGENET_LEAST);
        match origin {
            Origin::Demo => "fashion",
            Origin::Cifar if self.channels == 3 && self.size.is_none_or(|size| size == (32, 32)) => "cifar",
            Origin::Folder if self.channels == 3 && large => "imagenet",
            _ => "unit",
        }
    }

    /// Shorter side and crop: as chosen, else the preset's, scaled to the network's own size.
    fn sides(&self, options: &DataOptions, preset: &str) -> Result<(Option<usize>, Option<usize>), String> {
        if let Some(side) = [options.size, options.crop]
            .into_iter()
            .flatten()
            .find(|side| !(1..=LARGEST).contains(side))
        {
            return Err(format!("{side} pixels a side: choose 1 to {LARGEST}"));
        }
        let own = match (preset, self.size) {
            ("imagenet", None) => (Some(256), Some(224)),
            ("imagenet", Some((height, width))) if height == width => (Some((height * 256 + 112) / 224), Some(height)),
            ("cifar", None) => (Some(32), Some(32)),
            _ => (None, None),
        };
        match (options.size, options.crop) {
            (None, None) => Ok(own),
            (Some(size), None) => Ok((Some(size), own.1.filter(|crop| *crop <= size))),
            (size, Some(crop)) => Ok((size.or(own.0), Some(crop))),
        }
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
