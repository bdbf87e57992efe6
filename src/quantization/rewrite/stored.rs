//! The codes of a weight as tensors of a file, and the nodes that make numbers of them again.

use super::super::storage::{CodeType, Elements};
use super::super::{Granularity, Plan, QuantizationError, QuantizedLayer};
use super::widen::Rows;
use crate::network::{Layer, LayerKind, Network, OutAxis};
use crate::onnx::build::{float_tensor, i8_tensor, i64_tensor, int_attribute, node, scalar_f32};
use crate::onnx::{AttributeProto, GraphEdit, TensorProto, UPGRADED_OPSET};

/// The operator set that has scales in blocks.
const BLOCK_OPSET: i64 = 21;

/// The operator set that the stored weights of `plan` need.
pub(in crate::quantization) fn needed_opset(network: &Network, plan: &Plan) -> i64 {
    let of = |(layer, planned): (&Layer, &crate::quantization::LayerPlan)| {
        let quantized = planned.quantized()?;
        let code_type = CodeType::of(plan.recipe.storage, layer, quantized);
        // Tables have no blocks, and are packed into plain bytes.
        let is_plain = code_type == CodeType::Float || layer.kind == LayerKind::Embedding;
        let is_blocked = matches!(quantized.scales.granularity(), Granularity::Block(_));
        let blocks = if is_blocked { BLOCK_OPSET } else { UPGRADED_OPSET };
        (!is_plain).then(|| code_type.opset().max(blocks))
    };
    let opsets = network.layers.iter().zip(&plan.layers).filter_map(of);
    opsets.max().unwrap_or(UPGRADED_OPSET)
}

/// A weight as `DequantizeLinear` reads it.
#[derive(PartialEq)]
pub(super) struct Stored {
    codes: TensorProto,
    scale: TensorProto,
    /// Left out where it need not be there to be 0.
    zero_point: Option<TensorProto>,
    attributes: Vec<AttributeProto>,
    /// The shape that the layer reads, where the codes lie flat.
    shape: Option<Vec<i64>>,
}

impl Stored {
    /// `codes` is INT8 in the shape that the layer reads, and is stored as `code_type`; `rows` are output channels that come
    /// more than once.
    pub(super) fn of(
        layer: &Layer,
        quantized: &QuantizedLayer,
        codes: TensorProto,
        rows: Option<&Rows<'_>>,
        code_type: CodeType,
        elements: &Elements,
    ) -> Result<Self, QuantizationError> {
        let scales = quantized.scales.values();
        let count = scales.len();
        let with_rows = |tensor: TensorProto| match rows {
            Some(rows) => rows.scales(&tensor),
            None => Ok(tensor),
        };
        let wide = |tensor: TensorProto| match rows {
            Some(rows) => rows.weight(&tensor),
            None => Ok(tensor),
        };
        // Integer kernels want to be told the zero point of bytes; a packed type has none of these kernels.
        let pack = |codes: TensorProto| elements.packed(codes, code_type);
        let zero_points = &quantized.zero_points;
        let has_zeros = !zero_points.is_empty() || !code_type.is_packed();
        let zeros_of = |shape: &[usize]| match zero_points.is_empty() {
            true => i8_tensor("", shape, &vec![0; count]),
            false => i8_tensor("", shape, zero_points),
        };
        let with_zeros = |shape: &[usize]| {
            let zeros = has_zeros.then(|| with_rows(zeros_of(shape))).transpose();
            zeros.map(|zeros| zeros.map(pack))
        };
        match quantized.scales.granularity() {
            Granularity::Tensor => Ok(Self {
                codes: pack(wide(codes)?),
                scale: with_rows(scalar_f32("", quantized.grid.step))?,
                zero_point: with_zeros(&[])?,
                attributes: vec![],
                shape: None,
            }),
            // Both directions of a recurrent layer: the channels are on two axes, which become one.
            Granularity::Channel if leading_axes(layer) == 2 && layer.shape.first() != Some(&1) => {
                let directions = layer.shape.first().copied().unwrap_or(1).max(1);
                let mut codes = wide(codes)?;
                let mut scale = wide(float_tensor("", &[directions, count / directions], scales))?;
                let shape = codes.dims.clone();
                codes.dims = flat(&codes.dims, 2);
                scale.dims = vec![scale.dims.iter().product()];
                let mut zeros = wide(zeros_of(&[directions, count / directions]))?;
                zeros.dims.clone_from(&scale.dims);
                Ok(Self {
                    codes: pack(codes),
                    zero_point: has_zeros.then(|| pack(zeros)),
                    scale,
                    attributes: vec![int_attribute("axis", 0)],
                    shape: Some(shape),
                })
            }
            Granularity::Channel => Ok(Self {
                codes: pack(wide(codes)?),
                scale: with_rows(float_tensor("", &[count], scales))?,
                zero_point: with_zeros(&[count])?,
                attributes: vec![int_attribute("axis", layer.output_axis() as i64)],
                shape: None,
            }),
            Granularity::Block(size) => {
                // The scales in the shape of the weight with its inputs shrunk to blocks, so that rows are repeated alike.
                let leading = leading_axes(layer);
                let shape = match layer.layout.out_axis {
                    OutAxis::Outer => {
                        let channels: usize = layer.shape.iter().take(leading).product();
                        let blocks = count / channels.max(1);
                        layer
                            .shape
                            .iter()
                            .take(leading)
                            .copied()
                            .chain([blocks])
                            .collect::<Vec<_>>()
                    }
                    OutAxis::Inner => vec![count / layer.layout.inner.max(1), layer.layout.inner],
                };
                let (codes, scale) = (pack(wide(codes)?), wide(float_tensor("", &shape, scales))?);
                let zero_point = match zero_points.is_empty() && !code_type.is_unsigned() {
                    true => None,
                    false => Some(pack(wide(zeros_of(&shape))?)),
                };
                let tensors = (codes, scale, zero_point);
                Ok(Self::in_blocks(tensors, leading, layer.layout.out_axis, size))
            }
        }
    }

