//! The engine (rten): loads the bytes of an ONNX file and runs them.
//!
//! A model is loaded with the engine's optimizations, and one of our own that changes no number ([`unsigned`]). They
//! fuse nodes, so that some values between nodes no longer exist; when such a value is asked for, the same bytes are loaded
//! once more without optimizations and run instead.
//! Every fault of the engine, a panic too, becomes an [`EngineError`].

mod stack;
mod threads;
mod unsigned;
mod widen;

use crate::data::Port;
use crate::onnx::{self, ModelProto, make_runnable};
use bytes::Bytes;
use prost::Message as _;
use rten::{
    DataType, Dimension, LoadErrorKind, Model, ModelOptions, NodeId, RunErrorKind, RunOptions, ThreadPool, Value,
    ValueOrView, ValueType,
};
use stack::{depth, with_stack};
use std::any::Any;
use std::borrow::Borrow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use threads::engine_threads;
pub(crate) use threads::{Newest, own_threads};
use unsigned::make_unsigned;
use widen::widen_bfloats;

/// Why the engine could not load or run a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine cannot load the model; names node and operator where known.
    #[error("the engine cannot load this network: {0}")]
    Load(String),
    /// The engine stopped while running.
    #[error("the network failed while running: {0}")]
    Run(String),
}

/// A loaded network. Shared between threads behind an `Arc`.
pub struct Engine {
    model: Loaded,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// The bytes, kept for the model without optimizations; `None` when `model` is that.
    bytes: Option<Bytes>,
    /// The same network without optimizations, loaded when first needed.
    plain: OnceLock<Result<Loaded, String>>,
}

/// A model in the engine, and how deep its graph is.
struct Loaded {
    model: Model,
    depth: usize,
}

impl Engine {
    /// Loads the bytes of an ONNX file. They are kept, so that values which the engine's optimizations remove can still be
    /// asked for.
    ///
    /// # Errors
    /// [`EngineError::Load`] naming node and operator where the engine tells.
    pub fn load(model: Vec<u8>) -> Result<Self, EngineError> {
        let model = Bytes::from(model);
        let loaded = load(&model, true).map_err(EngineError::Load)?;
        Ok(Self::new(loaded, Some(model)))
    }

    /// Loads without the engine's optimizations: every value of the graph exists as it is written.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_unoptimized(model: Vec<u8>) -> Result<Self, EngineError> {
        Ok(Self::new(load(&model.into(), false).map_err(EngineError::Load)?, None))
    }

    fn new(loaded: Loaded, bytes: Option<Bytes>) -> Self {
        let model = &loaded.model;
        Self {
            inputs: ports(model, model.input_ids()),
            outputs: ports(model, model.output_ids()),
            model: loaded,
            bytes,
            plain: OnceLock::new(),
        }
    }

    /// Inputs that must be given. Initializers that the file lists among its inputs are none.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs of the graph.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Runs once. `outputs` may name any value of the graph, also twice, also an input.
    ///
    /// # Errors
    /// [`EngineError::Run`] with the engine's reason, naming the node where known.
    pub fn run(&self, inputs: &[(&str, Value)], outputs: &[&str]) -> Result<Vec<Value>, EngineError> {
        self.run_with(inputs, outputs, false, None)
    }

    /// As [`Engine::run`], on these threads instead of as many as whoever asks has.
    pub(crate) fn run_on(
        &self,
        threads: &Arc<ThreadPool>,
        inputs: &[(&str, Value)],
        outputs: &[&str],
    ) -> Result<Vec<Value>, EngineError> {
        self.run_with(inputs, outputs, false, Some(threads))
    }

    /// As [`Engine::run`], on the graph as it is written: no value is rounded otherwise because a fusion computed it.
    pub(crate) fn run_unoptimized(
        &self,
        inputs: &[(&str, Value)],
        outputs: &[&str],
    ) -> Result<Vec<Value>, EngineError> {
        self.run_with(inputs, outputs, true, None)
    }

    /// Whether the optimized graph has a value of that name.
    pub(crate) fn has_value(&self, name: &str) -> bool {
        self.model.model.find_node(name).is_some()
    }

    /// Runs the optimized graph from values anywhere in it, which need not be its inputs, on these threads. `None` if they are
    /// not enough, or if one of the `outputs` is computed by no node of its own there. No value is named twice, none both ways.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub(crate) fn run_between(
        &self,
        threads: &Arc<ThreadPool>,
        given: &[(&str, &Value)],
        outputs: &[&str],
    ) -> Result<Option<Vec<Value>>, EngineError> {
        match run(&self.model, given, outputs, Some(threads)) {
            Ok(values) => Ok(Some(values)),
            Err(Fault::NoSuchValue(_)) => Ok(None),
            Err(Fault::Other(reason)) => Err(EngineError::Run(reason)),
        }
    }

    fn run_with(
        &self,
        inputs: &[(&str, Value)],
        outputs: &[&str],
        plain: bool,
        threads: Option<&Arc<ThreadPool>>,
    ) -> Result<Vec<Value>, EngineError> {
        // The engine refuses a value twice, and an input as an output.
        let mut wanted: Vec<&str> = Vec::new();
        for &name in outputs {
            if !wanted.contains(&name) && !inputs.iter().any(|(input, _)| *input == name) {
                wanted.push(name);
            }
        }
        let computed = if wanted.is_empty() {
            Vec::new()
        } else {
            self.compute(inputs, &wanted, plain, threads)?
        };
        outputs
            .iter()
            .map(|&name| {
                let computed = wanted.iter().position(|w| *w == name).and_then(|at| computed.get(at));
                let given = || inputs.iter().find(|(input, _)| *input == name).map(|(_, value)| value);
                computed.or_else(given).cloned()
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| EngineError::Run("the engine gave too few outputs".to_owned()))
    }

    fn compute(
        &self,
        inputs: &[(&str, Value)],
        outputs: &[&str],
        plain: bool,
        threads: Option<&Arc<ThreadPool>>,
    ) -> Result<Vec<Value>, EngineError> {
        if let Some(missing) = (self.inputs.iter()).find(|port| !inputs.iter().any(|(name, _)| *name == port.name)) {
            return Err(EngineError::Run(format!("the input {} is missing", missing.describe())));
        }
        let model = if plain && self.bytes.is_some() {
            self.plain()?
        } else {
            &self.model
        };
        match run(model, inputs, outputs, threads) {
            // The optimizations may have removed the value: ask the graph as it is written.
            Err(Fault::NoSuchValue(_)) if self.bytes.is_some() && !plain => {
                run(self.plain()?, inputs, outputs, threads)
            }
            result => result,
        }
        .map_err(|fault| match fault {
            Fault::NoSuchValue(reason) | Fault::Other(reason) => EngineError::Run(reason),
        })
    }

    fn plain(&self) -> Result<&Loaded, EngineError> {
        self.plain
            .get_or_init(|| load(&self.bytes.clone().unwrap_or_default(), false))
            .as_ref()
            .map_err(|reason| EngineError::Load(reason.clone()))
    }
}

