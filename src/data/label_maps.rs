//! Labels of segmentation: a class for each pixel of each sample.

use super::arrays::{Array, Elements};
use super::{DatasetError, fault};

/// A class for each pixel, `[samples, height, width]`.
#[derive(Debug, Clone)]
pub struct LabelMaps {
    /// -1 where a pixel does not count.
    classes: Vec<i32>,
    size: [usize; 2],
}

impl LabelMaps {
    /// Whether an array has the shape of such labels: `[samples, height, width]`, also with an axis of one channel.
    pub(super) fn fits(array: &Array) -> bool {
        size_of(&array.shape).is_some_and(|size| size != [1, 1])
    }

    /// Whole numbers of that shape. Negative ones do not count.
    pub(super) fn of(array: Array, name: &str) -> Result<Self, DatasetError> {
        let size = size_of(&array.shape).unwrap_or_default();
        let class = |number: i64| i32::try_from(number.max(-1)).unwrap_or(-1);
        let classes = match array.elements {
            Elements::Byte(values) => values.into_iter().map(i32::from).collect(),
            Elements::Integer(values) => values.into_iter().map(class).collect(),
            Elements::Float(values) => {
                if let Some(wrong) = values.iter().find(|value| value.fract() != 0.0 || value.abs() >= 1e9) {
                    return Err(fault(name, format!("{wrong} is no class number")));
                }
                values.into_iter().map(|value| class(value as i64)).collect()
            }
        };
        Ok(Self { classes, size })
    }

    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.classes.len() / self.size.iter().product::<usize>().max(1)
    }

    /// Height and width, pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The classes of a sample row by row, -1 where a pixel does not count; empty beyond the last.
    pub fn sample(&self, sample: usize) -> &[i32] {
        let pixels = self.size.iter().product::<usize>();
        let from = sample.saturating_mul(pixels);
        self.classes.get(from..from.saturating_add(pixels)).unwrap_or_default()
    }
}

fn size_of(shape: &[usize]) -> Option<[usize; 2]> {
    match shape {
        [_, height, width] | [_, 1, height, width] | [_, height, width, 1] => Some([*height, *width]),
        _ => None,
    }
}
