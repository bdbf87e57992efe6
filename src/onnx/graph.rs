//! One graph of a model, indexed: which node makes a value, which nodes read it, which values are constant, and the graphs
//! around it. Who asks such a question asks here.
//!
//! Positions are those of the nodes in the graph. [`GraphEdit`] is the counterpart that changes a graph.

mod edit;

#[cfg(test)]
mod tests;

pub use edit::GraphEdit;

use super::build::{attribute_tensor, is_standard_domain};
use super::operators::output_rank;
use super::schema::type_proto;
use super::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

/// What a name stands for in one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Handed over at run time.
    Input,
    /// Position among the initializers.
    Initializer(usize),
    /// Position of the node that computes it.
    Node(usize),
}

/// A graph of a model, with the graphs around it if it is the body of a node.
pub struct Graph<'a> {
    /// The graph itself.
    pub proto: &'a GraphProto,
    /// The way here from the main graph: positions of nodes, and the attributes of theirs that hold the next graph.
    pub way: Vec<(usize, String)>,
    /// Operator of the node that holds this graph; `None` for the main graph.
    pub holder: Option<&'a str>,
    outer: Option<&'a Graph<'a>>,
    origins: HashMap<&'a str, Origin>,
    // By owned names: a lock of borrowed ones would tie a body's graph to the lifetime of the one around it.
    reads: OnceLock<HashMap<String, Reads>>,
    ranks: OnceLock<HashMap<String, usize>>,
}

/// Who reads a value.
#[derive(Default)]
struct Reads {
    /// Inputs of nodes, also of nodes of subgraphs, and outputs of graphs.
    count: usize,
    /// Nodes of this graph that read it, themselves or in a body of theirs, in order.
    nodes: Vec<usize>,
}

impl<'a> Graph<'a> {
    /// The main graph of a model.
    pub fn main(proto: &'a GraphProto) -> Self {
        Self {
            proto,
            way: Vec::new(),
            holder: None,
            outer: None,
            origins: origins(proto),
            reads: OnceLock::new(),
            ranks: OnceLock::new(),
        }
    }

    /// The graph `proto` in attribute `attribute` of `node`, which is at `position`.
    pub fn inner<'b>(
        &'b self,
        proto: &'b GraphProto,
        position: usize,
        node: &'b NodeProto,
        attribute: &str,
    ) -> Graph<'b>
    where
        'a: 'b,
    {
        let mut way = self.way.clone();
        way.push((position, attribute.to_owned()));
        Graph {
            proto,
            way,
            holder: Some(node.op_type()),
            outer: Some(self),
            origins: origins(proto),
            reads: OnceLock::new(),
            ranks: OnceLock::new(),
        }
    }

    /// The nearest graph that knows `name`, this one or one around it, and what the name stands for there.
    pub fn find(&self, name: &str) -> Option<(&Graph<'a>, Origin)> {
        let mut graph = self;
        loop {
            if let Some(&origin) = graph.origins.get(name) {
                return Some((graph, origin));
            }
            graph = graph.outer?;
        }
    }

    /// Position of the node of this graph that makes `value`.
    pub fn maker(&self, value: &str) -> Option<usize> {
        match self.origins.get(value)? {
            Origin::Node(position) => Some(*position),
            Origin::Input | Origin::Initializer(_) => None,
        }
    }

    /// The node at `position`.
    pub fn node(&self, position: usize) -> Option<&'a NodeProto> {
        self.proto.node.get(position)
    }

    /// The node of this graph that makes `value`.
    pub fn maker_node(&self, value: &str) -> Option<&'a NodeProto> {
        self.node(self.maker(value)?)
    }

    /// The constant of this graph called `value`: an initializer, or what a `Constant` node makes.
    pub fn constant(&self, value: &str) -> Option<&'a TensorProto> {
        match *self.origins.get(value)? {
            Origin::Input => None,
            Origin::Initializer(position) => self.proto.initializer.get(position),
            Origin::Node(position) => constant_tensor(self.node(position)?),
        }
    }

    /// The names that `value` is computed from, its own and those of constants included.
    pub fn leading_to<'b>(&self, value: &'b str) -> HashSet<&'b str>
    where
        'a: 'b,
    {
        let mut known = HashSet::from([value]);
        let mut waiting = vec![value];
        while let Some(name) = waiting.pop() {
            if let Some(node) = self.maker_node(name) {
                each_read(node, &mut |read| {
                    if known.insert(read) {
                        waiting.push(read);
                    }
                });
            }
        }
        known
    }

    /// How often `value` is read: by inputs of nodes, in subgraphs too, and as an output.
    pub fn read_count(&self, value: &str) -> usize {
        self.reads().get(value).map_or(0, |reads| reads.count)
    }

    /// The nodes of this graph that read `value`, themselves or in a body of theirs, in order.
    pub fn readers(&self, value: &str) -> &[usize] {
        self.reads().get(value).map_or(&[], |reads| reads.nodes.as_slice())
    }

    /// Number of axes of `value`, as far as the file tells it or it follows from what operators do; in this graph alone.
    pub fn rank(&self, value: &str) -> Option<usize> {
        self.ranks.get_or_init(|| self.known_ranks()).get(value).copied()
    }

    fn known_ranks(&self) -> HashMap<String, usize> {
        let infos = (self.proto.input.iter())
            .chain(&self.proto.value_info)
            .chain(&self.proto.output);
        let of_info = |info: &ValueInfoProto| Some((info.name().to_owned(), declared_rank(info)?));
        let mut ranks: HashMap<String, usize> = infos.filter_map(of_info).collect();
        for tensor in &self.proto.initializer {
            ranks.insert(tensor.name().to_owned(), tensor.dims.len());
        }
        for node in &self.proto.node {
            let Some(output) = node.output.first().filter(|output| !output.is_empty()) else {
                continue;
            };
            let rank = match constant_tensor(node) {
                Some(tensor) => Some(tensor.dims.len()),
                None => output_rank(node, |slot| ranks.get(node.input.get(slot)?).copied()),
            };
            if let (Some(rank), false) = (rank, ranks.contains_key(output)) {
                ranks.insert(output.clone(), rank);
            }
        }
        ranks
    }

    fn reads(&self) -> &HashMap<String, Reads> {
        self.reads.get_or_init(|| {
            let mut all: HashMap<String, Reads> = HashMap::new();
            for (position, node) in self.proto.node.iter().enumerate() {
                each_read(node, &mut |name| {
                    let reads = all.entry(name.to_owned()).or_default();
                    reads.count += 1;
                    if reads.nodes.last() != Some(&position) {
                        reads.nodes.push(position);
                    }
                });
            }
            for output in &self.proto.output {
                all.entry(output.name().to_owned()).or_default().count += 1;
            }
            all
        })
    }
}

