//! onnxruntime, if the person has its library.
//!
//! The network's bytes are run as they are, with the runtime's own optimizations. A session gives the outputs of its graph only:
//! for values between nodes another session is made, of the same graph with these values among its outputs.
//! Every fault of the engine, a panic too, becomes an [`EngineError`]. No type of onnxruntime's leaves this folder.

mod library;
mod value;

use super::{Engine, EngineError, EngineFault, RunOptions, Threads, suppressed};
use crate::data::{ElementKind, Port, Tensor};
use crate::onnx::{self, ModelProto, ValueInfoProto};
use bytes::Bytes;
use library::Library;
use ort::ep;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{OutputSelector, Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType, ValueType};
use prost::Message as _;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// How onnxruntime runs a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct OnnxruntimeOptions {
    /// The library; looked for where it is `None`: `ORT_DYLIB_PATH`, the active Python environment, `python3`.
    pub library: Option<PathBuf>,
    /// Execution provider by name, such as `cuda`; the CPU's where it is `None`.
    pub provider: Option<String>,
    /// Threads; as many as whoever loads a network has where it is `None`.
    pub threads: Option<usize>,
    /// `session.qdq_matmulnbits_accuracy_level`: how exactly 4-bit matrix products are summed, 0 to 4; the runtime's own choice
    /// where it is `None`.
    pub matmulnbits_accuracy_level: Option<u8>,
}

/// A network loaded by onnxruntime.
pub struct Onnxruntime {
    name: String,
    library: Library,
    options: OnnxruntimeOptions,
    threads: usize,
    bytes: Bytes,
    main: Loaded,
    /// Whether it was loaded without optimizations.
    unoptimized: bool,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// The session that was last made for values between nodes.
    between: Mutex<Option<Arc<Between>>>,
}

/// A session, and what it takes and gives.
struct Loaded {
    session: Mutex<Session>,
    inputs: HashMap<String, TensorElementType>,
    outputs: HashSet<String>,
    /// The scores that the first non-maximum suppression reads.
    suppressed: Option<String>,
}

/// A session with values between nodes among its outputs.
struct Between {
    loaded: Loaded,
    unoptimized: bool,
}

/// Whether the library can be used, and what it is.
///
/// # Errors
/// Where it was looked for, or why it cannot be loaded.
pub(super) fn onnxruntime_available(options: &OnnxruntimeOptions) -> Result<String, EngineFault> {
    let library = library::load(options.library.as_deref())?;
    let name = describe(&library, options);
    // A provider that the library lacks is found out here, not at the first network.
    guarded(|| builder(&library, options).map(drop))?;
    Ok(name)
}

impl Onnxruntime {
    /// Loads the bytes of an ONNX file.
    ///
    /// # Errors
    /// [`EngineError::Load`] with the runtime's reason.
    pub fn load(model: Vec<u8>, options: &OnnxruntimeOptions) -> Result<Self, EngineError> {
        Self::load_as(model, options, false)
    }

    /// Loads without the runtime's optimizations: every value of the graph is computed as it is written.
    ///
    /// # Errors
    /// As [`Onnxruntime::load`].
    pub fn load_unoptimized(model: Vec<u8>, options: &OnnxruntimeOptions) -> Result<Self, EngineError> {
        Self::load_as(model, options, true)
    }

    fn load_as(model: Vec<u8>, options: &OnnxruntimeOptions, unoptimized: bool) -> Result<Self, EngineError> {
        let bytes = Bytes::from(model);
        let threads = options.threads.unwrap_or_else(|| Threads::current().count()).max(1);
        let options = OnnxruntimeOptions {
            threads: Some(threads),
            ..options.clone()
        };
        let library = library::load(options.library.as_deref()).map_err(EngineError::Load)?;
        let main = Loaded::new(&library, &options, &bytes, unoptimized).map_err(EngineError::Load)?;
        let (inputs, outputs) = {
            let session = main.session.lock().unwrap_or_else(PoisonError::into_inner);
            (ports(session.inputs()), ports(session.outputs()))
        };
        Ok(Self {
            name: describe(&library, &options),
            options,
            threads,
            library,
            bytes,
            main,
            unoptimized,
            inputs,
            outputs,
            between: Mutex::new(None),
        })
    }

