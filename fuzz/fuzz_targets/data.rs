//! A file of data (IDX, gzip, CIFAR, NumPy, text) for networks with several kinds of inputs: opened, and a batch taken.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::data::ElementKind;
use splitscope::inference::{DataOptions, Dataset, Port};

fn port(name: &str, shape: &[Option<usize>], integer: bool) -> Port {
    Port {
        name: name.to_owned(),
        shape: Some(shape.to_vec()),
        axis_names: vec![None; shape.len()],
        kind: if integer { ElementKind::Integer } else { ElementKind::Float },
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, content)) = data.split_first() else {
        return;
    };
    let ports = match kind % 6 {
        0 => vec![],
        1 => vec![port("input", &[None, Some(1), Some(28), Some(28)], false)],
        2 => vec![port("input", &[None, Some(3), None, None], false)],
        3 => vec![port("tokens", &[None, None], true)],
        4 => vec![port("a", &[None, Some(4)], false), port("b", &[None], true)],
        _ => vec![port("input", &[None, Some(12)], false)],
    };
    // Text needs a vocabulary, which it would look for on the disk.
    let options = DataOptions::default();
    let Ok(data) = Dataset::from_bytes("fuzz.bin", content.to_vec(), &options, &ports) else {
        return;
    };
    data.preprocessing();
    data.label(0);
    data.label(data.len());
    if !data.is_empty() {
        let _ = data.batch(0..data.len().min(2));
        let _ = data.batch(data.len() - 1..data.len());
        data.thumbnail(0);
    }
});
