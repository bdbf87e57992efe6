//! A decoder that reads on from the keys and values of earlier tokens, so that each new token costs one step and not the whole
//! sequence again.
//!
//! The graphs that are made from the names of a known architecture compute keys and values token by token; what looks back are
//! the products of attention alone. So each key and value gets an input for those of the tokens before, which stand in front of
//! the new ones, and an output for all of them; positions are counted on. Inputs and outputs are called as exporters of
//! transformers call them: `past_key_values.N.key`, `present.N.key`, `[batch, heads, steps, head]`, likewise `value`.
//! A graph that was rewritten for quantization keeps what this rests on, so the same is done with it.

use super::shapes::{Shapes, shapes};
use crate::onnx::build::{Axis, attribute_ints, int_attribute, node, scalar_i64, value_info};
use crate::onnx::schema::data_type;
use crate::onnx::{Graph, GraphEdit, GraphProto, ModelProto, NodeProto, ValueInfoProto, numbers};

/// Node of the positions in graphs that are made from names.
pub(crate) const POSITIONS: &str = "steps.positions";
/// Nodes there that read the positions of all tokens that are looked at, not those of the tokens that look.
pub(crate) const LOOKED_AT: [&str; 2] = ["steps.row", "alibi.positions"];

/// Operators between a product of attention and the softmax behind it that are followed.
const MAX_STEPS: usize = 8;
/// Axis of the steps in keys and values.
const STEPS: usize = 2;

/// A decoder with inputs and outputs for a past.
#[derive(Debug, Clone)]
pub struct DecoderWithPast {
    /// The model.
    pub model: ModelProto,
    /// Tokens that it can read at most, where it has a table of positions.
    pub longest: Option<usize>,
}

/// Why a model gets no past.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPast {
    /// There is nothing to rewrite.
    #[error("the model has no graph")]
    NoGraph,
    /// Another graph may let tokens meet anywhere.
    #[error("its graph was not made from the names of a known decoder")]
    NotADecoder,
    /// They cannot be counted on.
    #[error("its positions do not follow from the number of its tokens")]
    Positions,
    /// The softmax of an attention.
    #[error("keys and values of '{0}' were not found")]
    NoKeys(String),
    /// Nothing looks back.
    #[error("it has no attention")]
    NoAttention,
    /// The name of a new input or output.
    #[error("it has a value '{0}' already")]
    Taken(String),
}

/// An input of a node, by the node's position.
type Slot = (usize, usize);

/// Where the keys and values of an attention are read, and what is read there.
struct Attention {
    parts: [(Slot, String, [usize; 2]); 2],
}

/// Whether [`with_past`] can be tried: the graph was made from the names of a known decoder.
pub fn reads_on(model: &ModelProto) -> bool {
    model.graph.as_ref().is_some_and(|graph| positions(graph).is_some())
}

/// The node of the positions, and its place.
fn positions(graph: &GraphProto) -> Option<(usize, &NodeProto)> {
    let found = named(graph, POSITIONS)?;
    (found.1.op_type() == "Range" && found.1.input.len() == 3).then_some(found)
}

/// The node of that name, and its place.
fn named<'a>(graph: &'a GraphProto, name: &str) -> Option<(usize, &'a NodeProto)> {
    let found = graph.node.iter().enumerate().find(|(_, node)| node.name() == name);
    found.filter(|(_, node)| node.output.len() == 1)
}

/// `model` with a past; see the module.
///
/// # Errors
/// Why its keys and values cannot be told apart.
pub fn with_past(model: &ModelProto) -> Result<DecoderWithPast, NoPast> {
    let proto = model.graph.as_ref().ok_or(NoPast::NoGraph)?;
    let graph = Graph::main(proto);
    let (range, positions) = positions(proto).ok_or(NoPast::NotADecoder)?;
    let tokens = tokens(&graph, positions).ok_or(NoPast::Positions)?;
    let given = Shapes::from([(tokens.to_owned(), vec![1, 2])]);
    let shapes = shapes(proto, &given);
    let mut attentions = Vec::new();
    for (place, node) in proto.node.iter().enumerate() {
        if node.op_type() == "Softmax" {
            let found = attention(&graph, place, node, &shapes);
            attentions.push(found.ok_or_else(|| NoPast::NoKeys(node.name().to_owned()))?);
        }
    }
    if attentions.is_empty() {
        return Err(NoPast::NoAttention);
    }
    let longest = positions
        .output
        .first()
        .and_then(|value| longest(&graph, value, &shapes));

    let mut edit = GraphEdit::new(model.clone());
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for (number, attention) in attentions.iter().enumerate() {
        for (part, (slot, value, [heads, head])) in ["key", "value"].into_iter().zip(&attention.parts) {
            let names = [
                format!("past_key_values.{number}.{part}"),
                format!("present.{number}.{part}"),
            ];
            if let Some(taken) = names.iter().find(|name| edit.fresh(name) != **name) {
                return Err(NoPast::Taken(taken.clone()));
            }
            let [past, present] = names;
            let joined = [past.clone(), value.clone()];
            let axis = vec![int_attribute("axis", STEPS as i64)];
            edit.insert(
                slot.0,
                node("Concat", format!("{present}.joined"), joined, [present.clone()], axis),
            );
            edit.replace_input(slot.0, slot.1, present.clone());
            inputs.push(port(&past, "past_sequence_length", *heads, *head));
            outputs.push(port(&present, "total_sequence_length", *heads, *head));
        }
    }
    let [zero, count, one] = [0, 1, 2].map(|slot| positions.input.get(slot).cloned().unwrap_or_default());
    let axis = edit.add_initializer("past.axis", scalar_i64("", STEPS as i64));
    let mut add = |operator: &str, name: &str, read: Vec<String>| {
        let made = edit.fresh(&format!("{name}.out"));
        edit.insert(range, node(operator, name, read, [made.clone()], vec![]));
        made
    };
    let shape = add("Shape", "past.shape", vec!["past_key_values.0.key".to_owned()]);
    let past = add("Gather", "past.count", vec![shape, axis]);
    let total = add("Add", "past.total", vec![count, past.clone()]);
    let all = add("Range", "past.positions", vec![zero, total.clone(), one]);
    edit.replace_input(range, 0, past);
    edit.replace_input(range, 1, total);
    for (place, _) in LOOKED_AT.into_iter().filter_map(|name| named(proto, name)) {
        edit.replace_input(place, 0, all.clone());
    }
    let mut model = edit.finish();
    if let Some(graph) = &mut model.graph {
        graph.input.extend(inputs);
        graph.output.extend(outputs);
        // What the file tells of shapes holds without a past.
        graph.value_info.clear();
    }
    Ok(DecoderWithPast { model, longest })
}

