//! Networks of element types and quantized operators that the engine lacks, written with what it has.
//!
//! rten 0.27 knows integers of 8 and 32 bits, one scale a tensor or an axis, and of the operators with packed blocks only
//! MatMulNBits with 4 bits and no zero points. Constants of other types are worked out as floats; operators of quantized values
//! become the same computation on floats that hold whole numbers, which is exact below 2^24. What the network computes stays
//! the same.

mod constants;
mod elementwise;
mod linear;

use super::build::{attribute_int, float_tensor, int_attribute, is_standard_domain, node};
use super::schema::data_type;
use super::{BlockPacked, Conversion, GraphProto, ModelProto, Names, NodeProto, TensorProto, is_block_packed, numbers};
use constants::Constants;
use std::collections::HashSet;

/// Rewrites what of `model` the engine lacks and this knows; tells whether there was any. A node whose scales or weights are no
/// constants stays as it is, for the engine to name.
pub fn decode_for_engine(model: &mut ModelProto) -> bool {
    let lacks = |graph: &GraphProto| graph.node.iter().any(is_candidate);
    if !model.graph.as_ref().is_some_and(|graph| any_graph(graph, &lacks)) {
        return false;
    }
    let mut names = Names::of(model);
    let Some(graph) = &mut model.graph else { return false };
    let mut changed = false;
    in_graph(graph, &Constants::default(), &mut names, &mut changed);
    if changed {
        drop_unreadable(graph);
    }
    changed
}

/// Whether the operator of `node` is one that may have to be rewritten.
fn is_candidate(node: &NodeProto) -> bool {
    let op = node.op_type();
    let linear = matches!(op, "QuantizeLinear" | "DequantizeLinear");
    linear || is_block_packed(node) || linear::is_linear(node)
}

fn any_graph(graph: &GraphProto, is: &impl Fn(&GraphProto) -> bool) -> bool {
    let bodies = graph
        .node
        .iter()
        .flat_map(|node| &node.attribute)
        .filter_map(|attribute| attribute.g.as_ref());
    is(graph) || bodies.into_iter().any(|body| any_graph(body, is))
}

/// A graph whose nodes are being rewritten.
struct Writer<'a> {
    constants: &'a Constants<'a>,
    names: &'a mut Names,
    nodes: Vec<NodeProto>,
    made: Vec<TensorProto>,
    /// Values between a `QuantizeLinear` and a `DequantizeLinear` that are floats from here on.
    as_floats: HashSet<String>,
}

fn in_graph(graph: &mut GraphProto, outer: &Constants<'_>, names: &mut Names, changed: &mut bool) {
    let old = std::mem::take(&mut graph.node);
    let constants = Constants::of(&graph.initializer, &old, outer);
    let mut writer = Writer {
        constants: &constants,
        names,
        nodes: Vec::with_capacity(old.len()),
        made: Vec::new(),
        as_floats: HashSet::new(),
    };
    for node in &old {
        let mut node = node.clone();
        for body in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_mut()) {
            in_graph(body, &constants, writer.names, changed);
        }
        if is_candidate(&node) && writer.rewrite(&node).is_some() {
            *changed = true;
        } else {
            writer.nodes.push(node);
        }
    }
    let (nodes, made) = (writer.nodes, writer.made);
    drop(constants);
    let known: HashSet<String> = made.iter().map(|tensor| tensor.name().to_owned()).collect();
    graph.node = nodes;
    graph.initializer.extend(made);
    graph.value_info.retain(|info| !known.contains(info.name()));
}

