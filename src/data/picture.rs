//! Pictures as bytes, and the geometry that is done to them before they become numbers.

use super::jpeg;
use crate::network::Interpolation;
use image::imageops::FilterType;
use image::{
    DynamicImage, GrayImage, ImageBuffer, ImageDecoder as _, ImageError, ImageReader, Limits, Pixel, RgbImage,
};
use std::io::{self, Cursor};

/// Most bytes of a picture: of its file, of its pixels once decoded, and of its pixels once resized. 89 million pixels in
/// colour, which no network looks at.
pub(super) const LARGEST: u64 = 256 << 20;

/// Most bytes between the two passes of resizing, columns before rows, where each pixel is four floats.
const MAX_BETWEEN: u64 = 4 * LARGEST;

/// Bytes of a pixel there.
const BETWEEN: usize = 16;

/// Columns that are left of a picture, as a multiple of those wanted, when its columns are put together before resizing.
const MIN_LEFT: usize = 3;

/// How many times as long as wide a picture is resized whole, where its middle is all that is wanted.
const MAX_ASPECT: usize = 16;

/// Why a picture cannot be read, or not be made as large as is wanted.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("it is cut off: its end is missing")]
    CutOff,
    #[error("it has {width} x {height} pixels, which take more than {} MiB", LARGEST >> 20)]
    TooLarge { width: u32, height: u32 },
    /// Widths and heights.
    #[error(
        "a picture of {} x {} pixels, resized to {} x {}, would take more than {} MiB",
        from[0], from[1], to[0], to[1], LARGEST >> 20
    )]
    Resized { from: [usize; 2], to: [usize; 2] },
    #[error(
        "a picture of {width} x {height} pixels is too long and narrow: with a shorter side of {side} it would take more than \
         {} MiB",
        LARGEST >> 20
    )]
    Narrow { width: usize, height: usize, side: usize },
    #[error(
        "{width} x {height} pixels in {channels} channels take more than {} MiB: give a smaller size",
        LARGEST >> 20
    )]
    Channels {
        width: usize,
        height: usize,
        channels: usize,
    },
}

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
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, PictureError> {
        if !is_whole(bytes) {
            return Err(PictureError::CutOff);
        }
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
        let mut limits = Limits::no_limits();
        // What the decoder itself may take, besides the pixels.
        limits.max_alloc = Some(2 * LARGEST);
        reader.limits(limits);
        let decoder = reader.into_decoder()?;
        check_size(decoder.dimensions(), decoder.total_bytes())?;
        let image = DynamicImage::from_decoder(decoder)?;
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
    ///
    /// # Errors
    /// That the picture would take more than [`LARGEST`], or resizing it more than [`MAX_BETWEEN`].
    pub(super) fn resized(
        self,
        width: usize,
        height: usize,
        interpolation: Interpolation,
    ) -> Result<Self, PictureError> {
        if (self.width, self.height) == (width, height) {
            return Ok(self);
        }
        let from = [self.width, self.height];
        let picture = self.narrowed(width, height, interpolation);
        let channels = picture.channels;
        if area(width, height, channels) > LARGEST || area(picture.width, height, BETWEEN) > MAX_BETWEEN {
            let to = [width, height];
            return Err(PictureError::Resized { from, to });
        }
        let filter = match interpolation {
            Interpolation::Nearest => FilterType::Nearest,
            Interpolation::Bilinear => FilterType::Triangle,
            Interpolation::Bicubic => FilterType::CatmullRom,
            Interpolation::Lanczos => FilterType::Lanczos3,
        };
        let pixels = if channels == 1 {
            resize::<image::Luma<u8>>(picture, width, height, filter, GrayImage::from_raw)
        } else {
            resize::<image::Rgb<u8>>(picture, width, height, filter, RgbImage::from_raw)
        };
        Ok(Self {
            width,
            height,
            channels,
            pixels,
        })
    }

    /// A picture so wide that resizing it to `width` x `height` would take more than [`LARGEST`] between its passes, with
    /// neighbouring columns put together: their mean, or the middle one where the nearest pixel is wanted. Others as they are.
    fn narrowed(self, width: usize, height: usize, interpolation: Interpolation) -> Self {
        let left = width.saturating_mul(MIN_LEFT).max(1);
        if self.width / left < 2 || area(self.width, height, BETWEEN) <= LARGEST {
            return self;
        }
        let channels = self.channels;
        let put_together = |columns: &[u8], channel: usize| {
            let count = columns.len() / channels;
            if interpolation == Interpolation::Nearest {
                return columns[count / 2 * channels + channel];
            }
            let sum: usize = (columns.iter().skip(channel).step_by(channels))
                .map(|byte| usize::from(*byte))
                .sum();
            ((sum + count / 2) / count) as u8
        };
        // Parts of the same width, up to a column.
        let end = |part: usize| (part as u128 * self.width as u128 / left as u128) as usize * channels;
        let row_parts = |row| (0..left).map(move |part| (row, part));
        let pixels = (self.pixels.chunks_exact(self.width * channels))
            .flat_map(row_parts)
            .map(|(row, part): (&[u8], usize)| &row[end(part)..end(part + 1)])
            .flat_map(|columns| (0..channels).map(move |channel| put_together(columns, channel)))
            .collect();
        Self {
            width: left,
            pixels,
            ..self
        }
    }

    /// Resized so that the shorter side is `size`, the longer one rounded down (as torchvision does).
    ///
    /// # Errors
    /// That the picture would take more than [`LARGEST`].
    pub(super) fn with_shorter_side(self, size: usize, interpolation: Interpolation) -> Result<Self, PictureError> {
        let shorter = self.width.min(self.height).max(1);
        let longer = |side: usize| (side.saturating_mul(size) / shorter).max(1);
        let (width, height) = (longer(self.width), longer(self.height));
        if area(width, height, self.channels) > LARGEST {
            return Err(PictureError::Narrow {
                width: self.width,
                height: self.height,
                side: size,
            });
        }
        self.resized(width, height, interpolation)
    }

    /// The middle of a picture that is more than [`MAX_ASPECT`] times as long as wide; others as they are. What is cut off is
    /// far outside the square that is cropped later.
    pub(super) fn without_long_ends(self) -> Self {
        let most = self.width.min(self.height).saturating_mul(MAX_ASPECT);
        let (width, height) = (self.width.min(most), self.height.min(most));
        self.middle(width, height)
    }

    /// The rectangle at the centre.
    fn middle(self, width: usize, height: usize) -> Self {
        if (self.width, self.height) == (width, height) {
            return self;
        }
        let (left, top) = (half(self.width - width), half(self.height - height));
        let row = width * self.channels;
        let pixels = (top..top + height)
            .flat_map(|y| &self.pixels[(y * self.width + left) * self.channels..][..row])
            .copied()
            .collect();
        Self {
            width,
            height,
            channels: self.channels,
            pixels,
        }
    }

    /// The square of `side` pixels at the centre; enlarged first where the picture is smaller.
    ///
    /// # Errors
    /// As [`Picture::with_shorter_side`].
    pub(super) fn cropped(self, side: usize, interpolation: Interpolation) -> Result<Self, PictureError> {
        let picture = if self.width.min(self.height) < side {
            self.with_shorter_side(side, interpolation)?
        } else {
            self
        };
        Ok(picture.middle(side, side))
    }
}

