//! A picture (PNG, JPEG, WebP) and a way to make it ready: opened, made ready, shown small.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::inference::{DataOptions, Dataset, Port};
use splitscope::network::Interpolation;

/// Small sizes find the same faults sooner; 0 stands for no choice.
fn side(byte: u8) -> Option<usize> {
    (byte > 0).then_some(usize::from(byte % 65))
}

fuzz_target!(|data: &[u8]| {
    let Some((&[size, crop, way, height, width, channels], content)) = data.split_first_chunk::<6>() else {
        return;
    };
    let preprocess = match way % 5 {
        0 => None,
        1 => Some("unit"),
        2 => Some("imagenet"),
        3 => Some("cifar"),
        _ => Some("raw"),
    };
    let interpolation = match way / 5 % 5 {
        0 => None,
        1 => Some(Interpolation::Nearest),
        2 => Some(Interpolation::Bilinear),
        3 => Some(Interpolation::Bicubic),
        _ => Some(Interpolation::Lanczos),
    };
    let options = DataOptions {
        preprocess: preprocess.map(str::to_owned),
        size: side(size),
        crop: side(crop),
        interpolation,
        channels_last: (way & 0x40 != 0).then_some(way & 0x80 != 0),
        blue_first: way & 0x80 != 0,
        ..DataOptions::default()
    };
    let channels = match channels % 4 {
        0 => None,
        1 => Some(1),
        2 => Some(3),
        _ => Some(usize::from(channels)),
    };
    let ports = [Port {
        name: "input".to_owned(),
        shape: Some(vec![None, channels, side(height), side(width)]),
        axis_names: vec![None; 4],
        kind: Default::default(),
    }];
    let Ok(data) = Dataset::from_bytes("fuzz.png", content.to_vec(), &options, &ports) else {
        return;
    };
    data.preprocessing();
    if !data.is_empty() {
        let _ = data.batch(0..1);
        data.thumbnail(0);
        data.seen_by_network(0);
    }
});
