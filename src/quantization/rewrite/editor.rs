//! Editing a graph: nodes inserted before others, inputs replaced, constants added, what nobody reads any more removed.

use super::super::QuantizationError;
use super::cast_target;
use crate::network::{Layer, LayerKind, Network, TensorPlace};
use crate::onnx::build::{attribute_tensor, float_tensor, int_attribute, node};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphProto, ModelProto, Names, NodeProto, TensorProto, spell_out_defaults};
use std::collections::{HashMap, HashSet};

/// A model being edited. Positions of nodes are those of the original graph until [`Editor::finish`].
pub(super) struct Editor {
    model: ModelProto,
    /// All names of values and nodes, in subgraphs too: a new name must shadow none.
    names: Names,
    /// New nodes, by the position of the node that they go before.
    inserted: HashMap<usize, Vec<NodeProto>>,
    /// New nodes, by the position of the node that they go behind.
    appended: HashMap<usize, Vec<NodeProto>>,
    added: Vec<TensorProto>,
    /// Values that layers read before and may be dead now.
    replaced: Vec<String>,
    /// Values whose shape is no longer the one that the file tells.
    reshaped: HashSet<String>,
    /// Values made once and shared, by what they are.
    shared: HashMap<String, String>,
}

impl Editor {
    pub(super) fn new(model: &ModelProto) -> Result<Self, QuantizationError> {
        if model.graph.is_none() {
            return Err(QuantizationError::Rewrite("the model has no graph".to_owned()));
        }
        // While the weights are there to tell the shape of a kernel: the engine wants to know it.
        let mut edited = model.clone();
        spell_out_defaults(&mut edited);
        Ok(Self {
            model: edited,
            names: Names::of(model),
            inserted: HashMap::new(),
            appended: HashMap::new(),
            added: Vec::new(),
            replaced: Vec::new(),
            reshaped: HashSet::new(),
            shared: HashMap::new(),
        })
    }

    fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.get_or_insert_default()
    }

    /// A name that no value or node has.
    pub(super) fn fresh(&mut self, wanted: &str) -> String {
        self.names.fresh(wanted)
    }

    /// Likewise for a node.
    pub(super) fn fresh_node(&mut self, wanted: &str) -> String {
        self.fresh(wanted)
    }

    /// Adds a constant under a name like `wanted`, and returns that name.
    pub(super) fn add_initializer(&mut self, wanted: &str, mut tensor: TensorProto) -> String {
        let name = self.fresh(wanted);
        tensor.name = Some(name.clone());
        self.added.push(tensor);
        name
    }

    /// Puts `node` before the node that was at position `before`.
    pub(super) fn insert(&mut self, before: usize, node: NodeProto) {
        self.inserted.entry(before).or_default().push(node);
    }

    /// The node at `position` as it is by now.
    pub(super) fn node(&mut self, position: usize) -> Result<&mut NodeProto, QuantizationError> {
        let node = self.graph().node.get_mut(position);
        node.ok_or_else(|| QuantizationError::Rewrite(format!("node {position} is missing")))
    }

    /// The initializer of the main graph called `name`.
    pub(super) fn initializer(&self, name: &str) -> Option<&TensorProto> {
        let graph = self.model.graph.as_ref()?;
        graph.initializer.iter().find(|tensor| tensor.name() == name)
    }

    /// The constant of the main graph called `name`: an initializer or the value of a `Constant` node.
    pub(super) fn constant(&self, name: &str) -> Option<&TensorProto> {
        self.initializer(name).or_else(|| {
            let nodes = &self.model.graph.as_ref()?.node;
            let node = nodes
                .iter()
                .find(|node| node.output.iter().any(|output| output == name))?;
            attribute_tensor(node, "value").filter(|_| node.op_type() == "Constant")
        })
    }

    /// Drops what the file tells of the shape of `value`.
    pub(super) fn forget_shape(&mut self, value: String) {
        self.reshaped.insert(value);
    }

    /// Has output `slot` of the node at `position`, if it has one, go through `Gather` on its last axis: who reads it sees
    /// the elements `index` (a constant) under the same name.
    pub(super) fn select_from_output(
        &mut self,
        position: usize,
        slot: usize,
        layer: &str,
        index: &str,
    ) -> Result<(), QuantizationError> {
        let Some(output) = self.node(position)?.output.get(slot).cloned() else {
            return Ok(());
        };
        if output.is_empty() {
            return Ok(());
        }
        let wide = self.fresh(&format!("{output}.wide"));
        let name = self.fresh_node(&format!("{layer}/select"));
        self.node(position)?.output[slot] = wide.clone();
        let attributes = vec![int_attribute("axis", -1)];
        let gather = node("Gather", name, [wide, index.to_owned()], [output], attributes);
        self.appended.entry(position).or_default().push(gather);
        Ok(())
    }

    /// The value that `make` makes, made once for each `key`. Readers come later in the graph than the first.
    pub(super) fn shared(&mut self, key: String, make: impl FnOnce(&mut Self) -> String) -> String {
        if let Some(value) = self.shared.get(&key) {
            return value.clone();
        }
        let value = make(self);
        self.shared.insert(key, value.clone());
        value
    }

    /// Casts a value; returns the cast value's name.
    pub(super) fn cast(&mut self, before: usize, layer: &str, value: &str, element_type: i32) -> String {
        let to = self.fresh(&format!("{value}.cast"));
        let name = self.fresh_node(&format!("{layer}/cast"));
        let attributes = vec![int_attribute("to", i64::from(element_type))];
        self.insert(before, node("Cast", name, [value.to_owned()], [to.clone()], attributes));
        to
    }

    /// Lets input `slot` of the node at `position` read `value`.
    pub(super) fn replace_input(
        &mut self,
        position: usize,
        slot: usize,
        value: String,
    ) -> Result<(), QuantizationError> {
        let input = self
            .graph()
            .node
            .get_mut(position)
            .and_then(|node| node.input.get_mut(slot));
        let Some(input) = input else {
            return Err(QuantizationError::Rewrite(format!(
                "node {position} has no input {slot}"
            )));
        };
        let old = std::mem::replace(input, value);
        self.replaced.push(old);
        Ok(())
    }

    /// Gives a layer a new bias, one number for each output channel: as the third input of a Conv or Gemm, else added behind
    /// the node.
    pub(super) fn set_bias(&mut self, position: usize, layer: &Layer, bias: &[f32]) -> Result<(), QuantizationError> {
        let tensor = float_tensor("", &[bias.len()], bias);
        let bias = self.add_initializer(&format!("{}.corrected_bias", layer.weight), tensor);
        let missing = || QuantizationError::Rewrite(format!("layer '{}': its node is missing", layer.name));
        let node_of = |editor: &mut Self| editor.graph().node.get(position).cloned().ok_or_else(missing);
        let output = node_of(self)?.output.into_iter().next().ok_or_else(missing)?;
        if layer.kind == LayerKind::MatMul {
            let product = self.fresh(&format!("{output}.product"));
            let name = self.fresh_node(&format!("{}/correct_bias", layer.name));
            let add = node("Add", name, [product.clone(), bias], [output], vec![]);
            self.appended.entry(position).or_default().push(add);
            self.graph().node[position].output[0] = product;
            return Ok(());
        }
        let inputs = &mut self.graph().node[position].input;
        inputs.resize(inputs.len().max(3), String::new());
        let old = std::mem::replace(&mut inputs[2], bias);
        if !old.is_empty() {
            self.replaced.push(old);
        }
        Ok(())
    }

    /// The element type that the layer reads its weight as.
    pub(super) fn element_type(&self, network: &Network, layer: &Layer) -> Result<i32, QuantizationError> {
        let graph = self.model.graph.as_ref();
        let cast = layer
            .source
            .chain
            .iter()
            .rev()
            .find_map(|i| graph.and_then(|g| g.node.get(*i)).and_then(cast_target));
        match cast {
            Some(element_type) => Ok(element_type),
            None => Ok(network.tensor(layer)?.data_type.unwrap_or(data_type::FLOAT)),
        }
    }

    /// Repeats, for this layer alone, what stood between its weight tensor and the layer; casts are made good by one cast.
    pub(super) fn repeat_chain(
        &mut self,
        before: usize,
        layer: &Layer,
        mut value: String,
        element_type: i32,
    ) -> Result<String, QuantizationError> {
        for position in &layer.source.chain {
            let Some(link) = self.graph().node.get(*position).cloned() else {
                return Err(QuantizationError::Rewrite(format!(
                    "layer '{}': node {position} is missing",
                    layer.name
                )));
            };
            if link.op_type() == "Transpose" {
                let to = self.fresh(&format!("{value}.transposed"));
                let name = self.fresh_node(&format!("{}/transpose_weight", layer.name));
                self.insert(before, node("Transpose", name, [value], [to.clone()], link.attribute));
                value = to;
            }
        }
        Ok(if element_type == data_type::FLOAT {
            value
        } else {
            self.cast(before, &layer.name, &value, element_type)
        })
    }

    /// The edited model.
    pub(super) fn finish(mut self) -> ModelProto {
        let mut inserted = std::mem::take(&mut self.inserted);
        let mut appended = std::mem::take(&mut self.appended);
        let (added, replaced) = (std::mem::take(&mut self.added), std::mem::take(&mut self.replaced));
        let reshaped = std::mem::take(&mut self.reshaped);
        let graph = self.graph();
        graph.value_info.retain(|info| !reshaped.contains(info.name()));
        let old = std::mem::take(&mut graph.node);
        for (position, node) in old.into_iter().enumerate() {
            graph.node.extend(inserted.remove(&position).unwrap_or_default());
            graph.node.push(node);
            graph.node.extend(appended.remove(&position).unwrap_or_default());
        }
        remove_unread(graph, replaced);
        graph.initializer.extend(added);
        // Before IR version 4 every initializer must be listed as an input too.
        if self.model.ir_version.is_some_and(|version| version < 4) {
            self.model.ir_version = Some(4);
        }
        self.model
    }
}

