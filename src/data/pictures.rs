//! Pictures as they are stored, as equal records of bytes or as image files; and what is made of them for a network.

use super::fitted::Fitted;
use super::picture::{self, Picture, PictureError};
use super::preprocess::{Origin, Preprocess};
use super::{DatasetError, fault};
use crate::files;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

/// The pictures of a data set, and what is done to them.
#[derive(Debug)]
pub(super) struct PictureSamples {
    pub(super) pictures: Arc<Pictures>,
    /// Where they come from and how many channels they have: what decides how they are read without a choice.
    pub(super) origin: Origin,
    pub(super) channels: usize,
    pub(super) preprocess: Preprocess,
    /// Pictures in their final size.
    pub(super) fitted: Fitted,
    /// The network's input.
    pub(super) input: String,
}

impl PictureSamples {
    /// A picture in its final size.
    pub(super) fn fitted(&self, sample: usize) -> Result<Cow<'_, Picture>, DatasetError> {
        let make = || {
            let picture = self.pictures.picture(sample)?;
            let fitted = self.preprocess.fit(picture);
            fitted.map_err(|reason| fault(&self.pictures.name(sample), reason))
        };
        self.fitted.get(sample, make)
    }
}

/// Pictures as they are stored.
#[derive(Debug)]
pub(super) enum Pictures {
    /// Equal records of bytes.
    Stored(Stored),
    /// Image files, decoded when they are needed.
    Files(Vec<PathBuf>),
}

/// Equal records of bytes, each with a picture in it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) bytes: Vec<u8>,
    /// Bytes from one picture to the next.
    pub(super) record: usize,
    /// Bytes before the pixels.
    pub(super) offset: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    /// Whether all of one channel comes before the next.
    pub(super) planes: bool,
}

impl Stored {
    /// Pictures that follow each other without anything between; `planes` as in [`Stored::planes`].
    pub(super) fn packed(bytes: Vec<u8>, [height, width, channels]: [usize; 3], planes: bool) -> Self {
        Self {
            bytes,
            record: height * width * channels,
            offset: 0,
            width,
            height,
            channels,
            planes,
        }
    }
}

impl From<Picture> for Stored {
    fn from(picture: Picture) -> Self {
        let size = [picture.height, picture.width, picture.channels];
        Self::packed(picture.pixels, size, false)
    }
}

impl Pictures {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Stored(stored) => stored.bytes.len().checked_div(stored.record).unwrap_or(0),
            Self::Files(files) => files.len(),
        }
    }

    /// What to call a sample in a message.
    fn name(&self, sample: usize) -> String {
        match self {
            Self::Files(files) => (files.get(sample)).map_or_else(String::new, |file| file.display().to_string()),
            Self::Stored(_) => format!("image {sample}"),
        }
    }

    /// Picture `sample` in the size in which it is stored.
    pub(super) fn picture(&self, sample: usize) -> Result<Picture, DatasetError> {
        match self {
            Self::Files(files) => {
                let file = files
                    .get(sample)
                    .ok_or_else(|| fault("images", format!("there is no sample {sample}")))?;
                let content = files::read(file, picture::LARGEST).map_err(PictureError::from);
                let picture = content.and_then(|content| Picture::decode(&content));
                picture.map_err(|error| fault(&file.display().to_string(), error))
            }
            Self::Stored(stored) => {
                let from = sample.saturating_mul(stored.record).saturating_add(stored.offset);
                let pixels = (stored.bytes.get(from..))
                    .and_then(|rest| rest.get(..stored.width * stored.height * stored.channels))
                    .ok_or_else(|| fault("images", format!("there is no sample {sample}")))?;
                Ok(if stored.planes {
                    Picture::from_planes(stored.width, stored.height, stored.channels, pixels)
                } else {
                    Picture {
                        width: stored.width,
                        height: stored.height,
                        channels: stored.channels,
                        pixels: pixels.to_vec(),
                    }
                })
            }
        }
    }
}
