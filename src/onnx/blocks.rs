//! Weights in blocks, as GGUF files hold them: a few numbers with a scale of their own. ONNX has no such element types;
//! tensors of these types live in memory only, and are written as F32 ([`as_floats`]).
//!
//! Each block is decoded to the very floats of the reference (`gguf.quants` of PyPI, itself bit-exact to ggml): the same
//! products and sums in the same order.

use super::schema::data_type;
use super::tensor::fault;
use super::{GraphProto, ModelProto, OnnxError, TensorProto, build};
use half::f16;
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
}

use BlockFormat as B;

/// Format, ggml's number, name, elements and bytes of a block.
const FORMATS: [(BlockFormat, i32, &str, usize, usize); 10] = [
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
];

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
            B::Q4_0 => {
                let scale = half(block, 0);
                nibbles(&block[2..], out, |code, _| scale * (f32::from(code) - 8.0));
            }
            B::Q4_1 => {
                let (scale, minimum) = (half(block, 0), half(block, 2));
                nibbles(&block[4..], out, |code, _| scale * f32::from(code) + minimum);
            }
            B::Q5_0 => {
                let (scale, high) = (half(block, 0), &block[2..6]);
                nibbles(&block[6..], out, |code, at| {
                    scale * (f32::from(code | fifth(high, at)) - 16.0)
                });
            }
            B::Q5_1 => {
                let (scale, minimum, high) = (half(block, 0), half(block, 2), &block[4..8]);
                nibbles(&block[8..], out, |code, at| {
                    scale * f32::from(code | fifth(high, at)) + minimum
                });
            }
            B::Q8_0 => {
                let scale = half(block, 0);
                for (out, code) in out.iter_mut().zip(&block[2..]) {
                    *out = f32::from(code.cast_signed()) * scale;
                }
            }
            B::Q2_K => q2_k(block, out),
            B::Q3_K => q3_k(block, out),
            B::Q4_K => q45_k(block, &[], &block[16..], out),
            B::Q5_K => q45_k(block, &block[16..48], &block[48..], out),
            B::Q6_K => q6_k(block, out),
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
    let in_blocks = |tensor: &TensorProto| BlockFormat::from_element_type(tensor.data_type()).is_some();
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

/// The half at byte `at`.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The fifth bit of element `at`, in its place.
fn fifth(high: &[u8], at: usize) -> u8 {
    (high[at / 8] >> (at % 8) & 1) << 4
}

/// A block of 32 codes of 4 bits: the first half in the low ends of the bytes.
fn nibbles(codes: &[u8], out: &mut [f32], value: impl Fn(u8, usize) -> f32) {
    let (low, high) = out.split_at_mut(SHORT / 2);
    for (at, code) in codes.iter().take(SHORT / 2).enumerate() {
        low[at] = value(code & 15, at);
        high[at] = value(code >> 4, at + SHORT / 2);
    }
}

/// Four runs of 32 codes of 2 bits in each 32 bytes.
fn two_bits(codes: &[u8], at: usize) -> u8 {
    let (part, run, place) = (at / 128, at / 32 % 4, at % 32);
    codes[32 * part + place] >> (2 * run) & 3
}

fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scales, codes) = (&block[..16], &block[16..80]);
    let (scale, minimum) = (half(block, 80), half(block, 82));
    for (part, (out, packed)) in out.chunks_exact_mut(16).zip(scales).enumerate() {
        let (scale, minimum) = (scale * f32::from(packed & 15), minimum * f32::from(packed >> 4));
        for (at, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(two_bits(codes, 16 * part + at)) - minimum;
        }
    }
}

fn q3_k(block: &[u8], out: &mut [f32]) {
    let (high, codes, scales, scale) = (&block[..32], &block[32..96], &block[96..108], half(block, 108));
    for (part, out) in out.chunks_exact_mut(16).enumerate() {
        let low_bits = if part < 8 {
            scales[part] & 15
        } else {
            scales[part - 8] >> 4
        };
        let high_bits = scales[8 + part % 4] >> (2 * (part / 4)) & 3;
        let scale = scale * (f32::from(low_bits | high_bits << 4) - 32.0);
        for (at, out) in out.iter_mut().enumerate() {
            let at = 16 * part + at;
            // The third bit says that nothing is taken off.
            let off = if high[at % 32] >> (at / 32) & 1 == 1 { 0.0 } else { 4.0 };
            *out = scale * (f32::from(two_bits(codes, at)) - off);
        }
    }
}

/// The 6-bit scale and minimum of run `run` out of the 12 bytes that hold eight of each.
fn scale_and_minimum(packed: &[u8], run: usize) -> (f32, f32) {
    let (scale, minimum) = match run.checked_sub(4) {
        None => (packed[run] & 63, packed[4 + run] & 63),
        Some(upper) => (
            packed[8 + upper] & 15 | packed[upper] >> 2 & 0x30,
            packed[8 + upper] >> 4 | packed[4 + upper] >> 2 & 0x30,
        ),
    };
    (f32::from(scale), f32::from(minimum))
}

/// Q4_K and, with the fifth bits in `high`, Q5_K.
fn q45_k(block: &[u8], high: &[u8], codes: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    for (run, out) in out.chunks_exact_mut(32).enumerate() {
        let (own_scale, own_minimum) = scale_and_minimum(&block[4..16], run);
        let (scale, minimum) = (scale * own_scale, minimum * own_minimum);
        for (at, out) in out.iter_mut().enumerate() {
            let code = codes[32 * (run / 2) + at] >> (4 * (run % 2)) & 15;
            let fifth = high.get(at).map_or(0, |bits| (bits >> run & 1) << 4);
            *out = scale * f32::from(code | fifth) - minimum;
        }
    }
}

fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high, scales, scale) = (&block[..128], &block[128..192], &block[192..208], half(block, 208));
    for (part, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = scale * f32::from(scales[part].cast_signed());
        for (place, out) in out.iter_mut().enumerate() {
            let at = 16 * part + place;
            let half_block = at / 128;
            let low_bits = low[64 * half_block + at % 64] >> (4 * (at / 64 % 2)) & 15;
            let high_bits = high[32 * half_block + at % 32] >> (2 * (at / 32 % 4)) & 3;
            *out = scale * (f32::from(low_bits | high_bits << 4) - 32.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::raw_tensor;
    use crate::onnx::{Elements, FloatSource as _, byte_count, numbers};
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
