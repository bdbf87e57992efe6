//! Arrays of NumPy: `.npy` and `.npz`. Every size in a header is checked against the bytes that are there.

use super::{DatasetError, Tensor, element_count, fault};
use crate::files::LARGEST_DATA;
use std::io::{Cursor, Read};
use std::ops::Range;

/// An array as the file holds it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    /// Sizes.
    pub(super) shape: Vec<usize>,
    /// Row-major elements.
    pub(super) elements: Elements,
}

/// Elements by kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Elements {
    /// float16, float32, float64.
    Float(Vec<f32>),
    /// bool and integers but uint8.
    Integer(Vec<i64>),
    /// uint8: pixels perhaps.
    Byte(Vec<u8>),
}

/// Whether a file that begins with `start` is `.npy`.
pub(super) fn is_npy(start: &[u8]) -> bool {
    start.starts_with(b"\x93NUMPY")
}

/// Whether a file that begins with `start` is a zip archive, as `.npz` is.
pub(super) fn is_npz(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

/// The arrays of an `.npz` archive by name, in its order.
pub(super) fn parse_npz(bytes: &[u8], name: &str) -> Result<Vec<(String, Array)>, DatasetError> {
    let broken = |error: zip::result::ZipError| fault(name, format!("the archive cannot be read: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let declared = (0..archive.len()).try_fold(0_u64, |sum, at| {
        Ok(sum.saturating_add(archive.by_index_raw(at).map_err(broken)?.size()))
    })?;
    if declared > LARGEST_DATA {
        let most = LARGEST_DATA >> 30;
        return Err(fault(name, format!("the archive unpacks to more than {most} GiB")));
    }
    (0..archive.len())
        .map(|at| {
            let entry = archive.by_index(at).map_err(broken)?;
            let array = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
            // An entry must not grow past the size that the archive declares.
            let size = entry.size();
            // Not asked for at once: what is declared need not be there.
            let mut content = Vec::new();
            (entry.take(size).read_to_end(&mut content))
                .map_err(|error| fault(name, format!("the array '{array}' cannot be read: {error}")))?;
            let parsed = parse_npy(&content, &format!("{name}: {array}"))?;
            Ok((array, parsed))
        })
        .collect()
}

/// Reads an `.npy` file (format: numpy.lib.format, versions 1 to 3).
pub(super) fn parse_npy(bytes: &[u8], name: &str) -> Result<Array, DatasetError> {
    let short = || fault(name, "the .npy header is cut off".to_owned());
    let wrong = |what: &str| fault(name, format!("the .npy header {what}"));
    if !is_npy(bytes) {
        return Err(fault(name, "not an .npy array".to_owned()));
    }
    let (start, length) = match bytes.get(6).copied().ok_or_else(short)? {
        1 => (
            10,
            bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))),
        ),
        2 | 3 => (
            12,
            bytes
                .get(8..12)
                .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize),
        ),
        _ => return Err(wrong("has an unknown version")),
    };
    let end = length.and_then(|length| length.checked_add(start)).ok_or_else(short)?;
    let header = bytes.get(start..end).ok_or_else(short)?;
    let header = String::from_utf8_lossy(header);
    let field = |key: &str| {
        let after = header
            .split_once(&format!("'{key}':"))
            .map(|(_, after)| after.trim_start());
        after.ok_or_else(|| wrong(&format!("lacks '{key}'")))
    };
    let descr = field("descr")?
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''))
        .map(|(descr, _)| descr)
        .ok_or_else(|| fault(name, "structured arrays are not understood".to_owned()))?;
    if field("fortran_order")?.starts_with("True") {
        return Err(fault(
            name,
            "the array is in Fortran order: save numpy.ascontiguousarray(array)".to_owned(),
        ));
    }
    let shape = (field("shape")?.strip_prefix('('))
        .and_then(|rest| rest.split_once(')'))
        .and_then(|(sizes, _)| {
            let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
            sizes.map(|size| size.parse::<usize>().ok()).collect::<Option<Vec<_>>>()
        })
        .ok_or_else(|| wrong("has no shape"))?;
    let data = bytes.get(end..).ok_or_else(short)?;
    elements(descr, &shape, data, name).map(|elements| Array { shape, elements })
}

fn elements(descr: &str, shape: &[usize], data: &[u8], name: &str) -> Result<Elements, DatasetError> {
    let unknown = || {
        fault(
            name,
            format!("elements of type '{descr}' are not understood: save float32, float64, uint8 or int64"),
        )
    };
    let width = match descr {
        "|u1" | "|i1" | "|b1" => 1,
        "<f2" | "<i2" | "<u2" => 2,
        "<f4" | "<i4" | "<u4" => 4,
        "<f8" | "<i8" | "<u8" => 8,
        _ => return Err(unknown()),
    };
    let count = element_count(shape);
    if count.and_then(|count| count.checked_mul(width)) != Some(data.len()) {
        return Err(fault(
            name,
            format!(
                "the header declares {shape:?} elements of {width} bytes, the file holds {} bytes",
                data.len()
            ),
        ));
    }
    // Integers are kept as 64 bits, floats as 32.
    let kept = match descr.as_bytes() {
        b"|u1" => 1,
        [_, b'f', _] => 4,
        _ => 8,
    };
    if (data.len() / width) as u64 * kept > LARGEST_DATA {
        let most = LARGEST_DATA >> 30;
        return Err(fault(name, format!("its elements take more than {most} GiB of memory")));
    }
    /// Each group of bytes as one number.
    fn each<const N: usize, T>(data: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
        data.as_chunks::<N>().0.iter().map(|bytes| convert(*bytes)).collect()
    }
    let large = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Ok(match descr {
        "|u1" => Elements::Byte(data.to_vec()),
        "|i1" => Elements::Integer(each(data, |b| i64::from(i8::from_le_bytes(b)))),
        "|b1" => Elements::Integer(each(data, |b: [u8; 1]| i64::from(b[0] != 0))),
        "<i2" => Elements::Integer(each(data, |b| i64::from(i16::from_le_bytes(b)))),
        "<u2" => Elements::Integer(each(data, |b| i64::from(u16::from_le_bytes(b)))),
        "<i4" => Elements::Integer(each(data, |b| i64::from(i32::from_le_bytes(b)))),
        "<u4" => Elements::Integer(each(data, |b| i64::from(u32::from_le_bytes(b)))),
        "<i8" => Elements::Integer(each(data, i64::from_le_bytes)),
        "<u8" => Elements::Integer(each(data, |b| large(u64::from_le_bytes(b)))),
        "<f2" => Elements::Float(each(data, |b| half::f16::from_le_bytes(b).to_f32())),
        "<f4" => Elements::Float(each(data, f32::from_le_bytes)),
        "<f8" => Elements::Float(each(data, |b| f64::from_le_bytes(b) as f32)),
        _ => return Err(unknown()),
    })
}

