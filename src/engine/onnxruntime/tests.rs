//! onnxruntime beside the built-in engine, where its library is found.

use super::*;
use crate::data::{Dataset, by_name};
use crate::engine::Rten;
use crate::format::demo::Demo;
use crate::inference::run_outputs;
use crate::onnx::encode;
use crate::progress::Progress;
use crate::quantization::{Bits, Recipe, plan, prepare, rewrite};

/// Whether the library is here; says so where it is not.
fn is_here() -> bool {
    let found = onnxruntime_available(&OnnxruntimeOptions::default());
    match &found {
        Ok(name) => println!("with {name}"),
        Err(reason) => println!("skipped: onnxruntime: {reason}"),
    }
    found.is_ok()
}

fn loaded(bytes: Vec<u8>) -> Onnxruntime {
    Onnxruntime::load(bytes, &OnnxruntimeOptions::default()).unwrap()
}

/// A demo with 4-bit weights and a few splits.
fn exported(demo: Demo) -> Vec<u8> {
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        expand_ratio: 0.05,
        ..Recipe::default()
    };
    let network = prepare(&demo.network().unwrap(), &recipe).unwrap();
    let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
    encode(&rewrite(&network, &plan).unwrap()).unwrap()
}

#[test]
fn both_engines_give_the_same_outputs_on_both_demos_float_and_quantized() {
    if !is_here() {
        return;
    }
    for demo in Demo::ALL {
        for bytes in [demo.model_bytes().to_vec(), exported(demo)] {
            let data = Dataset::demo(demo);
            let run = |engine: &dyn Engine| run_outputs(engine, &data, 40, &Progress::default()).unwrap();
            let (one, other) = (run(&Rten::load(bytes.clone()).unwrap()), run(&loaded(bytes)));
            assert_eq!((one.samples, one.classes), (other.samples, other.classes));
            let apart = one
                .logits
                .iter()
                .zip(&other.logits)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(apart <= 1e-4, "{}: {apart}", demo.name());
            assert!((0..one.samples).all(|row| one.first_answer(row) == other.first_answer(row)));
        }
    }
}

#[test]
fn ports_and_values_between_nodes_are_those_of_the_built_in_engine() {
    if !is_here() {
        return;
    }
    let bytes = Demo::Fashion.model_bytes().to_vec();
    let (rten, ort) = (Rten::load(bytes.clone()).unwrap(), loaded(bytes));
    assert_eq!((rten.inputs(), rten.outputs()), (ort.inputs(), ort.outputs()));
    let inputs = Dataset::demo(Demo::Fashion).batch(0..3).unwrap();
    let names = ["bn1.out", "logits", "layer1.0.relu1.out", "input", "logits"];
    for options in [RunOptions::default(), crate::engine::UNOPTIMIZED] {
        let run = |engine: &dyn Engine| engine.run_with(&by_name(&inputs), &names, options).unwrap();
        for ((name, one), other) in names.iter().zip(run(&rten)).zip(run(&ort)) {
            assert_eq!(one.shape(), other.shape(), "{name}");
            let pairs = one.floats().unwrap().iter().zip(other.floats().unwrap());
            assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) <= 1e-4, "{name}");
        }
    }
    let error = ort.run(&by_name(&inputs), &["nowhere"]).unwrap_err().to_string();
    assert!(error.contains("'nowhere'"), "{error}");
    assert!(
        ort.run(&[], &["logits"])
            .unwrap_err()
            .to_string()
            .contains("is missing")
    );
}

#[test]
fn what_cannot_be_loaded_is_refused_with_the_reason() {
    if !is_here() {
        return;
    }
    for bytes in [&b""[..], b"no model at all", &[0xff; 40]] {
        assert!(matches!(
            Onnxruntime::load(bytes.to_vec(), &OnnxruntimeOptions::default()),
            Err(EngineError::Load(_))
        ));
    }
    let options = OnnxruntimeOptions {
        provider: Some("abacus".to_owned()),
        ..OnnxruntimeOptions::default()
    };
    assert!(
        onnxruntime_available(&options)
            .unwrap_err()
            .to_string()
            .contains("'abacus'")
    );
}
