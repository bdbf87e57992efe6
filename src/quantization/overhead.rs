//! What splitting costs (`docs/method.md`, "What it costs"; Zhao et al. 2019, table 4).

use super::deployment::{needs, runtime_note};
use super::shared::{Written, written};
use super::storage::{CodeType, bytes_of_scales};
use super::widen::{Merging, Way, Widening};
use super::{Expansion, LayerPlan, Plan, QuantizedLayer, Scales, exported_bytes};
use crate::network::{Layer, LayerKind, Network, shapes as shapes_of};
use crate::onnx::encoded_bytes;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::HashMap;

/// Shapes of values for one sample, by name (batch dimension included).
pub type ValueShapes = HashMap<String, Vec<usize>>;

/// Cost of one layer: as it was and as planned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerOverhead {
    /// Name of the layer.
    pub name: String,
    /// Weights before and after.
    pub weights: (u64, u64),
    /// Bytes of the weights before (at 32 bits) and after, as they are stored, with their scales and zero points.
    pub bytes: (u64, u64),
    /// The element type that the weights are stored in, if they are on a grid.
    pub stored: Option<CodeType>,
    /// Input elements of one sample before and after, if shapes are known.
    pub activations: Option<(u64, u64)>,
    /// Multiply-accumulates of one sample before and after, if shapes are known.
    pub macs: Option<(u64, u64)>,
    /// Where the copies of its split input channels come from, if there are any. (Those of hidden units are made inside the
    /// recurrent cell.)
    pub copies: Option<Copies>,
    /// Input channels without weights among those after, which make them as many as integer kernels take at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub filled: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Where the copies of a layer's split input channels come from, and what making them costs for one sample. Using them
/// costs the layer's own [`LayerOverhead::macs`] either way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Copies {
    /// A `Gather` writes the expanded input; nothing is multiplied.
    Gather {
        /// Elements that it writes, if shapes are known.
        elements: Option<u64>,
        /// Why it is not made by the layer before, where the recipe asks for that.
        why: Option<String>,
    },
    /// None are made: the rounded copies of a channel are added up to one.
    Merge {
        /// Bits of the widest code: what the multiplier must take.
        bits: u8,
    },
    /// The layer before has more output channels.
    Widen {
        /// Name of that layer.
        producer: String,
        /// Multiply-accumulates that it (and depthwise convolutions between) does more, if shapes are known. They are in the
        /// `macs` of those layers too.
        macs: Option<u64>,
        /// Elements that the other nodes between compute more, if shapes are known.
        elements: Option<u64>,
    },
}

/// What making copies costs over all layers, for one sample; `None` while shapes are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CopyCosts {
    /// Layers whose copies a `Gather` makes.
    pub gathers: u64,
    /// Elements that these write.
    pub gathered_elements: Option<u64>,
    /// Layers whose copies the layer before makes.
    pub widened: u64,
    /// Layers whose copies are added up to one channel.
    pub merged: u64,
    /// Bits of the widest code of these, which the multiplier must take; 0 if there are none.
    pub merged_bits: u8,
    /// Input channels without weights beside the copies: [`LayerOverhead::filled`] of all layers.
    #[serde(skip_serializing_if = "is_zero")]
    pub filled: u64,
    /// Multiply-accumulates that those before do more.
    pub widened_macs: Option<u64>,
    /// Elements that nodes between compute more.
    pub widened_elements: Option<u64>,
}

/// Bytes of the network as an ONNX file. (Of a file without a graph: of its parameters.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// As it was, prepared as the recipe says.
    pub float: u64,
    /// As an export writes it: [`exported_bytes`].
    pub quantized: u64,
}

