//! A model once opened: its graph, and the layers in it whose weights can be looked at, split and quantized.
//!
//! # Example
//!
//! ```
//! use splitscope::format::demo::Demo;
//!
//! let network = Demo::Fashion.network()?;
//! let first = &network.layers[0];
//! assert_eq!((first.name.as_str(), first.op.as_str()), ("conv1", "Conv"));
//! assert_eq!(network.weights(0)?.len(), first.shape.iter().product::<usize>());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
mod check;
mod constants;
mod dequantize;
mod discover;
mod equalize;
mod fold;
mod graphs;
mod grids;
mod integer_grid;
mod layer;
mod moment_gradient;
mod names;
mod past;
mod preparation;
mod preprocess_hint;
mod repeated;
mod rotate;
mod shapes;
mod smooth;
mod stored;
mod unpacked;
mod without;

#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;

pub use blocks::{Block, Blocks, common_end};
pub use equalize::{Equalization, equalize};
pub use fold::fold_batch_norm;
pub(crate) use grids::{PackedGrid, on_grids};
pub use integer_grid::{IntegerGrid, Scale};
pub use layer::{
    AxisError, Layer, LayerKind, Layout, NodePath, OutAxis, Support, TensorPlace, Unsupported, WeightSource,
};
pub use moment_gradient::{MomentGradient, moment_gradient};
pub use past::{DecoderWithPast, NoPast, reads_on, with_past};
pub(crate) use past::{LOOKED_AT, POSITIONS};
pub use preparation::Preparation;
pub use preprocess_hint::{Interpolation, PreprocessHint, USUAL_FOR};
pub use repeated::RepeatedChannels;
pub(crate) use repeated::index_name;
pub use rotate::{RotatedStream, Rotation, rotate};
pub use shapes::{Shapes, shapes};
pub use smooth::{Columns, Smoothing, scale_inputs, smooth};
pub use stored::{StoredWeight, StoredWeights, WEIGHTS_KEY};
pub use unpacked::CodesError;
pub use without::Channel;

use crate::files;
use crate::onnx;
use crate::onnx::{
    Elements, FloatData, FloatSource as _, ModelProto, NodeProto, OnnxError, TensorProto, constant_tensor,
    element_count, is_float, numbers, remove_unread_initializers,
};
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a network came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An ONNX graph.
    Onnx,
    /// A bag of named tensors.
    Safetensors,
    /// A bag of named tensors in blocks, with what is said of their network.
    Gguf,
    /// A bag of named tensors, as PyTorch saves a state dict.
    PyTorch,
    /// A bag of named tensors, as NumPy saves arrays (`.npz`).
    Numpy,
}

impl Format {
    /// Whether files of this kind hold weights alone: their graph is made from names and shapes.
    pub fn is_weights(self) -> bool {
        !matches!(self, Self::Onnx)
    }
}

/// A network: the ONNX model (the one representation), and the layers found in it.
///
/// A weights-only file is a model with initializers and no nodes.
#[derive(Clone)]
pub struct Network {
    /// What to call it: the file's name, or `demo:fashion`.
    pub name: String,
    /// The file, if it is one.
    pub path: Option<PathBuf>,
    /// Where it came from.
    pub format: Format,
    /// The graph with its constants.
    pub model: Arc<ModelProto>,
    /// Layers with weights, in graph order (subgraphs where their node stands).
    pub layers: Vec<Layer>,
    /// Why the network cannot be run, for a file without a graph.
    pub why_not_runnable: Option<String>,
    /// The architecture that a weights-only file was recognised as: its graph is made from this and the names.
    pub architecture: Option<String>,
    /// What names and shapes of a weights-only file leave open, and what was taken for it: sentences for a person.
    pub notes: Vec<String>,
    /// How its pictures are to be made ready, where something tells.
    pub preprocess: Option<Arc<PreprocessHint>>,
    /// What was done to it before quantization, and what is known from then.
    pub preparation: Arc<Preparation>,
    /// How a weights-only file stores the weights that an export put on a grid.
    pub stored: Arc<StoredWeights>,
    /// Where things are by their names; the names of a network stay as they are.
    places: Arc<names::Places>,
}

/// A fault of a network, with its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A fault of the file.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The weights of a layer are stored as integers that cannot be read.
    #[error("layer '{layer}': {error}")]
    Codes {
        /// The layer.
        layer: String,
        /// What is wrong with them.
        error: CodesError,
    },
    /// The model has no graph or the graph does not hold together.
    #[error("{0}")]
    Graph(String),
}

