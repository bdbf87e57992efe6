//! A graph in the making around the tensors of a state dict. What a family asks for and the file lacks is noted here.

use super::config::Config;
use super::derived::Derived;
use super::finished::Finished;
use super::misfit::{Fault, Misfit};
use super::state_dict::StateDict;
use crate::network::{PackedGrid, PreprocessHint, USUAL_FOR};
pub(super) use crate::onnx::build::Axis;
use crate::onnx::build::{i64_tensor, int_attribute, node, value_info};
use crate::onnx::schema::data_type;
use crate::onnx::{
    AttributeProto, Names, NodeProto, TensorProto, ValueInfoProto, computed_type, data_type_name, is_float,
    undecoded_name,
};
use std::collections::{HashMap, HashSet};

/// What the network gives: a value and its axes.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) value: String,
    pub(super) axes: Vec<Axis>,
}

/// A tensor of the file as nodes see it: a float value, and its sizes (those expected, when there is no such tensor).
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) value: String,
    pub(super) shape: Vec<usize>,
}

/// See the module.
pub(super) struct Net<'a> {
    pub(super) dict: &'a StateDict<'a>,
    pub(super) config: &'a Config,
    title: String,
    /// Tensors that were asked for and are there.
    found: HashSet<&'a str>,
    /// Tensors that were asked for and are not.
    missing: HashSet<String>,
    /// The first fault.
    fault: Option<(String, Fault)>,
    /// Every name of a value or node.
    taken: Names,
    /// Parameters that have a node of their own, by the name of the tensor.
    cast: HashMap<&'a str, String>,
    /// The constant of a Reshape to the same two sizes.
    same_shape: Option<String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Constants that take the place of tensors of the file.
    derived: Vec<Derived>,
    /// Tensors of the file that the graph does without, by their names there.
    replaced: HashSet<String>,
    inputs: Vec<ValueInfoProto>,
    /// What the network gives is called this.
    answer: &'static str,
    /// What it gives besides, by name.
    more_outputs: Vec<(&'static str, Output)>,
    usual: PreprocessHint,
    notes: Vec<String>,
}

impl<'a> Net<'a> {
    pub(super) fn new(dict: &'a StateDict<'a>, config: &'a Config, title: &str) -> Self {
        Self {
            dict,
            config,
            title: title.to_owned(),
            found: HashSet::new(),
            missing: HashSet::new(),
            fault: None,
            taken: dict
                .names()
                .filter_map(|name| Some(dict.get(name)?.1.stored.to_owned()))
                .chain(dict.companions.iter().map(|name| (*name).to_owned()))
                .collect(),
            cast: HashMap::new(),
            same_shape: None,
            nodes: Vec::new(),
            constants: Vec::new(),
            derived: Vec::new(),
            replaced: HashSet::new(),
            inputs: Vec::new(),
            answer: "logits",
            more_outputs: Vec::new(),
            usual: PreprocessHint::default(),
            notes: Vec::new(),
        }
    }

    /// What the architecture is called, now that it is known better.
    pub(super) fn call(&mut self, title: impl Into<String>) {
        self.title = title.into();
    }

    /// How the family's pictures are usually made ready. A configuration goes before it.
    pub(super) fn usually(&mut self, hint: PreprocessHint) {
        self.usual = hint;
    }

    /// Tells a person what names and shapes leave open and what was taken for it.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The network's output is called `name` instead of `logits`.
    pub(super) fn answer(&mut self, name: &'static str) {
        self.answer = name;
    }

    /// A second output, called `name`.
    pub(super) fn also_gives(&mut self, name: &'static str, output: Output) {
        self.more_outputs.push((name, output));
    }

    /// Notes that `tensor` does not fit; only the first fault counts. No graph comes of it any more: what there is of one is dropped,
    /// since a family may go on to ask for the tensors of a hundred thousand blocks.
    pub(super) fn fail(&mut self, tensor: &str, fault: Fault) {
        if self.fault.is_none() {
            self.fault = Some((tensor.to_owned(), fault));
            (self.nodes, self.constants, self.derived) = Default::default();
        }
    }

    fn push(&mut self, node: NodeProto) {
        if self.fault.is_none() {
            self.nodes.push(node);
        }
    }

    /// Tensors of `module` serve training only: they may be there and are in no part of the graph.
    pub(super) fn unused(&mut self, module: &str) {
        self.found.extend(self.dict.names_within(module));
    }

