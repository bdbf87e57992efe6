//! The operators behind the names by which the engine speaks of nodes.

use crate::onnx::{GraphProto, ModelProto, Names, ValueInfoProto, label};
use std::collections::{HashMap, HashSet};

#[derive(Default)]
pub(super) struct Operators {
    /// Nodes by the names under which the engine knows them.
    nodes: HashMap<String, Node>,
    /// The operators that make the outputs of the network.
    outputs: HashMap<String, String>,
}

struct Node {
    /// Its name in the file; if it has none, that of its first output.
    label: String,
    operator: String,
}

impl Operators {
    /// Those of a model. The engine forgets the name of a node that a value has too, as many exporters write it, so such a node
    /// and one without a name get one of their own.
    pub(super) fn of(model: &mut ModelProto) -> Self {
        let mut names = Names::of(model);
        let mut found = Self::default();
        if let Some(graph) = &mut model.graph {
            let mut values = HashSet::new();
            gather_values(graph, &mut values);
            found.add(graph, &values, &mut names);
            let outputs: HashSet<&str> = graph.output.iter().map(ValueInfoProto::name).collect();
            for node in &graph.node {
                let made = node.output.iter().filter(|output| outputs.contains(output.as_str()));
                (found.outputs).extend(made.map(|output| (output.clone(), node.op_type().to_owned())));
            }
        }
        found
    }

    fn add(&mut self, graph: &mut GraphProto, values: &HashSet<String>, names: &mut Names) {
        for node in &mut graph.node {
            let shown = Node {
                label: label(node).to_owned(),
                operator: node.op_type().to_owned(),
            };
            if node.name().is_empty() || values.contains(node.name()) {
                let own = format!("{} {}", node.op_type(), shown.label);
                node.name = Some(names.fresh(&own));
            }
            self.nodes.insert(node.name().to_owned(), shown);
            for body in node.subgraphs_mut() {
                self.add(body, values, names);
            }
        }
    }

    /// A value in words, with the operator that makes it if it is an output of the network.
    pub(super) fn value(&self, name: &str) -> String {
        match self.outputs.get(name) {
            Some(operator) => format!("the value '{name}' ({operator})"),
            None => format!("the value '{name}'"),
        }
    }

    /// What the engine says, with name and operator of the node that it says it of.
    pub(super) fn told(&self, text: &str) -> String {
        let found = ["operator \"", "in node \""].iter().find_map(|before| {
            let start = text.find(before)? + before.len();
            // Names may hold quotes: the longest one that is known.
            let quotes = text.get(start..)?.match_indices('"').map(|(at, _)| start + at);
            let known = |end: usize| Some((start, end, self.nodes.get(text.get(start..end)?)?));
            quotes.filter_map(known).next_back()
        });
        match found {
            Some((start, end, node)) => {
                let Node { label, operator } = node;
                format!("{}{label}\" ({operator}){}", &text[..start], &text[end + 1..])
            }
            None => text.to_owned(),
        }
    }
}

/// Names of all values, those in the bodies of nodes included.
fn gather_values(graph: &GraphProto, values: &mut HashSet<String>) {
    values.extend(graph.input.iter().map(|info| info.name().to_owned()));
    values.extend(graph.initializer.iter().map(|tensor| tensor.name().to_owned()));
    for node in &graph.node {
        values.extend(node.input.iter().chain(&node.output).cloned());
        node.subgraphs().for_each(|body| gather_values(body, values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::NodeProto;

    /// An addition without a name, and one named as the value that it makes.
    fn model() -> ModelProto {
        let node = |name: Option<&str>, output: &str| NodeProto {
            name: name.map(str::to_owned),
            op_type: Some("Add".to_owned()),
            input: vec!["x".to_owned(), "x".to_owned()],
            output: vec![output.to_owned()],
            ..NodeProto::default()
        };
        ModelProto {
            graph: Some(GraphProto {
                node: vec![node(None, "a"), node(Some("b"), "b"), node(Some("own"), "c")],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn nodes_named_as_values_and_nodes_without_names_are_told_by_name_and_operator() {
        let mut model = model();
        let operators = Operators::of(&mut model);
        let graph = model.graph.unwrap();
        let names: Vec<&str> = graph.node.iter().map(NodeProto::name).collect();
        assert!(!names.contains(&"a") && !names.contains(&"b"), "{names:?}");
        assert_eq!(names[2], "own");
        for (name, label) in names.iter().zip(["a", "b", "own"]) {
            let told = operators.told(&format!("operator \"{name}\" failed: why"));
            assert_eq!(told, format!("operator \"{label}\" (Add) failed: why"));
        }
        assert_eq!(operators.told("operator \"d\" failed"), "operator \"d\" failed");
    }
}
