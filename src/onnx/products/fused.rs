//! Products of com.microsoft that ONNX Runtime fused with what stands around them, taken apart again.

use super::Site;
use crate::onnx::build::{attribute, attribute_float, attribute_int, attribute_string, float_attribute, node};
use crate::onnx::build::{ints_attribute, scalar_f32};
use crate::onnx::schema::data_type;
use crate::onnx::{NodeProto, label};

/// FusedMatMul: `alpha * op(A) @ op(B)`, where `op` swaps the last two axes.
pub(super) fn matmul(site: &mut Site<'_>, fused: &NodeProto) -> Option<Vec<NodeProto>> {
    let is_set = |name: &str| attribute_int(fused, name).unwrap_or(0) != 0;
    if is_set("transBatchA") || is_set("transBatchB") {
        return None;
    }
    let [left, right] = fused.input.as_slice() else {
        return None;
    };
    let mut nodes = Vec::new();
    let mut sides = [left.clone(), right.clone()];
    for (side, name) in sides.iter_mut().zip(["transA", "transB"]) {
        if !is_set(name) {
            continue;
        }
        let rank = i64::try_from(site.facts.rank(side)?).ok().filter(|rank| *rank >= 2)?;
        let axes: Vec<i64> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
        let turned = site.names.fresh(&format!("{}.{name}", label(fused)));
        let turn = vec![ints_attribute("perm", axes)];
        nodes.push(node("Transpose", &turned, [&*side], [&turned], turn));
        *side = turned;
    }
    let alpha = attribute_float(fused, "alpha").unwrap_or(1.0);
    let output = fused.output.first()?;
    if alpha.to_bits() == 1.0_f32.to_bits() {
        nodes.push(node("MatMul", fused.name(), sides, [output], Vec::new()));
        return Some(nodes);
    }
    let known = |side: &String| site.facts.element_type(side);
    if known(left).or_else(|| known(right))? != data_type::FLOAT {
        return None;
    }
    let product = site.names.fresh(&format!("{}.product", label(fused)));
    let factor = site.names.fresh(&format!("{}.alpha", label(fused)));
    let scaled = site.names.fresh(&format!("{}.scaled", label(fused)));
    site.added.push(scalar_f32(&factor, alpha));
    nodes.push(node("MatMul", fused.name(), sides, [&product], Vec::new()));
    nodes.push(node("Mul", scaled, [&product, &factor], [output], Vec::new()));
    Some(nodes)
}

/// FusedGemm: a Gemm, then an activation.
pub(super) fn gemm(site: &mut Site<'_>, fused: &NodeProto) -> Option<Vec<NodeProto>> {
    let parameter = |name: &str| attribute_float(fused, &format!("activation_{name}"));
    let parameters = [parameter("alpha"), parameter("beta")];
    unfused(site, fused, "Gemm", fused.input.clone(), None, parameters)
}

/// FusedConv: a Conv, its fourth input added, then an activation.
pub(super) fn conv(site: &mut Site<'_>, fused: &NodeProto) -> Option<Vec<NodeProto>> {
    let list = attribute(fused, "activation_params").map_or(&[][..], |found| &found.floats);
    let parameters = [list.first().copied(), list.get(1).copied()];
    let inputs = fused.input.iter().take(3).cloned().collect();
    let more = fused.input.get(3).filter(|name| !name.is_empty()).cloned();
    unfused(site, fused, "Conv", inputs, more, parameters)
}

/// The operator `op` with `inputs`, then `more` added, then the activation that the attributes name.
fn unfused(
    site: &mut Site<'_>,
    fused: &NodeProto,
    op: &str,
    mut inputs: Vec<String>,
    more: Option<String>,
    parameters: [Option<f32>; 2],
) -> Option<Vec<NodeProto>> {
    while inputs.last().is_some_and(String::is_empty) {
        inputs.pop();
    }
    let is_own = |name: &str| !name.starts_with("activation");
    let own = fused.attribute.iter().filter(|attribute| is_own(attribute.name()));
    let mut nodes = vec![node(
        op,
        fused.name(),
        inputs,
        fused.output.first().cloned(),
        own.cloned().collect(),
    )];
    if let Some(more) = more {
        let before = behind_last(site, &mut nodes, fused, "product")?;
        let name = site.names.fresh(&format!("{}.add", label(fused)));
        nodes.push(node(
            "Add",
            name,
            [before, more],
            fused.output.first().cloned(),
            Vec::new(),
        ));
    }
    if let Some(activation) = attribute_string(fused, "activation").filter(|name| !name.is_empty()) {
        let before = behind_last(site, &mut nodes, fused, "linear")?;
        let name = site.names.fresh(&format!("{}.{activation}", label(fused)));
        let [first, second] = parameters;
        let mut inputs = vec![before];
        let attributes = match activation {
            "Relu" | "Sigmoid" | "Tanh" => Vec::new(),
            "LeakyRelu" => vec![float_attribute("alpha", first?)],
            "HardSigmoid" => vec![float_attribute("alpha", first?), float_attribute("beta", second?)],
            "Clip" if site.version >= 11 => {
                for (bound, value) in [("min", first?), ("max", second?)] {
                    let constant = site.names.fresh(&format!("{}.{bound}", label(fused)));
                    site.added.push(scalar_f32(&constant, value));
                    inputs.push(constant);
                }
                Vec::new()
            }
            _ => return None,
        };
        nodes.push(node(
            activation,
            name,
            inputs,
            fused.output.first().cloned(),
            attributes,
        ));
    }
    Some(nodes)
}

/// Gives the output of the last node a name of its own, for a node behind it.
fn behind_last(site: &mut Site<'_>, nodes: &mut [NodeProto], fused: &NodeProto, what: &str) -> Option<String> {
    let name = site.names.fresh(&format!("{}.{what}", label(fused)));
    *nodes.last_mut()?.output.first_mut()? = name.clone();
    Some(name)
}