impl Network {
    /// Finds the layers of `model`.
    ///
    /// # Errors
    /// [`NetworkError::Graph`] when there is no graph, or one in which a value has two origins or waits for itself.
    pub fn new(
        name: impl Into<String>,
        path: Option<PathBuf>,
        format: Format,
        mut model: ModelProto,
    ) -> Result<Self, NetworkError> {
        let notes = onnx::inline_functions(&mut model);
        onnx::fill_sparse_initializers(&mut model);
        check::check(&model)?;
        onnx::plain_products(&mut model);
        constants::fold_computed_weights(&mut model);
        let stored = if format.is_weights() {
            StoredWeights::of(&model)?
        } else {
            StoredWeights::default()
        };
        let layers = discover::layers(&model, format, &stored)?;
        let has_graph = model.graph.as_ref().is_some_and(|graph| !graph.node.is_empty());
        let why_not_runnable = (format.is_weights() && !has_graph).then(|| {
            "this file holds weights only, no graph: open the ONNX export of the network to run it".to_owned()
        });
        Ok(Self {
            name: name.into(),
            path,
            format,
            model: Arc::new(model),
            layers,
            why_not_runnable,
            architecture: None,
            notes,
            preprocess: None,
            preparation: Arc::default(),
            stored: Arc::new(stored),
            places: Arc::default(),
        })
    }

    /// This network with another graph, as a step of the preparation made it.
    fn prepared(&self, model: ModelProto, preparation: Preparation) -> Result<Self, NetworkError> {
        let network = Self::new(self.name.clone(), self.path.clone(), self.format, model)?;
        Ok(Self {
            preparation: Arc::new(preparation),
            why_not_runnable: self.why_not_runnable.clone(),
            architecture: self.architecture.clone(),
            notes: self.notes.clone(),
            preprocess: self.preprocess.clone(),
            ..network
        })
    }

    /// This network with other axes taken as input channels, by layer name. Only a file without a graph leaves that open;
    /// torch's order, the second axis, is what is taken without a choice.
    ///
    /// # Errors
    /// [`NetworkError::Graph`] naming the layer: there is none of that name, its operator decides, or it has no such axis.
    pub fn with_channel_axes<'a>(
        &self,
        axes: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Self, NetworkError> {
        let mut network = self.clone();
        for (name, axis) in axes {
            let fault = |reason: &dyn fmt::Display| NetworkError::Graph(format!("layer '{name}': {reason}"));
            let index = network.layer_index(name).ok_or_else(|| fault(&"there is none"))?;
            let layer = &mut network.layers[index];
            layer.check_channel_axis(axis).map_err(|error| fault(&error))?;
            if layer.layout.elements() > 0 {
                layer.layout = discover::axis_layout(&layer.shape, axis);
                layer.chosen_axis = Some(axis);
            }
        }
        Ok(network)
    }

    /// The model for the engine: tensors that served training only are left out ([`Network::leave_out_unread`]). What the
    /// engine needs otherwise is done when it loads a model ([`crate::onnx::make_runnable`]).
    pub fn runnable_model(&self) -> ModelProto {
        let mut model = (*self.model).clone();
        self.leave_out_unread(&mut model);
        model
    }

    /// Takes those tensors out of a graph made from this network that no node reads, if it came as a file of weights: counters
    /// and auxiliary heads, which served training. The initializers of an ONNX file stay as they are.
    pub fn leave_out_unread(&self, model: &mut ModelProto) {
        if self.format.is_weights() && self.why_not_runnable.is_none() {
            remove_unread_initializers(model);
        }
    }

    /// Its parameters: elements of all float tensors that are initializers or, with a dimension at least, `Constant`
    /// nodes; subgraphs included. Running means and variances of batch-norms count, as do biases, and integers that are the
    /// weights of a layer.
    pub fn parameters(&self) -> u64 {
        let mut total = 0_u64;
        let mut add = |tensor: &TensorProto| {
            if is_float(tensor) {
                total = total.saturating_add(element_count(tensor).map_or(0, |count| count as u64));
            }
        };
        if let Some(graph) = &self.model.graph {
            graph.for_each_graph(&mut |graph| {
                graph.initializer.iter().for_each(&mut add);
                let constants = graph.node.iter().filter_map(constant_tensor);
                constants.filter(|tensor| !tensor.dims.is_empty()).for_each(&mut add);
            });
        }
        // Integers count where they are the weights of a layer; a tensor that two layers share counts once.
        let mut seen = HashSet::new();
        for layer in &self.layers {
            if let Ok(tensor) = self.tensor(layer)
                && !is_float(tensor)
                && seen.insert(std::ptr::from_ref(tensor))
            {
                total = total.saturating_add(element_count(tensor).map_or(0, |count| count as u64));
            }
        }
        total
    }