impl Writer<'_> {
    /// Writes `old` with others; `None`, and nothing written, where it is to stay.
    fn rewrite(&mut self, old: &NodeProto) -> Option<()> {
        if is_block_packed(old) {
            return self.block_packed(old);
        }
        if linear::is_linear(old) {
            return self.linear(old);
        }
        let (x, y) = (old.input.first()?, old.output.first()?);
        match self.constants.find(x) {
            Some(tensor) => {
                let values = self.converted(old, tensor)?;
                self.made.push(values.named(y));
            }
            None => self.converted_at_run(old, x, y)?,
        }
        Some(())
    }

    /// A constant behind `QuantizeLinear` or `DequantizeLinear` as floats, if the engine cannot do it.
    fn converted(&self, old: &NodeProto, tensor: &TensorProto) -> Option<Floats> {
        let zero = self.zero_type(old);
        let known = |kind| matches!(kind, data_type::INT8 | data_type::UINT8 | data_type::INT32);
        let blocks = attribute_int(old, "block_size").is_some_and(|size| size > 0);
        let is_dequantizer = old.op_type() == "DequantizeLinear";
        let from = if is_dequantizer { tensor.data_type() } else { zero };
        if known(from) && !blocks && !self.as_floats.contains(old.input.first()?) {
            return None;
        }
        let shape = shape(tensor)?;
        let axes: Vec<usize> = (0..shape.len()).collect();
        let conversion = Conversion::of(old, (1, 2), |name| self.constants.find(name), &shape, &axes).ok()?;
        let mut values = numbers(tensor).ok()?.to_vec();
        conversion.apply(&mut values).ok()?;
        Some(Floats { shape, values })
    }

    /// The type of the grid of a `QuantizeLinear` or `DequantizeLinear`.
    fn zero_type(&self, old: &NodeProto) -> i32 {
        let zero = old.input.get(2).and_then(|name| self.constants.find(name));
        let said = attribute_int(old, "output_dtype").and_then(|kind| i32::try_from(kind).ok());
        let said = said.filter(|kind| *kind != 0).unwrap_or(data_type::UINT8);
        zero.map_or(said, TensorProto::data_type)
    }

    /// A value of the running network on a grid of an integer type that the engine lacks: its integers are held by floats.
    fn converted_at_run(&mut self, old: &NodeProto, x: &str, y: &str) -> Option<()> {
        let one = |name: Option<&String>| {
            let values = numbers(self.constants.find(name?)?).ok()?;
            (values.len() == 1).then(|| values[0])
        };
        let kind = self.zero_type(old);
        let is_quantizer = old.op_type() == "QuantizeLinear";
        let known = matches!(kind, data_type::INT8 | data_type::UINT8 | data_type::INT32);
        if if is_quantizer {
            known
        } else {
            !self.as_floats.contains(x)
        } {
            return None;
        }
        let zero = match old.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => one(Some(name))?,
            None => 0.0,
        };
        let scale = one(old.input.get(1))?;
        if is_quantizer {
            let (low, high) = super::integer_range(kind)?;
            let scale = self.scalar(y, "scale", scale);
            let steps = self.step("Div", &[x, &scale], y, "steps");
            let rounded = self.step("Round", &[&steps], y, "rounded");
            let zero = self.scalar(y, "zero", zero);
            let moved = self.step("Add", &[&rounded, &zero], y, "moved");
            let (low, high) = (self.scalar(y, "low", low as f32), self.scalar(y, "high", high as f32));
            self.last("Clip", old.name(), &[&moved, &low, &high], y, vec![]);
            self.as_floats.insert(y.to_owned());
        } else {
            let zero = self.scalar(y, "zero", zero);
            let from_zero = self.step("Sub", &[x, &zero], y, "from_zero");
            let scale = self.scalar(y, "scale", scale);
            self.last("Mul", old.name(), &[&from_zero, &scale], y, vec![]);
        }
        Some(())
    }

    fn block_packed(&mut self, old: &NodeProto) -> Option<()> {
        let is_matrix = old.op_type() == "MatMulNBits";
        let more = old.input.iter().skip(3).any(|name| !name.is_empty());
        if is_matrix && attribute_int(old, "bits").unwrap_or(4) == 4 && !more {
            let divides = |size: i64| attribute_int(old, "K").is_some_and(|k| k % size == 0);
            if attribute_int(old, "block_size")
                .filter(|size| *size > 0)
                .is_some_and(divides)
            {
                return None;
            }
        }
        let slot = usize::from(is_matrix);
        let tensor = self.constants.find(old.input.get(slot)?)?;
        let packed = BlockPacked::of(old, tensor)?.ok()?;
        let conversion = packed.conversion(old, |name| self.constants.find(name)).ok()?;
        let mut values = packed.codes(tensor).ok()?.converted();
        conversion.apply(&mut values).ok()?;
        let y = old.output.first()?.clone();
        let weight = self.names.fresh(&format!("{}.decoded", tensor.name()));
        if !is_matrix {
            self.made.push(float_tensor(weight.clone(), &packed.shape, &values));
            let axis = int_attribute("axis", attribute_int(old, "gather_axis").unwrap_or(0));
            self.last("Gather", old.name(), &[&weight, old.input.get(1)?], &y, vec![axis]);
            return Some(());
        }
        let &[rows, columns] = packed.shape.as_slice() else {
            return None;
        };
        let turned: Vec<f32> = (0..columns)
            .flat_map(|column| values.iter().skip(column).step_by(columns).copied())
            .collect();
        self.made.push(float_tensor(weight.clone(), &[columns, rows], &turned));
        let inputs = [old.input.first()?.as_str(), &weight];
        match old.input.get(5).filter(|name| !name.is_empty()) {
            None => self.last("MatMul", old.name(), &inputs, &y, vec![]),
            Some(bias) => {
                let product = self.step("MatMul", &inputs, &y, "product");
                self.last("Add", old.name(), &[&product, bias], &y, vec![]);
            }
        }
        Some(())
    }

    /// A constant of one number; its name.
    fn scalar(&mut self, value: &str, part: &str, number: f32) -> String {
        self.constant(value, part, &[], &[number])
    }

    /// A constant; its name.
    fn constant(&mut self, value: &str, part: &str, shape: &[usize], values: &[f32]) -> String {
        let name = self.names.fresh(&format!("{value}.{part}"));
        self.made.push(float_tensor(name.clone(), shape, values));
        name
    }

    /// A node on the way to `value`; the name of what it makes.
    fn step(&mut self, op: &str, inputs: &[&str], value: &str, part: &str) -> String {
        let to = self.names.fresh(&format!("{value}.{part}"));
        self.last(op, "", inputs, &to, vec![]);
        to
    }

    /// The node that makes `value`.
    fn last(&mut self, op: &str, name: &str, inputs: &[&str], value: &str, attributes: Vec<super::AttributeProto>) {
        let inputs = inputs.iter().map(|input| (*input).to_owned());
        self.nodes.push(node(op, name, inputs, [value.to_owned()], attributes));
    }
}

