//! The head of a network: one last product with constant weights, and what is done behind it to each row alone. It answers any
//! row of its input by itself, so that answers that are wide (one number for each token of a vocabulary) need not be held for
//! all tokens at once.

use crate::onnx::build::{attribute_int, attribute_ints, is_standard_domain};
use crate::onnx::{Graph, ModelProto, NodeProto, Origin, ValueInfoProto, each_read, integer_values};
use std::cell::OnceCell;
use std::collections::HashSet;

/// Where a network's head begins, and how wide it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The value that the product reads, the only one behind which an output depends on: rows on its last axis.
    pub value: String,
    /// Numbers of an answer, on the output's last axis.
    pub width: usize,
}

/// The heads of the outputs of `model`, by their names. Time grows with the graph, however many outputs there are.
pub(super) fn heads(model: &ModelProto) -> Vec<(String, Head)> {
    let Some(proto) = &model.graph else {
        return Vec::new();
    };
    let values = Values::of(Graph::main(proto));
    let outputs = proto.output.iter();
    outputs
        .filter_map(|output| Some((output.name().to_owned(), head(&values, output.name())?)))
        .collect()
}

/// The values of a graph, and which of them what is handed over at run time leads to.
struct Values<'a> {
    graph: Graph<'a>,
    handed_over: OnceCell<HashSet<&'a str>>,
}

impl<'a> Values<'a> {
    fn of(graph: Graph<'a>) -> Self {
        Self {
            graph,
            handed_over: OnceCell::new(),
        }
    }

    /// Whether nothing that is handed over at run time leads to `name`. What nothing in the graph makes is not known.
    fn is_constant(&self, name: &str) -> bool {
        let handed_over = self.handed_over.get_or_init(|| self.found());
        !handed_over.contains(name) && self.graph.find(name).is_some()
    }

    /// Nodes come after what they read.
    fn found(&self) -> HashSet<&'a str> {
        let proto = self.graph.proto;
        let inputs = proto.input.iter().map(ValueInfoProto::name);
        let is_input = |name: &&str| matches!(self.graph.find(name), Some((_, Origin::Input)));
        let mut found: HashSet<&str> = inputs.filter(is_input).collect();
        for node in &proto.node {
            let mut depends = false;
            each_read(node, &mut |read| {
                depends |= !read.is_empty() && (found.contains(read) || self.graph.find(read).is_none());
            });
            if depends {
                found.extend(node.output.iter().map(String::as_str).filter(|name| !name.is_empty()));
            }
        }
        found
    }
}

/// The head that makes `output`; `None` where something behind the last product mixes rows, or is not known.
fn head(values: &Values<'_>, output: &str) -> Option<Head> {
    let graph = &values.graph;
    let mut name = output;
    loop {
        let node = graph
            .maker_node(name)
            .filter(|node| is_standard_domain(node.domain()))?;
        let input = |slot: usize| node.input.get(slot).map(String::as_str).filter(|name| !name.is_empty());
        let rows_alone = |slot: usize| input(slot).is_none_or(|name| is_row(graph, name));
        match node.op_type() {
            "MatMul" => {
                let weights = input(1)
                    .filter(|name| values.is_constant(name) && graph.rank(name).is_none_or(|rank| rank == 2))?;
                return begins(values, input(0)?, width(graph, weights, 1)?);
            }
            "Gemm" if attribute_int(node, "transA").unwrap_or(0) == 0 && rows_alone(2) => {
                let weights = input(1).filter(|name| values.is_constant(name))?;
                let axis = usize::from(attribute_int(node, "transB").unwrap_or(0) == 0);
                return begins(values, input(0)?, width(graph, weights, axis)?);
            }
            "Add" | "Sub" | "Mul" | "Div" => {
                let (one, other) = (input(0)?, input(1)?);
                name = match (is_row(graph, one), is_row(graph, other)) {
                    (false, true) => one,
                    (true, false) => other,
                    _ => return None,
                };
            }
            "Tanh" | "Identity" | "Cast" => name = input(0)?,
            "Clip" if rows_alone(1) && rows_alone(2) => name = input(0)?,
            _ => return None,
        }
    }
}

/// The head that reads `value`, unless that is a constant itself.
fn begins(values: &Values<'_>, value: &str, width: usize) -> Option<Head> {
    (!values.is_constant(value)).then(|| Head {
        value: value.to_owned(),
        width,
    })
}

/// Whether `name` is a constant that is the same for each row: a number, or one for each place on the last axis.
fn is_row(graph: &Graph<'_>, name: &str) -> bool {
    let tensor = graph.constant(name);
    tensor.is_some_and(|tensor| tensor.dims.iter().rev().skip(1).all(|size| *size == 1))
}