/// Cost of a plan as ratios to the original network (1 = nothing added).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overhead {
    /// Parameters of the whole model.
    pub weights: f64,
    /// Input elements over all layers whose shapes are known; `None` if none are.
    pub activations: Option<f64>,
    /// Multiply-accumulates over all layers whose shapes are known; `None` if none are.
    pub macs: Option<f64>,
    /// Bytes of the file.
    pub bytes: Bytes,
    /// How the copies of split channels are made.
    pub copies: CopyCosts,
    /// What the exported file needs of the runtime and the hardware: sentences for a person.
    pub needs: Vec<String>,
    /// What a runtime does with the exported file that a person would not expect of quantized weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_note: Option<String>,
    /// The layers.
    #[serde(skip)]
    pub layers: Vec<LayerOverhead>,
}

/// The cost of `plan` on `network`; `shapes` are of that same network's values, or of the network that it was prepared from: what
/// has another name since follows from them.
pub fn overhead(network: &Network, plan: &Plan, shapes: Option<&ValueShapes>) -> Overhead {
    let completed = shapes.map(|known| with_new_names(network, known));
    let (whole, shapes) = (plan, completed.as_deref());
    let merging = Merging::of(network, plan);
    let plan = &*merging.plan;
    let widening = Widening::of(network, plan);
    let mut layers: Vec<LayerOverhead> = (0..network.layers.len().min(plan.layers.len()))
        .map(|index| layer_overhead(network, plan, &widening, index, shapes))
        .collect();
    for index in 0..layers.len() {
        layers[index].copies = match merging.bits(index) {
            Some(bits) => Some(Copies::Merge { bits }),
            None => copies(network, &merging, &widening, index, &layers, shapes),
        };
    }
    // Biases and batch-norms of wider layers are parameters of no layer.
    let others: u64 = widening.ways().map(Way::parameters).sum::<u64>() + cell_constants(network, plan);
    // A weight that several layers share is there once.
    let written = written(network, plan);
    let added: u64 = (layers.iter().zip(&written).filter(|(_, written)| written.is_new))
        .map(|(layer, _)| layer.weights.1 - layer.weights.0)
        .sum();
    let parameters = network.parameters().max(1);
    let copies = copy_costs(&layers, shapes.is_some());
    Overhead {
        weights: (parameters + added + others) as f64 / parameters as f64,
        activations: ratio(layers.iter().filter(|l| l.weights.0 > 0).map(|layer| layer.activations)),
        macs: ratio(layers.iter().filter(|l| l.weights.0 > 0).map(|layer| layer.macs)),
        bytes: match exported_bytes(network, whole) {
            Ok(quantized) => Bytes {
                float: encoded_bytes(&network.model),
                quantized,
            },
            // Without a graph there is no such file: the parameters are what can be counted.
            Err(_) => Bytes {
                float: network.parameters().saturating_mul(FLOAT_BYTES),
                quantized: stored_bytes(network, plan, &widening, &layers),
            },
        },
        copies,
        needs: needs(network, whole, plan, &copies),
        runtime_note: runtime_note(network, plan).map(str::to_owned),
        layers,
    }
}

/// Bytes of all parameters of `network` as an export of `plan` stores them: quantized weights with their scales, everything else
/// at 32 bits. It differs from [`exported_bytes`] by what the graph takes, and asks for no values: a plan of bits and splits
/// alone will do.
pub fn weight_bytes(network: &Network, plan: &Plan) -> u64 {
    let merging = Merging::of(network, plan);
    let plan = &*merging.plan;
    let widening = Widening::of(network, plan);
    let layers: Vec<LayerOverhead> = (0..network.layers.len().min(plan.layers.len()))
        .map(|index| layer_overhead(network, plan, &widening, index, None))
        .collect();
    stored_bytes(network, plan, &widening, &layers)
}

