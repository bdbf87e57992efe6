//! Weights that the graph computes from constants: worked out once, when a network is opened.
//!
//! Exporters write the gates of an LSTM as slices of a constant that are joined in another order, or a matrix as a constant
//! that is reshaped. Such a value becomes the constant that it is, so that it is a weight like any other.

mod arithmetic;
mod compute;

#[cfg(test)]
mod tests;

use crate::onnx::build::{is_standard_domain, tensor_attribute};
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, constant_tensor};
use std::collections::{HashMap, HashSet};

/// Nodes between a weight and its constants that are followed.
const DEEPEST: usize = 24;

/// What working out the weights of one network may cost: a file of a few lines can ask for copies of copies of copies.
struct Budget {
    /// Nodes that may still be computed.
    nodes: usize,
    /// Bytes that may still be copied.
    bytes: usize,
}

impl Budget {
    const WHOLE: Self = Self {
        nodes: 1 << 16,
        bytes: 2 << 30,
    };

    /// Takes `bytes` out of it; `None` if they are not there.
    fn copy(&mut self, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(())
    }
}

/// Replaces every computed constant that a layer reads as its weight by a `Constant` node, and removes what nobody reads
/// any more because of that. The network computes what it computed.
pub(super) fn fold_computed_weights(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let mut found = Found {
        folded: Vec::new(),
        used: HashSet::new(),
        budget: Budget::WHOLE,
    };
    find(graph, &[], &mut Vec::new(), &mut found);
    for Folded { way, node, tensor } in found.folded {
        if let Some(node) = node_at(graph, &way, node) {
            found.used.extend(node.input.drain(..));
            node.op_type = Some("Constant".to_owned());
            node.domain = None;
            node.attribute = vec![tensor_attribute("value", tensor)];
        }
    }
    if !found.used.is_empty() {
        remove_unread(graph, &found.used);
    }
}

/// A node whose value is known: the way down to its graph, its position there, the value.
struct Folded {
    way: Vec<(usize, String)>,
    node: usize,
    tensor: TensorProto,
}

struct Found {
    folded: Vec<Folded>,
    budget: Budget,
    /// Names of what went into the values.
    used: HashSet<String>,
}

/// The constants of one graph, by name, and the nodes that can be computed.
struct Known<'a> {
    tensors: HashMap<&'a str, &'a TensorProto>,
    nodes: HashMap<&'a str, (usize, &'a NodeProto)>,
}

impl<'a> Known<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        let mut known = Self {
            tensors: graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect(),
            nodes: HashMap::new(),
        };
        for (position, node) in graph.node.iter().enumerate() {
            let [output] = node.output.as_slice() else { continue };
            if let Some(tensor) = constant_tensor(node) {
                known.tensors.insert(output, tensor);
            } else if is_standard_domain(node.domain()) && compute::is_computable(node) {
                known.nodes.insert(output, (position, node));
            }
        }
        known
    }
}

/// Finds the computed weights that the nodes of `graph` read, and those of the graphs inside of it. `outer` are the graphs
/// around it, `way` leads to it.
fn find(graph: &GraphProto, outer: &[&Known<'_>], way: &mut Vec<(usize, String)>, found: &mut Found) {
    let known = Known::of(graph);
    let mut scopes: Vec<&Known<'_>> = outer.to_vec();
    scopes.push(&known);
    let mut seen = HashSet::new();
    let mut constant = HashMap::new();
    for (position, node) in graph.node.iter().enumerate() {
        for input in weight_inputs(node).filter_map(|slot| node.input.get(slot)) {
            let Some(name) = computed(input, &known, follows_transpose(node)).filter(|name| seen.insert(*name)) else {
                continue;
            };
            // The other side of a product is mostly computed at run time: nothing of it is worked out in vain.
            if !is_constant(name, &scopes, 0, &mut constant) {
                continue;
            }
            let value = value(name, &scopes, 0, found);
            if let (Some(tensor), Some((node, _))) = (value, known.nodes.get(name)) {
                found.folded.push(Folded {
                    way: way.clone(),
                    node: *node,
                    tensor,
                });
            }
        }
        for attribute in &node.attribute {
            if let Some(body) = &attribute.g {
                way.push((position, attribute.name().to_owned()));
                find(body, &scopes, way, found);
                way.pop();
            }
        }
    }
}

fn node_at<'a>(main: &'a mut GraphProto, way: &[(usize, String)], node: usize) -> Option<&'a mut NodeProto> {
    let mut graph = main;
    for (position, name) in way {
        let attributes = &mut graph.node.get_mut(*position)?.attribute;
        graph = attributes
            .iter_mut()
            .find(|attribute| attribute.name() == name)?
            .g
            .as_mut()?;
    }
    graph.node.get_mut(node)
}

