//! What each value of a graph is computed from, as a fingerprint: two values with the same one are the same numbers.
//!
//! A value's fingerprint covers its operator, the attributes, and the fingerprints of all that goes in, constants by their
//! contents. Names play no part, so that it does not matter how a rewritten graph calls its values.

use crate::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, each_read};
use prost::Message as _;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// Fingerprint of a value.
pub(super) type Fingerprint = u128;

/// Operators that give another answer each time.
const RANDOM: [&str; 6] = [
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
];

/// The fingerprints of a graph, and the places where it can be cut in two.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Values that are computed from the inputs, in the graph's order.
    values: Vec<Named>,
    /// A place before each node that computes such values.
    cuts: Vec<Cut>,
}

#[derive(Debug, Clone)]
struct Named {
    name: String,
    fingerprint: Fingerprint,
    is_input: bool,
}

/// A place between two nodes.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    /// Stands for all values that are live here.
    pub(super) key: Fingerprint,
    /// Positions in [`Signature::values`] of what is computed before and read after.
    live: Vec<usize>,
    /// The first value that the node behind the cut computes.
    next: Option<usize>,
}

impl Signature {
    /// The signature of the main graph. Nodes must come after what they read, as ONNX demands.
    pub fn of(model: &ModelProto) -> Self {
        model.graph.as_ref().map_or_else(
            || Self {
                values: Vec::new(),
                cuts: Vec::new(),
            },
            |graph| Walk::new(model, graph).through(graph),
        )
    }

    /// Places to cut, from the beginning of the graph to its end.
    pub(super) fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// The values that are live at a cut: names and fingerprints.
    pub(super) fn live(&self, cut: &Cut) -> impl Iterator<Item = (&str, Fingerprint)> {
        (cut.live.iter()).map(|at| (self.values[*at].name.as_str(), self.values[*at].fingerprint))
    }

    /// Whether something was computed before a cut: else starting there is starting at the beginning.
    pub(super) fn saves_work(&self, cut: &Cut) -> bool {
        cut.live.iter().any(|at| !self.values[*at].is_input)
    }

    /// Position of the cut before the first node that computes something `other` does not; `None` if there is no such node.
    pub(super) fn first_change_from(&self, other: &Self) -> Option<usize> {
        let known: HashSet<Fingerprint> = other.values.iter().map(|value| value.fingerprint).collect();
        let is_new = |cut: &Cut| cut.next.is_some_and(|at| !known.contains(&self.values[at].fingerprint));
        self.cuts.iter().position(is_new)
    }
}

/// What is known of a value by name while walking through the graph.
#[derive(Clone, Copy)]
struct Known {
    fingerprint: Fingerprint,
    /// Position among the values that depend on the inputs; `None` for a constant.
    value: Option<usize>,
}

struct Walk<'a> {
    known: HashMap<&'a str, Known>,
    values: Vec<Named>,
    /// For each node that depends on the inputs: what it reads and what it computes, as positions in `values`.
    steps: Vec<(Vec<usize>, Vec<usize>)>,
}

impl<'a> Walk<'a> {
    fn new(model: &ModelProto, graph: &'a GraphProto) -> Self {
        let mut walk = Self {
            known: HashMap::new(),
            values: Vec::new(),
            steps: Vec::new(),
        };
        for tensor in &graph.initializer {
            let known = Known {
                fingerprint: of_tensor(tensor),
                value: None,
            };
            walk.known.insert(tensor.name(), known);
        }
        for input in &graph.input {
            if !walk.known.contains_key(input.name()) {
                let mut hash = Hash::new("input");
                hash.bytes(input.name().as_bytes());
                // What an operator does depends on the version of its set.
                for set in &model.opset_import {
                    hash.bytes(&set.encode_to_vec());
                }
                walk.add(input.name(), hash.finish(), true);
            }
        }
        walk
    }

    fn add(&mut self, name: &'a str, fingerprint: Fingerprint, is_input: bool) -> usize {
        let at = self.values.len();
        self.values.push(Named {
            name: name.to_owned(),
            fingerprint,
            is_input,
        });
        let known = Known {
            fingerprint,
            value: Some(at),
        };
        self.known.insert(name, known);
        at
    }

    fn through(mut self, graph: &'a GraphProto) -> Signature {
        for node in &graph.node {
            self.step(node);
        }
        let outputs: Vec<usize> = (graph.output.iter())
            .filter_map(|output| self.known.get(output.name())?.value)
            .collect();
        let cuts = self.cuts(&outputs);
        Signature {
            values: self.values,
            cuts,
        }
    }

