//! Offline rotation (QuaRot, Ashkboos et al. 2024, arXiv 2404.00456, section 4; SliceGPT, Ashkboos et al. 2024, arXiv 2401.15024,
//! section 3): the residual stream of a transformer with its norms before its layers is multiplied by an orthogonal matrix Q,
//! which goes into the weights. What is added to the stream (embeddings, outputs of layers, biases) is multiplied by Q, the
//! matrices that read it by Q'. A norm's gain goes into the matrices behind it first; then the norm divides each row by its
//! length, which a rotation leaves. The network computes the same, and an outlier of one channel is shared out over all.
//!
//! A LayerNormalization takes the mean off besides: Q is then chosen with `1 Q = 1`, so that the mean stays too, and the norm's
//! bias b is added to the outputs of the matrices behind it, `b W`.

mod matrix;
mod stream;

use super::smooth::{vector, weight_reader};
use super::{Layer, Network, NetworkError, OutAxis};
use crate::onnx::build::{float_tensor, node};
use crate::onnx::{Graph, GraphEdit, numbers};
use matrix::Orthogonal;
use rayon::prelude::*;
use std::collections::BTreeMap;
use stream::{Search, Slot, Stream, float_constant, search};

/// End of the names of new constants.
const ROTATED: &str = "rotated";

/// Of the random signs: the same network is rotated the same way every time.
const SEED: u64 = 0x51a7;

/// A rotated network.
#[derive(Clone)]
pub struct Rotation {
    /// Computes what the original computed. Names of layers and values stay.
    pub network: Network,
    /// The streams that were rotated.
    pub streams: Vec<RotatedStream>,
    /// Streams that could not be rotated: a value of each, and the reason.
    pub skipped: Vec<(String, String)>,
}

/// A residual stream that was rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedStream {
    /// Its channels.
    pub width: usize,
    /// Layers that read it, by name.
    pub readers: Vec<String>,
    /// Layers that write to it, by name.
    pub writers: Vec<String>,
    /// Norms whose gains went into layers.
    pub norms: usize,
}

/// Rotates every residual stream of the main graph.
///
/// # Errors
/// [`NetworkError::Graph`] with the reason when there is none that can be rotated; [`NetworkError`] when a constant cannot be read.
///
/// # Example
///
/// ```
/// use splitscope::format::demo::Demo;
/// use splitscope::network::rotate;
///
/// let refused = rotate(&Demo::Fashion.network()?).err().map(|error| error.to_string());
/// assert!(refused.is_some_and(|reason| reason.contains("no residual stream")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rotate(network: &Network) -> Result<Rotation, NetworkError> {
    let (mut streams, mut skipped) = (Vec::new(), Vec::new());
    let proto = network.model.graph.as_ref();
    let graph = proto.map(Graph::main);
    for (value, search) in graph.iter().flat_map(|graph| search(network, graph)) {
        match search {
            Search::Found(stream) => streams.push(stream),
            Search::Refused(obstacle) => skipped.push((value.to_owned(), obstacle.to_string())),
            Search::NoStream => {}
        }
    }
    let Some(graph) = graph.filter(|_| !streams.is_empty()) else {
        let reason = match skipped.first() {
            Some((_, reason)) => format!("the residual stream cannot be rotated: {reason}"),
            None => "there is no residual stream to rotate: a sum that LayerNormalization or RMSNorm reads, as in transformers"
                .to_owned(),
        };
        return Err(NetworkError::Graph(format!("{reason} (rotate = false leaves it out)")));
    };
    let mut changes = Changes {
        network,
        graph: &graph,
        weights: BTreeMap::new(),
        constants: BTreeMap::new(),
        new_biases: BTreeMap::new(),
    };
    let turns: Vec<(&Stream, Orthogonal)> = streams
        .iter()
        .map(|stream| (stream, Orthogonal::new(stream.width, SEED, stream.keeps_mean)))
        .collect();
    // Biases of norms are added to those of layers before anything of a stream is rotated.
    for (stream, matrix) in &turns {
        changes.fold_norms(stream, matrix)?;
    }
    for (stream, matrix) in &turns {
        changes.turn_written(stream, matrix)?;
    }
    let mut edit = GraphEdit::new(network.model.as_ref().clone());
    changes.write(&mut edit)?;
    let names =
        |layers: &mut dyn Iterator<Item = usize>| layers.map(|index| network.layers[index].name.clone()).collect();
    let told = streams.iter().map(|stream| RotatedStream {
        width: stream.width,
        readers: names(&mut stream.readers.iter().map(|(index, _)| *index)),
        writers: names(&mut stream.writers.iter().copied()),
        norms: stream.norms.len(),
    });
    Ok(Rotation {
        network: network.prepared(edit.finish(), network.preparation.as_ref().clone())?,
        streams: told.collect(),
        skipped,
    })
}

