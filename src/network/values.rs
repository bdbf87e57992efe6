//! Weights as floats, also those of networks that are quantized already.

use crate::onnx::schema::data_type;
use crate::onnx::{FloatData, OnnxError, TensorProto, element_count, float_values, is_float, tensor_bytes};

/// The elements of a tensor as f32: floats as they are, integers as their value (a scale is not applied).
///
/// # Errors
/// [`OnnxError::Tensor`] for another element type, or when element count and data do not fit.
pub(super) fn numbers(tensor: &TensorProto) -> Result<FloatData, OnnxError> {
    if is_float(tensor) {
        return float_values(tensor);
    }
    let bytes = tensor_bytes(tensor)?;
    let values: Vec<f32> = match tensor.data_type() {
        data_type::INT8 => bytes.iter().map(|&byte| f32::from(byte.cast_signed())).collect(),
        data_type::UINT8 => bytes.iter().map(|&byte| f32::from(byte)).collect(),
        data_type::INT16 => elements::<2>(&bytes, |b| f32::from(i16::from_le_bytes(b))),
        data_type::UINT16 => elements::<2>(&bytes, |b| f32::from(u16::from_le_bytes(b))),
        data_type::INT32 => elements::<4>(&bytes, |b| i32::from_le_bytes(b) as f32),
        data_type::UINT32 => elements::<4>(&bytes, |b| u32::from_le_bytes(b) as f32),
        data_type::INT64 => elements::<8>(&bytes, |b| i64::from_le_bytes(b) as f32),
        data_type::UINT64 => elements::<8>(&bytes, |b| u64::from_le_bytes(b) as f32),
        data_type::UINT4 => packed(&bytes, 4, element_count(tensor)?, false),
        data_type::INT4 => packed(&bytes, 4, element_count(tensor)?, true),
        data_type::UINT2 => packed(&bytes, 2, element_count(tensor)?, false),
        data_type::INT2 => packed(&bytes, 2, element_count(tensor)?, true),
        // The message of the float reader names the type.
        _ => return float_values(tensor),
    };
    Ok(values.into())
}

fn elements<const SIZE: usize>(bytes: &[u8], value: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    elements.iter().map(|&element| value(element)).collect()
}

/// Integers of `bits` bits, the first in the low end of its byte; `count` of them, the rest is padding.
fn packed(bytes: &[u8], bits: u32, count: usize, signed: bool) -> Vec<f32> {
    let high = 8 - bits;
    let in_byte = |byte: u8| {
        (0..8 / bits).map(move |place| {
            let at_top = (byte >> (place * bits)) << high;
            if signed {
                f32::from(at_top.cast_signed() >> high)
            } else {
                f32::from(at_top >> high)
            }
        })
    };
    bytes.iter().flat_map(|&byte| in_byte(byte)).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{i8_tensor, i32_tensor, raw_tensor};

    #[test]
    fn integers_become_the_floats_of_the_same_value() {
        assert_eq!(
            *numbers(&i8_tensor("q", &[3], &[-128, 0, 127])).unwrap(),
            [-128.0, 0.0, 127.0]
        );
        assert_eq!(*numbers(&i32_tensor("q", &[1], &[-70_000])).unwrap(), [-70_000.0]);
        let bytes = raw_tensor("q", data_type::UINT8, &[2], vec![0, 255]);
        assert_eq!(*numbers(&bytes).unwrap(), [0.0, 255.0]);
    }

    #[test]
    fn packed_integers_come_low_end_first_and_without_the_padding() {
        let signed = raw_tensor("q", data_type::INT4, &[3], vec![0x8f, 0x07]);
        assert_eq!(*numbers(&signed).unwrap(), [-1.0, -8.0, 7.0]);
        let unsigned = raw_tensor("q", data_type::UINT4, &[3], vec![0x8f, 0xf7]);
        assert_eq!(*numbers(&unsigned).unwrap(), [15.0, 8.0, 7.0]);
        let twos = raw_tensor("q", data_type::INT2, &[4], vec![0b1101_1000]);
        assert_eq!(*numbers(&twos).unwrap(), [0.0, -2.0, 1.0, -1.0]);
    }

    #[test]
    fn what_is_no_number_is_refused_by_its_type() {
        let error = numbers(&raw_tensor("q", data_type::BOOL, &[1], vec![1])).unwrap_err();
        assert!(error.to_string().contains("BOOL"), "{error}");
    }
}