    /// The codes.
    pub(super) fn codes(&mut self) -> &mut [TensorProto] {
        std::slice::from_mut(&mut self.codes)
    }

    fn in_blocks(
        (mut codes, mut scale, mut zero_point): (TensorProto, TensorProto, Option<TensorProto>),
        leading: usize,
        out_axis: OutAxis,
        size: usize,
    ) -> Self {
        let mut shape = None;
        let mut axis = 0;
        if out_axis == OutAxis::Outer {
            axis = 1;
            // Blocks go through all that follows the output channels: those axes become one, as do those before.
            if codes.dims.len() != 2 {
                shape = Some(codes.dims.clone());
                codes.dims = flat(&codes.dims, leading);
                scale.dims = flat(&scale.dims, leading);
                if let Some(zero_point) = &mut zero_point {
                    zero_point.dims.clone_from(&scale.dims);
                }
            }
        }
        Self {
            codes,
            scale,
            zero_point,
            attributes: vec![int_attribute("axis", axis), int_attribute("block_size", size as i64)],
            shape,
        }
    }

    /// Adds the tensors and a `DequantizeLinear` before the layer's node; the value that it makes.
    pub(super) fn dequantize(&self, editor: &mut GraphEdit, before: usize, layer: &Layer) -> String {
        let weight = editor.add_initializer(&format!("{}.q", layer.weight), self.codes.clone());
        let scale = editor.add_initializer(&format!("{}.scale", layer.weight), self.scale.clone());
        let zero = self.zero_point.clone();
        let zero = zero.map(|zero| editor.add_initializer(&format!("{}.zero_point", layer.weight), zero));
        let to = editor.fresh(&format!("{}.dequantized", layer.weight));
        let name = editor.fresh(&format!("{}/dequantize_weight", layer.name));
        let dequantize = node(
            "DequantizeLinear",
            name,
            [weight, scale].into_iter().chain(zero),
            [to.clone()],
            self.attributes.clone(),
        );
        editor.insert(before, dequantize);
        let Some(shape) = &self.shape else { return to };
        let shape = editor.add_initializer(
            &format!("{}.shape", layer.weight),
            i64_tensor("", &[shape.len()], shape),
        );
        let shaped = editor.fresh(&format!("{}.shaped", layer.weight));
        let name = editor.fresh(&format!("{}/shape_weight", layer.name));
        editor.insert(before, node("Reshape", name, [to, shape], [shaped.clone()], vec![]));
        shaped
    }
}

/// Axes of the stored weight before its inputs: the output channels, and the directions of a recurrent layer.
fn leading_axes(layer: &Layer) -> usize {
    if layer.kind.is_recurrent() { 2 } else { 1 }
}

/// The first `leading` axes as one, and the others as one.
fn flat(dims: &[i64], leading: usize) -> Vec<i64> {
    let (first, rest) = dims.split_at(leading.min(dims.len()));
    vec![first.iter().product(), rest.iter().product()]
}
