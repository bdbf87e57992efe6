//! Changing the main graph of a model: nodes put before or behind others, inputs and constants replaced, nodes taken out, and
//! what nobody reads any more removed.

use super::super::build::{float_tensor, float_value_info, opset_version};
use super::super::{GraphProto, ModelProto, Names, NodeProto, TensorProto, ValueInfoProto};
use super::{Origin, constant_tensor, each_read, origins};
use std::collections::{HashMap, HashSet};

/// A model whose main graph is being changed. Positions of nodes are those of the original graph until
/// [`GraphEdit::finish`].
pub struct GraphEdit {
    model: ModelProto,
    /// All names of values and nodes, in subgraphs too: a new name must shadow none.
    names: Names,
    origins: HashMap<String, Origin>,
    /// How often each value is read: by nodes, by nodes of subgraphs, as an output.
    uses: HashMap<String, usize>,
    /// New nodes, by the position of the node that they go before.
    inserted: HashMap<usize, Vec<NodeProto>>,
    /// New nodes, by the position of the node that they go behind.
    appended: HashMap<usize, Vec<NodeProto>>,
    removed: HashSet<usize>,
    /// Values that lost a reader, and may be read by nobody now.
    released: Vec<String>,
    /// Values whose shape is no longer the one that the file tells.
    reshaped: HashSet<String>,
    /// Values made once and shared, by what they are.
    shared: HashMap<String, String>,
}

impl GraphEdit {
    /// Starts to change the main graph of `model`; one without a graph has an empty one.
    pub fn new(mut model: ModelProto) -> Self {
        let names = Names::of(&model);
        let graph = model.graph.get_or_insert_default();
        let origins = origins(graph)
            .into_iter()
            .map(|(name, origin)| (name.to_owned(), origin))
            .collect();
        let uses = count_reads(graph);
        Self {
            names,
            origins,
            uses,
            model,
            inserted: HashMap::new(),
            appended: HashMap::new(),
            removed: HashSet::new(),
            released: Vec::new(),
            reshaped: HashSet::new(),
            shared: HashMap::new(),
        }
    }

    fn graph(&self) -> Option<&GraphProto> {
        self.model.graph.as_ref()
    }

    fn graph_mut(&mut self) -> &mut GraphProto {
        self.model.graph.get_or_insert_default()
    }

    /// Version of the standard operator set.
    pub fn opset(&self) -> Option<i64> {
        opset_version(&self.model)
    }

    /// The node at `position`, as it is by now.
    pub fn node(&self, position: usize) -> Option<&NodeProto> {
        self.graph()?.node.get(position)
    }

    /// The same, to be changed; its inputs by [`GraphEdit::replace_input`].
    pub fn node_mut(&mut self, position: usize) -> Option<&mut NodeProto> {
        self.graph_mut().node.get_mut(position)
    }

    /// A name like `wanted` that no value and no node has.
    pub fn fresh(&mut self, wanted: &str) -> String {
        self.names.fresh(wanted)
    }

    /// Position of the node that makes `value`.
    pub fn maker(&self, value: &str) -> Option<usize> {
        match self.origins.get(value)? {
            Origin::Node(position) => Some(*position),
            Origin::Input | Origin::Initializer(_) => None,
        }
    }

    /// How often `value` is read.
    pub fn uses(&self, value: &str) -> usize {
        self.uses.get(value).copied().unwrap_or(0)
    }

    /// The constant called `name`: an initializer, or what a `Constant` node makes.
    pub fn constant(&self, name: &str) -> Option<&TensorProto> {
        match *self.origins.get(name)? {
            Origin::Input => None,
            Origin::Initializer(position) => self.graph()?.initializer.get(position),
            Origin::Node(position) => constant_tensor(self.node(position)?),
        }
    }

    /// The initializer called `name`.
    pub fn initializer(&self, name: &str) -> Option<&TensorProto> {
        match *self.origins.get(name)? {
            Origin::Initializer(position) => self.graph()?.initializer.get(position),
            Origin::Input | Origin::Node(_) => None,
        }
    }