/// `known` and the values of `network` whose names a preparation made: a folded batch-norm leaves its output's name to the layer
/// before.
fn with_new_names<'a>(network: &Network, known: &'a ValueShapes) -> Cow<'a, ValueShapes> {
    let graph = network.model.graph.as_ref();
    let is_known = |name: &String| name.is_empty() || known.contains_key(name);
    let all_known = network.layers.iter().all(|layer| {
        let node = network.node(layer);
        let output = node.and_then(|node| node.output.first());
        layer.input.iter().all(|(input, _)| is_known(input)) && output.is_none_or(is_known)
    });
    match graph.filter(|_| !all_known) {
        Some(graph) => Cow::Owned(shapes_of(graph, known)),
        None => Cow::Borrowed(known),
    }
}

fn stored_bytes(network: &Network, plan: &Plan, widening: &Widening, layers: &[LayerOverhead]) -> u64 {
    let others: u64 = widening.ways().map(Way::parameters).sum::<u64>() + cell_constants(network, plan);
    let written = written(network, plan);
    let float = network.parameters().saturating_mul(FLOAT_BYTES);
    let (before, after) = layers
        .iter()
        .zip(&written)
        .fold((0_u64, 0_u64), |(before, after), (layer, written)| {
            let gone = if written.replaces_float { layer.bytes.0 } else { 0 };
            let new = match written {
                Written { is_new: false, .. } => 0,
                Written { is_written: true, .. } => layer.bytes.1,
                // A float layer that makes copies is wider; its own weight is among the parameters already.
                Written { is_written: false, .. } => layer.bytes.1.saturating_sub(layer.bytes.0),
            };
            (before.saturating_add(gone), after.saturating_add(new))
        });
    let after = after.saturating_add(others.saturating_mul(FLOAT_BYTES));
    float.saturating_sub(before).saturating_add(after)
}

/// All of a layer's cost but where its copies come from.
fn layer_overhead(
    network: &Network,
    plan: &Plan,
    widening: &Widening,
    index: usize,
    shapes: Option<&ValueShapes>,
) -> LayerOverhead {
    let (layer, planned) = (&network.layers[index], &plan.layers[index]);
    // Channels before and after: everything that a layer costs is in proportion to them.
    let before = layer.layout.channels as u64;
    let expansion = (planned.inputs()).map(|inputs| widening.expansion(network, plan, index, inputs));
    let after = (expansion.as_ref()).map_or(before, |expansion| expansion.channels as u64);
    let grown = |cost: u64| (cost, cost.checked_div(before).map_or(cost, |each| each * after));
    // The copies inside a recurrent cell have rows of W and R too, those made by another layer rows of that.
    let (rows, wide) = hidden_units(network, plan, layer)
        .or_else(|| Some(output_channels(widening.of_outputs(index)?)))
        .unwrap_or((1, 1));
    let with_rows = |(before, after): (u64, u64)| (before, after / rows.max(1) * wide);
    let weights = with_rows(grown(layer.parameters()));
    let activations = shapes.and_then(|shapes| input_elements(layer, shapes)).map(grown);
    let stored = planned.quantized().map(|quantized| {
        let code_type = CodeType::of(plan.recipe.storage, layer, quantized);
        (code_type, quantized)
    });
    let scales = stored.map_or(0, |(_, quantized)| match &quantized.scales {
        Scales::Tensor(_) => 1,
        scales => scales.values().len() as u64 / rows.max(1) * wide,
    });
    // A depthwise convolution on the way reads as many channels as it writes.
    let is_depthwise = layer.layout.groups > 1 && widening.of_outputs(index).is_some();
    LayerOverhead {
        name: layer.name.clone(),
        weights,
        bytes: bytes(weights, stored, scales),
        stored: stored.map(|(code_type, _)| code_type),
        activations: if is_depthwise {
            activations.map(with_rows)
        } else {
            activations
        },
        macs: shapes
            .and_then(|shapes| macs(network, layer, shapes))
            .map(grown)
            .map(with_rows),
        copies: None,
        filled: expansion.map_or(0, |expansion| expansion.without_weights() as u64),
    }
}