    /// Number of nodes, subgraphs included.
    pub fn nodes(&self) -> usize {
        let mut total = 0;
        if let Some(graph) = &self.model.graph {
            graph.for_each_graph(&mut |graph| total += graph.node.len());
        }
        total
    }

    /// Names of the values that must be handed over to run the network: inputs that are no initializers.
    pub fn graph_inputs(&self) -> Vec<&str> {
        let Some(graph) = &self.model.graph else {
            return Vec::new();
        };
        graph.required_inputs().collect()
    }

    /// The node of `layer`; `None` in a weights-only file, or for a layer of another network.
    pub fn node(&self, layer: &Layer) -> Option<&NodeProto> {
        let path = layer.node.as_ref()?;
        let graph = graphs::graph_at(self.model.graph.as_ref()?, &path.subgraphs)?;
        graph.node.get(path.node)
    }

    /// The tensor that holds the weight of `layer`.
    ///
    /// # Errors
    /// [`NetworkError::Graph`] for a layer of another network.
    pub fn tensor(&self, layer: &Layer) -> Result<&TensorProto, NetworkError> {
        let graph = self.model.graph.as_ref();
        graph
            .and_then(|graph| graphs::tensor_at(graph, &layer.source))
            .ok_or_else(|| NetworkError::Graph(format!("layer '{}': the network has no such weight", layer.name)))
    }

    /// The weights of layer `index`, as stored ([`Layer::layout`] tells how to read them); no copy for F32 files.
    /// Integers of a network that is quantized already come as the floats of the same value, without their scale.
    ///
    /// # Errors
    /// [`OnnxError::Tensor`] when the tensor's description and data do not fit; [`NetworkError::Graph`] when there is no
    /// such layer, its weights are empty or packed, so that the layout does not fit them, or its file has changed.
    pub fn weights(&self, index: usize) -> Result<FloatData, NetworkError> {
        let layer = self.layer(index)?;
        let tensor = self.tensor(layer)?;
        check_file(layer, tensor)?;
        let values = match self.unpacked(layer) {
            Some(_) => self.stored_elements(layer, tensor)?.converted().into(),
            None => numbers(tensor)?,
        };
        readable(layer, values.len())?;
        Ok(values)
    }

    /// The same weights to be read piece by piece, so that they are never held whole.
    ///
    /// # Errors
    /// As [`Network::weights`].
    pub fn weight_elements(&self, index: usize) -> Result<Elements, NetworkError> {
        let layer = self.layer(index)?;
        let tensor = self.tensor(layer)?;
        check_file(layer, tensor)?;
        let elements = self.stored_elements(layer, tensor)?;
        readable(layer, elements.count())?;
        Ok(elements)
    }

    /// The elements of `tensor`, out of the blocks in which the operator of `layer` packs them.
    fn stored_elements(&self, layer: &Layer, tensor: &TensorProto) -> Result<Elements, NetworkError> {
        match self.unpacked(layer) {
            None => Ok(Elements::of(tensor)?),
            Some(Ok(unpacked)) => Ok(unpacked.codes),
            Some(Err(why)) => Err(why.of(layer)),
        }
    }

    /// Whether the files that the network was read from are as they were ([`crate::files`]).
    ///
    /// # Errors
    /// [`NetworkError::Graph`] naming a file that was changed or cut off.
    pub fn check_files(&self) -> Result<(), NetworkError> {
        let mut tensors = self.model.graph.iter().flat_map(|graph| &graph.initializer);
        tensors.try_for_each(|tensor| {
            let unchanged = tensor.raw_data.as_ref().map_or(Ok(()), |bytes| files::check(bytes));
            unchanged.map_err(|error| NetworkError::Graph(error.to_string()))
        })
    }

    fn layer(&self, index: usize) -> Result<&Layer, NetworkError> {
        let layer = self.layers.get(index);
        layer.ok_or_else(|| NetworkError::Graph(format!("there is no layer number {index}")))
    }
}

/// Whether the file that the weight lies in is as it was.
fn check_file(layer: &Layer, tensor: &TensorProto) -> Result<(), NetworkError> {
    let unchanged = tensor.raw_data.as_ref().map_or(Ok(()), |bytes| files::check(bytes));
    unchanged.map_err(|error| NetworkError::Graph(format!("layer '{}': {error}", layer.name)))
}

/// Whether `count` numbers are what the layer's layout reads.
fn readable(layer: &Layer, count: usize) -> Result<(), NetworkError> {
    let name = &layer.name;
    if count == 0 {
        let reason = format!("layer '{name}': the weight holds no elements");
        return Err(NetworkError::Graph(reason));
    }
    if count != layer.layout.elements() {
        let reason = format!("layer '{name}': its weights are packed in a way that cannot be shown");
        return Err(NetworkError::Graph(reason));
    }
    Ok(())
}
