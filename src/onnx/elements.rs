//! The elements of any numeric tensor as f32, piece by piece: a tensor of gigabytes is read without ever being held whole.

use super::blocks::BlockFormat;
use super::schema::data_type;
use super::small_floats;
use super::tensor::{fault, float_values, is_float, tensor_bytes};
use super::{FloatData, OnnxError, TensorProto, data_type_name, element_count};
use bytes::Bytes;
use rayon::prelude::*;
use std::ops::Range;

/// Numbers that can be read in pieces.
pub trait FloatSource: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// The numbers of `range`, which must lie inside; `scratch` lends room where they must be converted.
    fn piece<'a>(&'a self, range: Range<usize>, scratch: &'a mut Vec<f32>) -> &'a [f32];
}

impl FloatSource for [f32] {
    fn count(&self) -> usize {
        self.len()
    }

    fn piece<'a>(&'a self, range: Range<usize>, _: &'a mut Vec<f32>) -> &'a [f32] {
        &self[range]
    }
}

/// The elements of a tensor in row-major order: floats of 4 to 64 bits, integers of 2 to 64. Integers and small floats are
/// read as the number that they stand for, without any scale. Shares the file's memory.
#[derive(Debug, Clone)]
pub struct Elements {
    bytes: Bytes,
    element_type: i32,
    count: usize,
    /// Where rows are filled up in the file: how many elements of how many count.
    padded: Option<(usize, usize)>,
}

/// Elements that one task converts.
const TASK: usize = 1 << 16;

impl Elements {
    /// The elements of `tensor`.
    ///
    /// # Errors
    /// [`OnnxError::Tensor`] for elements that are no numbers, or when element count and data do not fit.
    pub fn of(tensor: &TensorProto) -> Result<Self, OnnxError> {
        let element_type = tensor.data_type();
        if !is_number(element_type) {
            let kind = data_type_name(element_type);
            return Err(fault(tensor, format!("its elements are {kind}, not numbers")));
        }
        Ok(Self {
            bytes: tensor_bytes(tensor)?,
            element_type,
            count: element_count(tensor)?,
            padded: None,
        })
    }

    /// `rows` rows of integers of at most 8 bits, of which the first `kept` of `stored` elements count; `None` when `bytes` hold
    /// another number of elements.
    pub fn of_rows(bytes: Bytes, element_type: i32, rows: usize, kept: usize, stored: usize) -> Option<Self> {
        let (_, bits) = small_integers(element_type)?;
        let wanted = rows.checked_mul(stored)?.checked_mul(bits)?.div_ceil(8);
        (bytes.len() == wanted && kept <= stored).then_some(Self {
            bytes,
            element_type,
            count: rows.checked_mul(kept)?,
            padded: (kept != stored).then_some((kept, stored)),
        })
    }

    /// Their bytes, if they lie as those of a tensor do.
    pub(crate) fn as_stored(&self) -> Option<Bytes> {
        self.padded.is_none().then(|| self.bytes.clone())
    }

    /// All elements at once, converted in parallel.
    pub fn converted(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.count];
        values.par_chunks_mut(TASK).enumerate().for_each(|(task, chunk)| {
            let mut scratch = Vec::new();
            let start = task * TASK;
            chunk.copy_from_slice(self.piece(start..start + chunk.len(), &mut scratch));
        });
        values
    }
}

impl FloatSource for Elements {
    fn count(&self) -> usize {
        self.count
    }