/// Output channels of the layers on a way, before and after.
fn output_channels(way: &Way) -> (u64, u64) {
    (way.channels as u64, way.index.len() as u64)
}

/// Where the copies of layer `index` come from; `layers` knows what all layers cost.
fn copies(
    network: &Network,
    merging: &Merging<'_>,
    widening: &Widening,
    index: usize,
    layers: &[LayerOverhead],
    shapes: Option<&ValueShapes>,
) -> Option<Copies> {
    let (layer, planned) = (&network.layers[index], merging.plan.layers[index].inputs()?);
    let expansion = Expansion::of(planned);
    if layer.input.is_none() || (planned.splits.is_empty() && !expansion.splits_activations()) {
        return None;
    }
    let Some(way) = widening.way(index) else {
        return Some(Copies::Gather {
            elements: layers[index].activations.map(|(_, after)| after),
            why: (widening.why_gather(index).map(ToString::to_string))
                .or_else(|| merging.why_not(index).map(ToString::to_string)),
        });
    };
    let (_, wide) = output_channels(way);
    let more = |step: usize| {
        let (_, after) = layers[step].macs?;
        Some(after / wide.max(1) * way.added())
    };
    let macs = way.steps.iter().filter_map(|step| step.layer).map(more).sum();
    let sizes = shapes.map(|shapes| sizes_on(network, way, shapes));
    let elements = sizes.and_then(|sizes| {
        let between = way.steps.iter().zip(sizes).filter(|(step, _)| step.layer.is_none());
        between.map(|(_, size)| Some(size? * way.added())).sum()
    });
    Some(Copies::Widen {
        producer: network.layers[way.producer()?].name.clone(),
        macs,
        elements,
    })
}

/// Elements of one channel in the output of each step.
fn sizes_on(network: &Network, way: &Way, shapes: &ValueShapes) -> Vec<Option<u64>> {
    let graph = network.model.graph.as_ref();
    let known = |node: usize| {
        let output = graph?.node.get(node)?.output.first()?;
        elements(shapes.get(output)?).checked_div(way.channels as u64)
    };
    let mut sizes: Vec<Option<u64>> = way.steps.iter().map(|step| known(step.node)).collect();
    for after in 1..sizes.len() {
        if way.steps[after].keeps_size {
            sizes[after] = sizes[after].or(sizes[after - 1]);
        }
    }
    for after in (1..sizes.len()).rev() {
        if way.steps[after].keeps_size {
            sizes[after - 1] = sizes[after - 1].or(sizes[after]);
        }
    }
    sizes
}

fn copy_costs(layers: &[LayerOverhead], shapes_are_known: bool) -> CopyCosts {
    let zero = shapes_are_known.then_some(0);
    let mut costs = CopyCosts {
        gathered_elements: zero,
        widened_macs: zero,
        widened_elements: zero,
        ..CopyCosts::default()
    };
    let add = |sum: &mut Option<u64>, more: Option<u64>| *sum = sum.zip(more).map(|(sum, more)| sum + more);
    costs.filled = layers.iter().map(|layer| layer.filled).sum();
    for copies in layers.iter().filter_map(|layer| layer.copies.as_ref()) {
        match copies {
            Copies::Gather { elements, .. } => {
                costs.gathers += 1;
                add(&mut costs.gathered_elements, *elements);
            }
            Copies::Merge { bits } => {
                costs.merged += 1;
                costs.merged_bits = costs.merged_bits.max(*bits);
            }
            Copies::Widen { macs, elements, .. } => {
                costs.widened += 1;
                add(&mut costs.widened_macs, *macs);
                add(&mut costs.widened_elements, *elements);
            }
        }
    }
    costs
}

/// Bytes of a parameter that is on no grid.
const FLOAT_BYTES: u64 = 4;