    /// Adds a constant under a name like `wanted`, and returns that name. It is not listed as an input, as files before IR
    /// version 4 have it.
    pub fn add_initializer(&mut self, wanted: &str, mut tensor: TensorProto) -> String {
        let name = self.fresh(wanted);
        tensor.name = Some(name.clone());
        let graph = self.graph_mut();
        let origin = Origin::Initializer(graph.initializer.len());
        graph.initializer.push(tensor);
        self.origins.insert(name.clone(), origin);
        name
    }

    /// Puts `node` before the node at position `before`, behind what was put there already.
    pub fn insert(&mut self, before: usize, node: NodeProto) {
        self.count_inputs(&node);
        self.inserted.entry(before).or_default().push(node);
    }

    /// Puts `node` behind the node at position `behind`, behind what was put there already.
    pub fn append(&mut self, behind: usize, node: NodeProto) {
        self.count_inputs(&node);
        self.appended.entry(behind).or_default().push(node);
    }

    fn count_inputs(&mut self, node: &NodeProto) {
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            *self.uses.entry(input.clone()).or_default() += 1;
        }
    }

    /// The value that `make` makes, made once for each `key`. Readers come later in the graph than the first.
    pub fn shared(&mut self, key: String, make: impl FnOnce(&mut Self) -> String) -> String {
        if let Some(value) = self.shared.get(&key) {
            return value.clone();
        }
        let value = make(self);
        self.shared.insert(key, value.clone());
        value
    }

    /// Lets input `slot` of the node at `position` read `value`; the inputs before it that the node lacks are left out. Returns
    /// what it read before, an empty name for nothing; `None` if there is no such node.
    pub fn replace_input(&mut self, position: usize, slot: usize, value: String) -> Option<String> {
        let inputs = &mut self.node_mut(position)?.input;
        if inputs.len() <= slot {
            inputs.resize(slot + 1, String::new());
        }
        let old = std::mem::replace(&mut inputs[slot], value.clone());
        if !value.is_empty() {
            *self.uses.entry(value).or_default() += 1;
        }
        self.release(&old);
        Some(old)
    }

    /// Gives input `slot` of a node new values, F32 of shape `dims`: in the old tensor if nobody else reads it, else in a new
    /// one called after the old and `what`. Says whether the input's name is a new one.
    pub fn replace_constant(&mut self, position: usize, slot: usize, what: &str, dims: &[i64], values: &[f32]) -> bool {
        let Some(node) = self.node(position) else { return false };
        let old = node.input.get(slot).cloned().unwrap_or_default();
        let sizes: Vec<usize> = dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
        if !old.is_empty() && self.uses(&old) == 1 && self.constant(&old).is_some_and(|tensor| tensor.dims == dims) {
            self.overwrite(&old, &sizes, values);
            return false;
        }
        let wanted = if old.is_empty() {
            format!("{}.bias", node.input.get(1).map_or("", String::as_str))
        } else {
            format!("{old}.{what}")
        };
        let name = self.add_initializer(&wanted, float_tensor("", &sizes, values));
        // Before IR version 4 every initializer is listed as an input too.
        if self.model.ir_version() < 4 {
            self.graph_mut().input.push(float_value_info(&name, dims));
        }
        self.replace_input(position, slot, name);
        true
    }

    fn overwrite(&mut self, name: &str, sizes: &[usize], values: &[f32]) {
        let origin = self.origins.get(name).copied();
        let tensor = match origin {
            Some(Origin::Initializer(position)) => self.graph_mut().initializer.get_mut(position),
            Some(Origin::Node(position)) => {
                let attributes = self.node_mut(position).into_iter().flat_map(|node| &mut node.attribute);
                let value = attributes.into_iter().find(|attribute| attribute.name() == "value");
                value.and_then(|attribute| attribute.t.as_mut())
            }
            Some(Origin::Input) | None => None,
        };
        if let Some(tensor) = tensor {
            *tensor = TensorProto {
                name: tensor.name.take(),
                doc_string: tensor.doc_string.take(),
                metadata_props: std::mem::take(&mut tensor.metadata_props),
                ..float_tensor("", sizes, values)
            };
        }
    }

    /// Removes an attribute of the node at `position`, so that its default holds.
    pub fn remove_attribute(&mut self, position: usize, name: &str) {
        if let Some(node) = self.node_mut(position) {
            node.attribute.retain(|attribute| attribute.name() != name);
        }
    }

    /// Drops what the file tells of the shape of `value`.
    pub fn forget_shape(&mut self, value: String) {
        self.reshaped.insert(value);
    }

    /// Takes node `gone` out, which reads the only output of node `before`; that output takes the name of its own.
    pub fn bypass(&mut self, gone: usize, before: usize) {
        let Some(node) = self.node(gone) else { return };
        let (inputs, output) = (node.input.clone(), node.output.first().cloned().unwrap_or_default());
        inputs.iter().for_each(|name| self.release(name));
        self.origins.insert(output.clone(), Origin::Node(before));
        if let Some(before) = self.node_mut(before) {
            before.output = vec![output];
        }
        self.removed.insert(gone);
    }

    fn release(&mut self, name: &str) {
        // An optional input that is left out has no name.
        if name.is_empty() {
            return;
        }
        if let Some(uses) = self.uses.get_mut(name) {
            *uses = uses.saturating_sub(1);
        }
        self.released.push(name.to_owned());
    }

    /// The changed model, without what only released values needed.
    pub fn finish(mut self) -> ModelProto {
        let mut inserted = std::mem::take(&mut self.inserted);
        let mut appended = std::mem::take(&mut self.appended);
        let removed = std::mem::take(&mut self.removed);
        let reshaped = std::mem::take(&mut self.reshaped);
        let released = std::mem::take(&mut self.released);
        let graph = self.graph_mut();
        graph.value_info.retain(|info| !reshaped.contains(info.name()));
        for (position, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
            graph.node.extend(inserted.remove(&position).unwrap_or_default());
            if !removed.contains(&position) {
                graph.node.push(node);
            }
            graph.node.extend(appended.remove(&position).unwrap_or_default());
        }
        remove_unread(graph, released);
        self.model
    }
}

