//! The residual stream of a transformer: the values that one rotation turns all at once, and what reads and writes them. A
//! search from a norm's input through sums and scalings; what it cannot pass, it names.

use super::super::smooth::{vector, weight_reader};
use super::super::{Layer, LayerKind, Network};
use super::matrix::{MAX_ODD_FACTOR, odd_factor};
use crate::onnx::build::{attribute_float, attribute_int, attribute_ints, is_standard_domain};
use crate::onnx::schema::data_type;
use crate::onnx::{Graph, NodeProto, TensorProto, computed_type, numbers};
use std::collections::{HashMap, HashSet};

/// Nodes between a reduction and where it is used that are followed.
const DEEPEST: usize = 8;

/// An input of a node, by the node's position.
pub(super) type Slot = (usize, usize);

/// Values that are rotated together, all with `width` channels on their last axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Stream {
    pub(super) width: usize,
    /// Constants with the stream's channels on their last axis: tables of embeddings, biases.
    pub(super) rows: Vec<Slot>,
    /// Layers whose outputs are added to it.
    pub(super) writers: Vec<usize>,
    /// Layers that read it, and the place in `norms` of the norm between.
    pub(super) readers: Vec<(usize, Option<usize>)>,
    pub(super) norms: Vec<Norm>,
    /// A norm takes the mean off: the rotation must leave it.
    pub(super) keeps_mean: bool,
}

/// What a norm multiplies by and adds last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Norm {
    pub(super) gain: Slot,
    pub(super) bias: Option<Slot>,
}

/// What is in the way of a rotation. Nodes are told by operator and name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Obstacle {
    /// A value of the stream.
    #[error("'{0}' is an output of the network")]
    Output(String),
    #[error("its width {width} has the odd factor {odd}, above {MAX_ODD_FACTOR}")]
    OddWidth { width: usize, odd: usize },
    #[error("it has {here} channels here and {there} there")]
    Widths { here: usize, there: usize },
    /// A value of the stream.
    #[error("'{0}' comes from outside the network")]
    Outside(String),
    /// A value of the stream.
    #[error("'{0}' comes from an operator that is not known")]
    UnknownOperator(String),
    #[error("'{value}' comes from {node}")]
    Maker { value: String, node: String },
    #[error("'{value}' is read by {node}")]
    Reader { value: String, node: String },
    #[error("a constant that is added to it is not of 32-bit floats")]
    Constant,
    /// A node that multiplies or divides.
    #[error("its channels are scaled, each by its own number, in {0}")]
    Scaled(String),
    /// A node.
    #[error("its squares are read by {0}")]
    Squares(String),
    /// A norm.
    #[error("{0} goes over more than its last axis")]
    NormAxes(String),
    /// A norm.
    #[error("gain or bias of {0} is no constant of a number for each channel")]
    Gain(String),
    /// A norm.
    #[error("{0} gives an output of the network: its gain cannot go into layers")]
    NormOutput(String),
    #[error(
        "the gain of {norm} cannot go into layers: {reader} reads it too (rotation is for norms before layers, not behind sums)"
    )]
    NormReader { norm: String, reader: String },
    /// A layer.
    #[error("'{0}' scales its bias")]
    ScaledBias(String),
    /// A node that multiplies matrices.
    #[error("{0} has no constant matrix")]
    NoMatrix(String),
    #[error("the weights of '{layer}' {why}")]
    Weights { layer: String, why: &'static str },
}

/// What came of a search.
pub(super) enum Search {
    /// A stream that can be rotated.
    Found(Stream),
    /// There is a residual stream, and something in its way.
    Refused(Obstacle),
    /// Nothing is added up here: a norm of something else, such as the queries of a head.
    NoStream,
}

/// The residual streams of a network's main graph, by a value of each.
pub(super) fn search<'a>(network: &'a Network, graph: &'a Graph<'a>) -> Vec<(&'a str, Search)> {
    let layers: HashMap<usize, usize> = (network.layers.iter().enumerate())
        .filter_map(|(index, layer)| {
            Some((
                layer.node.as_ref().filter(|path| path.subgraphs.is_empty())?.node,
                index,
            ))
        })
        .collect();
    let outputs: HashSet<&str> = graph
        .proto
        .output
        .iter()
        .map(crate::onnx::ValueInfoProto::name)
        .collect();
    let mut seen: HashSet<&str> = HashSet::new();
    let mut found = Vec::new();
    for node in &graph.proto.node {
        let Some(value) = norm_input(graph, node).filter(|value| !seen.contains(value)) else {
            continue;
        };
        let mut explorer = Explorer {
            network,
            graph,
            layers: &layers,
            outputs: &outputs,
            values: HashSet::new(),
            open: Vec::new(),
            done: HashSet::new(),
            sums: 0,
            stream: Stream::default(),
            fault: None,
        };
        explorer.visit(value);
        let search = explorer.explore();
        seen.extend(&explorer.values);
        found.push((value, search));
    }
    found
}

