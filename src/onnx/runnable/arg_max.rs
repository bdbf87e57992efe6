//! `ArgMax` and `ArgMin`: of equal values ONNX takes the first, the engine (rten 0.27) the last.

use super::super::build::{attribute_int, int_attribute};
use super::super::schema::data_type;
use super::site::{Ruled, Site};

/// Looks for the last of equal values in the values reversed, and counts the place from the end. With `select_last_index` the
/// engine does what is wanted already.
pub(super) fn first_of_equals(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let axis = attribute_int(node, "axis").unwrap_or(0);
    let keep = attribute_int(node, "keepdims").unwrap_or(1);
    let attributes = || vec![int_attribute("axis", axis), int_attribute("keepdims", keep)];
    let operator = node.op_type();
    let mut x = site.needed(0)?.to_owned();
    if matches!(site.element_type(0), Some(data_type::INT8 | data_type::UINT8)) {
        x = site.op_with("Cast", &[&x], vec![int_attribute("to", i64::from(data_type::INT32))]);
    }
    if attribute_int(node, "select_last_index").unwrap_or(0) != 0 {
        return site.end_with(operator, &[&x], attributes());
    }
    let (last, before_first) = (site.ints("start", &[-1]), site.ints("end", &[i64::MIN]));
    let (axes, back) = (site.ints("axis", &[axis]), site.ints("step", &[-1]));
    let reversed = site.op("Slice", &[&x, &last, &before_first, &axes, &back]);
    let from_end = site.op_with(operator, &[&reversed], attributes());
    let shape = site.op("Shape", &[&x]);
    let axis = site.int("axis_number", axis);
    let (size, one) = (site.op("Gather", &[&shape, &axis]), site.int("one", 1));
    let last = site.op("Sub", &[&size, &one]);
    site.end("Sub", &[&last, &from_end])
}
