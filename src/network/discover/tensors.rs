//! The layers of a weights-only file: every tensor of numbers with two or more dimensions, read as torch writes them.

use super::site::{NOTHING, axis_layout};
use super::weight_source::{Weight, shape};
use crate::network::layer::{Layer, LayerKind, Support, TensorPlace, WeightSource};
use crate::onnx::{GraphProto, is_float, is_number};

/// The axis of the input channels as torch writes weights: `W[O, I, k…]`. An embedding looks the same.
const CHANNEL_AXIS: usize = 1;

/// A layer for each tensor. What is on a grid already (integers, 8-bit floats) is there to look at.
pub(super) fn layers(graph: &GraphProto, found: &mut Vec<Layer>) {
    for (position, tensor) in graph.initializer.iter().enumerate() {
        if tensor.dims.len() < 2 || !is_number(tensor.data_type()) {
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
            Ok(sizes) if is_float(tensor) => (axis_layout(&sizes, CHANNEL_AXIS), Support::Split),
            Ok(sizes) => {
                let reason = format!("weights are {}: looked at without their scale", weight.type_name());
                (axis_layout(&sizes, CHANNEL_AXIS), Support::View(reason))
            }
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
            chosen_axis: None,
            support,
            node: None,
            source: weight.source,
        });
    }
}
