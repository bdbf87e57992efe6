//! Grids of the values between layers, so that a runtime computes in integers from layer to layer.
//!
//! Runtimes turn `DequantizeLinear`, a layer and `QuantizeLinear` into one integer kernel; where only the inputs of layers are
//! on a grid, what an Add or a pool reads stays float, and the layer before it is dequantized, computed in float and quantized
//! again (onnxruntime's graph optimizations; gemmlowp, Jacob et al. 2018, arXiv 1712.05877, section 2.5). Here every value
//! that goes from one operator with an integer kernel to the next gets a grid of 8 bits: that of the layer which reads it where
//! one does, else one from what was seen of it while calibrating.

use super::{ActivationPlan, Activations, LayerPlan, Recipe};
use crate::network::{Layer, LayerKind, Network};
use crate::onnx::build::attribute_string;
use crate::onnx::operators::operator_of;
use crate::onnx::{Graph, GraphProto, NodeProto, ValueInfoProto, float_values};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Grids by the value's name.
pub type ValueGrids = BTreeMap<String, ActivationPlan>;

/// The bits that integer kernels take.
const BITS: u8 = 8;

/// Operators besides layers that runtimes have integer kernels of, on grids of different scales.
const JOINS: [&str; 7] = [
    "Add",
    "Mul",
    "Concat",
    "AveragePool",
    "GlobalAveragePool",
    "LeakyRelu",
    "Sigmoid",
];

/// The values, besides inputs of layers, whose ranges are needed to quantize the outputs of layers.
pub fn joined_values(network: &Network) -> Vec<String> {
    let Some(proto) = &network.model.graph else {
        return Vec::new();
    };
    let site = Site::new(
        proto,
        main_layers(network).filter(|(_, layer)| layer.support.can_quantize()),
    );
    let inputs: HashSet<&str> = network
        .layers
        .iter()
        .filter_map(|layer| Some(layer.input.as_ref()?.0.as_str()))
        .collect();
    let mut joined = Vec::new();
    for (position, node) in proto.node.iter().enumerate() {
        let Some(value) = node.output.first().filter(|value| !value.is_empty()) else {
            continue;
        };
        // A batch-norm may be folded later; then the layer's output has its name.
        let makes = site.layers.contains(&position) || JOINS.contains(&node.op_type()) || is_activation(node);
        let makes = makes || is_batch_norm(node);
        let is_needed = !inputs.contains(value.as_str()) && !site.outputs.contains(value.as_str());
        let is_passed_on = || {
            site.only_reader(value)
                .is_some_and(|node| is_activation(node) || is_batch_norm(node))
        };
        if makes && is_needed && !is_passed_on() && site.is_float(node) {
            joined.push(value.clone());
        }
    }
    joined
}

/// The grids of the values of `network` whose layers are planned as `layers` says; none unless `recipe` asks for them.
pub(super) fn value_grids(
    network: &Network,
    recipe: &Recipe,
    layers: &[LayerPlan],
    activations: Option<&Activations>,
) -> ValueGrids {
    let (Some(proto), Some(activations), true) = (&network.model.graph, activations, recipe.quantize_outputs) else {
        return ValueGrids::new();
    };
    let on_grid = |index: usize| {
        layers
            .get(index)
            .and_then(LayerPlan::quantized)
            .is_some_and(|layer| layer.activation.is_some())
    };
    let site = Site::new(proto, main_layers(network).filter(|(index, _)| on_grid(*index)));
    let mut planning = Planning {
        recipe,
        activations,
        wanted: wanted(network, layers),
        site,
        grids: ValueGrids::new(),
        waiting: HashSet::new(),
    };
    let inputs: Vec<&str> = proto.required_inputs().collect();
    for input in inputs {
        planning.decide(input);
    }
    for (position, node) in proto.node.iter().enumerate() {
        planning.node(position, node);
    }
    planning.grids
}

/// The grid of each layer input on which all layers that read it agree.
fn wanted(network: &Network, layers: &[LayerPlan]) -> HashMap<String, Option<ActivationPlan>> {
    let mut wanted: HashMap<String, Option<ActivationPlan>> = HashMap::new();
    for (layer, planned) in network.layers.iter().zip(layers) {
        let (Some((input, _)), Some(inputs)) = (&layer.input, planned.inputs()) else {
            continue;
        };
        // Halved activations go on their grid behind the halving.
        let own = inputs
            .activation
            .copied()
            .filter(|plan| plan.grid.bits == BITS && inputs.activation_splits.is_empty());
        let agreed = wanted.entry(input.clone()).or_insert(own);
        if *agreed != own {
            *agreed = None;
        }
    }
    wanted
}

/// The layers of the main graph, with their place in the network.
fn main_layers(network: &Network) -> impl Iterator<Item = (usize, &Layer)> {
    let layers = network.layers.iter().enumerate();
    layers.filter(|(_, layer)| layer.node.as_ref().is_some_and(|path| path.subgraphs.is_empty()))
}

/// A main graph, and what it is asked for here.
struct Site<'a> {
    graph: Graph<'a>,
    outputs: HashSet<&'a str>,
    /// Nodes that are layers with an integer kernel whose output can be on a grid.
    layers: HashSet<usize>,
}

impl<'a> Site<'a> {
    fn new<'n>(proto: &'a GraphProto, layers: impl Iterator<Item = (usize, &'n Layer)>) -> Self {
        // A matrix product gives floats from its integer kernel, and the kernel of a transposed convolution is float.
        let kernels = layers.filter(|(_, layer)| matches!(layer.kind, LayerKind::Conv | LayerKind::Gemm));
        Self {
            graph: Graph::main(proto),
            outputs: proto.output.iter().map(ValueInfoProto::name).collect(),
            layers: kernels
                .filter_map(|(_, layer)| Some(layer.node.as_ref()?.node))
                .collect(),
        }
    }

