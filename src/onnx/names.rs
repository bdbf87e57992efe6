//! The names in use in a model, and new ones beside them.

use super::{GraphProto, ModelProto, NodeProto};
use std::collections::HashSet;

/// Every name of a value or node, in all graphs: a new one must neither collide nor shadow.
pub(crate) struct Names(HashSet<String>);

impl Names {
    pub(crate) fn of(model: &ModelProto) -> Self {
        let mut names = Self(HashSet::new());
        let training = model
            .training_info
            .iter()
            .flat_map(|training| training.initialization.iter().chain(&training.algorithm));
        for graph in model.graph.iter().chain(training) {
            names.gather(graph);
        }
        names
    }

    fn gather(&mut self, graph: &GraphProto) {
        let infos = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
        self.0.extend(infos.map(|info| info.name().to_owned()));
        let sparse = graph
            .sparse_initializer
            .iter()
            .filter_map(|sparse| sparse.values.as_ref());
        let tensors = graph.initializer.iter().chain(sparse);
        self.0.extend(tensors.map(|tensor| tensor.name().to_owned()));
        for node in &graph.node {
            self.0.insert(node.name().to_owned());
            self.0.extend(node.input.iter().chain(&node.output).cloned());
            node.subgraphs().for_each(|graph| self.gather(graph));
        }
    }

    /// `wanted`, with a number behind it if the name is taken.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }
}

/// The name of a node; if it has none, that of its first output.
pub(crate) fn label(node: &NodeProto) -> &str {
    match node.name() {
        "" => node.output.first().map(String::as_str).unwrap_or_default(),
        name => name,
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}
