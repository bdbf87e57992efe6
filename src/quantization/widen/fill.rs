//! Channels without weights behind those of a split layer: integer kernels take channels by fours, and by sixteens in depthwise
//! convolutions; float convolutions take them by sixteens. A width between takes them longer than the next wider one.

use super::Step;
use crate::network::{Layer, LayerKind, Network};
use crate::quantization::storage::CodeType;
use crate::quantization::{Plan, Scales};

/// What a product of bytes takes at once: four of them are one lane of its 32-bit sums.
const PRODUCT: usize = 4;
/// What a depthwise convolution takes at once, and a float one in its blocked layout (NCHWc).
const BLOCK: usize = 16;
/// The largest multiple that there is.
pub(in crate::quantization) const LARGEST_MULTIPLE: usize = BLOCK;

/// Input channels of layer `index` come in multiples of this; `steps` lead to it from the layer that makes their copies. 1 where
/// a width makes no difference, or the scales lie along the channels.
pub(super) fn multiple(network: &Network, plan: &Plan, index: usize, steps: &[Step]) -> usize {
    let (layer, planned) = (&network.layers[index], &plan.layers[index]);
    let is_split = planned.inputs().is_some_and(|inputs| inputs.is_expanded());
    let on_grid = (planned.quantized()).filter(|quantized| !matches!(quantized.scales, Scales::Block { .. }));
    let Some(quantized) = on_grid.filter(|_| is_split && layer.layout.groups == 1) else {
        return 1;
    };
    let is_code = CodeType::of(plan.recipe.storage, layer, quantized) != CodeType::Float;
    match (is_code, quantized.activation.is_some()) {
        (true, true) if plan.recipe.quantize_outputs => integer_multiple(network, layer, steps),
        // Of a few channels sixteen more cost what the blocked layout gains.
        (false, false) if layer.kind == LayerKind::Conv && layer.layout.channels >= 6 * BLOCK => BLOCK,
        _ => 1,
    }
}

fn integer_multiple(network: &Network, layer: &Layer, steps: &[Step]) -> usize {
    if !matches!(layer.kind, LayerKind::Conv | LayerKind::Gemm | LayerKind::MatMul) {
        return 1;
    }
    let is_depthwise = |step: &Step| step.layer.is_some_and(|index| network.layers[index].layout.groups > 1);
    // Of few channels the sixteen may be half as many again.
    let is_worth_it = layer.layout.channels >= 2 * BLOCK;
    if is_worth_it && steps.iter().any(is_depthwise) {
        BLOCK
    } else {
        PRODUCT
    }
}
