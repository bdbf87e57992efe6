//! What goes wrong in an engine.

/// Why an engine is not there, or does not load or run a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineFault {
    /// Bytes that are no ONNX file.
    #[error("the bytes are no ONNX model: {0}")]
    NotOnnx(String),
    /// A model without nodes.
    #[error("there is no graph")]
    NoGraph,
    /// A tensor whose numbers lie in another file.
    #[error("weights in other files must be read into the model first: '{0}'")]
    WeightsElsewhere(String),
    /// The body of a loop or branch that is longer than can be planned.
    #[error("the body of {operator} '{node}' has {nodes} nodes, the engine can follow at most {most} there")]
    LongBody {
        /// The operator that has it.
        operator: String,
        /// The name of that node.
        node: String,
        /// Nodes of the body.
        nodes: usize,
        /// Nodes that can be followed.
        most: usize,
    },
    /// No thread has a stack for so many nodes.
    #[error("there is no room for a graph of {nodes} nodes: {reason}")]
    NoStack {
        /// Nodes.
        nodes: usize,
        /// The system's reason.
        reason: String,
    },
    /// A value that is asked for or given.
    #[error("the network has no value '{0}'")]
    NoValue(String),
    /// An input that is not given.
    #[error("the input {0} is missing")]
    NoInput(String),
    /// An input that the engine does not take.
    #[error("the input '{input}': {reason}")]
    Input {
        /// The input.
        input: String,
        /// What does not fit.
        reason: String,
    },
    /// A computed value that is no tensor of numbers.
    #[error("{value}: {reason}")]
    Output {
        /// The value, and where it comes from.
        value: String,
        /// What it is.
        reason: String,
    },
    /// Fewer values than were asked for.
    #[error("the engine gave too few outputs")]
    FewOutputs,
    /// The system's reason why it cannot run beside others.
    #[error("no thread could be started: {0}")]
    NoThread(String),
    /// Whoever ran the batches is gone.
    #[error("running the batches stopped")]
    Stopped,
    /// A panic inside of the engine.
    #[error("the engine gave up: {0}")]
    GaveUp(String),
    /// The name of an execution provider.
    #[error("there is no execution provider '{0}': cpu, cuda, tensorrt, openvino, coreml, directml")]
    NoProvider(String),
    /// An execution provider that the library was built without.
    #[error("the library cannot run on '{provider}': {reason}")]
    Provider {
        /// The provider.
        provider: String,
        /// The library's reason.
        reason: String,
    },
    /// Another library is in the process already, and stays there.
    #[error("{loaded} is loaded already: start the program anew for {wanted}")]
    OtherLibrary {
        /// The one that is loaded.
        loaded: String,
        /// The one that is wanted.
        wanted: String,
    },
    /// A file that is a library, but not the engine's.
    #[error("{0} is no usable library of onnxruntime")]
    UnusableLibrary(String),
    /// A library that cannot be reached.
    #[error("{place}: {reason}")]
    Library {
        /// Its path, or what names it.
        place: String,
        /// The system's reason.
        reason: String,
    },
    /// No library in any of the places where it is looked for.
    #[error("no library found in {0}, the active Python environment or python3 (pip install onnxruntime)")]
    NoLibrary(&'static str),
    /// The engine's own words.
    #[error("{0}")]
    Told(String),
}

impl EngineFault {
    /// What the engine says of itself.
    #[allow(clippy::needless_pass_by_value, reason = "what `map_err` hands on")]
    pub(super) fn told(reason: impl ToString) -> Self {
        Self::Told(reason.to_string())
    }
}
