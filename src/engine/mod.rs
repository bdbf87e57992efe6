//! Engines: each loads the bytes of an ONNX file and runs them. [`Rten`] is built in; [`Onnxruntime`] is used if the person has
//! its library and chooses it.
//!
//! An engine is used through the trait [`Engine`] alone, and [`load`] loads into the one that was chosen: what another one needs
//! to be added is its own folder here and an [`EngineChoice`].

mod choice;
mod fault;
mod head;
mod onnxruntime;
mod rten;
mod threads;

pub use self::onnxruntime::{Onnxruntime, OnnxruntimeOptions};
pub use self::rten::Rten;
pub use choice::{EngineChoice, UnknownEngine, choose, chosen, load, load_model};
pub use fault::EngineFault;
pub use head::Head;
pub use threads::Threads;
pub(crate) use threads::{Newest, own_threads};

use crate::data::{Port, Tensor};
use crate::onnx::ModelProto;
use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Why an engine could not load or run a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine cannot load the model; names node and operator where known.
    #[error("the engine cannot load this network: {0}")]
    Load(EngineFault),
    /// The engine stopped while running.
    #[error("the network failed while running: {0}")]
    Run(EngineFault),
}

/// How a network is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions<'a> {
    /// On the graph as it is written: no value is rounded otherwise because a fusion computed it.
    pub unoptimized: bool,
    /// The threads to run on; as many as whoever asks has where `None`.
    pub threads: Option<&'a Threads>,
}

/// Runs on the graph as it is written.
pub(crate) const UNOPTIMIZED: RunOptions<'static> = RunOptions {
    unoptimized: true,
    threads: None,
};

/// A loaded network. Shared between threads behind an `Arc`.
pub trait Engine: Send + Sync {
    /// What runs it, with its version: `rten 0.27`.
    fn name(&self) -> &str;

    /// Inputs that must be given. Initializers that the file lists among its inputs are none.
    fn inputs(&self) -> &[Port];

    /// Outputs of the graph.
    fn outputs(&self) -> &[Port];

    /// Computes values of the graph. `wanted` names values that are not among `inputs`, each once, at least one.
    ///
    /// # Errors
    /// [`EngineError`] with the engine's reason, naming the node where known.
    fn compute(
        &self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        options: RunOptions<'_>,
    ) -> Result<Vec<Tensor>, EngineError>;

    /// Whether the optimized graph has a value of that name.
    fn has_value(&self, name: &str) -> bool;

    /// Runs the optimized graph from values anywhere in it, which need not be its inputs, on these threads. `None` if they are
    /// not enough, or if one of the `wanted` is computed by no node of its own there, or if the engine cannot do this at all.
    /// No value is named twice, none both ways.
    ///
    /// # Errors
    /// As [`Engine::compute`].
    fn compute_between(
        &self,
        threads: &Threads,
        given: &[(&str, &Tensor)],
        wanted: &[&str],
    ) -> Result<Option<Vec<Tensor>>, EngineError>;

    /// The head that makes `output`, where [`Engine::compute_between`] can run it by itself; `None` where it is not known.
    fn head(&self, _output: &str) -> Option<&Head> {
        None
    }

    /// The scores among which non-maximum suppression chooses, where the graph has such a value.
    fn before_suppression(&self) -> Option<&str> {
        None
    }

    /// The threads that it runs on whatever a run says; `None` where a run decides.
    fn threads(&self) -> Option<usize> {
        None
    }

    /// Runs once. `outputs` may name any value of the graph, also twice, also an input.
    ///
    /// # Errors
    /// [`EngineError`] with the engine's reason, naming the node where known.
    fn run(&self, inputs: &[(&str, &Tensor)], outputs: &[&str]) -> Result<Vec<Tensor>, EngineError> {
        self.run_with(inputs, outputs, RunOptions::default())
    }

    /// As [`Engine::run`].
    ///
    /// # Errors
    /// As [`Engine::run`].
    fn run_with(
        &self,
        inputs: &[(&str, &Tensor)],
        outputs: &[&str],
        options: RunOptions<'_>,
    ) -> Result<Vec<Tensor>, EngineError> {
        let given: HashMap<&str, &Tensor> = inputs.iter().rev().copied().collect();
        if let Some(missing) = (self.inputs().iter()).find(|port| !given.contains_key(port.name.as_str())) {
            let missing = missing.describe();
            return Err(EngineError::Run(EngineFault::NoInput(missing)));
        }
        // Engines refuse a value twice, and an input as an output.
        let mut wanted: Vec<&str> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for &name in outputs {
            if !given.contains_key(name)
                && let Entry::Vacant(place) = places.entry(name)
            {
                place.insert(wanted.len());
                wanted.push(name);
            }
        }
        let mut computed = Vec::new();
        if !wanted.is_empty() {
            computed = self.compute(inputs, &wanted, options)?;
        }
        if wanted == outputs && computed.len() == outputs.len() {
            return Ok(computed);
        }
        let value = |name: &str| match places.get(name) {
            Some(at) => computed.get(*at),
            None => given.get(name).copied(),
        };
        let values: Option<Vec<Tensor>> = outputs.iter().map(|name| value(name).cloned()).collect();
        values.ok_or(EngineError::Run(EngineFault::FewOutputs))
    }
}

impl<E: Engine + ?Sized> Engine for Arc<E> {
    fn name(&self) -> &str {
        self.as_ref().name()
    }

    fn inputs(&self) -> &[Port] {
        self.as_ref().inputs()
    }

    fn outputs(&self) -> &[Port] {
        self.as_ref().outputs()
    }

    fn compute(
        &self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        options: RunOptions<'_>,
    ) -> Result<Vec<Tensor>, EngineError> {
        self.as_ref().compute(inputs, wanted, options)
    }

    fn has_value(&self, name: &str) -> bool {
        self.as_ref().has_value(name)
    }

    fn compute_between(
        &self,
        threads: &Threads,
        given: &[(&str, &Tensor)],
        wanted: &[&str],
    ) -> Result<Option<Vec<Tensor>>, EngineError> {
        self.as_ref().compute_between(threads, given, wanted)
    }

    fn head(&self, output: &str) -> Option<&Head> {
        self.as_ref().head(output)
    }

    fn before_suppression(&self) -> Option<&str> {
        self.as_ref().before_suppression()
    }

    fn threads(&self) -> Option<usize> {
        self.as_ref().threads()
    }
}

/// The scores that the first non-maximum suppression of a model reads.
fn suppressed(model: &ModelProto) -> Option<String> {
    let mut nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let suppression = nodes.find(|node| node.op_type() == "NonMaxSuppression")?;
    suppression.input.get(1).cloned()
}

/// The message of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    (panic.downcast_ref::<String>().map(String::as_str))
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given")
}
