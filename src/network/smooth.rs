//! SmoothQuant (Xiao et al. 2023, arXiv 2211.10438, section 4): a part of an input's outlier is moved into the weights. Channel
//! j of what a norm gives is divided by `s_j = max|x_j|^a / max|w_j|^(1-a)`, which goes into the norm's gain and bias, and column
//! j of every layer that reads it is multiplied by `s_j`. The network computes the same; its inputs are easier to round.

use super::{Layer, Network, NetworkError, TensorPlace};
use crate::onnx::build::is_standard_domain;
use crate::onnx::{Graph, GraphEdit, NodeProto, numbers};
use std::collections::BTreeMap;

/// End of the names of new constants.
const SMOOTHED: &str = "smoothed";
/// Nodes between a norm's gain and its tensor that are followed.
const DEEPEST: usize = 4;

/// A smoothed network.
#[derive(Clone)]
pub struct Smoothing {
    /// Computes what the original computed. Names of layers and values stay.
    pub network: Network,
    /// The nodes whose outputs were smoothed, each with the layers that read it.
    pub groups: Vec<(String, Vec<String>)>,
    /// Layers whose inputs could not be smoothed: name and reason.
    pub skipped: Vec<(String, String)>,
}

/// Smooths every value that a norm gives and only layers read: LayerNormalization, or the product with a constant gain that ends
/// an RMSNorm. `largest` tells the largest |x| of each channel of a value, where it is known; `strength` is the paper's a, 0 to 1:
/// 0 leaves all to the inputs, 1 all to the weights.
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
/// // A network of convolutions has no such norm.
/// let smoothed = smooth(&Demo::Fashion.network()?, |_| None, 0.5)?;
/// assert!(smoothed.groups.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn smooth(
    network: &Network,
    largest: impl Fn(&str) -> Option<Vec<f32>>,
    strength: f64,
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
    let mut edit = GraphEdit::new(network.model.as_ref().clone());
    for (value, layers) in by_input(network) {
        let group = Group::of(network, &graph, value, &layers).and_then(|group| {
            let seen = largest(value).filter(|seen| seen.len() == group.channels);
            Ok((group, seen.ok_or("nothing is known of its input's channels")?))
        });
        match group {
            Ok((group, seen)) => {
                group.smooth(network, &graph, &mut edit, &seen, strength)?;
                let names = layers.iter().map(|index| network.layers[*index].name.clone());
                smoothing.groups.push((group.norm.name().to_owned(), names.collect()));
            }
            Err(reason) => {
                let skipped = layers
                    .iter()
                    .map(|index| (network.layers[*index].name.clone(), reason.to_owned()));
                smoothing.skipped.extend(skipped);
            }
        }
    }
    let mut preparation = network.preparation.as_ref().clone();
    preparation.steps.push(format!(
        "smoothed the inputs of {} groups of layers",
        smoothing.groups.len()
    ));
    smoothing.network = network.prepared(edit.finish(), preparation)?;
    Ok(smoothing)
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

/// A norm and the layers that read what it gives.
struct Group<'a> {
    norm: &'a NodeProto,
    /// Position of the norm's node.
    position: usize,
    /// Its inputs that are divided.
    slots: Vec<usize>,
    channels: usize,
    layers: Vec<usize>,
}

