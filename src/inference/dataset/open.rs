//! From a path to a data set: which kind of file it is, its labels, and which input of the network it feeds.

use super::arrays::{self, Array, Elements, InputArray};
use super::classes::Classes;
use super::fitted::Fitted;
use super::picture::Picture;
use super::preprocess::{Origin, Preprocess};
use super::text::Text;
use super::vocabulary::{self, Vocabulary};
use super::{
    DataOptions, Dataset, DatasetError, PictureSamples, Pictures, Samples, Stored, cifar, fault, folder, idx, labels,
};
use crate::files;
use crate::format::demo::{self, Demo};
use crate::inference::Port;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

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
    Ok(data)
}

fn opened(path: &str, options: &DataOptions, ports: &[Port], known: &Classes) -> Result<Dataset, DatasetError> {
    if let Some(demo) = Demo::from_name(path) {
        return self::demo(demo, false, options, ports);
    }
    let opening = Opening { path, options, ports };
    if path.is_empty() {
        return opening.arrays(Vec::new());
    }
    let file = Path::new(path);
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
    (std::fs::File::open(file).and_then(|file| file.take(8).read_to_end(&mut start))).map_err(wrong)?;
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
            let vocabulary = match &options.vocabulary {
                Some(_) => opening.vocabulary()?,
                None => Vocabulary::parse(demo::vocabulary_json(), name)?,
            };
            let content = std::str::from_utf8(demo::text()).map_err(|error| fault(name, error.to_string()))?;
            opening.tokens(content, &vocabulary)
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
        if arrays::is_npz(&bytes) {
            return self.arrays(arrays::parse_npz(&bytes, self.path)?);
        }
        if arrays::is_npy(&bytes) {
            return self.arrays(vec![(String::new(), arrays::parse_npy(&bytes, self.path)?)]);
        }
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let extension = extension.to_lowercase();
        if extension == "bin" || (extension != "txt" && cifar::is_cifar(bytes.len())) {
            return self.cifar(cifar::read(file, bytes)?);
        }
        match String::from_utf8(bytes) {
            Ok(content) => self.text(&content),
            Err(_) => Err(self
                .fault("no known data: expected IDX (also .gz), CIFAR .bin, .npy, .npz, text, or a folder of images")),
        }
    }

    fn fault(&self, reason: impl Into<String>) -> DatasetError {
        fault(self.path, reason.into())
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

    /// The first input that takes `integer` and is not given as an array; `None` when the network is not known.
    fn free_port(&self, integer: bool) -> Result<Option<&Port>, DatasetError> {
        let given = |port: &Port| self.options.inputs.iter().any(|(name, _)| *name == port.name);
        let free = |port: &&Port| !given(port) && (port.shape.as_ref().is_none_or(|shape| shape.len() > 1) || integer);
        let found = self.ports.iter().filter(free).find(|port| port.integer == integer);
        if found.is_none() && !self.ports.is_empty() {
            let what = if integer {
                "text needs an input of integer tokens"
            } else {
                "images need an input of floats"
            };
            let all: Vec<String> = self.ports.iter().map(Port::describe).collect();
            return Err(self.fault(format!("{what}; the network has {}", all.join(", "))));
        }
        Ok(found)
    }

    fn idx(&self, images: idx::Idx, labels: Option<Vec<usize>>, origin: Origin) -> Result<Dataset, DatasetError> {
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
        let stored = Stored {
            bytes: images.data,
            record: height * width * channels,
            offset: 0,
            width,
            height,
            channels,
            planes: false,
        };
        self.pictures(Pictures::Stored(stored), labels, Vec::new(), origin, channels)
    }

    fn cifar(&self, file: cifar::Cifar) -> Result<Dataset, DatasetError> {
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

    fn single_image(&self, file: &Path) -> Result<Dataset, DatasetError> {
        let pictures = Pictures::Files(vec![file.to_path_buf()]);
        let picture = pictures.picture(0)?;
        let labels = match &self.options.labels {
            Some(path) => Some(labels::ordered(labels::read(path)?, 1, path)?),
            None => None,
        };
        self.pictures(pictures, labels, Vec::new(), Origin::Folder, picture.channels)
    }

    fn folder(&self, folder: folder::Folder) -> Result<Dataset, DatasetError> {
        if folder.files.is_empty() {
            return Err(self.fault(folder.notes.join("; ")));
        }
        let pictures = Pictures::Files(folder.files);
        let mut data = self.pictures(pictures, folder.labels, folder.classes, Origin::Folder, 3)?;
        data.notes = folder.notes;
        let same = folder.sizes.windows(2).all(|pair| pair[0] == pair[1]);
        if let Samples::Pictures(samples) = &data.samples
            && !same
            && !samples.preprocess.fixes_size()
        {
            return Err(self.fault(DIFFERING_SIZES));
        }
        Ok(data)
    }

    fn pictures(
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
        let input = port.map_or_else(|| "input".to_owned(), |port| port.name.clone());
        let arrays = self.given_arrays(std::slice::from_ref(&input), Some(pictures.len()))?;
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
        })
    }

    /// The arrays of the options; every input must be in `fed` or among them, and have `samples` samples if it has any.
    fn given_arrays(&self, fed: &[String], samples: Option<usize>) -> Result<Vec<InputArray>, DatasetError> {
        let mut given = Vec::new();
        for (name, path) in &self.options.inputs {
            let file = path.display().to_string();
            let bytes = files::read(path, files::LARGEST_DATA).map_err(|error| fault(&file, error.to_string()))?;
            let array = arrays::parse_npy(&bytes, &file)?;
            given.push(self.input_array(name, array, &file)?);
        }
        self.check_inputs(fed, &given)?;
        if let (Some(samples), Some(odd)) = (
            samples,
            given
                .iter()
                .find(|array| array.samples().is_some_and(|n| n != 1 && Some(n) != samples)),
        ) {
            let count = odd.samples().unwrap_or(0);
            return Err(self.fault(format!(
                "the input '{}' has {count} samples, the data {samples}",
                odd.name
            )));
        }
        Ok(given)
    }

    fn check_inputs(&self, fed: &[String], given: &[InputArray]) -> Result<(), DatasetError> {
        let missing: Vec<String> = (self.ports.iter())
            .filter(|port| !fed.contains(&port.name) && !given.iter().any(|array| array.name == port.name))
            .map(Port::describe)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.fault(format!(
            "the network also takes {}: give each as --input NAME=FILE.npy, or all in an .npz",
            missing.join(", ")
        )))
    }

    /// An array for the input `name`. Its samples lie on the axis that is named as the first input's first axis, else on
    /// the first; an input whose sizes are all fixed is the same for every sample.
    fn input_array(&self, name: &str, array: Array, file: &str) -> Result<InputArray, DatasetError> {
        let Some(port) = self.ports.iter().find(|port| port.name == name) else {
            let all: Vec<String> = self.ports.iter().map(Port::describe).collect();
            return Err(fault(
                file,
                format!("the network has no input '{name}'; it takes {}", all.join(", ")),
            ));
        };
        if super::element_count(&array.shape) == Some(0) {
            let shape = &array.shape;
            return Err(fault(file, format!("an array of shape {shape:?} has no elements")));
        }
        let rank = array.shape.len();
        let axis = match &port.shape {
            None => (rank > 0).then_some(0),
            Some(shape) if shape.len() != rank => {
                return Err(fault(
                    file,
                    format!(
                        "the array has the shape {:?}, the network takes {}",
                        array.shape,
                        port.describe()
                    ),
                ));
            }
            Some(shape) => {
                let batch = self
                    .ports
                    .first()
                    .and_then(|first| first.axis_names.first().cloned().flatten());
                let named =
                    batch.and_then(|batch| port.axis_names.iter().position(|axis| axis.as_ref() == Some(&batch)));
                // A fixed first size that the array exceeds is a fixed batch.
                let first = shape
                    .first()
                    .is_some_and(|size| size.is_none_or(|size| size != array.shape[0]));
                named.or(first.then_some(0))
            }
        };
        if let Some(shape) = &port.shape
            && (shape.iter().zip(&array.shape).enumerate())
                .any(|(at, (want, have))| Some(at) != axis && want.is_some_and(|want| want != *have))
        {
            let have = &array.shape;
            return Err(fault(
                file,
                format!(
                    "the array has the shape {have:?}, the network takes {}",
                    port.describe()
                ),
            ));
        }
        InputArray::new(name, array, port.integer, axis, file)
    }

    /// Arrays by input name, or one array for the only input; `labels` or `y` are labels. Bytes in the shape of pictures
    /// are pictures.
    fn arrays(&self, mut arrays: Vec<(String, Array)>) -> Result<Dataset, DatasetError> {
        let is_port = |name: &str| self.ports.iter().any(|port| port.name == name);
        let labels_at = arrays
            .iter()
            .position(|(name, _)| ["labels", "y"].contains(&name.as_str()) && !is_port(name));
        let in_file = labels_at
            .map(|at| arrays.remove(at).1.into_labels(self.path))
            .transpose()?;
        let labelled = |samples: usize| match (&self.options.labels, in_file) {
            (Some(path), _) => labels::ordered(labels::read(path)?, samples, path).map(Some),
            (None, Some(labels)) if labels.len() == samples => Ok(Some(labels)),
            (None, Some(labels)) => Err(self.fault(format!("{} labels for {samples} samples", labels.len()))),
            (None, None) => Ok(None),
        };
        if let [(name, array)] = &mut arrays[..]
            && !is_port(name)
        {
            let free = |port: &&Port| !self.options.inputs.iter().any(|(given, _)| *given == port.name);
            let port = self.ports.iter().find(free);
            if array.shape.len() == 1 && port.is_some_and(|port| port.integer && port.shape.as_ref().is_some()) {
                let tokens = tokens_of(array, self.path)?;
                return self.stream(Text::of_tokens(tokens, port, self.path)?, Vec::new(), Vec::new());
            }
            *name = port.map_or_else(|| "input".to_owned(), |port| port.name.clone());
            if let Some(stored) = stored_pictures(array) {
                let (samples, channels) = (array.shape[0], stored.channels);
                let labels = labelled(samples)?;
                return self.pictures(Pictures::Stored(stored), labels, Vec::new(), Origin::Array, channels);
            }
        }
        if self.options.wants_pictures() {
            return Err(self.fault("preprocessing is for pictures; these arrays go to the network as they are"));
        }
        let mut inputs = Vec::new();
        for (name, array) in arrays {
            inputs.push(self.input_array(&name, array, self.path)?);
        }
        let fed: Vec<String> = inputs.iter().map(|array| array.name.clone()).collect();
        inputs.extend(self.given_arrays(&fed, None)?);
        let counts: Vec<usize> = inputs.iter().filter_map(InputArray::samples).collect();
        let samples = counts.iter().copied().max().unwrap_or(1);
        if samples == 0 || inputs.is_empty() {
            return Err(self.fault("there are no samples in it"));
        }
        if counts.iter().any(|count| *count != samples && *count != 1) {
            return Err(self.fault(format!("the arrays have different numbers of samples: {counts:?}")));
        }
        Ok(Dataset {
            name: self.name(),
            labels: labelled(samples)?,
            samples: Samples::Arrays(samples),
            classes: Vec::new(),
            arrays: inputs,
            notes: Vec::new(),
        })
    }

    fn vocabulary(&self) -> Result<Vocabulary, DatasetError> {
        let beside = || vocabulary::beside_text(Path::new(self.path));
        let path = self.options.vocabulary.clone().or_else(beside).ok_or_else(|| {
            self.fault("text needs the network's vocabulary: put it beside the text or the model as NAME.vocab.json")
        })?;
        let file = path.display().to_string();
        let json = files::read(&path, files::LARGEST_TEXT).map_err(|error| fault(&file, error.to_string()))?;
        Vocabulary::parse(&json, &file)
    }

    fn text(&self, content: &str) -> Result<Dataset, DatasetError> {
        self.free_port(true)?;
        self.tokens(content, &self.vocabulary()?)
    }

    fn tokens(&self, content: &str, vocabulary: &Vocabulary) -> Result<Dataset, DatasetError> {
        if self.options.wants_pictures() || self.options.labels.is_some() {
            return Err(self.fault("text takes no labels and no preprocessing of pictures"));
        }
        let (text, notes) = Text::new(content, vocabulary, self.free_port(true)?, self.path)?;
        self.stream(text, vocabulary.names(), notes)
    }

    /// Streams of tokens, each to be guessed from those before it.
    fn stream(&self, text: Text, classes: Vec<String>, notes: Vec<String>) -> Result<Dataset, DatasetError> {
        let input = self
            .free_port(true)?
            .map_or_else(|| "tokens".to_owned(), |port| port.name.clone());
        let arrays = self.given_arrays(&[input], None)?;
        Ok(Dataset {
            name: self.name(),
            samples: Samples::Text(text),
            labels: None,
            classes,
            arrays,
            notes,
        })
    }
}

