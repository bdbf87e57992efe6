//! The rules for one operator each, most of them attributes that became inputs.

use super::super::build::{attribute, i64_tensor, int_attribute, raw_tensor, scalar_f32, string_attribute};
use super::super::schema::data_type;
use super::super::tensor::data_type_name;
use super::super::unfit::Unfit;
use super::super::{AttributeProto, NodeProto, TensorProto};
use super::Site;

/// The nodes that stand for a node, or why there are none.
pub(super) type Replaced = Result<Vec<NodeProto>, Unfit>;

/// 9 removed `spatial`: with 0, every element of a feature map had statistics of its own.
pub(super) fn batch_normalization(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let spatial = take(&mut node, "spatial").and_then(|spatial| spatial.i).unwrap_or(1);
    let rank = node.input.first().and_then(|input| site.facts.rank(input));
    // Without spatial axes there is no difference.
    if spatial != 1 && rank != Some(2) {
        return Err(Unfit::NoEquivalent(format!("spatial={spatial}")));
    }
    Ok(vec![node])
}

/// 11 made the bounds inputs.
pub(super) fn clip(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let (low, high) = (take(&mut node, "min"), take(&mut node, "max"));
    if node.input.len() > 1 {
        return Ok(vec![node]);
    }
    let element_type = node.input.first().and_then(|input| site.facts.element_type(input));
    for (what, bound) in [("min", low), ("max", high)] {
        let name = match bound.and_then(|bound| bound.f) {
            Some(value) => {
                let tensor = scalar(value, element_type)?;
                site.constant(&node, what, tensor)
            }
            None => String::new(),
        };
        node.input.push(name);
    }
    drop_absent_inputs(&mut node);
    Ok(vec![node])
}

/// 12 made the ratio an input; 10 made the mask a boolean.
pub(super) fn dropout(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    if let Some(mask) = node.output.get(1).filter(|_| site.from < 10) {
        if site.facts.is_read(mask) {
            let reason = format!("its mask '{mask}' is used, which was a number and is a boolean now");
            return Err(Unfit::Case(reason));
        }
        site.dropped.push(mask.clone());
        node.output.truncate(1);
    }
    if let Some(ratio) = take(&mut node, "ratio").and_then(|ratio| ratio.f)
        && node.input.len() == 1
    {
        let name = site.constant(&node, "ratio", scalar_f32("", ratio));
        node.input.push(name);
    }
    Ok(vec![node])
}

/// 9 made it a standard operator; before, it was an experiment with other attributes.
pub(super) fn mean_variance_normalization(_: &mut Site<'_>, node: NodeProto) -> Replaced {
    match ["across_channels", "normalize_variance"]
        .iter()
        .find(|name| attribute(&node, name).is_some())
    {
        Some(name) => Err(Unfit::Case(format!(
            "its experimental attribute {name} has no equivalent"
        ))),
        None => Ok(vec![node]),
    }
}

/// 11 made the pads and their value inputs.
pub(super) fn pad(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let (pads, value) = (take(&mut node, "pads"), take(&mut node, "value"));
    if node.input.len() > 1 {
        return Ok(vec![node]);
    }
    let Some(pads) = pads else {
        return Err(Unfit::NoAttribute("pads"));
    };
    let pads = site.constant(&node, "pads", ints(&pads.ints));
    let element_type = node.input.first().and_then(|input| site.facts.element_type(input));
    node.input.push(pads);
    if let Some(value) = value.and_then(|value| value.f).filter(|value| *value != 0.0) {
        let tensor = scalar(value, element_type)?;
        let value = site.constant(&node, "value", tensor);
        node.input.push(value);
    }
    Ok(vec![node])
}

/// 18 wants to be told into how many equal parts a value is split.
pub(super) fn split_in_equal_parts(_: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let sizes_are_given = node.input.get(1).is_some_and(|sizes| !sizes.is_empty());
    if !sizes_are_given && attribute(&node, "num_outputs").is_none() {
        let parts = node.output.len() as i64;
        node.attribute.push(int_attribute("num_outputs", parts));
    }
    Ok(vec![node])
}

/// 20 gave the modes of `GridSample` other names.
pub(super) fn grid_sample(_: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    for attribute in node.attribute.iter_mut().filter(|attribute| attribute.name() == "mode") {
        match attribute.s.as_deref() {
            Some(b"bilinear") => attribute.s = Some(b"linear"[..].into()),
            Some(b"bicubic") => attribute.s = Some(b"cubic"[..].into()),
            _ => {}
        }
    }
    Ok(vec![node])
}

