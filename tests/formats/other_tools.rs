//! Files of other tools: element types, quantized networks, the many ways in which graphs hold weights.

mod checkpoints;
mod elements;
mod onnxruntime;
mod packed_networks;
mod weights;