    /// The tensor called `name`, which should have the sizes `expected` (`None`: any). A tensor of narrower or wider floats
    /// passes a Cast.
    pub(super) fn parameter(&mut self, name: &str, expected: &[Option<usize>]) -> Parameter {
        let (dict, fits) = (self.dict, self.expect(name, expected));
        let Some((key, entry)) = dict.get(name).filter(|_| fits) else {
            return Parameter {
                value: name.to_owned(),
                shape: expected.iter().map(|size| size.unwrap_or(1)).collect(),
            };
        };
        let value = if let Some(grid) = entry.grid {
            self.dequantized(key, entry.stored, grid)
        } else if computed_type(entry.tensor) == data_type::FLOAT {
            entry.stored.to_owned()
        } else {
            self.as_float(key, entry.stored)
        };
        Parameter {
            value,
            shape: entry.shape.clone(),
        }
    }

    /// The numbers of the tensor called `name`, if the file has one of so many; it is then in no part of the graph.
    pub(super) fn take_numbers(&mut self, name: &str, count: usize) -> Option<Vec<f32>> {
        let dict = self.dict;
        let (_, entry) = dict.get(name)?;
        if !self.expect(name, &[Some(count)]) {
            return None;
        }
        let read = entry.numbers();
        let read = read.map_err(|reason| self.fail(name, Fault::Other(reason)));
        self.replaced.insert(entry.stored.to_owned());
        Some(read.ok()?.to_vec())
    }

    /// Asks for a float tensor of the sizes `expected` (`None`: any); says whether the file has it.
    pub(super) fn expect(&mut self, name: &str, expected: &[Option<usize>]) -> bool {
        let Some((key, entry)) = self.dict.get(name) else {
            self.missing.insert(name.to_owned());
            self.fail(name, Fault::Missing(expected.to_vec()));
            return false;
        };
        self.found.insert(key);
        let fits = |(size, expected): (&usize, &Option<usize>)| expected.is_none_or(|expected| expected == *size);
        if entry.shape.len() != expected.len() || !entry.shape.iter().zip(expected).all(fits) {
            self.fail(name, Fault::Shape(expected.to_vec(), entry.shape.clone()));
            return false;
        }
        if !is_float(entry.tensor) && entry.grid.is_none() {
            let kind = match undecoded_name(entry.element_type) {
                Some(kind) => format!("is stored as {kind}, which is not decoded"),
                None => format!("holds {}, not floats", data_type_name(entry.element_type)),
            };
            self.fail(name, Fault::Other(kind));
            return false;
        }
        true
    }

    /// The numbers that the codes `stored` stand for. A matrix passes a Reshape to its own shape, without which onnxruntime makes one
    /// operator of it and the product that rounds inputs to 8 bits.
    fn dequantized(&mut self, key: &'a str, stored: &str, grid: &PackedGrid) -> String {
        if let Some(value) = self.cast.get(key) {
            return value.clone();
        }
        let name = self.fresh(&format!("{key}.dequantized"));
        let mut value = self.fresh(&format!("{name}.out"));
        self.push(grid.node(&name, stored, &value));
        if self.dict.shape(key).is_some_and(|shape| shape.len() == 2) {
            let shape = match &self.same_shape {
                Some(shape) => shape.clone(),
                None => self.constant(i64_tensor("same_shape", &[2], &[0, 0])),
            };
            self.same_shape = Some(shape.clone());
            value = self.node("Reshape", &format!("{key}.kept_float"), [value, shape], vec![]);
        }
        self.cast.insert(key, value.clone());
        value
    }

    fn as_float(&mut self, key: &'a str, stored: &str) -> String {
        if let Some(value) = self.cast.get(key) {
            return value.clone();
        }
        let to = int_attribute("to", i64::from(data_type::FLOAT));
        let value = self.node("Cast", &format!("{key}.float"), [stored], vec![to]);
        self.cast.insert(key, value.clone());
        value
    }

    /// A node called `name`; returns the name of its first output.
    pub(super) fn node<I: Into<String>>(
        &mut self,
        operator: &str,
        name: &str,
        inputs: impl IntoIterator<Item = I>,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let name = self.fresh(name);
        let output = self.fresh(&format!("{name}.out"));
        self.push(node(operator, name, inputs, [output.clone()], attributes));
        output
    }

    /// A Split of `value` on its last axis into parts of `sizes`; returns their names.
    pub(super) fn split<const N: usize>(&mut self, value: &str, name: &str, sizes: [usize; N]) -> [String; N] {
        let name = self.fresh(name);
        let sizes = sizes.map(as_i64);
        let sizes = self.constant(i64_tensor(format!("{name}.sizes"), &[N], &sizes));
        let outputs: [String; N] = std::array::from_fn(|part| self.fresh(&format!("{name}.{part}")));
        let inputs = [value.to_owned(), sizes];
        let attributes = vec![int_attribute("axis", -1)];
        self.push(node("Split", name, inputs, outputs.clone(), attributes));
        outputs
    }

