//! An ONNX file: read, look for layers, weigh them, plan and rewrite, write, read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::network::{Format, Network, fold_batch_norm};
use splitscope::onnx::{encode, read_bytes};
use splitscope::progress::Progress;
use splitscope::quantization::{Recipe, overhead, plan, rewrite};
use splitscope::statistics::tensor_statistics;

/// Weights in all that are planned: what a person waits for is not what is looked for here.
const MOST_PLANNED: u64 = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let Ok(model) = read_bytes(data.to_vec().into(), None) else {
        return;
    };
    let again = read_bytes(encode(&model).expect("what was read can be written").into(), None);
    again.expect("what was written can be read");
    let Ok(network) = Network::new("fuzz", None, Format::Onnx, model) else {
        return;
    };
    network.parameters();
    network.runnable_model();
    for (index, layer) in network.layers.iter().enumerate() {
        if let Ok(weights) = network.weights(index) {
            tensor_statistics(&weights, &layer.layout);
        }
    }
    let weights = network.layers.iter().map(|layer| layer.layout.elements() as u64);
    if weights.fold(0, u64::saturating_add) > MOST_PLANNED {
        return;
    }
    let recipe = Recipe {
        expand_ratio: 0.1,
        ..Recipe::default()
    };
    for network in [fold_batch_norm(&network).ok(), Some(network)].into_iter().flatten() {
        let progress = Progress::default();
        if let Ok(plan) = plan(&network, &recipe, None, &progress) {
            overhead(&network, &plan, None);
            if let Ok(model) = rewrite(&network, &plan) {
                let bytes = encode(&model).expect("what was rewritten can be written");
                let read = read_bytes(bytes.into(), None).expect("what was rewritten can be read");
                Network::new("again", None, Format::Onnx, read).expect("what was rewritten holds together");
            }
        }
    }
});
