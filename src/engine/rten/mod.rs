//! The built-in engine (rten).
//!
//! A model is loaded with the engine's optimizations, and one of our own that changes no number ([`unsigned`]). They
//! fuse nodes, so that some values between nodes no longer exist; when such a value is asked for, the same bytes are loaded
//! once more without optimizations and run instead.
//! Every fault of the engine, a panic too, becomes an [`EngineError`]. No type of rten's leaves this folder.

mod stack;
mod unsigned;
mod value;
mod widen;

use super::{Engine, EngineError, RunOptions, Threads};
use crate::data::{Port, Tensor};
use crate::onnx::{self, GraphProto, ModelProto, make_runnable};
use bytes::Bytes;
use prost::Message as _;
use rten::{DataType, Dimension, LoadErrorKind, Model, ModelOptions, NodeId, RunErrorKind, ThreadPool, ValueType};
use stack::{depth, with_stack};
use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use unsigned::make_unsigned;
use widen::widen_bfloats;

/// A network loaded by rten.
pub struct Rten {
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
    /// Operators by the names of their nodes, for messages.
    operators: HashMap<String, String>,
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
        let model = Bytes::from(model);
        let loaded = load(&model, true).map_err(EngineError::Load)?;
        Ok(Self::new(loaded, Some(model)))
    }

    /// Loads without the engine's optimizations: every value of the graph exists as it is written.
    ///
    /// # Errors
    /// As [`Rten::load`].
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

    fn plain(&self) -> Result<&Loaded, EngineError> {
        self.plain
            .get_or_init(|| load(&self.bytes.clone().unwrap_or_default(), false))
            .as_ref()
            .map_err(|reason| EngineError::Load(reason.clone()))
    }
}

impl Engine for Rten {
    fn name(&self) -> &str {
        "rten 0.27"
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
        let plain = options.unoptimized && self.bytes.is_some();
        let model = if plain { self.plain()? } else { &self.model };
        match run(model, inputs, wanted, threads) {
            // The optimizations may have removed the value: ask the graph as it is written.
            Err(Fault::NoSuchValue(_)) if self.bytes.is_some() && !plain => run(self.plain()?, inputs, wanted, threads),
            result => result,
        }
        .map_err(|fault| match fault {
            Fault::NoSuchValue(reason) | Fault::Other(reason) => EngineError::Run(reason),
        })
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
    NoSuchValue(String),
    /// Anything else.
    Other(String),
}

fn run(loaded: &Loaded, inputs: &[(&str, &Tensor)], outputs: &[&str], threads: &Threads) -> Result<Vec<Tensor>, Fault> {
    let model = &loaded.model;
    let id = |name: &str| {
        model
            .find_node(name)
            .ok_or_else(|| Fault::NoSuchValue(format!("the network has no value '{name}'")))
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
                value::tensor(value).map_err(|reason| Fault::Other(format!("the value '{name}': {reason}")))
            })
            .collect(),
        Ok(Err(error)) if matches!(error.kind(), RunErrorKind::PlanningError | RunErrorKind::NodeNotFound) => {
            Err(Fault::NoSuchValue(error.to_string()))
        }
        Ok(Err(error)) => Err(Fault::Other(with_operator(&error.to_string(), &loaded.operators))),
        Err(panic) => Err(Fault::Other(format!("the engine gave up: {}", panic_text(&*panic)))),
    }
}

/// Loads a model; the error says which kind, node and operator.
fn load(bytes: &Bytes, optimize: bool) -> Result<Loaded, String> {
    // The engine's own parser can hang on bytes that are cut off, and would take some for its other format.
    let mut bytes = bytes.clone();
    let mut operators_by_name = HashMap::new();
    let depth = match ModelProto::decode(bytes.clone()) {
        Ok(mut model) if model.graph.is_some() => {
            let mut changed = onnx::decode_for_engine(&mut model);
            // Before the quotients are written out that its pattern does not have.
            changed |= optimize && make_unsigned(&mut model);
            changed |= make_runnable(&mut model).map_err(|error| error.to_string())?;
            changed |= widen_bfloats(&mut model).map_err(|error| error.to_string())?;
            if let Some(graph) = &model.graph {
                operators(graph, &mut operators_by_name);
            }
            if changed {
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
        Ok(Ok(model)) => Ok(Loaded {
            model,
            depth,
            operators: operators_by_name,
        }),
        Ok(Err(error)) => {
            let what = match error.kind() {
                LoadErrorKind::ParseError | LoadErrorKind::UnknownFileType => "the bytes are no ONNX model",
                LoadErrorKind::OperatorInvalid => "it cannot run one of the operators",
                LoadErrorKind::ExternalDataError => "weights in other files must be read into the model first",
                _ => "the graph does not hold together",
            };
            let error = with_operator(&error.to_string(), &operators_by_name);
            Err(format!("{what}: {error}"))
        }
        Err(panic) => Err(format!("the engine gave up: {}", panic_text(&*panic))),
    }
}

/// Operators by the names of their nodes, also in the bodies of nodes.
fn operators(graph: &GraphProto, found: &mut HashMap<String, String>) {
    for node in &graph.node {
        found.insert(node.name().to_owned(), node.op_type().to_owned());
        node.subgraphs().for_each(|body| operators(body, found));
    }
}

/// What the engine says, with the operator behind the name of the node that it says it of.
fn with_operator(text: &str, operators: &HashMap<String, String>) -> String {
    let named = ["operator \"", "in node \""].iter().find_map(|before| {
        let start = text.find(before)? + before.len();
        let end = start + text.get(start..)?.find('"')?;
        Some((end + 1, operators.get(text.get(start..end)?)?))
    });
    match named {
        Some((behind, operator)) => format!("{} ({operator}){}", &text[..behind], &text[behind..]),
        None => text.to_owned(),
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
