//! A network with one weight, or one channel's far activations, set to zero: what shows how much hangs on them.

use super::{Layer, Network, NetworkError};
use crate::onnx::GraphEdit;
use crate::onnx::build::{float_tensor, node};

/// End of the names of new constants and values.
const WITHOUT: &str = "without";

impl Network {
    /// This network with element `place` of the weight of layer `index` set to 0. Other layers that read the same tensor keep it.
    ///
    /// # Errors
    /// [`NetworkError`] when there is no such weight in the main graph, or it cannot be read.
    pub fn without_weight(&self, index: usize, place: usize) -> Result<Self, NetworkError> {
        let mut values = self.weights(index)?.to_vec();
        let layer = &self.layers[index];
        let fault = |why: &str| NetworkError::Graph(format!("layer '{}': {why}", layer.name));
        let weight = values.get_mut(place).ok_or_else(|| fault("it has no such weight"))?;
        *weight = 0.0;
        let (position, slot) = reader(layer).ok_or_else(|| fault("its weight is not in the main graph"))?;
        let mut edit = GraphEdit::new(self.model.as_ref().clone());
        edit.replace_constant(position, slot, WITHOUT, &self.tensor(layer)?.dims, &values);
        self.prepared(edit.finish(), self.preparation.as_ref().clone())
    }

    /// This network with every element of |x| >= `limit` of one channel of `value` set to 0, for whatever reads the value.
    ///
    /// # Errors
    /// [`NetworkError`] when no node of the main graph makes the value.
    pub fn without_activations(&self, value: &str, channel: Channel, limit: f32) -> Result<Self, NetworkError> {
        let mut edit = GraphEdit::new(self.model.as_ref().clone());
        let made = edit.maker(value).filter(|_| channel.channel < channel.channels);
        let position = made.ok_or_else(|| NetworkError::Graph(format!("no node makes such a channel of '{value}'")))?;
        let whole = edit.fresh(&format!("{value}.whole"));
        if let Some(node) = edit.node_mut(position) {
            let outputs = node.output.iter_mut().filter(|output| *output == value);
            outputs.for_each(|output| output.clone_from(&whole));
        }
        let mut limits = vec![f32::MAX; channel.channels];
        limits[channel.channel] = limit;
        let mut shape = vec![1; channel.behind + 1];
        shape[0] = channel.channels;
        let limits = edit.add_initializer(&format!("{value}.limits"), float_tensor("", &shape, &limits));
        let zero = edit.add_initializer(&format!("{value}.zero"), float_tensor("", &[], &[0.0]));
        let size = edit.fresh(&format!("{value}.size"));
        let small = edit.fresh(&format!("{value}.small"));
        let kept = edit.fresh(&format!("{value}.{WITHOUT}"));
        edit.append(position, node("Abs", &size, [&whole], [&size], vec![]));
        edit.append(position, node("Less", &small, [&size, &limits], [&small], vec![]));
        let inputs = [small.as_str(), whole.as_str(), zero.as_str()];
        edit.append(position, node("Where", kept, inputs, [value], vec![]));
        self.prepared(edit.finish(), self.preparation.as_ref().clone())
    }
}

/// A channel of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// Which one.
    pub channel: usize,
    /// How many there are.
    pub channels: usize,
    /// Axes behind theirs.
    pub behind: usize,
}

/// The node and its input that read the weight's tensor: the first on the way to the layer, or the layer itself.
fn reader(layer: &Layer) -> Option<(usize, usize)> {
    let path = layer.node.as_ref()?;
    if !layer.source.subgraphs.is_empty() || !path.subgraphs.is_empty() {
        return None;
    }
    match layer.source.chain.first() {
        Some(position) => Some((*position, 0)),
        None => Some((path.node, layer.weight_input)),
    }
}