/// Removes those of `values` that nobody reads, with the nodes and constants that only they needed.
fn remove_unread(graph: &mut GraphProto, mut values: Vec<String>) {
    let mut readers: HashMap<String, usize> = HashMap::new();
    count_readers(graph, &mut readers);
    let makers: HashMap<String, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(i, node)| node.output.iter().map(move |o| (o.clone(), i)))
        .collect();
    let (mut dead_nodes, mut dead_tensors) = (HashSet::new(), HashSet::new());
    while let Some(value) = values.pop() {
        if readers.get(&value).copied().unwrap_or(0) > 0 {
            continue;
        }
        let Some(position) = makers.get(&value) else {
            dead_tensors.insert(value);
            continue;
        };
        let node = &graph.node[*position];
        // Only what stands between a constant and a layer goes; a node of the network proper stays.
        let passes_on =
            matches!(node.op_type(), "Constant" | "Identity" | "Transpose" | "Cast") && node.output.len() == 1;
        if passes_on && dead_nodes.insert(*position) {
            for input in &node.input {
                if let Some(count) = readers.get_mut(input) {
                    *count -= 1;
                }
                values.push(input.clone());
            }
        }
    }
    let mut position = 0;
    graph.node.retain(|_| {
        position += 1;
        !dead_nodes.contains(&(position - 1))
    });
    let before = graph.initializer.len();
    let is_dead = |name: &str| dead_tensors.contains(name);
    let removed: HashSet<String> = graph
        .initializer
        .iter()
        .map(|t| t.name().to_owned())
        .filter(|name| is_dead(name))
        .collect();
    graph.initializer.retain(|tensor| !is_dead(tensor.name()));
    if graph.initializer.len() != before {
        graph.input.retain(|input| !removed.contains(input.name()));
        graph.value_info.retain(|info| !removed.contains(info.name()));
    }
}

fn count_readers(graph: &GraphProto, readers: &mut HashMap<String, usize>) {
    for output in &graph.output {
        *readers.entry(output.name().to_owned()).or_default() += 1;
    }
    for node in &graph.node {
        for input in &node.input {
            *readers.entry(input.clone()).or_default() += 1;
        }
        for graph in subgraphs(node) {
            count_readers(graph, readers);
        }
    }
}

fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute
        .iter()
        .flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Whether the layer's weight is an initializer of the main graph.
pub(super) fn initializer_of(layer: &Layer) -> Option<usize> {
    match layer.source.tensor {
        TensorPlace::Initializer(index) if layer.source.subgraphs.is_empty() => Some(index),
        _ => None,
    }
}
