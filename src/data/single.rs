//! One picture from a file, read as the pictures of an open data set are.

use super::fitted::Fitted;
use super::{Dataset, DatasetError, PictureSamples, Pictures, Samples, fault, folder};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Dataset {
    /// Whether a file is a picture, by its name.
    pub fn is_picture(path: &Path) -> bool {
        folder::is_image(path)
    }

    /// The picture at `path` as a data set of one sample without a label, made ready for the network like the pictures of
    /// this one; `None` for data that are no pictures. Where all pictures of this one are of one size and nothing brings
    /// others to a size, it gets theirs.
    ///
    /// # Errors
    /// [`DatasetError`] naming the file when it is no picture.
    pub fn with_picture(&self, path: &Path) -> Option<Result<Self, DatasetError>> {
        let Samples::Pictures(samples) = &self.samples else {
            return None;
        };
        let mut preprocess = samples.preprocess.clone();
        if let Pictures::Stored(stored) = samples.pictures.as_ref() {
            preprocess = preprocess.or_exactly(stored.height, stored.width);
        }
        let pictures = Arc::new(Pictures::Files(vec![PathBuf::from(path)]));
        let read = pictures.picture(0).map(|picture| Self {
            name: path.display().to_string(),
            samples: Samples::Pictures(PictureSamples {
                fitted: Fitted::of(&pictures),
                pictures,
                origin: samples.origin,
                channels: picture.channels,
                preprocess,
                input: samples.input.clone(),
            }),
            labels: None,
            classes: self.classes.clone(),
            arrays: Vec::new(),
            notes: Vec::new(),
            output: self.output.clone(),
            maps: None,
            boxes: None,
        });
        Some(match read {
            Ok(_) if !self.arrays.is_empty() => Err(fault(
                &path.display().to_string(),
                "the network takes more than pictures: a picture cannot be run by itself".to_owned(),
            )),
            read => read,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use image::{ImageBuffer, Luma, Rgb};

    #[test]
    fn a_picture_of_any_size_and_colour_becomes_what_the_network_takes() {
        let folder = tempfile::tempdir().unwrap();
        let data = Dataset::demo(Demo::Fashion);
        // The first test picture itself, enlarged fourfold pixel by pixel, in colour: all three the same grey.
        let (width, height, rgb) = data.thumbnail(0).unwrap();
        let pixel = |x: u32, y: u32| {
            let at = ((y / 4) as usize * width + (x / 4) as usize) * 3;
            Rgb([rgb[at], rgb[at + 1], rgb[at + 2]])
        };
        let path = folder.path().join("coat.png");
        ImageBuffer::from_fn(4 * width as u32, 4 * height as u32, pixel)
            .save(&path)
            .unwrap();
        let single = data.with_picture(&path).unwrap().unwrap();
        assert_eq!((single.len(), single.label(0)), (1, None));
        assert_eq!(single.class_name(0), data.class_name(0));
        let numbers = |data: &Dataset| {
            let (_, value) = data.batch(0..1).unwrap().remove(0);
            (value.shape().to_vec(), value.floats().unwrap().to_vec())
        };
        let (own, other) = (numbers(&data), numbers(&single));
        assert_eq!(own.0, other.0);
        // Resizing smooths a little: the pictures agree closely, not to the bit.
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let apart: Vec<f32> = own.1.iter().zip(&other.1).map(|(a, b)| (a - b).abs()).collect();
        assert!(mean(&apart) < 0.25, "{}", mean(&apart));

        let grey = folder.path().join("grey.png");
        ImageBuffer::from_pixel(9, 5, Luma([128_u8])).save(&grey).unwrap();
        assert_eq!(numbers(&data.with_picture(&grey).unwrap().unwrap()).0, own.0);
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.png");
        std::fs::write(&path, b"no picture").unwrap();
        let error = Dataset::demo(Demo::Fashion)
            .with_picture(&path)
            .unwrap()
            .unwrap_err()
            .to_string();
        assert!(error.contains("broken.png"), "{error}");
        assert!(Dataset::demo(Demo::Shakespeare).with_picture(&path).is_none());
    }
}
