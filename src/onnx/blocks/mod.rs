//! Weights in blocks, as GGUF files hold them: a few numbers with a scale of their own. ONNX has no such element types;
//! tensors of these types live in memory only, and are written as F32 ([`as_floats`]).
//!
//! Each block is decoded to the very floats of the reference (`gguf.quants` of PyPI, itself bit-exact to ggml): the same
//! products and sums in the same order.

mod affine;
mod codebook;
mod table;
mod ternary;

use super::schema::data_type;
use super::tensor::fault;
use super::{GraphProto, ModelProto, OnnxError, TensorProto, build};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Where the element types of blocks begin: far above any number of ONNX. ggml's own number is added.
const FIRST: i32 = 0x6767_0000;

/// Elements of a block of the K formats.
const LONG: usize = 256;
/// Elements of a block of the older formats.
const SHORT: usize = 32;

/// How the numbers of a block are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the field's names")]
pub enum BlockFormat {
    /// 4 bits, one scale.
    Q4_0,
    /// 4 bits, scale and minimum.
    Q4_1,
    /// 5 bits, one scale.
    Q5_0,
    /// 5 bits, scale and minimum.
    Q5_1,
    /// 8 bits, one scale.
    Q8_0,
    /// 2 bits, 4-bit scales and minima of 16 numbers each.
    Q2_K,
    /// 3 bits, 6-bit scales of 16 numbers each.
    Q3_K,
    /// 4 bits, 6-bit scales and minima of 32 numbers each.
    Q4_K,
    /// 5 bits, 6-bit scales and minima of 32 numbers each.
    Q5_K,
    /// 6 bits, 8-bit scales of 16 numbers each.
    Q6_K,
    /// Entries of a codebook for 8 numbers, 2 bits each.
    IQ2_XXS,
    /// The same with a larger codebook.
    IQ2_XS,
    /// The same with the largest codebook.
    IQ2_S,
    /// Entries of a codebook for 4 numbers, 3 bits each.
    IQ3_XXS,
    /// The same with a larger codebook.
    IQ3_S,
    /// Entries of a codebook of -1, 0, 1 for 8 numbers.
    IQ1_S,
    /// The same with scales of 16 numbers each.
    IQ1_M,
    /// 4 bits that choose one of 16 uneven levels, one scale.
    IQ4_NL,
    /// The same with 6-bit scales of 32 numbers each.
    IQ4_XS,
    /// -1, 0, 1, five to a byte.
    TQ1_0,
    /// -1, 0, 1 in 2 bits.
    TQ2_0,
    /// 4-bit floats, a power of two as scale.
    MXFP4,
    /// 4-bit floats, 8-bit floats as scales of 16 numbers each.
    NVFP4,
}

use BlockFormat as B;

/// Format, ggml's number, name, elements and bytes of a block.
const FORMATS: [(BlockFormat, i32, &str, usize, usize); 23] = [
    (B::Q4_0, 2, "Q4_0", SHORT, 18),
    (B::Q4_1, 3, "Q4_1", SHORT, 20),
    (B::Q5_0, 6, "Q5_0", SHORT, 22),
    (B::Q5_1, 7, "Q5_1", SHORT, 24),
    (B::Q8_0, 8, "Q8_0", SHORT, 34),
    (B::Q2_K, 10, "Q2_K", LONG, 84),
    (B::Q3_K, 11, "Q3_K", LONG, 110),
    (B::Q4_K, 12, "Q4_K", LONG, 144),
    (B::Q5_K, 13, "Q5_K", LONG, 176),
    (B::Q6_K, 14, "Q6_K", LONG, 210),
    (B::IQ2_XXS, 16, "IQ2_XXS", LONG, 66),
    (B::IQ2_XS, 17, "IQ2_XS", LONG, 74),
    (B::IQ2_S, 22, "IQ2_S", LONG, 82),
    (B::IQ3_XXS, 18, "IQ3_XXS", LONG, 98),
    (B::IQ3_S, 21, "IQ3_S", LONG, 110),
    (B::IQ1_S, 19, "IQ1_S", LONG, 50),
    (B::IQ1_M, 29, "IQ1_M", LONG, 56),
    (B::IQ4_NL, 20, "IQ4_NL", SHORT, 18),
    (B::IQ4_XS, 23, "IQ4_XS", LONG, 136),
    (B::TQ1_0, 34, "TQ1_0", LONG, 54),
    (B::TQ2_0, 35, "TQ2_0", LONG, 66),
    (B::MXFP4, 39, "MXFP4", SHORT, 17),
    (B::NVFP4, 40, "NVFP4", 64, 36),
];

/// Blocks that are not decoded, whose names are known.
const UNDECODED: [(u16, &str); 5] = [(4, "Q4_2"), (5, "Q4_3"), (9, "Q8_1"), (15, "Q8_K"), (41, "Q1_0")];

