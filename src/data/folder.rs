//! Folders of images: class sub-folders (named by number, WordNet id or name), or one flat folder with or without labels.

use super::boxes::{Annotations, Boxes};
use super::classes::{self, Classes};
use super::labels::{self, Labels};
use super::picture::{self, Picture, PictureError};
use super::{DatasetError, fault};
use crate::files;
use rayon::prelude::*;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// File names that are images.
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
/// Classes of ImageNet's challenge.
const IMAGENET: usize = 1000;
/// Files of labels that a flat folder is searched for.
const LABEL_FILES: [&str; 3] = ["labels.csv", "labels.txt", "labels.tsv"];
/// Folders up to this size are decoded once to find unreadable images, larger ones only looked at; bytes.
const DECODE_LIMIT: u64 = 256 << 20;

/// The images of a folder.
pub(super) struct Folder {
    /// The readable images in order.
    pub(super) files: Vec<PathBuf>,
    /// Width and height of each.
    pub(super) sizes: Vec<(usize, usize)>,
    /// Their labels, if labelled.
    pub(super) labels: Option<Vec<usize>>,
    /// Boxes around what is on them, where they have such.
    pub(super) boxes: Option<Boxes>,
    /// Names of the classes, if they have names.
    pub(super) classes: Vec<String>,
    /// What a person should know of.
    pub(super) notes: Vec<String>,
}

/// Whether the file's name says that it is an image.
pub(super) fn is_image(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}

/// Folders that a Mac and a photo server leave beside the pictures: never classes.
const NO_CLASSES: [&str; 3] = ["__MACOSX", "@eaDir", ".ipynb_checkpoints"];
/// How parts of a data set are called.
const PARTS: [&str; 7] = ["train", "training", "val", "valid", "validation", "test", "testing"];
/// How deep below a class its pictures may lie.
const MAX_DEPTH: usize = 4;

/// Lists a folder; `labels_file` is where its labels are, if not in sub-folders or a `labels.csv`; `known` are the network's
/// classes, if they are known.
pub(super) fn read(path: &Path, labels_file: Option<&Path>, known: &Classes) -> Result<Folder, DatasetError> {
    if let Some(annotations) = Annotations::of_folder(path, labels_file)? {
        return with_boxes(path, &annotations);
    }
    let name = path.display().to_string();
    let entries = sorted_entries(path)?;
    let flat: Vec<PathBuf> = entries
        .iter()
        .filter(|entry| entry.is_file() && is_image(entry))
        .cloned()
        .collect();
    let mut notes = Vec::new();
    let folders = class_folders(&entries, &mut notes)?;
    let beside = LABEL_FILES
        .iter()
        .map(|file| path.join(file))
        .find(|file| file.is_file());
    let below: usize = folders.iter().map(|class| class.files.len()).sum();
    let as_classes = !folders.is_empty() && (flat.is_empty() || (beside.is_none() && below > flat.len()));
    let (files, labels, classes) = if as_classes {
        if let Some(labels) = labels_file {
            return Err(fault(
                &labels.display().to_string(),
                format!("{name} has class sub-folders: a labels file cannot be given as well"),
            ));
        }
        if let Some(part) = folders
            .iter()
            .find(|folder| PARTS.contains(&folder.name.to_lowercase().as_str()))
            && folders.len() <= 3
        {
            return Err(fault(
                &name,
                format!(
                    "it is divided into parts: open one of them, such as {name}/{}",
                    part.name
                ),
            ));
        }
        if !flat.is_empty() {
            let (count, first) = (flat.len(), file_name(&flat[0]));
            notes.push(format!(
                "{count} image(s) beside the sub-folders of classes left out: {first}"
            ));
        }
        classes_of(folders, known, &mut notes)
    } else {
        if below > 0 && !flat.is_empty() {
            notes.push(format!("{below} image(s) in sub-folders left out"));
        }
        let labels = match labels_file.map(Path::to_path_buf).or(beside) {
            Some(file) => Some((labels::read(&file)?, file)),
            None => None,
        };
        labelled(flat, labels, known, &mut notes)?
    };
    if files.is_empty() {
        let reason = "there is no image in this folder (png, jpg, webp), nor class sub-folders";
        return Err(fault(&name, [&[reason.to_owned()], &notes[..]].concat().join("; ")));
    }
    let mut folder = readable(files, labels.as_deref(), classes);
    folder.notes.splice(0..0, notes);
    Ok(folder)
}

