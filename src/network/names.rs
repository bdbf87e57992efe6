//! Where things are by their names, so that asking for one of a hundred thousand does not walk through all of them: each map is
//! made when it is first asked for.

use super::blocks::{Blocks, common_end};
use super::graphs::graph_at;
use super::layer::{NodePath, TensorPlace};
use super::{Layer, Network};
use crate::onnx::{GraphProto, NodeProto, TensorProto, constant_tensor};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Maps from names to positions, for the main graph and the layers of one network.
#[derive(Default)]
pub(super) struct Places {
    constants: OnceLock<HashMap<String, TensorPlace>>,
    makers: OnceLock<HashMap<String, usize>>,
    readers: OnceLock<HashMap<String, usize>>,
    layers: OnceLock<HashMap<String, usize>>,
    layers_of_nodes: OnceLock<HashMap<NodePath, Vec<usize>>>,
    blocks: OnceLock<Blocks>,
}

impl Network {
    /// The blocks that its layers are in, by their names without the end that all share.
    pub fn blocks(&self) -> &Blocks {
        self.places.blocks.get_or_init(|| {
            let names = || self.layers.iter().map(|layer| layer.name.as_str());
            let end = common_end(names());
            Blocks::of(names().map(|name| &name[..name.len() - end]))
        })
    }

    /// The constant of the main graph that is called `name`: an initializer, or what a `Constant` node makes.
    pub(crate) fn constant(&self, name: &str) -> Option<&TensorProto> {
        let graph = self.model.graph.as_ref()?;
        let places = self.places.constants.get_or_init(|| {
            let mut places = HashMap::with_capacity(graph.initializer.len());
            for (position, tensor) in graph.initializer.iter().enumerate() {
                let place = TensorPlace::Initializer(position);
                places.entry(tensor.name().to_owned()).or_insert(place);
            }
            for (position, node) in graph.node.iter().enumerate() {
                if let (Some(output), Some(_)) = (node.output.first(), constant_tensor(node)) {
                    let place = TensorPlace::Constant(position);
                    places.entry(output.clone()).or_insert(place);
                }
            }
            places
        });
        match places.get(name)? {
            TensorPlace::Initializer(position) => graph.initializer.get(*position),
            TensorPlace::Constant(position) => constant_tensor(graph.node.get(*position)?),
        }
    }

    /// The constant that `name` stands for where the weight of `layer` is: in its body, else in the main graph.
    pub(super) fn constant_beside(&self, layer: &Layer, name: &str) -> Option<&TensorProto> {
        let way = &layer.source.subgraphs;
        let body = if way.is_empty() {
            None
        } else {
            graph_at(self.model.graph.as_ref()?, way)
        };
        body.and_then(|body| constant(body, name))
            .or_else(|| self.constant(name))
    }

    /// The node of the main graph that makes `value`.
    pub(super) fn maker(&self, value: &str) -> Option<&NodeProto> {
        let graph = self.model.graph.as_ref()?;
        let places = self.places.makers.get_or_init(|| {
            let outputs = (graph.node.iter().enumerate())
                .flat_map(|(position, node)| node.output.iter().map(move |name| (name, position)));
            firsts(outputs)
        });
        graph.node.get(*places.get(value)?)
    }

    /// The first node of the main graph that reads `value`.
    pub(super) fn first_reader(&self, value: &str) -> Option<&NodeProto> {
        let graph = self.model.graph.as_ref()?;
        let places = self.places.readers.get_or_init(|| {
            let inputs = (graph.node.iter().enumerate())
                .flat_map(|(position, node)| node.input.iter().map(move |name| (name, position)));
            firsts(inputs)
        });
        graph.node.get(*places.get(value)?)
    }

    /// Whether the value called `name` must be handed over to run the network ([`Network::graph_inputs`]).
    pub(crate) fn is_input(&self, name: &str) -> bool {
        let graph = self.model.graph.as_ref();
        let is_listed = graph.is_some_and(|graph| graph.input.iter().any(|input| input.name() == name));
        is_listed && !matches!(self.constant_place(name), Some(TensorPlace::Initializer(_)))
    }

    fn constant_place(&self, name: &str) -> Option<TensorPlace> {
        self.constant(name)?;
        self.places.constants.get()?.get(name).copied()
    }

    /// Position of the layer called `name`; of several, the first.
    pub fn layer_index(&self, name: &str) -> Option<usize> {
        let places = self.places.layers.get_or_init(|| {
            let names = self.layers.iter().enumerate();
            firsts(names.map(|(position, layer)| (&layer.name, position)))
        });
        let is_here = |place: &usize| self.layers.get(*place).is_some_and(|layer: &Layer| layer.name == name);
        places.get(name).copied().filter(is_here)
    }
}

impl Network {
    /// Positions of the layers whose weights the node at `path` reads, in order.
    pub(crate) fn layers_of_node(&self, path: &NodePath) -> &[usize] {
        let places = self.places.layers_of_nodes.get_or_init(|| {
            let mut places: HashMap<NodePath, Vec<usize>> = HashMap::new();
            for (position, layer) in self.layers.iter().enumerate() {
                if let Some(path) = &layer.node {
                    places.entry(path.clone()).or_default().push(position);
                }
            }
            places
        });
        places.get(path).map_or(&[], Vec::as_slice)
    }

    /// Position of the layer of the recurrent weight R of the cell that `layer` (its W or its R) belongs to.
    pub(crate) fn recurrent_layer_of(&self, layer: &Layer) -> Option<usize> {
        let layers = self.layers_of_node(layer.node.as_ref()?).iter().copied();
        let is_recurrent = |at: &usize| {
            let layer = &self.layers[*at];
            layer.kind.is_recurrent() && layer.weight_input == Layer::RECURRENT_WEIGHT
        };
        layers.into_iter().find(is_recurrent)
    }

    /// Positions of the layers of the node of the main graph at `position`, in order.
    pub(crate) fn layers_of_main_node(&self, position: usize) -> &[usize] {
        self.layers_of_node(&NodePath {
            subgraphs: Vec::new(),
            node: position,
        })
    }
}

/// The first position of each name.
fn firsts<'a>(names: impl Iterator<Item = (&'a String, usize)>) -> HashMap<String, usize> {
    let mut places = HashMap::new();
    for (name, position) in names {
        if !name.is_empty() && !places.contains_key(name) {
            places.insert(name.clone(), position);
        }
    }
    places
}

/// The constant called `name` in `home`.
fn constant<'a>(home: &'a GraphProto, name: &str) -> Option<&'a TensorProto> {
    let initializer = home.initializer.iter().find(|tensor| tensor.name() == name);
    initializer.or_else(|| {
        let maker = home
            .node
            .iter()
            .find(|node| node.output.iter().any(|output| output == name))?;
        constant_tensor(maker)
    })
}
