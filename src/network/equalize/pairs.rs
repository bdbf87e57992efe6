//! Which layers can be equalized with each other: the way from one to the next, and why it is barred.

use super::super::{Layer, LayerKind, Network, NetworkError, fold};
use super::bounds::Bound;
use super::reads_plain_weight;
use crate::onnx::operators::{Channels, Operator, operator_of};
use crate::onnx::{Graph, GraphEdit, NodeProto};
use std::collections::HashMap;

/// Two layers and the values between them.
pub(super) struct Pair {
    /// Index of the layer whose output channels are scaled.
    pub(super) first: usize,
    /// Index of the layer whose input channels are scaled.
    pub(super) second: usize,
    /// Input channels of the second layer for each output channel of the first, next to each other: more than 1 behind a
    /// Flatten of pictures.
    pub(super) repeats: usize,
    /// Names of the values between the layers.
    pub(super) values: Vec<String>,
    /// Where they are cut off.
    pub(super) bounds: Vec<Bound>,
}

/// The pairs, and the layers that end none: name and reason.
pub(super) struct Found {
    pub(super) pairs: Vec<Pair>,
    pub(super) skipped: Vec<(String, String)>,
}

/// All pairs, and for each layer that ends none the reason. The last layer needs no reason.
pub(super) fn find_pairs(network: &Network, graph: &Graph<'_>, edit: &GraphEdit) -> Result<Found, NetworkError> {
    let mut by_node: HashMap<usize, usize> = HashMap::new();
    for (index, layer) in network.layers.iter().enumerate() {
        if let Some(path) = layer.node.as_ref().filter(|path| path.subgraphs.is_empty()) {
            by_node.entry(path.node).or_insert(index);
        }
    }
    let way = Way {
        network,
        graph,
        edit,
        by_node,
    };
    let (mut pairs, mut skipped) = (Vec::new(), Vec::new());
    for (index, layer) in network.layers.iter().enumerate() {
        if !matches!(layer.kind, LayerKind::Conv | LayerKind::Gemm) {
            continue;
        }
        match way.from(index)? {
            Ok(pair) => pairs.push(pair),
            Err(Some(why)) => skipped.push((layer.name.clone(), why)),
            Err(None) => {}
        }
    }
    Ok(Found { pairs, skipped })
}

/// What is needed to walk from layer to layer.
struct Way<'a> {
    network: &'a Network,
    graph: &'a Graph<'a>,
    edit: &'a GraphEdit,
    by_node: HashMap<usize, usize>,
}

impl Way<'_> {
    /// The pair that begins with layer `first`; else why there is none, `None` for a layer at the end of the network.
    fn from(&self, first: usize) -> Result<Result<Pair, Option<String>>, NetworkError> {
        let because = |why: &str| Ok(Err(Some(why.to_owned())));
        let layer = &self.network.layers[first];
        let Some(node) = self.node_of(layer) else {
            return because("it is inside a subgraph");
        };
        if let Some(why) = self.why_not_scalable(first)? {
            return because(why);
        }
        if super::super::fold::bias(self.edit, node, layer.layout.out_channels())?.is_none() {
            return because("its bias is no constant with one number a channel");
        }
        let Some(mut value) = node.output.first() else {
            return Ok(Err(None));
        };
        let (mut values, mut bounds, mut flat) = (Vec::new(), Vec::new(), layer.kind == LayerKind::Gemm);
        let channels = (layer.layout.out_channels(), layer.shape.len().saturating_sub(2));
        loop {
            values.push(value.clone());
            let Some(&position) = self.graph.readers(value).last() else {
                return Ok(Err(None));
            };
            if self.graph.read_count(value) != 1 {
                return because("its output is read more than once");
            }
            let Some(reader) = self.graph.node(position) else {
                return Ok(Err(None));
            };
            if let Some(&second) = self.by_node.get(&position) {
                return Ok(match self.why_not_next(first, second, value, flat)? {
                    Some(why) => Err(Some(format!("'{}': {why}", self.network.layers[second].name))),
                    None => Ok(Pair {
                        first,
                        second,
                        repeats: self.network.layers[second].layout.in_channels() / layer.layout.out_channels(),
                        values,
                        bounds,
                    }),
                });
            }
            flat |= reader.op_type() == "Flatten";
            if let Some(bound) = Bound::of(self.edit, position, reader, value, channels, flat) {
                bounds.push(bound);
            } else if !passes_scales(reader, value) {
                return because(&format!("{} is in the way", reader.op_type()));
            }
            value = &reader.output[0];
        }
    }

    fn node_of(&self, layer: &Layer) -> Option<&NodeProto> {
        let path = layer.node.as_ref().filter(|path| path.subgraphs.is_empty())?;
        self.graph.node(path.node)
    }

    /// Why the weight of layer `index` cannot be replaced by a scaled one.
    fn why_not_scalable(&self, index: usize) -> Result<Option<&'static str>, NetworkError> {
        let layer = &self.network.layers[index];
        let name = self.node_of(layer).and_then(|node| node.input.get(1));
        if !reads_plain_weight(layer) || name.and_then(|name| fold::plain_float(self.edit, name)).is_none() {
            return Ok(Some("its weight is no plain F32 constant"));
        }
        let finite = self.network.weights(index)?.iter().all(|x| x.is_finite());
        Ok((!finite).then_some("some of its weights are NaN or infinite"))
    }

    /// Why the input channels of layer `second`, which reads `value`, are not the output channels of layer `first`. `flat`:
    /// the value is a matrix, not a picture.
    fn why_not_next(
        &self,
        first: usize,
        second: usize,
        value: &str,
        flat: bool,
    ) -> Result<Option<&'static str>, NetworkError> {
        let (before, layer) = (&self.network.layers[first], &self.network.layers[second]);
        let takes = match layer.kind {
            LayerKind::Conv => !flat,
            LayerKind::Gemm | LayerKind::MatMul => flat,
            _ => false,
        };
        if !takes {
            return Ok(Some("its input channels are not those of the layer before"));
        }
        let along_channels = layer
            .input
            .as_ref()
            .is_some_and(|(name, axis)| name == value && matches!(axis, 1 | -1));
        let (outputs, inputs) = (before.layout.out_channels(), layer.layout.in_channels());
        let fits = outputs > 0 && inputs.is_multiple_of(outputs) && (flat || inputs == outputs);
        if !along_channels || !fits {
            return Ok(Some("its input channels are not those of the layer before"));
        }
        self.why_not_scalable(second)
    }
}

/// Whether a node that reads `value` computes `s f(x)` from `s x` for every channel and s > 0, and keeps channels apart.
fn passes_scales(node: &NodeProto, value: &str) -> bool {
    let alone = node.output.iter().skip(1).all(String::is_empty) && !node.output.is_empty();
    let reads = node.input.first().is_some_and(|input| input == value);
    let passes = |operator: &Operator| {
        let in_place = matches!(
            operator.channels,
            Channels::Elementwise | Channels::Binary | Channels::Pool | Channels::Flatten
        );
        operator.is_homogeneous && in_place
    };
    alone && reads && operator_of(node).is_some_and(passes)
}
