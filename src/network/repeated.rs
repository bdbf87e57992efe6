//! Layers whose input channels are copies of others: what splitting leaves in an exported network.

use super::Network;
use super::layer::{Layer, LayerKind};
use super::stored::places;
use crate::onnx::build::{attribute_int, is_standard_domain};
use crate::onnx::operators::{Channels, operator_of};
use crate::onnx::{Graph, NodeProto, numbers};
use std::collections::HashMap;

/// Nodes between a layer and the one before it, or its `Gather`, that are followed.
const LONGEST_CHAIN: usize = 32;

/// End of the name of a tensor that lists the source of each input channel, in a file without a graph.
const INDEX_ENDING: &str = ".ocs_index";

/// Name of the tensor that lists the source of each input channel of the weight called `weight`.
pub(crate) fn index_name(weight: &str) -> String {
    format!("{weight}{INDEX_ENDING}")
}

/// Input channels that are copies of others.
#[derive(Debug, Clone, PartialEq)]
pub struct RepeatedChannels {
    /// Channels that there are without copies, in each group.
    pub channels: usize,
    /// For each input channel (group by group), the one of its group that it copies.
    pub sources: Vec<usize>,
    /// What each copy is multiplied by before the layer sees it.
    pub factors: Vec<f32>,
}

impl RepeatedChannels {
    /// Copies without a factor. `None` unless `sources` names every channel of each group and some more than once.
    pub fn new(groups: usize, sources: Vec<usize>) -> Option<Self> {
        let factors = vec![1.0; sources.len()];
        let of_group = sources.len().checked_div(groups)?;
        let channels = sources.iter().max()? + 1;
        if of_group * groups != sources.len() || channels >= of_group {
            return None;
        }
        let complete = sources.chunks(of_group).all(|sources| {
            let mut seen = vec![false; channels];
            sources.iter().for_each(|source| seen[*source] = true);
            seen.iter().all(|seen| *seen)
        });
        complete.then_some(Self {
            channels,
            sources,
            factors,
        })
    }
}

impl Network {
    /// For each layer, what a `Gather` makes of its input channels, of all or of the copies behind them: copies of others, maybe
    /// multiplied by constants (halves), maybe put on a grid. In a file without a graph, what the tensor `NAME.ocs_index` says. `None` for all other layers.
    pub fn repeated_channels(&self) -> Vec<Option<RepeatedChannels>> {
        let Some(graph) = &self.model.graph else {
            return vec![None; self.layers.len()];
        };
        let graph = Graph::main(graph);
        let of = |layer: &Layer| {
            let (sources, factors) = if layer.kind == LayerKind::Tensor {
                (self.listed_sources(layer)?, None)
            } else {
                gathered(&graph, layer)?
            };
            let groups = layer.layout.groups.max(1);
            if sources.len() != layer.layout.in_channels() {
                return None;
            }
            let total = sources.iter().max()? + 1;
            let of_group = total
                .checked_div(groups)
                .filter(|of_group| of_group * groups == total)?;
            let local = sources.iter().enumerate().map(|(place, source)| {
                let group = place / layer.layout.channels;
                source.checked_sub(group * of_group).filter(|source| *source < of_group)
            });
            let mut repeated = RepeatedChannels::new(groups, local.collect::<Option<Vec<_>>>()?)?;
            if let Some(factors) = factors {
                repeated.factors = factors;
            }
            Some(repeated)
        };
        self.layers.iter().map(of).collect()
    }

    /// What a file without a graph says of the input channels of `layer`: the source of each.
    pub(crate) fn listed_sources(&self, layer: &Layer) -> Option<Vec<usize>> {
        let index = match self.stored.of_codes(&layer.weight) {
            Some((_, stored)) => self.constant(stored.index.as_ref()?)?,
            None => self.constant(&index_name(&layer.weight))?,
        };
        places(index)
    }

    /// Whether the tensor of layer `index` only belongs to another one: the integers beside dequantized weights, in a file
    /// without a graph.
    pub fn is_part_of_another(&self, index: usize) -> bool {
        let Some(layer) = self.layers.get(index) else {
            return false;
        };
        if self.stored.of_codes(&layer.weight).is_some() {
            return false;
        }
        let whole = layer
            .weight
            .strip_suffix(".q")
            .filter(|_| layer.kind == LayerKind::Tensor);
        whole.is_some_and(|name| self.constant(&index_name(name)).is_some())
    }