/// The numbers of an array as tokens.
fn tokens_of(array: &Array, path: &str) -> Result<Vec<i32>, DatasetError> {
    let token = |number: i64| {
        let token = i32::try_from(number).ok().filter(|token| *token >= 0);
        token.ok_or_else(|| fault(path, format!("{number} is no token")))
    };
    match &array.elements {
        Elements::Byte(bytes) => Ok(bytes.iter().map(|&byte| i32::from(byte)).collect()),
        Elements::Integer(numbers) => numbers.iter().map(|&number| token(number)).collect(),
        Elements::Float(_) => Err(fault(path, "tokens are integers, the array holds floats".to_owned())),
    }
}

/// The bytes of an array as pictures, where the shape is `[n, h, w]`, `[n, h, w, c]` or `[n, c, h, w]` with c 1 or 3.
fn stored_pictures(array: &mut Array) -> Option<Stored> {
    let (height, width, channels, planes) = match array.shape[..] {
        [_, height, width] => (height, width, 1, false),
        [_, height, width, channels @ (1 | 3)] => (height, width, channels, false),
        [_, channels @ (1 | 3), height, width] => (height, width, channels, true),
        _ => return None,
    };
    let Elements::Byte(bytes) = &mut array.elements else {
        return None;
    };
    Some(Stored {
        bytes: std::mem::take(bytes),
        record: height * width * channels,
        offset: 0,
        width,
        height,
        channels,
        planes,
    })
}
