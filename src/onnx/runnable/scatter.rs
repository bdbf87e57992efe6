//! `ScatterElements`: the engine (rten 0.27) counts through the updates as if they had the value's sizes, and puts them elsewhere
//! where they are fewer along another axis than that of the indices.

use super::super::build::{attribute, attribute_int, i64_tensor, int_attribute, ints_attribute, tensor_attribute};
use super::site::{Outcome, Ruled, Site};

/// Unless the sizes are known to be the same, each update gets its whole place: `NonZero` of as many ones lists the places of the
/// updates, in which the indices stand for one axis, and `ScatterND` carries them out.
pub(super) fn scatter_elements(site: &mut Site<'_>) -> Ruled {
    let (data, indices, updates) = (site.needed(0)?, site.needed(1)?, site.needed(2)?);
    let rank = site.rank(0).or(site.rank(1)).or(site.rank(2));
    let rank = rank.ok_or("the number of axes of its input is not known")? as i64;
    let axis = attribute_int(site.node(), "axis").unwrap_or(0);
    let axis = if axis < 0 { axis + rank } else { axis };
    let same = |other: i64| {
        let size = |slot: usize| site.shape(slot)?.get(usize::try_from(other).ok()?).copied().flatten();
        size(0).is_some() && size(0) == size(1)
    };
    if (0..rank).all(|other| other == axis || same(other)) {
        return Ok(Outcome::Kept);
    }
    let shape = site.op("Shape", &[indices]);
    let one = tensor_attribute("value", i64_tensor("", &[1], &[1]));
    let ones = site.op_with("ConstantOfShape", &[&shape], vec![one]);
    let places = site.op("NonZero", &[&ones]);
    let row = site.ints("row", &[1, -1]);
    let mut rows = Vec::new();
    for other in 0..rank {
        rows.push(if other == axis {
            site.op("Reshape", &[indices, &row])
        } else {
            let at = site.ints("axis", &[other]);
            site.op_with("Gather", &[&places, &at], vec![int_attribute("axis", 0)])
        });
    }
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let all = site.op_with("Concat", &rows, vec![int_attribute("axis", 0)]);
    let all = site.op_with("Transpose", &[&all], vec![ints_attribute("perm", [1, 0])]);
    let list = site.ints("list", &[-1]);
    let flat = site.op("Reshape", &[updates, &list]);
    let reduction = attribute(site.node(), "reduction").cloned();
    site.end_with("ScatterND", &[data, &all, &flat], reduction.into_iter().collect())
}
