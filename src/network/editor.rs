//! A main graph under change: who reads what, constants replaced where only one node reads them, the rest left for others.

use crate::network::discover::constant_tensor;
use crate::network::graphs::for_each_graph;
use crate::network::layer::TensorPlace;
use crate::network::{Layer, Network};
use crate::onnx::build::float_tensor;
use crate::onnx::schema::{TensorShapeProto, TypeProto, data_type, tensor_shape_proto, type_proto};
use crate::onnx::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use std::collections::{HashMap, HashSet};

/// A copy of a graph, with an account of its values.
pub(super) struct Editor {
    graph: GraphProto,
    /// How often each value is read: by nodes, by nodes of subgraphs, as an output.
    uses: HashMap<String, usize>,
    /// Every name of the graph and its subgraphs.
    taken: HashSet<String>,
    constants: HashMap<String, TensorPlace>,
    producers: HashMap<String, usize>,
    removed_nodes: HashSet<usize>,
    /// Values that lost a reader, or are made no more.
    released: HashSet<String>,
    /// Before IR version 4 initializers are inputs too.
    lists_initializers: bool,
    /// What is done to the constants: ends the names of new ones.
    deed: &'static str,
}

impl Editor {
    pub(super) fn new(graph: &GraphProto, ir_version: i64, deed: &'static str) -> Self {
        let mut uses: HashMap<String, usize> = HashMap::new();
        let mut taken = HashSet::new();
        for_each_graph(graph, &mut |graph| {
            let read = graph.node.iter().flat_map(|node| &node.input);
            for name in read
                .map(String::as_str)
                .chain(graph.output.iter().map(ValueInfoProto::name))
            {
                *uses.entry(name.to_owned()).or_default() += 1;
            }
            let made = graph.node.iter().flat_map(|node| &node.output).map(String::as_str);
            let given = graph.input.iter().map(ValueInfoProto::name);
            taken.extend(
                made.chain(given)
                    .chain(graph.initializer.iter().map(TensorProto::name))
                    .map(str::to_owned),
            );
        });
        taken.extend(uses.keys().cloned());
        let mut constants = HashMap::new();
        for (position, tensor) in graph.initializer.iter().enumerate() {
            constants
                .entry(tensor.name().to_owned())
                .or_insert(TensorPlace::Initializer(position));
        }
        let mut producers = HashMap::new();
        for (position, node) in graph.node.iter().enumerate() {
            if let (Some(_), Some(name)) = (constant_tensor(node), node.output.first()) {
                constants.entry(name.clone()).or_insert(TensorPlace::Constant(position));
            }
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                producers.entry(name.clone()).or_insert(position);
            }
        }
        Self {
            graph: graph.clone(),
            uses,
            taken,
            constants,
            producers,
            removed_nodes: HashSet::new(),
            released: HashSet::new(),
            lists_initializers: ir_version < 4,
            deed,
        }
    }

    /// The node at `position` of the original graph.
    pub(super) fn node(&self, position: usize) -> &NodeProto {
        &self.graph.node[position]
    }

    /// Position of the node that makes `value`.
    pub(super) fn producer(&self, value: &str) -> Option<usize> {
        self.producers.get(value).copied()
    }

    /// How often `value` is read.
    pub(super) fn uses(&self, value: &str) -> usize {
        self.uses.get(value).copied().unwrap_or(0)
    }

    /// The constant called `name`.
    pub(super) fn constant(&self, name: &str) -> Option<&TensorProto> {
        match *self.constants.get(name)? {
            TensorPlace::Initializer(position) => self.graph.initializer.get(position),
            TensorPlace::Constant(position) => constant_tensor(self.graph.node.get(position)?),
        }
    }

    /// Gives the layer of `network` at `position` a new weight. A layer without a node name is called after its weight; if
    /// that gets another name because others still use it, the node takes the layer's.
    pub(super) fn replace_weight(&mut self, network: &Network, position: usize, dims: &[i64], values: &[f32]) {
        let renamed = self.replace_input(position, 1, dims, values);
        if renamed && self.graph.node[position].name().is_empty() {
            let same = |layer: &&Layer| {
                let path = layer.node.as_ref();
                path.is_some_and(|path| path.subgraphs.is_empty() && path.node == position)
            };
            if let Some(layer) = network.layers.iter().find(same) {
                self.graph.node[position].name = Some(layer.name.clone());
            }
        }
    }

    /// Removes an attribute of the node at `position`, so that its default holds.
    pub(super) fn remove_attribute(&mut self, position: usize, name: &str) {
        let attributes = &mut self.graph.node[position].attribute;
        attributes.retain(|attribute| attribute.name() != name);
    }

    /// Gives input `slot` of a node new values: in the old tensor if nobody else reads it, else in a new one. Says
    /// whether the input's name is a new one.
    pub(super) fn replace_input(&mut self, position: usize, slot: usize, dims: &[i64], values: &[f32]) -> bool {
        let inputs = &mut self.graph.node[position].input;
        if inputs.len() <= slot {
            inputs.resize(slot + 1, String::new());
        }
        let old = inputs[slot].clone();
        let sizes: Vec<usize> = dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
        if !old.is_empty() && self.uses(&old) == 1 && self.constant(&old).is_some_and(|tensor| tensor.dims == dims) {
            self.overwrite(&old, &sizes, values);
            return false;
        }
        let stem = if old.is_empty() {
            format!("{}.bias", self.graph.node[position].input[1])
        } else {
            format!("{old}.{}", self.deed)
        };
        let name = self.new_name(&stem);
        self.graph.node[position].input[slot].clone_from(&name);
        self.release(&old);
        self.uses.insert(name.clone(), 1);
        let place = TensorPlace::Initializer(self.graph.initializer.len());
        self.constants.insert(name.clone(), place);
        if self.lists_initializers {
            self.graph.input.push(float_value_info(&name, dims));
        }
        self.graph.initializer.push(float_tensor(name, &sizes, values));
        true
    }

    fn overwrite(&mut self, name: &str, sizes: &[usize], values: &[f32]) {
        let tensor = match self.constants.get(name) {
            Some(&TensorPlace::Initializer(position)) => self.graph.initializer.get_mut(position),
            Some(&TensorPlace::Constant(position)) => {
                let attributes = &mut self.graph.node[position].attribute;
                let value = attributes.iter_mut().find(|attribute| attribute.name() == "value");
                value.and_then(|attribute| attribute.t.as_mut())
            }
            None => None,
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

    fn new_name(&mut self, stem: &str) -> String {
        let mut name = stem.to_owned();
        let mut count = 1;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{stem}.{count}");
        }
        name
    }

    fn release(&mut self, name: &str) {
        // An optional input that is left out has no name.
        if name.is_empty() {
            return;
        }
        if let Some(uses) = self.uses.get_mut(name) {
            *uses = uses.saturating_sub(1);
        }
        self.released.insert(name.to_owned());
    }

    /// Takes node `gone` out, which reads the only output of node `before`; that output takes the name of its own.
    pub(super) fn bypass(&mut self, gone: usize, before: usize) {
        let inputs = self.graph.node[gone].input.clone();
        for name in inputs {
            self.release(&name);
        }
        let output = self.graph.node[gone].output.first().cloned().unwrap_or_default();
        self.producers.insert(output.clone(), before);
        self.graph.node[before].output = vec![output];
        self.removed_nodes.insert(gone);
    }

    /// The graph without what nobody reads any more.
    pub(super) fn finish(mut self) -> GraphProto {
        let (uses, released) = (&self.uses, &self.released);
        let gone = |name: &str| released.contains(name) && uses.get(name).copied().unwrap_or(0) == 0;
        let mut position = 0;
        self.graph.node.retain(|node| {
            let constant = constant_tensor(node).is_some() && node.output.iter().all(|name| gone(name));
            let keep = !self.removed_nodes.contains(&position) && !constant;
            position += 1;
            keep
        });
        self.graph.initializer.retain(|tensor| !gone(tensor.name()));
        // Inputs that are no constants are what the caller hands over: they stay even if nobody reads them.
        let constants = &self.constants;
        self.graph
            .input
            .retain(|input| !(gone(input.name()) && constants.contains_key(input.name())));
        self.graph.value_info.retain(|value| !gone(value.name()));
        self.graph
            .quantization_annotation
            .retain(|annotation| !gone(annotation.tensor_name()));
        self.graph
    }
}

pub(super) fn float_value_info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::Value::DimValue(size)),
        ..Default::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(data_type::FLOAT),
        shape: Some(TensorShapeProto {
            dim: dims.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}