/// New numbers, each written once.
struct Changes<'a> {
    network: &'a Network,
    graph: &'a Graph<'a>,
    /// Weights by layer.
    weights: BTreeMap<usize, Vec<f32>>,
    /// Shapes and numbers of constants, by the input that reads them.
    constants: BTreeMap<Slot, (Vec<i64>, Vec<f32>)>,
    /// Biases of layers that have none.
    new_biases: BTreeMap<usize, Vec<f32>>,
}

impl Changes<'_> {
    fn weight(&mut self, index: usize) -> Result<&mut Vec<f32>, NetworkError> {
        use std::collections::btree_map::Entry;
        Ok(match self.weights.entry(index) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.network.weights(index)?.to_vec()),
        })
    }

    /// The numbers that input `slot` reads by now, if it is a constant.
    fn constant(&mut self, (position, slot): Slot) -> Result<&mut (Vec<i64>, Vec<f32>), NetworkError> {
        use std::collections::btree_map::Entry;
        Ok(match self.constants.entry((position, slot)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let name = self.graph.node(position).and_then(|node| node.input.get(slot));
                let tensor = name.and_then(|name| float_constant(self.graph, name));
                let tensor = tensor.ok_or_else(|| NetworkError::Graph("a constant to rotate is gone".to_owned()))?;
                place.insert((tensor.dims.clone(), numbers(tensor)?.to_vec()))
            }
        })
    }

    fn vector(&self, (position, slot): Slot) -> Vec<f32> {
        let name = self.graph.node(position).and_then(|node| node.input.get(slot));
        name.and_then(|name| vector(self.graph, name, 0)).unwrap_or_default()
    }

    /// Gains and biases of norms go into the layers behind them, whose rows are rotated.
    fn fold_norms(&mut self, stream: &Stream, matrix: &Orthogonal) -> Result<(), NetworkError> {
        for (index, norm) in &stream.readers {
            let layer = &self.network.layers[*index];
            let norm = norm.and_then(|norm| stream.norms.get(norm).copied());
            if let Some(bias) = norm.and_then(|norm| norm.bias) {
                let bias = self.vector(bias);
                let moved = outputs_of(&bias, layer, self.weight(*index)?);
                self.add_to_bias(*index, &moved)?;
            }
            // Gain and rotation in one go: the weights are rounded to 32 bits once.
            let gain = norm.map(|norm| self.vector(norm.gain));
            turn_axis(self.weight(*index)?, layer.layout.inner, matrix, gain.as_deref());
        }
        let width = i64::try_from(stream.width).unwrap_or(i64::MAX);
        for norm in &stream.norms {
            self.constants.insert(norm.gain, (vec![width], vec![1.0; stream.width]));
            if let Some(bias) = norm.bias {
                self.constants.insert(bias, (vec![width], vec![0.0; stream.width]));
            }
        }
        Ok(())
    }

    /// What is added to the stream is rotated.
    fn turn_written(&mut self, stream: &Stream, matrix: &Orthogonal) -> Result<(), NetworkError> {
        for index in &stream.writers {
            let layout = self.network.layers[*index].layout;
            let run = match layout.out_axis {
                OutAxis::Outer => layout.channels * layout.inner,
                OutAxis::Inner => 1,
            };
            turn_axis(self.weight(*index)?, run, matrix, None);
            if let Some(bias) = self.new_biases.get_mut(index) {
                turn_axis(bias, 1, matrix, None);
            }
        }
        for slot in &stream.rows {
            turn_axis(&mut self.constant(*slot)?.1, 1, matrix, None);
        }
        Ok(())
    }

    /// Adds a number to each output of a layer: in the bias that it has, or is added to all that it gives.
    fn add_to_bias(&mut self, index: usize, more: &[f64]) -> Result<(), NetworkError> {
        if let Some(slot) = self.bias_slot(&self.network.layers[index], more.len()) {
            let (_, bias) = self.constant(slot)?;
            for (bias, more) in bias.iter_mut().zip(more) {
                *bias = (f64::from(*bias) + more) as f32;
            }
        } else {
            self.new_biases
                .insert(index, more.iter().map(|more| *more as f32).collect());
        }
        Ok(())
    }

    fn bias_slot(&self, layer: &Layer, outputs: usize) -> Option<Slot> {
        let position = layer.node.as_ref()?.node;
        let node = self.graph.node(position)?;
        let is_bias = |position: usize, slot: usize| {
            let name = self.graph.node(position).and_then(|node| node.input.get(slot));
            let tensor = name.and_then(|name| float_constant(self.graph, name));
            tensor.is_some_and(|tensor| tensor.dims == [i64::try_from(outputs).unwrap_or(i64::MAX)])
        };
        if is_bias(position, 2) {
            return Some((position, 2));
        }
        let output = node.output.first()?;
        let [next] = *self.graph.readers(output) else {
            return None;
        };
        let adds = self.graph.node(next)?.op_type() == "Add" && self.graph.read_count(output) == 1;
        [0, 1]
            .into_iter()
            .find(|slot| adds && is_bias(next, *slot))
            .map(|slot| (next, slot))
    }

    fn write(self, edit: &mut GraphEdit) -> Result<(), NetworkError> {
        for (index, values) in self.weights {
            let layer = &self.network.layers[index];
            if let Some((position, slot)) = weight_reader(layer) {
                edit.replace_constant(position, slot, ROTATED, &self.network.tensor(layer)?.dims, &values);
            }
        }
        for ((position, slot), (dims, values)) in self.constants {
            edit.replace_constant(position, slot, ROTATED, &dims, &values);
        }
        for (index, bias) in self.new_biases {
            let path = self.network.layers[index].node.as_ref();
            let Some(position) = path.map(|path| path.node) else {
                continue;
            };
            let Some(output) = edit.node(position).and_then(|node| node.output.first().cloned()) else {
                continue;
            };
            let product = edit.fresh(&format!("{output}.product"));
            let bias = edit.add_initializer(&format!("{output}.bias"), float_tensor("", &[bias.len()], &bias));
            let name = edit.fresh(&format!("{output}.plus_bias"));
            if let Some(node) = edit.node_mut(position) {
                node.output = vec![product.clone()];
            }
            edit.append(position, node("Add", name, [product, bias], [output], vec![]));
        }
        Ok(())
    }
}

