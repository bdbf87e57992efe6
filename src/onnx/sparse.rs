//! Sparse initializers as dense ones: the rest of the program knows tensors with all their elements only.

use super::build::raw_tensor;
use super::schema::SparseTensorProto;
use super::schema::data_type;
use super::{GraphProto, ModelProto, TensorProto, byte_count, element_count, tensor_bytes};
use bytes::Bytes;

/// Bytes that the dense tensors of a model may take: a few bytes can ask for any number of zeros.
const MAX_BYTES: usize = 1 << 31;

/// Turns the sparse initializers of all graphs into initializers with the same numbers. One that does not hold together, or
/// would be too large, stays.
pub fn fill_sparse_initializers(model: &mut ModelProto) {
    let mut left = MAX_BYTES;
    if let Some(graph) = &mut model.graph {
        in_graph(graph, &mut left);
    }
}

fn in_graph(graph: &mut GraphProto, left: &mut usize) {
    for sparse in std::mem::take(&mut graph.sparse_initializer) {
        match dense(&sparse, left) {
            Some(tensor) => graph.initializer.push(tensor),
            None => graph.sparse_initializer.push(sparse),
        }
    }
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        for body in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            in_graph(body, left);
        }
    }
}

/// The tensor with all its elements. Indices are places in row-major order, or one row of axes for each value.
fn dense(sparse: &SparseTensorProto, left: &mut usize) -> Option<TensorProto> {
    let (values, indices) = (sparse.values.as_ref()?, sparse.indices.as_ref()?);
    let dims: Vec<usize> = sparse
        .dims
        .iter()
        .map(|size| usize::try_from(*size).ok())
        .collect::<Option<_>>()?;
    let mut all = TensorProto {
        dims: sparse.dims.clone(),
        raw_data: None,
        ..values.clone()
    };
    all.dims.clone_from(&sparse.dims);
    let (size, count, given) = (
        byte_count(&all).ok()?,
        element_count(&all).ok()?,
        element_count(values).ok()?,
    );
    *left = left.checked_sub(size)?;
    let width = size.checked_div(count)?;
    let bytes = tensor_bytes(values).ok()?;
    if indices.data_type() != data_type::INT64 || width * count != size || bytes.len() != width * given {
        return None;
    }
    let raw = tensor_bytes(indices).ok()?;
    let places: Vec<usize> = (raw.as_chunks::<8>().0.iter())
        .map(|place| usize::try_from(i64::from_le_bytes(*place)).ok())
        .collect::<Option<_>>()?;
    let rank = if indices.dims.len() == 2 { dims.len() } else { 1 };
    if rank == 0 || places.len() != given.checked_mul(rank)? {
        return None;
    }
    let mut elements = vec![0_u8; size];
    for (value, place) in bytes.chunks_exact(width).zip(places.chunks_exact(rank)) {
        let at = match place {
            [at] if indices.dims.len() != 2 => *at,
            axes => axes.iter().zip(&dims).try_fold(0_usize, |at, (axis, size)| {
                (axis < size)
                    .then(|| at.checked_mul(*size)?.checked_add(*axis))
                    .flatten()
            })?,
        };
        elements
            .get_mut(at.checked_mul(width)?..)?
            .get_mut(..width)?
            .copy_from_slice(value);
    }
    Some(raw_tensor(
        values.name(),
        values.data_type(),
        &dims,
        Bytes::from(elements),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, i64_tensor};
    use crate::onnx::numbers;

    fn filled(dims: &[i64], indices: TensorProto) -> Option<Vec<f32>> {
        let sparse = SparseTensorProto {
            values: Some(float_tensor("w", &[2], &[1.5, -2.0])),
            indices: Some(indices),
            dims: dims.to_vec(),
        };
        let mut model = ModelProto {
            graph: Some(GraphProto {
                sparse_initializer: vec![sparse],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        fill_sparse_initializers(&mut model);
        let graph = model.graph?;
        assert_eq!(graph.initializer.len() + graph.sparse_initializer.len(), 1);
        let tensor = graph.initializer.first()?;
        assert_eq!(tensor.name(), "w");
        Some(numbers(tensor).ok()?.to_vec())
    }

    #[test]
    fn both_kinds_of_indices_are_read() {
        let expected = Some(vec![0.0, 0.0, 1.5, 0.0, 0.0, -2.0]);
        assert_eq!(filled(&[2, 3], i64_tensor("i", &[2], &[2, 5])), expected);
        assert_eq!(filled(&[2, 3], i64_tensor("i", &[2, 2], &[0, 2, 1, 2])), expected);
    }

    #[test]
    fn what_does_not_hold_together_stays() {
        assert_eq!(filled(&[2, 3], i64_tensor("i", &[2], &[2, 6])), None);
        assert_eq!(filled(&[2, 3], i64_tensor("i", &[2], &[-1, 1])), None);
        assert_eq!(filled(&[2, 3], i64_tensor("i", &[2, 2], &[0, 3, 1, 2])), None);
        assert_eq!(filled(&[2, 3], i64_tensor("i", &[1], &[2])), None);
        assert_eq!(filled(&[i64::MAX, 3], i64_tensor("i", &[2], &[1, 2])), None);
        assert_eq!(filled(&[1 << 40, 3], i64_tensor("i", &[2], &[1, 2])), None);
    }
}
