//! The integers of a layer that is quantized already, and what they stand for: how often each level of the grid is used,
//! and by which scale and zero-point a level becomes a number.

use super::dequantize::constant;
use super::layer::{Layer, LayerKind};
use super::{Network, NetworkError, graphs};
use crate::onnx::build::attribute_int;
use crate::onnx::schema::data_type;
use crate::onnx::{Elements, FloatSource as _, GraphProto, NodeProto, TensorProto, data_type_name, is_float, numbers};

/// Elements read at a time.
const PIECE: usize = 1 << 16;

/// The grid of a layer's integers.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerGrid {
    /// The integers' type as ONNX spells it, in lower case: `int8`.
    pub element_type: String,
    /// The least integer of the type; `counts` begins there.
    pub least: i32,
    /// How many weights are at each level of the type.
    pub counts: Vec<u64>,
    /// What turns levels into numbers; `None` where the file does not hold it as a constant.
    pub scale: Option<Scale>,
    /// The integers are not in the file: it holds floats, which `QuantizeLinear` rounds each time the network runs.
    pub rounded_when_run: bool,
}

/// A weight is `(level - zero-point) * scale`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// The tensor's name.
    pub name: String,
    /// One for all weights, or one for each channel (block) of an axis.
    pub values: Vec<f32>,
    /// Integers that stand for 0: one, or as many as scales; empty where there is none in the file, which means 0.
    pub zero_points: Vec<i32>,
    /// The axis of the stored tensor that the scales run along; of no meaning for one scale.
    pub axis: usize,
}

impl IntegerGrid {
    /// Levels that at least one weight is at.
    pub fn used(&self) -> usize {
        self.counts.iter().filter(|count| **count > 0).count()
    }

    /// The least and the greatest level that is used; `None` for an empty tensor.
    pub fn reach(&self) -> Option<(i32, i32)> {
        let first = self.counts.iter().position(|count| *count > 0)?;
        let last = self.counts.iter().rposition(|count| *count > 0)?;
        Some((self.level(first), self.level(last)))
    }

    /// The level that `counts[place]` counts.
    pub fn level(&self, place: usize) -> i32 {
        self.least.saturating_add(i32::try_from(place).unwrap_or(i32::MAX))
    }

    /// Weights at a level.
    pub fn count(&self, level: i32) -> u64 {
        let place = usize::try_from(i64::from(level) - i64::from(self.least));
        place
            .ok()
            .and_then(|place| self.counts.get(place))
            .copied()
            .unwrap_or(0)
    }

    /// The zero-point if all channels share one; 0 where the file names none.
    pub fn zero_point(&self) -> Option<i32> {
        let points = self.scale.as_ref().map_or(&[][..], |scale| &scale.zero_points);
        match points {
            [] => Some(0),
            [first, rest @ ..] => rest.iter().all(|point| point == first).then_some(*first),
        }
    }

    /// Bits of the least symmetric grid (`2^k - 1` levels around the zero-point) that holds all levels in use; `None` where
    /// channels have zero-points of their own.
    pub fn bits_in_use(&self) -> Option<u32> {
        let zero = i64::from(self.zero_point()?);
        let (low, high) = self.reach()?;
        let most = (i64::from(high) - zero).max(zero - i64::from(low)).max(1);
        (2..=17).find(|bits| most < 1 << (bits - 1))
    }
}

impl Network {
    /// The grid of layer `index`; `None` for a layer of floats, and for integers that are packed or wider than 16 bits.
    ///
    /// # Errors
    /// As [`Network::weights`].
    pub fn integer_grid(&self, index: usize) -> Result<Option<IntegerGrid>, NetworkError> {
        let layer = self.layer(index)?;
        if ![LayerKind::Quantized, LayerKind::Tensor].contains(&layer.kind) {
            return Ok(None);
        }
        let tensor = self.tensor(layer)?;
        let places = self.constants_of(layer);
        let scale = places.as_ref().and_then(|places| self.scale(layer, places));
        let scale = scale.or_else(|| self.scale_beside(layer));
        if is_float(tensor) {
            let places = places.filter(|places| places.quantizes);
            return match (places, scale) {
                (Some(places), Some(scale)) => self.rounded(tensor, scale, places.zero_type),
                _ => Ok(None),
            };
        }
        let Some((least, greatest)) = levels_of(tensor.data_type()) else {
            return Ok(None);
        };
        let elements = Elements::of(tensor)?;
        if elements.count() != layer.layout.elements() {
            return Ok(None);
        }
        let mut grid = IntegerGrid::empty(tensor.data_type(), least, greatest, scale, false);
        let mut scratch = Vec::new();
        for from in (0..elements.count()).step_by(PIECE) {
            let piece = elements.piece(from..elements.count().min(from + PIECE), &mut scratch);
            piece.iter().for_each(|level| grid.add(*level));
        }
        Ok(Some(grid))
    }

