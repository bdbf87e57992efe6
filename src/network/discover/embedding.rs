//! Embeddings: rows of a constant table, looked up by number.

use super::site::{Reading, Role, Site, plain_layout};
use crate::network::layer::{Layer, LayerKind, Support, Unsupported};
use crate::onnx::is_float;

/// Elements from which a table is a layer: below it nothing is gained by fewer bits, and graphs look up shapes and masks that way.
const MIN_ELEMENTS: i64 = 8192;

/// A Gather of rows of a constant matrix by numbers that come with the input.
pub(super) fn embedding(site: &Site<'_>) -> Option<Layer> {
    let role = Role {
        kind: LayerKind::Embedding,
        weight_input: 0,
        input: None,
        suffix: "",
    };
    let table = site.weight(0)?;
    let &[rows, columns] = table.tensor.dims.as_slice() else {
        return None;
    };
    let is_large = rows.checked_mul(columns).is_none_or(|count| count >= MIN_ELEMENTS);
    let is_table = table.dequantized || (is_float(table.tensor) && is_large);
    if !is_table || site.int("axis", 0) != 0 || site.weight(1).is_some() {
        return None;
    }
    Some(site.layer(&role, table, |table, sizes| {
        if !table.is_in_stored_order() {
            return Err(Unsupported::Turned("table"));
        }
        Ok(Reading {
            layout: plain_layout(sizes),
            support: Support::Quantize("embedding: its rows are looked up, there is nothing to split".into()),
            unpacked: None,
        })
    }))
}