impl Array {
    /// As labels: whole numbers on one axis (or `[n, 1]`).
    pub(super) fn into_labels(self, name: &str) -> Result<Vec<usize>, DatasetError> {
        if self.shape.iter().skip(1).any(|size| *size != 1) {
            return Err(fault(
                name,
                format!("labels have one axis, these have the shape {:?}", self.shape),
            ));
        }
        let wrong = |value: &dyn std::fmt::Display| fault(name, format!("{value} is no class number"));
        match self.elements {
            Elements::Byte(values) => Ok(values.into_iter().map(usize::from).collect()),
            Elements::Integer(values) => values
                .iter()
                .map(|v| usize::try_from(*v).map_err(|_| wrong(v)))
                .collect(),
            Elements::Float(values) => values
                .iter()
                .map(|v| {
                    if v.fract() == 0.0 && *v >= 0.0 && *v < 1e9 {
                        Ok(*v as usize)
                    } else {
                        Err(wrong(v))
                    }
                })
                .collect(),
        }
    }
}

/// An array for one input of the network.
#[derive(Debug, Clone)]
pub(super) struct InputArray {
    /// The input.
    pub(super) name: String,
    shape: Vec<usize>,
    numbers: Numbers,
    /// The axis of the samples; `None` when every sample gets the whole array.
    pub(super) sample_axis: Option<usize>,
}

#[derive(Debug, Clone)]
enum Numbers {
    Float(Vec<f32>),
    Integer(Vec<i32>),
}

impl InputArray {
    /// `array` as the element type that the input takes.
    pub(super) fn new(
        name: &str,
        array: Array,
        integer: bool,
        sample_axis: Option<usize>,
        path: &str,
    ) -> Result<Self, DatasetError> {
        let to_i32 = |value: i64| {
            i32::try_from(value)
                .map_err(|_| fault(path, format!("{value} is beyond the 32-bit integers of the engine")))
        };
        let numbers = match (array.elements, integer) {
            (Elements::Float(values), false) => Numbers::Float(values),
            (Elements::Integer(values), false) => Numbers::Float(values.into_iter().map(|v| v as f32).collect()),
            (Elements::Byte(values), false) => Numbers::Float(values.into_iter().map(f32::from).collect()),
            (Elements::Integer(values), true) => {
                Numbers::Integer(values.into_iter().map(to_i32).collect::<Result<_, _>>()?)
            }
            (Elements::Byte(values), true) => Numbers::Integer(values.into_iter().map(i32::from).collect()),
            (Elements::Float(_), true) => {
                return Err(fault(
                    path,
                    format!("the input '{name}' takes integers, the array holds floats"),
                ));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            shape: array.shape,
            numbers,
            sample_axis,
        })
    }

    /// Number of samples, if it has an axis of samples.
    pub(super) fn samples(&self) -> Option<usize> {
        self.sample_axis.and_then(|axis| self.shape.get(axis)).copied()
    }

    /// The samples of `range`; a single one on the axis is given to every sample.
    pub(super) fn batch(&self, range: &Range<usize>, path: &str) -> Result<Tensor, DatasetError> {
        let mut shape = self.shape.clone();
        let indices = self.sample_axis.map(|axis| {
            let single = shape[axis] == 1;
            shape[axis] = range.len();
            (
                axis,
                if single {
                    vec![0; range.len()]
                } else {
                    range.clone().collect::<Vec<_>>()
                },
            )
        });
        let value = match &self.numbers {
            Numbers::Float(values) => Tensor::from_shape(&shape, take(values, &self.shape, indices)),
            Numbers::Integer(values) => Tensor::from_shape(&shape, take(values, &self.shape, indices)),
        };
        value.map_err(|error| fault(path, error.to_string()))
    }
}

/// The elements at `indices` of an axis.
fn take<T: Copy>(values: &[T], shape: &[usize], indices: Option<(usize, Vec<usize>)>) -> Vec<T> {
    let Some((axis, indices)) = indices else {
        return values.to_vec();
    };
    let inner: usize = shape[axis + 1..].iter().product();
    let block = shape[axis] * inner;
    let mut taken = Vec::new();
    for outer in 0..values.len().checked_div(block).unwrap_or(0) {
        for &index in &indices {
            taken.extend_from_slice(&values[outer * block + index * inner..][..inner]);
        }
    }
    taken
}