    /// What `QuantizeLinear` makes of the float weights of `tensor`: `round(w / scale) + zero-point`, half to even,
    /// saturated.
    fn rounded(&self, tensor: &TensorProto, scale: Scale, kind: i32) -> Result<Option<IntegerGrid>, NetworkError> {
        let Some((least, greatest)) = levels_of(kind) else {
            return Ok(None);
        };
        let values = numbers(tensor)?;
        let dims: Vec<usize> = tensor
            .dims
            .iter()
            .map(|size| usize::try_from(*size).unwrap_or(0))
            .collect();
        let inner = dims.iter().skip(scale.axis + 1).product::<usize>().max(1);
        let channels = dims.get(scale.axis).copied().unwrap_or(1).max(1);
        if ![1, channels].contains(&scale.values.len()) {
            return Ok(None);
        }
        let mut grid = IntegerGrid::empty(kind, least, greatest, None, true);
        for (place, value) in values.iter().enumerate() {
            let channel = if scale.values.len() > 1 {
                place / inner % channels
            } else {
                0
            };
            let zero = scale
                .zero_points
                .get(channel)
                .or(scale.zero_points.first())
                .copied()
                .unwrap_or(0);
            let level = (value / scale.values[channel]).round_ties_even() + zero as f32;
            grid.add(level.clamp(least as f32, greatest as f32));
        }
        grid.scale = Some(scale);
        Ok(Some(grid))
    }

    fn scale(&self, layer: &Layer, places: &Places<'_>) -> Option<Scale> {
        let name = places.node.input.get(places.scale?)?;
        let tensor = self.constant(layer, name)?;
        let values = numbers(tensor).ok()?.to_vec();
        let zeros = places.zero_point.and_then(|place| places.node.input.get(place));
        let zeros = zeros.filter(|name| !name.is_empty());
        let zeros = match zeros {
            Some(name) => numbers(self.constant(layer, name)?).ok()?.to_vec(),
            None => Vec::new(),
        };
        let rank = i64::try_from(layer.shape.len()).unwrap_or(0);
        let axis = if places.axis < 0 {
            places.axis + rank
        } else {
            places.axis
        };
        (!values.is_empty()).then(|| Scale {
            name: name.clone(),
            values,
            zero_points: zeros.iter().map(|zero| *zero as i32).collect(),
            axis: usize::try_from(axis).unwrap_or(0),
        })
    }

    /// The scale of the integers `NAME.q` in a file of tensors, as an export has it: `NAME.scale`, one or one for each output
    /// channel, and no zero-point.
    fn scale_beside(&self, layer: &Layer) -> Option<Scale> {
        let name = format!("{}.scale", layer.weight.strip_suffix(".q")?);
        let values = numbers(self.constant(layer, &name)?).ok()?.to_vec();
        (layer.kind == LayerKind::Tensor && !values.is_empty()).then_some(Scale {
            name,
            values,
            zero_points: Vec::new(),
            axis: 0,
        })
    }

