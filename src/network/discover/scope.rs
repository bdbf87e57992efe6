//! Where the values of a graph come from, seen from inside it: its own first, then those of the graphs around it.

use crate::onnx::{GraphProto, NodeProto};
use std::collections::HashMap;

/// What a name stands for in one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Handed over at run time.
    Input,
    /// Position among the initializers.
    Initializer(usize),
    /// Position of the node that computes it.
    Node(usize),
}

/// One graph of the model, within the graphs around it.
pub(super) struct Scope<'a> {
    pub(super) graph: &'a GraphProto,
    /// The way here from the main graph.
    pub(super) way: Vec<(usize, String)>,
    /// Operator of the node that holds this graph; `None` for the main graph.
    pub(super) holder: Option<&'a str>,
    outer: Option<&'a Scope<'a>>,
    origins: HashMap<&'a str, Origin>,
}

impl<'a> Scope<'a> {
    /// The main graph.
    pub(super) fn main(graph: &'a GraphProto) -> Self {
        Self {
            graph,
            way: Vec::new(),
            holder: None,
            outer: None,
            origins: origins(graph),
        }
    }

    /// The graph in attribute `attribute` of `node`.
    pub(super) fn inner<'b>(
        &'b self,
        graph: &'b GraphProto,
        position: usize,
        node: &'b NodeProto,
        attribute: &str,
    ) -> Scope<'b>
    where
        'a: 'b,
    {
        let mut way = self.way.clone();
        way.push((position, attribute.to_owned()));
        Scope {
            graph,
            way,
            holder: Some(node.op_type()),
            outer: Some(self),
            origins: origins(graph),
        }
    }

    /// The nearest graph that knows `name`, and what it stands for there.
    pub(super) fn find(&self, name: &str) -> Option<(&Scope<'a>, Origin)> {
        let mut scope = self;
        loop {
            if let Some(&origin) = scope.origins.get(name) {
                return Some((scope, origin));
            }
            scope = scope.outer?;
        }
    }
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
