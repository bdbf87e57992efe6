//! Labels of detection: boxes around the objects of pictures, as COCO keeps them (`instances_val2017.json`;
//! <https://cocodataset.org/#format-data>).

use super::{DatasetError, fault};
use crate::files;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

/// What such a file is called beside pictures, where it is not chosen: Roboflow's name, FiftyOne's and usual ones.
const NAMES: [&str; 3] = ["_annotations.coco.json", "labels.json", "annotations.json"];

/// The boxes of all pictures, in the order of the samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Boxes {
    pictures: Vec<PictureBoxes>,
    categories: Vec<Category>,
}

/// A kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Category {
    /// Its number in the file; numbers may be missing between.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// The boxes of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureBoxes {
    /// Width and height of the picture as it is stored, pixels.
    pub size: [usize; 2],
    /// In the order of the file.
    pub boxes: Vec<TrueBox>,
}

/// A box that a person drew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrueBox {
    /// Place among [`Boxes::categories`].
    pub category: usize,
    /// Left, top, width and height, pixels of the picture as it is stored.
    pub edges: [f64; 4],
    /// Pixels of the object, which may fill less than its box.
    pub area: f64,
    /// Many objects in one box: what is found in it is neither right nor wrong.
    pub crowd: bool,
}

impl Boxes {
    /// The kinds of objects, ascending by number.
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// Width and height of the first picture where not all have the same, so that they must be stretched to one.
    pub(super) fn stretched_to(&self) -> Option<[usize; 2]> {
        let first = self.pictures.first()?.size;
        self.pictures
            .iter()
            .any(|picture| picture.size != first)
            .then_some(first)
    }

    /// The boxes of a sample.
    pub fn picture(&self, sample: usize) -> Option<&PictureBoxes> {
        self.pictures.get(sample)
    }
}

/// What the file says.
#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: i64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    area: Option<f64>,
    iscrowd: Option<i64>,
}

/// Whether a file is of this kind.
#[derive(Deserialize)]
struct Looks {
    #[expect(dead_code, reason = "that it is there is what is asked")]
    images: serde::de::IgnoredAny,
    #[expect(dead_code, reason = "that it is there is what is asked")]
    annotations: serde::de::IgnoredAny,
    #[expect(dead_code, reason = "that it is there is what is asked")]
    categories: serde::de::IgnoredAny,
}

/// A file of boxes that was read, before it is known which of its pictures can be.
pub(super) struct Annotations {
    path: PathBuf,
    file: File,
}

/// Pictures in the order of their numbers, and for each its place among the images of the file.
pub(super) type Listed = (Vec<PathBuf>, Vec<usize>);

impl Annotations {
    /// The file of boxes of a folder: the one that was chosen, if it is of this kind, else one beside the pictures.
    ///
    /// # Errors
    /// A chosen file that cannot be read, or that is of this kind and does not hold together.
    pub(super) fn of_folder(folder: &Path, chosen: Option<&Path>) -> Result<Option<Self>, DatasetError> {
        let path = match chosen {
            Some(path) => path.to_path_buf(),
            None => {
                let known = NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
                let Some(path) = known.or_else(|| instances(folder)) else {
                    return Ok(None);
                };
                path
            }
        };
        let name = path.display().to_string();
        let bytes = files::read(&path, files::LARGEST_DATA).map_err(|error| fault(&name, error.to_string()))?;
        let bytes = files::without_mark(&bytes);
        if serde_json::from_slice::<Looks>(bytes).is_err() {
            return Ok(None);
        }
        let mut file: File = serde_json::from_slice(bytes)
            .map_err(|error| fault(&name, format!("no boxes as COCO keeps them: {error}")))?;
        file.images.sort_by_key(|image| image.id);
        file.categories.sort_by_key(|category| category.id);
        Ok(Some(Self { path, file }))
    }

    fn fault(&self, reason: String) -> DatasetError {
        fault(&self.path.display().to_string(), reason)
    }

    /// The pictures of the file that are in `folder`; the others are counted in a note.
    ///
    /// # Errors
    /// That none is there.
    pub(super) fn pictures(&self, folder: &Path, notes: &mut Vec<String>) -> Result<Listed, DatasetError> {
        let (mut files, mut places, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for (place, image) in self.file.images.iter().enumerate() {
            match in_folder(folder, &image.file_name) {
                Some(file) => {
                    files.push(file);
                    places.push(place);
                }
                None => missing.push(image.file_name.as_str()),
            }
        }
        let Some(first) = missing.first() else {
            return Ok((files, places));
        };
        if files.is_empty() {
            return Err(self.fault(format!(
                "none of its pictures is in {}, such as '{first}'",
                folder.display()
            )));
        }
        notes.push(format!(
            "{} picture(s) with boxes are not in the folder, such as '{first}'",
            missing.len()
        ));
        Ok((files, places))
    }

    /// The boxes of pictures at these places among the images of the file, which have these widths and heights.
    ///
    /// # Errors
    /// A box that is none, or of no category; names the annotation.
    pub(super) fn boxes(&self, places: &[usize], sizes: &[(usize, usize)]) -> Result<Boxes, DatasetError> {
        let categories: HashMap<i64, usize> = (self.file.categories.iter().enumerate())
            .map(|(place, category)| (category.id, place))
            .collect();
        let mut of_image: BTreeMap<i64, Vec<TrueBox>> = BTreeMap::new();
        for (number, annotation) in self.file.annotations.iter().enumerate() {
            let [.., width, height] = annotation.bbox;
            let wrong = |what: &str| self.fault(format!("annotation {} {what}", number + 1));
            if !annotation.bbox.iter().all(|edge| edge.is_finite()) || width < 0.0 || height < 0.0 {
                return Err(wrong(
                    "has a box that is none: left, top, width and height are asked for",
                ));
            }
            let category = categories.get(&annotation.category_id);
            let id = annotation.category_id;
            let category = *category.ok_or_else(|| wrong(&format!("is of category {id}, which is not listed")))?;
            of_image.entry(annotation.image_id).or_default().push(TrueBox {
                category,
                edges: annotation.bbox,
                area: annotation.area.unwrap_or(width * height),
                crowd: annotation.iscrowd.unwrap_or(0) != 0,
            });
        }
        let picture = |(place, (width, height)): (&usize, &(usize, usize))| PictureBoxes {
            size: [*width, *height],
            boxes: (self.file.images.get(*place))
                .and_then(|image| of_image.get(&image.id).cloned())
                .unwrap_or_default(),
        };
        Ok(Boxes {
            pictures: places.iter().zip(sizes).map(picture).collect(),
            categories: self.file.categories.clone(),
        })
    }
}

/// COCO's own name, of which there must be one only.
fn instances(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("instances") && name.ends_with(".json")
    };
    let mut found = entries.flatten().map(|entry| entry.path()).filter(is_one);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The file of that name in a folder, also without the folders in the name; names that lead out of it are none.
fn in_folder(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    let whole = inside.then(|| folder.join(name)).filter(|path| path.is_file());
    whole.or_else(|| Some(folder.join(name.file_name()?)).filter(|path| path.is_file()))
}