/// The pictures that boxes are of. Categories are no classes of the network, which may number them otherwise.
fn with_boxes(path: &Path, annotations: &Annotations) -> Result<Folder, DatasetError> {
    let mut notes = Vec::new();
    let (files, places) = annotations.pictures(path, &mut notes)?;
    let mut folder = readable(files, Some(&places), Vec::new());
    let places = folder.labels.take().unwrap_or_default();
    folder.boxes = Some(annotations.boxes(&places, &folder.sizes)?);
    folder.notes.splice(0..0, notes);
    Ok(folder)
}

/// A sub-folder that holds pictures.
struct ClassFolder {
    name: String,
    files: Vec<PathBuf>,
}

/// The sub-folders among `entries` that hold pictures, themselves or deeper. Others are no classes, with a note.
fn class_folders(entries: &[PathBuf], notes: &mut Vec<String>) -> Result<Vec<ClassFolder>, DatasetError> {
    let (mut classes, mut empty) = (Vec::new(), Vec::new());
    for folder in entries.iter().filter(|entry| entry.is_dir()) {
        let name = file_name(folder);
        if NO_CLASSES.contains(&name.as_str()) {
            continue;
        }
        let mut files = Vec::new();
        collect_pictures(folder, MAX_DEPTH, &mut files)?;
        if files.is_empty() {
            empty.push(name);
        } else {
            classes.push(ClassFolder { name, files });
        }
    }
    if !classes.is_empty() && !empty.is_empty() {
        notes.push(format!(
            "sub-folders without an image are no classes: {}",
            listed(&empty)
        ));
    }
    Ok(classes)
}

/// The pictures in a folder and below it, in the order of their paths.
fn collect_pictures(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    for entry in sorted_entries(folder)? {
        if entry.is_dir() && depth > 0 && !NO_CLASSES.contains(&file_name(&entry).as_str()) {
            collect_pictures(&entry, depth - 1, files)?;
        } else if entry.is_file() && is_image(&entry) {
            files.push(entry);
        }
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The first of them, for a person.
fn listed(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    format!("{}{}", first.join(", "), if names.len() > 3 { ", …" } else { "" })
}

/// Says so where numbers within names, read as numbers, would give another order than that of text.
fn note_order<'a>(names: impl Iterator<Item = &'a String>, what: &str, notes: &mut Vec<String>) {
    let names: Vec<&String> = names.collect();
    let order = |a: &&String, b: &&String| alphanumeric_sort::compare_str(a.as_str(), b.as_str()).is_le();
    if let Some(pair) = names.windows(2).find(|pair| !order(&pair[0], &pair[1])) {
        notes.push(format!(
            "{what} count as classes in the order of text, {} before {}: if the network was trained otherwise, name its \
             classes (--classes)",
            pair[0], pair[1]
        ));
    }
}

type Listed = (Vec<PathBuf>, Option<Vec<usize>>, Vec<String>);

/// One class a sub-folder. Folders named by numbers are those classes; folders that are all called as known classes are
/// these; else they are classes in the order of their names, which is the order of ImageNet's 1000 WordNet ids, too.
fn classes_of(folders: Vec<ClassFolder>, known: &Classes, notes: &mut Vec<String>) -> Listed {
    let names: Vec<String> = folders.iter().map(|folder| folder.name.clone()).collect();
    let numbers: Option<Vec<usize>> = names.iter().map(|name| name.parse().ok()).collect();
    let named: Option<Vec<usize>> = names.iter().map(|name| known.index_of(name)).collect();
    let ids = names.iter().all(|name| classes::is_wordnet_id(name));
    let (numbers, class_names) = match (numbers, named) {
        (Some(numbers), _) => (Some(numbers), Vec::new()),
        (None, Some(named)) => (Some(named), Vec::new()),
        (None, None) if ids && names.len() == IMAGENET => (None, classes::imagenet()),
        (None, None) => {
            if ids {
                let last = names.len() - 1;
                notes.push(format!(
                    "the sub-folders are named by WordNet ids, but there are not {IMAGENET} of them: they count as classes \
                     0 to {last} in their order; name the network's classes by a file with lines like 'n01440764 tench'"
                ));
            } else if !known.names.is_empty() {
                let strange = names.iter().find(|name| known.index_of(name).is_none());
                notes.push(format!(
                    "the network has no class '{}': the sub-folders count as classes in the order of their names",
                    strange.map(String::as_str).unwrap_or_default()
                ));
            } else {
                note_order(names.iter(), "the sub-folders", notes);
            }
            (None, names)
        }
    };
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for (at, folder) in folders.into_iter().enumerate() {
        let class = numbers.as_ref().map_or(at, |numbers| numbers[at]);
        labels.resize(labels.len() + folder.files.len(), class);
        files.extend(folder.files);
    }
    (files, Some(labels), class_names)
}

/// Pictures in one folder with their labels.
fn labelled(
    mut files: Vec<PathBuf>,
    labels: Option<(Labels, PathBuf)>,
    known: &Classes,
    notes: &mut Vec<String>,
) -> Result<Listed, DatasetError> {
    match labels {
        None => Ok((files, None, Vec::new())),
        Some((Labels::Named(named), path)) => {
            // Labels that are names stand for the network's own classes, where all of them are known.
            let own: Option<Vec<usize>> = named.classes.iter().map(|class| known.index_of(class)).collect();
            let own = own.filter(|own| !own.is_empty());
            if own.is_none() {
                note_order(named.classes.iter(), "the names in the labels", notes);
            }
            let label = |file: &PathBuf| {
                let class = named.of_file(file);
                let class = class.map_err(|reason| fault(&path.display().to_string(), reason))?;
                Ok(own.as_ref().map_or(class, |own| own[class]))
            };
            let labels = files.iter().map(label).collect::<Result<_, DatasetError>>()?;
            let classes = if own.is_some() { Vec::new() } else { named.classes };
            Ok((files, Some(labels), classes))
        }
        Some((ordered, path)) => {
            let labels = labels::ordered(ordered, files.len(), &path)?;
            let as_text = files.clone();
            files.sort_by(|a, b| alphanumeric_sort::compare_str(file_name(a), file_name(b)));
            if let Some(at) = (0..files.len()).find(|at| files[*at] != as_text[*at]) {
                notes.push(format!(
                    "labels in order: numbers in the names of images count as numbers, {} before {}",
                    file_name(&files[at]),
                    file_name(&as_text[at])
                ));
            }
            Ok((files, Some(labels), Vec::new()))
        }
    }
}

/// Leaves out what cannot be read, with a note.
fn readable(files: Vec<PathBuf>, labels: Option<&[usize]>, classes: Vec<String>) -> Folder {
    let bytes: u64 = files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|meta| meta.len())
        .sum();
    let check = |file: &PathBuf| -> Result<(usize, usize), PictureError> {
        if bytes <= DECODE_LIMIT {
            decoded(file)
        } else {
            looked_at(file)
        }
    };
    let checked: Vec<Result<(usize, usize), PictureError>> = files.par_iter().map(check).collect();
    let mut folder = Folder {
        files: Vec::new(),
        sizes: Vec::new(),
        labels: labels.map(|_| Vec::new()),
        boxes: None,
        classes,
        notes: Vec::new(),
    };
    let mut unreadable = Vec::new();
    for (at, (file, checked)) in files.into_iter().zip(checked).enumerate() {
        match checked {
            Ok(size) => {
                folder.files.push(file);
                folder.sizes.push(size);
                if let (Some(kept), Some(labels)) = (&mut folder.labels, labels) {
                    kept.push(labels[at]);
                }
            }
            Err(reason) => unreadable.push(format!("{} ({reason})", file.display())),
        }
    }
    if !unreadable.is_empty() {
        let named = unreadable.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = if unreadable.len() > 3 { ", …" } else { "" };
        let note = format!("{} unreadable image(s) left out: {named}{more}", unreadable.len());
        log::warn!("{note}");
        folder.notes.push(note);
    }
    folder
}

