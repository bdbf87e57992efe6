//! `LayerNormalization` with its further outputs, which the engine (rten 0.27) refuses.

use super::super::build::{attribute_float, attribute_int, int_attribute, ints_attribute};
use super::super::unfit::Unfit;
use super::site::{Outcome, Ruled, Site};

/// `Mean` and `InvStdDev = 1 / sqrt(Var + epsilon)` over the axes from `axis` on (ONNX operator LayerNormalization), worked out
/// beside the output that the engine computes.
pub(super) fn layer(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    if !site.has_output(1) && !site.has_output(2) {
        return Ok(Outcome::Kept);
    }
    let x = site.needed(0)?;
    let axis = attribute_int(node, "axis").unwrap_or(-1);
    let axes: Vec<i64> = match (axis, site.rank(0)) {
        (..0, _) => (axis..0).collect(),
        (_, Some(rank)) => (axis..rank as i64).collect(),
        (_, None) => return Err("the number of axes of its input is not known".into()),
    };
    if axes.is_empty() || axes.len() > 64 {
        return Err(Unfit::Axis(axis));
    }
    let over = || vec![ints_attribute("axes", axes.clone()), int_attribute("keepdims", 1)];
    let mean = site.op_with("ReduceMean", &[x], over());
    let centred = site.op("Sub", &[x, &mean]);
    let square = site.op("Mul", &[&centred, &centred]);
    let variance = site.op_with("ReduceMean", &[&square], over());
    let epsilon = site.float("epsilon", attribute_float(node, "epsilon").unwrap_or(1e-5));
    let sum = site.op("Add", &[&variance, &epsilon]);
    let deviation = site.op("Sqrt", &[&sum]);
    let inputs: Vec<&str> = (0..node.input.len()).filter_map(|slot| site.input(slot)).collect();
    site.end_with("LayerNormalization", &inputs, node.attribute.clone())?;
    if site.has_output(1) {
        site.output(1, "Identity", &[&mean], vec![])?;
    }
    if site.has_output(2) {
        site.output(2, "Reciprocal", &[&deviation], vec![])?;
    }
    Ok(Outcome::Replaced)
}
