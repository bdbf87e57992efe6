//! A sample made visible to a person: as it is, and as the network gets it.

use super::picture::Picture;
use super::{Dataset, Samples};
use crate::network::Interpolation;

/// Longest side of a thumbnail, pixels.
const THUMBNAIL: usize = 96;

/// What a network gets of a picture, as a small picture: resized and cropped as it gets it, mean and deviation taken back, the
/// network's first channel as red.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenPicture {
    /// Width of the small picture, pixels.
    pub width: usize,
    /// Height of the small picture, pixels.
    pub height: usize,
    /// Its bytes, red, green, blue.
    pub rgb: Vec<u8>,
    /// Width and height of what the network gets, pixels.
    pub size: [usize; 2],
    /// The least and the greatest number.
    pub range: [f32; 2],
    /// The order of colours and of axes: `BGR, NCHW`.
    pub order: String,
}

impl Dataset {
    /// What the network really gets of a picture, made visible; `None` for data that are no pictures.
    pub fn seen_by_network(&self, sample: usize) -> Option<SeenPicture> {
        let Samples::Pictures(samples) = &self.samples else {
            return None;
        };
        let (seen, (low, high)) = samples.preprocess.seen(&*samples.fitted(sample).ok()?);
        let (full_width, full_height) = (seen.width, seen.height);
        let small = small(seen)?;
        Some(SeenPicture {
            width: small.width,
            height: small.height,
            rgb: small.pixels,
            size: [full_width, full_height],
            range: [low, high],
            order: samples.preprocess.order_text(),
        })
    }

    /// A small picture of a sample (width, height, RGB bytes), if it is an image.
    pub fn thumbnail(&self, sample: usize) -> Option<(usize, usize, Vec<u8>)> {
        let Samples::Pictures(samples) = &self.samples else {
            return None;
        };
        let small = small(samples.pictures.picture(sample).ok()?)?;
        Some((small.width, small.height, small.pixels))
    }
}

/// A picture in three channels and no larger than a thumbnail.
fn small(picture: Picture) -> Option<Picture> {
    let longer = picture.width.max(picture.height);
    if longer <= THUMBNAIL {
        return Some(picture.with_channels(3));
    }
    let side = |side: usize| (side * THUMBNAIL / longer).max(1);
    let (width, height) = (side(picture.width), side(picture.height));
    let resized = picture.resized(width, height, Interpolation::Bilinear).ok()?;
    Some(resized.with_channels(3))
}