/// Numbers with their shape.
struct Floats {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Floats {
    fn named(&self, name: &str) -> TensorProto {
        float_tensor(name, &self.shape, &self.values)
    }
}

fn shape(tensor: &TensorProto) -> Option<Vec<usize>> {
    tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect()
}

/// Removes constants of types that the engine does not load and that nothing reads any more.
fn drop_unreadable(graph: &mut GraphProto) {
    let mut read = HashSet::new();
    gather_read(graph, &mut read);
    drop_unread(graph, &read);
}

fn drop_unread(graph: &mut GraphProto, read: &HashSet<String>) {
    graph.initializer.retain(|tensor| {
        use data_type as t;
        let loads = matches!(
            tensor.data_type(),
            t::FLOAT | t::INT32 | t::UINT8 | t::INT8 | t::INT64 | t::BOOL | t::FLOAT16 | t::BFLOAT16 | t::DOUBLE
        );
        loads || read.contains(tensor.name())
    });
    for body in graph
        .node
        .iter_mut()
        .flat_map(|node| &mut node.attribute)
        .filter_map(|a| a.g.as_mut())
    {
        drop_unread(body, read);
    }
}

fn gather_read(graph: &GraphProto, read: &mut HashSet<String>) {
    read.extend(graph.output.iter().map(|output| output.name().to_owned()));
    for node in &graph.node {
        read.extend(node.input.iter().cloned());
        for body in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
            gather_read(body, read);
        }
    }
}
