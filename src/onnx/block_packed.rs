//! Weights that ONNX Runtime's operators keep packed in blocks: `MatMulNBits` and `GatherBlockQuantized` (com.microsoft).

use super::build::attribute_int;
use super::schema::data_type;
use super::tensor::fault;
use super::{
    Conversion, ConversionError, Elements, FloatSource as _, NodeProto, OnnxError, TensorProto, numbers, tensor_bytes,
};

/// How a node keeps the integers of its weight, and what they stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockPacked {
    /// Shape of the weight in elements: `[N, K]` of a MatMulNBits, the table of a GatherBlockQuantized.
    pub shape: Vec<usize>,
    /// Element type of the integers (see [`data_type`]).
    pub element_type: i32,
    /// Axis of `shape` along which scales are in blocks.
    pub axis: usize,
    /// Elements of that axis that share a scale.
    pub block_size: usize,
    /// Elements in the file for each row of the last axis: blocks are filled up.
    stored: usize,
    /// The integer that stands for 0 where there is no zero point.
    default_zero: f32,
    /// Inputs of the node: scales, zero points, listed groups.
    slots: [usize; 3],
}

/// Whether `node` is one of the operators, whatever its attributes say.
pub fn is_block_packed(node: &NodeProto) -> bool {
    node.domain() == "com.microsoft" && matches!(node.op_type(), "MatMulNBits" | "GatherBlockQuantized")
}

impl BlockPacked {
    /// How `node` keeps its weight, which is the constant `tensor`; `None` for another operator.
    ///
    /// # Errors
    /// What in its attributes and sizes does not hold together, or is not read.
    pub fn of(node: &NodeProto, tensor: &TensorProto) -> Option<Result<Self, ConversionError>> {
        if !is_block_packed(node) {
            return None;
        }
        Some(if node.op_type() == "MatMulNBits" {
            Self::matrix(node, tensor)
        } else {
            Self::table(node, tensor)
        })
    }

    fn matrix(node: &NodeProto, tensor: &TensorProto) -> Result<Self, ConversionError> {
        let bits = attribute_int(node, "bits").unwrap_or(4);
        let element_type = packed_type(bits).ok_or(ConversionError::Bits("weights", bits))?;
        let size = |name| positive(node, name);
        let (rows, columns) = (size("N")?, size("K")?);
        let in_byte = 8 / usize::try_from(bits).unwrap_or(8);
        // The last axis of the bytes is a block, too.
        let from_bytes = || {
            tensor
                .dims
                .get(2)
                .and_then(|size| usize::try_from(*size).ok()?.checked_mul(in_byte))
        };
        let block_size = match attribute_int(node, "block_size") {
            None => from_bytes()
                .filter(|size| *size > 0)
                .ok_or(ConversionError::Packed("it has no block_size"))?,
            Some(_) => size("block_size")?,
        };
        let stored = columns.div_ceil(block_size).checked_mul(block_size);
        let stored = stored.ok_or(ConversionError::Packed("its blocks are too large"))?;
        let packed = Self {
            shape: vec![rows, columns],
            element_type,
            axis: 1,
            block_size,
            stored,
            default_zero: (1_u32 << (bits - 1)) as f32,
            slots: [2, 3, 4],
        };
        packed.fits(tensor)
    }

    fn table(node: &NodeProto, tensor: &TensorProto) -> Result<Self, ConversionError> {
        let bits = attribute_int(node, "bits").unwrap_or(4);
        let is_packed = tensor.data_type() == data_type::UINT8;
        let sizes = tensor.dims.iter().map(|size| usize::try_from(*size).unwrap_or(0));
        let mut shape: Vec<usize> = sizes.collect();
        let mut element_type = tensor.data_type();
        let mut default_zero = 0.0;
        if is_packed {
            element_type = packed_type(bits).ok_or(ConversionError::Bits("tables", bits))?;
            let in_byte = 8 / usize::try_from(bits).unwrap_or(8);
            let last = shape
                .last_mut()
                .ok_or(ConversionError::Packed("its table has no axes"))?;
            *last = last
                .checked_mul(in_byte)
                .ok_or(ConversionError::Packed("its table is too large"))?;
            default_zero = (1_u32 << (bits - 1)) as f32;
        }
        let rank = shape.len();
        let axis = attribute_int(node, "quantize_axis").unwrap_or(1);
        let axis = if axis < 0 {
            axis.saturating_add_unsigned(rank as u64)
        } else {
            axis
        };
        let axis = usize::try_from(axis).ok().filter(|axis| *axis < rank);
        let axis = axis.ok_or(ConversionError::BlockAxis(rank))?;
        let block_size = match attribute_int(node, "block_size") {
            None => 128,
            Some(_) => positive(node, "block_size")?,
        };
        let stored = shape.last().copied().unwrap_or(0);
        let packed = Self {
            shape,
            element_type,
            axis,
            block_size,
            stored,
            default_zero,
            slots: [2, 3, usize::MAX],
        };
        packed.fits(tensor)
    }