impl BlockFormat {
    /// The format with ggml's number `ggml_type`.
    pub fn from_ggml(ggml_type: u32) -> Option<Self> {
        let number = i32::try_from(ggml_type).ok()?;
        FORMATS.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// The format of tensors with this element type.
    pub fn from_element_type(element_type: i32) -> Option<Self> {
        let number = element_type.checked_sub(FIRST).filter(|number| *number >= 0)?;
        FORMATS.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// The element type of tensors in this format.
    pub fn element_type(self) -> i32 {
        FIRST + self.row().1
    }

    /// Its name, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Elements of a block.
    pub fn elements(self) -> usize {
        self.row().3
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        self.row().4
    }

    fn row(self) -> &'static (BlockFormat, i32, &'static str, usize, usize) {
        // The rows stand in the order of the formats, which a test checks.
        &FORMATS[self as usize]
    }

    /// Decodes one block, `self.bytes()` long, into `out`, `self.elements()` long.
    fn decode_block(self, block: &[u8], out: &mut [f32]) {
        match self {
            B::Q4_0 => affine::q4_0(block, out),
            B::Q4_1 => affine::q4_1(block, out),
            B::Q5_0 => affine::q5_0(block, out),
            B::Q5_1 => affine::q5_1(block, out),
            B::Q8_0 => affine::q8_0(block, out),
            B::Q2_K => affine::q2_k(block, out),
            B::Q3_K => affine::q3_k(block, out),
            B::Q4_K => affine::q4_k(block, out),
            B::Q5_K => affine::q5_k(block, out),
            B::Q6_K => affine::q6_k(block, out),
            B::IQ2_XXS => codebook::iq2_xxs(block, out),
            B::IQ2_XS => codebook::iq2_xs(block, out),
            B::IQ2_S => codebook::iq2_s(block, out),
            B::IQ3_XXS => codebook::iq3_xxs(block, out),
            B::IQ3_S => codebook::iq3_s(block, out),
            B::IQ1_S => codebook::iq1_s(block, out),
            B::IQ1_M => codebook::iq1_m(block, out),
            B::IQ4_NL => table::iq4_nl(block, out),
            B::IQ4_XS => table::iq4_xs(block, out),
            B::TQ1_0 => ternary::tq1_0(block, out),
            B::TQ2_0 => ternary::tq2_0(block, out),
            B::MXFP4 => table::mxfp4(block, out),
            B::NVFP4 => table::nvfp4(block, out),
        }
    }

    /// The elements of `range`, which must lie inside of `bytes`, appended to `out`.
    pub(super) fn decode_range(self, bytes: &[u8], range: Range<usize>, out: &mut Vec<f32>) {
        let (elements, width) = (self.elements(), self.bytes());
        let mut whole = [0.0; LONG];
        let whole = &mut whole[..elements];
        let mut at = range.start;
        while at < range.end {
            let block = at / elements;
            self.decode_block(&bytes[block * width..][..width], whole);
            let first = at - block * elements;
            let last = elements.min(range.end - block * elements);
            out.extend_from_slice(&whole[first..last]);
            at = block * elements + last;
        }
    }

    /// All elements of `bytes`, whole blocks, in parallel.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        const BLOCKS_AT_ONCE: usize = 256;
        let (elements, width) = (self.elements(), self.bytes());
        let mut values = vec![0.0; bytes.len() / width * elements];
        values
            .par_chunks_mut(BLOCKS_AT_ONCE * elements)
            .zip(bytes.par_chunks(BLOCKS_AT_ONCE * width))
            .for_each(|(values, bytes)| {
                for (out, block) in values.chunks_exact_mut(elements).zip(bytes.chunks_exact(width)) {
                    self.decode_block(block, out);
                }
            });
        values
    }

    /// Bytes of a tensor with these sizes; `None` where its rows are no whole blocks, or beyond counting.
    pub fn bytes_of(self, dims: &[i64]) -> Option<usize> {
        let sizes = dims.iter().map(|size| usize::try_from(*size).ok());
        let sizes: Vec<usize> = sizes.collect::<Option<_>>()?;
        let (row, rows) = sizes.split_last()?;
        let blocks = row.is_multiple_of(self.elements()).then(|| row / self.elements())?;
        let rows = rows
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size))?;
        blocks.checked_mul(rows)?.checked_mul(self.bytes())
    }
}

/// The element type of a tensor in blocks that are not decoded: it is listed, never read. `ggml_type` is ggml's number.
pub fn undecoded_type(ggml_type: u16) -> i32 {
    FIRST + i32::from(ggml_type)
}

/// Name of blocks that are not decoded; `None` for all other element types.
pub fn undecoded_name(element_type: i32) -> Option<String> {
    let number = element_type
        .checked_sub(FIRST)
        .and_then(|number| u16::try_from(number).ok())?;
    if BlockFormat::from_element_type(element_type).is_some() {
        return None;
    }
    let known = UNDECODED.iter().find(|(ggml_type, _)| *ggml_type == number);
    Some(known.map_or_else(|| format!("GGUF's type {number}"), |(_, name)| (*name).to_owned()))
}

/// Element type of what a tensor's elements are in a graph: F32 for those in blocks.
pub fn computed_type(tensor: &TensorProto) -> i32 {
    match BlockFormat::from_element_type(tensor.data_type()) {
        Some(_) => data_type::FLOAT,
        None => tensor.data_type(),
    }
}

