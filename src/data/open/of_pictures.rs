//! Pictures as data: IDX, CIFAR, an image file, a folder of them.

use super::{DIFFERING_SIZES, Opening};
use crate::data::fitted::Fitted;
use crate::data::pictures::{PictureSamples, Pictures, Stored};
use crate::data::preprocess::{Origin, Preprocess};
use crate::data::{Boxes, Dataset, DatasetError, Samples, cifar, folder, idx, labels};
use std::path::Path;
use std::sync::Arc;

impl Opening<'_> {
    pub(super) fn idx(
        &self,
        images: idx::Idx,
        labels: Option<Vec<usize>>,
        origin: Origin,
    ) -> Result<Dataset, DatasetError> {
        let (height, width, channels) = match images.shape[..] {
            [_, height, width] => (height, width, 1),
            [_, height, width, channels @ (1 | 3)] => (height, width, channels),
            _ => {
                return Err(self.fault(format!(
                    "images have the axes [n, h, w], this file has {:?}",
                    images.shape
                )));
            }
        };
        let stored = Stored::packed(images.data, [height, width, channels], false);
        self.pictures(Pictures::Stored(stored), labels, Vec::new(), origin, channels)
    }

    pub(super) fn cifar(&self, file: cifar::Cifar) -> Result<Dataset, DatasetError> {
        let labels = match &self.options.labels {
            Some(path) => labels::ordered(labels::read(path)?, file.labels.len(), path)?,
            None => file.labels,
        };
        let stored = Stored {
            bytes: file.data,
            record: file.record,
            offset: file.offset,
            width: 32,
            height: 32,
            channels: 3,
            planes: true,
        };
        self.pictures(Pictures::Stored(stored), Some(labels), file.classes, Origin::Cifar, 3)
    }

    pub(super) fn single_image(&self, file: &Path) -> Result<Dataset, DatasetError> {
        let pictures = Pictures::Files(vec![file.to_path_buf()]);
        let picture = pictures.picture(0)?;
        let labels = match &self.options.labels {
            Some(path) => Some(labels::ordered(labels::read(path)?, 1, path)?),
            None => None,
        };
        self.pictures(pictures, labels, Vec::new(), Origin::Folder, picture.channels)
    }

    pub(super) fn folder(&self, folder: folder::Folder) -> Result<Dataset, DatasetError> {
        if folder.files.is_empty() {
            return Err(self.fault(folder.notes.join("; ")));
        }
        let pictures = Pictures::Files(folder.files);
        let origin = if folder.boxes.is_some() {
            Origin::Boxes
        } else {
            Origin::Folder
        };
        let mut data = self.pictures(pictures, folder.labels, folder.classes, origin, 3)?;
        data.notes = folder.notes;
        data.boxes = folder.boxes;
        let same = folder.sizes.windows(2).all(|pair| pair[0] == pair[1]);
        let stretched = data.boxes.as_ref().and_then(Boxes::stretched_to);
        if let Samples::Pictures(samples) = &mut data.samples
            && !same
            && !samples.preprocess.fixes_size()
        {
            // What is cut off a picture could not be found.
            let [width, height] = stretched.ok_or_else(|| self.fault(DIFFERING_SIZES))?;
            samples.preprocess = samples.preprocess.clone().or_exactly(height, width);
            let note = "the pictures have different sizes: all are stretched to that of the first";
            data.notes.push(format!("{note}, {width} x {height} pixels"));
        }
        Ok(data)
    }

    pub(super) fn pictures(
        &self,
        pictures: Pictures,
        labels: Option<Vec<usize>>,
        classes: Vec<String>,
        origin: Origin,
        channels: usize,
    ) -> Result<Dataset, DatasetError> {
        if pictures.len() == 0 {
            return Err(self.fault("there are no images in it"));
        }
        let port = self.free_port(false)?;
        let preprocess = Preprocess::new(self.options, port, origin, channels).map_err(|reason| self.fault(reason))?;
        if let Some(&[_, Some(numbers)]) = port.and_then(|port| port.shape.as_deref()) {
            let first = preprocess
                .fit(pictures.picture(0)?)
                .map_err(|reason| self.fault(reason))?;
            let given: usize = preprocess.shape(1, first.height, first.width).iter().product();
            if given != numbers {
                let (width, height) = (first.width, first.height);
                return Err(self.fault(format!(
                    "pictures of {width} x {height} pixels are {given} numbers, and the network takes {numbers}: choose a --size with as many, or \
                     data of another kind"
                )));
            }
        }
        let input = port.map_or_else(|| "input".to_owned(), |port| port.name.clone());
        let arrays = self.given_arrays(std::slice::from_ref(&input), Some(pictures.len()), |_, _| None)?;
        Ok(Dataset {
            name: self.name(),
            samples: Samples::Pictures(PictureSamples {
                fitted: Fitted::of(&pictures),
                pictures: Arc::new(pictures),
                origin,
                channels,
                preprocess,
                input,
            }),
            labels,
            classes,
            arrays,
            notes: Vec::new(),
            output: None,
            maps: None,
            boxes: None,
        })
    }
}