/// Which inputs of a node are weights.
fn weight_inputs(node: &NodeProto) -> impl Iterator<Item = usize> {
    let slots = match node.op_type() {
        _ if !is_standard_domain(node.domain()) => 0..0,
        "Conv" | "ConvTranspose" => 1..2,
        "Gemm" | "MatMul" => 0..2,
        "LSTM" | "GRU" | "RNN" => 1..3,
        _ => 0..0,
    };
    slots.into_iter()
}

/// Whether a layer reads its weight through a Transpose; the others get it as it is behind it.
fn follows_transpose(node: &NodeProto) -> bool {
    matches!(node.op_type(), "Gemm" | "MatMul")
}

/// The value behind `name`, through nodes that a weight may pass, if a node of this graph computes it.
fn computed<'a>(name: &'a str, known: &Known<'a>, through_transpose: bool) -> Option<&'a str> {
    let mut name = name;
    for _ in 0..DEEPEST {
        let (_, node) = known.nodes.get(name)?;
        let is_cast_of_integers = || node.op_type() == "Cast" && !casts_floats(node, known);
        let passes = match node.op_type() {
            "Transpose" => through_transpose,
            "Identity" | "Cast" => !is_cast_of_integers(),
            _ => false,
        };
        if !passes {
            return Some(name);
        }
        name = node.input.first()?;
    }
    None
}

/// Whether the Cast `node` reads no constant of integers: those are no weights until they are floats.
fn casts_floats(node: &NodeProto, known: &Known<'_>) -> bool {
    let constant = node.input.first().and_then(|input| known.tensors.get(input.as_str()));
    constant.is_none_or(|tensor| crate::onnx::is_float(tensor))
}

/// Whether [`value`] finds all that it needs, without computing anything; `known` remembers the answers.
fn is_constant<'a>(name: &'a str, scopes: &[&Known<'a>], depth: usize, known: &mut HashMap<&'a str, bool>) -> bool {
    if let Some(answer) = known.get(name) {
        return *answer;
    }
    let found = scopes.iter().rev().find_map(|scope| match scope.tensors.get(name) {
        Some(_) => Some(None),
        None => scope.nodes.get(name).map(|(_, node)| Some(*node)),
    });
    let answer = match found {
        None => false,
        Some(None) => true,
        Some(Some(_)) if depth == DEEPEST => return false,
        Some(Some(node)) => {
            let mut inputs = node.input.iter().filter(|input| !input.is_empty());
            inputs.all(|input| is_constant(input, scopes, depth + 1, known))
        }
    };
    known.insert(name, answer);
    answer
}

/// The constant called `name`; `None` if anything that it needs is known at run time only.
fn value(name: &str, scopes: &[&Known<'_>], depth: usize, found: &mut Found) -> Option<TensorProto> {
    for known in scopes.iter().rev() {
        if let Some(tensor) = known.tensors.get(name) {
            return Some((*tensor).clone());
        }
        if let Some((_, node)) = known.nodes.get(name) {
            if depth == DEEPEST {
                return None;
            }
            found.budget.nodes = found.budget.nodes.checked_sub(1)?;
            let mut inputs = Vec::new();
            for input in &node.input {
                // An optional input that is left out has no name.
                let left_out = input.is_empty();
                inputs.push(if left_out {
                    None
                } else {
                    Some(value(input, scopes, depth + 1, found)?)
                });
            }
            let tensor = compute::compute(node, &inputs, &mut found.budget)?;
            found.used.extend(node.input.iter().cloned());
            return Some(tensor);
        }
    }
    None
}

/// Removes the nodes and initializers among `used` that nothing reads any more.
fn remove_unread(main: &mut GraphProto, used: &HashSet<String>) {
    loop {
        let mut read = HashSet::new();
        main.for_each_graph(&mut |graph| {
            read.extend(graph.output.iter().map(|output| output.name().to_owned()));
            read.extend(graph.node.iter().flat_map(|node| node.input.iter().cloned()));
        });
        let unread = |name: &str| used.contains(name) && !read.contains(name);
        if !remove(main, &unread) {
            return;
        }
    }
}

fn remove(graph: &mut GraphProto, unread: &impl Fn(&str) -> bool) -> bool {
    let before = (graph.node.len(), graph.initializer.len());
    graph
        .node
        .retain(|node| node.output.is_empty() || !node.output.iter().all(|output| unread(output)));
    graph.initializer.retain(|tensor| !unread(tensor.name()));
    graph
        .input
        .retain(|input| !unread(input.name()) || graph.initializer.iter().any(|t| t.name() == input.name()));
    graph.value_info.retain(|info| !unread(info.name()));
    let mut any = before != (graph.node.len(), graph.initializer.len());
    for body in (graph.node.iter_mut()).flat_map(|node| node.attribute.iter_mut().filter_map(|a| a.g.as_mut())) {
        any |= remove(body, unread);
    }
    any
}
