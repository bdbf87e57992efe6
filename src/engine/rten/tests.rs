//! The engine on the demos: ports, values between nodes, what it refuses.

use super::*;
use crate::onnx::build::{float_value_info, i64_tensor, int_attribute, model_of, node, raw_tensor, scalar_f32};
use crate::onnx::schema::data_type;
use crate::onnx::{BlockFormat, GraphProto};

const FASHION: &[u8] = include_bytes!("../../../assets/fashion_resnet.onnx");
const SHAKESPEARE: &[u8] = include_bytes!("../../../assets/shakespeare_lstm.onnx");

fn images(count: usize) -> Tensor {
    let pixels = (0..count * 784).map(|i| (i * 37 % 256) as f32 / 128.0 - 1.0);
    Tensor::from_shape([count, 1, 28, 28], pixels.collect::<Vec<f32>>()).unwrap()
}

fn floats(value: &Tensor) -> Vec<f32> {
    value.floats().unwrap().to_vec()
}

#[test]
fn ports_have_names_shapes_and_types() {
    let engine = Rten::load(FASHION.to_vec()).unwrap();
    let input = &engine.inputs()[0];
    assert_eq!(engine.inputs().len(), 1);
    assert_eq!(input.describe(), "input [batch, 1, 28, 28]");
    assert_eq!(input.shape, Some(vec![None, Some(1), Some(28), Some(28)]));
    assert!(!input.is_integer());
    assert_eq!(engine.outputs()[0].describe(), "logits [batch, 10]");
    let engine = Rten::load(SHAKESPEARE.to_vec()).unwrap();
    assert_eq!(engine.inputs()[0].describe(), "tokens [seq, batch]");
    assert!(engine.inputs()[0].is_integer());
}

#[test]
fn any_value_can_be_asked_for_and_is_the_same_without_optimizations() {
    let fast = Rten::load(FASHION.to_vec()).unwrap();
    let plain = Rten::load_unoptimized(FASHION.to_vec()).unwrap();
    let images = images(3);
    let inputs = [("input", &images)];
    let outputs = [
        "layer1.0.relu1.out",
        "bn1.out",
        "input",
        "logits",
        "logits",
        "conv1.out",
    ];
    let fast = fast.run(&inputs, &outputs).unwrap();
    let plain = plain.run(&inputs, &outputs).unwrap();
    assert_eq!(fast.len(), 6);
    let (some, close) = (["layer1.0.relu1.out", "logits"], |a: &f32, b: &f32| {
        (a - b).abs() <= 1e-4
    });
    // Fused: the convolution's own output is not asked for. Only rounding may differ.
    let engine = Rten::load(FASHION.to_vec()).unwrap();
    for (fused, plain) in engine.run(&inputs, &some).unwrap().iter().zip([&plain[0], &plain[3]]) {
        assert!(floats(fused).iter().zip(&floats(plain)).all(|(a, b)| close(a, b)));
    }
    for (name, (fast, plain)) in outputs.iter().zip(fast.iter().zip(&plain)) {
        assert_eq!(fast, plain, "{name}");
    }
    assert_eq!(fast[2], images);
    assert!(floats(&fast[0]).iter().all(|v| *v >= 0.0) && floats(&fast[1]).iter().any(|v| *v < 0.0));
}

#[test]
fn a_run_does_not_depend_on_the_runs_before() {
    let engine = Rten::load(SHAKESPEARE.to_vec()).unwrap();
    let tokens = |shift: usize| {
        let tokens = (0..80).map(|i| ((i * 7 + shift) % 65) as i32);
        Tensor::from_shape([40, 2], tokens.collect::<Vec<i32>>()).unwrap()
    };
    let first = engine.run(&[("tokens", &tokens(0))], &["logits"]).unwrap();
    engine
        .run(&[("tokens", &tokens(5))], &["rnn.l0.out", "logits"])
        .unwrap();
    assert_eq!(engine.run(&[("tokens", &tokens(0))], &["logits"]).unwrap(), first);
}

#[test]
fn wrong_inputs_and_outputs_are_named() {
    let engine = Rten::load(FASHION.to_vec()).unwrap();
    let error = |inputs: &[(&str, &Tensor)], outputs: &[&str]| engine.run(inputs, outputs).unwrap_err().to_string();
    assert!(error(&[("input", &images(1))], &["nowhere"]).contains("'nowhere'"));
    assert!(error(&[], &["logits"]).contains("input input [batch, 1, 28, 28] is missing"));
    assert!(error(&[("input", &images(1)), ("x", &images(1))], &["logits"]).contains("'x'"));
    let wrong = Tensor::from_shape([1, 3, 28, 28], vec![0.0_f32; 3 * 784]).unwrap();
    assert!(error(&[("input", &wrong)], &["logits"]).contains("dim 1 to have size 1 but got 3"));
}

