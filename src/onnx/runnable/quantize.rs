//! `QuantizeLinear` and `DynamicQuantizeLinear`: the engine (rten 0.27) multiplies by the reciprocal of the scale where ONNX
//! divides, and so rounds some numbers half way between two grid points to the other one.

use super::super::build::{attribute_int, int_attribute};
use super::super::schema::data_type;
use super::super::unfit::Unfit;
use super::site::{Outcome, Ruled, Site};

/// `x / scale` on a grid of step 1, whose reciprocal is exact. The engine divides by a list as ONNX says, but multiplies by the
/// reciprocal of a single number.
pub(super) fn quantize(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let block = attribute_int(node, "block_size").unwrap_or(0);
    if block != 0 {
        return Err(Unfit::Attribute("block_size"));
    }
    let is_single = site
        .shape(1)
        .is_some_and(|shape| shape.iter().all(|size| *size == Some(1)));
    // Dividing by a power of two is multiplying by another.
    let power = |scale: &f32| scale.to_bits() & ((1 << 23) - 1) == 0 && scale.is_normal();
    let is_exact = site.floats(1).is_some_and(|scales| scales.iter().all(power));
    if !is_single || is_exact && site.facts().is_bounded(site.needed(0)?) {
        return Ok(Outcome::Kept);
    }
    let (x, scale) = (site.needed(0)?, site.needed(1)?);
    let mut quotient = divided(site, x, scale);
    if !site.facts().is_bounded(x) {
        // What does not fit 32 bits would fall to the other end of the grid.
        let large = site.float("large", 65536.0);
        quotient = site.op("Min", &[&quotient, &large]);
    }
    let one = site.float("step", 1.0);
    let inputs: Vec<&str> = [quotient.as_str(), one.as_str()]
        .into_iter()
        .chain(site.input(2))
        .collect();
    let attributes = node.attribute.iter().filter(|attribute| attribute.name() != "axis");
    site.end_with("QuantizeLinear", &inputs, attributes.cloned().collect())
}

/// `Div` by a single number: a true division where the result is rounded, and a result of as many axes as the number has.
pub(super) fn division(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let is_rounded = node
        .output
        .first()
        .is_some_and(|output| site.facts().is_rounded(output));
    let is_single = site
        .shape(1)
        .is_some_and(|shape| shape.iter().all(|size| *size == Some(1)));
    // Of a single number the engine does not see the axes.
    if let (Some(rank), Some(more)) = (site.rank(0), site.rank(1))
        && is_single
        && rank < more
    {
        let (x, divisor) = (site.needed(0)?, site.needed(1)?);
        let lacking = site.ints("lacking", &(0..(more - rank) as i64).collect::<Vec<_>>());
        let x = site.op("Unsqueeze", &[x, &lacking]);
        return site.end("Div", &[&x, divisor]);
    }
    let is_float = site.element_type(1) == Some(data_type::FLOAT);
    if !(is_rounded && is_single && is_float) || site.rank(0).is_none() {
        return Ok(Outcome::Kept);
    }
    let (x, divisor) = (site.needed(0)?, site.needed(1)?);
    let quotient = divided(site, x, divisor);
    site.end("Identity", &[&quotient])
}

/// The quotient of two single numbers.
pub(super) fn quotient_of_numbers(site: &mut Site<'_>, x: &str, divisor: &str) -> String {
    let (pair, first) = (site.ints("pair", &[2]), site.int("first", 0));
    let pairs = [x, divisor].map(|number| site.op("Expand", &[number, &pair]));
    let quotients = site.op("Div", &[&pairs[0], &pairs[1]]);
    site.op("Gather", &[&quotients, &first])
}

/// The quotient of a tensor and a single number: the engine divides by a list as ONNX says, but multiplies by the reciprocal
/// of a single number.
pub(super) fn divided(site: &mut Site<'_>, x: &str, scale: &str) -> String {
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
    let steps = site.float("steps", 255.0);
    let scale = quotient_of_numbers(site, &range, &steps);
    let from_zero = site.op("Neg", &[&low]);
    let place = quotient_of_numbers(site, &from_zero, &scale);
    let whole_place = site.op("Round", &[&place]);
    let (lowest, highest) = (site.float("lowest", 0.0), site.float("highest", 255.0));
    let point = site.op("Clip", &[&whole_place, &lowest, &highest]);
    let to = vec![int_attribute("to", i64::from(data_type::UINT8))];
    let zero_point = site.op_with("Cast", &[&point], to);
    for (slot, value) in [(1, &scale), (2, &zero_point)] {
        if site.has_output(slot) {
            site.output(slot, "Identity", &[value], vec![])?;
        }
    }
    let quotient = divided(site, x, &scale);
    let one = site.float("step", 1.0);
    site.end("QuantizeLinear", &[&quotient, &one, &zero_point])
}