/// The graph's input whose number of steps the positions are counted to.
fn tokens<'a>(graph: &Graph<'a>, positions: &'a NodeProto) -> Option<&'a str> {
    let count = graph.maker_node(positions.input.get(1)?)?;
    let shape = graph.maker_node(count.input.first()?)?;
    let tokens = shape.input.first()?;
    let is_input = graph.proto.input.iter().any(|input| input.name() == tokens);
    (count.op_type() == "Gather" && shape.op_type() == "Shape" && is_input).then_some(tokens)
}

/// The attention whose shares the softmax `node` at `place` computes.
fn attention(graph: &Graph<'_>, place: usize, node: &NodeProto, shapes: &Shapes) -> Option<Attention> {
    let mix = |place: &usize| {
        let reader = graph.node(*place)?;
        (reader.op_type() == "MatMul" && reader.input.first() == node.output.first()).then_some(*place)
    };
    let mix = graph.readers(node.output.first()?).iter().find_map(mix)?;
    let mut scores = graph.maker(graph.node(place)?.input.first()?)?;
    for _ in 0..MAX_STEPS {
        let reached = graph.node(scores)?;
        match reached.op_type() {
            "MatMul" => break,
            "Add" | "Mul" | "Tanh" => scores = graph.maker(reached.input.first()?)?,
            _ => return None,
        }
    }
    let part = |matmul: usize| {
        let (slot, value) = source(graph, (matmul, 1))?;
        match shapes.get(&value)?.as_slice() {
            [1, heads, 2, head] => Some((slot, value, [*heads, *head])),
            _ => None,
        }
    };
    (graph.node(scores)?.op_type() == "MatMul").then_some(())?;
    Some(Attention {
        parts: [part(scores)?, part(mix)?],
    })
}

/// The value `[batch, heads, steps, head]` that an operand of a product comes from, and the slot that reads it: in front of what
/// turns the last two axes, adds one, or puts it on a grid.
fn source(graph: &Graph<'_>, mut slot: Slot) -> Option<(Slot, String)> {
    let mut value = graph.node(slot.0)?.input.get(slot.1)?;
    for _ in 0..MAX_STEPS {
        let Some(place) = graph.maker(value) else { break };
        let node = graph.node(place)?;
        let passes = match node.op_type() {
            "Unsqueeze" | "QuantizeLinear" | "DequantizeLinear" => true,
            "Transpose" => attribute_ints(node, "perm") == Some(&[0, 1, 3, 2]),
            _ => false,
        };
        if !passes {
            break;
        }
        slot = (place, 0);
        value = node.input.first()?;
    }
    Some((slot, value.clone()))
}

/// Rows of the smallest table that is looked up by `positions`, less what is added to them.
fn longest(graph: &Graph<'_>, positions: &str, shapes: &Shapes) -> Option<usize> {
    let tables = graph.readers(positions).iter().filter_map(|place| {
        let reader = graph.node(*place)?;
        match reader.op_type() {
            "Gather" if reader.input.get(1).is_some_and(|read| read == positions) => {
                shapes.get(reader.input.first()?)?.first().copied()
            }
            "Add" => {
                let added = graph.constant(reader.input.get(1)?)?;
                let added = *numbers(added).ok()?.first()?;
                longest(graph, reader.output.first()?, shapes)?.checked_sub(added as usize)
            }
            _ => None,
        }
    });
    tables.min()
}

/// A port of keys or values.
fn port(name: &str, steps: &'static str, heads: usize, head: usize) -> ValueInfoProto {
    let axes = [
        Axis::Free("batch"),
        Axis::Size(heads),
        Axis::Free(steps),
        Axis::Size(head),
    ];
    value_info(name, data_type::FLOAT, &axes)
}
