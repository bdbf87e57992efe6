//! The engine (rten): loads the bytes of an ONNX file and runs them.

use super::InferenceError;
use rten::Value;

/// An input or output of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Sizes; `None` where the size is free.
    pub shape: Option<Vec<Option<usize>>>,
    /// Whether it takes integers (token ids).
    pub integer: bool,
}

/// A loaded network. Shared between threads behind an `Arc`.
pub struct Engine {
    _private: (),
}

impl Engine {
    /// Loads the bytes of an ONNX file.
    ///
    /// # Errors
    /// [`InferenceError::Load`] naming node and operator where the engine tells.
    pub fn load(_model: Vec<u8>) -> Result<Self, InferenceError> {
        todo!()
    }

    /// Inputs that must be given.
    pub fn inputs(&self) -> &[Port] {
        todo!()
    }

    /// Outputs of the graph.
    pub fn outputs(&self) -> &[Port] {
        todo!()
    }

    /// Runs once. `outputs` may name any value of the graph.
    ///
    /// # Errors
    /// [`InferenceError::Run`] with the engine's reason, naming the node where known.
    pub fn run(&self, _inputs: &[(&str, Value)], _outputs: &[&str]) -> Result<Vec<Value>, InferenceError> {
        todo!()
    }
}