/// `b W` of a layer's weights.
fn outputs_of(inputs: &[f32], layer: &Layer, weights: &[f32]) -> Vec<f64> {
    let layout = &layer.layout;
    let mut outputs = vec![0.0; layout.out_channels()];
    for (place, weight) in weights.iter().enumerate() {
        let channel = place / layout.inner % layout.channels;
        outputs[super::equalize::out_channel(layout, place)] += f64::from(inputs[channel]) * f64::from(*weight);
    }
    outputs
}

/// Multiplies every row along an axis by the `gain` of its channels, if there is one, and by the matrix; the axis has the matrix's
/// width, and `run` elements lie behind each of its own.
fn turn_axis(values: &mut [f32], run: usize, matrix: &Orthogonal, gain: Option<&[f32]>) {
    let width = matrix.width();
    if run == 1 {
        values.par_chunks_exact_mut(width).for_each_init(
            || vec![0.0; width],
            |row, values| {
                for (x, value) in row.iter_mut().zip(values.iter()) {
                    *x = f64::from(*value);
                }
                for (x, gain) in row.iter_mut().zip(gain.unwrap_or_default()) {
                    *x *= f64::from(*gain);
                }
                matrix.turn(row);
                for (x, value) in row.iter().zip(values) {
                    *value = *x as f32;
                }
            },
        );
        return;
    }
    for part in values.chunks_exact_mut(width * run) {
        let mut rows = vec![0.0_f32; part.len()];
        for (place, value) in part.iter().enumerate() {
            rows[place % run * width + place / run] = *value;
        }
        turn_axis(&mut rows, 1, matrix, gain);
        for (place, value) in part.iter_mut().enumerate() {
            *value = rows[place % run * width + place / run];
        }
    }
}

#[cfg(test)]
mod tests;
