//! Every element type against onnx's own helpers (`fixtures/quantized/make_elements.py`).

use splitscope::onnx::build::{int2_tensor, int4_tensor, uint2_tensor, uint4_tensor};
use splitscope::onnx::{TensorProto, data_type_name, encode_numbers, numbers, read_file, tensor_bytes};
use std::collections::HashMap;
use std::path::Path;

fn tensors() -> HashMap<String, TensorProto> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quantized/element_types.onnx");
    let graph = read_file(&path).unwrap().graph.unwrap();
    let named = graph
        .initializer
        .into_iter()
        .map(|tensor| (tensor.name().to_owned(), tensor));
    named.collect()
}

#[test]
fn every_element_type_is_read_and_written_as_onnx_does() {
    let tensors = tensors();
    let kinds = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_suffix(".raw")?, tensor)));
    let mut seen = 0;
    for (kind, raw) in kinds {
        assert_eq!(data_type_name(raw.data_type()), kind);
        let expected = numbers(&tensors[&format!("{kind}.values")]).unwrap();
        assert_eq!(numbers(raw).unwrap().to_vec(), expected.to_vec(), "{kind}");
        let typed = &tensors[&format!("{kind}.typed")];
        assert_eq!(
            numbers(typed).unwrap().to_vec(),
            expected.to_vec(),
            "{kind} in its typed field"
        );
        let written = encode_numbers("w", raw.data_type(), &[expected.len()], &expected).unwrap();
        // Numbers that f32 does not hold exactly come back rounded: those of 32 bits and more here are powers of two.
        assert_eq!(
            tensor_bytes(&written).unwrap(),
            tensor_bytes(raw).unwrap(),
            "{kind} written"
        );
        seen += 1;
    }
    assert_eq!(seen, 24);
}

#[test]
fn packed_makers_write_the_bytes_of_onnx() {
    let tensors = tensors();
    let bytes = |name: &str| tensor_bytes(&tensors[name]).unwrap();
    let made = |tensor: &TensorProto| tensor_bytes(tensor).unwrap();
    let values = |kind: &str| numbers(&tensors[&format!("{kind}.values")]).unwrap().to_vec();
    let signed = |kind: &str| values(kind).iter().map(|value| *value as i8).collect::<Vec<_>>();
    let unsigned = |kind: &str| values(kind).iter().map(|value| *value as u8).collect::<Vec<_>>();
    assert_eq!(made(&int4_tensor("w", &[7], &signed("INT4"))), bytes("INT4.raw"));
    assert_eq!(made(&uint4_tensor("w", &[7], &unsigned("UINT4"))), bytes("UINT4.raw"));
    assert_eq!(made(&int2_tensor("w", &[7], &signed("INT2"))), bytes("INT2.raw"));
    assert_eq!(made(&uint2_tensor("w", &[7], &unsigned("UINT2"))), bytes("UINT2.raw"));
}