#[test]
fn broken_models_are_refused_without_a_panic() {
    for bytes in [&b""[..], b"RTEN and more bytes", b"no model at all", &[0xff; 40]] {
        assert!(matches!(Rten::load(bytes.to_vec()), Err(EngineError::Load(_))));
    }
    for cut in (0..FASHION.len()).step_by(FASHION.len() / 40) {
        if let Ok(engine) = Rten::load(FASHION[..cut].to_vec()) {
            let _ = engine.run(&[("input", &images(1))], &["logits"]);
        }
    }
    // The operator's name, changed in place.
    let mut unknown = FASHION.to_vec();
    let at = unknown.windows(13).position(|w| w == b"GlobalAverage").unwrap();
    unknown[at..at + 13].copy_from_slice(b"GlobalNonsens");
    let Err(EngineError::Load(reason)) = Rten::load(unknown) else {
        panic!("an unknown operator must be refused");
    };
    assert!(reason.to_string().contains("GlobalNonsensPool"), "{reason}");
}

/// The engine's own `Concat` takes no bytes.
#[test]
fn bytes_are_put_together() {
    for (element_type, zero) in [(data_type::UINT8, 128), (data_type::INT8, 0)] {
        let zero_point = raw_tensor("z", element_type, &[], vec![zero]);
        let model = model_of(
            17,
            GraphProto {
                node: vec![
                    node("QuantizeLinear", "", ["x", "s", "z"], ["q"], vec![]),
                    node("Gather", "", ["q", "last"], ["copies"], vec![int_attribute("axis", -1)]),
                    node("Concat", "", ["q", "copies"], ["all"], vec![int_attribute("axis", -1)]),
                    node("DequantizeLinear", "", ["all", "s", "z"], ["y"], vec![]),
                ],
                input: vec![float_value_info("x", &[2, 2])],
                output: vec![float_value_info("y", &[2, 3])],
                initializer: vec![scalar_f32("s", 0.5), zero_point, i64_tensor("last", &[1], &[1])],
                ..GraphProto::default()
            },
        );
        let x = Tensor::from_shape([2, 2], vec![1.5, -64.0, 63.5, 0.2]).unwrap();
        let run = Rten::load_model(model).unwrap().run(&[("x", &x)], &["y"]).unwrap();
        assert_eq!(run[0].shape(), [2, 3]);
        assert_eq!(floats(&run[0]), [1.5, -64.0, -64.0, 63.5, 0.0, 0.0]);
    }
}

/// Weights of a GGUF file stay in their blocks until a network runs: 32 codes of 8 bits and their scale.
#[test]
fn weights_in_blocks_run_from_the_model_as_from_its_bytes() {
    // As many as are laid beside the graph.
    const WIDTH: usize = 64;
    let mut blocks = Vec::new();
    for block in 0..WIDTH * WIDTH / 32 {
        blocks.extend(half::f16::from_f32(0.25 + block as f32 / 64.0).to_le_bytes());
        blocks.extend((0..32).map(|code: u8| code.wrapping_mul(5).wrapping_sub(77)));
    }
    let weights = raw_tensor("w", BlockFormat::Q8_0.element_type(), &[WIDTH, WIDTH], blocks);
    let model = model_of(
        17,
        GraphProto {
            node: vec![node("MatMul", "product", ["x", "w"], ["y"], vec![])],
            input: vec![float_value_info("x", &[1, 64])],
            output: vec![float_value_info("y", &[1, 64])],
            initializer: vec![weights],
            ..GraphProto::default()
        },
    );
    let one = |place: usize| if place == 3 { 1.0 } else { 0.0 };
    let x = Tensor::from_shape([1, WIDTH], (0..WIDTH).map(one).collect::<Vec<f32>>()).unwrap();
    let run = |engine: Rten| floats(&engine.run(&[("x", &x)], &["y"]).unwrap()[0]);
    let y = run(Rten::load_model(model.clone()).unwrap());
    // Row 3 is blocks 6 and 7.
    assert_eq!(y[0], -77.0 * (0.25 + 6.0 / 64.0));
    assert_eq!(y[33], -72.0 * (0.25 + 7.0 / 64.0));
    assert_eq!(y, run(Rten::load(onnx::encode(&model).unwrap()).unwrap()));
}
