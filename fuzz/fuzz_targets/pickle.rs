//! A PyTorch checkpoint: its archive, its pickle, its tensors.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use splitscope::format::pytorch::{looks_like, read};

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    looks_like(&bytes);
    let _ = read(&bytes, "fuzz");
});
