//! SmoothQuant (Xiao et al. 2023, arXiv 2211.10438, section 4): a part of an input's outlier is moved into the weights. Channel
//! j of what several layers read is divided by `s_j = max|x_j|^a / max|w_j|^(1-a)`, and column j of each of them multiplied by
//! it. The division goes into what makes the value: gain and bias of a norm, or the layer before, where the way to it keeps
//! scales. The network computes the same; its inputs are easier to round.

mod maker;

use super::{Layer, Network, NetworkError, TensorPlace};
use crate::onnx::{Graph, GraphEdit};
use maker::Maker;
pub(super) use maker::vector;
use std::collections::BTreeMap;

/// End of the names of new constants.
const SMOOTHED: &str = "smoothed";

/// A smoothed network.
#[derive(Clone)]
pub struct Smoothing {
    /// Computes what the original computed. Names of layers and values stay.
    pub network: Network,
    /// What makes each value that was smoothed (a norm's node, or a layer), with the layers that read it.
    pub groups: Vec<(String, Vec<String>)>,
    /// Layers whose inputs could not be smoothed: name and reason.
    pub skipped: Vec<(String, String)>,
}

/// Smooths every value that only layers read and that a norm gives (LayerNormalization, or the product with a constant gain that
/// ends an RMSNorm), or a layer before: through ReLU and the like, a bias, or the product with a gate. `largest` tells the largest
/// |x| of each channel of a value, where it is known; `strength` is the paper's a, 0 to 1: 0 leaves all to the inputs, 1 all to
/// the weights.
///
/// # Errors
/// [`NetworkError`] when a weight or a gain cannot be read.
///
/// # Example
///
/// ```
/// use splitscope::format::demo::Demo;
/// use splitscope::network::smooth;
///
/// // Pictures have their channels on another axis than what norms give.
/// let smoothed = smooth(&Demo::Fashion.network()?, |_| None, 0.5)?;
/// assert!(smoothed.groups.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn smooth(
    network: &Network,
    largest: impl Fn(&str) -> Option<Vec<f32>>,
    strength: f64,
) -> Result<Smoothing, NetworkError> {
    let scales = |group: &Columns<'_>| -> Result<Option<Vec<f64>>, NetworkError> {
        let Some(seen) = largest(group.value).filter(|seen| seen.len() == group.channels) else {
            return Ok(None);
        };
        let columns = group.largest_weights();
        let pairs = seen.iter().zip(&columns);
        Ok(Some(pairs.map(|(x, w)| scale(*x, *w, strength)).collect()))
    };
    scale_inputs(network, scales)
}

/// The columns of the layers that read one value, as they are by now.
pub struct Columns<'a> {
    /// The value.
    pub value: &'a str,
    /// Its channels.
    pub channels: usize,
    /// The layers, with their weights as they are by now.
    pub layers: Vec<(&'a Layer, &'a [f32])>,
}

impl Columns<'_> {
    /// The largest |w| of each column over all layers.
    pub fn largest_weights(&self) -> Vec<f32> {
        let mut columns = vec![0.0_f32; self.channels];
        for (layer, values) in &self.layers {
            for (place, weight) in values.iter().enumerate() {
                let column = &mut columns[place / layer.layout.inner % self.channels];
                *column = column.max(weight.abs());
            }
        }
        columns
    }
}

/// Divides the channels of every value that only layers read by the numbers that `scales` gives for it, and multiplies the columns
/// of those layers by them; `None` leaves the value as it is, for want of knowledge of its channels.
///
/// # Errors
/// [`NetworkError`] when a weight or a gain cannot be read.
pub fn scale_inputs(
    network: &Network,
    scales: impl Fn(&Columns<'_>) -> Result<Option<Vec<f64>>, NetworkError>,
) -> Result<Smoothing, NetworkError> {
    let mut smoothing = Smoothing {
        network: network.clone(),
        groups: Vec::new(),
        skipped: Vec::new(),
    };
    let Some(proto) = &network.model.graph else {
        return Ok(smoothing);
    };
    let graph = Graph::main(proto);
    let mut changes = Changes {
        network,
        graph: &graph,
        weights: BTreeMap::new(),
        constants: BTreeMap::new(),
    };
    for (value, layers) in by_input(network) {
        let skip = |reason: &str| {
            let names = layers.iter().map(|index| network.layers[*index].name.clone());
            names.map(|name| (name, reason.to_owned())).collect::<Vec<_>>()
        };
        let group = match Group::of(network, &graph, value, &layers) {
            Ok(group) => group,
            Err(reason) => {
                smoothing.skipped.extend(skip(reason));
                continue;
            }
        };
        for index in &group.layers {
            changes.weight(*index)?;
        }
        let columns = Columns {
            value,
            channels: group.channels,
            layers: (group.layers.iter())
                .filter_map(|index| Some((&network.layers[*index], changes.weights.get(index)?.as_slice())))
                .collect(),
        };
        let Some(scales) = scales(&columns)? else {
            smoothing
                .skipped
                .extend(skip("nothing is known of its input's channels"));
            continue;
        };
        changes.scale(&group, &scales)?;
        let names = layers.iter().map(|index| network.layers[*index].name.clone());
        let maker = group.maker.name(network, &graph);
        smoothing.groups.push((maker, names.collect()));
    }
    let mut edit = GraphEdit::new(network.model.as_ref().clone());
    changes.write(&mut edit)?;
    smoothing.network = network.prepared(edit.finish(), network.preparation.as_ref().clone())?;
    Ok(smoothing)
}

/// New numbers of constants, each written once however many groups change it.
struct Changes<'a> {
    network: &'a Network,
    graph: &'a Graph<'a>,
    /// Weights by layer.
    weights: BTreeMap<usize, Vec<f32>>,
    /// Vectors by the node and its input that reads them.
    constants: BTreeMap<(usize, usize), Vec<f32>>,
}

