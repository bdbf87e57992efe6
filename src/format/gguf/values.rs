//! The metadata of a GGUF file: names and typed values. Every count is checked against what is left of the file before
//! memory is taken for it.

use super::error::GgufError;
use crate::printable::short;
use std::collections::HashMap;

/// A value of the metadata. Widths of numbers are not kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An integer of any width.
    Integer(i128),
    /// A float of 32 or 64 bits.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of integers, or of yes (1) and no (0).
    Integers(Vec<i64>),
    /// A list of floats.
    Floats(Vec<f64>),
}

impl Value {
    /// A size or number of things.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }
}

/// All that a file says of its network, by name.
#[derive(Debug, Default)]
pub struct Metadata(HashMap<String, Value>);

impl Metadata {
    /// The value called `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The text called `key`.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The size called `key`.
    pub fn count(&self, key: &str) -> Option<usize> {
        self.get(key)?.count()
    }

    /// The finite number called `key`.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.get(key)? {
            Value::Float(number) => Some(*number).filter(|number| number.is_finite()),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// The yes or no called `key`.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The list of texts called `key`.
    pub fn texts(&self, key: &str) -> Option<&[String]> {
        match self.get(key)? {
            Value::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// The list of integers called `key`.
    pub fn integers(&self, key: &str) -> Option<&[i64]> {
        match self.get(key)? {
            Value::Integers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The list of floats called `key`.
    pub fn floats(&self, key: &str) -> Option<&[f64]> {
        match self.get(key)? {
            Value::Floats(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The architecture, such as `llama`: the first part of the names of its own settings.
    pub fn architecture(&self) -> Option<&str> {
        self.text("general.architecture")
    }

    #[cfg(test)]
    pub(super) fn of(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    }
}

/// The types of values by their numbers in the file.
mod kind {
    pub(super) const U8: u32 = 0;
    pub(super) const I8: u32 = 1;
    pub(super) const U16: u32 = 2;
    pub(super) const I16: u32 = 3;
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const TEXT: u32 = 8;
    pub(super) const LIST: u32 = 9;
    pub(super) const U64: u32 = 10;
    pub(super) const I64: u32 = 11;
    pub(super) const F64: u32 = 12;
}

/// Reads `count` entries.
///
/// # Errors
/// What does not hold together, and at which byte.
pub(super) fn read_metadata(cursor: &mut Cursor<'_>, count: u64) -> Result<Metadata, GgufError> {
    let mut entries = HashMap::new();
    for _ in 0..count {
        let key = cursor.text("the name of a metadata entry")?;
        let shown = short(&key);
        let kind = cursor.u32(&format!("the type of '{shown}'"))?;
        let value = if kind == kind::LIST {
            cursor.list(&shown)?
        } else {
            cursor.value(kind, &shown)?
        };
        if entries.insert(key, value).is_some() {
            return Err(GgufError::EntryTwice(shown));
        }
    }
    Ok(Metadata(entries))
}

/// A place in the file.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Bytes to the end of the file.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `count` bytes, if there are so many.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// That the file ends before `what` does, which begins at byte `at`.
    fn cut_off(&self, what: &str, at: usize) -> GgufError {
        GgufError::CutOff {
            what: short(what),
            at,
            end: self.bytes.len(),
        }
    }

    fn number<const SIZE: usize>(&mut self, what: &str) -> Result<[u8; SIZE], GgufError> {
        let at = self.at;
        let taken = self.take(SIZE).ok_or_else(|| self.cut_off(what, at))?;
        let mut bytes = [0; SIZE];
        bytes.copy_from_slice(taken);
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.number(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.number(what).map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, GgufError> {
        let at = self.at;
        let length = self.u64(what)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.take(length).ok_or_else(|| self.cut_off(what, at))?;
        // Some converters have written tokens that are not UTF-8; a name that was repaired is no name of a tensor or setting.
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn value(&mut self, kind: u32, name: &str) -> Result<Value, GgufError> {
        Ok(match kind {
            kind::TEXT => Value::Text(self.text(name)?),
            kind::BOOL => Value::Bool(self.number::<1>(name)? != [0]),
            kind::F32 | kind::F64 => Value::Float(self.float(kind, name)?),
            _ => Value::Integer(self.integer(kind, name)?),
        })
    }

    fn float(&mut self, kind: u32, name: &str) -> Result<f64, GgufError> {
        match kind {
            kind::F32 => self.number(name).map(|bytes| f64::from(f32::from_le_bytes(bytes))),
            _ => self.number(name).map(f64::from_le_bytes),
        }
    }

    fn integer(&mut self, kind: u32, name: &str) -> Result<i128, GgufError> {
        Ok(match kind {
            kind::U8 | kind::BOOL => self.number::<1>(name)?[0].into(),
            kind::I8 => i8::from_le_bytes(self.number(name)?).into(),
            kind::U16 => u16::from_le_bytes(self.number(name)?).into(),
            kind::I16 => i16::from_le_bytes(self.number(name)?).into(),
            kind::U32 => u32::from_le_bytes(self.number(name)?).into(),
            kind::I32 => i32::from_le_bytes(self.number(name)?).into(),
            kind::U64 => u64::from_le_bytes(self.number(name)?).into(),
            kind::I64 => i64::from_le_bytes(self.number(name)?).into(),
            kind => return Err(unknown_type(name, kind)),
        })
    }

    fn list(&mut self, name: &str) -> Result<Value, GgufError> {
        let kind = self.u32(name)?;
        let length = self.u64(name)?;
        let width = match kind {
            kind::U8 | kind::I8 | kind::BOOL => 1,
            kind::U16 | kind::I16 => 2,
            kind::U32 | kind::I32 | kind::F32 => 4,
            kind::U64 | kind::I64 | kind::F64 | kind::TEXT => 8,
            kind::LIST => return Err(GgufError::ListOfLists(name.to_owned())),
            kind => return Err(unknown_type(name, kind)),
        };
        let count = usize::try_from(length)
            .ok()
            .filter(|count| *count <= self.left() / width);
        let count = count.ok_or_else(|| GgufError::ListLength {
            name: name.to_owned(),
            length,
            left: self.left(),
        })?;
        Ok(match kind {
            kind::TEXT => Value::Texts((0..count).map(|_| self.text(name)).collect::<Result<_, _>>()?),
            kind::F32 | kind::F64 => {
                Value::Floats((0..count).map(|_| self.float(kind, name)).collect::<Result<_, _>>()?)
            }
            _ => {
                let integers = (0..count).map(|_| {
                    let number = self.integer(kind, name)?;
                    i64::try_from(number).map_err(|_| GgufError::LargeNumber {
                        name: name.to_owned(),
                        number,
                    })
                });
                Value::Integers(integers.collect::<Result<_, GgufError>>()?)
            }
        })
    }
}

fn unknown_type(name: &str, kind: u32) -> GgufError {
    let name = name.to_owned();
    GgufError::EntryType { name, kind }
}
