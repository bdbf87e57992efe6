//! Gemm and MatMul.

use super::site::{Reading, Role, Site, plain_layout, shape_text};
use super::weight_source::Weight;
use crate::network::layer::{Layer, LayerKind, Layout, OutAxis, Support, Unsupported};

/// A Gemm with a constant matrix.
pub(super) fn gemm(site: &Site<'_>) -> Option<Layer> {
    let role = |weight_input, input| Role {
        kind: LayerKind::Gemm,
        weight_input,
        input: Some(input),
        suffix: "",
    };
    let turned_input = site.int("transA", 0) != 0;
    let channel_axis = usize::from(site.int("transB", 0) != 0);
    if let Some(weight) = site.weight(1) {
        let input_axis = if turned_input { -2 } else { -1 };
        return Some(site.layer(&role(1, (0, input_axis)), weight, |weight, sizes| {
            let reading = read_matrix(weight, sizes, channel_axis)?;
            if turned_input {
                return Ok(Reading::view(reading.layout, "transA: its input lies on its side"));
            }
            Ok(reading)
        }));
    }
    let weight = site.weight(0)?;
    let input_axis = if channel_axis == 1 { -1 } else { -2 };
    Some(site.layer(&role(0, (1, input_axis)), weight, |weight, sizes| {
        let reading = read_matrix(weight, sizes, usize::from(!turned_input))?;
        Ok(Reading::view(
            reading.layout,
            "the constant is the first matrix of the Gemm",
        ))
    }))
}

/// A MatMul with a constant side.
pub(super) fn matmul(site: &Site<'_>) -> Option<Layer> {
    let role = |weight_input, input| Role {
        kind: LayerKind::MatMul,
        weight_input,
        input,
        suffix: "",
    };
    match (site.weight(0), site.weight(1)) {
        (None, None) => None,
        (None, Some(weight)) => Some(site.layer(&role(1, Some((0, -1))), weight, |weight, sizes| {
            read_side(weight, sizes, Side::Right)
        })),
        (Some(weight), None) => {
            // The channels of a matrix are its rows; a vector has nothing else.
            let is_vector = site.rank(1) == Some(1);
            let input_axis = if is_vector { -1 } else { -2 };
            Some(site.layer(&role(0, Some((1, input_axis))), weight, |weight, sizes| {
                read_side(weight, sizes, Side::Left)
            }))
        }
        (Some(_), Some(weight)) => Some(site.layer(&role(1, None), weight, |weight, sizes| {
            let reading = read_side(weight, sizes, Side::Right)?;
            Ok(Reading::view(
                reading.layout,
                "both sides are constant: nothing flows through it",
            ))
        })),
    }
}

/// Which side of a MatMul is the constant.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// `W[O, I] @ x`
    Left,
    /// `x @ W[I, O]`
    Right,
}

/// The constant side of a MatMul, of any rank.
pub(super) fn read_side(weight: &Weight<'_>, sizes: &[usize], side: Side) -> Result<Reading, Unsupported> {
    match sizes {
        [] | [_] => Err(Unsupported::Vector),
        [_, _] => read_matrix(
            weight,
            sizes,
            match side {
                Side::Left => 1,
                Side::Right => 0,
            },
        ),
        [batch @ .., rows, columns] => {
            let batch = batch.iter().product();
            let layout = match side {
                _ if !weight.is_in_stored_order() => plain_layout(sizes),
                Side::Left => Layout {
                    groups: 1,
                    outer: batch * rows,
                    channels: *columns,
                    inner: 1,
                    out_axis: OutAxis::Outer,
                    out_run: 1,
                },
                Side::Right => Layout {
                    groups: batch,
                    outer: 1,
                    channels: *rows,
                    inner: *columns,
                    out_axis: OutAxis::Inner,
                    out_run: 1,
                },
            };
            Ok(Reading::view(
                layout,
                format!(
                    "batched weights of shape {} are looked at only, so far",
                    shape_text(sizes)
                ),
            ))
        }
    }
}

/// A matrix whose input channels are on axis `channel_axis` as the layer sees it.
pub(super) fn read_matrix(weight: &Weight<'_>, sizes: &[usize], channel_axis: usize) -> Result<Reading, Unsupported> {
    let &[rows, columns] = sizes else {
        return Err(Unsupported::Rank {
            rule: "its weight is no matrix but has",
            shape: sizes.to_vec(),
        });
    };
    let stored_axis = weight.axes.get(channel_axis).copied().unwrap_or(channel_axis);
    let layout = if stored_axis == 0 {
        Layout {
            groups: 1,
            outer: 1,
            channels: rows,
            inner: columns,
            out_axis: OutAxis::Inner,
            out_run: 1,
        }
    } else {
        Layout {
            groups: 1,
            outer: rows,
            channels: columns,
            inner: 1,
            out_axis: OutAxis::Outer,
            out_run: 1,
        }
    };
    Ok(Reading {
        layout,
        support: Support::Split,
        unpacked: None,
    })
}
