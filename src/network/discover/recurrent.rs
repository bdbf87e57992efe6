//! LSTM, GRU and RNN: each node has two layers, the input weights W and the recurrent weights R.
//!
//! `layout` (batch first) changes nothing here: the last axes of all values are the same.

use super::site::{Reading, Role, Site, shape_text};
use super::weight_source::Weight;
use crate::network::layer::{Layer, LayerKind, Layout, OutAxis, Support, Unsupported};
use crate::onnx::build::attribute_string;

/// The layers of a recurrent node whose weights are constant.
pub(super) fn layers(site: &Site<'_>, found: &mut Vec<Layer>) {
    let kind = match site.node.op_type() {
        "LSTM" => LayerKind::Lstm,
        "GRU" => LayerKind::Gru,
        _ => LayerKind::Rnn,
    };
    for role in roles(kind) {
        if let Some(weight) = site.weight(role.weight_input) {
            let recurrent = role.input.is_none();
            found.push(site.layer(&role, weight, |weight, sizes| {
                read(site, kind, recurrent, weight, sizes)
            }));
        }
    }
}

/// W multiplies the node's input; R the hidden state, which no value of the graph holds.
pub(super) fn roles(kind: LayerKind) -> [Role; 2] {
    [
        Role {
            kind,
            weight_input: 1,
            input: Some((0, -1)),
            suffix: "/W",
        },
        Role {
            kind,
            weight_input: Layer::RECURRENT_WEIGHT,
            input: None,
            suffix: "/R",
        },
    ]
}

/// `W[D, gates*H, I]` and, if `recurrent`, `R[D, gates*H, H]`. Both directions of a layer split the same channels.
fn read(
    site: &Site<'_>,
    kind: LayerKind,
    recurrent: bool,
    weight: &Weight<'_>,
    sizes: &[usize],
) -> Result<Reading, Unsupported> {
    let &[directions, rows, channels] = sizes else {
        return Err(Unsupported::Rank {
            rule: "the weights of a recurrent layer have 3 dimensions, these have",
            shape: sizes.to_vec(),
        });
    };
    if !weight.is_in_stored_order() {
        return Err(Unsupported::Turned("weight"));
    }
    let layout = Layout {
        groups: 1,
        outer: directions * rows,
        channels,
        inner: 1,
        out_axis: OutAxis::Outer,
        out_run: 1,
    };
    let gates = kind.gates().unwrap_or(1);
    let hidden = rows / gates;
    let declared = site.int("hidden_size", i64::try_from(hidden).unwrap_or(i64::MAX));
    let bidirectional = attribute_string(site.node, "direction") == Some("bidirectional");
    if directions != 1 + usize::from(bidirectional)
        || !rows.is_multiple_of(gates)
        || usize::try_from(declared) != Ok(hidden)
        || (recurrent && channels != hidden)
    {
        return Ok(Reading::view(
            layout,
            format!(
                "its weights of shape {} do not fit {} of {declared} hidden units in {} direction(s)",
                shape_text(sizes),
                site.node.op_type(),
                1 + usize::from(bidirectional)
            ),
        ));
    }
    Ok(Reading {
        layout,
        support: Support::Split,
        unpacked: None,
    })
}
