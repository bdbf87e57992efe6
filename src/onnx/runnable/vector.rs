//! `MatMul` with a vector, and norms that reduce nothing: the engine (rten 0.27) leaves an axis of one element behind a stack of
//! matrices times a vector, and hands on negative numbers as their own norm.

use super::super::build::{attribute, attribute_int};
use super::site::{Outcome, Ruled, Site};

/// Beside a stack of matrices, a vector becomes a matrix, and its axis is taken out of the product again (as in numpy).
pub(super) fn product(site: &mut Site<'_>) -> Ruled {
    let (left, right) = (site.needed(0)?, site.needed(1)?);
    match (site.rank(0), site.rank(1)) {
        (Some(3..), Some(1)) => {
            let last = site.ints("last", &[-1]);
            let matrix = site.op("Unsqueeze", &[right, &last]);
            let product = site.op("MatMul", &[left, &matrix]);
            site.end("Squeeze", &[&product, &last])
        }
        (Some(1), Some(3..)) => {
            let (first, row) = (site.ints("first", &[0]), site.ints("row", &[-2]));
            let matrix = site.op("Unsqueeze", &[left, &first]);
            let product = site.op("MatMul", &[&matrix, right]);
            site.end("Squeeze", &[&product, &row])
        }
        _ => Ok(Outcome::Kept),
    }
}

/// `ReduceL1` and `ReduceL2` of no axes, where that leaves the value as it is but for its sign.
pub(super) fn norm(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let has_axes = site.input(1).is_some() || attribute(node, "axes").is_some();
    if has_axes || attribute_int(node, "noop_with_empty_axes").unwrap_or(0) == 0 {
        return Ok(Outcome::Kept);
    }
    let x = site.needed(0)?;
    site.end("Abs", &[x])
}
