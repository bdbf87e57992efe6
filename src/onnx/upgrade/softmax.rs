//! `Softmax`, `LogSoftmax` and `Hardmax`: before 13 over all axes from `axis` on taken together, since then along `axis`.

use super::super::NodeProto;
use super::super::build::{attribute_int, int_attribute, node as new_node};
use super::Site;
use super::rules::{Replaced, take};

/// Where at most one of the axes taken together is longer than 1, it is that axis; else the node works on a matrix and the
/// result gets its shape back.
pub(super) fn softmax(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let axis = attribute_int(&node, "axis").unwrap_or(1);
    take(&mut node, "axis");
    let ([input], [output]) = (node.input.as_slice(), node.output.as_slice()) else {
        return Err("it needs one input and one output".into());
    };
    if let Some(only) = only_axis(axis, site.facts.shape(input)) {
        node.attribute.push(int_attribute("axis", only));
        return Ok(vec![node]);
    }

    let (input, output) = (input.clone(), output.clone());
    let matrix = site.fresh(&node, "matrix");
    let flatten = new_node(
        "Flatten",
        site.fresh(&node, "flatten"),
        [input.clone()],
        [matrix.clone()],
        vec![int_attribute("axis", axis)],
    );
    let shape = site.fresh(&node, "shape");
    let shape_of = new_node("Shape", site.fresh(&node, "shape_of"), [input], [shape.clone()], vec![]);
    let result = site.fresh(&node, "result");
    let inputs = [result.clone(), shape];
    let reshape = new_node("Reshape", site.fresh(&node, "reshape"), inputs, [output], vec![]);
    node.input = vec![matrix];
    node.output = vec![result];
    node.attribute.push(int_attribute("axis", -1));
    Ok(vec![flatten, node, shape_of, reshape])
}

/// The one axis along which the operator works, if there is but one.
fn only_axis(axis: i64, shape: Option<&[Option<i64>]>) -> Option<i64> {
    if axis == -1 {
        return Some(-1);
    }
    let shape = shape?;
    let first = if axis < 0 {
        shape.len().checked_sub(usize::try_from(axis.checked_neg()?).ok()?)?
    } else {
        usize::try_from(axis).ok()?
    };
    let mut long = (first..shape.len()).filter(|i| shape[*i] != Some(1));
    match (long.next(), long.next()) {
        (Some(only), None) => i64::try_from(only).ok(),
        (None, _) if first < shape.len() => i64::try_from(first).ok(),
        _ => None,
    }
}
