//! What can be wrong with a GGUF file. Names in it are short and printable.

use super::{MAX_AXES, VERSIONS};
use crate::onnx::OnnxError;

/// Why a file is not read, or not told as a network.
#[derive(Debug, thiserror::Error)]
pub(super) enum GgufError {
    #[error("not a GGUF file: it does not begin with 'GGUF'")]
    NotGguf,
    #[error("the file is big-endian: convert it with llama.cpp's gguf_convert_endian.py")]
    BigEndian,
    #[error("GGUF version {0} is not known: {first} and {last} are read", first = VERSIONS.start(), last = VERSIONS.end())]
    Version(u32),
    /// What begins at that byte needs more than there is to the end.
    #[error("the file is cut off or broken: {what} at byte {at} does not fit, the file ends at byte {end}")]
    CutOff { what: String, at: usize, end: usize },
    #[error("the metadata entry '{0}' is there twice")]
    EntryTwice(String),
    #[error("the metadata entry '{name}' has the unknown type {kind}")]
    EntryType { name: String, kind: u32 },
    #[error("the metadata entry '{0}' is a list of lists, which is not read")]
    ListOfLists(String),
    #[error("the metadata entry '{name}' should hold {length} values, {left} bytes are left of the file")]
    ListLength { name: String, length: u64, left: usize },
    #[error("the metadata entry '{name}' holds {number}, which is too large")]
    LargeNumber { name: String, number: i128 },
    #[error("'general.alignment' is no power of two")]
    Alignment,
    #[error("'general.alignment' is beyond the file")]
    AlignmentBeyond,
    #[error("the file says that it holds {0} tensors, more than it has room for")]
    Tensors(u64),
    #[error(
        "it is part {number} of {count} of a file: call the parts NAME-{number:05}-of-{count:05}.gguf and so on, in one folder"
    )]
    PartName { number: usize, count: usize },
    #[error("it should hold {told} tensors with all its parts, {found} are there: download them again")]
    PartTensors { told: usize, found: usize },
    #[error("two tensors are called '{0}'")]
    TensorTwice(String),
    #[error("tensor '{name}' has {axes} axes, more than {MAX_AXES}")]
    Axes { name: String, axes: u32 },
    #[error("the data of tensor '{0}' lie outside of the file: it is cut off or broken")]
    Outside(String),
    #[error("tensor '{name}' has the unknown type {kind}")]
    TensorType { name: String, kind: u32 },
    #[error("tensor '{name}' begins between the steps of {alignment} bytes")]
    Unaligned { name: String, alignment: u64 },
    #[error(transparent)]
    Tensor(#[from] OnnxError),
    #[error("no '{architecture}.attention.head_count' tells the heads of '{tensor}'")]
    NoHeads { architecture: String, tensor: String },
    #[error("tensor '{name}' has {rows} rows, which do not divide into {heads} heads of pairs")]
    Rows { name: String, rows: usize, heads: usize },
    #[error("the file holds no {0}")]
    Lacks(&'static str),
    #[error(
        "its tokenizer is '{0}', which is not known; byte-level BPE ('gpt2') and SentencePiece's BPE ('llama') are"
    )]
    Tokenizer(String),
    /// How texts are cut before pieces are merged.
    #[error("its tokenizer cuts texts the way '{0}', which is not known")]
    Cuts(String),
}
