//! Operators whose weights are on a grid already, and those that only ONNX Runtime knows: all to look at.

use super::matmul::{Side, read_matrix, read_side};
use super::site::{Reading, Role, Site, plain_layout};
use super::weight_source::Weight;
use super::{convolution, other, recurrent};
use crate::network::layer::{Layer, LayerKind, Unsupported};
use crate::onnx::BlockPacked;

/// The layers of a quantized (or fused) node whose weights are constant.
pub(super) fn layers(site: &Site<'_>, found: &mut Vec<Layer>) {
    let op = site.node.op_type();
    match (site.is_standard(), site.node.domain(), op) {
        (true, _, "QLinearConv") | (_, "com.microsoft", "QLinearConv" | "NhwcQLinearConv") => {
            found.extend(conv(site, 3));
        }
        (true, _, "ConvInteger") => found.extend(conv(site, 1)),
        (true, _, "QLinearMatMul") => found.extend(matmul(site, 3, 0)),
        (true, _, "MatMulInteger") | (_, "com.microsoft", "MatMulIntegerToFloat" | "DynamicQuantizeMatMul") => {
            found.extend(matmul(site, 1, 0));
        }
        (_, "com.microsoft", "QAttention") => found.extend(matmul(site, 1, usize::MAX)),
        (_, "com.microsoft", "QGemm") => found.extend(gemm(site, 3)),
        (_, "com.microsoft", "MatMulNBits") => found.extend(packed(site, 1, (0, -1))),
        (_, "com.microsoft", "GatherBlockQuantized") => found.extend(packed(site, 0, (1, -1))),
        (_, "com.microsoft", "DynamicQuantizeLSTM") => lstm(site, found),
        (_, "com.microsoft", "FusedConv") => found.extend(site.weight(1).map(|weight| {
            site.layer(&role(LayerKind::Conv, 1, (0, 1)), weight, |weight, sizes| {
                let groups = site.int("group", 1);
                Ok(fused(site, &convolution::read_conv(weight, sizes, groups)?))
            })
        })),
        (_, "com.microsoft", "FusedGemm") => found.extend(site.weight(1).map(|weight| {
            site.layer(&role(LayerKind::Gemm, 1, (0, -1)), weight, |weight, sizes| {
                let axis = usize::from(site.int("transB", 0) != 0);
                Ok(fused(site, &read_matrix(weight, sizes, axis)?))
            })
        })),
        _ => other::layers(site, found),
    }
}

fn role(kind: LayerKind, weight_input: usize, input: (usize, i64)) -> Role {
    Role {
        kind,
        weight_input,
        input: Some(input),
        suffix: "",
    }
}

/// Only the layout of `reading` is kept.
fn already(site: &Site<'_>, weight: &Weight<'_>, reading: &Reading) -> Reading {
    let weights = format!("{} with {} weights", site.node.op_type(), weight.type_name());
    Reading::view(reading.layout, Unsupported::Quantized(weights))
}

pub(super) fn fused(site: &Site<'_>, reading: &Reading) -> Reading {
    Reading::view(reading.layout, known_to_runtime_only(site))
}

/// Why the weights of an operator of ONNX Runtime are looked at only.
pub(super) fn known_to_runtime_only(site: &Site<'_>) -> String {
    format!(
        "{} is known to ONNX Runtime only: open the network as it was before that optimized it",
        site.node.op_type()
    )
}

fn conv(site: &Site<'_>, index: usize) -> Option<Layer> {
    let groups = site.int("group", 1);
    let role = role(LayerKind::Quantized, index, (0, 1));
    Some(site.layer(&role, site.weight(index)?, |weight, sizes| {
        Ok(already(site, weight, &convolution::read_conv(weight, sizes, groups)?))
    }))
}

fn matmul(site: &Site<'_>, right: usize, left: usize) -> Option<Layer> {
    let (weight, role, side) = match site.weight(right) {
        Some(weight) => (weight, role(LayerKind::Quantized, right, (0, -1)), Side::Right),
        None => (
            site.weight(left)?,
            role(LayerKind::Quantized, left, (right, -2)),
            Side::Left,
        ),
    };
    Some(site.layer(&role, weight, |weight, sizes| {
        Ok(already(site, weight, &read_side(weight, sizes, side)?))
    }))
}

fn gemm(site: &Site<'_>, index: usize) -> Option<Layer> {
    let axis = usize::from(site.int("transB", 0) != 0);
    let role = role(LayerKind::Quantized, index, (0, -1));
    Some(site.layer(&role, site.weight(index)?, |weight, sizes| {
        Ok(already(site, weight, &read_matrix(weight, sizes, axis)?))
    }))
}

/// MatMulNBits and GatherBlockQuantized keep their integers packed in blocks; their attributes tell the matrix.
fn packed(site: &Site<'_>, index: usize, input: (usize, i64)) -> Option<Layer> {
    let role = role(LayerKind::Quantized, index, input);
    Some(site.layer(&role, site.weight(index)?, |weight, _| {
        let packed = BlockPacked::of(site.node, weight.tensor)
            .ok_or("it is not packed")?
            .map_err(|why| format!("{}: {why}", site.node.op_type()))?;
        let (op, bits) = (site.node.op_type(), packed.bits());
        let reason = Unsupported::Quantized(format!("{op} with {bits}-bit weights"));
        Ok(Reading {
            unpacked: Some(packed.shape.clone()),
            ..Reading::view(plain_layout(&packed.shape), reason)
        })
    }))
}

/// DynamicQuantizeLSTM has `W[D, I, 4H]` and `R[D, H, 4H]`: turned, compared with LSTM.
fn lstm(site: &Site<'_>, found: &mut Vec<Layer>) {
    for role in recurrent::roles(LayerKind::Quantized) {
        if let Some(weight) = site.weight(role.weight_input) {
            found.push(site.layer(&role, weight, |weight, sizes| {
                Ok(already(site, weight, &read_side(weight, sizes, Side::Right)?))
            }));
        }
    }
}
