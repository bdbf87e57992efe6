//! `Upsample` 7 and 9 and `Resize` 10 as the `Resize` of 11 and later, which names its coordinates and its rounding.

use super::super::NodeProto;
use super::super::build::{attribute_string, float_tensor, node as new_node, string_attribute};
use super::super::tensor::float_values;
use super::super::unfit::Unfit;
use super::Site;
use super::rules::{Replaced, take};

/// Upsample 7 has its scales in an attribute, 9 in an input; it only ever enlarges.
pub(super) fn upsample(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    check_mode(&node)?;
    let scales = match (take(&mut node, "scales"), node.input.get(1)) {
        (Some(scales), None) => {
            let tensor = float_tensor("", &[scales.floats.len()], &scales.floats);
            site.constant(&node, "scales", tensor)
        }
        (_, Some(scales)) => scales.clone(),
        (None, None) => return Err("its scales are missing".into()),
    };
    node.op_type = Some("Resize".to_owned());
    Ok(vec![resized(node, scales, "floor")])
}

/// Resize 10 truncates the place of the nearest element when it enlarges an axis; when it shrinks one, it takes the next
/// element (the specification is silent; engines agree). Axes are independent in both cases, so what is not known to do
/// only one of them is done in two steps.
pub(super) fn resize(site: &mut Site<'_>, mut node: NodeProto) -> Replaced {
    if node.input.len() > 2 {
        return Ok(vec![node]);
    }
    check_mode(&node)?;
    let Some(scales) = node.input.get(1).cloned() else {
        return Err("its scales are missing".into());
    };
    let known = site
        .facts
        .constant(&scales)
        .and_then(|tensor| float_values(tensor).ok());
    let is_linear = attribute_string(&node, "mode") == Some("linear");
    let all = |holds: fn(&f32) -> bool| known.as_ref().is_some_and(|scales| scales.iter().all(holds));
    if is_linear || all(|scale| *scale >= 1.0) {
        return Ok(vec![resized(node, scales, "floor")]);
    }
    if all(|scale| *scale <= 1.0) {
        return Ok(vec![resized(node, scales, "ceil")]);
    }

    let one = site.constant(&node, "one", float_tensor("", &[1], &[1.0]));
    let mut bound = |operator: &str, what: &str| {
        let to = site.fresh(&node, what);
        let name = site.fresh(&node, &format!("{what}_of"));
        new_node(operator, name, [scales.clone(), one.clone()], [to], vec![])
    };
    let (up, down) = (bound("Max", "enlarging_scales"), bound("Min", "shrinking_scales"));
    let between = site.fresh(&node, "enlarged");
    let mut enlarge = node.clone();
    enlarge.name = Some(site.fresh(&node, "enlarge"));
    enlarge.output = vec![between.clone()];
    node.input[0] = between;
    let enlarge = resized(enlarge, up.output[0].clone(), "floor");
    let shrink = resized(node, down.output[0].clone(), "ceil");
    Ok(vec![up, down, enlarge, shrink])
}

fn check_mode(node: &NodeProto) -> Result<(), Unfit> {
    match attribute_string(node, "mode") {
        None | Some("nearest" | "linear") => Ok(()),
        Some(other) => Err(Unfit::Case(format!("its mode '{other}' is neither nearest nor linear"))),
    }
}

/// The same node with the inputs and attributes of the newer operator.
fn resized(mut node: NodeProto, scales: String, nearest_mode: &str) -> NodeProto {
    node.input.truncate(1);
    // No region of interest.
    node.input.extend([String::new(), scales]);
    node.attribute.extend([
        string_attribute("coordinate_transformation_mode", "asymmetric"),
        string_attribute("nearest_mode", nearest_mode),
    ]);
    node
}