    /// The node that names scale and zero-point, and which of its inputs they are.
    fn constants_of<'a>(&'a self, layer: &Layer) -> Option<Places<'a>> {
        let home = self.home(layer)?;
        let chain = layer.source.chain.iter().filter_map(|place| home.node.get(*place));
        let quantizers: Vec<&NodeProto> = chain
            .filter(|node| ["QuantizeLinear", "DequantizeLinear"].contains(&node.op_type()))
            .collect();
        if let Some(node) = quantizers.first() {
            // Of a pair both hold the same.
            let zero = node.input.get(2).filter(|name| !name.is_empty());
            let zero = zero.and_then(|name| self.constant(layer, name));
            let said = attribute_int(node, "output_dtype").and_then(|kind| i32::try_from(kind).ok());
            let said = said.filter(|kind| *kind != 0).unwrap_or(data_type::UINT8);
            return Some(Places {
                node,
                scale: Some(1),
                zero_point: Some(2),
                axis: attribute_int(node, "axis").unwrap_or(1),
                quantizes: node.op_type() == "QuantizeLinear",
                zero_type: zero.map_or(said, TensorProto::data_type),
            });
        }
        let node = self.node(layer)?;
        let own = layer.weight_input;
        let (scale, zero_point) = scale_slots(node.op_type(), own)?;
        let axis = i64::try_from(layer.output_axis()).unwrap_or(0);
        Some(Places {
            node,
            scale,
            zero_point: Some(zero_point),
            axis,
            quantizes: false,
            zero_type: data_type::UINT8,
        })
    }

    fn home(&self, layer: &Layer) -> Option<&GraphProto> {
        graphs::graph_at(self.model.graph.as_ref()?, &layer.source.subgraphs)
    }

    /// The constant called `name` where the weight of `layer` is kept, else in the main graph.
    fn constant(&self, layer: &Layer, name: &str) -> Option<&TensorProto> {
        let main = self.model.graph.as_ref();
        [self.home(layer), main]
            .into_iter()
            .flatten()
            .find_map(|graph| constant(graph, name))
    }
}

/// Which inputs of an operator whose input `own` is its weight are the scale and the zero-point of that weight; no scale where
/// the operator leaves it to others. `None` for operators that take no integers.
pub(super) fn scale_slots(operator: &str, own: usize) -> Option<(Option<usize>, usize)> {
    Some(match operator {
        "QLinearConv" | "NhwcQLinearConv" | "QLinearMatMul" | "QGemm" => (Some(own + 1), own + 2),
        "ConvInteger" | "MatMulInteger" => (None, own + 2),
        "MatMulIntegerToFloat" => (Some(own + 2), own + 4),
        "DynamicQuantizeMatMul" => (Some(2), 3),
        "QAttention" => (Some(4), 7),
        "DynamicQuantizeLSTM" if own == Layer::RECURRENT_WEIGHT => (Some(10), 11),
        "DynamicQuantizeLSTM" => (Some(8), 9),
        _ => return None,
    })
}

/// Where a node has the scale and the zero-point of a weight.
struct Places<'a> {
    node: &'a NodeProto,
    scale: Option<usize>,
    zero_point: Option<usize>,
    axis: i64,
    /// The node is a `QuantizeLinear`: the weight before it is not on the grid yet.
    quantizes: bool,
    /// The element type of its zero-point, which is that of the integers.
    zero_type: i32,
}

impl IntegerGrid {
    fn empty(kind: i32, least: i32, greatest: i32, scale: Option<Scale>, rounded_when_run: bool) -> Self {
        let levels = usize::try_from(greatest - least + 1).unwrap_or(0);
        Self {
            element_type: data_type_name(kind).to_lowercase(),
            least,
            counts: vec![0; levels],
            scale,
            rounded_when_run,
        }
    }

    fn add(&mut self, level: f32) {
        let place = level as i64 - i64::from(self.least);
        if let Some(count) = usize::try_from(place).ok().and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
        }
    }
}

/// The least and the greatest integer of an element type; `None` for floats and for integers of more than 16 bits.
fn levels_of(kind: i32) -> Option<(i32, i32)> {
    Some(match kind {
        data_type::INT8 => (-128, 127),
        data_type::UINT8 => (0, 255),
        data_type::INT16 => (-32_768, 32_767),
        data_type::UINT16 => (0, 65_535),
        data_type::INT4 => (-8, 7),
        data_type::UINT4 => (0, 15),
        data_type::INT2 => (-2, 1),
        data_type::UINT2 => (0, 3),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
