//! Operators that hold weights and are no layers: listed, so that nobody takes them for what is done.

use super::matmul::{Side, read_side};
use super::site::{Reading, Role, Site, plain_layout};
use super::{convolution, quantized};
use crate::network::layer::{Layer, LayerKind};
use crate::onnx::{is_float, why_no_product};

/// The weights of a node that is no layer, to look at.
pub(super) fn layers(site: &Site<'_>, found: &mut Vec<Layer>) {
    match (site.is_standard(), site.node.domain(), site.node.op_type()) {
        (true, _, "Einsum") => einsum(site, found),
        (true, _, "DeformConv") => found.extend(site.weight(1).map(|weight| {
            site.layer(&role(1), weight, |weight, sizes| {
                let reading = convolution::read_conv(weight, sizes, site.int("group", 1))?;
                Ok(Reading::view(
                    reading.layout,
                    "DeformConv: its weights are looked at only, so far",
                ))
            })
        })),
        (true, ..) => {}
        (_, "com.microsoft", "FusedMatMul") => found.extend(site.weight(1).map(|weight| {
            site.layer(&role(1), weight, |weight, sizes| {
                let side = if site.int("transB", 0) == 0 {
                    Side::Right
                } else {
                    Side::Left
                };
                Ok(quantized::fused(site, &read_side(weight, sizes, side)?))
            })
        })),
        (_, "com.microsoft", _) => every_weight(site, &quantized::known_to_runtime_only(site), found),
        (_, domain, op) => {
            let domain = crate::printable::short(domain);
            let op = crate::printable::short(op);
            every_weight(
                site,
                &format!("{op} of '{domain}' is no operator that is known: looked at only"),
                found,
            );
        }
    }
}

/// An Einsum that is no plain product ([`crate::onnx::plain_products`] writes the others as MatMul).
fn einsum(site: &Site<'_>, found: &mut Vec<Layer>) {
    let reason = |slot: usize| {
        let weight = site.weight(slot)?;
        let rank = site.rank(usize::from(slot == 0));
        let why = why_no_product(site.node, slot, &weight.tensor.dims, rank);
        Some(why.unwrap_or_else(|| "its weight is no constant of the main graph".to_owned()))
    };
    let why = (0..site.node.input.len()).find_map(reason).unwrap_or_default();
    every_weight(site, &format!("Einsum: {why}"), found);
}

fn role(weight_input: usize) -> Role {
    Role {
        kind: LayerKind::Other,
        weight_input,
        input: None,
        suffix: "",
    }
}

/// Every constant input of floats that is a matrix or more; a row or column of numbers is no weight.
fn every_weight(site: &Site<'_>, reason: &str, found: &mut Vec<Layer>) {
    for slot in 0..site.node.input.len() {
        let Some(weight) = site.weight(slot) else { continue };
        let long = weight.tensor.dims.iter().filter(|size| **size > 1).count();
        if long < 2 || !(is_float(weight.tensor) || weight.dequantized) {
            continue;
        }
        found.push(site.layer(&role(slot), weight, |_, sizes| {
            Ok(Reading::view(plain_layout(sizes), reason))
        }));
    }
}
