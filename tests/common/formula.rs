//! Weights and inputs made by a formula, the same as in `fixtures/architecture/make.py`: none are stored.

use super::graph::{floats, model};
use splitscope::onnx::ModelProto;
use splitscope::onnx::build::{float_tensor, ints_attribute, node};

/// Numbers in [-1, 1): splitmix64 of the name's FNV-1a hash and the index.
pub(crate) fn uniform(name: &str, count: usize) -> Vec<f64> {
    let hash = (name.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (1..=count as u64)
        .map(|index| {
            let z = hash.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
        })
        .collect()
}

/// The weights of a tensor of this name, as the script has them.
pub(crate) fn values(name: &str, shape: &[usize], gain: f64) -> Vec<f32> {
    let last = name.rsplit('.').next().unwrap();
    let (offset, scale) = match last {
        "running_var" => (0.02, 0.01),
        "running_mean" => (0.0, 0.1),
        bias if bias.starts_with("bias") => (0.0, 0.2),
        _ if shape.len() == 1 => (1.0, 0.5),
        _ => (0.0, gain * (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
    };
    let numbers = uniform(name, shape.iter().product());
    numbers.into_iter().map(|u| (offset + u * scale) as f32).collect()
}

/// Four convolutions with batch-norms between them: `x` of `[samples, 4, 6, 6]` gives `y` of `[samples, 5, 6, 6]`.
pub(crate) fn batch_norms() -> ModelProto {
    let (mut nodes, mut constants) = (Vec::new(), Vec::new());
    for (at, [read, made]) in [[4, 12], [12, 12], [12, 12], [12, 5]].into_iter().enumerate() {
        let name = |part: &str| format!("{at}.{part}");
        let shape = [made, read, 3, 3];
        constants.push(float_tensor(
            name("weight"),
            &shape,
            &values(&name("weight"), &shape, 1.0),
        ));
        let before = match at {
            0 => "x".to_owned(),
            at => format!("{}.out", at - 1),
        };
        let behind = if at == 3 { "y".to_owned() } else { name("sums") };
        let pads = vec![ints_attribute("pads", [1, 1, 1, 1])];
        nodes.push(node("Conv", name("conv"), [before, name("weight")], [behind], pads));
        if at == 3 {
            break;
        }
        let parts = ["gain", "bias", "running_mean", "running_var"].map(name);
        for part in &parts {
            constants.push(float_tensor(part, &[made], &values(part, &[made], 1.0)));
        }
        let read = std::iter::once(name("sums")).chain(parts);
        nodes.push(node(
            "BatchNormalization",
            name("norm"),
            read,
            [name("normal")],
            Vec::new(),
        ));
        nodes.push(node("Relu", name("relu"), [name("normal")], [name("out")], Vec::new()));
    }
    let [inputs, outputs] = [("x", 4), ("y", 5)].map(|(name, channels)| vec![floats(name, &[0, channels, 6, 6])]);
    model(17, (nodes, constants), inputs, outputs)
}
