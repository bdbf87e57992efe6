//! Rows of queries, keys and values in transformers' order. Blocks run along rows, so that whole rows move and nothing is decoded.
//!
//! Rotary embedding turns pairs of channels. The converter of llama.cpp lays the two of a pair side by side for Llama's architecture;
//! transformers keeps the first of all pairs before the second of all. Where one matrix gives all three, the converter puts the queries
//! of all heads before the keys of all; GPT-NeoX and BLOOM have those of a head together.

use super::Metadata;
use super::error::GgufError;
use crate::onnx::TensorProto;
use crate::printable::short;

/// Architectures whose pairs were laid side by side.
const INTERLEAVED: [&str; 4] = ["llama", "mistral3", "granite", "smollm3"];
/// Architectures whose queries, keys and values of a head lie together.
const BY_HEAD: [&str; 2] = ["gptneox", "bloom"];

/// Puts the rows of every query and key matrix (by transformers' names) back.
///
/// # Errors
/// A sentence about a tensor whose rows do not divide into heads.
pub(super) fn restore_rows(tensors: &mut [TensorProto], metadata: &Metadata) -> Result<(), GgufError> {
    let Some(architecture) = metadata.architecture() else {
        return Ok(());
    };
    let interleaved = INTERLEAVED.contains(&architecture);
    if !interleaved && !BY_HEAD.contains(&architecture) {
        return Ok(());
    }
    let heads = metadata.count(&format!("{architecture}.attention.head_count"));
    let key_heads = metadata
        .count(&format!("{architecture}.attention.head_count_kv"))
        .or(heads);
    for tensor in tensors {
        let heads = match tensor.name() {
            name if interleaved && name.contains(".self_attn.q_proj.") => heads,
            name if interleaved && name.contains(".self_attn.k_proj.") => key_heads,
            name if !interleaved && name.contains(".query_key_value.") => heads,
            _ => continue,
        };
        let heads = heads.ok_or_else(|| GgufError::NoHeads {
            architecture: architecture.to_owned(),
            tensor: short(tensor.name()),
        })?;
        if interleaved {
            move_rows(tensor, (heads, 2), |head, row| {
                // The first of each pair lies at the even places, the second at the odd ones.
                let (first, place) = (row / head * head, row % head);
                first + place % (head / 2) * 2 + place / (head / 2)
            })?;
        } else {
            move_rows(tensor, (heads, 3), |three, row| {
                let (of_head, head, width) = (row / three, three / 3, three / 3 * heads);
                let (part, place) = (row % three / head, row % head);
                part * width + of_head * head + place
            })?;
        }
    }
    Ok(())
}

/// Makes row `row` of `tensor` what its row `from(rows of a head, row)` was; the rows of each of so many heads divide by the second
/// number.
fn move_rows(
    tensor: &mut TensorProto,
    (heads, parts): (usize, usize),
    from: impl Fn(usize, usize) -> usize,
) -> Result<(), GgufError> {
    let rows = tensor
        .dims
        .first()
        .and_then(|rows| usize::try_from(*rows).ok())
        .unwrap_or(0);
    let bytes = tensor.raw_data.clone().unwrap_or_default();
    let whole = |count: usize, of: usize| of > 0 && count.is_multiple_of(of);
    if rows == 0 || heads.checked_mul(parts).is_none_or(|parts| !whole(rows, parts)) || !whole(bytes.len(), rows) {
        let name = short(tensor.name());
        return Err(GgufError::Rows { name, rows, heads });
    }
    if bytes.is_empty() {
        // Rows of nothing, of which there may be any number.
        return Ok(());
    }
    let (head, width) = (rows / heads, bytes.len() / rows);
    let mut moved = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        moved.extend_from_slice(&bytes[from(head, row) * width..][..width]);
    }
    tensor.raw_data = Some(moved.into());
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
    fn queries_keys_and_values_of_a_head_come_together() {
        let metadata = Metadata::of([
            ("general.architecture", Value::Text("gptneox".to_owned())),
            ("gptneox.attention.head_count", Value::Integer(2)),
        ]);
        // Two heads of two: the queries of both, their keys, their values.
        let rows: Vec<f32> = [0.0, 100.0, 200.0]
            .iter()
            .flat_map(|part| [0.0, 1.0, 10.0, 11.0].map(|at| part + at))
            .collect();
        let mut tensors = [float_tensor(
            "gpt_neox.layers.0.attention.query_key_value.bias",
            &[12],
            &rows,
        )];
        restore_rows(&mut tensors, &metadata).unwrap();
        assert_eq!(
            *numbers(&tensors[0]).unwrap(),
            [
                0.0, 1.0, 100.0, 101.0, 200.0, 201.0, 10.0, 11.0, 110.0, 111.0, 210.0, 211.0
            ]
        );
    }

    #[test]
    fn rows_of_nothing_are_not_gone_through() {
        let metadata = Metadata::of([
            ("general.architecture", Value::Text("llama".to_owned())),
            ("llama.attention.head_count", Value::Integer(2)),
        ]);
        let mut tensors = [float_tensor(
            "model.layers.0.self_attn.q_proj.weight",
            &[1 << 40, 0],
            &[],
        )];
        restore_rows(&mut tensors, &metadata).unwrap();
        assert_eq!(tensors[0].dims, [1 << 40, 0]);
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
