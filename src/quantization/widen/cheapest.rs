//! Which is cheaper for one split layer: channels that a `Gather` copies, or ones that the layer before computes too.

use super::way::NoWay;
use super::{Expansion, Step};
use crate::network::{Layer, LayerKind, Network};
use crate::onnx::build::attribute_ints;

/// Multiply-accumulates that take as long as copying one element with a `Gather` over the channels of a picture, in onnxruntime: integer
/// convolutions have channels last, so that the picture is transposed on both sides of it.
const PICTURE_ELEMENT: u64 = 24;
/// The same where channels are last: only the copies are gathered, and the rest is moved as it lies.
const LAST_ELEMENT: u64 = 8;
/// How many times as long as one of a product a multiply-accumulate of a depthwise convolution takes.
const DEPTHWISE: u64 = 4;
/// Positions that become one in a global pool, whose sizes no attribute tells.
const GLOBAL_POOL: u64 = 49;

/// Whether the layer at the first of `steps` had better compute the copies of the input of `layer`.
///
/// # Errors
/// [`NoWay::Dearer`] with what it would compute for each element that a `Gather` copies.
pub(super) fn is_worth_it(
    network: &Network,
    layer: &Layer,
    steps: &[Step],
    expansion: &Expansion,
) -> Result<(), NoWay> {
    let after = expansion.copies.len() as u64;
    let added = after.saturating_sub(layer.layout.in_channels() as u64);
    let is_picture = layer.kind == LayerKind::Conv;
    let element = if is_picture { PICTURE_ELEMENT } else { LAST_ELEMENT };
    let computed = added.saturating_mul(macs_a_channel(network, steps));
    if computed > after.saturating_mul(element) {
        return Err(NoWay::Dearer {
            layer: (steps.first().and_then(|step| step.layer))
                .map_or_else(String::new, |index| network.layers[index].name.clone()),
            macs: computed.div_ceil(after.max(1)),
        });
    }
    Ok(())
}

/// What one more channel on the way costs, for each position of the layer that reads it.
fn macs_a_channel(network: &Network, steps: &[Step]) -> u64 {
    let (mut total, mut positions) = (0_u64, 1_u64);
    for step in steps.iter().rev() {
        if let Some(index) = step.layer {
            let layer = &network.layers[index];
            let row = layer.parameters() / (layer.layout.out_channels() as u64).max(1);
            let each = if layer.layout.groups > 1 { row * DEPTHWISE } else { row };
            total = total.saturating_add(each.saturating_mul(positions));
        }
        positions = positions.saturating_mul(positions_of_one(network, step));
    }
    total
}

/// Positions of what a step reads for each of what it makes.
fn positions_of_one(network: &Network, step: &Step) -> u64 {
    let graph = network.model.graph.as_ref();
    let strides = graph
        .and_then(|graph| graph.node.get(step.node))
        .and_then(|node| attribute_ints(node, "strides"));
    match strides {
        Some(strides) => strides
            .iter()
            .map(|stride| u64::try_from(*stride).unwrap_or(1))
            .fold(1, u64::saturating_mul),
        None if step.keeps_size || step.layer.is_some() => 1,
        None => GLOBAL_POOL,
    }
}
