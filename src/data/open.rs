//! From a path to a data set: which kind of file it is. What each kind becomes stands in a file of its own.

mod inputs;
mod of_arrays;
mod of_pictures;
mod of_text;

use super::classes::Classes;
use super::picture::Picture;
use super::pictures::Pictures;
use super::preprocess::Origin;
use super::tokenizer::Tokenizer;
use super::{DataOptions, Dataset, DatasetError, Reason, cifar, fault, folder, idx, labels, npy};
use crate::data::Port;
use crate::files;
use crate::format::demo::{self, Demo};
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

pub(super) const DIFFERING_SIZES: &str =
    "the images have different sizes: choose a crop, such as --size 256 --crop 224";

/// As [`Dataset::open`].
pub(super) fn open(path: &str, options: &DataOptions, ports: &[Port]) -> Result<Dataset, DatasetError> {
    let known = Classes::wanted(options.classes.as_deref(), options.hint.as_deref())?;
    let mut data = opened(path, options, ports, &known)?;
    let named = options.classes.is_some() || data.classes.is_empty();
    if named && !known.names.is_empty() && !data.is_text() {
        data.classes = known.names;
    }
    let mut notes = notes_of_arrays(&data);
    if options.chosen_for_text && !data.is_text() {
        notes.push("these are no text: the vocabulary or window that was chosen is not used".to_owned());
    }
    Ok(data.judged_by(options.output.clone()).with_notes(notes))
}

/// What is odd about the arrays of a data set.
pub(super) fn notes_of_arrays(data: &Dataset) -> Vec<String> {
    data.arrays.iter().filter_map(|array| array.note.clone()).collect()
}

fn opened(path: &str, options: &DataOptions, ports: &[Port], known: &Classes) -> Result<Dataset, DatasetError> {
    if let Some(demo) = Demo::from_name(path) {
        if options.labels.is_some() {
            let reason = "the demo's data have their labels with them; leave out --labels";
            return Err(fault(path, reason.to_owned()));
        }
        return self::demo(demo, false, options, ports);
    }
    let opening = Opening { path, options, ports };
    if path.is_empty() {
        return opening.arrays(Vec::new());
    }
    let file = &*files::real_path(Path::new(path));
    let wrong = |error: std::io::Error| fault(path, error.to_string());
    let metadata = std::fs::metadata(file).map_err(wrong)?;
    if metadata.is_dir() {
        let folder = folder::read(file, options.labels.as_deref(), known)?;
        return opening.folder(folder);
    }
    if folder::is_image(file) {
        return opening.single_image(file);
    }
    let mut start = Vec::new();
    let mut opened = files::open_ordinary(file).map_err(wrong)?;
    opened.by_ref().take(8).read_to_end(&mut start).map_err(wrong)?;
    if idx::is_idx(&start) || idx::is_gzip(&start) {
        let beside = idx::labels_beside(file);
        let labels = options.labels.clone().or(beside);
        let labels = labels.map(|path| Ok((labels::read(&path)?, path))).transpose()?;
        let images = idx::read_file(file)?;
        let samples = images.shape.first().copied().unwrap_or(0);
        let labels = labels
            .map(|(read, path)| labels::ordered(read, samples, &path))
            .transpose()?;
        return opening.idx(images, labels, Origin::Idx);
    }
    if npy::is_npz(&start) || npy::is_npy(&start) {
        opened.rewind().map_err(wrong)?;
        return opening.numpy(BufReader::new(opened), metadata.len());
    }
    let bytes = files::read(file, files::LARGEST_DATA).map_err(wrong)?;
    opening.content(bytes)
}

/// As [`Dataset::from_bytes`].
pub(super) fn of_bytes(
    name: &str,
    bytes: Vec<u8>,
    options: &DataOptions,
    ports: &[Port],
) -> Result<Dataset, DatasetError> {
    let opening = Opening {
        path: name,
        options,
        ports,
    };
    if idx::is_idx(&bytes) || idx::is_gzip(&bytes) {
        return opening.idx(idx::read(&bytes[..], name)?, None, Origin::Idx);
    }
    if image::guess_format(&bytes).is_ok() {
        let picture = Picture::decode(&bytes).map_err(|reason| fault(name, reason))?;
        let channels = picture.channels;
        return opening.pictures(
            Pictures::Stored(picture.into()),
            None,
            Vec::new(),
            Origin::Folder,
            channels,
        );
    }
    opening.content(bytes)
}

/// The data of a demo.
pub(super) fn demo(
    demo: Demo,
    calibration: bool,
    options: &DataOptions,
    ports: &[Port],
) -> Result<Dataset, DatasetError> {
    let name = demo.name();
    let opening = Opening {
        path: name,
        options,
        ports,
    };
    match demo {
        Demo::Fashion => {
            let (images, labels) = if calibration {
                (demo::calibration_images(), demo::calibration_labels())
            } else {
                (demo::test_images(), demo::test_labels())
            };
            let (images, labels) = (idx::read(images, name)?, idx::read(labels, name)?);
            let labels = labels.data.into_iter().map(usize::from).collect();
            let mut data = opening.idx(images, Some(labels), Origin::Demo)?;
            data.classes =
                serde_json::from_slice(demo::classes_json()).map_err(|error| fault(name, error.to_string()))?;
            Ok(data)
        }
        Demo::Shakespeare => {
            let tokenizer = match &options.vocabulary {
                Some(_) => opening.tokenizer()?,
                None => Tokenizer::parse(demo::vocabulary_json(), name)?,
            };
            let content = std::str::from_utf8(demo::text()).map_err(|error| fault(name, error.to_string()))?;
            opening.tokens(content, &tokenizer)
        }
    }
}

/// What is known while opening.
struct Opening<'a> {
    path: &'a str,
    options: &'a DataOptions,
    ports: &'a [Port],
}

impl Opening<'_> {
    /// What a file holds that is neither IDX nor a picture.
    fn content(&self, bytes: Vec<u8>) -> Result<Dataset, DatasetError> {
        let file = Path::new(self.path);
        if npy::is_npz(&bytes) || npy::is_npy(&bytes) {
            let length = bytes.len() as u64;
            return self.numpy(Cursor::new(bytes), length);
        }
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let extension = extension.to_lowercase();
        if extension == "bin" || (extension != "txt" && cifar::is_cifar(bytes.len())) {
            return self.cifar(cifar::read(file, bytes)?);
        }
        match std::str::from_utf8(files::without_mark(&bytes)) {
            Ok(content) => self.text(content),
            Err(_) => Err(self
                .fault("no known data: expected IDX (also .gz), CIFAR .bin, .npy, .npz, text, or a folder of images")),
        }
    }

    /// Arrays of NumPy, of which no more samples are read than are wanted.
    fn numpy(&self, mut file: impl Read + Seek, length: u64) -> Result<Dataset, DatasetError> {
        let wanted = |name: &str, shape: &[usize]| self.wanted_rows(name, shape);
        let mut start = [0; 4];
        let began = file.read_exact(&mut start).and_then(|()| file.rewind());
        began.map_err(|error| self.fault(error.to_string()))?;
        if npy::is_npz(&start) {
            return self.arrays(npy::read_npz(file, self.path, &wanted)?);
        }
        let array = npy::read_npy(file, length, self.path, &wanted)?;
        self.arrays(vec![(String::new(), array)])
    }

    fn fault(&self, reason: impl Into<Reason>) -> DatasetError {
        fault(self.path, reason)
    }

    fn name(&self) -> String {
        let file = Path::new(self.path)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        file.unwrap_or_else(|| {
            self.options
                .inputs
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        })
    }
}
