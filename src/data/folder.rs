//! Folders of images: class sub-folders (named by number, WordNet id or name), or one flat folder with or without labels.

use super::classes::{self, Classes};
use super::labels::{self, Labels};
use super::picture::{self, Picture};
use super::{DatasetError, fault};
use crate::files;
use rayon::prelude::*;
use std::fs::File;
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

/// Bytes at the end of an image in which its end mark is looked for: cameras write a little behind it.
const ENDING: u64 = 4096;

/// The images of a folder.
pub(super) struct Folder {
    /// The readable images in order.
    pub(super) files: Vec<PathBuf>,
    /// Width and height of each.
    pub(super) sizes: Vec<(usize, usize)>,
    /// Their labels, if labelled.
    pub(super) labels: Option<Vec<usize>>,
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

/// Lists a folder; `labels_file` is where its labels are, if not in sub-folders or a `labels.csv`; `known` are the network's
/// classes, if they are known.
pub(super) fn read(path: &Path, labels_file: Option<&Path>, known: &Classes) -> Result<Folder, DatasetError> {
    let name = path.display().to_string();
    let entries = sorted_entries(path)?;
    let folders: Vec<&PathBuf> = entries.iter().filter(|entry| entry.is_dir()).collect();
    let flat: Vec<PathBuf> = entries
        .iter()
        .filter(|entry| entry.is_file() && is_image(entry))
        .cloned()
        .collect();
    let mut notes = Vec::new();
    let (files, labels, classes) = if flat.is_empty() && !folders.is_empty() {
        if let Some(labels) = labels_file {
            return Err(fault(
                &labels.display().to_string(),
                format!("{name} has class sub-folders: a labels file cannot be given as well"),
            ));
        }
        classes_of(&folders, known, &mut notes)?
    } else {
        let beside = LABEL_FILES
            .iter()
            .map(|file| path.join(file))
            .find(|file| file.is_file());
        let labels = match labels_file.map(Path::to_path_buf).or(beside) {
            Some(file) => Some((labels::read(&file)?, file)),
            None => None,
        };
        labelled(flat, labels, known)?
    };
    if files.is_empty() {
        return Err(fault(
            &name,
            "there is no image in this folder (png, jpg, webp), nor class sub-folders".to_owned(),
        ));
    }
    let mut folder = readable(files, labels.as_deref(), classes);
    folder.notes.splice(0..0, notes);
    Ok(folder)
}

type Listed = (Vec<PathBuf>, Option<Vec<usize>>, Vec<String>);

/// One class a sub-folder. Folders named by numbers are those classes; folders that are all called as known classes are
/// these; else they are classes in the order of their names, which is the order of ImageNet's 1000 WordNet ids, too.
fn classes_of(folders: &[&PathBuf], known: &Classes, notes: &mut Vec<String>) -> Result<Listed, DatasetError> {
    let names: Vec<String> = folders
        .iter()
        .map(|folder| folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
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
            }
            (None, names)
        }
    };
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for (at, folder) in folders.iter().enumerate() {
        let class = numbers.as_ref().map_or(at, |numbers| numbers[at]);
        for file in sorted_entries(folder)?
            .into_iter()
            .filter(|file| file.is_file() && is_image(file))
        {
            files.push(file);
            labels.push(class);
        }
    }
    Ok((files, Some(labels), class_names))
}

fn labelled(files: Vec<PathBuf>, labels: Option<(Labels, PathBuf)>, known: &Classes) -> Result<Listed, DatasetError> {
    match labels {
        None => Ok((files, None, Vec::new())),
        Some((Labels::Named(named, classes), path)) => {
            // Labels that are names stand for the network's own classes, where all of them are known.
            let own: Option<Vec<usize>> = classes.iter().map(|class| known.index_of(class)).collect();
            let own = own.filter(|own| !own.is_empty());
            let labels = files
                .iter()
                .map(|file| {
                    let name = file.file_name().unwrap_or_default().to_string_lossy();
                    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                    (named.get(&*name).or_else(|| named.get(&*stem)))
                        .map(|class| own.as_ref().map_or(*class, |own| own[*class]))
                        .ok_or_else(|| fault(&path.display().to_string(), format!("there is no label for '{name}'")))
                })
                .collect::<Result<_, _>>()?;
            Ok((files, Some(labels), if own.is_some() { Vec::new() } else { classes }))
        }
        Some((ordered, path)) => {
            let labels = labels::ordered(ordered, files.len(), &path)?;
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
    let check = |file: &PathBuf| -> Result<(usize, usize), String> {
        if bytes <= DECODE_LIMIT {
            decoded(file)
        } else {
            looked_at(file)
        }
    };
    let checked: Vec<Result<(usize, usize), String>> = files.par_iter().map(check).collect();
    let mut folder = Folder {
        files: Vec::new(),
        sizes: Vec::new(),
        labels: labels.map(|_| Vec::new()),
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
fn looked_at(path: &Path) -> Result<(usize, usize), String> {
    let wrong = |error: std::io::Error| error.to_string();
    let mut file = File::open(path).map_err(wrong)?;
    let length = file.metadata().map_err(wrong)?.len();
    let (width, height) = image::image_dimensions(path).map_err(|error| error.to_string())?;
    picture::check_size((width, height), length.max(u64::from(width) * u64::from(height) * 3))?;
    let mut start = [0; 12];
    file.read_exact(&mut start).map_err(wrong)?;
    file.seek(SeekFrom::Start(length.saturating_sub(ENDING)))
        .map_err(wrong)?;
    let mut end = Vec::new();
    file.take(ENDING).read_to_end(&mut end).map_err(wrong)?;
    let ends_with = |mark: &[u8]| end.windows(mark.len()).any(|bytes| bytes == mark);
    let whole = match start {
        [0xff, 0xd8, ..] => ends_with(&[0xff, 0xd9]),
        [0x89, b'P', ..] => ends_with(b"IEND"),
        [b'R', b'I', b'F', b'F', size @ .., b'W', b'E', b'B', b'P'] => {
            length >= 8 + u64::from(u32::from_le_bytes(size))
        }
        _ => true,
    };
    // It may also be a photograph with a film behind it: the decoder decides.
    if whole {
        Ok((width as usize, height as usize))
    } else {
        decoded(path)
    }
}

fn decoded(path: &Path) -> Result<(usize, usize), String> {
    let content = files::read(path, picture::LARGEST).map_err(|error| error.to_string())?;
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