/// 16 moved pixels by half of one unless told otherwise.
pub(super) fn roi_align(_: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let name = "coordinate_transformation_mode";
    if attribute(&node, name).is_none() {
        node.attribute.push(string_attribute(name, "output_half_pixel"));
    }
    Ok(vec![node])
}

/// 20 made the axis an input, counted from the end.
pub(super) fn dft(_: &mut Site<'_>, _: NodeProto) -> Replaced {
    Err("its axis became an input".into())
}

/// 13 made the axes of `ReduceSum`, `Squeeze` and `Unsqueeze` an input.
pub(super) fn axes_to_input(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let axes = take(&mut node, "axes").map(|axes| axes.ints).unwrap_or_default();
    if node.input.len() > 1 {
        return Ok(vec![node]);
    }
    // No axes meant all of them, and still does when the input is left out.
    if !axes.is_empty() {
        let axes = site.constant(&node, "axes", ints(&axes));
        node.input.push(axes);
    } else if node.op_type() == "Unsqueeze" {
        return Err(Unfit::NoAttribute("axes"));
    }
    Ok(vec![node])
}

/// 8 had an axis for the batch in every input and output.
pub(super) fn scan(_: &mut Site<'_>, _: NodeProto) -> Replaced {
    Err("it runs over every member of a batch by itself, which no later Scan does".into())
}

/// 11 gave it a new name.
pub(super) fn scatter(_: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    node.op_type = Some("ScatterElements".to_owned());
    Ok(vec![node])
}

/// 10 made starts, ends and axes inputs. Without axes, the first ones were meant; since then it is all of them.
pub(super) fn slice(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let [starts, ends, axes] = ["starts", "ends", "axes"].map(|name| take(&mut node, name).map(|values| values.ints));
    if node.input.len() > 1 {
        return Ok(vec![node]);
    }
    let starts = starts.ok_or(Unfit::NoAttribute("starts"))?;
    let ends = ends.ok_or(Unfit::NoAttribute("ends"))?;
    let axes = axes.unwrap_or_else(|| (0..).take(starts.len()).collect());
    for (name, values) in [("starts", starts), ("ends", ends), ("axes", axes)] {
        let input = site.constant(&node, name, ints(&values));
        node.input.push(input);
    }
    Ok(vec![node])
}

/// 13 made the sizes an input.
pub(super) fn split(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let sizes = take(&mut node, "split").map(|sizes| sizes.ints).unwrap_or_default();
    if !sizes.is_empty() && node.input.len() == 1 {
        let sizes = site.constant(&node, "split", ints(&sizes));
        node.input.push(sizes);
    }
    Ok(vec![node])
}

/// 10 made k an input.
pub(super) fn top_k(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    let k = take(&mut node, "k").and_then(|k| k.i);
    if node.input.len() == 1 {
        let k = k.ok_or(Unfit::NoAttribute("k"))?;
        let k = site.constant(&node, "k", ints(&[k]));
        node.input.push(k);
    }
    Ok(vec![node])
}

/// An experimental operator that no later operator set has.
pub(super) fn dropped(_: &mut Site<'_>, _: NodeProto) -> Replaced {
    Err("it was an experimental operator, which later operator sets dropped".into())
}

/// Removes an attribute of a node and returns it.
pub(super) fn take(node: &mut NodeProto, name: &str) -> Option<AttributeProto> {
    let position = node.attribute.iter().position(|attribute| attribute.name() == name)?;
    Some(node.attribute.remove(position))
}

/// A list of INT64 without a name.
fn ints(values: &[i64]) -> TensorProto {
    i64_tensor("", &[values.len()], values)
}

/// Optional inputs at the end that aren't there need no empty name.
fn drop_absent_inputs(node: &mut NodeProto) {
    while node.input.last().is_some_and(String::is_empty) {
        node.input.pop();
    }
}

/// A scalar of the type of the tensor that it belongs to; where that is not known, of FLOAT, as nearly always.
fn scalar(value: f32, element_type: Option<i32>) -> Result<TensorProto, Unfit> {
    let bytes = match element_type {
        None | Some(data_type::FLOAT) => return Ok(scalar_f32("", value)),
        Some(data_type::FLOAT16) => half::f16::from_f32(value).to_le_bytes().to_vec(),
        Some(data_type::BFLOAT16) => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        Some(data_type::DOUBLE) => f64::from(value).to_le_bytes().to_vec(),
        Some(other) => {
            let kind = data_type_name(other);
            return Err(Unfit::Case(format!(
                "it works on {kind}, which operator sets before 11 did not allow"
            )));
        }
    };
    Ok(raw_tensor("", element_type.unwrap_or(data_type::FLOAT), &[], bytes))
}