    /// A constant made of tensors of the file, whose place it takes; returns its name.
    pub(super) fn derive(&mut self, mut derived: Derived) -> String {
        let own = derived.rows.iter().find(|rows| rows.tensor == derived.name);
        derived.name = match own.and_then(|rows| self.dict.get(&rows.tensor)) {
            Some((_, entry)) => entry.stored.to_owned(),
            None => self.fresh(&derived.name),
        };
        let name = derived.name.clone();
        if self.fault.is_none() {
            self.derived.push(derived);
        }
        name
    }

    /// A constant that is in no file; returns its name.
    pub(super) fn constant(&mut self, mut tensor: TensorProto) -> String {
        let name = self.fresh(tensor.name());
        tensor.name = Some(name.clone());
        if self.fault.is_none() {
            self.constants.push(tensor);
        }
        name
    }

    /// An input of the network; returns its name.
    pub(super) fn input(&mut self, name: &str, element_type: i32, axes: &[Axis]) -> String {
        let name = self.fresh(name);
        self.inputs.push(value_info(&name, element_type, axes));
        name
    }

    fn fresh(&mut self, wanted: &str) -> String {
        match self.fault {
            None => self.taken.fresh(wanted),
            Some(_) => wanted.to_owned(),
        }
    }

    /// The graph, if all fits.
    pub(super) fn finish(mut self, output: &Output) -> Result<Finished, Misfit> {
        let left_over = self.dict.names().find(|name| !self.found.contains(name));
        let fault = self
            .fault
            .take()
            .or_else(|| Some((left_over?.to_owned(), Fault::LeftOver)));
        if let Some((tensor, fault)) = fault {
            return Err(self.misfit(tensor, fault));
        }
        let dict = self.dict;
        for derived in std::mem::take(&mut self.derived) {
            match derived.made(dict) {
                Ok(tensor) => self.constants.push(tensor),
                Err((tensor, reason)) => return Err(self.misfit(tensor, Fault::Other(reason))),
            }
            self.replaced.extend(derived.sources(dict));
        }
        let classes = output.axes.last().cloned();
        let more = std::mem::take(&mut self.more_outputs);
        let outputs = std::iter::once((self.answer, output.clone())).chain(more);
        let output = outputs.map(|(name, output)| self.output(name, &output)).collect();
        let mut usual = self.usual;
        usual.source = format!("{USUAL_FOR}{}", self.title);
        let mut preprocess = self.config.preprocess_over(usual);
        // Names of another network's classes: a configuration that was copied along.
        if classes != Some(Axis::Size(preprocess.classes.len())) {
            preprocess.classes.clear();
        }
        Ok(Finished {
            preprocess,
            title: self.title,
            notes: self.notes,
            nodes: self.nodes,
            constants: self.constants,
            replaced: self.replaced,
            inputs: self.inputs,
            output,
        })
    }

    fn misfit(self, tensor: String, fault: Fault) -> Misfit {
        let all = self.dict.names().count() + self.missing.len();
        Misfit {
            share: self.found.len() as f32 / all.max(1) as f32,
            family: self.title,
            tensor,
            fault,
        }
    }

    /// Calls the value of `output` `name`.
    fn output(&mut self, name: &str, output: &Output) -> ValueInfoProto {
        let name = self.fresh(name);
        for node in &mut self.nodes {
            for value in node.input.iter_mut().chain(&mut node.output) {
                if *value == output.value {
                    value.clone_from(&name);
                }
            }
        }
        value_info(&name, data_type::FLOAT, &output.axes)
    }
}

/// A size as attributes and constants have it.
pub(super) fn as_i64(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::ModelProto;

    #[test]
    fn nothing_is_kept_of_a_graph_behind_its_first_fault() {
        let model = ModelProto::default();
        let (dict, config) = (StateDict::new(&model, None), Config::default());
        let mut net = Net::new(&dict, &config, "a family");
        net.node("Relu", "before", ["x"], vec![]);
        assert_eq!(net.nodes.len(), 1);
        for block in 0..1000 {
            let weight = net.parameter(&format!("layers.{block}.weight"), &[Some(4), Some(4)]);
            net.node("MatMul", "product", ["x".to_owned(), weight.value], vec![]);
            net.constant(i64_tensor("axes", &[1], &[0]));
        }
        assert_eq!((net.nodes.len(), net.constants.len(), net.missing.len()), (0, 0, 1000));
        let output = Output {
            value: "product.out".to_owned(),
            axes: Vec::new(),
        };
        let misfit = net.finish(&output).err().unwrap();
        assert_eq!(misfit.tensor, "layers.0.weight", "the first fault is told");
    }
}
