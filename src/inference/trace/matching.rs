//! Which value of one graph is which of another: by name first, then by what computes them.
//!
//! A quantizer leaves the names of values alone and puts QuantizeLinear and DequantizeLinear between (onnxruntime's QDQ format,
//! our own exports), so that a value may stand in the quantized graph twice: before and after its grid. Where a tool has renamed
//! values, they are the same if the same operator computes them from the same values.

use crate::onnx::Graph;
use crate::onnx::build::is_standard_domain;
use crate::onnx::{GraphProto, NodeProto};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A value of the float graph, and where it stands in the quantized one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MatchedValue {
    /// Name in the float graph.
    pub(super) float: String,
    /// Name in the quantized graph; of a value that is put on a grid, before that.
    pub(super) quantized: String,
    /// The same after QuantizeLinear and DequantizeLinear, where they follow.
    pub(super) after_grid: Option<String>,
    /// Position of the node that computes it in the float graph; `None` for an input.
    pub(super) node: Option<usize>,
}

impl MatchedValue {
    /// Its name in the quantized graph as the nodes after it read it.
    pub(super) fn seen(&self) -> &str {
        self.after_grid.as_ref().unwrap_or(&self.quantized)
    }
}

/// The values of both main graphs that are the same, in the order of the float graph: its inputs, then what its nodes compute.
/// Constants are left out.
pub(super) fn matched_values(float: &GraphProto, quantized: &GraphProto) -> Vec<MatchedValue> {
    let (graphs, mut matching) = ((Graph::main(float), Graph::main(quantized)), Matching::default());
    let inputs: Vec<&str> = quantized.required_inputs().collect();
    for (place, name) in float.required_inputs().enumerate() {
        // Inputs are handed over by name; a tool that renames them keeps their order.
        let same = inputs.iter().find(|other| **other == name).or(inputs.get(place));
        if let Some(other) = same {
            matching.put(&graphs, name, other, None);
        }
    }
    for (position, node) in float.node.iter().enumerate() {
        for (place, output) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let named = graphs.1.maker(output).map(|_| output.as_str());
            if let Some(other) = named.or_else(|| matching.alike(&graphs, node, place)) {
                matching.put(&graphs, output, other, Some(position));
            }
        }
    }
    matching.values
}

#[derive(Default)]
struct Matching {
    values: Vec<MatchedValue>,
    /// For each name of the float graph, its places in the quantized one: the value itself, and after its grid.
    places: HashMap<String, Vec<String>>,
    taken: HashSet<String>,
}

impl Matching {
    fn put(&mut self, (_, quantized): &(Graph<'_>, Graph<'_>), float: &str, other: &str, node: Option<usize>) {
        // Of a value whose name stands behind its grid, what is before it.
        let before = on_grid(quantized, other).map(str::to_owned);
        let after = match before {
            Some(_) => Some(other.to_owned()),
            None => grid_of(quantized, other).map(str::to_owned),
        };
        let value = MatchedValue {
            float: float.to_owned(),
            quantized: before.unwrap_or_else(|| other.to_owned()),
            after_grid: after,
            node,
        };
        let places: Vec<String> = std::iter::once(value.quantized.clone())
            .chain(value.after_grid.clone())
            .collect();
        self.taken.extend(places.iter().cloned());
        self.places.insert(float.to_owned(), places);
        self.values.push(value);
    }

    /// The output at `place` of a node of the quantized graph that computes what `node` does, from the same values.
    fn alike<'a>(
        &self,
        (float, quantized): &(Graph<'_>, Graph<'a>),
        node: &NodeProto,
        place: usize,
    ) -> Option<&'a str> {
        let same_input = |(one, other): (&String, &String)| match self.places.get(one) {
            Some(places) => places.contains(other),
            // A constant is a constant; on what grid is no matter.
            None => one.is_empty() == other.is_empty() && is_constant(float, one) && is_constant(quantized, other),
        };
        // It reads each of the values that `node` reads: of the nodes that read one of them, whichever is read least.
        let known = node.input.iter().filter_map(|input| self.places.get(input));
        let readers = |places: &Vec<String>| places.iter().map(|name| quantized.readers(name).len()).sum::<usize>();
        let read_least = known.min_by_key(|places| readers(places))?;
        let candidates: BTreeSet<usize> = (read_least.iter())
            .flat_map(|name| quantized.readers(name).iter().copied())
            .collect();
        let mut candidates = candidates.iter().filter_map(|position| quantized.node(*position));
        let found = candidates.find(|other| {
            other.op_type() == node.op_type()
                && is_standard_domain(other.domain()) == is_standard_domain(node.domain())
                && other.input.len() == node.input.len()
                && node.input.iter().zip(&other.input).all(same_input)
                // A name that the float graph has, too, is that of another value.
                && other.output.get(place).is_some_and(|name| !self.taken.contains(name) && float.maker(name).is_none())
        });
        found?.output.get(place).map(String::as_str)
    }
}

/// Whether `value` does not depend on what is handed over: a constant, one that is dequantized, or a missing input.
fn is_constant(graph: &Graph<'_>, value: &str) -> bool {
    let mut value = value;
    // As long as a chain of single inputs goes: a weight passes few nodes on its way.
    for _ in 0..8 {
        if value.is_empty() || graph.constant(value).is_some() {
            return true;
        }
        match graph.maker_node(value).and_then(|node| node.input.first()) {
            Some(input) => value = input,
            None => return false,
        }
    }
    false
}

