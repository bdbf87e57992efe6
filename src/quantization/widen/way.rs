//! The way back from a split layer to the layer whose output channels its input channels are.

use super::{Step, makes_channels};
use crate::network::{Layer, LayerKind, Network};
use crate::onnx::build::{attribute_int, attribute_ints, is_standard_domain};
use crate::onnx::operators::{Channels, operator_of};
use crate::onnx::{Graph, NodeProto, tensor_bytes};
use std::collections::HashMap;

/// Why no layer before a split one can make the copies of its input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::quantization) enum NoWay {
    #[error("its input is no value of the graph")]
    NoInput,
    #[error("it is inside a subgraph")]
    InSubgraph,
    #[error("the channels of its input are on no axis that can be followed")]
    UnknownAxis,
    /// A value on the way.
    #[error("'{0}' is read by others too")]
    SharedValue(String),
    /// A value on the way that no node makes.
    #[error("'{0}' is an input of the network")]
    NetworkInput(String),
    /// An operator that mixes channels, or is not known.
    #[error("{0} is in the way")]
    Operator(String),
    /// The layer that would make the copies.
    #[error("'{layer}' comes before it: {why}")]
    Producer { layer: String, why: &'static str },
    /// A Gather is cheaper, where the recipe wants the cheapest way.
    #[error("'{layer}' before it would compute {macs} multiply-accumulates for each element that is copied")]
    Dearer { layer: String, macs: u64 },
}

/// Where the channels of a value are, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    axis: Axis,
    /// Dimensions of the value.
    rank: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Axis {
    /// The one behind the samples.
    Second,
    Last,
}

impl Place {
    /// How many axes from the end the channels are, 1 for the last.
    fn steps_from_end(self) -> Option<usize> {
        match self.axis {
            Axis::Last => Some(1),
            Axis::Second => self.rank.map(|rank| rank.saturating_sub(1)),
        }
    }

    fn is_second(self) -> bool {
        self.axis == Axis::Second || self.rank == Some(2)
    }

    fn is_last(self) -> bool {
        self.axis == Axis::Last || self.rank == Some(2)
    }
}