impl<'a> Group<'a> {
    /// The group around `value`, or why there is none.
    fn of(network: &Network, graph: &Graph<'a>, value: &str, layers: &[usize]) -> Result<Self, &'static str> {
        let no_norm = "its input comes from no norm with a gain of its own";
        let position = graph.maker(value).ok_or(no_norm)?;
        let norm = graph
            .node(position)
            .filter(|node| is_standard_domain(node.domain()))
            .ok_or(no_norm)?;
        let is_constant = |slot: usize| {
            norm.input
                .get(slot)
                .is_some_and(|input| vector(graph, input, 0).is_some())
        };
        let slots = match norm.op_type() {
            "LayerNormalization" if is_constant(1) => (1..norm.input.len().min(3)).collect(),
            "Mul" if is_constant(1) && !is_constant(0) => vec![1],
            "Mul" if is_constant(0) && !is_constant(1) => vec![0],
            _ => return Err(no_norm),
        };
        let slots: Vec<usize> = slots;
        let channels = network.layers[layers[0]].layout.in_channels();
        let lengths = slots
            .iter()
            .map(|slot| vector(graph, &norm.input[*slot], 0).map(|gain| gain.len()));
        if !lengths.into_iter().all(|length| length == Some(channels)) {
            return Err(no_norm);
        }
        if graph.read_count(value) != layers.len() {
            return Err("its input is read by more than layers");
        }
        for layer in layers.iter().map(|index| &network.layers[*index]) {
            let own = weight_reader(layer).and_then(|(position, slot)| graph.node(position)?.input.get(slot));
            if !layer.support.can_quantize() || layer.layout.groups != 1 || own.is_none() {
                return Err("a layer that reads the same input cannot be changed");
            }
            if own.is_none_or(|weight| graph.read_count(weight) != 1) {
                return Err("its weight is read by others too");
            }
        }
        Ok(Self {
            norm,
            position,
            slots,
            channels,
            layers: layers.to_vec(),
        })
    }

    fn smooth(
        &self,
        network: &Network,
        graph: &Graph<'_>,
        edit: &mut GraphEdit,
        seen: &[f32],
        strength: f64,
    ) -> Result<(), NetworkError> {
        let mut columns = vec![0.0_f32; self.channels];
        let mut weights = Vec::new();
        for index in &self.layers {
            let (layer, values) = (&network.layers[*index], network.weights(*index)?);
            for (place, weight) in values.iter().enumerate() {
                let column = &mut columns[place / layer.layout.inner % self.channels];
                *column = column.max(weight.abs());
            }
            weights.push((layer, values));
        }
        let scales: Vec<f64> = seen
            .iter()
            .zip(&columns)
            .map(|(x, w)| scale(*x, *w, strength))
            .collect();
        for (layer, values) in weights {
            let scaled = values.iter().enumerate();
            let scaled = scaled.map(|(place, weight)| {
                (f64::from(*weight) * scales[place / layer.layout.inner % self.channels]) as f32
            });
            let scaled: Vec<f32> = scaled.collect();
            if let Some((position, slot)) = weight_reader(layer) {
                edit.replace_constant(position, slot, SMOOTHED, &network.tensor(layer)?.dims, &scaled);
            }
        }
        for slot in &self.slots {
            let gain = vector(graph, &self.norm.input[*slot], 0).unwrap_or_default();
            let divided = gain
                .iter()
                .zip(&scales)
                .map(|(gain, scale)| (f64::from(*gain) / scale) as f32);
            let divided: Vec<f32> = divided.collect();
            let dims = [i64::try_from(divided.len()).unwrap_or(i64::MAX)];
            edit.replace_constant(self.position, *slot, SMOOTHED, &dims, &divided);
        }
        Ok(())
    }
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
fn weight_reader(layer: &Layer) -> Option<(usize, usize)> {
    if !layer.source.subgraphs.is_empty() || !matches!(layer.source.tensor, TensorPlace::Initializer(_)) {
        return None;
    }
    match layer.source.chain.first() {
        Some(position) => Some((*position, 0)),
        None => Some((layer.node.as_ref()?.node, layer.weight_input)),
    }
}

/// The numbers of a constant vector: a tensor, behind casts, or plus a number (Gemma's gains).
fn vector(graph: &Graph<'_>, value: &str, depth: usize) -> Option<Vec<f32>> {
    if let Some(tensor) = graph.constant(value) {
        return Some(numbers(tensor).ok()?.to_vec()).filter(|values| tensor.dims.len() <= 1 && !values.is_empty());
    }
    let node = graph.maker_node(value).filter(|_| depth < DEEPEST)?;
    let input = |slot: usize| vector(graph, node.input.get(slot)?, depth + 1);
    match node.op_type() {
        "Cast" | "Identity" => input(0),
        "Add" => {
            let (mut a, mut b) = (input(0)?, input(1)?);
            if a.len() < b.len() {
                std::mem::swap(&mut a, &mut b);
            }
            let [offset] = b[..] else { return None };
            Some(a.into_iter().map(|x| x + offset).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::scale;

    #[test]
    fn the_scale_shares_an_outlier_out_and_leaves_dead_channels() {
        assert!((scale(16.0, 4.0, 0.5) - 2.0).abs() < 1e-12);
        assert!((scale(16.0, 4.0, 1.0) - 16.0).abs() < 1e-12);
        assert!((scale(16.0, 4.0, 0.0) - 0.25).abs() < 1e-12);
        assert_eq!((scale(0.0, 4.0, 0.5), scale(3.0, 0.0, 0.5)), (1.0, 1.0));
        assert_eq!(scale(f32::NAN, 1.0, 0.5), 1.0);
    }
}
