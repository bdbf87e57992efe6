//! A safetensors file: read, recognise, look at every tensor; written again it holds the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::format::architecture::{Config, recognise};
use splitscope::format::safetensors::{looks_like, read};
use splitscope::network::{Format, Network};
use splitscope::statistics::tensor_statistics;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    looks_like(data);
    let Ok(model) = read(data.to_vec().into(), "fuzz") else {
        return;
    };
    let model = match recognise(model, &Config::beside(Path::new("/nowhere/model.safetensors"))) {
        Ok(recognised) => recognised.model,
        Err((model, _)) => *model,
    };
    let Ok(network) = Network::new("fuzz", None, Format::Safetensors, model) else {
        return;
    };
    network.parameters();
    for (index, layer) in network.layers.iter().enumerate() {
        if let Ok(weights) = network.weights(index) {
            tensor_statistics(&weights, &layer.layout);
        }
        for axis in 0..layer.shape.len() {
            let _ = network.with_channel_axes([(layer.name.as_str(), axis)]);
        }
    }
});