/// What is needed to walk a main graph from reader to maker.
pub(super) struct Walk<'a> {
    network: &'a Network,
    graph: &'a Graph<'a>,
    layers: HashMap<usize, usize>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(network: &'a Network, graph: &'a Graph<'a>) -> Self {
        let layers = network.layers.iter().enumerate().filter_map(|(index, layer)| {
            let path = layer.node.as_ref().filter(|path| path.subgraphs.is_empty())?;
            Some((path.node, index))
        });
        Self {
            network,
            graph,
            layers: layers.collect(),
        }
    }

    /// The steps to `layer` from the layer that can make the copies of its input; else the reason why none can.
    pub(super) fn to(&self, layer: &Layer) -> Result<Vec<Step>, NoWay> {
        let (value, _) = layer.input.as_ref().ok_or(NoWay::NoInput)?;
        if layer.node.as_ref().is_none_or(|path| !path.subgraphs.is_empty()) {
            return Err(NoWay::InSubgraph);
        }
        let mut place = match layer.kind {
            LayerKind::Conv => Place {
                axis: Axis::Second,
                rank: Some(layer.shape.len()),
            },
            LayerKind::Gemm => Place {
                axis: Axis::Last,
                rank: Some(2),
            },
            LayerKind::MatMul if layer.weight_input == 1 => Place {
                axis: Axis::Last,
                rank: None,
            },
            LayerKind::Lstm | LayerKind::Gru | LayerKind::Rnn => Place {
                axis: Axis::Last,
                rank: Some(3),
            },
            _ => return Err(NoWay::UnknownAxis),
        };
        let channels = layer.layout.in_channels();
        let (mut value, mut steps) = (value.as_str(), Vec::new());
        loop {
            if self.graph.read_count(value) != 1 {
                return Err(NoWay::SharedValue(value.to_owned()));
            }
            let maker = self.graph.maker(value);
            let Some((position, node)) = maker.and_then(|at| Some((at, self.graph.node(at)?))) else {
                return Err(NoWay::NetworkInput(value.to_owned()));
            };
            let in_the_way = || NoWay::Operator(node.op_type().to_owned());
            let alone = node.output.iter().filter(|output| !output.is_empty()).count() == 1;
            if !alone || !is_standard_domain(node.domain()) {
                return Err(in_the_way());
            }
            let maker = self.layers.get(&position).copied();
            if let Some(index) = maker.filter(|index| makes_channels(self.network.layers[*index].kind)) {
                let (step, is_producer) = self.layer_step(position, node, index, channels, place)?;
                steps.push(step);
                if is_producer {
                    steps.reverse();
                    return Ok(steps);
                }
                value = &node.input[0];
                continue;
            }
            let (step, input) = self.step(position, node, channels, &mut place).ok_or_else(in_the_way)?;
            steps.push(step);
            value = node.input.get(input).ok_or_else(in_the_way)?;
        }
    }

    /// The step of a layer with weights, and whether it is the producer: a depthwise convolution is one on the way.
    fn layer_step(
        &self,
        position: usize,
        node: &NodeProto,
        index: usize,
        channels: usize,
        place: Place,
    ) -> Result<(Step, bool), NoWay> {
        let layer = &self.network.layers[index];
        let because = |why| {
            let layer = layer.name.clone();
            Err(NoWay::Producer { layer, why })
        };
        let on_axis = match layer.kind {
            LayerKind::Conv => place.is_second(),
            LayerKind::Gemm => true,
            _ => place.is_last(),
        };
        if !on_axis || layer.layout.out_channels() != channels {
            return because("its output channels are not the input channels here");
        }
        let is_matrix = layer.shape.len() == 2;
        if layer.weight_input != 1 || !(is_matrix || layer.kind == LayerKind::Conv) {
            return because("its weight is not on the right of its input");
        }
        if !layer.source.subgraphs.is_empty() {
            return because("its weight is inside a subgraph");
        }
        let depthwise = layer.layout.groups > 1 && layer.layout.channels == 1 && layer.layout.outer == 1;
        if layer.layout.groups > 1 && !depthwise {
            return because("its groups would no longer be equal");
        }
        let Some(constants) = self.bias(node, channels) else {
            return because("its bias is no constant with one number a channel");
        };
        let step = Step {
            node: position,
            layer: Some(index),
            parameters: constants.len() as u64,
            constants,
            keeps_size: false,
        };
        Ok((step, !depthwise))
    }

    /// The bias among the constants to repeat; `None` if it cannot be.
    fn bias(&self, node: &NodeProto, channels: usize) -> Option<Vec<(usize, usize)>> {
        let Some(name) = node.input.get(2).filter(|name| !name.is_empty()) else {
            return Some(Vec::new());
        };
        let dims = &self.graph.constant(name)?.dims;
        match dims.as_slice() {
            // One number for all, or (of a Gemm) one for each row.
            [] | [.., 1] if node.op_type() == "Gemm" && channels != 1 => Some(Vec::new()),
            [before @ .., last] if before.iter().all(|size| *size == 1) && is(*last, channels) => {
                Some(vec![(2, dims.len() - 1)])
            }
            _ => None,
        }
    }

    /// The step of a node without weights that keeps channels apart, and the input that they come from; `None` if it does
    /// not, or it cannot be told. `place` becomes that of this input.
    fn step(&self, position: usize, node: &NodeProto, channels: usize, place: &mut Place) -> Option<(Step, usize)> {
        let mut step = Step {
            node: position,
            layer: None,
            constants: Vec::new(),
            parameters: 0,
            keeps_size: true,
        };
        let mut input = 0;
        let operator = operator_of(node)?;
        match &operator.channels {
            Channels::Elementwise => {}
            Channels::Pool if place.is_second() => step.keeps_size = false,
            Channels::Normalize(constants) if place.is_second() => {
                self.vectors(node, constants.clone(), channels, &mut step)?;
            }
            Channels::Flatten => {
                // That each feature is a channel shows at the producer, which has as many channels as there are features.
                *place = Place {
                    axis: Axis::Second,
                    rank: self.rank(node.input.first()?),
                };
            }
            Channels::Reduce { keeps_elements } if place.is_second() => {
                let axes = self.axes(node)?;
                let gone = *keeps_elements || attribute_int(node, "keepdims") == Some(0);
                if gone {
                    place.rank = place.rank.map(|rank| rank + axes);
                }
                place.axis = Axis::Second;
                step.keeps_size = *keeps_elements;
            }
            Channels::Binary if node.input.len() == 2 => {
                input = usize::from(self.graph.constant(&node.input[0]).is_some());
                let constant = 1 - input;
                if constant == 0 && node.op_type() == "PRelu" {
                    return None;
                }
                self.operand(node, constant, channels, *place, &mut step)?;
            }
            _ => return None,
        }
        Some((step, input))
    }

    /// Dimensions of `value`, if a convolution made it and nothing since has changed them.
    fn rank(&self, value: &str) -> Option<usize> {
        let mut value = value;
        // No way is longer than the graph; a broken graph may go round in circles.
        for _ in &self.graph.proto.node {
            let position = self.graph.maker(value)?;
            let node = self.graph.node(position)?;
            match node.op_type() {
                "Conv" => return Some(self.network.layers[*self.layers.get(&position)?].shape.len()),
                "Flatten" | "Squeeze" | "Gemm" | "MatMul" => return None,
                op if op.starts_with("Reduce") => return None,
                _ => {
                    let read = node.input.iter();
                    value = read
                        .filter(|input| self.graph.constant(input).is_none())
                        .map(String::as_str)
                        .next()?;
                }
            }
        }
        None
    }

    /// Adds constants of one number a channel to a step.
    fn vectors(&self, node: &NodeProto, slots: std::ops::Range<usize>, channels: usize, step: &mut Step) -> Option<()> {
        for slot in slots {
            let dims = &self.graph.constant(node.input.get(slot)?)?.dims;
            if !matches!(dims.as_slice(), [size] if is(*size, channels)) {
                return None;
            }
            step.constants.push((slot, 0));
            step.parameters += 1;
        }
        Some(())
    }

    /// Adds a constant operand to a step, unless it is the same for all channels.
    fn operand(&self, node: &NodeProto, slot: usize, channels: usize, place: Place, step: &mut Step) -> Option<()> {
        let dims = &self.graph.constant(&node.input[slot])?.dims;
        if dims.iter().all(|size| *size == 1) {
            return (dims.is_empty() || place.rank.is_none_or(|rank| dims.len() <= rank)).then_some(());
        }
        let from_end = place.steps_from_end()?;
        if place.rank.is_some_and(|rank| dims.len() > rank) {
            return None;
        }
        let Some(axis) = dims.len().checked_sub(from_end) else {
            return Some(());
        };
        if dims[axis] == 1 {
            return Some(());
        }
        if !is(dims[axis], channels) {
            return None;
        }
        step.constants.push((slot, axis));
        let others = dims.iter().enumerate().filter(|(other, _)| *other != axis);
        step.parameters += others
            .map(|(_, size)| u64::try_from(*size).unwrap_or(0))
            .product::<u64>();
        Some(())
    }

    /// How many axes, all behind the channels, a node reduces or removes.
    fn axes(&self, node: &NodeProto) -> Option<usize> {
        let axes: Vec<i64> = match attribute_ints(node, "axes") {
            Some(axes) => axes.to_vec(),
            None => {
                let tensor = self.graph.constant(node.input.get(1)?)?;
                let bytes = tensor_bytes(tensor).ok()?;
                let (elements, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return None;
                }
                elements.iter().map(|element| i64::from_le_bytes(*element)).collect()
            }
        };
        (!axes.is_empty() && axes.iter().all(|axis| *axis >= 2)).then_some(axes.len())
    }
}

fn is(size: i64, channels: usize) -> bool {
    usize::try_from(size) == Ok(channels)
}