    /// For each layer, the one whose output channels are its input channels: with nothing between but what treats every channel
    /// by itself (activations, pools, normalizations, depthwise convolutions, constants added or multiplied, a final flattening).
    pub fn layers_before(&self) -> Vec<Option<usize>> {
        let Some(graph) = &self.model.graph else {
            return vec![None; self.layers.len()];
        };
        let graph = Graph::main(graph);
        let in_main = |layer: &Layer| {
            layer
                .node
                .as_ref()
                .filter(|path| path.subgraphs.is_empty())
                .map(|path| path.node)
        };
        let layer_of: HashMap<usize, usize> = (self.layers.iter().enumerate())
            .filter_map(|(place, layer)| Some((in_main(layer)?, place)))
            .collect();
        let of = |layer: &Layer| {
            in_main(layer)?;
            let mut value = layer.input.as_ref().map(|(value, _)| value.as_str())?;
            for _ in 0..LONGEST_CHAIN {
                let place = graph.maker(value)?;
                match layer_of.get(&place) {
                    Some(before) if !self.is_depthwise(*before) => return Some(*before),
                    Some(before) => value = self.layers[*before].input.as_ref().map(|(value, _)| value.as_str())?,
                    None => value = passed(&graph, graph.node(place)?)?,
                }
            }
            None
        };
        self.layers.iter().map(of).collect()
    }

    fn is_depthwise(&self, index: usize) -> bool {
        let layout = self.layers[index].layout;
        layout.groups > 1 && layout.channels == 1
    }
}

/// The source of each input channel and its factor, from the `Gather` behind which the layer stands.
fn gathered(graph: &Graph<'_>, layer: &Layer) -> Option<(Vec<usize>, Option<Vec<f32>>)> {
    layer.node.as_ref().filter(|path| path.subgraphs.is_empty())?;
    let (value, axis) = layer.input.as_ref()?;
    let mut value = value.as_str();
    let mut factors = None;
    for _ in 0..LONGEST_CHAIN {
        let node = graph
            .maker_node(value)
            .filter(|node| is_standard_domain(node.domain()))?;
        match node.op_type() {
            "Gather" => {
                let index = graph.constant(node.input.get(1)?)?;
                let same_axis = attribute_int(node, "axis").unwrap_or(0) == *axis;
                return Some((places(index).filter(|_| same_axis && index.dims.len() == 1)?, factors));
            }
            "Concat" => {
                let copies = copies_behind(graph, node, *axis)?;
                let before = layer.layout.in_channels().checked_sub(copies.len())?;
                return Some(((0..before).chain(copies).collect(), factors));
            }
            "Cast" | "Clip" | "QuantizeLinear" | "DequantizeLinear" | "Identity" => {}
            "Mul" => {
                let factor = numbers(graph.constant(node.input.get(1)?)?).ok()?;
                factors = Some(factor.to_vec()).filter(|factor| factor.len() == layer.layout.in_channels());
                factors.as_ref()?;
            }
            // What moves the halves apart adds up to nothing.
            "Add" => {
                graph.constant(node.input.get(1)?)?;
            }
            _ => return None,
        }
        value = node.input.first()?;
    }
    None
}

/// The sources of the channels that `concat` puts behind all those of a value, if they are copies of these.
fn copies_behind(graph: &Graph<'_>, concat: &NodeProto, axis: i64) -> Option<Vec<usize>> {
    let [value, copies] = concat.input.as_slice() else {
        return None;
    };
    let gather = graph.maker_node(copies)?;
    let is_along = |node: &NodeProto| attribute_int(node, "axis").unwrap_or(0) == axis;
    let is_copied =
        gather.op_type() == "Gather" && is_standard_domain(gather.domain()) && gather.input.first() == Some(value);
    if !is_copied || !is_along(concat) || !is_along(gather) {
        return None;
    }
    let index = graph.constant(gather.input.get(1)?)?;
    places(index).filter(|_| index.dims.len() == 1)
}

/// The value that `node` makes its own from, channel by channel.
fn passed<'a>(graph: &Graph<'_>, node: &'a NodeProto) -> Option<&'a str> {
    let first = node.input.first()?.as_str();
    // A Reshape in front of a layer flattens.
    let operator =
        operator_of(node).filter(|operator| operator.keeps_channels_apart() || operator.name == "Reshape")?;
    if operator.channels != Channels::Binary {
        return Some(first);
    }
    let second = node.input.get(1)?;
    match (graph.constant(first).is_some(), graph.constant(second).is_some()) {
        (false, true) => Some(first),
        (true, false) => Some(second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_lacks_a_channel_or_repeats_none_makes_no_copies() {
        assert_eq!(RepeatedChannels::new(1, vec![0, 1, 2, 1]).unwrap().channels, 3);
        assert!(RepeatedChannels::new(1, vec![0, 1, 2]).is_none(), "no copies");
        assert!(RepeatedChannels::new(1, vec![0, 2, 2, 2]).is_none(), "1 is lacking");
        assert!(RepeatedChannels::new(2, vec![0, 1, 1, 0, 1, 0]).is_some());
        assert!(
            RepeatedChannels::new(2, vec![0, 1, 1, 0, 0, 0]).is_none(),
            "of the second group"
        );
        assert!(RepeatedChannels::new(1, vec![]).is_none());
    }
}
