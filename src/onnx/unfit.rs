//! Why a node cannot be rewritten: for a newer operator set, or for the built-in engine.

use super::OnnxError;

/// What of a node stands in the way, in words that follow its name.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("its input number {0} is missing")]
    NoInput(usize),
    #[error("its output number {0} is missing")]
    NoOutput(usize),
    #[error("its attribute {0} is missing")]
    NoAttribute(&'static str),
    #[error("its attribute {0} is not computed")]
    Attribute(&'static str),
    #[error("its {attribute} '{value}' is not computed")]
    Value { attribute: &'static str, value: String },
    #[error("its {attribute} '{value}' is not known to ONNX")]
    UnknownValue { attribute: &'static str, value: String },
    #[error("its {attribute} has {found} numbers for {axes} axes")]
    Numbers {
        attribute: &'static str,
        found: usize,
        axes: usize,
    },
    #[error("its attribute {0} has no equivalent")]
    NoEquivalent(String),
    #[error("a size of its window is {0}")]
    Window(i64),
    #[error("its attribute axis is {0}")]
    Axis(i64),
    /// A value that is computed with.
    #[error("it computes with '{0}', which holds integers of more than the 32 bits of the built-in engine")]
    WideIntegers(String),
    /// A constant, and the name of its type.
    #[error("'{0}' holds elements of type {1}, which the built-in engine does not have")]
    Constant(String, &'static str),
    #[error("the built-in engine has no elements of type {0}")]
    NoElements(&'static str),
    /// What the table of operators says.
    #[error("the built-in engine cannot compute it: {0}")]
    Refused(&'static str),
    #[error(transparent)]
    Tensor(#[from] OnnxError),
    /// What a rule asks for and the node has not, whatever the case.
    #[error("{0}")]
    Rule(&'static str),
    /// The same with what there is instead.
    #[error("{0}")]
    Case(String),
}

impl From<&'static str> for Unfit {
    fn from(rule: &'static str) -> Self {
        Self::Rule(rule)
    }
}
