//! Layers whose weights are integers already.

use super::*;

#[test]
fn quantized_layers_say_that_they_are() {
    let int8 = |dims: &[usize]| i8_tensor("w", dims, &vec![1; dims.iter().product()]);
    let integer = one(
        node("ConvInteger", "", ["x", "w"], ["y"], vec![]),
        vec![int8(&[4, 3, 2])],
    );
    assert_eq!(why(&integer), "quantized already: ConvInteger with int8 weights");
    assert_eq!(integer.layout, layout(1, 4, 3, 2, OutAxis::Outer));
    let inputs = ["x", "s", "z", "w", "s", "z", "s", "z"];
    let linear = one(node("QLinearMatMul", "", inputs, ["y"], vec![]), vec![int8(&[4, 6])]);
    assert_eq!((linear.kind, linear.weight_input), (LayerKind::Quantized, 3));
    let behind = found(
        vec![
            node("DequantizeLinear", "", ["w", "s"], ["f"], vec![]),
            node("Conv", "", ["x", "f"], ["y"], vec![]),
        ],
        vec![int8(&[4, 3, 2])],
    );
    assert_eq!(
        why(&behind[0]),
        "quantized already: int8 weights behind DequantizeLinear"
    );
    assert_eq!(behind[0].kind, LayerKind::Quantized);
    let plain = one(node("MatMul", "", ["x", "w"], ["y"], vec![]), vec![int8(&[4, 6])]);
    assert_eq!(why(&plain), "weights are int8, not floats");
}

#[test]
fn operators_of_onnx_runtime_are_known_by_their_domain() {
    let contrib = |mut node: NodeProto| {
        node.domain = Some("com.microsoft".into());
        node
    };
    let lstm = contrib(node("DynamicQuantizeLSTM", "q", ["x", "w", "r"], ["y"], vec![]));
    let layers = found(
        vec![lstm],
        vec![
            i8_tensor("w", &[1, 3, 8], &[0; 24]),
            i8_tensor("r", &[1, 2, 8], &[0; 16]),
        ],
    );
    assert_eq!(layers[0].layout, layout(1, 1, 3, 8, OutAxis::Inner));
    assert_eq!(layers[1].name, "q/R");
    let packed = contrib(node(
        "MatMulNBits",
        "",
        ["x", "w", "s"],
        ["y"],
        vec![int_attribute("K", 32), int_attribute("N", 2), int_attribute("bits", 4)],
    ));
    let bytes = raw_tensor("w", data_type::UINT8, &[2, 1, 16], vec![0; 32]);
    assert_eq!(
        why(&one(packed, vec![bytes])),
        "quantized already: MatMulNBits with 4-bit weights"
    );
    let other = node("DynamicQuantizeLSTM", "", ["x", "w", "r"], ["y"], vec![]);
    assert!(found(vec![other], vec![i8_tensor("w", &[1, 3, 8], &[0; 24])]).is_empty());
}
