//! Pictures as bytes, and the geometry that is done to them before they become numbers.

use super::jpeg;
use crate::network::Interpolation;
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageDecoder as _, ImageReader, Limits, Pixel, RgbImage};
use std::io::Cursor;

/// Most bytes of a picture: of its file, of its pixels once decoded, and of its pixels once resized. 89 million pixels in
/// colour, which no network looks at.
pub(super) const LARGEST: u64 = 256 << 20;

/// Row-major pixels with 1 (grey) or 3 (R, G, B) interleaved bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) pixels: Vec<u8>,
}

impl Picture {
    /// From an image file's content: grey stays grey, an alpha channel is dropped.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |error: image::ImageError| error.to_string();
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        let mut reader = reader.map_err(|error| error.to_string())?;
        let mut limits = Limits::no_limits();
        // What the decoder itself may take, besides the pixels.
        limits.max_alloc = Some(2 * LARGEST);
        reader.limits(limits);
        let decoder = reader.into_decoder().map_err(wrong)?;
        check_size(decoder.dimensions(), decoder.total_bytes())?;
        // The decoder would fill what is missing with grey.
        if bytes.starts_with(&[0xff, 0xd8]) && !jpeg::is_whole(bytes) {
            return Err("it is cut off: the end of the JPEG is missing".to_owned());
        }
        let image = DynamicImage::from_decoder(decoder).map_err(wrong)?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let grey = matches!(image.color(), image::ColorType::L8 | image::ColorType::L16);
        let (channels, pixels) = if grey {
            (1, image.into_luma8().into_raw())
        } else {
            (3, image.into_rgb8().into_raw())
        };
        Ok(Self {
            width,
            height,
            channels,
            pixels,
        })
    }

    /// From planes (R, then G, then B).
    pub(super) fn from_planes(width: usize, height: usize, channels: usize, planes: &[u8]) -> Self {
        let area = width * height;
        let pixels = (0..area)
            .flat_map(|at| (0..channels).map(move |c| planes[c * area + at]))
            .collect();
        Self {
            width,
            height,
            channels,
            pixels,
        }
    }

    /// With `channels` (1 or 3) channels: grey is repeated; colours become ITU-R 601 luma as in Pillow's `convert("L")`.
    pub(super) fn with_channels(self, channels: usize) -> Self {
        let pixels = match (self.channels, channels) {
            (1, 3) => self.pixels.iter().flat_map(|grey| [*grey; 3]).collect(),
            (3, 1) => (self.pixels.as_chunks::<3>().0.iter())
                .map(|rgb| {
                    let [r, g, b] = rgb.map(u32::from);
                    ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
                })
                .collect(),
            _ => return self,
        };
        Self {
            channels,
            pixels,
            ..self
        }
    }

    /// Resized with an antialiasing filter, as Pillow does; to the nearest pixel without one.
    pub(super) fn resized(self, width: usize, height: usize, interpolation: Interpolation) -> Self {
        if (self.width, self.height) == (width, height) {
            return self;
        }
        let filter = match interpolation {
            Interpolation::Nearest => FilterType::Nearest,
            Interpolation::Bilinear => FilterType::Triangle,
            Interpolation::Bicubic => FilterType::CatmullRom,
            Interpolation::Lanczos => FilterType::Lanczos3,
        };
        let pixels = if self.channels == 1 {
            resize::<image::Luma<u8>>(&self, width, height, filter, GrayImage::from_raw)
        } else {
            resize::<image::Rgb<u8>>(&self, width, height, filter, RgbImage::from_raw)
        };
        Self {
            width,
            height,
            pixels,
            ..self
        }
    }

    /// Resized so that the shorter side is `size`, the longer one rounded down (as torchvision does).
    ///
    /// # Errors
    /// That the picture would take more than [`LARGEST`].
    pub(super) fn with_shorter_side(self, size: usize, interpolation: Interpolation) -> Result<Self, String> {
        let shorter = self.width.min(self.height).max(1);
        let longer = |side: usize| (side.saturating_mul(size) / shorter).max(1);
        let (width, height) = (longer(self.width), longer(self.height));
        let bytes = width.saturating_mul(height).saturating_mul(self.channels) as u64;
        if bytes > LARGEST {
            return Err(format!(
                "a picture of {} x {} pixels is too long and narrow: with a shorter side of {size} it would take more than \
                 {} MiB",
                self.width,
                self.height,
                LARGEST >> 20
            ));
        }
        Ok(self.resized(width, height, interpolation))
    }

    /// The square of `side` pixels at the centre; enlarged first where the picture is smaller.
    ///
    /// # Errors
    /// As [`Picture::with_shorter_side`].
    pub(super) fn cropped(self, side: usize, interpolation: Interpolation) -> Result<Self, String> {
        let picture = if self.width.min(self.height) < side {
            self.with_shorter_side(side, interpolation)?
        } else {
            self
        };
        let (left, top) = (half(picture.width - side), half(picture.height - side));
        let row = side * picture.channels;
        let pixels = (top..top + side)
            .flat_map(|y| &picture.pixels[(y * picture.width + left) * picture.channels..][..row])
            .copied()
            .collect();
        Ok(Self {
            width: side,
            height: side,
            channels: picture.channels,
            pixels,
        })
    }
}

/// Whether pixels of that many bytes may be decoded.
pub(super) fn check_size((width, height): (u32, u32), bytes: u64) -> Result<(), String> {
    if bytes > LARGEST {
        let most = LARGEST >> 20;
        return Err(format!(
            "it has {width} x {height} pixels, which take more than {most} MiB"
        ));
    }
    Ok(())
}

/// Half, rounded half to even: where torchvision begins a centre crop.
fn half(margin: usize) -> usize {
    if margin % 4 == 3 { margin / 2 + 1 } else { margin / 2 }
}

/// How an image of one pixel type is made of its size and bytes.
type FromRaw<P> = fn(u32, u32, Vec<u8>) -> Option<ImageBuffer<P, Vec<u8>>>;

fn resize<P: Pixel<Subpixel = u8> + Send + Sync + 'static>(
    picture: &Picture,
    width: usize,
    height: usize,
    filter: FilterType,
    image: FromRaw<P>,
) -> Vec<u8> {
    let size = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    match image(size(picture.width), size(picture.height), picture.pixels.clone()) {
        Some(image) => image::imageops::resize(&image, size(width), size(height), filter).into_raw(),
        // Pixels that do not fill the picture: black instead, never out of bounds.
        None => vec![0; width * height * picture.channels],
    }
}
