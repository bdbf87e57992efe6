//! The built-in engine (rten).
//!
//! A model is loaded with the engine's optimizations, and one of our own that changes no number ([`unsigned`]). They
//! fuse nodes, so that some values between nodes no longer exist; when such a value is asked for, the same bytes are loaded
//! once more without optimizations and run instead.
//! Every fault of the engine, a panic too, becomes an [`EngineError`]. No type of rten's leaves this folder.

mod operators;
mod stack;
mod unsigned;
mod value;
mod weights;
mod widen;

use super::head::heads;
use super::{Engine, EngineError, EngineFault, Head, RunOptions, Threads, panic_text, suppressed};
use crate::data::{ElementKind, Port, Tensor};
use crate::onnx::{self, ModelProto, make_runnable};
use bytes::Bytes;
use operators::Operators;
use prost::Message as _;
use rten::{DataType, Dimension, LoadErrorKind, Model, ModelOptions, NodeId, RunErrorKind, ThreadPool, ValueType};
use stack::{depth, with_stack};
use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use unsigned::make_unsigned;
use widen::widen_bfloats;

/// What it is called, with the version of the crate.
pub(super) const NAME: &str = "rten 0.27";

/// A network loaded by rten.
pub struct Rten {
    model: Loaded,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// The model, kept to load it without optimizations; `None` where it is loaded so, or where only outputs are wanted.
    source: Option<ModelProto>,
    /// The same network without optimizations, loaded when first needed.
    plain: OnceLock<Result<Loaded, EngineFault>>,
}

/// A model in the engine, and how deep its graph is.
struct Loaded {
    model: Model,
    depth: usize,
    /// Operators by the names of their nodes, for messages.
    operators: Operators,
    /// The names of the axes of inputs and outputs as the file gives them, by the names of the values.
    axis_names: HashMap<String, Vec<Option<String>>>,
    /// Outputs whose heads are known.
    heads: Vec<(String, Head)>,
    /// The scores that the first non-maximum suppression reads.
    suppressed: Option<String>,
}

/// rten's threads.
pub(super) struct Pool(Arc<ThreadPool>);

impl Pool {
    pub(super) fn new(threads: usize) -> Self {
        Self(Arc::new(ThreadPool::with_num_threads(threads)))
    }
}

impl Rten {
    /// Loads the bytes of an ONNX file. They are kept, so that values which the engine's optimizations remove can still be
    /// asked for.
    ///
    /// # Errors
    /// [`EngineError::Load`] naming node and operator where the engine tells.
    pub fn load(model: Vec<u8>) -> Result<Self, EngineError> {
        Self::load_model(decoded(&model.into()).map_err(EngineError::Load)?)
    }

    /// Loads a model. It is kept as [`Rten::load`] keeps bytes; what it shares with others takes no memory of its own.
    ///
    /// # Errors
    /// As [`Rten::load`].
    pub fn load_model(model: ModelProto) -> Result<Self, EngineError> {
        let loaded = load(model.clone(), true).map_err(EngineError::Load)?;
        Ok(Self::new(loaded, Some(model)))
    }

    /// Loads the bytes of an ONNX file of which only outputs will be asked for, not values that the engine's optimizations
    /// remove: nothing is kept.
    ///
    /// # Errors
    /// As [`Rten::load`].
    pub fn load_for_outputs(model: Vec<u8>) -> Result<Self, EngineError> {
        let model = decoded(&model.into()).map_err(EngineError::Load)?;
        let loaded = load(model, true).map_err(EngineError::Load)?;
        Ok(Self::new(loaded, None))
    }

    /// Loads without the engine's optimizations: every value of the graph exists as it is written.
    ///
    /// # Errors
    /// As [`Rten::load`].
    pub fn load_unoptimized(model: Vec<u8>) -> Result<Self, EngineError> {
        let model = decoded(&model.into()).map_err(EngineError::Load)?;
        let loaded = load(model, false).map_err(EngineError::Load)?;
        Ok(Self::new(loaded, None))
    }