/// Bytes of weights before and after; how they are stored, with how many scales, if they are on a grid.
fn bytes((before, after): (u64, u64), stored: Option<(CodeType, &QuantizedLayer)>, scales: u64) -> (u64, u64) {
    let after = match stored {
        Some((code_type, quantized)) => {
            let scales = bytes_of_scales(code_type, quantized.scales.granularity(), scales);
            code_type.bytes_of(after).saturating_add(scales)
        }
        None => after.saturating_mul(FLOAT_BYTES),
    };
    (before.saturating_mul(FLOAT_BYTES), after)
}

/// Sum after over sum before, of those layers whose cost is known; `None` if none is.
fn ratio(costs: impl Iterator<Item = Option<(u64, u64)>>) -> Option<f64> {
    let (before, after) = costs
        .flatten()
        .fold((0, 0), |sum, cost| (sum.0 + cost.0, sum.1 + cost.1));
    (before > 0).then(|| after as f64 / before as f64)
}

/// Hidden units of the recurrent cell that `layer` belongs to, before and after.
fn hidden_units(network: &Network, plan: &Plan, layer: &Layer) -> Option<(u64, u64)> {
    if !layer.kind.is_recurrent() {
        return None;
    }
    let place = network.recurrent_layer_of(layer)?;
    let inputs = plan.layers.get(place)?.inputs()?;
    let units = network.layers[place].layout.channels;
    Some((units as u64, inputs.layout.channels as u64))
}

/// Numbers that wider recurrent cells have more in their biases, peepholes and initial states.
fn cell_constants(network: &Network, plan: &Plan) -> u64 {
    // Of the inputs of LSTM, GRU and RNN: B, initial_h, initial_c, P.
    const SLOTS: [usize; 4] = [3, 5, 6, 7];
    let more = |(layer, planned): (&Layer, &LayerPlan)| {
        let is_wide = layer.kind.is_recurrent() && layer.weight_input == Layer::RECURRENT_WEIGHT;
        let splits = planned.inputs().filter(|_| is_wide)?.splits.len() as u64;
        let inputs = &network.node(layer)?.input;
        let elements = |slot: &usize| {
            let name = inputs.get(*slot).filter(|name| !name.is_empty())?;
            let constant = network.constant(name)?;
            let sizes = constant.dims.iter().map(|size| u64::try_from(*size).unwrap_or(0));
            Some(sizes.fold(1_u64, u64::saturating_mul))
        };
        let each = SLOTS.iter().filter_map(elements).sum::<u64>() / (layer.layout.channels as u64).max(1);
        Some(each.saturating_mul(splits / (layer.layout.groups as u64).max(1)))
    };
    network.layers.iter().zip(&plan.layers).filter_map(more).sum()
}

fn input_elements(layer: &Layer, shapes: &ValueShapes) -> Option<u64> {
    let (input, _) = layer.input.as_ref()?;
    Some(elements(shapes.get(input)?))
}

/// Multiply-accumulates of one sample: each weight is used once for each position of the output.
fn macs(network: &Network, layer: &Layer, shapes: &ValueShapes) -> Option<u64> {
    let positions = match layer.kind {
        LayerKind::Conv => {
            let output = network.node(layer)?.output.first()?;
            elements(shapes.get(output)?) / (layer.layout.out_channels() as u64).max(1)
        }
        // A transposed convolution meets each of its weights once for each position of the input.
        LayerKind::Gemm | LayerKind::MatMul | LayerKind::ConvTranspose => {
            input_elements(layer, shapes)? / (layer.layout.in_channels() as u64).max(1)
        }
        LayerKind::Lstm | LayerKind::Gru | LayerKind::Rnn => {
            let input = shapes.get(network.node(layer)?.input.first()?)?;
            let (_, steps) = input.split_last()?;
            elements(steps)
        }
        LayerKind::Embedding | LayerKind::Tensor | LayerKind::Quantized | LayerKind::Other => return None,
    };
    Some(positions * layer.parameters())
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|size| *size as u64).product()
}