    /// The node that reads `value`, if nothing else does.
    fn only_reader(&self, value: &str) -> Option<&'a NodeProto> {
        let [reader] = self.graph.readers(value) else {
            return None;
        };
        self.graph.node(*reader).filter(|_| self.graph.read_count(value) == 1)
    }

    /// The activation that alone reads `value`.
    fn activation_behind(&self, value: &str) -> Option<&'a NodeProto> {
        self.only_reader(value).filter(|node| is_activation(node))
    }

    /// Values that `node` reads and that are no constants.
    fn data<'n>(&self, node: &'n NodeProto) -> impl Iterator<Item = &'n str> {
        let inputs = node.input.iter().map(String::as_str);
        inputs.filter(|input| !input.is_empty() && self.graph.constant(input).is_none())
    }

    /// Whether `node` computes with values, not with constants alone.
    fn is_float(&self, node: &NodeProto) -> bool {
        self.data(node).next().is_some()
    }

    /// Whether what `node` makes consists of elements of its one data input, or of zeros.
    fn selects(&self, node: &NodeProto) -> bool {
        if !operator_of(node).is_some_and(|operator| operator.selects) || node.output.len() != 1 {
            return false;
        }
        // Padding with zeros: the value is the third input.
        let pads_zeros = || {
            let value = node.input.get(2).filter(|value| !value.is_empty());
            let is_zero = value.is_none_or(|value| {
                let tensor = self.graph.constant(value);
                tensor.is_some_and(|tensor| float_values(tensor).is_ok_and(|values| values.iter().all(|x| *x == 0.0)))
            });
            is_zero && attribute_string(node, "mode").unwrap_or("constant") == "constant"
        };
        node.op_type() != "Pad" || pads_zeros()
    }
}

/// What cuts off a range at 0: a grid without negative numbers does it too, and runtimes take it for that.
fn is_activation(node: &NodeProto) -> bool {
    matches!(node.op_type(), "Relu" | "Clip") && operator_of(node).is_some()
}

fn is_batch_norm(node: &NodeProto) -> bool {
    node.op_type() == "BatchNormalization"
}

struct Planning<'a> {
    recipe: &'a Recipe,
    activations: &'a Activations,
    wanted: HashMap<String, Option<ActivationPlan>>,
    site: Site<'a>,
    grids: ValueGrids,
    /// Values that stay as they are because the activation behind them ends on a grid.
    waiting: HashSet<String>,
}

impl Planning<'_> {
    /// Decides on what `node` makes, after what it reads.
    fn node(&mut self, position: usize, node: &NodeProto) {
        let [value, rest @ ..] = node.output.as_slice() else {
            return;
        };
        if value.is_empty() || !rest.iter().all(String::is_empty) || self.site.outputs.contains(value.as_str()) {
            return;
        }
        let on_grid = |name: &str| self.grids.contains_key(name);
        let data: Vec<&str> = self.site.data(node).collect();
        let [first, ..] = data.as_slice() else { return };
        if self.site.selects(node) && !is_activation(node) {
            if let Some(grid) = self.grids.get(*first).copied() {
                self.adopt(value, grid);
            }
            return;
        }
        let is_layer = self.site.layers.contains(&position);
        let joins =
            JOINS.contains(&node.op_type()) && data.len() == node.input.len() && data.iter().all(|name| on_grid(name));
        let waits = is_activation(node) && (self.waiting.contains(*first) || on_grid(first));
        if !(is_layer || joins || waits) {
            return;
        }
        // An activation goes into the layer before it if its output has no negative numbers on its grid.
        let behind = self.site.activation_behind(value).and_then(|node| node.output.first());
        let cuts_off = behind
            .and_then(|value| self.choose(value))
            .is_some_and(|plan| plan.grid.unsigned);
        if cuts_off && !waits {
            self.waiting.insert(value.clone());
        } else {
            self.decide(value);
        }
    }

    /// Puts `value` on its grid, if there is one for it.
    fn decide(&mut self, value: &str) {
        if let Some(plan) = self.choose(value) {
            self.grids.insert(value.to_owned(), plan);
        }
    }

    /// Puts `value` on the grid that its elements are on already, unless a layer asks for another.
    fn adopt(&mut self, value: &str, grid: ActivationPlan) {
        if self.wanted.get(value).is_none_or(|wanted| *wanted == Some(grid)) {
            self.grids.insert(value.to_owned(), grid);
        } else {
            self.decide(value);
        }
    }

    /// The grid that the layers reading `value` ask for, or that an operator which only selects elements hands on to one; else
    /// one from what was seen.
    fn choose(&self, value: &str) -> Option<ActivationPlan> {
        let mut name = value;
        // A way through operators that select is no longer than the graph.
        for _ in 0..=self.site.graph.proto.node.len() {
            if let Some(wanted) = self.wanted.get(name) {
                return *wanted;
            }
            let selecting = |position: &usize| {
                let node = self.site.graph.node(*position)?;
                let passes =
                    self.site.selects(node) && !is_activation(node) && node.input.first().is_some_and(|x| x == name);
                passes.then(|| node.output.first())?
            };
            match self.site.graph.readers(name).iter().find_map(selecting) {
                Some(next) => name = next,
                None => break,
            }
        }
        self.seen(value)
    }

    fn seen(&self, value: &str) -> Option<ActivationPlan> {
        let seen = self
            .activations
            .get(value)
            .filter(|seen| seen.not_finite == 0 && seen.count > 0)?;
        let Recipe {
            unsigned_activations,
            activation_clip,
            ..
        } = *self.recipe;
        Some(ActivationPlan::of(seen, BITS, unsigned_activations, activation_clip))
    }
}