    fn new(loaded: Loaded, source: Option<ModelProto>) -> Self {
        let model = &loaded.model;
        Self {
            inputs: ports(model, model.input_ids(), &loaded.axis_names),
            outputs: ports(model, model.output_ids(), &loaded.axis_names),
            model: loaded,
            source,
            plain: OnceLock::new(),
        }
    }

    /// The graph as it is written, where it can still be loaded.
    fn plain(&self) -> Option<Result<&Loaded, EngineError>> {
        let source = self.source.as_ref()?;
        let plain = self.plain.get_or_init(|| load(source.clone(), false));
        Some(plain.as_ref().map_err(|reason| EngineError::Load(reason.clone())))
    }
}

impl Engine for Rten {
    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn compute(
        &self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        options: RunOptions<'_>,
    ) -> Result<Vec<Tensor>, EngineError> {
        let current;
        let threads = match options.threads {
            Some(threads) => threads,
            None => {
                current = Threads::current();
                &current
            }
        };
        let plain = if options.unoptimized {
            self.plain().transpose()?
        } else {
            None
        };
        match run(plain.unwrap_or(&self.model), inputs, wanted, threads) {
            // The optimizations may have removed the value: ask the graph as it is written.
            Err(Fault::NoSuchValue(reason)) if plain.is_none() => match self.plain().transpose()? {
                Some(plain) => run(plain, inputs, wanted, threads),
                None => Err(Fault::NoSuchValue(reason)),
            },
            result => result,
        }
        .map_err(|fault| match fault {
            Fault::NoSuchValue(fault) | Fault::Other(fault) => EngineError::Run(fault),
        })
    }

    fn head(&self, output: &str) -> Option<&Head> {
        let (_, head) = self.model.heads.iter().find(|(name, _)| name == output)?;
        self.has_value(&head.value).then_some(head)
    }

    fn before_suppression(&self) -> Option<&str> {
        self.model.suppressed.as_deref().filter(|name| self.has_value(name))
    }

    fn has_value(&self, name: &str) -> bool {
        self.model.model.find_node(name).is_some()
    }

    fn compute_between(
        &self,
        threads: &Threads,
        given: &[(&str, &Tensor)],
        wanted: &[&str],
    ) -> Result<Option<Vec<Tensor>>, EngineError> {
        match run(&self.model, given, wanted, threads) {
            Ok(values) => Ok(Some(values)),
            Err(Fault::NoSuchValue(_)) => Ok(None),
            Err(Fault::Other(reason)) => Err(EngineError::Run(reason)),
        }
    }
}

/// Why a run stopped.
enum Fault {
    /// A value that is wanted is not in the graph, or nothing there computes it.
    NoSuchValue(EngineFault),
    /// Anything else.
    Other(EngineFault),
}

fn run(loaded: &Loaded, inputs: &[(&str, &Tensor)], outputs: &[&str], threads: &Threads) -> Result<Vec<Tensor>, Fault> {
    let model = &loaded.model;
    let id = |name: &str| {
        model
            .find_node(name)
            .ok_or_else(|| Fault::NoSuchValue(EngineFault::NoValue(name.to_owned())))
    };
    let wanted = outputs.iter().map(|name| id(name)).collect::<Result<Vec<_>, _>>()?;
    let given = inputs
        .iter()
        .map(|(name, tensor)| Ok((id(name)?, value::view(name, tensor).map_err(Fault::Other)?)))
        .collect::<Result<Vec<_>, Fault>>()?;
    let options = rten::RunOptions::default().with_thread_pool(Some(Arc::clone(&threads.pool().0)));
    let running = || catch_unwind(AssertUnwindSafe(|| model.run(given, &wanted, Some(options))));
    match with_stack(loaded.depth, running).map_err(Fault::Other)? {
        Ok(Ok(values)) => (outputs.iter().zip(values))
            .map(|(name, value)| {
                value::tensor(value).map_err(|error| {
                    Fault::Other(EngineFault::Output {
                        value: loaded.operators.value(name),
                        reason: error.to_string(),
                    })
                })
            })
            .collect(),
        Ok(Err(error)) if matches!(error.kind(), RunErrorKind::PlanningError | RunErrorKind::NodeNotFound) => {
            Err(Fault::NoSuchValue(EngineFault::told(error)))
        }
        Ok(Err(error)) => Err(Fault::Other(EngineFault::Told(
            loaded.operators.told(&error.to_string()),
        ))),
        Err(panic) => Err(Fault::Other(EngineFault::GaveUp(panic_text(&*panic).to_owned()))),
    }
}