/// Why a run stopped.
enum Fault {
    /// A value that is wanted is not in the graph, or nothing there computes it.
    NoSuchValue(String),
    /// Anything else.
    Other(String),
}

fn run<V: Borrow<Value>>(
    loaded: &Loaded,
    inputs: &[(&str, V)],
    outputs: &[&str],
    threads: Option<&Arc<ThreadPool>>,
) -> Result<Vec<Value>, Fault> {
    let model = &loaded.model;
    let id = |name: &str| {
        model
            .find_node(name)
            .ok_or_else(|| Fault::NoSuchValue(format!("the network has no value '{name}'")))
    };
    let wanted = outputs.iter().map(|name| id(name)).collect::<Result<Vec<_>, _>>()?;
    let given = inputs
        .iter()
        .map(|(name, value)| Ok((id(name)?, ValueOrView::from(value.borrow()))))
        .collect::<Result<Vec<_>, Fault>>()?;
    let threads = threads.map_or_else(engine_threads, Arc::clone);
    let options = RunOptions::default().with_thread_pool(Some(threads));
    let running = || catch_unwind(AssertUnwindSafe(|| model.run(given, &wanted, Some(options))));
    match with_stack(loaded.depth, running).map_err(Fault::Other)? {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) if matches!(error.kind(), RunErrorKind::PlanningError | RunErrorKind::NodeNotFound) => {
            Err(Fault::NoSuchValue(error.to_string()))
        }
        Ok(Err(error)) => Err(Fault::Other(error.to_string())),
        Err(panic) => Err(Fault::Other(format!("the engine gave up: {}", panic_text(&*panic)))),
    }
}

/// Loads a model; the error says which kind, node and operator.
fn load(bytes: &Bytes, optimize: bool) -> Result<Loaded, String> {
    // The engine's own parser can hang on bytes that are cut off, and would take some for its other format.
    let mut bytes = bytes.clone();
    let depth = match ModelProto::decode(bytes.clone()) {
        Ok(mut model) if model.graph.is_some() => {
            let mut changed = onnx::decode_for_engine(&mut model);
            changed |= make_runnable(&mut model).map_err(|error| error.to_string())?;
            changed |= widen_bfloats(&mut model).map_err(|error| error.to_string())?;
            if (optimize && make_unsigned(&mut model)) || changed {
                bytes = onnx::encode(&model).map_err(|error| error.to_string())?.into();
            }
            depth(&model)?
        }
        Ok(_) => return Err("the bytes are no ONNX model: there is no graph".to_owned()),
        Err(error) => return Err(format!("the bytes are no ONNX model: {error}")),
    };
    let loading = || {
        let mut options = ModelOptions::with_all_ops();
        options.enable_optimization(optimize);
        catch_unwind(AssertUnwindSafe(|| options.load(bytes.to_vec())))
    };
    match with_stack(depth, loading)? {
        Ok(Ok(model)) => Ok(Loaded { model, depth }),
        Ok(Err(error)) => {
            let what = match error.kind() {
                LoadErrorKind::ParseError | LoadErrorKind::UnknownFileType => "the bytes are no ONNX model",
                LoadErrorKind::OperatorInvalid => "it cannot run one of the operators",
                LoadErrorKind::ExternalDataError => "weights in other files must be read into the model first",
                _ => "the graph does not hold together",
            };
            Err(format!("{what}: {error}"))
        }
        Err(panic) => Err(format!("the engine gave up: {}", panic_text(&*panic))),
    }
}

/// The message of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    (panic.downcast_ref::<String>().map(String::as_str))
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given")
}

fn ports(model: &Model, ids: &[NodeId]) -> Vec<Port> {
    ids.iter()
        .filter_map(|&id| model.node_info(id))
        .map(|info| {
            let axes = info.shape();
            Port {
                name: info.name().unwrap_or_default().to_owned(),
                shape: (axes.as_ref()).map(|axes| {
                    let size = |axis: &Dimension| match axis {
                        Dimension::Fixed(size) => Some(*size),
                        Dimension::Symbolic(_) => None,
                    };
                    axes.iter().map(size).collect()
                }),
                axis_names: axes
                    .unwrap_or_default()
                    .into_iter()
                    .map(|axis| match axis {
                        Dimension::Symbolic(name) => Some(name),
                        Dimension::Fixed(_) => None,
                    })
                    .collect(),
                integer: info.dtype() == Some(ValueType::Tensor(DataType::Int32)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
