//! Whether a graph holds together: every value has one origin, and none waits for itself.
//!
//! What reads a graph may then follow values back to where they come from and always arrives. Nodes may stand in any order; a
//! value that nothing computes is the engine's to complain about, since all else can be looked at.

use super::NetworkError;
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use crate::printable::short;
use std::collections::{HashMap, HashSet};

/// Checks the graph of `model` and the graphs inside of it.
///
/// # Errors
/// [`NetworkError::Graph`] naming the value, or a node of the circle.
pub(super) fn check(model: &ModelProto) -> Result<(), NetworkError> {
    model.graph.as_ref().map_or(Ok(()), check_graph)
}

fn check_graph(graph: &GraphProto) -> Result<(), NetworkError> {
    let makers = one_origin_each(graph)?;
    no_circle(graph, &makers)?;
    (graph.node.iter().flat_map(NodeProto::subgraphs)).try_for_each(check_graph)
}

/// Which node makes each value; an initializer that is also listed as an input is one origin.
fn one_origin_each(graph: &GraphProto) -> Result<HashMap<&str, usize>, NetworkError> {
    let mut origins: HashMap<&str, &str> = HashMap::new();
    let twice = |name: &str, first: &str, second: &str| {
        let name = short(name);
        NetworkError::Graph(format!(
            "the value '{name}' comes from two places, {first} and {second}: the graph is ambiguous, export it anew"
        ))
    };
    let mut add = |name, origin| match origins.insert(name, origin) {
        Some(other) => Err(twice(name, other, origin)),
        None => Ok(()),
    };
    for tensor in &graph.initializer {
        add(tensor.name(), "an initializer")?;
    }
    let constants: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    for input in graph.input.iter().filter(|input| !constants.contains(input.name())) {
        add(input.name(), "an input")?;
    }
    let mut makers = HashMap::new();
    for (position, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            add(output, "a node")?;
            makers.insert(output.as_str(), position);
        }
    }
    Ok(makers)
}

