//! Arrays as inputs of a network and as labels; [`super::npy`] reads them.

use super::port::ElementKind;
use super::{DatasetError, Tensor, fault};
use std::collections::HashSet;
use std::ops::Range;

/// An array as the file holds it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    /// Sizes.
    pub(super) shape: Vec<usize>,
    /// Row-major elements.
    pub(super) elements: Elements,
    /// Size of the first axis in the file, of which no more may have been read than is wanted.
    pub(super) rows: usize,
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

impl Array {
    /// A whole array.
    pub(super) fn new(shape: Vec<usize>, elements: Elements) -> Self {
        let rows = shape.first().copied().unwrap_or(1);
        Self { shape, elements, rows }
    }

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
    /// Number of samples in the file, if it has an axis of samples; no more may have been read than are wanted.
    pub(super) whole: Option<usize>,
    /// How many of its values are no finite numbers and where the first of them is, if there are any.
    pub(super) note: Option<String>,
}

#[derive(Debug, Clone)]
enum Numbers {
    Float(Vec<f32>),
    Integer(Vec<i32>),
    Byte(Vec<u8>),
    SignedByte(Vec<i8>),
}

impl InputArray {
    /// `array` as the element type that the input takes.
    pub(super) fn new(
        name: &str,
        array: Array,
        kind: ElementKind,
        sample_axis: Option<usize>,
        path: &str,
    ) -> Result<Self, DatasetError> {
        fn narrow<T: TryFrom<i64>>(values: Vec<i64>, path: &str, what: &str) -> Result<Vec<T>, DatasetError> {
            let one = |value: i64| T::try_from(value).map_err(|_| fault(path, format!("{value} is beyond {what}")));
            values.into_iter().map(one).collect()
        }
        let engine = "the 32-bit integers of the engine";
        let bytes = format!("the bytes that the input '{name}' takes");
        let numbers = match (array.elements, kind) {
            (Elements::Float(values), ElementKind::Float) => Numbers::Float(values),
            (Elements::Integer(values), ElementKind::Float) => {
                Numbers::Float(values.into_iter().map(|v| v as f32).collect())
            }
            (Elements::Byte(values), ElementKind::Float) => Numbers::Float(values.into_iter().map(f32::from).collect()),
            (Elements::Integer(values), ElementKind::Integer) => Numbers::Integer(narrow(values, path, engine)?),
            (Elements::Byte(values), ElementKind::Integer) => {
                Numbers::Integer(values.into_iter().map(i32::from).collect())
            }
            (Elements::Byte(values), ElementKind::Byte) => Numbers::Byte(values),
            (Elements::Integer(values), ElementKind::Byte) => Numbers::Byte(narrow(values, path, &bytes)?),
            (Elements::Byte(values), ElementKind::SignedByte) => {
                let values = values.into_iter().map(i64::from).collect();
                Numbers::SignedByte(narrow(values, path, &bytes)?)
            }
            (Elements::Integer(values), ElementKind::SignedByte) => Numbers::SignedByte(narrow(values, path, &bytes)?),
            (Elements::Float(_), _) => {
                return Err(fault(
                    path,
                    format!("the input '{name}' takes integers, the array holds floats"),
                ));
            }
        };
        let note = match &numbers {
            Numbers::Float(values) => {
                let found = not_finite(values, &array.shape, sample_axis);
                let found = found.map_err(|reason| fault(path, format!("the input '{name}': {reason}")))?;
                found.map(|found| format!("{path}: the input '{name}': {found}"))
            }
            _ => None,
        };
        let whole = match sample_axis {
            Some(0) => Some(array.rows),
            axis => axis.and_then(|axis| array.shape.get(axis).copied()),
        };
        Ok(Self {
            whole,
            name: name.to_owned(),
            shape: array.shape,
            numbers,
            sample_axis,
            note,
        })
    }

    /// Number of samples, if it has an axis of samples.
    pub(super) fn samples(&self) -> Option<usize> {
        self.sample_axis.and_then(|axis| self.shape.get(axis)).copied()
    }

    /// Shape and numbers of an array of floats with its samples along the first axis.
    pub(super) fn floats(&self) -> Option<(&[usize], &[f32])> {
        match &self.numbers {
            Numbers::Float(values) if self.sample_axis == Some(0) => Some((&self.shape, values)),
            _ => None,
        }
    }

    /// Other floats in their place, of `samples` samples; says whether they fit.
    pub(super) fn set_floats(&mut self, samples: usize, values: Vec<f32>) -> bool {
        let of_one: usize = self.shape.iter().skip(1).product();
        let fits = self.floats().is_some() && samples.checked_mul(of_one) == Some(values.len());
        if fits {
            self.shape[0] = samples;
            self.whole = Some(samples);
            self.numbers = Numbers::Float(values);
        }
        fits
    }

    /// The samples of `range`; a single one on the axis is given to every sample, and the last one beyond the last.
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
                    let last = self.shape[axis].saturating_sub(1);
                    range.clone().map(|sample| sample.min(last)).collect::<Vec<_>>()
                },
            )
        });
        let value = match &self.numbers {
            Numbers::Float(values) => Tensor::from_shape(&shape, take(values, &self.shape, indices)),
            Numbers::Integer(values) => Tensor::from_shape(&shape, take(values, &self.shape, indices)),
            Numbers::Byte(values) => Tensor::from_shape(&shape, take(values, &self.shape, indices)),
            Numbers::SignedByte(values) => Tensor::from_shape(&shape, take(values, &self.shape, indices)),
        };
        value.map_err(|error| fault(path, error.to_string()))
    }
}

/// None of so many values is a number that can be computed with.
#[derive(Debug, thiserror::Error)]
#[error("none of its {0} values is a finite number")]
struct NoFinite(usize);

/// How many values are no finite numbers, in how many samples, and which is the first; `None` where all are.
///
/// # Errors
/// That none of the values is a finite number.
fn not_finite(values: &[f32], shape: &[usize], sample_axis: Option<usize>) -> Result<Option<String>, NoFinite> {
    let wrong = || values.iter().enumerate().filter(|(_, value)| !value.is_finite());
    let Some((first, value)) = wrong().next() else {
        return Ok(None);
    };
    let count = wrong().count();
    if count == values.len() {
        return Err(NoFinite(count));
    }
    let along = |axis: usize, at: usize| {
        let inner: usize = shape[axis + 1..].iter().product();
        at / inner.max(1) % shape[axis].max(1)
    };
    let samples: HashSet<usize> = (wrong().filter_map(|(at, _)| Some(along(sample_axis?, at)))).collect();
    let within = match samples.len() {
        0 => String::new(),
        1 => " in one sample".to_owned(),
        samples => format!(" in {samples} samples"),
    };
    let place: Vec<usize> = (0..shape.len()).map(|axis| along(axis, first)).collect();
    let total = values.len();
    Ok(Some(format!(
        "{count} of {total} values{within} are no finite numbers; the first is {value} at {place:?}"
    )))
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
