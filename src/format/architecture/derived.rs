//! Constants made of rows of the file's tensors, where an operator wants them in another order than torch keeps them in.

use super::state_dict::StateDict;
use crate::onnx::TensorProto;
use crate::onnx::build::float_tensor;
use crate::onnx::schema::data_type;
use std::ops::Range;

/// Rows (slices of the first axis) of a tensor of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    /// The tensor's name in the state dict.
    pub(super) tensor: String,
    pub(super) rows: Range<usize>,
}

/// A float constant: rows of tensors, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Derived {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) rows: Vec<Rows>,
}

impl Derived {
    /// The constant; no copy where it is a whole tensor of F32 in another shape.
    ///
    /// # Errors
    /// The tensor that cannot be read, and a sentence about it.
    pub(super) fn made(&self, dict: &StateDict<'_>) -> Result<TensorProto, (String, String)> {
        if let Some(tensor) = self.whole(dict) {
            return Ok(tensor);
        }
        let mut values = Vec::new();
        for part in &self.rows {
            let fault = |reason: String| (part.tensor.clone(), reason);
            let Some((_, entry)) = dict.get(&part.tensor) else {
                return Err(fault("is missing".to_owned()));
            };
            let stored = entry.numbers().map_err(fault)?;
            let width = stored.len() / entry.shape.first().copied().unwrap_or(1).max(1);
            let rows = stored.get(part.rows.start * width..part.rows.end * width);
            values.extend_from_slice(rows.ok_or_else(|| fault("is shorter than its shape says".to_owned()))?);
        }
        Ok(float_tensor(self.name.clone(), &self.shape, &values))
    }

    fn whole(&self, dict: &StateDict<'_>) -> Option<TensorProto> {
        let [part] = self.rows.as_slice() else { return None };
        let (_, entry) = dict.get(&part.tensor)?;
        let is_whole = part.rows == (0..*entry.shape.first()?) && entry.element_type == data_type::FLOAT;
        let dims: Option<Vec<i64>> = self.shape.iter().map(|&size| i64::try_from(size).ok()).collect();
        is_whole.then_some(TensorProto {
            name: Some(self.name.clone()),
            dims: dims?,
            ..entry.tensor.clone()
        })
    }

    /// Names in the file of the tensors that it is made of.
    pub(super) fn sources<'a>(&self, dict: &StateDict<'a>) -> Vec<String> {
        let stored = |part: &Rows| Some(dict.get(&part.tensor)?.1.stored.to_owned());
        self.rows.iter().filter_map(stored).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::numbers;
    use crate::onnx::{GraphProto, ModelProto, tensor_bytes};

    fn file() -> ModelProto {
        let graph = GraphProto {
            initializer: vec![
                float_tensor("module.a", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
                float_tensor("module.b", &[2], &[7.0, 8.0]),
            ],
            ..GraphProto::default()
        };
        ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        }
    }

    fn rows(tensor: &str, rows: Range<usize>) -> Rows {
        Rows {
            tensor: tensor.to_owned(),
            rows,
        }
    }

    #[test]
    fn rows_are_put_together_in_the_order_asked_for() {
        let file = file();
        let derived = Derived {
            name: "d".to_owned(),
            shape: vec![1, 3, 2],
            rows: vec![rows("a", 2..3), rows("b", 0..2), rows("a", 0..1)],
        };
        let dict = StateDict::new(&file, None);
        let made = derived.made(&dict).unwrap();
        assert_eq!(made.dims, [1, 3, 2]);
        assert_eq!(*numbers(&made).unwrap(), [5.0, 6.0, 7.0, 8.0, 1.0, 2.0]);
        assert_eq!(derived.sources(&dict), ["module.a", "module.b", "module.a"]);
    }

    #[test]
    fn a_whole_tensor_in_another_shape_is_no_copy() {
        let file = file();
        let derived = Derived {
            name: "d".to_owned(),
            shape: vec![1, 3, 2],
            rows: vec![rows("a", 0..3)],
        };
        let made = derived.made(&StateDict::new(&file, None)).unwrap();
        assert_eq!((made.name(), made.dims.as_slice()), ("d", &[1, 3, 2][..]));
        let stored = &file.graph.as_ref().unwrap().initializer[0];
        assert_eq!(
            tensor_bytes(&made).unwrap().as_ptr(),
            tensor_bytes(stored).unwrap().as_ptr()
        );
    }

    #[test]
    fn rows_beyond_the_data_are_refused() {
        let file = file();
        let derived = Derived {
            name: "d".to_owned(),
            shape: vec![1, 2],
            rows: vec![rows("a", 3..4)],
        };
        let (tensor, reason) = derived.made(&StateDict::new(&file, None)).unwrap_err();
        assert_eq!(tensor, "a");
        assert!(reason.contains("shorter"), "{reason}");
    }
}
