//! `DynamicQuantizeLSTM`: computed with weights of 7 bits, refused where sums of onnxruntime depend on the processor.

use crate::common::graph;
use splitscope::data::{Tensor, by_name};
use splitscope::engine::{Engine as _, Rten};
use splitscope::onnx::build::{float_tensor, i8_tensor, int_attribute, node, u8_tensor};
use splitscope::onnx::schema::{OperatorSetIdProto, data_type};
use splitscope::onnx::{ModelProto, TensorProto, encode};

/// Codes from -64 to 64 that repeat late.
fn codes(count: i64, step: i64) -> Vec<i8> {
    (0..count).map(|i| i8::try_from(i * step % 129 - 64).unwrap()).collect()
}

/// A tensor of codes, as they are or with 128 added.
fn stored(name: &str, dims: &[usize], codes: &[i8], is_signed: bool) -> TensorProto {
    if is_signed {
        return i8_tensor(name, dims, codes);
    }
    let codes = codes.iter().map(|code| (i16::from(*code) + 128).try_into().unwrap());
    u8_tensor(name, dims, &codes.collect::<Vec<u8>>())
}

/// One cell of 3 inputs and 2 units, W and R as [`stored`].
fn cell(w: &[i8], r: &[i8], zero_point: i8, is_signed: bool) -> ModelProto {
    let inputs = ["x", "w", "r", "", "", "", "", "", "ws", "wz", "rs", "rz"];
    let mut cell = node(
        "DynamicQuantizeLSTM",
        "cell",
        inputs,
        ["y"],
        vec![int_attribute("hidden_size", 2)],
    );
    cell.domain = Some("com.microsoft".to_owned());
    let constants = vec![
        stored("w", &[1, 3, 8], w, is_signed),
        stored("r", &[1, 2, 8], r, is_signed),
        float_tensor("ws", &[1], &[0.01]),
        stored("wz", &[1], &[zero_point], is_signed),
        float_tensor("rs", &[1], &[0.02]),
        stored("rz", &[1], &[zero_point], is_signed),
    ];
    let ends = (graph::floats("x", &[3, 1, 3]), graph::floats("y", &[3, 1, 1, 2]));
    let mut model = graph::model(17, (vec![cell], constants), vec![ends.0], vec![ends.1]);
    model.opset_import.push(OperatorSetIdProto {
        domain: Some("com.microsoft".to_owned()),
        version: Some(1),
    });
    model
}

fn refused(model: &ModelProto) -> String {
    match Rten::load(encode(model).unwrap()) {
        Ok(_) => panic!("it is computed"),
        Err(error) => error.to_string(),
    }
}

/// The numbers are those of onnxruntime 1.32.
#[test]
fn weights_of_7_bits_give_the_numbers_of_onnxruntime() {
    let symmetric = [
        -0.170_135_4,
        -0.015_982_59,
        -0.025_098_34,
        -0.211_731_7,
        0.208_120_6,
        0.080_324_01,
    ];
    let moved = [
        -0.157_453_6,
        -0.036_655_58,
        -0.029_956_07,
        -0.228_503_6,
        0.252_781_5,
        0.091_072_76,
    ];
    let x: Vec<f32> = (0..9).map(|i| (i as f32 * 0.7).sin() * 2.0).collect();
    let x = [("x".to_owned(), Tensor::from_shape([3, 1, 3], x).unwrap())];
    for (zero_point, expected) in [(0, symmetric), (3, moved)] {
        for is_signed in [true, false] {
            let model = cell(&codes(24, 37), &codes(16, 53), zero_point, is_signed);
            let y = Rten::load(encode(&model).unwrap())
                .unwrap()
                .run(&by_name(&x), &["y"])
                .unwrap();
            for (y, expected) in y[0].floats().unwrap().iter().zip(expected) {
                assert!(
                    (y - expected).abs() <= 1e-6_f32,
                    "{zero_point}, {is_signed}: {y}, {expected}"
                );
            }
        }
    }
}

#[test]
fn weights_of_more_than_7_bits_are_refused_by_name() {
    for is_signed in [true, false] {
        for (matrix, code) in [("w", 65), ("w", -65), ("r", 127), ("r", -128)] {
            let (mut w, mut r) = (codes(24, 37), codes(16, 53));
            *(if matrix == "w" { &mut w[20] } else { &mut r[9] }) = code;
            let reason = refused(&cell(&w, &r, 0, is_signed));
            for part in ["'cell'", "com.microsoft.DynamicQuantizeLSTM", "more than 7 bits"] {
                assert!(reason.contains(part), "{matrix}, {code}, {is_signed}: {reason}");
            }
        }
    }
}

#[test]
fn weights_that_are_known_only_as_it_runs_are_refused_by_name() {
    for (place, name, dims) in [(0, "w", [1, 3, 8]), (1, "r", [1, 2, 8])] {
        let mut model = cell(&codes(24, 37), &codes(16, 53), 0, true);
        let graph = model.graph.as_mut().unwrap();
        graph.initializer.remove(place);
        graph.input.push(graph::typed(name, data_type::INT8, &dims));
        let reason = refused(&model);
        for part in ["'cell'", "com.microsoft.DynamicQuantizeLSTM", "no constants"] {
            assert!(reason.contains(part), "{name}: {reason}");
        }
    }
}

/// Matrices as networks have them, beyond what a rule keeps of small constants.
#[test]
fn large_weights_are_constants_too() {
    let units = 40;
    let of = |bits: u8| {
        let inputs = ["x", "w", "r", "", "", "", "", "", "ws", "wz", "rs", "rz"];
        let hidden = int_attribute("hidden_size", units as i64);
        let mut cell = node("DynamicQuantizeLSTM", "cell", inputs, ["y"], vec![hidden]);
        cell.domain = Some("com.microsoft".to_owned());
        let numbers = |count: usize| -> Vec<i8> { (0..count).map(|at| (at * 37 % 127) as i8 >> (8 - bits)).collect() };
        let constants = vec![
            stored("w", &[1, 3, 4 * units], &numbers(12 * units), true),
            stored("r", &[1, units, 4 * units], &numbers(4 * units * units), true),
            float_tensor("ws", &[1], &[0.01]),
            stored("wz", &[1], &[0], true),
            float_tensor("rs", &[1], &[0.02]),
            stored("rz", &[1], &[0], true),
        ];
        let ends = (
            graph::floats("x", &[3, 1, 3]),
            graph::floats("y", &[3, 1, 1, units as i64]),
        );
        let mut model = graph::model(17, (vec![cell], constants), vec![ends.0], vec![ends.1]);
        model.opset_import.push(OperatorSetIdProto {
            domain: Some("com.microsoft".to_owned()),
            version: Some(1),
        });
        model
    };
    assert!(Rten::load(encode(&of(7)).unwrap()).is_ok());
    assert!(refused(&of(8)).contains("more than 7 bits"));
}
