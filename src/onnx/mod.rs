//! ONNX files: the schema, reading, writing, tensors as floats. Knows nothing of layers or quantization.

pub mod build;
mod error;
mod read;
pub mod schema;
mod tensor;
mod write;

pub use error::OnnxError;
pub use read::{read_bytes, read_file};
pub use schema::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
pub use tensor::{FloatData, element_count, float_values, is_float, tensor_bytes};
pub use write::{encode, write_file};
