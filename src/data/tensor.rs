//! Tensors that go into a network and come out of it, whichever engine runs it.

/// Numbers in row-major order with the sizes of their axes.
///
/// # Example
///
/// ```
/// use splitscope::data::Tensor;
///
/// let tensor = Tensor::from_shape([2, 3], vec![0.0_f32, 0.5, 1.0, 1.5, 2.0, 2.5])?;
/// assert_eq!((tensor.shape(), tensor.floats().map(|values| values[4])), (&[2, 3][..], Some(2.0)));
/// # Ok::<(), splitscope::data::ShapeMismatch>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    values: TensorValues,
}

/// The numbers of a [`Tensor`], by element type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TensorValues {
    /// float32.
    F32(Vec<f32>),
    /// int32, and truth values as 0 and 1.
    I32(Vec<i32>),
    /// int64.
    I64(Vec<i64>),
    /// int8.
    I8(Vec<i8>),
    /// uint8.
    U8(Vec<u8>),
}

/// The numbers do not fill the shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{values} numbers do not fill the shape {shape:?}")]
pub struct ShapeMismatch {
    shape: Vec<usize>,
    values: usize,
}

impl TensorValues {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one element.
    pub fn element_bytes(&self) -> usize {
        match self {
            Self::I8(_) | Self::U8(_) => 1,
            Self::F32(_) | Self::I32(_) => 4,
            Self::I64(_) => 8,
        }
    }
}

impl Tensor {
    /// A tensor of that shape.
    ///
    /// # Errors
    /// [`ShapeMismatch`] when the numbers do not fill it.
    pub fn from_shape(shape: impl AsRef<[usize]>, values: impl Into<TensorValues>) -> Result<Self, ShapeMismatch> {
        let (shape, values) = (shape.as_ref().to_vec(), values.into());
        if super::element_count(&shape) == Some(values.len()) {
            return Ok(Self { shape, values });
        }
        let values = values.len();
        Err(ShapeMismatch { shape, values })
    }

    /// Sizes of the axes; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers.
    pub fn values(&self) -> &TensorValues {
        &self.values
    }

    /// The numbers, if they are floats.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.values {
            TensorValues::F32(values) => Some(values),
            _ => None,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Bytes that the numbers take.
    pub fn bytes(&self) -> usize {
        self.len() * self.values.element_bytes()
    }
}

impl From<Vec<f32>> for TensorValues {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl From<Vec<i32>> for TensorValues {
    fn from(values: Vec<i32>) -> Self {
        Self::I32(values)
    }
}

impl From<Vec<i64>> for TensorValues {
    fn from(values: Vec<i64>) -> Self {
        Self::I64(values)
    }
}

impl From<Vec<i8>> for TensorValues {
    fn from(values: Vec<i8>) -> Self {
        Self::I8(values)
    }
}

impl From<Vec<u8>> for TensorValues {
    fn from(values: Vec<u8>) -> Self {
        Self::U8(values)
    }
}

/// Inputs as an engine takes them: each by its name.
pub fn by_name(inputs: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_must_fill_the_shape() {
        assert_eq!(Tensor::from_shape([], vec![1_u8]).unwrap().len(), 1);
        assert_eq!(Tensor::from_shape([2, 0], Vec::<f32>::new()).unwrap().bytes(), 0);
        assert_eq!(Tensor::from_shape([3], vec![1_i64, 2, 3]).unwrap().bytes(), 24);
        let error = Tensor::from_shape([2, 2], vec![0_i32; 3]).unwrap_err();
        assert_eq!(error.to_string(), "3 numbers do not fill the shape [2, 2]");
        assert!(Tensor::from_shape([usize::MAX, 2], vec![0_i8]).is_err());
    }
}
