//! Names of classes in the order of a network's outputs: embedded lists, and files.

use super::{DatasetError, fault};
use crate::format::demo;
use crate::network::PreprocessHint;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::Path;

/// Classes of CIFAR-10, in label order (<https://www.cs.toronto.edu/~kriz/cifar.html>).
pub(super) const CIFAR_10: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// The fine classes of CIFAR-100, in label order: alphabetical (<https://www.cs.toronto.edu/~kriz/cifar.html>).
#[rustfmt::skip]
pub(super) const CIFAR_100: [&str; 100] = [
    "apple", "aquarium fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple tree", "motorcycle", "mountain", "mouse", "mushroom", "oak tree", "orange", "orchid",
    "otter", "palm tree", "pear", "pickup truck", "pine tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow tree", "wolf",
    "woman", "worm",
];

/// Embedded lists, as `--classes` names them.
pub const CLASS_LISTS: [&str; 4] = ["imagenet", "cifar10", "cifar100", "fashion"];

/// Names of classes, and the WordNet ids of those that have one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    ids: HashMap<String, usize>,
}

impl Classes {
    /// The classes that were asked for: an embedded list or a file; else those that the network's files name; else none.
    pub(super) fn wanted(source: Option<&str>, hint: Option<&PreprocessHint>) -> Result<Self, DatasetError> {
        let names = |names: Vec<String>| Self {
            names,
            ids: HashMap::new(),
        };
        let list = |list: &[&str]| names(list.iter().map(|&name| name.to_owned()).collect());
        match source {
            None => Ok(names(hint.map(|hint| hint.classes.clone()).unwrap_or_default())),
            Some("imagenet") => Ok(names(imagenet())),
            Some("cifar10") => Ok(list(&CIFAR_10)),
            Some("cifar100") => Ok(list(&CIFAR_100)),
            Some("fashion") => Ok(names(serde_json::from_slice(demo::classes_json()).unwrap_or_default())),
            Some(path) => read(Path::new(path)),
        }
    }

    /// The class that a folder or label called `name` stands for: by WordNet id, else by name, whatever its case and
    /// whatever stands between its words.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        if let Some(index) = self.ids.get(name) {
            return Some(*index);
        }
        let wanted = plain(name);
        // Names after the first comma are other words for the same: "tench, Tinca tinca".
        let is = |class: &String| plain(class) == wanted || class.split(',').any(|word| plain(word) == wanted);
        self.names.iter().position(is)
    }
}

/// The 1000 classes of ImageNet's challenge.
pub(super) fn imagenet() -> Vec<String> {
    let list = include_str!("../../assets/imagenet_classes.txt");
    list.lines().map(str::to_owned).collect()
}

/// Whether `name` is a WordNet id, as ImageNet's folders are named: `n01440764`.
pub(super) fn is_wordnet_id(name: &str) -> bool {
    let digits = name.strip_prefix('n').filter(|digits| digits.len() == 8);
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Letters and digits only, in lower case.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Reads a file: a JSON list of names, JSON `{"0": "tench"}` or `{"0": ["n01440764", "tench"]}`, or a name a line, with its
/// WordNet id before it or without.
fn read(path: &Path) -> Result<Classes, DatasetError> {
    let file = path.display().to_string();
    let text = crate::files::read_text(path).map_err(|error| fault(&file, error.to_string()))?;
    let classes = if text.trim_start().starts_with(['[', '{']) {
        let json: Json = serde_json::from_str(&text).map_err(|error| fault(&file, format!("no JSON: {error}")))?;
        of_json(&json).ok_or_else(|| {
            let wanted = "expected [\"name\", …], {\"0\": \"name\", …} or {\"0\": [\"n01440764\", \"name\"], …}";
            fault(&file, format!("no names of classes: {wanted}"))
        })?
    } else {
        of_entries(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
            let id = line.split_once([' ', '\t', ',']).filter(|(id, _)| is_wordnet_id(id));
            match id {
                Some((id, name)) => (Some(id.to_owned()), name.trim().to_owned()),
                None if is_wordnet_id(line) => (Some(line.to_owned()), line.to_owned()),
                None => (None, line.to_owned()),
            }
        }))
    };
    if classes.names.is_empty() {
        return Err(fault(&file, "there are no names of classes in it".to_owned()));
    }
    Ok(classes)
}

fn of_json(json: &Json) -> Option<Classes> {
    let entry = |value: &Json| match value {
        Json::String(name) => Some((None, name.clone())),
        Json::Array(pair) => Some((
            Some(pair.first()?.as_str()?.to_owned()),
            pair.get(1)?.as_str()?.to_owned(),
        )),
        _ => None,
    };
    let entries: Vec<_> = match json {
        Json::Array(list) => list.iter().map(entry).collect::<Option<_>>()?,
        Json::Object(map) => {
            // By number, each once from 0 on.
            let place = |number: usize| map.get(&number.to_string()).and_then(entry);
            (0..map.len()).map(place).collect::<Option<_>>()?
        }
        _ => return None,
    };
    Some(of_entries(entries.into_iter()))
}

fn of_entries(entries: impl Iterator<Item = (Option<String>, String)>) -> Classes {
    let mut classes = Classes::default();
    for (index, (id, name)) in entries.enumerate() {
        classes.names.push(name);
        if let Some(id) = id {
            classes.ids.insert(id, index);
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(name: &str, text: &str) -> Result<Classes, DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Classes::wanted(path.to_str(), None)
    }

    #[test]
    fn embedded_lists_are_as_long_as_their_data_sets_have_classes() {
        for (list, count, last) in [
            ("imagenet", 1000, "toilet tissue"),
            ("cifar10", 10, "truck"),
            ("cifar100", 100, "worm"),
            ("fashion", 10, "Ankle boot"),
        ] {
            let names = Classes::wanted(Some(list), None).unwrap().names;
            assert_eq!((names.len(), names[count - 1].as_str()), (count, last));
        }
        assert!(CIFAR_100.is_sorted());
    }

    #[test]
    fn files_of_names_are_read_in_the_forms_that_are_about() {
        for text in [
            "n01440764 tench, Tinca tinca\nn01443537 goldfish\n",
            r#"{"1": ["n01443537", "goldfish"], "0": ["n01440764", "tench, Tinca tinca"]}"#,
        ] {
            let classes = of_file("classes", text).unwrap();
            assert_eq!(classes.names, ["tench, Tinca tinca", "goldfish"]);
            let index = |name| classes.index_of(name);
            assert_eq!(
                (index("n01443537"), index("Gold_fish"), index("Tinca tinca")),
                (Some(1), Some(1), Some(0))
            );
            assert_eq!(index("shark"), None);
        }
        for text in [r#"["cat", "dog"]"#, r#"{"0": "cat", "1": "dog"}"#, "cat\ndog\n"] {
            assert_eq!(of_file("classes.json", text).unwrap().names, ["cat", "dog"]);
        }
        assert!(
            of_file("c", r#"{"1": "dog"}"#)
                .unwrap_err()
                .to_string()
                .contains("no names of classes")
        );
        assert!(of_file("c", "").unwrap_err().to_string().contains("no names"));
    }

    #[test]
    fn without_a_choice_the_networks_own_names_hold() {
        let hint = PreprocessHint {
            classes: vec!["a".to_owned()],
            ..PreprocessHint::default()
        };
        assert_eq!(Classes::wanted(None, Some(&hint)).unwrap().names, ["a"]);
        assert_eq!(Classes::wanted(Some("cifar10"), Some(&hint)).unwrap().names.len(), 10);
    }
}
