//! A GGUF file: read, renamed, recognised, every tensor decoded; its tokenizer put into Hugging Face's words.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use splitscope::format::architecture::recognise;
use splitscope::format::gguf::{looks_like, read, tokenizer_json};
use splitscope::network::{Format, Network};
use splitscope::statistics::tensor_statistics;

fuzz_target!(|data: &[u8]| {
    looks_like(data);
    let bytes = Bytes::copy_from_slice(data);
    let _ = tokenizer_json(&bytes, "fuzz");
    let Ok((model, config)) = read(&bytes, "fuzz").and_then(|file| file.into_model("fuzz")) else {
        return;
    };
    let model = match recognise(model, &config) {
        Ok(recognised) => recognised.model,
        Err((model, _)) => *model,
    };
    let Ok(network) = Network::new("fuzz", None, Format::Gguf, model) else {
        return;
    };
    network.parameters();
    for (index, layer) in network.layers.iter().enumerate() {
        if let Ok(weights) = network.weights(index) {
            tensor_statistics(&weights, &layer.layout);
        }
    }
});
