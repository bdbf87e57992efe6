//! `QuantizeLinear` and `DynamicQuantizeLinear`: the engine (rten 0.27) multiplies by the reciprocal of the scale where ONNX
//! divides, and so rounds some numbers half way between two grid points to the other one.

use super::super::build::{attribute_int, float_tensor, int_attribute};
use super::super::schema::data_type;
use super::site::{Outcome, Ruled, Site};

/// `x / scale` on a grid of step 1, whose reciprocal is exact. The engine divides by a list as ONNX says, but multiplies by the
/// reciprocal of a single number.
pub(super) fn quantize(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let block = attribute_int(node, "block_size").unwrap_or(0);
    if block != 0 {
        return Err("its attribute block_size is not computed".to_owned());
    }
    let is_single = site
        .shape(1)
        .is_some_and(|shape| shape.iter().all(|size| *size == Some(1)));
    // Dividing by a power of two is multiplying by another.
    let power = |scale: &f32| scale.to_bits() & ((1 << 23) - 1) == 0 && scale.is_normal();
    if !is_single || site.floats(1).is_some_and(|scales| scales.iter().all(power)) {
        return Ok(Outcome::Kept);
    }
    let (x, scale) = (site.needed(0)?, site.needed(1)?);
    let quotient = divided(site, x, scale);
    let one = site.float("step", 1.0);
    let inputs: Vec<&str> = [quotient.as_str(), one.as_str()]
        .into_iter()
        .chain(site.input(2))
        .collect();
    let attributes = node.attribute.iter().filter(|attribute| attribute.name() != "axis");
    site.end_with("QuantizeLinear", &inputs, attributes.cloned().collect())
}

/// The quotient of a tensor and a single number.
fn divided(site: &mut Site<'_>, x: &str, scale: &str) -> String {
    let row = match site.facts().shape(x).and_then(|shape| shape.last().copied().flatten()) {
        Some(size) => site.ints("row", &[size]),
        None => {
            let shape = site.op("Shape", &[x]);
            let (from, to) = (site.ints("last", &[-1]), site.ints("all", &[i64::MAX]));
            site.op("Slice", &[&shape, &from, &to])
        }
    };
    let scales = site.op("Expand", &[scale, &row]);
    site.op("Div", &[x, &scales])
}

/// As ONNX defines it: the range from the smallest to the largest value, zero included, in 255 steps.
pub(super) fn dynamic(site: &mut Site<'_>) -> Ruled {
    let x = site.needed(0)?;
    let zero = site.float("zero", 0.0);
    let whole = || vec![int_attribute("keepdims", 0)];
    let (low, high) = (
        site.op_with("ReduceMin", &[x], whole()),
        site.op_with("ReduceMax", &[x], whole()),
    );
    let (low, high) = (site.op("Min", &[&low, &zero]), site.op("Max", &[&high, &zero]));
    let range = site.op("Sub", &[&high, &low]);
    let (pair, first) = (site.ints("pair", &[2]), site.int("first", 0));
    // Pairs, so that the engine divides.
    let steps = site.tensor("steps", float_tensor("", &[2], &[255.0, 255.0]));
    let ranges = site.op("Expand", &[&range, &pair]);
    let scales = site.op("Div", &[&ranges, &steps]);
    let from_zero = site.op("Neg", &[&low]);
    let places = site.op("Div", &[&from_zero, &scales]);
    let whole_places = site.op("Round", &[&places]);
    let (lowest, highest) = (site.float("lowest", 0.0), site.float("highest", 255.0));
    let points = site.op("Clip", &[&whole_places, &lowest, &highest]);
    let point = site.op("Gather", &[&points, &first]);
    site.output(1, "Gather", &[&scales, &first], vec![])?;
    let scale = site.node().output[1].clone();
    let to = vec![int_attribute("to", i64::from(data_type::UINT8))];
    site.output(2, "Cast", &[&point], to)?;
    let zero_point = site.node().output[2].clone();
    let quotient = divided(site, x, &scale);
    let one = site.float("step", 1.0);
    site.end("QuantizeLinear", &[&quotient, &one, &zero_point])
}