/// The size of an image that is not decoded: its header must be understood and its end be there, which a file that was cut off
/// lacks.
fn looked_at(path: &Path) -> Result<(usize, usize), PictureError> {
    let mut file = files::open_ordinary(path)?;
    let length = file.metadata()?.len();
    let (width, height) = image::image_dimensions(path)?;
    picture::check_size((width, height), length.max(u64::from(width) * u64::from(height) * 3))?;
    let mut start = [0; 12];
    file.read_exact(&mut start)?;
    file.seek(SeekFrom::Start(length.saturating_sub(picture::ENDING)))?;
    let mut end = Vec::new();
    file.take(picture::ENDING).read_to_end(&mut end)?;
    // It may also be a photograph with a film behind it: the decoder decides.
    if picture::has_its_end(&start, &end, length) {
        Ok((width as usize, height as usize))
    } else {
        decoded(path)
    }
}

fn decoded(path: &Path) -> Result<(usize, usize), PictureError> {
    let content = files::read(path, picture::LARGEST)?;
    Picture::decode(&content).map(|picture| (picture.width, picture.height))
}

fn sorted_entries(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let wrong = |error: std::io::Error| fault(&path.display().to_string(), error.to_string());
    let mut entries = (std::fs::read_dir(path).map_err(wrong)?)
        .map(|entry| entry.map(|entry| entry.path()).map_err(wrong))
        .collect::<Result<Vec<_>, _>>()?;
    entries.retain(|entry| !entry.file_name().unwrap_or_default().to_string_lossy().starts_with('.'));
    entries.sort();
    Ok(entries)
}