    /// The session that has `wanted` among its outputs.
    fn between(&self, wanted: &[&str], unoptimized: bool) -> Result<Arc<Between>, EngineFault> {
        let mut between = self.between.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*between
            && known.unoptimized == unoptimized
            && wanted.iter().all(|name| known.loaded.outputs.contains(*name))
        {
            return Ok(Arc::clone(known));
        }
        let mut model = ModelProto::decode(self.bytes.clone()).map_err(EngineFault::told)?;
        add_outputs(&mut model, wanted)?;
        let bytes = onnx::encode(&model).map_err(EngineFault::told)?.into();
        let made = Arc::new(Between {
            loaded: Loaded::new(&self.library, &self.options, &bytes, unoptimized)?,
            unoptimized,
        });
        *between = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// Puts values of the graph among its outputs.
fn add_outputs(model: &mut ModelProto, wanted: &[&str]) -> Result<(), EngineFault> {
    let graph = model.graph.as_mut().ok_or(EngineFault::NoGraph)?;
    let outputs: HashSet<String> = graph.output.iter().map(|output| output.name().to_owned()).collect();
    let made: BTreeSet<&str> = graph
        .node
        .iter()
        .flat_map(|node| &node.output)
        .map(String::as_str)
        .collect();
    let infos: HashMap<&str, &ValueInfoProto> = (graph.value_info.iter()).map(|info| (info.name(), info)).collect();
    let mut more = Vec::new();
    for name in wanted.iter().filter(|name| !outputs.contains(**name)) {
        if !made.contains(name) {
            return Err(EngineFault::NoValue((*name).to_owned()));
        }
        let known = infos.get(name).copied();
        more.push(known.cloned().unwrap_or_else(|| ValueInfoProto {
            name: Some((*name).to_owned()),
            ..ValueInfoProto::default()
        }));
    }
    graph.output.extend(more);
    Ok(())
}

impl Loaded {
    fn new(
        library: &Library,
        options: &OnnxruntimeOptions,
        bytes: &Bytes,
        unoptimized: bool,
    ) -> Result<Self, EngineFault> {
        // The runtime may read files that a model names; ours hold their weights.
        let model = ModelProto::decode(bytes.clone()).map_err(|error| EngineFault::NotOnnx(error.to_string()))?;
        let initializers = model.graph.iter().flat_map(|graph| &graph.initializer);
        if let Some(tensor) = initializers.into_iter().find(|tensor| !tensor.external_data.is_empty()) {
            return Err(EngineFault::WeightsElsewhere(tensor.name().to_owned()));
        }
        let suppressed = suppressed(&model);
        drop(model);
        guarded(|| {
            let mut builder = builder(library, options)?;
            if unoptimized {
                builder = builder
                    .with_optimization_level(GraphOptimizationLevel::Disable)
                    .map_err(EngineFault::told)?;
            }
            let session = builder.commit_from_memory(bytes).map_err(EngineFault::told)?;
            let element = |outlet: &Outlet| Some((outlet.name().to_owned(), outlet.dtype().tensor_type()?));
            Ok(Self {
                inputs: session.inputs().iter().filter_map(element).collect(),
                outputs: session
                    .outputs()
                    .iter()
                    .map(|outlet| outlet.name().to_owned())
                    .collect(),
                session: Mutex::new(session),
                suppressed,
            })
        })
    }

    fn run(&self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<Vec<Tensor>, EngineFault> {
        let given = inputs
            .iter()
            .map(|(name, tensor)| {
                let ty = self
                    .inputs
                    .get(*name)
                    .ok_or_else(|| EngineFault::NoValue((*name).to_owned()))?;
                Ok((Cow::from(*name), value::input(name, tensor, *ty)?))
            })
            .collect::<Result<Vec<(Cow<'_, str>, SessionInputValue<'_>)>, EngineFault>>()?;
        let selected = wanted
            .iter()
            .fold(OutputSelector::no_default(), |selected, name| selected.with(*name));
        guarded(|| {
            let options = ort::session::RunOptions::new().map_err(EngineFault::told)?;
            let options = options.with_outputs(selected);
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            let outputs = session.run_with_options(given, &options).map_err(EngineFault::told)?;
            wanted
                .iter()
                .map(|name| {
                    let found = outputs.get(name).ok_or(EngineFault::FewOutputs)?;
                    value::output(found).map_err(|reason| EngineFault::Output {
                        value: format!("the value '{name}'"),
                        reason: reason.to_string(),
                    })
                })
                .collect()
        })
    }
}

impl Engine for Onnxruntime {
    fn name(&self) -> &str {
        &self.name
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
        let among_outputs = wanted.iter().all(|name| self.main.outputs.contains(*name));
        let values = if among_outputs && (self.unoptimized || !options.unoptimized) {
            self.main.run(inputs, wanted)
        } else {
            let between = self.between(wanted, self.unoptimized || options.unoptimized);
            between.and_then(|between| between.loaded.run(inputs, wanted))
        };
        values.map_err(EngineError::Run)
    }

    fn threads(&self) -> Option<usize> {
        Some(self.threads)
    }

    fn before_suppression(&self) -> Option<&str> {
        self.main.suppressed.as_deref()
    }

    /// Where the runtime keeps a value is not known.
    fn has_value(&self, _: &str) -> bool {
        false
    }

    /// A session begins at its inputs only.
    fn compute_between(
        &self,
        _: &Threads,
        _: &[(&str, &Tensor)],
        _: &[&str],
    ) -> Result<Option<Vec<Tensor>>, EngineError> {
        Ok(None)
    }
}

/// What runs, for a person: `onnxruntime 1.32.0`, with the provider if it is not the CPU's.
fn describe(library: &Library, options: &OnnxruntimeOptions) -> String {
    let parts = [
        "onnxruntime",
        &library.version,
        options.provider.as_deref().unwrap_or_default(),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn builder(library: &Library, options: &OnnxruntimeOptions) -> Result<SessionBuilder, EngineFault> {
    #[allow(clippy::needless_pass_by_value, reason = "what `map_err` hands on")]
    fn told<R>(error: ort::Error<R>) -> EngineFault {
        EngineFault::told(error.message())
    }
    let threads = options.threads.unwrap_or_else(|| Threads::current().count());
    let mut builder = Session::builder(&library.environment).map_err(told)?;
    builder = builder.with_intra_threads(threads.max(1)).map_err(told)?;
    builder = builder.with_log_level(ort::logging::LogLevel::Error).map_err(told)?;
    if let Some(level) = options.matmulnbits_accuracy_level {
        let (key, level) = ("session.qdq_matmulnbits_accuracy_level", level.to_string());
        builder = builder.with_config_entry(key, level).map_err(told)?;
    }
    if let Some(name) = &options.provider
        && let Some(provider) = provider(name)?
    {
        builder = builder
            .with_execution_providers([provider.error_on_failure()])
            .map_err(|error| EngineFault::Provider {
                provider: name.clone(),
                reason: error.message().to_owned(),
            })?;
    }
    Ok(builder)
}

/// An execution provider by its name or the first part of it; `None` for the CPU, which is always there.
fn provider(name: &str) -> Result<Option<ep::ExecutionProviderDispatch>, EngineFault> {
    let short = name.to_lowercase();
    let short = short.strip_suffix("executionprovider").unwrap_or(&short);
    Ok(Some(match short {
        "cpu" => return Ok(None),
        "cuda" => ep::CUDA::default().build(),
        "tensorrt" => ep::TensorRT::default().build(),
        "openvino" => ep::OpenVINO::default().build(),
        "coreml" => ep::CoreML::default().build(),
        "directml" | "dml" => ep::DirectML::default().build(),
        _ => {
            return Err(EngineFault::NoProvider(name.to_owned()));
        }
    }))
}

/// Does `work`; a panic within becomes a reason too.
fn guarded<T>(work: impl FnOnce() -> Result<T, EngineFault>) -> Result<T, EngineFault> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(EngineFault::GaveUp(super::panic_text(&*panic).to_owned())))
}

fn ports(outlets: &[Outlet]) -> Vec<Port> {
    outlets.iter().map(port).collect()
}

fn port(outlet: &Outlet) -> Port {
    let name = outlet.name().to_owned();
    let ValueType::Tensor {
        ty,
        shape,
        dimension_symbols,
    } = outlet.dtype()
    else {
        return Port {
            name,
            shape: None,
            axis_names: Vec::new(),
            kind: ElementKind::Float,
        };
    };
    Port {
        name,
        shape: Some(shape.iter().map(|size| usize::try_from(*size).ok()).collect()),
        axis_names: dimension_symbols
            .iter()
            .map(|name| Some(name.clone()).filter(|name| !name.is_empty()))
            .collect(),
        kind: match ty {
            TensorElementType::Int32 | TensorElementType::Int64 | TensorElementType::Bool => ElementKind::Integer,
            TensorElementType::Uint8 => ElementKind::Byte,
            TensorElementType::Int8 => ElementKind::SignedByte,
            _ => ElementKind::Float,
        },
    }
}

#[cfg(test)]
mod tests;