/// Number of axes that a description of a value tells.
fn declared_rank(info: &ValueInfoProto) -> Option<usize> {
    let Some(type_proto::Value::TensorType(tensor)) = &info.r#type.as_ref()?.value else {
        return None;
    };
    tensor.shape.as_ref().map(|shape| shape.dim.len())
}

/// Calls `read` for every name that `node` reads: its inputs, and what the nodes and outputs of its bodies read. A body's own
/// values are among them.
pub fn each_read<'a>(node: &'a NodeProto, read: &mut dyn FnMut(&'a str)) {
    node.input.iter().for_each(|input| read(input));
    for body in node.subgraphs() {
        body.node.iter().for_each(|node| each_read(node, read));
        body.output.iter().for_each(|output| read(output.name()));
    }
}

/// The tensor that a `Constant` node makes.
pub fn constant_tensor(node: &NodeProto) -> Option<&TensorProto> {
    (node.op_type() == "Constant" && is_standard_domain(node.domain()))
        .then(|| attribute_tensor(node, "value"))
        .flatten()
}

/// An initializer that is also listed as an input (all were, before IR version 4) counts as the constant that it is.
fn origins(graph: &GraphProto) -> HashMap<&str, Origin> {
    let mut origins = HashMap::new();
    for (position, tensor) in graph.initializer.iter().enumerate() {
        origins.entry(tensor.name()).or_insert(Origin::Initializer(position));
    }
    for input in &graph.input {
        origins.entry(input.name()).or_insert(Origin::Input);
    }
    for (position, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            origins.entry(output.as_str()).or_insert(Origin::Node(position));
        }
    }
    origins
}

impl NodeProto {
    /// The graphs in the node's attributes: branches of an If, bodies of a Loop or Scan.
    pub fn subgraphs(&self) -> impl Iterator<Item = &GraphProto> {
        let attributes = self.attribute.iter();
        attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
    }

    /// The same graphs, to be changed.
    pub fn subgraphs_mut(&mut self) -> impl Iterator<Item = &mut GraphProto> {
        let attributes = self.attribute.iter_mut();
        attributes.flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs))
    }
}

impl GraphProto {
    /// Calls `visit` for this graph and every graph inside of it. They nest no deeper than the decoder lets messages nest.
    pub fn for_each_graph<'a>(&'a self, visit: &mut dyn FnMut(&'a GraphProto)) {
        visit(self);
        for body in self.node.iter().flat_map(NodeProto::subgraphs) {
            body.for_each_graph(visit);
        }
    }

    /// Names of what must be handed over to run the graph: inputs that are no initializers.
    pub fn required_inputs(&self) -> impl Iterator<Item = &str> {
        let constants: std::collections::HashSet<&str> = self.initializer.iter().map(TensorProto::name).collect();
        let inputs = self.input.iter().map(ValueInfoProto::name);
        inputs.filter(move |name| !constants.contains(name))
    }
}
