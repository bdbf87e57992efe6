//! Channels without weights behind those of a split layer: integer kernels take channels by fours, and by sixteens in depthwise
//! convolutions, and a width between takes them longer than the next wider one.

use super::Step;
use crate::network::{LayerKind, Network};
use crate::quantization::storage::CodeType;
use crate::quantization::{Plan, Scales};

/// What a product of bytes takes at once: four of them are one lane of its 32-bit sums.
const PRODUCT: usize = 4;
/// What a depthwise convolution takes at once.
const DEPTHWISE: usize = 16;
/// The largest multiple that there is.
pub(in crate::quantization) const LARGEST_MULTIPLE: usize = DEPTHWISE;

/// Input channels of layer `index` come in multiples of this; `steps` lead to it from the layer that makes their copies. 1 where
/// no integer kernel is meant, or the scales lie along the channels.
pub(super) fn multiple(network: &Network, plan: &Plan, index: usize, steps: &[Step]) -> usize {
    let (layer, planned) = (&network.layers[index], &plan.layers[index]);
    let is_split = planned.inputs().is_some_and(|inputs| inputs.is_expanded());
    let takes_multiples = planned.quantized().is_some_and(|quantized| {
        let is_code = CodeType::of(plan.recipe.storage, layer, quantized) != CodeType::Float;
        is_split && is_code && quantized.activation.is_some() && !matches!(quantized.scales, Scales::Block { .. })
    });
    let is_product = matches!(layer.kind, LayerKind::Conv | LayerKind::Gemm | LayerKind::MatMul);
    if !plan.recipe.quantize_outputs || !takes_multiples || !is_product || layer.layout.groups > 1 {
        return 1;
    }
    let is_depthwise = |step: &Step| step.layer.is_some_and(|index| network.layers[index].layout.groups > 1);
    // Of few channels the sixteen may be half as many again.
    let is_worth_it = layer.layout.channels >= 2 * DEPTHWISE;
    if is_worth_it && steps.iter().any(is_depthwise) {
        DEPTHWISE
    } else {
        PRODUCT
    }
}
