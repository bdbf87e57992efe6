//! What makes a value whose channels are to be divided: a norm, or a layer before.

use super::super::{LayerKind, Network};
use super::why_not_own;
use crate::onnx::build::{attribute_float, is_standard_domain};
use crate::onnx::operators::{Channels, operator_of};
use crate::onnx::{Graph, NodeProto, numbers};

/// Nodes between a norm's gain and its tensor that are followed.
const DEEPEST: usize = 4;

/// Nodes between a value and the layer that makes it that are followed.
const FARTHEST: usize = 8;

const NO_MAKER: &str =
    "its input comes from no norm with a gain of its own, nor by a way that keeps scales from a layer";

/// The constants that divide a value when they are divided.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Maker {
    /// The layer whose output channels are divided, if it is one.
    pub(super) layer: Option<usize>,
    /// Vectors, by the node and its input that reads them: gain and bias of a norm, biases.
    pub(super) vectors: Vec<(usize, usize)>,
    /// Position of the node.
    position: usize,
}

impl Maker {
    /// What makes `value` with so many channels on its last axis, or why it cannot be divided.
    pub(super) fn of(network: &Network, graph: &Graph<'_>, value: &str, channels: usize) -> Result<Self, &'static str> {
        if let Some(norm) = of_norm(graph, value, channels) {
            return Ok(norm);
        }
        let way = Way {
            network,
            graph,
            channels,
        };
        way.back(value, Self::default(), 0).ok_or(NO_MAKER)
    }

    /// The name of the norm's node or of the layer.
    pub(super) fn name(&self, network: &Network, graph: &Graph<'_>) -> String {
        match self.layer {
            Some(index) => network.layers[index].name.clone(),
            None => graph
                .node(self.position)
                .map(|node| node.name().to_owned())
                .unwrap_or_default(),
        }
    }
}

/// Gain and bias of a norm that gives `value`.
fn of_norm(graph: &Graph<'_>, value: &str, channels: usize) -> Option<Maker> {
    let position = graph.maker(value)?;
    let norm = graph.node(position).filter(|node| is_standard_domain(node.domain()))?;
    let is_constant = |slot: usize| {
        norm.input
            .get(slot)
            .is_some_and(|input| vector(graph, input, 0).is_some_and(|gain| gain.len() == channels))
    };
    let slots: Vec<usize> = match norm.op_type() {
        "LayerNormalization" if is_constant(1) => (1..norm.input.len().min(3)).collect(),
        "Mul" if is_constant(1) && !is_constant(0) => vec![1],
        "Mul" if is_constant(0) && !is_constant(1) => vec![0],
        _ => return None,
    };
    slots.iter().all(|slot| is_constant(*slot)).then(|| Maker {
        layer: None,
        vectors: slots.into_iter().map(|slot| (position, slot)).collect(),
        position,
    })
}

/// The way back from a value to the layer that makes it.
struct Way<'a> {
    network: &'a Network,
    graph: &'a Graph<'a>,
    channels: usize,
}

impl Way<'_> {
    /// The layer before `value`, through nodes with `f(s x) = s f(x)` in one input and what is added to its outputs.
    fn back(&self, value: &str, mut maker: Maker, depth: usize) -> Option<Maker> {
        // The first value is read by the layers, all others by the way alone.
        if depth > FARTHEST || (depth > 0 && self.graph.read_count(value) != 1) {
            return None;
        }
        let position = self.graph.maker(value)?;
        let node = self.graph.node(position)?;
        if let Some(made) = self.layer(position, node, &mut maker) {
            return made.then_some(maker);
        }
        let input = |slot: usize| node.input.get(slot).map(String::as_str);
        let operator = operator_of(node)?;
        match (node.op_type(), &operator.channels) {
            // Each element by itself, so that it does not matter where the channels are.
            (_, Channels::Elementwise) if operator.is_homogeneous => self.back(input(0)?, maker, depth + 1),
            ("Add", _) => {
                let bias = [0, 1].into_iter().find(|slot| {
                    let constant = input(*slot).and_then(|name| vector(self.graph, name, 0));
                    constant.is_some_and(|constant| constant.len() == self.channels)
                })?;
                maker.vectors.push((position, bias));
                self.back(input(1 - bias)?, maker, depth + 1)
            }
            // `(x / s) g = x g / s`: either factor may be divided.
            ("Mul", _) => [1, 0]
                .into_iter()
                .find_map(|slot| self.back(input(slot)?, maker.clone(), depth + 1)),
            _ => None,
        }
    }

    /// Whether the node is a layer whose output channels can be divided; `None` if it is no layer.
    fn layer(&self, position: usize, node: &NodeProto, maker: &mut Maker) -> Option<bool> {
        let index = *self.network.layers_of_main_node(position).first()?;
        let layer = &self.network.layers[index];
        let product = match layer.kind {
            LayerKind::MatMul => layer.weight_input == 1,
            LayerKind::Gemm => layer.weight_input == 1 && attribute_float(node, "beta").unwrap_or(1.0) == 1.0,
            _ => false,
        };
        let fits = layer.layout.groups == 1 && layer.layout.out_channels() == self.channels;
        if !product || !fits || why_not_own(self.graph, layer).is_err() {
            return Some(false);
        }
        if let Some(bias) = node.input.get(2).filter(|name| !name.is_empty()) {
            if vector(self.graph, bias, 0).is_none_or(|bias| bias.len() != self.channels) {
                return Some(false);
            }
            maker.vectors.push((position, 2));
        }
        maker.layer = Some(index);
        maker.position = position;
        Some(true)
    }
}

/// The numbers of a constant vector: a tensor, behind casts, or plus a number (Gemma's gains).
pub(in crate::network) fn vector(graph: &Graph<'_>, value: &str, depth: usize) -> Option<Vec<f32>> {
    if let Some(tensor) = graph.constant(value) {
        return Some(numbers(tensor).ok()?.to_vec()).filter(|values| tensor.dims.len() <= 1 && !values.is_empty());
    }
    let node = graph.maker_node(value).filter(|_| depth < DEEPEST)?;
    let input = |slot: usize| vector(graph, node.input.get(slot)?, depth + 1);
    match node.op_type() {
        "Cast" | "Identity" => input(0),
        "Add" => {
            let (mut a, mut b) = (input(0)?, input(1)?);
            if a.len() < b.len() {
                std::mem::swap(&mut a, &mut b);
            }
            let [offset] = b[..] else { return None };
            Some(a.into_iter().map(|x| x + offset).collect())
        }
        _ => None,
    }
}
