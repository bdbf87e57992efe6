//! One graph that computes the quantized values twice: as the network runs, and each from the float network's values before it.
//!
//! For every value that both networks have, the nodes between it and the nearest such values before it stand in the graph once
//! more, under names of their own, and read those values from inputs of the graph. So any engine runs it, at once and in a time
//! that grows with the graph, not with its square.

use super::matching::{MatchedValue, nearest_known};
use crate::onnx::build::{Axis, value_info};
use crate::onnx::schema::data_type;
use crate::onnx::{Graph, GraphProto, ModelProto, Names, NodeProto, ValueInfoProto};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The graph, and what its inputs and outputs are of.
pub(super) struct OwnGraph {
    /// The quantized model with the copies.
    pub(super) model: ModelProto,
    /// Inputs beyond the network's own: name, and the matched value whose float numbers it takes.
    pub(super) given: Vec<(String, usize)>,
    /// For each matched value, what its own nodes make of the float network's values; `None` for an input.
    pub(super) made: Vec<Option<Made>>,
}

/// A value that nodes make by themselves.
pub(super) struct Made {
    /// Its name.
    pub(super) name: String,
    /// Those of [`OwnGraph::given`] that it is made from, by position.
    pub(super) from: Vec<usize>,
}

/// The number of axes of each matched value whose numbers may stand in for those of the quantized network: floats of the same shape
/// in both. `None` for all others.
pub(super) type Ranks = [Option<usize>];

impl OwnGraph {
    /// `quantized` with its own nodes of each of `matched` beside it. Inputs of the network stand in for themselves, whatever they
    /// hold.
    pub(super) fn of(quantized: &ModelProto, matched: &[MatchedValue], ranks: &Ranks) -> Self {
        let mut model = quantized.clone();
        let mut own = Self {
            model: ModelProto::default(),
            given: Vec::new(),
            made: Vec::with_capacity(matched.len()),
        };
        let mut names = Names::of(quantized);
        let (Some(proto), Some(to)) = (&quantized.graph, &mut model.graph) else {
            return own;
        };
        let graph = Graph::main(proto);
        let mut known: HashMap<&str, usize> = HashMap::new();
        let can_stand_in = |place: usize| matched[place].node.is_none() || ranks[place].is_some();
        for (place, value) in matched.iter().enumerate().filter(|(place, _)| can_stand_in(*place)) {
            known.insert(&value.quantized, place);
            known.extend(value.after_grid.iter().map(|name| (name.as_str(), place)));
        }
        let infos: HashMap<&str, &ValueInfoProto> = (proto.value_info.iter().chain(&proto.output))
            .map(|info| (info.name(), info))
            .collect();
        let mut inputs: HashMap<usize, usize> = HashMap::new();
        for (place, value) in matched.iter().enumerate() {
            // Of an input what is before its grid is given; of any other value that is what is looked at.
            let stands_in = |name: &str| match known.get(name) {
                Some(of) if *of == place => value.node.is_none() && name == value.quantized,
                other => other.is_some(),
            };
            let before = nearest_known(&graph, value.seen(), stands_in);
            if before.is_empty() {
                own.made.push(None);
                continue;
            }
            let (mut renamed, mut from): (HashMap<&str, String>, _) = (HashMap::new(), Vec::new());
            for name in before {
                let of = known[name];
                let input = if matched[of].node.is_none() {
                    matched[of].quantized.clone()
                } else {
                    let new = || {
                        let new = names.fresh(&format!("{name}.float"));
                        to.input.push(described(infos.get(name).copied(), &new, ranks[of]));
                        own.given.push((new, of));
                        own.given.len() - 1
                    };
                    let position = *inputs.entry(of).or_insert_with(new);
                    from.push(position);
                    own.given[position].0.clone()
                };
                renamed.insert(name, input);
            }
            let made = copy_part(&graph, value.seen(), renamed, &infos, to, &mut names);
            own.made.push(made.map(|name| Made { name, from }));
        }
        own.model = model;
        own
    }
}

/// Copies the nodes that compute `value` from the values that have another name already, and tells what the copy of it is called.
fn copy_part<'a>(
    graph: &Graph<'a>,
    value: &'a str,
    mut renamed: HashMap<&'a str, String>,
    infos: &HashMap<&str, &ValueInfoProto>,
    to: &mut GraphProto,
    names: &mut Names,
) -> Option<String> {
    // In the order of the graph, each once.
    let mut part: BTreeSet<usize> = BTreeSet::new();
    let mut waiting: Vec<usize> = graph.maker(value).into_iter().collect();
    while let Some(position) = waiting.pop() {
        if !part.insert(position) {
            continue;
        }
        if let Some(node) = graph.node(position) {
            crate::onnx::each_read(node, &mut |read| {
                if !renamed.contains_key(read) {
                    waiting.extend(graph.maker(read));
                }
            });
        }
    }
    for position in part {
        let node = graph.node(position)?;
        let mut copy = node.clone();
        rename_reads(&mut copy, &renamed);
        copy.name = Some(names.fresh(&format!("{}.own", node.name())));
        for (name, new) in node
            .output
            .iter()
            .zip(&mut copy.output)
            .filter(|(name, _)| !name.is_empty())
        {
            *new = names.fresh(&format!("{name}.own"));
            if let Some(info) = infos.get(name.as_str()) {
                to.value_info.push(ValueInfoProto {
                    name: Some(new.clone()),
                    ..(*info).clone()
                });
            }
            renamed.insert(name, new.clone());
        }
        to.node.push(copy);
    }
    renamed.remove(value)
}

/// Lets a node read values by their new names, in its bodies too: no name there is one of the graph around them.
fn rename_reads(node: &mut NodeProto, renamed: &HashMap<&str, String>) {
    for name in &mut node.input {
        if let Some(new) = renamed.get(name.as_str()) {
            name.clone_from(new);
        }
    }
    for body in node.subgraphs_mut() {
        body.node.iter_mut().for_each(|node| rename_reads(node, renamed));
        for output in &mut body.output {
            if let Some(new) = renamed.get(output.name()) {
                output.name = Some(new.clone());
            }
        }
    }
}

/// The description of an input that takes the numbers of a value: the file's own where it has one.
fn described(known: Option<&ValueInfoProto>, name: &str, rank: Option<usize>) -> ValueInfoProto {
    match (known, rank) {
        (Some(info), _) if info.r#type.is_some() => ValueInfoProto {
            name: Some(name.to_owned()),
            ..info.clone()
        },
        (_, rank) => value_info(name, data_type::FLOAT, &vec![Axis::Free(""); rank.unwrap_or(0)]),
    }
}

/// Makes values of a graph its outputs, so that every engine gives them in one run.
pub(super) fn ask_for<'a>(model: &mut ModelProto, wanted: impl Iterator<Item = &'a str>) {
    let Some(graph) = &mut model.graph else { return };
    let infos: HashMap<&str, usize> = (graph.value_info.iter().enumerate())
        .map(|(at, info)| (info.name(), at))
        .collect();
    let mut there: HashSet<String> = graph.output.iter().map(|output| output.name().to_owned()).collect();
    let mut more = Vec::new();
    for name in wanted.filter(|name| there.insert((*name).to_owned())) {
        more.push(match infos.get(name) {
            Some(at) => graph.value_info[*at].clone(),
            None => ValueInfoProto {
                name: Some(name.to_owned()),
                ..ValueInfoProto::default()
            },
        });
    }
    graph.output.extend(more);
}