impl Changes<'_> {
    fn weight(&mut self, index: usize) -> Result<&mut Vec<f32>, NetworkError> {
        use std::collections::btree_map::Entry;
        Ok(match self.weights.entry(index) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.network.weights(index)?.to_vec()),
        })
    }

    fn scale(&mut self, group: &Group, scales: &[f64]) -> Result<(), NetworkError> {
        for index in &group.layers {
            let inner = self.network.layers[*index].layout.inner;
            for (place, weight) in self.weight(*index)?.iter_mut().enumerate() {
                *weight = (f64::from(*weight) * scales[place / inner % group.channels]) as f32;
            }
        }
        if let Some(index) = group.maker.layer {
            let layout = self.network.layers[index].layout;
            for (place, weight) in self.weight(index)?.iter_mut().enumerate() {
                *weight = (f64::from(*weight) / scales[super::equalize::out_channel(&layout, place)]) as f32;
            }
        }
        for (position, slot) in &group.maker.vectors {
            let known = self.constants.remove(&(*position, *slot));
            let input = self.graph.node(*position).and_then(|node| node.input.get(*slot));
            let now = known.or_else(|| maker::vector(self.graph, input?, 0));
            let divided = now.into_iter().flatten().zip(scales);
            let divided = divided
                .map(|(number, scale)| (f64::from(number) / scale) as f32)
                .collect();
            self.constants.insert((*position, *slot), divided);
        }
        Ok(())
    }

    fn write(self, edit: &mut GraphEdit) -> Result<(), NetworkError> {
        for (index, values) in self.weights {
            let layer = &self.network.layers[index];
            if let Some((position, slot)) = weight_reader(layer) {
                edit.replace_constant(position, slot, SMOOTHED, &self.network.tensor(layer)?.dims, &values);
            }
        }
        for ((position, slot), values) in self.constants {
            let dims = [i64::try_from(values.len()).unwrap_or(i64::MAX)];
            edit.replace_constant(position, slot, SMOOTHED, &dims, &values);
        }
        Ok(())
    }
}

/// The layers of the main graph by the value that they read along its last axis, in the order of the values' first readers.
fn by_input(network: &Network) -> Vec<(&str, Vec<usize>)> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let in_main = layer.node.as_ref().is_some_and(|path| path.subgraphs.is_empty());
        let Some((value, -1)) = layer.input.as_ref().map(|(value, axis)| (value.as_str(), *axis)) else {
            continue;
        };
        if in_main {
            let place = *places.entry(value).or_insert(found.len());
            if place == found.len() {
                found.push((value, Vec::new()));
            }
            found[place].1.push(index);
        }
    }
    found
}

/// What makes a value, and the layers that read it.
struct Group {
    maker: Maker,
    channels: usize,
    layers: Vec<usize>,
}

impl Group {
    /// The group around `value`, or why there is none.
    fn of(network: &Network, graph: &Graph<'_>, value: &str, layers: &[usize]) -> Result<Self, &'static str> {
        let channels = network.layers[layers[0]].layout.in_channels();
        if graph.read_count(value) != layers.len() {
            return Err("its input is read by more than layers");
        }
        let maker = Maker::of(network, graph, value, channels)?;
        for layer in layers.iter().map(|index| &network.layers[*index]) {
            if layer.layout.in_channels() != channels {
                return Err("layers that read the same input differ in its channels");
            }
            if layer.layout.groups != 1 {
                return Err("a layer that reads the same input cannot be changed");
            }
            why_not_own(graph, layer)?;
        }
        Ok(Self {
            maker,
            channels,
            layers: layers.to_vec(),
        })
    }
}

/// Whether the weight of `layer` is a constant that it alone reads.
fn why_not_own(graph: &Graph<'_>, layer: &Layer) -> Result<(), &'static str> {
    let own = weight_reader(layer).and_then(|(position, slot)| graph.node(position)?.input.get(slot));
    if !layer.support.can_quantize() || own.is_none() {
        return Err("a layer that reads the same input cannot be changed");
    }
    if own.is_none_or(|weight| graph.read_count(weight) != 1) {
        return Err("its weight is read by others too");
    }
    Ok(())
}

/// `max|x|^a / max|w|^(1-a)`; a channel that is 0 on one side stays as it is.
fn scale(x: f32, w: f32, strength: f64) -> f64 {
    let scale = f64::from(x).powf(strength) / f64::from(w).powf(1.0 - strength);
    // Such that neither side leaves the range of f32.
    if scale.is_normal() && x > 0.0 && w > 0.0 {
        scale.clamp(1e-5, 1e5)
    } else {
        1.0
    }
}

/// The node and its input that read the weight's tensor: the first on the way to the layer, or the layer itself.
pub(super) fn weight_reader(layer: &Layer) -> Option<(usize, usize)> {
    if !layer.source.subgraphs.is_empty() || !matches!(layer.source.tensor, TensorPlace::Initializer(_)) {
        return None;
    }
    match layer.source.chain.first() {
        Some(position) => Some((*position, 0)),
        None => Some((layer.node.as_ref()?.node, layer.weight_input)),
    }
}

#[cfg(test)]
mod tests;