/// Takes away nodes that wait for no other until none is left (Kahn's algorithm); what remains is a circle or waits for one.
fn no_circle(graph: &GraphProto, makers: &HashMap<&str, usize>) -> Result<(), NetworkError> {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    let mut waiting = vec![0_usize; graph.node.len()];
    for (position, node) in graph.node.iter().enumerate() {
        let mut reads = |name: &str| {
            if let Some(&maker) = makers.get(name) {
                readers[maker].push(position);
                waiting[position] += 1;
            }
        };
        node.input.iter().for_each(|name| reads(name));
        // A body reads values from around it by their names, unless it has its own of that name.
        node.subgraphs().for_each(|body| read_from_around(body, &mut reads));
    }
    let mut ready: Vec<usize> = (0..waiting.len()).filter(|node| waiting[*node] == 0).collect();
    let mut done = 0;
    while let Some(position) = ready.pop() {
        done += 1;
        for &reader in &readers[position] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    if done == waiting.len() {
        return Ok(());
    }
    let mut needs: Vec<Option<usize>> = vec![None; waiting.len()];
    for (maker, readers) in readers.iter().enumerate().filter(|(maker, _)| waiting[*maker] > 0) {
        for &reader in readers {
            needs[reader] = Some(maker);
        }
    }
    // Back from a node that waits to one that it waits for, as many times as there are nodes: then it is one of the circle.
    let start = waiting.iter().position(|count| *count > 0).unwrap_or(0);
    let at = (0..waiting.len()).fold(start, |at, _| needs[at].unwrap_or(at));
    let node = &graph.node[at];
    let name = if node.name().is_empty() {
        node.output.first().map_or("", String::as_str)
    } else {
        node.name()
    };
    Err(NetworkError::Graph(format!(
        "the {} node '{}' waits for its own result: the graph runs in a circle, export it anew",
        short(node.op_type()),
        short(name)
    )))
}

/// Calls `reads` for the values that `body`, and the graphs inside of it, take from the graphs around.
fn read_from_around(body: &GraphProto, reads: &mut dyn FnMut(&str)) {
    let own: HashSet<&str> = (body.initializer.iter().map(TensorProto::name))
        .chain(body.input.iter().map(ValueInfoProto::name))
        .chain(body.node.iter().flat_map(|node| node.output.iter().map(String::as_str)))
        .collect();
    let mut outside = |name: &str| {
        if !own.contains(name) {
            reads(name);
        }
    };
    for node in &body.node {
        node.input.iter().for_each(|name| outside(name));
    }
    for output in &body.output {
        outside(output.name());
    }
    let bodies = body.node.iter().flat_map(NodeProto::subgraphs);
    bodies.for_each(|inner| read_from_around(inner, &mut outside));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Format, Network};
    use crate::onnx::AttributeProto;
    use crate::onnx::build::{float_tensor, node};

    fn model(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>, inputs: &[&str]) -> ModelProto {
        let input = inputs.iter().map(|name| ValueInfoProto {
            name: Some((*name).to_owned()),
            ..ValueInfoProto::default()
        });
        ModelProto {
            graph: Some(GraphProto {
                node: nodes,
                initializer: initializers,
                input: input.collect(),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    fn fault(model: ModelProto) -> String {
        Network::new("n", None, Format::Onnx, model).err().unwrap().to_string()
    }

    fn relu(name: &str, input: &str, output: &str) -> NodeProto {
        node("Relu", name, [input], [output], vec![])
    }

    #[test]
    fn a_circle_is_refused_by_a_node_on_it() {
        // d hangs on the circle but is not on it; the nodes before it are sound.
        let nodes = vec![
            relu("d", "c", "e"),
            relu("a", "x", "y"),
            node("Add", "b", ["y", "d2"], ["c"], vec![]),
            relu("back", "c", "d2"),
        ];
        let text = fault(model(nodes, vec![], &["x"]));
        assert!(
            text.contains("node 'b' waits") || text.contains("node 'back' waits"),
            "{text}"
        );
        assert!(fault(model(vec![relu("self", "y", "y")], vec![], &[])).contains("node 'self' waits"));
    }

    #[test]
    fn a_circle_through_a_body_is_found() {
        let body = GraphProto {
            node: vec![relu("inner", "late", "inner_out")],
            ..GraphProto::default()
        };
        let branch = AttributeProto {
            name: Some("then_branch".to_owned()),
            g: Some(body),
            ..AttributeProto::default()
        };
        let nodes = vec![
            node("If", "choice", ["x"], ["y"], vec![branch]),
            relu("after", "y", "late"),
        ];
        let text = fault(model(nodes, vec![], &["x"]));
        assert!(text.contains("waits for its own result"), "{text}");
    }

    #[test]
    fn nodes_in_any_order_are_no_circle() {
        let nodes = vec![relu("second", "y", "z"), relu("first", "x", "y")];
        assert!(check(&model(nodes, vec![], &["x"])).is_ok());
    }

    #[test]
    fn a_value_from_two_places_is_refused_by_its_name() {
        let w = || float_tensor("w", &[1], &[1.0]);
        let of = |nodes, initializers, inputs: &[&str]| fault(model(nodes, initializers, inputs));
        assert!(
            of(vec![], vec![w(), w()], &[]).contains("'w' comes from two places, an initializer and an initializer")
        );
        assert!(of(vec![relu("a", "x", "w")], vec![w()], &["x"]).contains("'w' comes from two places"));
        let twice = vec![relu("a", "x", "y"), relu("b", "x", "y")];
        assert!(of(twice, vec![], &["x"]).contains("'y' comes from two places, a node and a node"));
        assert!(
            of(vec![relu("a", "w", "x")], vec![w()], &["x"]).contains("'x' comes from two places, an input and a node")
        );
        // Before IR version 4 every initializer was an input, too.
        assert!(check(&model(vec![relu("a", "w", "y")], vec![w()], &["w"])).is_ok());
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_nodes_is_checked_without_recursion() {
        let name = |i: usize| format!("v{i}");
        let chain = |end: &str| {
            let mut nodes: Vec<_> = (0..100_000).map(|i| relu("", &name(i), &name(i + 1))).collect();
            nodes.push(relu("last", &name(100_000), end));
            model(nodes, vec![], &[])
        };
        assert!(check(&chain("end")).is_ok());
        assert!(check(&chain("v0")).is_err());
    }
}