/// The model in the bytes of an ONNX file.
fn decoded(bytes: &Bytes) -> Result<ModelProto, EngineFault> {
    // The engine's own parser can hang on bytes that are cut off, and would take some for its other format.
    match ModelProto::decode(bytes.clone()) {
        Ok(model) if model.graph.is_some() => Ok(model),
        Ok(_) => Err(EngineFault::NotOnnx(EngineFault::NoGraph.to_string())),
        Err(error) => Err(EngineFault::NotOnnx(error.to_string())),
    }
}

/// Loads a model; the error says which kind, node and operator.
fn load(mut model: ModelProto, optimize: bool) -> Result<Loaded, EngineFault> {
    // Before names are taken off that the engine would take for equal sizes.
    let axis_names = model
        .graph
        .iter()
        .flat_map(|graph| graph.input.iter().chain(&graph.output));
    let axis_names = axis_names.map(|value| (value.name().to_owned(), onnx::axis_names(value)));
    let axis_names = axis_names.collect();
    if let Cow::Owned(floats) = onnx::as_floats(&model).map_err(EngineFault::told)? {
        model = floats;
    }
    onnx::decode_for_engine(&mut model);
    // Before the quotients are written out that its pattern does not have.
    if optimize {
        make_unsigned(&mut model);
    }
    make_runnable(&mut model).map_err(EngineFault::told)?;
    widen_bfloats(&mut model).map_err(EngineFault::told)?;
    let operators = Operators::of(&mut model);
    let depth = depth(&model)?;
    let heads = heads(&model);
    let suppressed = suppressed(&model);
    let weights = weights::taken_out(&mut model);
    let bytes = onnx::encode(&model).map_err(EngineFault::told)?;
    drop(model);
    let loading = || {
        let mut options = ModelOptions::with_all_ops();
        options.enable_optimization(optimize);
        for (place, elements) in weights {
            options.external_data(&place, elements);
        }
        catch_unwind(AssertUnwindSafe(|| options.load(bytes)))
    };
    match with_stack(depth, loading)? {
        Ok(Ok(model)) => Ok(Loaded {
            model,
            depth,
            operators,
            axis_names,
            heads,
            suppressed,
        }),
        Ok(Err(error)) => {
            let what = match error.kind() {
                LoadErrorKind::ParseError | LoadErrorKind::UnknownFileType => "the bytes are no ONNX model",
                LoadErrorKind::OperatorInvalid => "it cannot run one of the operators",
                LoadErrorKind::ExternalDataError => "weights in other files must be read into the model first",
                _ => "the graph does not hold together",
            };
            let error = operators.told(&error.to_string());
            Err(EngineFault::Told(format!("{what}: {error}")))
        }
        Err(panic) => Err(EngineFault::GaveUp(panic_text(&*panic).to_owned())),
    }
}

fn ports(model: &Model, ids: &[NodeId], axis_names: &HashMap<String, Vec<Option<String>>>) -> Vec<Port> {
    ids.iter()
        .filter_map(|&id| model.node_info(id))
        .map(|info| {
            let (name, axes) = (info.name().unwrap_or_default().to_owned(), info.shape());
            Port {
                shape: (axes.as_ref()).map(|axes| {
                    let size = |axis: &Dimension| match axis {
                        Dimension::Fixed(size) => Some(*size),
                        Dimension::Symbolic(_) => None,
                    };
                    axes.iter().map(size).collect()
                }),
                axis_names: axis_names.get(&name).cloned().unwrap_or_default(),
                name,
                kind: match info.dtype() {
                    Some(ValueType::Tensor(DataType::Int32)) => ElementKind::Integer,
                    Some(ValueType::Tensor(DataType::UInt8)) => ElementKind::Byte,
                    Some(ValueType::Tensor(DataType::Int8)) => ElementKind::SignedByte,
                    _ => ElementKind::Float,
                },
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
