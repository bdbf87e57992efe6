//! Element counts, bytes and floats of tensors, and what is refused.

use super::*;
use crate::onnx::build::{float_tensor, raw_tensor};

fn typed(element_type: i32, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: Some("w".into()),
        data_type: Some(element_type),
        dims: dims.to_vec(),
        ..TensorProto::default()
    }
}

#[test]
fn a_scalar_has_one_element_and_an_empty_dimension_none() {
    assert_eq!(element_count(&typed(1, &[])).unwrap(), 1);
    assert_eq!(element_count(&typed(1, &[2, 3, 4])).unwrap(), 24);
    assert_eq!(element_count(&typed(1, &[i64::MAX, 0, i64::MAX])).unwrap(), 0);
}

#[test]
fn impossible_shapes_are_refused_by_name() {
    for dims in [&[-1][..], &[i64::MAX, 3], &[0, -1]] {
        let error = element_count(&typed(1, dims)).unwrap_err().to_string();
        assert!(error.starts_with("tensor 'w': its shape"), "{error}");
    }
    assert!(byte_count(&typed(data_type::DOUBLE, &[i64::MAX / 2])).is_err());
}

#[test]
fn packed_elements_round_up_to_whole_bytes() {
    assert_eq!(byte_count(&typed(data_type::INT4, &[3])).unwrap(), 2);
    assert_eq!(byte_count(&typed(data_type::UINT2, &[5])).unwrap(), 2);
    assert_eq!(byte_count(&typed(data_type::FLOAT6E2M3, &[5])).unwrap(), 4);
    let mut packed = typed(data_type::INT4, &[3]);
    packed.int32_data = vec![0x21, 0x0f];
    assert_eq!(&tensor_bytes(&packed).unwrap()[..], [0x21, 0x0f]);
}

#[test]
fn typed_fields_give_the_same_bytes_as_raw_data() {
    let check = |tensor: &TensorProto, bytes: &[u8]| assert_eq!(&tensor_bytes(tensor).unwrap()[..], bytes);
    let mut t = typed(data_type::FLOAT, &[2]);
    t.float_data = vec![1.0, -2.0];
    check(&t, &[0, 0, 128, 63, 0, 0, 0, 192]);
    let mut t = typed(data_type::INT8, &[2]);
    t.int32_data = vec![-1, 5];
    check(&t, &[255, 5]);
    let mut t = typed(data_type::INT16, &[1]);
    t.int32_data = vec![-2];
    check(&t, &[254, 255]);
    let mut t = typed(data_type::UINT32, &[1]);
    t.uint64_data = vec![0xffff_fffe];
    check(&t, &[254, 255, 255, 255]);
    let mut t = typed(data_type::INT64, &[1]);
    t.int64_data = vec![-1];
    check(&t, &[255; 8]);
    let mut t = typed(data_type::BOOL, &[3]);
    t.int32_data = vec![1, 0, 1];
    check(&t, &[1, 0, 1]);
}

#[test]
fn every_float_type_is_read_as_f32() {
    let values = |element_type, bytes: Vec<u8>, count: usize| {
        float_values(&raw_tensor("w", element_type, &[count], bytes))
            .unwrap()
            .to_vec()
    };
    assert_eq!(values(data_type::FLOAT16, vec![0x00, 0x3c, 0x00, 0xc1], 2), [1.0, -2.5]);
    assert_eq!(
        values(data_type::BFLOAT16, vec![0x80, 0x3f, 0x20, 0xc0], 2),
        [1.0, -2.5]
    );
    assert_eq!(values(data_type::DOUBLE, 0.1_f64.to_le_bytes().to_vec(), 1), [0.1_f32]);
    let mut halves = typed(data_type::FLOAT16, &[1]);
    halves.int32_data = vec![0xc100];
    assert_eq!(&float_values(&halves).unwrap()[..], [-2.5]);
}

#[test]
fn large_tensors_are_converted_in_order() {
    let count = 200_000;
    let halves: Vec<u8> = (0..count)
        .flat_map(|i| half::f16::from_f32((i % 1000) as f32).to_le_bytes())
        .collect();
    let values = float_values(&raw_tensor("w", data_type::FLOAT16, &[count], halves)).unwrap();
    assert!(values.iter().enumerate().all(|(i, &v)| v == (i % 1000) as f32));
    assert_eq!(values.len(), count);
}

#[test]
fn aligned_floats_are_not_copied_and_unaligned_ones_are_read_right() {
    let words = vec![1.0_f32, -2.5, 3.25];
    let mut shifted = vec![0_u8];
    shifted.extend_from_slice(bytemuck::cast_slice(&words));
    let shifted = Bytes::from(shifted);
    for start in [0, 1] {
        let bytes = shifted.slice(start..start + 12);
        let values = float_values(&raw_tensor("w", data_type::FLOAT, &[3], bytes.clone())).unwrap();
        let aligned = bytes.as_ptr().align_offset(4) == 0;
        assert_eq!(values.as_ptr().cast::<u8>() == bytes.as_ptr(), aligned);
        if start == 1 {
            assert_eq!(&values[..], &words[..]);
        }
    }
}

#[test]
fn data_that_do_not_fit_the_shape_are_refused() {
    let short = float_tensor("conv.weight", &[2, 2], &[1.0; 3]);
    assert_eq!(
        float_values(&short).unwrap_err().to_string(),
        "tensor 'conv.weight': its shape [2, 2] needs 16 bytes, its data has 12"
    );
    assert!(tensor_bytes(&typed(data_type::FLOAT, &[1])).is_err());
    assert!(tensor_bytes(&typed(data_type::STRING, &[1])).is_err());
    assert!(tensor_bytes(&typed(99, &[1])).is_err());
    let integers = raw_tensor("i", data_type::INT64, &[1], vec![0; 8]);
    assert_eq!(
        float_values(&integers).unwrap_err().to_string(),
        "tensor 'i': its elements are INT64, not floats"
    );
}

#[test]
fn a_name_with_line_breaks_stays_one_line() {
    let mut tensor = typed(data_type::STRING, &[]);
    tensor.name = Some("a\nb".repeat(100));
    let error = tensor_bytes(&tensor).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1);
    assert!(error.len() < 700);
}
