//! Rows of queries and keys. Rotary embedding turns pairs of channels. The converter of llama.cpp lays the two of a pair side
//! by side for Llama's architecture; transformers keeps the first of all pairs before the second of all. Here the rows come
//! back into transformers' order. Blocks run along rows, so that whole rows move and nothing is decoded.

use super::Metadata;
use super::error::GgufError;
use crate::onnx::TensorProto;
use crate::printable::short;

/// Architectures whose rows were interleaved.
const INTERLEAVED: [&str; 2] = ["llama", "mistral3"];

/// Puts the rows of every query and key matrix (by transformers' names) back.
///
/// # Errors
/// A sentence about a tensor whose rows do not divide into heads.
pub(super) fn restore_rows(tensors: &mut [TensorProto], metadata: &Metadata) -> Result<(), GgufError> {
    let Some(architecture) = metadata.architecture().filter(|name| INTERLEAVED.contains(name)) else {
        return Ok(());
    };
    let heads = metadata.count(&format!("{architecture}.attention.head_count"));
    let key_heads = metadata
        .count(&format!("{architecture}.attention.head_count_kv"))
        .or(heads);
    for tensor in tensors {
        let heads = match tensor.name() {
            name if name.contains(".self_attn.q_proj.") => heads,
            name if name.contains(".self_attn.k_proj.") => key_heads,
            _ => continue,
        };
        let shown = short(tensor.name());
        let heads = heads.ok_or_else(|| GgufError::NoHeads {
            architecture: architecture.to_owned(),
            tensor: shown.clone(),
        })?;
        let rows = tensor
            .dims
            .first()
            .and_then(|rows| usize::try_from(*rows).ok())
            .unwrap_or(0);
        let bytes = tensor.raw_data.clone().unwrap_or_default();
        let whole = |count: usize, of: usize| of > 0 && count.is_multiple_of(of);
        if rows == 0 || heads.checked_mul(2).is_none_or(|pairs| !whole(rows, pairs)) || !whole(bytes.len(), rows) {
            let name = shown;
            return Err(GgufError::Rows { name, rows, heads });
        }
        let (head, width) = (rows / heads, bytes.len() / rows);
        let mut restored = Vec::with_capacity(bytes.len());
        for row in 0..rows {
            let (first, place) = (row / head * head, row % head);
            // The first of each pair lies at the even places, the second at the odd ones.
            let from = first + place % (head / 2) * 2 + place / (head / 2);
            restored.extend_from_slice(&bytes[from * width..][..width]);
        }
        tensor.raw_data = Some(restored.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;
    use crate::onnx::build::float_tensor;
    use crate::onnx::numbers;

    #[test]
    fn pairs_side_by_side_become_two_halves_of_each_head() {
        let metadata = Metadata::of([
            ("general.architecture", Value::Text("llama".to_owned())),
            ("llama.attention.head_count", Value::Integer(2)),
            ("llama.attention.head_count_kv", Value::Integer(1)),
        ]);
        let rows = |name: &str, rows: &[f32]| float_tensor(name, &[rows.len(), 1], rows);
        let mut tensors = [
            rows(
                "model.layers.0.self_attn.q_proj.weight",
                &[0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0],
            ),
            rows("model.layers.0.self_attn.k_proj.weight", &[0.0, 2.0, 1.0, 3.0]),
            rows("model.layers.0.self_attn.v_proj.weight", &[0.0, 2.0, 1.0, 3.0]),
        ];
        restore_rows(&mut tensors, &metadata).unwrap();
        assert_eq!(
            *numbers(&tensors[0]).unwrap(),
            [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0]
        );
        assert_eq!(*numbers(&tensors[1]).unwrap(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(*numbers(&tensors[2]).unwrap(), [0.0, 2.0, 1.0, 3.0]);
    }

    #[test]
    fn rows_that_are_no_whole_heads_are_refused() {
        let metadata = Metadata::of([
            ("general.architecture", Value::Text("llama".to_owned())),
            ("llama.attention.head_count", Value::Integer(2)),
        ]);
        let mut tensors = [float_tensor(
            "model.layers.0.self_attn.q_proj.weight",
            &[6, 1],
            &[0.0; 6],
        )];
        let error = restore_rows(&mut tensors, &metadata).unwrap_err().to_string();
        assert!(error.contains("q_proj") && error.contains("6 rows"), "{error}");
    }
}