    fn step(&mut self, node: &'a NodeProto) {
        let mut hash = Hash::new("node");
        hash.bytes(node.op_type().as_bytes());
        hash.bytes(node.domain().as_bytes());
        for attribute in &node.attribute {
            hash.bytes(&of_attribute(attribute));
        }
        let mut reads: Vec<usize> = Vec::new();
        // What a subgraph reads from outside is an input as well. Its own values are harmless: nothing outside has them.
        let mut names: Vec<&str> = Vec::new();
        each_read(node, &mut |name| names.push(name));
        for name in names {
            match self.known.get(name) {
                Some(known) => {
                    hash.number(known.fingerprint);
                    reads.extend(known.value);
                }
                None => hash.bytes(b"nothing"),
            }
        }
        if is_random(node) {
            static RUNS: AtomicU64 = AtomicU64::new(0);
            hash.number(RUNS.fetch_add(1, Ordering::Relaxed).into());
        } else if reads.is_empty() {
            let fingerprint = hash.finish();
            for (number, output) in node.output.iter().enumerate() {
                let known = Known {
                    fingerprint: numbered(fingerprint, number),
                    value: None,
                };
                self.known.insert(output, known);
            }
            return;
        }
        let fingerprint = hash.finish();
        let outputs = node.output.iter().enumerate().filter(|(_, output)| !output.is_empty());
        let computes = outputs
            .map(|(number, output)| self.add(output, numbered(fingerprint, number), false))
            .collect();
        self.steps.push((reads, computes));
    }

    /// The cuts before each step and behind the last.
    fn cuts(&self, outputs: &[usize]) -> Vec<Cut> {
        let end = self.steps.len();
        let mut first = vec![0; self.values.len()];
        let mut last: Vec<Option<usize>> = vec![None; self.values.len()];
        for (step, (reads, computes)) in self.steps.iter().enumerate() {
            for at in reads {
                last[*at] = Some(step);
            }
            for at in computes {
                first[*at] = step + 1;
            }
        }
        for at in outputs {
            last[*at] = Some(end);
        }
        let mut live: Vec<usize> = Vec::new();
        let mut cuts = Vec::with_capacity(end);
        let mut coming = 0;
        for step in 0..end {
            live.retain(|at| last[*at] >= Some(step));
            while coming < self.values.len() && first[coming] <= step {
                if last[coming] >= Some(step) {
                    live.push(coming);
                }
                coming += 1;
            }
            let mut fingerprints: Vec<Fingerprint> = live.iter().map(|at| self.values[*at].fingerprint).collect();
            fingerprints.sort_unstable();
            fingerprints.dedup();
            let mut hash = Hash::new("cut");
            for fingerprint in fingerprints {
                hash.number(fingerprint);
            }
            cuts.push(Cut {
                key: hash.finish(),
                live: live.clone(),
                next: self.steps[step].1.first().copied(),
            });
        }
        cuts
    }
}

/// Whether the node answers differently each time: a dropout does only while training.
fn is_random(node: &NodeProto) -> bool {
    let may_train = node.op_type() == "Dropout" && node.input.get(2).is_some_and(|training| !training.is_empty());
    may_train || RANDOM.contains(&node.op_type())
}

fn of_tensor(tensor: &TensorProto) -> Fingerprint {
    let mut hash = Hash::new("tensor");
    let rest = TensorProto {
        name: None,
        doc_string: None,
        raw_data: None,
        ..tensor.clone()
    };
    hash.bytes(&rest.encode_to_vec());
    hash.bytes(tensor.raw_data.as_deref().unwrap_or_default());
    hash.finish()
}

fn of_attribute(attribute: &AttributeProto) -> Vec<u8> {
    attribute.encode_to_vec()
}

fn numbered(fingerprint: Fingerprint, number: usize) -> Fingerprint {
    let mut hash = Hash::new("output");
    hash.number(fingerprint);
    hash.number(number as u128);
    hash.finish()
}

/// Two hashes of 64 bits, begun differently. Chance makes two of a billion values equal with a probability below 2^-60.
struct Hash([DefaultHasher; 2]);

impl Hash {
    fn new(what: &str) -> Self {
        let mut hash = Self([DefaultHasher::new(), DefaultHasher::new()]);
        hash.0[1].write_u8(1);
        hash.bytes(what.as_bytes());
        hash
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for hasher in &mut self.0 {
            hasher.write_usize(bytes.len());
            hasher.write(bytes);
        }
    }

    fn number(&mut self, number: u128) {
        for hasher in &mut self.0 {
            hasher.write_u128(number);
        }
    }

    fn finish(&self) -> Fingerprint {
        let [a, b] = &self.0;
        (u128::from(a.finish()) << 64) | u128::from(b.finish())
    }
}