    fn piece<'a>(&'a self, range: Range<usize>, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        use data_type as t;
        let bytes = &self.bytes;
        if let Some((kept, stored)) = self.padded {
            scratch.clear();
            let mut at = range.start;
            while at < range.end {
                let (row, column) = (at / kept, at % kept);
                let length = (kept - column).min(range.end - at);
                let start = row * stored + column;
                integers(bytes, self.element_type, start..start + length, scratch);
                at += length;
            }
            return scratch;
        }
        if self.element_type == t::FLOAT && cfg!(target_endian = "little") {
            let part = &bytes[range.start * 4..range.end * 4];
            if let Ok(values) = bytemuck::try_cast_slice(part) {
                return values;
            }
        }
        scratch.clear();
        if let Some(format) = BlockFormat::from_element_type(self.element_type) {
            format.decode_range(bytes, range, scratch);
            return scratch;
        }
        match self.element_type {
            t::FLOAT => wide::<4>(bytes, range, scratch, f32::from_le_bytes),
            t::FLOAT16 => wide::<2>(bytes, range, scratch, |b| half::f16::from_le_bytes(b).to_f32()),
            t::BFLOAT16 => wide::<2>(bytes, range, scratch, |b| half::bf16::from_le_bytes(b).to_f32()),
            t::DOUBLE => wide::<8>(bytes, range, scratch, |b| f64::from_le_bytes(b) as f32),
            t::INT16 => wide::<2>(bytes, range, scratch, |b| f32::from(i16::from_le_bytes(b))),
            t::UINT16 => wide::<2>(bytes, range, scratch, |b| f32::from(u16::from_le_bytes(b))),
            t::INT32 => wide::<4>(bytes, range, scratch, |b| i32::from_le_bytes(b) as f32),
            t::UINT32 => wide::<4>(bytes, range, scratch, |b| u32::from_le_bytes(b) as f32),
            t::INT64 => wide::<8>(bytes, range, scratch, |b| i64::from_le_bytes(b) as f32),
            t::UINT64 => wide::<8>(bytes, range, scratch, |b| u64::from_le_bytes(b) as f32),
            t::FLOAT4E2M1 => packed(bytes, range, scratch, 4, small_floats::e2m1),
            t::FLOAT6E2M3 | t::FLOAT6E3M2 => {
                if let Some(table) = small_floats::table_of_six_bits(self.element_type) {
                    scratch.extend(range.map(|at| table[usize::from(six_bits(bytes, at))]));
                }
            }
            // The other types were refused when the tensor was looked at.
            other => {
                integers(bytes, other, range.clone(), scratch);
                if let Some(table) = small_floats::table(other) {
                    wide::<1>(bytes, range, scratch, |b| table[usize::from(b[0])]);
                }
            }
        }
        scratch
    }
}

/// The elements of a numeric tensor as f32: no copy for f32 in the file's memory.
///
/// # Errors
/// [`OnnxError::Tensor`] for elements that are no numbers, or when element count and data do not fit.
pub fn numbers(tensor: &TensorProto) -> Result<FloatData, OnnxError> {
    if is_float(tensor) {
        return float_values(tensor);
    }
    Ok(Elements::of(tensor)?.converted().into())
}

/// Whether elements of this type are numbers that can be shown.
pub fn is_number(element_type: i32) -> bool {
    use data_type as t;
    let integer = matches!(
        element_type,
        t::INT8 | t::UINT8 | t::INT16 | t::UINT16 | t::INT32 | t::UINT32 | t::INT64 | t::UINT64
    );
    let packed = matches!(
        element_type,
        t::UINT4 | t::INT4 | t::UINT2 | t::INT2 | t::FLOAT4E2M1 | t::FLOAT6E2M3 | t::FLOAT6E3M2
    );
    let float = matches!(element_type, t::FLOAT | t::FLOAT16 | t::BFLOAT16 | t::DOUBLE);
    let blocks = BlockFormat::from_element_type(element_type).is_some();
    integer || packed || float || blocks || small_floats::table(element_type).is_some()
}

/// Sign and width of the integers of at most 8 bits.
fn small_integers(element_type: i32) -> Option<(bool, usize)> {
    use data_type as t;
    Some(match element_type {
        t::INT8 => (true, 8),
        t::UINT8 => (false, 8),
        t::INT4 => (true, 4),
        t::UINT4 => (false, 4),
        t::INT2 => (true, 2),
        t::UINT2 => (false, 2),
        _ => return None,
    })
}

/// Puts the integers of at most 8 bits at `range` behind `out`; none, where they are of another type.
fn integers(bytes: &[u8], element_type: i32, range: Range<usize>, out: &mut Vec<f32>) {
    match small_integers(element_type) {
        Some((true, 8)) => wide::<1>(bytes, range, out, |b| f32::from(i8::from_le_bytes(b))),
        Some((false, 8)) => wide::<1>(bytes, range, out, |b| f32::from(b[0])),
        Some((true, bits)) => packed(bytes, range, out, bits, |code| signed(code, bits)),
        Some((false, bits)) => packed(bytes, range, out, bits, f32::from),
        None => {}
    }
}

fn wide<const SIZE: usize>(bytes: &[u8], range: Range<usize>, out: &mut Vec<f32>, value: impl Fn([u8; SIZE]) -> f32) {
    let (elements, _) = bytes[range.start * SIZE..range.end * SIZE].as_chunks::<SIZE>();
    out.extend(elements.iter().map(|&element| value(element)));
}

