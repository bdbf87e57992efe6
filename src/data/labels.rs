//! Labels beside the data: IDX, `.npy`, or text (`name,label` lines, or one label a line in the order of the samples).

use super::folder::is_image;
use super::{DatasetError, arrays, fault, idx};
use crate::files;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// A file of labels.
pub(super) enum Labels {
    /// In the order of the samples.
    Ordered(Vec<usize>),
    /// By file name; and the names of the classes if the labels are names.
    Named(HashMap<String, usize>, Vec<String>),
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Labels, DatasetError> {
    let name = path.display().to_string();
    let bytes = files::read(path, files::LARGEST_DATA).map_err(|error| fault(&name, error.to_string()))?;
    if idx::is_idx(&bytes) || idx::is_gzip(&bytes) {
        let idx = idx::read(&bytes[..], &name)?;
        if idx.shape.len() != 1 {
            return Err(fault(
                &name,
                format!("labels have one axis, this file has {:?}", idx.shape),
            ));
        }
        return Ok(Labels::Ordered(idx.data.into_iter().map(usize::from).collect()));
    }
    if arrays::is_npy(&bytes) {
        return Ok(Labels::Ordered(arrays::parse_npy(&bytes, &name)?.into_labels(&name)?));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        fault(
            &name,
            "labels are IDX, .npy or text; this file is none of them".to_owned(),
        )
    })?;
    read_text(&text, &name)
}

fn read_text(text: &str, name: &str) -> Result<Labels, DatasetError> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows: Vec<(Option<&str>, &str)> = lines
        .map(|line| match line.rsplit_once([',', ';', '\t', ' ']) {
            Some((file, label)) => (Some(file.trim().trim_matches('"')), label.trim().trim_matches('"')),
            None => (None, line),
        })
        .collect();
    if rows.iter().all(|(file, _)| file.is_none()) {
        return rows
            .iter()
            .enumerate()
            .map(|(row, (_, label))| {
                label
                    .parse()
                    .map_err(|_| fault(name, format!("label {row} is '{label}', not a class number")))
            })
            .collect::<Result<_, _>>()
            .map(Labels::Ordered);
    }
    // A first line that is no number above lines that are is a heading, and so is one that names no file above lines that do.
    let numeric = rows.len() > 1 && rows[1..].iter().all(|(_, label)| label.parse::<usize>().is_ok());
    let is_file = |(file, _): &(Option<&str>, &str)| file.is_some_and(|file| is_image(Path::new(file)));
    let heading = (numeric && rows[0].1.parse::<usize>().is_err())
        || (rows.len() > 1 && !is_file(&rows[0]) && rows[1..].iter().all(is_file));
    let rows = if heading { &rows[1..] } else { &rows[..] };
    let classes: Vec<&str> = if numeric {
        Vec::new()
    } else {
        rows.iter()
            .map(|(_, label)| *label)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    let mut named = HashMap::new();
    for (file, label) in rows {
        let Some(file) = file else {
            return Err(fault(name, format!("'{label}' is not a line of the form name,label")));
        };
        let class = label
            .parse()
            .ok()
            .filter(|_| numeric)
            .or_else(|| classes.iter().position(|class| class == label));
        named.insert((*file).to_owned(), class.unwrap_or_default());
    }
    Ok(Labels::Named(named, classes.into_iter().map(str::to_owned).collect()))
}

/// The labels of `samples` samples in order.
pub(super) fn ordered(labels: Labels, samples: usize, path: &Path) -> Result<Vec<usize>, DatasetError> {
    let name = path.display().to_string();
    match labels {
        Labels::Ordered(labels) if labels.len() == samples => Ok(labels),
        Labels::Ordered(labels) => Err(fault(
            &name,
            format!("{} labels for {samples} samples: each sample needs one", labels.len()),
        )),
        Labels::Named(..) => Err(fault(
            &name,
            "name,label lines need a folder of images; give one label a line".to_owned(),
        )),
    }
}