/// Bytes at the end of a picture that are searched for its end: some cameras write more behind it.
pub(super) const ENDING: u64 = 4096;

/// Whether the end of a picture is there, as far as its kind is known; decoders show what is left of a JPEG and grey below.
fn is_whole(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xd8, ..] => jpeg::is_whole(bytes),
        _ => {
            let end = &bytes[bytes.len().saturating_sub(ENDING as usize)..];
            has_its_end(bytes, end, bytes.len() as u64)
        }
    }
}

/// [`is_whole`] of a file of `length` bytes that begins with `start` and ends with `end`.
pub(super) fn has_its_end(start: &[u8], end: &[u8], length: u64) -> bool {
    let ends_with = |mark: &[u8]| end.windows(mark.len()).any(|bytes| bytes == mark);
    match start {
        [0xff, 0xd8, ..] => ends_with(&[0xff, 0xd9]),
        [0x89, b'P', ..] => ends_with(b"IEND"),
        [b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P', ..] => {
            length >= 8 + u64::from(u32::from_le_bytes([*a, *b, *c, *d]))
        }
        _ => true,
    }
}

/// Whether pixels of that many bytes may be decoded.
pub(super) fn check_size((width, height): (u32, u32), bytes: u64) -> Result<(), PictureError> {
    if bytes > LARGEST {
        return Err(PictureError::TooLarge { width, height });
    }
    Ok(())
}

/// Bytes of so many pixels, each of `bytes`.
pub(super) fn area(width: usize, height: usize, bytes: usize) -> u64 {
    width.saturating_mul(height).saturating_mul(bytes) as u64
}

/// Half, rounded half to even: where torchvision begins a centre crop.
fn half(margin: usize) -> usize {
    if margin % 4 == 3 { margin / 2 + 1 } else { margin / 2 }
}

/// How an image of one pixel type is made of its size and bytes.
type FromRaw<P> = fn(u32, u32, Vec<u8>) -> Option<ImageBuffer<P, Vec<u8>>>;

fn resize<P: Pixel<Subpixel = u8> + Send + Sync + 'static>(
    picture: Picture,
    width: usize,
    height: usize,
    filter: FilterType,
    image: FromRaw<P>,
) -> Vec<u8> {
    let size = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let (from_width, from_height, channels) = (picture.width, picture.height, picture.channels);
    match image(size(from_width), size(from_height), picture.pixels) {
        Some(image) => image::imageops::resize(&image, size(width), size(height), filter).into_raw(),
        // Pixels that do not fill the picture: black instead, never out of bounds.
        None => vec![0; width * height * channels],
    }
}