    /// Itself, if the bytes of `tensor` are as many as its sizes say.
    fn fits(self, tensor: &TensorProto) -> Result<Self, ConversionError> {
        let [rows @ .., _] = self.shape.as_slice() else {
            return Err(ConversionError::Packed("its weight has no axes"));
        };
        let count = rows
            .iter()
            .try_fold(self.stored, |count, size| count.checked_mul(*size));
        let bytes = tensor_bytes(tensor)?;
        let in_byte = in_byte(self.element_type);
        match count.filter(|count| *count > 0).map(|count| count.div_ceil(in_byte)) {
            Some(wanted) if wanted == bytes.len() => Ok(self),
            Some(wanted) => Err(ConversionError::Length {
                wanted,
                found: bytes.len(),
            }),
            None => Err(ConversionError::Packed("its sizes hold no elements, or too many")),
        }
    }

    /// Bits of an integer.
    pub fn bits(&self) -> usize {
        8 / in_byte(self.element_type)
    }

    /// The integers in the order of [`BlockPacked::shape`].
    ///
    /// # Errors
    /// [`OnnxError::Tensor`] when `tensor` is not the one that this was made of.
    pub fn codes(&self, tensor: &TensorProto) -> Result<Elements, OnnxError> {
        let kept = self.shape.last().copied().unwrap_or(0);
        let rows = self.shape.iter().rev().skip(1).product();
        rows_of(tensor, self.element_type, rows, kept, self.stored)
    }

    /// How integers become numbers.
    ///
    /// # Errors
    /// What of scales, zero points and groups is no constant, or does not fit.
    pub fn conversion<'a>(
        &self,
        node: &NodeProto,
        constant: impl Fn(&str) -> Option<&'a TensorProto>,
    ) -> Result<Conversion, ConversionError> {
        let input = |slot: usize| node.input.get(slot).filter(|name| !name.is_empty());
        let find = |slot: usize, what| match input(slot) {
            None => Ok(None),
            Some(name) => constant(name).map(Some).ok_or(ConversionError::Computed(what)),
        };
        let [scale, zero, groups] = self.slots;
        let tensor = find(scale, "scales are")?.ok_or(ConversionError::Packed("it has no scales"))?;
        let scales = numbers(tensor)?.to_vec();
        let blocks = self.shape[self.axis].div_ceil(self.block_size);
        let zeros = match find(zero, "zero points are")? {
            None => Vec::new(),
            // Packed as the weight is, each row of the last axis in bytes of its own.
            Some(tensor) if tensor.data_type() == data_type::UINT8 && self.element_type != data_type::UINT8 => {
                let mut shape = self.shape.clone();
                shape[self.axis] = blocks;
                let kept = shape.last().copied().unwrap_or(0);
                let in_byte = in_byte(self.element_type);
                let rows = shape.iter().rev().skip(1).product();
                let stored = kept.div_ceil(in_byte) * in_byte;
                let points = rows_of(tensor, self.element_type, rows, kept, stored)?;
                let mut scratch = Vec::new();
                points.piece(0..points.count(), &mut scratch).to_vec()
            }
            Some(tensor) => numbers(tensor)?.to_vec(),
        };
        let name = input(scale).map(String::as_str).unwrap_or_default();
        let points = (zeros, self.default_zero);
        let conversion = Conversion::in_blocks(name, scales, points, &self.shape, self.axis, self.block_size);
        let Some(groups) = find(groups, "groups are")? else {
            return Ok(conversion);
        };
        let groups = numbers(groups)?;
        let place = |group: &f32| (*group >= 0.0 && *group < blocks as f32).then_some(*group as usize);
        let of: Option<Vec<usize>> = groups.iter().map(place).collect();
        let of = of.filter(|of| of.len() == self.shape[self.axis]);
        let of = of.ok_or(ConversionError::Packed("its groups (g_idx) do not fit its columns"))?;
        Ok(conversion.listed(of, blocks))
    }
}

/// `rows` rows of which `kept` of `stored` elements count, all packed one behind the other.
fn rows_of(
    tensor: &TensorProto,
    element_type: i32,
    rows: usize,
    kept: usize,
    stored: usize,
) -> Result<Elements, OnnxError> {
    let bytes = tensor_bytes(tensor)?;
    Elements::of_rows(bytes, element_type, rows, kept, stored)
        .ok_or_else(|| fault(tensor, "its packed integers do not fit its operator's sizes"))
}

/// The type of unsigned integers of so many bits.
fn packed_type(bits: i64) -> Option<i32> {
    Some(match bits {
        2 => data_type::UINT2,
        4 => data_type::UINT4,
        8 => data_type::UINT8,
        _ => return None,
    })
}

fn in_byte(element_type: i32) -> usize {
    match element_type {
        data_type::UINT2 | data_type::INT2 => 4,
        data_type::UINT4 | data_type::INT4 => 2,
        _ => 1,
    }
}

fn positive(node: &NodeProto, name: &'static str) -> Result<usize, ConversionError> {
    let said = attribute_int(node, name).and_then(|size| usize::try_from(size).ok());
    let sound = said.filter(|size| (1..=isize::MAX.unsigned_abs()).contains(size));
    sound.ok_or(ConversionError::Attribute(name))
}