/// `tensor` as it is written: elements in blocks become F32.
///
/// # Errors
/// [`OnnxError::Tensor`] where shape and data do not fit.
pub fn as_written(tensor: &TensorProto) -> Result<Cow<'_, TensorProto>, OnnxError> {
    if let Some(kind) = undecoded_name(tensor.data_type()) {
        return Err(fault(
            tensor,
            format!("its elements are stored as {kind}, which is not decoded"),
        ));
    }
    if BlockFormat::from_element_type(tensor.data_type()).is_none() {
        return Ok(Cow::Borrowed(tensor));
    }
    let values = super::float_values(tensor)?;
    let sizes: Option<Vec<usize>> = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect();
    let sizes = sizes.ok_or_else(|| fault(tensor, "its shape holds a negative size"))?;
    Ok(Cow::Owned(build::float_tensor(tensor.name(), &sizes, &values)))
}

/// `model` as it is written: initializers in blocks become F32. No copy where there are none.
///
/// # Errors
/// As [`as_written`].
pub fn as_floats(model: &ModelProto) -> Result<Cow<'_, ModelProto>, OnnxError> {
    let in_blocks = |tensor: &TensorProto| tensor.data_type() >= FIRST;
    let Some(graph) = model
        .graph
        .as_ref()
        .filter(|graph| graph.initializer.iter().any(in_blocks))
    else {
        return Ok(Cow::Borrowed(model));
    };
    let initializer = graph
        .initializer
        .iter()
        .map(|tensor| Ok(as_written(tensor)?.into_owned()));
    let initializer = initializer.collect::<Result<_, OnnxError>>()?;
    Ok(Cow::Owned(ModelProto {
        graph: Some(GraphProto {
            initializer,
            ..graph.clone()
        }),
        ..model.clone()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::raw_tensor;
    use crate::onnx::{Elements, FloatSource as _, byte_count, numbers};
    use half::f16;
    use prost::Message as _;

    #[test]
    fn the_table_stands_in_the_order_of_the_formats() {
        for (at, (format, ..)) in FORMATS.iter().enumerate() {
            assert_eq!(*format as usize, at);
            assert_eq!(BlockFormat::from_element_type(format.element_type()), Some(*format));
        }
        assert_eq!(BlockFormat::from_element_type(data_type::FLOAT), None);
        assert_eq!(BlockFormat::from_element_type(i32::MIN), None);
    }

    #[test]
    fn a_block_of_four_bits_is_its_codes_times_its_scale() {
        // Scale 0.5; codes 0 (low) and 15 (high) in every byte: -8 and 7.
        let mut block = f16::from_f32(0.5).to_le_bytes().to_vec();
        block.extend([0xf0; 16]);
        let tensor = raw_tensor("w", B::Q4_0.element_type(), &[1, 32], block);
        let values = numbers(&tensor).unwrap();
        assert_eq!(values[..16], [-4.0; 16]);
        assert_eq!(values[16..], [3.5; 16]);
    }

    #[test]
    fn a_piece_of_any_bounds_is_that_part_of_the_whole() {
        for (format, ..) in FORMATS {
            let bytes: Vec<u8> = (0..3 * format.bytes()).map(|i| (i * 37 % 113) as u8).collect();
            let tensor = raw_tensor("w", format.element_type(), &[3, format.elements()], bytes);
            let (elements, whole) = (Elements::of(&tensor).unwrap(), numbers(&tensor).unwrap());
            assert_eq!(whole.len(), 3 * format.elements());
            let mut scratch = Vec::new();
            for range in [0..1, 5..whole.len() - 3, format.elements()..2 * format.elements(), 7..7] {
                assert_eq!(elements.piece(range.clone(), &mut scratch), &whole[range]);
            }
        }
    }

    #[test]
    fn rows_that_are_no_whole_blocks_and_missing_data_are_refused() {
        let of = |dims: &[usize], bytes: usize| raw_tensor("w", B::Q4_0.element_type(), dims, vec![0; bytes]);
        let error = byte_count(&of(&[2, 16], 18)).unwrap_err().to_string();
        assert!(error.contains("Q4_0") && error.contains("32"), "{error}");
        assert!(byte_count(&of(&[usize::MAX / 2, 32], 18)).is_err());
        assert!(numbers(&of(&[2, 32], 35)).is_err());
        assert_eq!(numbers(&of(&[2, 32], 36)).unwrap().len(), 64);
    }

    #[test]
    fn what_is_written_is_float() {
        let tensor = raw_tensor("w", B::Q8_0.element_type(), &[1, 32], vec![1; 34]);
        let written = as_written(&tensor).unwrap();
        assert_eq!((written.data_type(), written.name()), (data_type::FLOAT, "w"));
        assert_eq!(*numbers(&written).unwrap(), *numbers(&tensor).unwrap());
        let model = ModelProto {
            graph: Some(GraphProto {
                initializer: vec![tensor],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        let bytes = crate::onnx::encode(&model).unwrap();
        let read = ModelProto::decode(&*bytes).unwrap();
        assert_eq!(read.graph.unwrap().initializer[0].data_type(), data_type::FLOAT);
    }
}
