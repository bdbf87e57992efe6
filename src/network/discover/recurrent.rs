//! LSTM, GRU and RNN: each node has two layers, the input weights W and the recurrent weights R.

use super::site::{Reading, Role, Site, shape_text};
use super::weight_source::Weight;
use crate::network::layer::{Layer, LayerKind, Layout, OutAxis};

/// The layers of a recurrent node whose weights are constant.
pub(super) fn layers(site: &Site<'_>, found: &mut Vec<Layer>) {
    let kind = match site.node.op_type() {
        "LSTM" => LayerKind::Lstm,
        "GRU" => LayerKind::Gru,
        _ => LayerKind::Rnn,
    };
    for role in roles(kind) {
        if let Some(weight) = site.weight(role.weight_input) {
            found.push(site.layer(&role, weight, read));
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
            weight_input: 2,
            input: None,
            suffix: "/R",
        },
    ]
}

/// `W[D, gates*H, I]` and `R[D, gates*H, H]`.
fn read(weight: &Weight<'_>, sizes: &[usize]) -> Result<Reading, String> {
    let &[directions, gates, channels] = sizes else {
        return Err(format!(
            "the weights of a recurrent layer have 3 dimensions, these have the shape {}",
            shape_text(sizes)
        ));
    };
    if !weight.is_in_stored_order() {
        return Err("its weight passes a Transpose, which is followed for matrices only".to_owned());
    }
    let layout = Layout {
        groups: 1,
        outer: directions * gates,
        channels,
        inner: 1,
        out_axis: OutAxis::Outer,
    };
    Ok(Reading::view(
        layout,
        "recurrent layers are looked at only, so far: splitting them comes later",
    ))
}
