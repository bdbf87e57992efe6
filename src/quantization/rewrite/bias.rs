//! Biases as integer kernels and runtimes take them: in the Add that is there, and in 32-bit integers.

use super::super::int32_bias::product_factor;
use super::super::storage::{CodeType, Storage};
use super::super::{QuantizationError, QuantizedLayer, Scales};
use super::editor::{node_at, replace_input};
use super::widen::Rows;
use crate::network::{Layer, LayerKind, Network};
use crate::onnx::build::{float_tensor, i32_tensor, int_attribute, node};
use crate::onnx::schema::data_type;
use crate::onnx::{Graph, GraphEdit, TensorProto, float_values};

/// Adds the correction `bias` of a matrix product to the constant of an Add that alone reads it, if there is one with a number for
/// each output channel; whether there was. One node less than an Add of its own, and runtimes fuse it as they did before.
pub(super) fn add_to_constant(editor: &mut GraphEdit, network: &Network, layer: &Layer, bias: &[f32]) -> bool {
    let place = || {
        let is_last = layer.kind == LayerKind::MatMul && matches!(&layer.input, Some((_, -1)));
        let proto = network.model.graph.as_ref().filter(|_| is_last)?;
        let graph = Graph::main(proto);
        let output = network.node(layer)?.output.first()?;
        let [reader] = graph.readers(output) else { return None };
        let add = graph.node(*reader)?;
        if graph.read_count(output) != 1 || add.op_type() != "Add" {
            return None;
        }
        let slot = add.input.iter().position(|input| input != output)?;
        // As it is by now: the same constant may have been changed for another reader.
        let name = editor.node(*reader)?.input.get(slot)?.clone();
        let values = vector(editor.constant(&name)?, bias.len())?;
        Some((*reader, slot, name, values))
    };
    let Some((reader, slot, name, values)) = place() else {
        return false;
    };
    let sums: Vec<f32> = values.iter().zip(bias).map(|(value, more)| value + more).collect();
    let corrected = editor.add_initializer(&format!("{name}.corrected"), float_tensor("", &[sums.len()], &sums));
    editor.replace_input(reader, slot, corrected).is_some()
}

/// The numbers of a float constant that has one for each of `count` channels, along its last axis.
fn vector(tensor: &TensorProto, count: usize) -> Option<Vec<f32>> {
    let is_row = tensor
        .dims
        .last()
        .is_some_and(|size| usize::try_from(*size) == Ok(count));
    let values = float_values(tensor).ok()?;
    (tensor.data_type() == data_type::FLOAT && is_row && values.len() == count).then(|| values.to_vec())
}

/// The scale `s_x s_w` of what an integer kernel of `layer` adds up, for each output channel; `None` where it has no such kernel,
/// because its input is not on a grid, or its weights are not stored as bytes or have scales in blocks.
fn sum_scales(layer: &Layer, quantized: &QuantizedLayer, storage: Storage) -> Option<Vec<f32>> {
    let is_symmetric = quantized.zero_points.is_empty();
    if CodeType::of(storage, layer, quantized).bits() != 8 || !is_symmetric {
        return None;
    }
    let input = quantized.activation.as_ref()?.grid.step;
    match &quantized.scales {
        Scales::Tensor(scale) => Some(vec![scale * input; layer.layout.out_channels()]),
        Scales::Channel(scales) => Some(scales.iter().map(|scale| scale * input).collect()),
        Scales::Block { .. } => None,
    }
}

/// Rounds the bias of a convolution, transposed or not, to multiples of `s_x s_w`. Before a grid onnxruntime makes an integer of it,
/// which its kernel adds; with a bias that is whole already, the graph as it is written computes the same, and so does the preview.
pub(super) fn round_to_sums(
    editor: &mut GraphEdit,
    layer: &Layer,
    quantized: &QuantizedLayer,
    storage: Storage,
    rows: Option<&Rows<'_>>,
) {
    let (LayerKind::Conv | LayerKind::ConvTranspose, Some(path)) = (layer.kind, &layer.node) else {
        return;
    };
    let Some(mut scales) = sum_scales(layer, quantized, storage) else {
        return;
    };
    if layer.kind == LayerKind::ConvTranspose {
        // Those of one group are those of each.
        scales = scales.repeat(layer.layout.groups);
    }
    let bias = editor.node(path.node).and_then(|node| node.input.get(2));
    let Some(tensor) = bias.and_then(|name| editor.constant(name)) else {
        return;
    };
    // A corrected bias has the copies of a wider layer in it; one of the file gets them later.
    if let Some(rows) = rows.filter(|_| tensor.dims != [scales.len() as i64]) {
        scales = rows.vector(&scales);
    }
    let Some(values) = vector(tensor, scales.len()) else {
        return;
    };
    let whole = |(bias, scale): (&f32, &f32)| {
        let scale = f64::from(*scale);
        let rounded = ((f64::from(*bias) / scale).round() * scale) as f32;
        if rounded.is_finite() { rounded } else { *bias }
    };
    let rounded: Vec<f32> = values.iter().zip(&scales).map(whole).collect();
    editor.replace_constant(path.node, 2, "rounded", &[rounded.len() as i64], &rounded);
}

/// Stores the bias of a Gemm in 32-bit integers of scale `s_x s_w` behind `DequantizeLinear`: onnxruntime turns the product into
/// an integer kernel only with such a bias. (That of a convolution it makes itself.)
pub(super) fn store_as_integers(
    editor: &mut GraphEdit,
    layer: &Layer,
    quantized: &QuantizedLayer,
    storage: Storage,
) -> Result<(), QuantizationError> {
    let (Some(scales), Some(path)) = (sum_scales(layer, quantized, storage), &layer.node) else {
        return Ok(());
    };
    let gemm = node_at(editor, path.node)?;
    let has_kernel = layer.kind == LayerKind::Gemm && product_factor(layer, gemm) == Some(1.0);
    let Some(name) = gemm.input.get(2).filter(|name| has_kernel && !name.is_empty()).cloned() else {
        return Ok(());
    };
    let count = layer.layout.out_channels();
    let Some(values) = editor.constant(&name).and_then(|bias| vector(bias, count)) else {
        return Ok(());
    };
    let codes: Vec<f64> = values
        .iter()
        .zip(&scales)
        .map(|(bias, scale)| (f64::from(*bias) / f64::from(*scale)).round())
        .collect();
    if !codes.iter().all(|code| code.abs() <= f64::from(i32::MAX)) {
        return Ok(());
    }
    let codes: Vec<i32> = codes.iter().map(|code| *code as i32).collect();
    let integers = editor.add_initializer(&format!("{name}.q"), i32_tensor("", &[count], &codes));
    let (scale, attributes) = match (&quantized.scales, scales.first()) {
        (Scales::Tensor(_), Some(scale)) => (crate::onnx::build::scalar_f32("", *scale), vec![]),
        _ => (float_tensor("", &[count], &scales), vec![int_attribute("axis", 0)]),
    };
    let scale = editor.add_initializer(&format!("{name}.scale"), scale);
    let to = editor.fresh(&format!("{name}.dequantized"));
    let label = editor.fresh(&format!("{}/dequantize_bias", layer.name));
    let dequantize = node("DequantizeLinear", label, [integers, scale], [to.clone()], attributes);
    editor.insert(path.node, dequantize);
    replace_input(editor, path.node, 2, to)
}