/// What DequantizeLinear makes of QuantizeLinear of `value`, where both follow it directly or behind a Clip.
fn grid_of<'a>(graph: &Graph<'a>, value: &str) -> Option<&'a str> {
    let first = |name: &str, op: &str| {
        let readers = graph.readers(name).iter().filter_map(|position| graph.node(*position));
        let mut of_op =
            readers.filter(|node| node.op_type() == op && node.input.first().is_some_and(|input| input == name));
        of_op.next()?.output.first().map(String::as_str)
    };
    let clipped = || first(value, "Clip").and_then(|clipped| first(clipped, "QuantizeLinear"));
    let integers = first(value, "QuantizeLinear").or_else(clipped)?;
    first(integers, "DequantizeLinear")
}

/// What was quantized and dequantized to give `value`.
fn on_grid<'a>(graph: &Graph<'a>, value: &str) -> Option<&'a str> {
    let made_by = |value: &str, op: &str| {
        let node = graph.maker_node(value).filter(|node| node.op_type() == op)?;
        node.input.first().map(String::as_str)
    };
    let integers = made_by(value, "DequantizeLinear")?;
    made_by(integers, "QuantizeLinear")
}

/// The values from which alone `value` can be computed: the nearest before it that are `known`.
pub(super) fn nearest_known<'a>(graph: &Graph<'a>, value: &str, known: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let mut found: Vec<&'a str> = Vec::new();
    let mut seen: HashSet<usize> = HashSet::new();
    let mut waiting: Vec<usize> = graph.maker(value).into_iter().collect();
    while let Some(position) = waiting.pop() {
        if !seen.insert(position) {
            continue;
        }
        let Some(node) = graph.node(position) else { continue };
        let mut reads: Vec<&'a str> = Vec::new();
        crate::onnx::each_read(node, &mut |name| reads.push(name));
        for name in reads {
            if known(name) {
                if !found.contains(&name) {
                    found.push(name);
                }
            } else {
                waiting.extend(graph.maker(name));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, float_value_info};

    fn node(op_type: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        crate::onnx::build::node(op_type, "", inputs.iter().copied(), outputs.iter().copied(), Vec::new())
    }

    fn graph(inputs: &[&str], nodes: Vec<NodeProto>, constants: &[&str]) -> GraphProto {
        GraphProto {
            input: inputs.iter().map(|name| float_value_info(name, &[1])).collect(),
            node: nodes,
            initializer: constants.iter().map(|name| float_tensor(*name, &[1], &[1.0])).collect(),
            ..GraphProto::default()
        }
    }

    #[test]
    fn values_match_by_name_before_and_after_their_grid() {
        let float = graph(
            &["x"],
            vec![node("MatMul", &["x", "w"], &["y"]), node("Relu", &["y"], &["z"])],
            &["w"],
        );
        let quantized = graph(
            &["x"],
            vec![
                node("QuantizeLinear", &["x", "s"], &["x_q"]),
                node("DequantizeLinear", &["x_q", "s"], &["x_d"]),
                node("DequantizeLinear", &["w_q", "s"], &["w_d"]),
                node("MatMul", &["x_d", "w_d"], &["y"]),
                node("Relu", &["y"], &["z_pre"]),
                node("QuantizeLinear", &["z_pre", "s"], &["z_q"]),
                node("DequantizeLinear", &["z_q", "s"], &["z"]),
            ],
            &["s", "w_q"],
        );
        let found = matched_values(&float, &quantized);
        let shown: Vec<(&str, &str, Option<&str>)> = (found.iter())
            .map(|value| {
                (
                    value.float.as_str(),
                    value.quantized.as_str(),
                    value.after_grid.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [("x", "x", Some("x_d")), ("y", "y", None), ("z", "z_pre", Some("z"))]
        );
        let quantized = Graph::main(&quantized);
        let known = |name: &str| ["x", "x_d", "y"].contains(&name);
        assert_eq!(nearest_known(&quantized, "z", known), ["y"], "its own grid is between");
        assert_eq!(nearest_known(&quantized, "y", known), ["x_d"]);
    }

    #[test]
    fn renamed_values_match_by_what_computes_them() {
        let nodes = |names: [&str; 3]| {
            vec![
                node("MatMul", &["x", "w"], &[names[0]]),
                node("Relu", &[names[0]], &[names[1]]),
                node("MatMul", &[names[1], "w"], &[names[2]]),
            ]
        };
        let (float, renamed) = (
            graph(&["x"], nodes(["a", "b", "c"]), &["w"]),
            graph(&["x"], nodes(["t1", "t2", "t3"]), &["w"]),
        );
        let found = matched_values(&float, &renamed);
        let pairs: Vec<(&str, &str)> = found
            .iter()
            .map(|value| (value.float.as_str(), value.quantized.as_str()))
            .collect();
        assert_eq!(pairs, [("x", "x"), ("a", "t1"), ("b", "t2"), ("c", "t3")]);
    }
}
