//! ONNX files: the schema, reading, writing, tensors as floats. Knows nothing of layers or quantization.
//!
//! # Example
//!
//! ```
//! use splitscope::format::demo::Demo;
//! use splitscope::onnx;
//!
//! let model = Demo::Fashion.network()?.model;
//! let bytes = onnx::encode(&model)?;
//! let again = onnx::read_bytes(bytes.into(), None)?;
//! assert_eq!(again, *model);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beside;
mod block_packed;
mod blocks;
pub mod build;
mod conversion;
mod decode;
mod elements;
mod encoding;
mod error;
mod external;
mod facts;
mod functions;
mod graph;
mod names;
pub mod operators;
mod products;
mod read;
mod runnable;
pub mod schema;
mod small_floats;
mod sniff;
mod sparse;
mod structure;
mod tensor;
mod unfit;
mod unread;
mod upgrade;
mod visit;
mod write;

/// The old name of the rule, while work on branches uses it.
pub(crate) use crate::printable::short as one_line;
pub use beside::{ModelFolder, NotBeside};
pub use block_packed::{BlockPacked, is_block_packed};
pub use blocks::{BlockFormat, as_floats, as_written, computed_type, undecoded_name, undecoded_type};
pub use conversion::{Conversion, ConversionError, integer_range};
pub use decode::decode_for_engine;
pub use elements::{Elements, FloatSource, is_number, numbers};
pub use encoding::encode_numbers;
pub use error::OnnxError;
pub use functions::inline_functions;
pub use graph::{Graph, GraphEdit, Origin, constant_tensor, each_read};
pub(crate) use names::{Names, label};
pub use products::{plain_products, why_no_product};
pub use read::{read_bytes, read_file};
pub use runnable::{axis_names, is_axis_name, make_runnable, spell_out_defaults};
pub use schema::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
pub use sniff::foreign_kind;
pub use sparse::fill_sparse_initializers;
pub(crate) use tensor::integer_values;
pub use tensor::{
    FloatData, MOST_AXES, byte_count, data_type_name, element_count, float_values, is_float, tensor_bytes,
};
pub use unread::remove_unread_initializers;
pub use upgrade::{NEWEST_OPSET, UPGRADED_OPSET, upgrade};
pub use write::{encode, encoded_bytes, write_file};
