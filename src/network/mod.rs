//! A model once opened: its graph, and the layers in it whose weights can be looked at, split and quantized.

mod discover;
mod fold;
mod layer;

pub use fold::fold_batch_norm;
pub use layer::{Layer, LayerKind, Layout, NodePath, OutAxis, Support, TensorPlace, WeightSource};

use crate::onnx::{FloatData, ModelProto, OnnxError};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a network came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An ONNX graph.
    Onnx,
    /// A bag of named tensors.
    Safetensors,
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
}

/// A fault of a network, with its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A fault of the file.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The model has no graph or the graph does not hold together.
    #[error("{0}")]
    Graph(String),
}

impl Network {
    /// Finds the layers of `model`.
    ///
    /// # Errors
    /// [`NetworkError::Graph`] when there is no graph or it names values that do not exist in a way that stops discovery.
    pub fn new(
        name: impl Into<String>,
        path: Option<PathBuf>,
        format: Format,
        model: ModelProto,
    ) -> Result<Self, NetworkError> {
        let layers = discover::layers(&model, format)?;
        let why_not_runnable = (format == Format::Safetensors).then(|| {
            "this file holds weights only, no graph: open the ONNX export of the network to run it".to_owned()
        });
        Ok(Self {
            name: name.into(),
            path,
            format,
            model: Arc::new(model),
            layers,
            why_not_runnable,
        })
    }

    /// All constant elements of the model that are floats: its parameters.
    pub fn parameters(&self) -> u64 {
        todo!()
    }

    /// Number of nodes, subgraphs included.
    pub fn nodes(&self) -> usize {
        todo!()
    }

    /// Position of the layer called `name`.
    pub fn layer_index(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.name == name)
    }

    /// The weights of layer `index`, as stored ([`Layer::layout`] tells how to read them); no copy for F32 files.
    ///
    /// # Errors
    /// [`OnnxError::Tensor`] when the tensor's description and data do not fit.
    pub fn weights(&self, _index: usize) -> Result<FloatData, NetworkError> {
        todo!()
    }

    /// The node of a layer.
    pub fn node(&self, _layer: &Layer) -> Option<&crate::onnx::NodeProto> {
        todo!()
    }

    /// The stored weight tensor of a layer.
    ///
    /// # Errors
    /// [`NetworkError::Graph`] when the layer is not of this network.
    pub fn tensor(&self, _layer: &Layer) -> Result<&crate::onnx::TensorProto, NetworkError> {
        todo!()
    }
}