/// Elements of `width` bits, the first in the low end of its byte.
fn packed(bytes: &[u8], range: Range<usize>, out: &mut Vec<f32>, width: usize, value: impl Fn(u8) -> f32) {
    let (in_byte, mask) = (8 / width, (1_u8 << width) - 1);
    out.extend(range.map(|at| value(bytes[at / in_byte] >> (at % in_byte * width) & mask)));
}

/// Code number `at` of a stream of six bits each, which begins in the low end of the first byte.
fn six_bits(bytes: &[u8], at: usize) -> u8 {
    let (byte, shift) = (at * 6 / 8, at * 6 % 8);
    let next = bytes.get(byte + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([bytes[byte], next]) >> shift) as u8 & 0x3f
}

/// The lowest `width` bits in two's complement.
fn signed(bits: u8, width: usize) -> f32 {
    let high = 8 - width as u32;
    f32::from((bits << high).cast_signed() >> high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, i8_tensor, i32_tensor, raw_tensor};

    fn all(tensor: &TensorProto) -> Vec<f32> {
        numbers(tensor).unwrap().to_vec()
    }

    #[test]
    fn integers_become_the_floats_of_the_same_value() {
        assert_eq!(all(&i8_tensor("q", &[3], &[-128, 0, 127])), [-128.0, 0.0, 127.0]);
        assert_eq!(all(&i32_tensor("q", &[1], &[-70_000])), [-70_000.0]);
        let bytes = raw_tensor("q", data_type::UINT8, &[2], vec![0, 255]);
        assert_eq!(all(&bytes), [0.0, 255.0]);
        let wide = raw_tensor("q", data_type::UINT64, &[1], (1_u64 << 40).to_le_bytes().to_vec());
        assert_eq!(all(&wide), [(1_u64 << 40) as f32]);
    }

    #[test]
    fn packed_integers_come_low_end_first_and_without_the_padding() {
        let four = raw_tensor("q", data_type::INT4, &[3], vec![0x8f, 0x07]);
        assert_eq!(all(&four), [-1.0, -8.0, 7.0]);
        let unsigned = raw_tensor("q", data_type::UINT4, &[3], vec![0x8f, 0xf7]);
        assert_eq!(all(&unsigned), [15.0, 8.0, 7.0]);
        let twos = raw_tensor("q", data_type::INT2, &[4], vec![0b1101_1000]);
        assert_eq!(all(&twos), [0.0, -2.0, 1.0, -1.0]);
        let floats = raw_tensor("q", data_type::FLOAT4E2M1, &[3], vec![0xf1, 0x06]);
        assert_eq!(all(&floats), [0.5, -6.0, 4.0]);
    }

    #[test]
    fn what_is_no_number_is_refused_by_its_type() {
        let error = numbers(&raw_tensor("q", data_type::BOOL, &[1], vec![1])).unwrap_err();
        assert!(error.to_string().contains("BOOL"), "{error}");
    }

    #[test]
    fn a_piece_is_the_same_as_that_part_of_the_whole() {
        let mut scratch = Vec::new();
        for (element_type, width) in [
            (data_type::FLOAT, 4),
            (data_type::BFLOAT16, 2),
            (data_type::INT4, 0),
            (data_type::FLOAT8E5M2, 1),
        ] {
            let bytes: Vec<u8> = (0..40 * width.max(1)).map(|i| (i * 37 % 251) as u8).collect();
            let tensor = raw_tensor("w", element_type, &[if width == 0 { 80 } else { 40 }], bytes);
            let elements = Elements::of(&tensor).unwrap();
            let whole = elements.converted();
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(elements.piece(7..31, &mut scratch)), bits(&whole[7..31]));
        }
        let floats = float_tensor("w", &[3], &[1.0, 2.0, 3.0]);
        assert_eq!(Elements::of(&floats).unwrap().piece(1..3, &mut scratch), [2.0, 3.0]);
    }

    #[test]
    fn large_tensors_are_converted_in_order() {
        let count = 3 * TASK + 5;
        let bytes: Vec<u8> = (0..count).flat_map(|i| ((i % 1000) as i16).to_le_bytes()).collect();
        let values = all(&raw_tensor("w", data_type::INT16, &[count], bytes));
        assert!(values.iter().enumerate().all(|(i, &v)| v == (i % 1000) as f32));
    }
}
