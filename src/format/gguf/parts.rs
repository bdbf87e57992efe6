//! Files in parts, as `llama-gguf-split` makes them: `NAME-00001-of-00003.gguf` with all metadata, and the others with tensors.

use super::error::GgufError;
use super::{Gguf, read};
use crate::files;
use crate::format::{FormatError, shards};
use crate::printable::short;
use bytes::Bytes;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Parts that a file may have: llama.cpp counts them in 16 bits.
const MAX_PARTS: usize = u16::MAX as usize;
const PARTS: shards::Words = shards::Words {
    one: "part",
    several: "parts",
    of: "this one",
};
/// Digits of each number in a name.
const DIGITS: usize = 5;

/// What the name of a part says.
struct PartName<'a> {
    /// The name up to the numbers.
    stem: &'a str,
    /// From 1.
    number: usize,
    count: usize,
}

impl<'a> PartName<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let (rest, count) = path.file_name()?.to_str()?.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let parsed = |digits: &str| {
            let whole = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<usize>().ok().filter(|_| whole)
        };
        Some(Self {
            stem,
            number: parsed(number)?,
            count: parsed(count)?,
        })
    }

    fn part(&self, number: usize) -> String {
        format!("{}-{number:0DIGITS$}-of-{:0DIGITS$}.gguf", self.stem, self.count)
    }
}

/// Whether the name of the file at `path` is that of a part behind the first.
pub fn is_further_part(path: &Path) -> bool {
    PartName::of(path).is_some_and(|name| name.number > 1)
}

/// The first part beside the further one at `path`, if it is there: it has the metadata and the tokenizer of all.
pub fn first_part(path: &Path) -> Option<PathBuf> {
    let name = PartName::of(path).filter(|name| name.number > 1)?;
    Some(path.with_file_name(name.part(1))).filter(|first| first.is_file())
}

/// Reads the file at `path`, which holds `bytes`; of one in parts, all of them, which lie beside it.
///
/// # Errors
/// As [`read`], and [`FormatError::File`] naming a part that is not there or holds other tensors than the first says.
pub fn read_whole(bytes: &Bytes, path: &Path) -> Result<Gguf, FormatError> {
    let file = path.display().to_string();
    let first = read(bytes, &file)?;
    let count = first.metadata.count("split.count").unwrap_or(1);
    if count <= 1 {
        return Ok(first);
    }
    let fault = |error: GgufError| FormatError::of(&file, error);
    let number = first.metadata.count("split.no").unwrap_or(0).saturating_add(1);
    let name = PartName::of(path).filter(|name| name.number == number && name.count == count && count <= MAX_PARTS);
    let name = name.ok_or_else(|| fault(GgufError::PartName { number, count }))?;
    let names: Vec<String> = (1..=count).map(|part| name.part(part)).collect();
    let found = shards::find(path, &names.iter().map(String::as_str).collect(), &PARTS)?;
    let mut whole = Gguf {
        metadata: Default::default(),
        tensors: Vec::new(),
    };
    for (at, (name, part)) in found.iter().enumerate() {
        let file = path.with_file_name(name).display().to_string();
        let bytes = files::contents(part).map_err(|error| FormatError::of(&file, error.to_string()))?;
        let part = read(&bytes, &file)?;
        if at == 0 {
            whole.metadata = part.metadata;
        }
        whole.tensors.extend(part.tensors);
    }
    let mut names = HashSet::new();
    if let Some(tensor) = whole.tensors.iter().find(|tensor| !names.insert(tensor.name())) {
        return Err(fault(GgufError::TensorTwice(short(tensor.name()))));
    }
    let (told, found) = (whole.metadata.count("split.tensors.count"), whole.tensors.len());
    match told {
        Some(told) if told != found => Err(fault(GgufError::PartTensors { told, found })),
        _ => Ok(whole),
    }
}

#[cfg(test)]
mod tests {
    use crate::format::open;

    /// Bytes of a part with one tensor of 2 x 2 and the metadata that tell parts.
    fn part(number: u16, count: u16, tensors: i32, tensor: &str) -> Vec<u8> {
        let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(3_u64.to_le_bytes());
        for (key, value) in [("split.no", number), ("split.count", count)] {
            bytes.extend(text(key));
            bytes.extend(2_u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(text("split.tensors.count"));
        bytes.extend(5_u32.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(text(tensor));
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend([2_u64, 2].iter().flat_map(|size| size.to_le_bytes()));
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend([f32::from(number) + 1.0; 4].iter().flat_map(|x| x.to_le_bytes()));
        bytes
    }

    #[test]
    fn any_part_opens_the_whole_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("m-00001-of-00002.gguf"), part(0, 2, 2, "a.weight")).unwrap();
        let alone = open(&at("m-00001-of-00002.gguf")).err().unwrap().to_string();
        assert!(
            alone.contains("1 of 2 parts are not there: m-00002-of-00002.gguf"),
            "{alone}"
        );
        std::fs::write(at("m-00002-of-00002.gguf"), part(1, 2, 2, "b.weight")).unwrap();
        for path in [
            at("m-00001-of-00002.gguf"),
            at("m-00002-of-00002.gguf"),
            folder.path().to_owned(),
        ] {
            let network = open(&path).unwrap();
            let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
            assert_eq!(names, ["a.weight", "b.weight"]);
            assert_eq!(network.weights(1).unwrap()[..], [2.0; 4]);
            assert!(network.path.as_ref().unwrap().ends_with("m-00001-of-00002.gguf"));
        }
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("renamed.gguf"), part(1, 3, 3, "a")).unwrap();
        let error = open(&at("renamed.gguf")).err().unwrap().to_string();
        assert!(
            error.contains("part 2 of 3") && error.contains("-00002-of-00003.gguf"),
            "{error}"
        );
        std::fs::write(at("m-00001-of-00002.gguf"), part(0, 2, 3, "a")).unwrap();
        std::fs::write(at("m-00002-of-00002.gguf"), part(1, 2, 3, "b")).unwrap();
        let error = open(&at("m-00001-of-00002.gguf")).err().unwrap().to_string();
        assert!(error.contains("3 tensors") && error.contains("2 are there"), "{error}");
        std::fs::write(at("m-00002-of-00002.gguf"), part(1, 2, 2, "a")).unwrap();
        let error = open(&at("m-00001-of-00002.gguf")).err().unwrap().to_string();
        assert!(error.contains("two tensors are called 'a'"), "{error}");
    }
}
