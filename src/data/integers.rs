//! Which integers an input takes, as far as the network shows it, where there are no data.

use super::Port;
use crate::network::Network;
use crate::onnx::{NodeProto, TensorProto};
use std::ops::RangeInclusive;

/// Tokens that every network with integers for input should know.
const FEW: u64 = 2;

/// Inputs that say which places count: 1 where one does.
const ATTENDED: [&str; 2] = ["attention_mask", "pixel_mask"];

/// The integers that input `at` of `ports` may be filled with: token ids by the embedding that they pick from; 1 in a mask of
/// attention; the length of the sequences where there is one number for each sample; else 0 and 1. `shapes` are those that the inputs
/// get.
pub(crate) fn made_up_integers(
    network: &Network,
    ports: &[Port],
    shapes: &[&[usize]],
    at: usize,
) -> RangeInclusive<u64> {
    let port = &ports[at];
    if let Some(rows) = embedded(network, &port.name) {
        return 0..=rows - 1;
    }
    let name = port.name.to_lowercase();
    if ATTENDED.iter().any(|mask| name.contains(mask)) {
        return 1..=1;
    }
    match (shapes[at], length(ports, shapes, at)) {
        ([_], Some(length)) => length..=length,
        _ => 0..=FEW - 1,
    }
}

/// Rows of the smallest table that `port` picks from, itself or cast; `None` where the graph shows none.
pub(super) fn embedded(network: &Network, port: &str) -> Option<u64> {
    let graph = network.model.graph.as_ref()?;
    let first = |node: &NodeProto| node.input.first().cloned().unwrap_or_default();
    let casts = (graph.node.iter()).filter(|node| node.op_type() == "Cast" && first(node) == port);
    let ids: Vec<&str> = casts
        .filter_map(|node| node.output.first())
        .map(String::as_str)
        .chain([port])
        .collect();
    let picks = |node: &&NodeProto| {
        node.op_type() == "Gather" && node.input.get(1).is_some_and(|index| ids.contains(&index.as_str()))
    };
    let rows = graph.node.iter().filter(picks).filter_map(|node| {
        let named = |table: &&TensorProto| table.name() == first(node);
        // Along the first axis, as an embedding is.
        let table = graph.initializer.iter().find(named)?;
        u64::try_from(*table.dims.first()?).ok()
    });
    rows.filter(|rows| *rows > 0).min()
}

/// How long the sequences beside input `at` are: the first free axis of another input, besides that of the samples, or the only such
/// axis of other integers.
fn length(ports: &[Port], shapes: &[&[usize]], at: usize) -> Option<u64> {
    let others = || (0..ports.len()).filter(|other| *other != at);
    let along = |other: usize| {
        let axes = 0..shapes[other].len();
        axes.filter(move |axis| *axis != ports[other].sample_axis())
    };
    let is_free = |other: usize, axis: usize| {
        let sizes = ports[other].shape.as_deref();
        sizes.is_some_and(|sizes| sizes.get(axis) == Some(&None))
    };
    let free = others().find_map(|other| {
        let axis = along(other).find(|axis| is_free(other, *axis))?;
        Some(shapes[other][axis])
    });
    let of_tokens = || {
        let tokens = others().find(|other| ports[*other].is_integer() && shapes[*other].len() == 2)?;
        along(tokens).next().map(|axis| shapes[tokens][axis])
    };
    free.or_else(of_tokens).and_then(|length| u64::try_from(length).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ElementKind;
    use crate::format::demo::Demo;

    fn port(name: &str, kind: ElementKind, shape: &[Option<usize>]) -> Port {
        Port {
            name: name.to_owned(),
            shape: Some(shape.to_vec()),
            axis_names: vec![None; shape.len()],
            kind,
        }
    }

    #[test]
    fn lengths_are_those_of_the_sequences_and_masks_let_all_count() {
        let network = Demo::Fashion.network().unwrap();
        let free = [
            port("frames", ElementKind::Float, &[None, None, Some(80)]),
            port("lengths", ElementKind::Integer, &[None]),
            port("attention_mask", ElementKind::Integer, &[None, None]),
            port("which", ElementKind::Integer, &[None, Some(3)]),
        ];
        let shapes: [&[usize]; 4] = [&[8, 32, 80], &[8], &[8, 32], &[8, 3]];
        let of = |at| made_up_integers(&network, &free, &shapes, at);
        assert_eq!([of(1), of(2), of(3)], [32..=32, 1..=1, 0..=1]);
        let fixed = [
            port("lengths", ElementKind::Integer, &[Some(1)]),
            port("tokens", ElementKind::Integer, &[Some(1), Some(24)]),
        ];
        assert_eq!(made_up_integers(&network, &fixed, &[&[1], &[1, 24]], 0), 24..=24);
        let alone = [port("which", ElementKind::Integer, &[None])];
        assert_eq!(made_up_integers(&network, &alone, &[&[4]], 0), 0..=1);
    }

    #[test]
    fn tokens_are_those_of_the_embedding() {
        let network = Demo::Shakespeare.network().unwrap();
        let name = network.model.graph.as_ref().unwrap().input[0].name().to_owned();
        let ports = [port(&name, ElementKind::Integer, &[None, None])];
        assert_eq!(made_up_integers(&network, &ports, &[&[2, 32]], 0), 0..=64);
    }
}