/// How often each value is read: by nodes, by nodes of subgraphs, as an output.
fn count_reads(graph: &GraphProto) -> HashMap<String, usize> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut count = |name: &str| *counts.entry(name.to_owned()).or_default() += 1;
    graph
        .node
        .iter()
        .for_each(|node| each_read(node, &mut |name| count(name)));
    graph.output.iter().for_each(|output| count(output.name()));
    counts
}

/// Removes those of `values` that nobody reads, with the nodes and constants that only they needed.
fn remove_unread(graph: &mut GraphProto, mut values: Vec<String>) {
    let mut reads = count_reads(graph);
    let makers: HashMap<String, usize> = (graph.node.iter().enumerate())
        .flat_map(|(position, node)| node.output.iter().map(move |output| (output.clone(), position)))
        .collect();
    let (mut dead_nodes, mut dead_values) = (HashSet::new(), HashSet::new());
    while let Some(value) = values.pop() {
        if reads.get(&value).copied().unwrap_or(0) > 0 {
            continue;
        }
        let Some(position) = makers.get(&value) else {
            dead_values.insert(value);
            continue;
        };
        let node = &graph.node[*position];
        // Only what stands between a constant and a layer goes; a node of the network proper stays.
        let passes_on =
            matches!(node.op_type(), "Constant" | "Identity" | "Transpose" | "Cast") && node.output.len() == 1;
        if passes_on && dead_nodes.insert(*position) {
            for input in &node.input {
                if let Some(count) = reads.get_mut(input) {
                    *count -= 1;
                }
                values.push(input.clone());
            }
            dead_values.insert(value);
        }
    }
    if dead_values.is_empty() {
        return;
    }
    let mut position = 0;
    graph.node.retain(|_| {
        position += 1;
        !dead_nodes.contains(&(position - 1))
    });
    let removed: HashSet<String> = (graph.initializer.iter().map(TensorProto::name))
        .filter(|name| dead_values.contains(*name))
        .map(str::to_owned)
        .collect();
    graph.initializer.retain(|tensor| !removed.contains(tensor.name()));
    // Inputs that are no constants are what the caller hands over: they stay even if nobody reads them.
    graph.input.retain(|input| !removed.contains(input.name()));
    let is_dead = |info: &ValueInfoProto| dead_values.contains(info.name());
    graph.value_info.retain(|info| !is_dead(info));
    let annotations = &mut graph.quantization_annotation;
    annotations.retain(|annotation| !dead_values.contains(annotation.tensor_name()));
}
