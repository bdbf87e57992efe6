//! The layers of a weights-only file: every float tensor of two or more dimensions, read as torch writes them.

use super::site::{NOTHING, plain_layout};
use super::weight_source::{Weight, shape};
use crate::network::layer::{Layer, LayerKind, Support, TensorPlace, WeightSource};
use crate::onnx::{GraphProto, is_float};

/// `W[O, I, k…]` for each tensor. An embedding looks the same.
pub(super) fn layers(graph: &GraphProto, found: &mut Vec<Layer>) {
    for (position, tensor) in graph.initializer.iter().enumerate() {
        if tensor.dims.len() < 2 || !is_float(tensor) {
            continue;
        }
        let weight = Weight {
            name: tensor.name().to_owned(),
            tensor,
            source: WeightSource {
                subgraphs: Vec::new(),
                tensor: TensorPlace::Initializer(position),
                chain: Vec::new(),
            },
            axes: (0..tensor.dims.len()).collect(),
            dequantized: false,
            obstacle: None,
        };
        let (layout, support) = match weight.sizes() {
            Ok(sizes) => (plain_layout(&sizes), Support::Split),
            Err(reason) => (NOTHING, Support::View(reason)),
        };
        found.push(Layer {
            name: weight.name.clone(),
            kind: LayerKind::Tensor,
            op: "Tensor".to_owned(),
            weight: weight.name,
            shape: shape(tensor),
            layout,
            weight_input: 0,
            input: None,
            support,
            node: None,
            source: weight.source,
        });
    }
}
