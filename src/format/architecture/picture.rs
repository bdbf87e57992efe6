//! What flows between the layers of networks that look at pictures: pictures and feature maps, rows of numbers.

use super::net::{Axis, Net, Output};
use crate::network::{Interpolation, PreprocessHint};
use crate::onnx::schema::data_type;

/// Largest side of a picture that a configuration may ask for, pixels.
const LARGEST: usize = 8192;

/// What pictures a family is usually trained on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    /// Side of the square picture, pixels.
    pub(super) size: usize,
    /// Mean and standard deviation of each channel of pixels in 0..1; `None` where trainings differ.
    pub(super) normalization: Option<[[f32; 3]; 2]>,
    /// Share of the resized picture that the centre crop keeps.
    pub(super) crop: Option<f32>,
    pub(super) interpolation: Option<Interpolation>,
}

impl Usual {
    /// torchvision's pictures of ImageNet: 224 of 256 pixels.
    pub(super) const IMAGENET: Self = Self {
        size: 224,
        normalization: Some([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]),
        crop: Some(0.875),
        interpolation: Some(Interpolation::Bilinear),
    };

    /// Small pictures of `size` x `size`.
    pub(super) const fn small(size: usize) -> Self {
        Self {
            size,
            normalization: None,
            crop: None,
            interpolation: None,
        }
    }
}

/// Channels of a picture or feature map `[batch, channels, height, width]`.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) value: String,
    pub(super) channels: usize,
    /// Height and width.
    pub(super) size: [usize; 2],
}

/// A row of numbers for each sample, `[batch, width]`.
#[derive(Debug, Clone)]
pub(super) struct Features {
    pub(super) value: String,
    pub(super) width: usize,
}

impl Features {
    /// As what the network gives.
    pub(super) fn output(self) -> Output {
        Output {
            axes: vec![Axis::Free("batch"), Axis::Size(self.width)],
            value: self.value,
        }
    }
}

impl Net<'_> {
    /// The pictures: as many channels as the first convolution `stem` reads, of the configured size, else the usual one.
    pub(super) fn pictures(&mut self, stem: &str, usual: Usual) -> Map {
        let channels = self.dict.size(&format!("{stem}.weight"), 1).unwrap_or(3);
        let size = self.configured_size().unwrap_or([usual.size; 2]);
        self.pictures_of(channels, size, usual)
    }

    /// The height and width that the configuration asks for, if they are believable.
    pub(super) fn configured_size(&self) -> Option<[usize; 2]> {
        let size = self.config.preprocess.size?;
        size.iter().all(|side| (1..=LARGEST).contains(side)).then_some(size)
    }

    /// Pictures of `channels` and this height and width; only what else is usual is taken from `usual`.
    pub(super) fn pictures_of(&mut self, channels: usize, size: [usize; 2], usual: Usual) -> Map {
        self.usually(PreprocessHint {
            mean: usual.normalization.map(|[mean, _]| mean.to_vec()),
            std: usual.normalization.map(|[_, std]| std.to_vec()),
            size: Some(size),
            crop: usual.crop,
            interpolation: usual.interpolation,
            ..PreprocessHint::default()
        });
        let axes = [
            Axis::Free("batch"),
            Axis::Size(channels),
            Axis::Size(size[0]),
            Axis::Size(size[1]),
        ];
        Map {
            value: self.input("input", data_type::FLOAT, &axes),
            channels,
            size,
        }
    }
}
