//! Bias correction (Nagel et al. 2019, arXiv 1906.04721, section 4.2): rounding moves the mean of a layer's outputs by
//! `E[Wq x] - E[W x] = (Wq - W) E[x]`; the bias takes it back.

use super::{InputMoments, QuantizedLayer};
use crate::network::{Layer, LayerKind, Network, OutAxis};
use crate::onnx::build::{attribute_float, attribute_ints};
use crate::onnx::schema::data_type;
use crate::onnx::{NodeProto, float_values};

/// Why the bias of a layer is not corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotCorrected {
    /// The ranges are of noise, which tells nothing inside of the network.
    #[error("noise alone tells the means of its inputs (calibrate on data)")]
    Noise,
    /// No means, or not those of its input channels.
    #[error("the means of its input channels are not known")]
    Means,
    /// What is to be added is beyond floats.
    #[error("the corrected bias is not finite")]
    NotFinite,
    /// A cell that reads its own states.
    #[error("what rounding does to a recurrent cell depends on its states")]
    Recurrent,
    /// A table.
    #[error("an embedding has none")]
    Embedding,
    /// A layer that is looked at only.
    #[error("the layer is not run")]
    NotRun,
    /// The graph lacks its node.
    #[error("it has no node")]
    NoNode,
    /// A weight of another type, or behind a Cast.
    #[error("its weight is not read as F32")]
    NotFloats,
    /// A bias that is computed, or has another shape.
    #[error("its bias is no F32 constant with one number a channel")]
    Bias,
}

/// The bias that a quantized layer needs so that its mean outputs are those of `weights`, the weights before quantization,
/// as the layer adds it (for a Gemm, times `beta`); `means` has the mean of each input channel, or of what each weight of an
/// output meets, in the float network and behind the quantized layers, where that is another.
///
/// For a convolution of which only the means of channels are known, pixels beside the border are taken to have the mean too; of a
/// transposed one, whose outputs meet other weights at other places, the mean over places counts. Its bias, if it has one, is a constant with one number a channel. The
/// bias of a Gemm that leaves it out (`beta = 0`) is for `beta = 1`.
///
/// # Errors
/// Why this layer cannot be corrected.
pub(super) fn corrected_bias(
    network: &Network,
    layer: &Layer,
    weights: &[f32],
    quantized: &QuantizedLayer,
    means: InputMeans<'_>,
) -> Result<Vec<f32>, NotCorrected> {
    let node = can_correct(network, layer)?;
    let channels = layer.layout.in_channels();
    let fits = |means: &[f64]| means.len() == channels || means.len() == places_of(layer);
    if !fits(means.float) || !fits(means.quantized) {
        return Err(NotCorrected::Means);
    }
    let (alpha, beta) = factors(layer, node);
    let mut shift = output_shift(layer, weights, quantized, means);
    if layer.kind == LayerKind::ConvTranspose {
        // With a stride, each weight meets one in that many outputs.
        let strides = attribute_ints(node, "strides").unwrap_or_default();
        let places = strides.iter().map(|stride| *stride as f64).product::<f64>().max(1.0);
        shift.iter_mut().for_each(|shift| *shift /= places);
    }
    let (bias, beta) = match beta {
        0.0 => (vec![0.0; shift.len()], 1.0),
        beta => (constant_bias(network, node, shift.len())?, beta),
    };
    let corrected = bias
        .iter()
        .zip(&shift)
        .map(|(bias, shift)| (bias - alpha * shift / beta) as f32);
    let corrected: Vec<f32> = corrected.collect();
    if corrected.iter().all(|value| value.is_finite()) {
        Ok(corrected)
    } else {
        Err(NotCorrected::NotFinite)
    }
}

/// What a Gemm multiplies its product and its bias by; 1 for other layers.
fn factors(layer: &Layer, node: &NodeProto) -> (f64, f64) {
    let factor = |name: &str| match layer.kind {
        LayerKind::Gemm => f64::from(attribute_float(node, name).unwrap_or(1.0)),
        _ => 1.0,
    };
    (factor("alpha"), factor("beta"))
}

/// The node of a layer whose bias can be corrected, if the means of its inputs are known.
///
/// # Errors
/// Why it cannot.
pub(super) fn can_correct<'a>(network: &'a Network, layer: &Layer) -> Result<&'a NodeProto, NotCorrected> {
    match layer.kind {
        LayerKind::Conv | LayerKind::ConvTranspose | LayerKind::Gemm | LayerKind::MatMul => {}
        LayerKind::Lstm | LayerKind::Gru | LayerKind::Rnn => return Err(NotCorrected::Recurrent),
        LayerKind::Embedding => return Err(NotCorrected::Embedding),
        LayerKind::Tensor | LayerKind::Quantized | LayerKind::Other => return Err(NotCorrected::NotRun),
    }
    let node = network.node(layer).ok_or(NotCorrected::NoNode)?;
    if !reads_floats(network, layer) {
        return Err(NotCorrected::NotFloats);
    }
    if factors(layer, node).1 != 0.0 {
        let groups = match layer.layout.out_axis {
            OutAxis::Outer => 1,
            OutAxis::Inner => layer.layout.groups,
        };
        constant_bias(network, node, groups * layer.layout.out_channels())?;
    }
    Ok(node)
}

