//! Checkpoints of PyTorch (`fixtures/pytorch/make.py` and `make_modules.py`), beside the numbers that torch reads from them.

use crate::common::relative_difference;
use splitscope::data::Tensor;
use splitscope::format::open;
use splitscope::inference::{Engine, Rten};
use splitscope::network::{Format, Network};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{TensorProto, encode, numbers};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pytorch")
        .join(name)
}

fn tensors(network: &Network) -> HashMap<String, TensorProto> {
    let all = network.model.graph.as_ref().unwrap().initializer.iter();
    all.map(|tensor| (tensor.name().to_owned(), tensor.clone())).collect()
}

fn expected() -> HashMap<String, TensorProto> {
    tensors(&open(&path("expected.safetensors")).unwrap())
}

fn check(network: &Network, prefix: &str, count: usize) {
    let (ours, theirs) = (tensors(network), expected());
    assert_eq!(ours.len(), count);
    for (name, tensor) in &ours {
        let right = &theirs[&format!("{prefix}{name}")];
        assert_eq!(tensor.dims, right.dims, "{name}");
        assert_eq!(
            numbers(tensor).unwrap().to_vec(),
            numbers(right).unwrap().to_vec(),
            "{name}"
        );
    }
}

#[test]
fn state_dicts_of_both_containers_hold_the_numbers_of_torch() {
    let network = open(&path("state_dict.pth")).unwrap();
    assert_eq!(network.format, Format::PyTorch);
    check(&network, "", 15);
    let all = tensors(&network);
    assert_eq!(all["brain"].data_type(), data_type::BFLOAT16);
    assert_eq!(all["small"].data_type(), data_type::FLOAT8E4M3FN);
    check(&open(&path("legacy.pth")).unwrap(), "", 14);
}

#[test]
fn of_a_checkpoint_the_weights_are_taken_and_a_note_says_what_was_left() {
    let network = open(&path("checkpoint.pth")).unwrap();
    check(&network, "checkpoint.", 2);
    let note = &network.notes[0];
    for word in ["'state_dict'", "epoch", "optimizer", "state_dict_ema"] {
        assert!(note.contains(word), "{note}");
    }
}

/// Trainers save whole modules as often as state dicts: their tensors have the names of the state dict, and no class is needed.
#[test]
fn whole_modules_hold_the_tensors_of_their_state_dict() {
    let right = tensors(&open(&path("module.safetensors")).unwrap());
    for (name, class) in [
        ("module.pth", "'models.mine.Net'"),
        ("module_legacy.pth", "'models.mine.Net'"),
        ("wrapped.pth", "under 'ema'"),
    ] {
        let network = open(&path(name)).unwrap();
        let ours = tensors(&network);
        let mut names: Vec<&String> = ours.keys().collect();
        let mut wanted: Vec<&String> = right.keys().collect();
        names.sort();
        wanted.sort();
        assert_eq!(names, wanted, "{name}");
        for (tensor_name, tensor) in &ours {
            let right = &right[tensor_name];
            assert_eq!(tensor.dims, right.dims, "{name} {tensor_name}");
            assert_eq!(numbers(tensor).unwrap().to_vec(), numbers(right).unwrap().to_vec());
        }
        assert!(network.notes[0].contains(class), "{name}: {:?}", network.notes);
    }
}

/// A module of transformers holds what its config.json would say, which tells the number of heads; one beside the file counts.
#[test]
fn a_whole_module_of_transformers_brings_its_configuration() {
    let told = tensors(&open(&path("gpt2.safetensors")).unwrap());
    let tokens = numbers(&told["tokens"]).unwrap().to_vec();
    let tokens: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
    let tokens = Tensor::from_shape([2, 6], tokens).unwrap();
    let wanted = numbers(&told["logits"]).unwrap().to_vec();
    let off = |network: &Network| {
        assert_eq!(network.why_not_runnable, None);
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let logits = engine.run(&[("input_ids", &tokens)], &["logits"]).unwrap();
        relative_difference(logits[0].floats().unwrap(), &wanted)
    };
    let network = open(&path("gpt2.pth")).unwrap();
    assert!(network.notes[0].contains("GPT2LMHeadModel"), "{:?}", network.notes);
    assert!(off(&network) < 1e-5);
    let folder = tempfile::tempdir().unwrap();
    let beside = folder.path().join("gpt2.pth");
    std::fs::copy(path("gpt2.pth"), &beside).unwrap();
    std::fs::write(
        folder.path().join("config.json"),
        r#"{"model_type": "gpt2", "n_head": 2}"#,
    )
    .unwrap();
    assert!(off(&open(&beside).unwrap()) > 1e-2);
}

/// Codes of torch's own quantization: for each row, for all, with and without zero points, and packed as its linear layers do.
#[test]
fn tensors_that_torch_quantized_are_read_as_they_multiply() {
    let (network, floats) = (
        open(&path("quantized.pth")).unwrap(),
        open(&path("quantized.safetensors")).unwrap(),
    );
    assert_eq!(network.layers.len(), 3);
    for (index, layer) in network.layers.iter().enumerate() {
        assert!(!layer.support.can_quantize(), "{}", layer.name);
        let right = &floats.weights(floats.layer_index(&layer.name).unwrap()).unwrap();
        let ours = network.real_weights(index).unwrap();
        assert_eq!(ours.len(), right.len());
        for (a, b) in ours.iter().zip(right.iter()) {
            assert!((a - b).abs() < 1e-6, "{}: {a} {b}", layer.name);
        }
    }
    // What no parameter names is told.
    let packed = open(&path("packed_module.pth")).unwrap();
    let told = packed
        .notes
        .iter()
        .any(|note| note.starts_with("1 quantized tensor(s)"));
    assert!(told, "{:?}", packed.notes);
    assert!(!network.notes.iter().any(|note| note.contains("quantized tensor")));
}

#[test]
fn a_program_of_torchscript_holds_its_weights() {
    let right = tensors(&open(&path("module.safetensors")).unwrap());
    let ours = tensors(&open(&path("script.pt")).unwrap());
    let weight = numbers(&ours["0.weight"]).unwrap().to_vec();
    assert_eq!(weight, numbers(&right["blocks.0.conv.weight"]).unwrap().to_vec());
    assert_eq!(
        numbers(&ours["0.bias"]).unwrap().to_vec(),
        numbers(&right["head.weight"]).unwrap().to_vec()[..4]
    );
}

#[test]
fn a_checkpoint_that_would_run_code_is_refused_by_its_name() {
    let error = open(&path("hostile.pth")).err().unwrap().to_string();
    assert!(error.contains("hostile.pth") && error.contains("system'"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

/// Every prefix of the files, and the files with each byte changed in turn: an error or a network, never a panic.
#[test]
fn broken_checkpoints_are_refused_without_harm() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.pth");
    for name in ["legacy.pth", "checkpoint.pth", "module_legacy.pth"] {
        let whole = std::fs::read(path(name)).unwrap();
        for at in (0..whole.len()).step_by(31) {
            std::fs::write(&broken, &whole[..at]).unwrap();
            let _ = open(&broken);
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            std::fs::write(&broken, &changed).unwrap();
            let _ = open(&broken);
        }
    }
}
