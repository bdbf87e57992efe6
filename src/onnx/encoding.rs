//! Numbers written as a tensor of any numeric element type: the inverse of [`super::numbers`].

use super::build::{packed_tensor, raw_tensor};
use super::schema::data_type;
use super::tensor::{fault, six_bit_bytes};
use super::{OnnxError, TensorProto, data_type_name, small_floats};

/// A tensor of `element_type` from f32 numbers in row-major order: each is rounded to the nearest number of the type (half to
/// even) and saturates at its ends, as ONNX's `Cast` and `QuantizeLinear` do. `dims` and the number of values must agree, as in
/// [`super::build`].
///
/// ```
/// # use splitscope::onnx::{encode_numbers, numbers, schema::data_type};
/// let tensor = encode_numbers("w", data_type::INT4, &[3], &[2.5, -9.0, 7.0])?;
/// assert_eq!(numbers(&tensor)?.to_vec(), [2.0, -8.0, 7.0]);
/// # Ok::<(), splitscope::onnx::OnnxError>(())
/// ```
///
/// # Errors
/// [`OnnxError::Tensor`] for an element type that holds no numbers.
pub fn encode_numbers(
    name: impl Into<String>,
    element_type: i32,
    dims: &[usize],
    values: &[f32],
) -> Result<TensorProto, OnnxError> {
    use data_type as t;
    // Casts of floats to integers saturate and turn NaN into 0.
    let whole = |x: f32| x.round_ties_even();
    let bytes = match element_type {
        t::FLOAT => of(values, f32::to_le_bytes),
        t::DOUBLE => of(values, |x| f64::from(x).to_le_bytes()),
        t::FLOAT16 => of(values, |x| half::f16::from_f32(x).to_le_bytes()),
        t::BFLOAT16 => of(values, |x| half::bf16::from_f32(x).to_le_bytes()),
        t::INT8 => of(values, |x| (whole(x) as i8).to_le_bytes()),
        t::UINT8 => of(values, |x| [whole(x) as u8]),
        t::INT16 => of(values, |x| (whole(x) as i16).to_le_bytes()),
        t::UINT16 => of(values, |x| (whole(x) as u16).to_le_bytes()),
        t::INT32 => of(values, |x| (whole(x) as i32).to_le_bytes()),
        t::UINT32 => of(values, |x| (whole(x) as u32).to_le_bytes()),
        t::INT64 => of(values, |x| (whole(x) as i64).to_le_bytes()),
        t::UINT64 => of(values, |x| (whole(x) as u64).to_le_bytes()),
        t::INT4 => {
            return Ok(small(name, element_type, 4, dims, values, |x| {
                whole(x).clamp(-8.0, 7.0) as i8 as u8
            }));
        }
        t::UINT4 => {
            return Ok(small(name, element_type, 4, dims, values, |x| {
                whole(x).clamp(0.0, 15.0) as u8
            }));
        }
        t::INT2 => {
            return Ok(small(name, element_type, 2, dims, values, |x| {
                whole(x).clamp(-2.0, 1.0) as i8 as u8
            }));
        }
        t::UINT2 => {
            return Ok(small(name, element_type, 2, dims, values, |x| {
                whole(x).clamp(0.0, 3.0) as u8
            }));
        }
        t::FLOAT4E2M1 => return Ok(small(name, element_type, 4, dims, values, small_floats::to_e2m1)),
        other => match (small_floats::table(other), small_floats::table_of_six_bits(other)) {
            (Some(table), _) => of(values, |x| [small_floats::nearest(table, x)]),
            (_, Some(table)) => six_bit_bytes(&of(values, |x| [small_floats::nearest(table, x)])),
            (None, None) => {
                let tensor = raw_tensor(name, element_type, dims, Vec::new());
                let reason = format!("numbers cannot be written as {}", data_type_name(other));
                return Err(fault(&tensor, reason));
            }
        },
    };
    Ok(raw_tensor(name, element_type, dims, bytes))
}

fn of<const SIZE: usize>(values: &[f32], bytes: impl Fn(f32) -> [u8; SIZE]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(*value)).collect()
}

/// A tensor of a packed type.
fn small(
    name: impl Into<String>,
    element_type: i32,
    bits: usize,
    dims: &[usize],
    values: &[f32],
    code: impl Fn(f32) -> u8,
) -> TensorProto {
    let codes: Vec<u8> = values.iter().map(|value| code(*value)).collect();
    packed_tensor(name, element_type, bits, dims, &codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::numbers;

    const ALL: [i32; 24] = [
        1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    ];

    /// Every type holds 1.
    #[test]
    fn what_a_type_holds_comes_back() {
        for element_type in ALL {
            let tensor = encode_numbers("w", element_type, &[2], &[1.0, 1.0]).unwrap();
            assert_eq!(numbers(&tensor).unwrap().to_vec(), [1.0, 1.0], "type {element_type}");
        }
        assert!(encode_numbers("w", data_type::STRING, &[1], &[1.0]).is_err());
    }

    #[test]
    fn numbers_beyond_the_ends_saturate() {
        let ends = |element_type| {
            let tensor = encode_numbers("w", element_type, &[2], &[-1e9, 1e9]).unwrap();
            numbers(&tensor).unwrap().to_vec()
        };
        assert_eq!(ends(data_type::INT2), [-2.0, 1.0]);
        assert_eq!(ends(data_type::UINT4), [0.0, 15.0]);
        assert_eq!(ends(data_type::INT8), [-128.0, 127.0]);
        assert_eq!(ends(data_type::FLOAT4E2M1), [-6.0, 6.0]);
        assert_eq!(ends(data_type::FLOAT8E4M3FN), [-448.0, 448.0]);
        assert_eq!(ends(data_type::FLOAT8E5M2), [-57344.0, 57344.0]);
    }

    /// Each finite number of a type is its own nearest number.
    #[test]
    fn every_code_of_the_small_floats_comes_back() {
        for element_type in 17..=20 {
            let codes: Vec<u8> = (0..=255).collect();
            let all = numbers(&raw_tensor("w", element_type, &[256], codes.clone())).unwrap();
            let again = encode_numbers("w", element_type, &[256], &all).unwrap();
            let bytes = again.raw_data.unwrap();
            for code in codes.iter().map(|code| usize::from(*code)) {
                // Infinities saturate.
                if all[code].is_finite() {
                    assert_eq!(usize::from(bytes[code]), code, "type {element_type}");
                }
            }
        }
    }
}
