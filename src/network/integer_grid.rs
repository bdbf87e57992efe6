//! The integers of a layer that is quantized already, and what they stand for: how often each level of the grid is used,
//! and by which scale and zero-point a level becomes a number.

use super::layer::{Layer, LayerKind};
use super::{Network, NetworkError};
use crate::onnx::{Conversion, FloatSource as _, TensorProto, data_type_name, integer_range, is_float, numbers};

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
    /// How many neighbouring weights of that axis share a scale, where scales are in blocks.
    pub block: Option<usize>,
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
    /// The grid of layer `index`; `None` for a layer of floats, and for integers wider than 16 bits.
    ///
    /// # Errors
    /// As [`Network::weights`].
    pub fn integer_grid(&self, index: usize) -> Result<Option<IntegerGrid>, NetworkError> {
        let layer = self.layer(index)?;
        if ![LayerKind::Quantized, LayerKind::Tensor].contains(&layer.kind) {
            return Ok(None);
        }
        let tensor = self.tensor(layer)?;
        // Of a pair both hold the same. Where a scale is no constant, the levels are shown without.
        let conversion = self.conversions(layer).ok().and_then(|found| found.into_iter().next());
        if is_float(tensor) {
            let onto = conversion.and_then(|conversion| Some((conversion.integers()?, conversion)));
            return match onto {
                Some((kind, conversion)) => self.rounded(tensor, &conversion, kind),
                None => Ok(None),
            };
        }
        let unpacked = self.unpacked(layer).and_then(Result::ok);
        let kind = unpacked
            .as_ref()
            .map_or(tensor.data_type(), |unpacked| unpacked.element_type);
        let Some((least, greatest)) = integer_range(kind) else {
            return Ok(None);
        };
        let elements = self.stored_elements(layer, tensor)?;
        if elements.count() != layer.layout.elements() {
            return Ok(None);
        }
        let scale = conversion.as_ref().map(Scale::of).or_else(|| self.scale_beside(layer));
        let mut grid = IntegerGrid::empty(kind, least, greatest, scale, false);
        let mut scratch = Vec::new();
        for from in (0..elements.count()).step_by(PIECE) {
            let piece = elements.piece(from..elements.count().min(from + PIECE), &mut scratch);
            piece.iter().for_each(|level| grid.add(*level));
        }
        Ok(Some(grid))
    }

    /// What `QuantizeLinear` makes of the float weights of `tensor`.
    fn rounded(&self, tensor: &TensorProto, onto: &Conversion, kind: i32) -> Result<Option<IntegerGrid>, NetworkError> {
        let values = numbers(tensor)?;
        let Some((least, greatest)) = integer_range(kind).filter(|_| onto.check(values.len()).is_ok()) else {
            return Ok(None);
        };
        let mut grid = IntegerGrid::empty(kind, least, greatest, Some(Scale::of(onto)), true);
        for (place, value) in values.iter().enumerate() {
            grid.add(onto.value(*value, place));
        }
        Ok(Some(grid))
    }

    /// The scale of the integers `NAME.q` in a file of tensors, as an export has it: `NAME.scale`, one or one for each output
    /// channel, and no zero-point.
    fn scale_beside(&self, layer: &Layer) -> Option<Scale> {
        let name = format!("{}.scale", layer.weight.strip_suffix(".q")?);
        let values = numbers(self.constant(&name)?).ok()?.to_vec();
        (layer.kind == LayerKind::Tensor && !values.is_empty()).then_some(Scale {
            name,
            values,
            zero_points: Vec::new(),
            axis: 0,
            block: None,
        })
    }
}

impl Scale {
    fn of(conversion: &Conversion) -> Self {
        Self {
            name: conversion.scale_name().to_owned(),
            values: conversion.scales().to_vec(),
            zero_points: conversion.zero_points().iter().map(|zero| *zero as i32).collect(),
            axis: conversion.axis().unwrap_or(0),
            block: conversion.block_size(),
        }
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

#[cfg(test)]
mod tests;