/// What the weights of the outputs of a layer meet: for a convolution each input channel at each place of the kernel.
fn places_of(layer: &Layer) -> usize {
    layer.layout.groups * InputMoments::columns_of(layer)
}

/// The mean of each input channel of a layer, or of each place of the kernel in each.
#[derive(Clone, Copy)]
pub(super) struct InputMeans<'a> {
    /// In the float network.
    pub(super) float: &'a [f64],
    /// In the quantized network; the same where that is not known.
    pub(super) quantized: &'a [f64],
}

/// How far the mean of each output moves: `Wq E[x] - W E[z]` for inputs z in the float network, copies of a channel added up.
fn output_shift(layer: &Layer, weights: &[f32], quantized: &QuantizedLayer, means: InputMeans<'_>) -> Vec<f64> {
    let layout = &layer.layout;
    let expanded = &quantized.layout;
    // Groups share the axis of the output channels where those are behind the input channels.
    let (groups, channels) = match layout.out_axis {
        OutAxis::Outer => (1, layout.out_channels()),
        OutAxis::Inner => (layout.groups, layout.out_channels()),
    };
    let mut shift = vec![0.0_f64; groups * channels];
    let scales = quantized.placed();
    let mut add = |row: usize, place: usize, contribution: f64| {
        let group = if groups > 1 { row / layout.outer } else { 0 };
        shift[group * channels + layout.out_channel(row, place)] += contribution;
    };
    let length = expanded.channels * expanded.inner;
    for (row, values) in quantized.values.chunks_exact(length.max(1)).enumerate() {
        let first = row / expanded.outer * expanded.channels;
        for (place, q) in values.iter().enumerate() {
            let source = quantized.index[first + place / expanded.inner];
            let mean = mean_at(means.quantized, layer, source, place % expanded.inner);
            let scale = scales.both_at(row, place);
            let steps = i32::from(*q) - scale.zero_point.map_or(0, i32::from);
            add(row, place, f64::from(steps) * f64::from(scale.scale) * mean);
        }
    }
    let length = layout.channels * layout.inner;
    for (row, values) in weights.chunks_exact(length.max(1)).enumerate() {
        let first = row / layout.outer * layout.channels;
        for (place, w) in values.iter().enumerate() {
            let mean = mean_at(means.float, layer, first + place / layout.inner, place % layout.inner);
            add(row, place, -f64::from(*w) * mean);
        }
    }
    shift
}

/// The mean of what a weight meets: input channel `channel`, at place `at` of its kernel.
fn mean_at(means: &[f64], layer: &Layer, channel: usize, at: usize) -> f64 {
    match means.len() == layer.layout.in_channels() {
        true => means[channel],
        false => means[channel * layer.layout.inner + at],
    }
}

/// The bias of a node of `count` output channels, zeros if it has none.
pub(super) fn constant_bias(network: &Network, node: &NodeProto, count: usize) -> Result<Vec<f64>, NotCorrected> {
    let Some(name) = node.input.get(2).filter(|name| !name.is_empty()) else {
        return Ok(vec![0.0; count]);
    };
    let tensor = network
        .constant(name)
        .filter(|tensor| tensor.data_type() == data_type::FLOAT);
    let values = tensor.and_then(|tensor| Some((tensor.dims.last().copied(), float_values(tensor).ok()?)));
    match values {
        Some((_, values)) if values.len() == 1 && node.op_type() == "Gemm" => Ok(vec![f64::from(values[0]); count]),
        // A bias of a Gemm may also be one for each row.
        Some((last, values))
            if values.len() == count && last.is_some_and(|size| usize::try_from(size) == Ok(count)) =>
        {
            Ok(values.iter().map(|&value| f64::from(value)).collect())
        }
        _ => Err(NotCorrected::Bias),
    }
}

/// Whether the weight is F32 and goes to the layer without a Cast.
fn reads_floats(network: &Network, layer: &Layer) -> bool {
    let Some(graph) = &network.model.graph else {
        return false;
    };
    let chain = layer.source.chain.iter().map(|position| graph.node.get(*position));
    let mut ops = chain.map(|node| node.map_or("", NodeProto::op_type));
    let float = network
        .tensor(layer)
        .is_ok_and(|tensor| tensor.data_type() == data_type::FLOAT);
    float && layer.source.subgraphs.is_empty() && ops.all(|op| matches!(op, "Transpose" | "Identity"))
}