/// The size of an axis of a constant matrix, as far as it follows from what it is made of.
fn width(graph: &Graph<'_>, name: &str, axis: usize) -> Option<usize> {
    if let Some(tensor) = graph.constant(name) {
        return usize::try_from(*tensor.dims.get(axis)?).ok();
    }
    let node: &NodeProto = graph
        .maker_node(name)
        .filter(|node| is_standard_domain(node.domain()))?;
    let first = node.input.first()?;
    match node.op_type() {
        "Identity" | "Cast" | "DequantizeLinear" => width(graph, first, axis),
        "Transpose" => {
            // Without an order the axes are reversed.
            let from = match attribute_ints(node, "perm") {
                Some(order) => usize::try_from(*order.get(axis)?).ok()?,
                None => 1_usize.checked_sub(axis)?,
            };
            width(graph, first, from)
        }
        "Reshape" => {
            let shape = integer_values(graph.constant(node.input.get(1)?)?).ok()?;
            match *shape.get(axis)? {
                // The size stays.
                0 => width(graph, first, axis),
                size => usize::try_from(size).ok(),
            }
        }
        // Copies of split channels.
        "Gather" if attribute_int(node, "axis").unwrap_or(0) != i64::try_from(axis).ok()? => width(graph, first, axis),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{
        float_tensor, i8_tensor, i64_tensor, int_attribute, ints_attribute, model_of, node, scalar_f32,
    };
    use crate::onnx::{GraphProto, ValueInfoProto};

    fn model(nodes: Vec<NodeProto>) -> ModelProto {
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..ValueInfoProto::default()
        };
        let zeros = |name: &str, dims: &[usize]| float_tensor(name, dims, &vec![0.0; dims.iter().product()]);
        let initializer = vec![
            zeros("weights", &[4, 9]),
            zeros("turned", &[9, 4]),
            zeros("bias", &[1, 1, 9]),
            zeros("column", &[3, 1]),
            i8_tensor("codes", &[9, 4], &[0; 36]),
            i8_tensor("zero", &[], &[0]),
            scalar_f32("scale", 0.5),
            i64_tensor("shape", &[2], &[0, 4]),
        ];
        model_of(
            17,
            GraphProto {
                node: nodes,
                initializer,
                input: vec![value("x"), value("other")],
                output: vec![value("y")],
                ..GraphProto::default()
            },
        )
    }

    fn found(nodes: Vec<NodeProto>) -> Option<(String, usize)> {
        let model = model(nodes);
        let found = heads(&model).into_iter().find(|(name, _)| name == "y");
        found.map(|(_, head)| (head.value, head.width))
    }

    #[test]
    fn a_head_begins_at_the_last_product_with_constant_weights() {
        let before = || node("Tanh", "before", ["x"], ["h"], vec![]);
        let product = |weights: &str, to: &str| node("MatMul", "head", ["h", weights], [to], vec![]);
        let expected = Some(("h".to_owned(), 9));
        assert_eq!(found(vec![before(), product("weights", "y")]), expected);
        let capped = vec![
            before(),
            product("weights", "a"),
            node("Add", "add", ["bias", "a"], ["b"], vec![]),
            node("Div", "divide", ["b", "scale"], ["c"], vec![]),
            node("Tanh", "cap", ["c"], ["y"], vec![]),
        ];
        assert_eq!(found(capped), expected);
        // A table of integers, turned: the file of a tied head.
        let quantized = vec![
            before(),
            node(
                "DequantizeLinear",
                "floats",
                ["codes", "scale", "zero"],
                ["table"],
                vec![],
            ),
            node(
                "Transpose",
                "turn",
                ["table"],
                ["w"],
                vec![ints_attribute("perm", [1, 0])],
            ),
            product("w", "y"),
        ];
        assert_eq!(found(quantized), expected);
        let gemm = node(
            "Gemm",
            "head",
            ["h", "turned", "bias"],
            ["y"],
            vec![int_attribute("transB", 1)],
        );
        assert_eq!(found(vec![before(), gemm]), expected);
    }

    #[test]
    fn what_mixes_rows_behind_the_product_is_no_head() {
        let product = || node("MatMul", "head", ["x", "weights"], ["a"], vec![]);
        let behind = |last: NodeProto| found(vec![product(), last]);
        // One number a row, in an order that slices would not keep.
        assert_eq!(behind(node("Add", "add", ["a", "column"], ["y"], vec![])), None);
        assert_eq!(behind(node("Add", "add", ["a", "other"], ["y"], vec![])), None);
        assert_eq!(
            behind(node("Softmax", "s", ["a"], ["y"], vec![int_attribute("axis", 1)])),
            None
        );
        assert_eq!(behind(node("Transpose", "t", ["a"], ["y"], vec![])), None);
        // Two values that are computed.
        assert_eq!(found(vec![node("MatMul", "m", ["x", "other"], ["y"], vec![])]), None);
        assert_eq!(
            found(vec![node("MatMul", "m", ["weights", "turned"], ["y"], vec![])]),
            None
        );
    }
}