/// What a norm reads, if `node` is one or takes the mean of the squares for one.
fn norm_input<'a>(graph: &Graph<'a>, node: &'a NodeProto) -> Option<&'a str> {
    let input = node.input.first()?;
    match node.op_type() {
        "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => Some(input),
        "ReduceMean" if is_over_last_axis(graph, node) => {
            let square = graph.maker_node(input)?;
            is_square(graph, square).then(|| square.input.first().map(String::as_str))?
        }
        _ => None,
    }
}

struct Explorer<'a, 'b> {
    network: &'a Network,
    graph: &'a Graph<'a>,
    layers: &'b HashMap<usize, usize>,
    outputs: &'b HashSet<&'a str>,
    values: HashSet<&'a str>,
    open: Vec<&'a str>,
    /// Nodes whose inputs and outputs were all looked at.
    done: HashSet<usize>,
    /// Additions of two computed values.
    sums: usize,
    stream: Stream,
    fault: Option<Obstacle>,
}

impl<'a> Explorer<'a, '_> {
    fn visit(&mut self, value: &'a str) {
        if !value.is_empty() && self.values.insert(value) {
            self.open.push(value);
        }
    }

    fn explore(&mut self) -> Search {
        while let Some(value) = self.open.pop() {
            let mut found = vec![self.maker(value)];
            for position in self.graph.readers(value) {
                found.push(self.reader(value, *position));
            }
            if self.outputs.contains(value) {
                found.push(Err(Obstacle::Output(value.to_owned())));
            }
            // The search goes on, so that it is known whether there is a stream at all.
            if let Some(Err(fault)) = found.into_iter().find(Result::is_err) {
                self.fault.get_or_insert(fault);
            }
        }
        self.stream.readers.sort_unstable();
        self.stream.writers.sort_unstable();
        let width = self.stream.width;
        let odd = odd_factor(width);
        match self.fault.take() {
            _ if self.sums == 0 => Search::NoStream,
            Some(fault) => Search::Refused(fault),
            None if odd > MAX_ODD_FACTOR => Search::Refused(Obstacle::OddWidth { width, odd }),
            None => Search::Found(std::mem::take(&mut self.stream)),
        }
    }

    fn fits(&mut self, width: usize) -> Result<(), Obstacle> {
        match self.stream.width {
            0 => self.stream.width = width,
            here if here != width => return Err(Obstacle::Widths { here, there: width }),
            _ => {}
        }
        Ok(())
    }

    /// What makes `value`, which is rotated.
    fn maker(&mut self, value: &'a str) -> Result<(), Obstacle> {
        let graph = self.graph;
        let Some(position) = graph.maker(value) else {
            return Err(Obstacle::Outside(value.to_owned()));
        };
        let Some(node) = graph.node(position).filter(|node| is_standard_domain(node.domain())) else {
            return Err(Obstacle::UnknownOperator(value.to_owned()));
        };
        let first = node.input.first().map_or("", String::as_str);
        match node.op_type() {
            "MatMul" | "Gemm" => self.writer(position, node),
            "Gather" if attribute_int(node, "axis").unwrap_or(0) == 0 && is_table(graph, first) => {
                self.rows(position, 0)
            }
            "Add" | "Sub" => self.sum(position, node),
            "Mul" | "Div" => self.scaled(position, node),
            "Identity" | "Dropout" | "Cast" => {
                self.visit(first);
                Ok(())
            }
            _ => Err(Obstacle::Maker {
                value: value.to_owned(),
                node: named(node),
            }),
        }
    }

    /// What the node at `position` makes of `value`, which is rotated.
    fn reader(&mut self, value: &'a str, position: usize) -> Result<(), Obstacle> {
        if self.done.contains(&position) {
            return Ok(());
        }
        let graph = self.graph;
        let Some(node) = graph.node(position) else {
            return Ok(());
        };
        let places: Vec<usize> = (0..node.input.len())
            .filter(|slot| node.input[*slot] == value)
            .collect();
        let refused = || {
            let (value, node) = (value.to_owned(), named(node));
            Err(Obstacle::Reader { value, node })
        };
        let over_last = is_over_last_axis(graph, node);
        match (node.op_type(), places.as_slice()) {
            ("SimplifiedLayerNormalization", [0]) => self.fused_norm(position, node, 1),
            _ if !is_standard_domain(node.domain()) => refused(),
            ("MatMul" | "Gemm", [0]) => self.layer_reads(position, None),
            ("Add" | "Sub", _) => self.sum(position, node),
            _ if is_square(graph, node) => self.square(node),
            ("Mul", [slot]) if is_gain(graph, node, 1 - slot) => self.norm(position, node, (position, 1 - slot)),
            ("Mul" | "Div", [_]) => self.scaled(position, node),
            ("ReduceMean" | "ReduceSum", [0]) if over_last => {
                self.stream.keeps_mean = true;
                Ok(())
            }
            // Lengths stay in a rotation.
            ("ReduceL2" | "ReduceSumSquare", [0]) if over_last => Ok(()),
            ("Shape", _) => Ok(()),
            ("LayerNormalization", [0]) => {
                self.stream.keeps_mean = true;
                self.fused_norm(position, node, 2)
            }
            ("RMSNormalization", [0]) => self.fused_norm(position, node, 1),
            ("Identity" | "Dropout" | "Cast", [0]) => {
                self.visit(node.output.first().map_or("", String::as_str));
                Ok(())
            }
            _ => refused(),
        }
    }

    /// A constant with the stream's channels on its last axis.
    fn rows(&mut self, position: usize, slot: usize) -> Result<(), Obstacle> {
        let graph = self.graph;
        let name = graph.node(position).and_then(|node| node.input.get(slot));
        let Some(tensor) = name.and_then(|name| float_constant(graph, name)) else {
            return Err(Obstacle::Constant);
        };
        let width = tensor.dims.last().and_then(|size| usize::try_from(*size).ok());
        self.fits(width.unwrap_or(1))?;
        self.stream.rows.push((position, slot));
        Ok(())
    }

    /// An addition or subtraction: of two values of the stream, or of one and a constant or a number for each row.
    fn sum(&mut self, position: usize, node: &'a NodeProto) -> Result<(), Obstacle> {
        if !self.done.insert(position) {
            return Ok(());
        }
        self.visit(node.output.first().map_or("", String::as_str));
        let mut computed = 0;
        for (slot, name) in node.input.iter().enumerate() {
            if is_per_row(self.graph, name, 0) {
                self.stream.keeps_mean = true;
            } else if float_constant(self.graph, name).is_some() {
                self.rows(position, slot)?;
            } else {
                self.visit(name);
                computed += 1;
            }
        }
        self.sums += usize::from(computed == 2);
        Ok(())
    }

    /// A product with one number for all channels: a constant, or what a norm divides a row by.
    fn scaled(&mut self, position: usize, node: &'a NodeProto) -> Result<(), Obstacle> {
        if !self.done.insert(position) {
            return Ok(());
        }
        let graph = self.graph;
        let is_factor = |slot: usize| {
            node.input
                .get(slot)
                .is_some_and(|name| is_number(graph, name) || is_per_row(graph, name, 0))
        };
        let factor = match node.op_type() {
            "Mul" if is_factor(0) => 0,
            _ if is_factor(1) => 1,
            _ => return Err(Obstacle::Scaled(named(node))),
        };
        self.visit(node.input.get(1 - factor).map_or("", String::as_str));
        self.visit(node.output.first().map_or("", String::as_str));
        Ok(())
    }

    /// Squares that are summed up: lengths stay in a rotation.
    fn square(&mut self, node: &'a NodeProto) -> Result<(), Obstacle> {
        let square = node.output.first().map_or("", String::as_str);
        for position in self.graph.readers(square) {
            let reader = self.graph.node(*position);
            let sums = reader.is_some_and(|reader| {
                matches!(reader.op_type(), "ReduceMean" | "ReduceSum") && is_over_last_axis(self.graph, reader)
            });
            if !sums {
                return Err(Obstacle::Squares(reader.map(named).unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// A norm that is one operator, with `constants` behind its input: gain, bias.
    fn fused_norm(&mut self, position: usize, node: &'a NodeProto, constants: usize) -> Result<(), Obstacle> {
        let rank = node.input.first().and_then(|input| self.graph.rank(input));
        let axis = attribute_int(node, "axis").unwrap_or(-1);
        if axis != -1 && rank.and_then(|rank| i64::try_from(rank).ok()) != Some(axis + 1) {
            return Err(Obstacle::NormAxes(named(node)));
        }
        let given = |slot: usize| node.input.get(slot).is_some_and(|name| !name.is_empty());
        let fits = (1..=constants)
            .filter(|slot| given(*slot))
            .all(|slot| is_gain(self.graph, node, slot));
        if !given(1) || !fits {
            return Err(Obstacle::Gain(named(node)));
        }
        let bias = (constants == 2 && given(2)).then_some((position, 2));
        self.norm_read(
            node,
            node.output.first().map_or("", String::as_str),
            Norm {
                gain: (position, 1),
                bias,
            },
        )
    }

    /// The product with a gain, and the bias that may be added to it.
    fn norm(&mut self, position: usize, node: &'a NodeProto, gain: Slot) -> Result<(), Obstacle> {
        self.done.insert(position);
        let graph = self.graph;
        let product = node.output.first().map_or("", String::as_str);
        if let [next] = *graph.readers(product)
            && let Some(add) = graph
                .node(next)
                .filter(|add| add.op_type() == "Add" && graph.read_count(product) == 1)
            && let Some(slot) = [0, 1].into_iter().find(|slot| is_gain(graph, add, *slot))
        {
            let bias = Some((next, slot));
            return self.norm_read(node, add.output.first().map_or("", String::as_str), Norm { gain, bias });
        }
        self.norm_read(node, product, Norm { gain, bias: None })
    }

    /// Every reader of what a norm gives must be a layer, which takes gain and bias on.
    fn norm_read(&mut self, node: &'a NodeProto, value: &'a str, norm: Norm) -> Result<(), Obstacle> {
        let graph = self.graph;
        for (position, slot) in [Some(norm.gain), norm.bias].into_iter().flatten() {
            let constant = graph
                .node(position)
                .and_then(|node| vector(graph, node.input.get(slot)?, 0));
            self.fits(constant.map_or(0, |constant| constant.len()))?;
        }
        self.stream.norms.push(norm);
        let number = self.stream.norms.len() - 1;
        if self.outputs.contains(value) {
            return Err(Obstacle::NormOutput(named(node)));
        }
        for position in graph.readers(value) {
            let reader = graph.node(*position);
            let is_layer = reader.is_some_and(|reader| {
                matches!(reader.op_type(), "MatMul" | "Gemm")
                    && reader.input.first().is_some_and(|input| input == value)
            });
            if !is_layer {
                return Err(Obstacle::NormReader {
                    norm: named(node),
                    reader: reader.map(named).unwrap_or_default(),
                });
            }
            self.layer_reads(*position, Some(number))?;
        }
        Ok(())
    }

    /// The layer at `position` reads the stream.
    fn layer_reads(&mut self, position: usize, norm: Option<usize>) -> Result<(), Obstacle> {
        let (index, layer) = self.layer(position)?;
        self.fits(layer.layout.in_channels())?;
        let node = self.graph.node(position);
        let has_factor = |name: &str| {
            node.and_then(|node| attribute_float(node, name))
                .is_some_and(|factor| factor != 1.0)
        };
        let with_bias = norm
            .and_then(|norm| self.stream.norms.get(norm))
            .is_some_and(|norm| norm.bias.is_some());
        if with_bias && (has_factor("alpha") || has_factor("beta")) {
            return Err(Obstacle::ScaledBias(layer.name.clone()));
        }
        self.stream.readers.push((index, norm));
        Ok(())
    }

    /// The layer at `position` writes to the stream.
    fn writer(&mut self, position: usize, node: &'a NodeProto) -> Result<(), Obstacle> {
        let (index, layer) = self.layer(position)?;
        self.fits(layer.layout.out_channels())?;
        self.stream.writers.push(index);
        if node.op_type() == "Gemm" && node.input.get(2).is_some_and(|name| !name.is_empty()) {
            self.rows(position, 2)?;
        }
        Ok(())
    }

    /// The layer at `position`, if its weights can be changed.
    fn layer(&self, position: usize) -> Result<(usize, &'a Layer), Obstacle> {
        let graph = self.graph;
        let node = graph.node(position).map(named).unwrap_or_default();
        let Some(&index) = self.layers.get(&position) else {
            return Err(Obstacle::NoMatrix(node));
        };
        let layer = &self.network.layers[index];
        let refused = |why| {
            let layer = layer.name.clone();
            Err(Obstacle::Weights { layer, why })
        };
        let is_matrix = matches!(layer.kind, LayerKind::MatMul | LayerKind::Gemm) && layer.weight_input == 1;
        if !is_matrix || layer.layout.groups != 1 || !layer.support.can_quantize() || weight_reader(layer).is_none() {
            return refused("cannot be changed");
        }
        let chain = layer.source.chain.iter().filter_map(|position| graph.node(*position));
        let outputs = chain.clone().filter_map(|node| node.output.first());
        if outputs.into_iter().any(|output| graph.read_count(output) != 1) {
            return refused("are read by others too, behind a step of their own");
        }
        let is_float = self
            .network
            .tensor(layer)
            .is_ok_and(|tensor| computed_type(tensor) == data_type::FLOAT);
        if !is_float && !chain.clone().any(|node| node.op_type() == "Cast") {
            return refused("are not of 32-bit floats");
        }
        Ok((index, layer))
    }
}

fn named(node: &NodeProto) -> String {
    match node.name() {
        "" => format!("a {} without a name", node.op_type()),
        name => format!("{} '{name}'", node.op_type()),
    }
}

/// The constant of 32-bit floats called `name`, or behind a cast to them.
pub(super) fn float_constant<'a>(graph: &Graph<'a>, name: &str) -> Option<&'a TensorProto> {
    let mut value = name;
    let mut cast = false;
    for _ in 0..DEEPEST {
        if let Some(tensor) = graph.constant(value) {
            return Some(tensor).filter(|tensor| cast || computed_type(tensor) == data_type::FLOAT);
        }
        let node = graph.maker_node(value)?;
        match node.op_type() {
            "Cast" if attribute_int(node, "to") == Some(i64::from(data_type::FLOAT)) => cast = true,
            "Identity" => {}
            _ => return None,
        }
        value = node.input.first()?;
    }
    None
}

fn is_table(graph: &Graph<'_>, name: &str) -> bool {
    float_constant(graph, name).is_some_and(|table| table.dims.len() == 2)
}

/// Whether `name` is a constant of a single number.
fn is_number(graph: &Graph<'_>, name: &str) -> bool {
    graph
        .constant(name)
        .is_some_and(|tensor| tensor.dims.iter().all(|size| *size == 1))
}

/// Whether input `slot` of a node is a constant with a number for each channel.
fn is_gain(graph: &Graph<'_>, node: &NodeProto, slot: usize) -> bool {
    let gain = node.input.get(slot).and_then(|name| vector(graph, name, 0));
    gain.is_some_and(|gain| gain.len() > 1)
}

fn is_square(graph: &Graph<'_>, node: &NodeProto) -> bool {
    match (node.op_type(), node.input.as_slice()) {
        ("Mul", [a, b]) => a == b,
        ("Pow", [_, exponent]) => {
            let exponent = graph
                .constant(exponent)
                .and_then(|tensor| Some(numbers(tensor).ok()?.to_vec()));
            exponent.is_some_and(|exponent| exponent == [2.0])
        }
        _ => false,
    }
}

/// Whether a reduction goes over the last axis alone and keeps it, with one number.
fn is_over_last_axis(graph: &Graph<'_>, node: &NodeProto) -> bool {
    let axes: Option<Vec<i64>> = match attribute_ints(node, "axes") {
        Some(axes) => Some(axes.to_vec()),
        None => node
            .input
            .get(1)
            .and_then(|name| graph.constant(name))
            .and_then(|tensor| {
                // Axes are few and small: exact as floats.
                Some(numbers(tensor).ok()?.iter().map(|axis| *axis as i64).collect())
            }),
    };
    let rank = node.input.first().and_then(|input| graph.rank(input));
    let last = rank.and_then(|rank| i64::try_from(rank).ok()).map(|rank| rank - 1);
    let is_last = axes.is_some_and(|axes| matches!(axes[..], [axis] if axis == -1 || Some(axis) == last));
    node.op_type().starts_with("Reduce") && is_last && attribute_int(node, "keepdims").unwrap_or(1) == 1
}

/// Whether `name` has one number for each row: it follows from reductions over the last axis and single numbers.
fn is_per_row(graph: &Graph<'_>, name: &str, depth: usize) -> bool {
    let Some(node) = graph.maker_node(name).filter(|_| depth < DEEPEST) else {
        return false;
    };
    if is_over_last_axis(graph, node) {
        return true;
    }
    let each = matches!(
        node.op_type(),
        "Sqrt" | "Reciprocal" | "Pow" | "Add" | "Sub" | "Mul" | "Div" | "Max" | "Clip" | "Cast" | "Neg" | "Identity"
    );
    let given = || node.input.iter().filter(|input| !input.is_empty());
    let is_row = |input: &String| is_per_row(graph, input, depth + 1);
    each && given().any(is_row) && given().all(|input| is_number(graph, input) || is_row(input))
}
