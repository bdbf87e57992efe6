//! Tests of preprocessing.

use super::*;
use crate::data::presets::{IMAGENET_MEAN, IMAGENET_STD};
use crate::network::PreprocessHint;
use std::sync::Arc;

fn port(shape: &[Option<usize>]) -> Port {
    Port {
        name: "x".to_owned(),
        shape: Some(shape.to_vec()),
        axis_names: vec![None; shape.len()],
        kind: Default::default(),
    }
}

fn grey(width: usize, height: usize, pixels: &[u8]) -> Picture {
    Picture {
        width,
        height,
        channels: 1,
        pixels: pixels.to_vec(),
    }
}

#[test]
fn numbers_are_x_over_255_minus_mean_over_std_in_f32() {
    let port = port(&[None, Some(3), Some(1), Some(2)]);
    let steps = Preprocess::new(&DataOptions::default(), Some(&port), Origin::Array, 3).unwrap();
    assert!(steps.describe().starts_with("unit: "), "{}", steps.describe());
    let options = DataOptions {
        preprocess: Some("cifar".to_owned()),
        ..DataOptions::default()
    };
    let steps = Preprocess::new(&options, Some(&port), Origin::Array, 3).unwrap();
    let picture = Picture {
        width: 2,
        height: 1,
        channels: 3,
        pixels: vec![10, 20, 30, 40, 50, 60],
    };
    let expected: Vec<f32> = [(10, 40), (20, 50), (30, 60)]
        .iter()
        .enumerate()
        .flat_map(|(c, pair)| [pair.0, pair.1].map(|x| (x as f32 / 255.0 - IMAGENET_MEAN[c]) / IMAGENET_STD[c]))
        .collect();
    assert_eq!(steps.numbers(&steps.fit(picture).unwrap()), expected);
}

#[test]
fn channels_last_is_seen_in_the_shape_or_chosen() {
    let steps = |port: &Port, options| Preprocess::new(options, Some(port), Origin::Idx, 1).unwrap();
    let options = DataOptions::default();
    let last = steps(&port(&[None, Some(2), Some(2), Some(3)]), &options);
    assert_eq!(last.shape(5, 2, 2), [5, 2, 2, 3]);
    let picture = last.fit(grey(2, 2, &[0, 51, 102, 255])).unwrap();
    assert_eq!(
        last.numbers(&picture),
        [0.0, 0.0, 0.0, 0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 1.0, 1.0, 1.0]
    );
    let chosen = DataOptions {
        channels_last: Some(true),
        ..DataOptions::default()
    };
    assert_eq!(steps(&port(&[None; 4]), &chosen).shape(1, 4, 6), [1, 4, 6, 1]);
    assert_eq!(steps(&port(&[None, Some(784)]), &options).shape(2, 28, 28), [2, 784]);
}

#[test]
fn imagenet_scales_its_crop_with_the_network() {
    let sides = |size: usize| {
        let port = port(&[None, Some(3), Some(size), Some(size)]);
        let steps = Preprocess::new(&DataOptions::default(), Some(&port), Origin::Folder, 3).unwrap();
        (steps.shorter_side, steps.crop)
    };
    assert_eq!(sides(224), (Some(256), Some(224)));
    assert_eq!(sides(299), (Some(342), Some(299)));
    assert_eq!(sides(32), (None, None));
}

#[test]
fn wrong_choices_are_refused_with_what_would_do() {
    let three = port(&[None, Some(3), Some(8), Some(8)]);
    let refused = |options: DataOptions, port: &Port| {
        Preprocess::new(&options, Some(port), Origin::Idx, 1)
            .unwrap_err()
            .to_string()
    };
    let options = DataOptions::default;
    let name = Some("imagnet".to_owned());
    assert!(
        refused(
            DataOptions {
                preprocess: name,
                ..options()
            },
            &three
        )
        .contains("imagenet, imagenet-bicubic")
    );
    let two = Some(vec![0.5, 0.5]);
    assert!(refused(DataOptions { mean: two, ..options() }, &three).contains("2 numbers for the mean of 3"));
    let zero = Some(vec![0.0]);
    assert!(refused(DataOptions { std: zero, ..options() }, &three).contains("divides by zero"));
    let huge = Some(1 << 40);
    assert!(
        refused(
            DataOptions {
                size: huge,
                ..options()
            },
            &three
        )
        .contains("1 to 8192")
    );
    assert!(refused(options(), &port(&[None, Some(4), Some(8), Some(8)])).contains("4 channels"));
}

#[test]
fn a_centre_crop_begins_where_torchvision_begins_it() {
    // round((5 - 2) / 2) = round(1.5) = 2, round((3 - 2) / 2) = round(0.5) = 0: half to even.
    let picture = grey(5, 3, &(0..15).collect::<Vec<u8>>())
        .cropped(2, Interpolation::Bilinear)
        .unwrap();
    assert_eq!(picture.pixels, [2, 3, 7, 8]);
    assert_eq!(
        grey(2, 1, &[7, 7])
            .with_shorter_side(3, Interpolation::Bilinear)
            .unwrap()
            .pixels,
        [7; 18]
    );
}

/// The mean of the columns that are put together is what averaging all of them gives, and of the nearest the middle one.
#[test]
fn a_picture_of_a_million_columns_is_resized_to_the_means_of_its_parts() {
    let columns = 4_000_000;
    let ramp: Vec<u8> = (0..columns * 2)
        .map(|at| (at % columns * 256 / columns) as u8)
        .collect();
    let resized = |interpolation| grey(columns, 2, &ramp).resized(16, 16, interpolation).unwrap();
    let linear = resized(Interpolation::Bilinear).pixels;
    for (at, pixel) in linear.iter().enumerate() {
        // Between two ends the filter is symmetric, and a ramp stays one; at them it is cut off.
        let expected = ((at % 16) as f32 + 0.5) * 16.0;
        let apart = (f32::from(*pixel) - expected).abs();
        assert!(
            apart < if matches!(at % 16, 0 | 15) { 4.0 } else { 1.5 },
            "{at}: {pixel}, {expected}"
        );
    }
    let nearest = resized(Interpolation::Nearest).pixels;
    let near = |(at, pixel): (usize, &u8)| (f32::from(*pixel) - ((at % 16) as f32 + 0.5) * 16.0).abs() < 3.0;
    assert!(nearest.iter().enumerate().all(near), "{nearest:?}");
}

#[test]
fn grey_that_would_become_too_large_in_three_channels_is_refused() {
    let steps = Preprocess::new(
        &DataOptions::default(),
        Some(&port(&[None, Some(3), None, None])),
        Origin::Array,
        1,
    )
    .unwrap();
    let refused = steps
        .fit(grey(12_000, 8_000, &vec![0; 96_000_000]))
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("12000 x 8000 pixels in 3 channels"), "{refused}");
}

#[test]
fn what_the_network_says_of_itself_goes_before_what_is_usual_and_behind_what_is_chosen() {
    let hint = PreprocessHint {
        source: "config.json".to_owned(),
        mean: Some(vec![0.5; 3]),
        std: Some(vec![0.25; 3]),
        size: Some([240, 240]),
        crop: Some(0.875),
        interpolation: Some(Interpolation::Bicubic),
        ..PreprocessHint::default()
    };
    let options = DataOptions {
        hint: Some(Arc::new(hint)),
        ..DataOptions::default()
    };
    let free = port(&[None, Some(3), None, None]);
    let steps = |options: &DataOptions| Preprocess::new(options, Some(&free), Origin::Folder, 3).unwrap();
    assert_eq!(
        steps(&options).describe(),
        "network: shorter side to 274, centre crop 240 x 240, (x / 255 - [0.5 0.5 0.5]) / [0.25 0.25 0.25], bicubic, RGB, NCHW"
    );
    let mean = DataOptions {
        mean: Some(vec![0.0]),
        interpolation: Some(Interpolation::Nearest),
        ..options.clone()
    };
    let fields = steps(&mean).fields();
    assert_eq!(
        (fields.mean, fields.interpolation),
        (vec![0.0; 3], Interpolation::Nearest)
    );
    let chosen = DataOptions {
        preprocess: Some("unit".to_owned()),
        ..options
    };
    assert!(steps(&chosen).describe().starts_with("unit: x / 255"));
}

#[test]
fn blue_first_turns_the_channels_and_keeps_each_with_its_own_mean() {
    let options = DataOptions {
        mean: Some(vec![0.0, 0.2, 0.4]),
        blue_first: true,
        ..DataOptions::default()
    };
    let picture = Picture {
        width: 1,
        height: 2,
        channels: 3,
        pixels: vec![255, 51, 102, 0, 255, 204],
    };
    for (shape, expected) in [
        ([None, Some(3), Some(2), Some(1)], [0.0, 0.4, 0.0, 0.8, 1.0, 0.0]),
        ([None, Some(2), Some(1), Some(3)], [0.0, 0.0, 1.0, 0.4, 0.8, 0.0]),
    ] {
        let steps = Preprocess::new(&options, Some(&port(&shape)), Origin::Idx, 3).unwrap();
        let numbers = steps.numbers(&picture);
        assert!(
            numbers.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{numbers:?}"
        );
        let (seen, range) = steps.seen(&picture);
        // Mean and deviation are taken back, the channels turned round: red where the network finds blue.
        assert_eq!(
            (&seen.pixels[..], range),
            (&[102, 51, 255, 204, 255, 0][..], (0.0, 1.0))
        );
        assert!(steps.describe().contains("BGR"));
    }
}

#[test]
fn presets_centre_and_scale_as_their_names_say() {
    let port = port(&[None, Some(1), Some(1), Some(2)]);
    let numbers = |name: &str| {
        let options = DataOptions {
            preprocess: Some(name.to_owned()),
            ..DataOptions::default()
        };
        let steps = Preprocess::new(&options, Some(&port), Origin::Idx, 1).unwrap();
        steps.numbers(&grey(2, 1, &[0, 255]))
    };
    assert_eq!(numbers("minus-one-to-one"), [-1.0, 1.0]);
    assert_eq!(numbers("unit"), [0.0, 1.0]);
    assert_eq!(numbers("raw"), [0.0, 255.0]);
    assert_eq!(numbers("inception"), [-1.0, 1.0]);
}

#[test]
fn an_architecture_that_tells_no_normalization_leaves_it_to_what_is_usual_for_the_data() {
    let hint = |source: &str| {
        let hint = PreprocessHint {
            source: source.to_owned(),
            size: Some([32, 32]),
            ..PreprocessHint::default()
        };
        DataOptions {
            hint: Some(Arc::new(hint)),
            ..DataOptions::default()
        }
    };
    let small = port(&[None, Some(3), Some(32), Some(32)]);
    let steps = |options: &DataOptions, origin| Preprocess::new(options, Some(&small), origin, 3).unwrap().describe();
    let chosen = DataOptions {
        preprocess: Some("cifar".to_owned()),
        ..DataOptions::default()
    };
    let usual = hint("usual for ResNet-20 for small pictures");
    assert_eq!(steps(&usual, Origin::Cifar), steps(&chosen, Origin::Cifar));
    // A file that tells nothing else means the pixels as they are.
    assert_ne!(
        steps(&hint("preprocessor_config.json"), Origin::Cifar),
        steps(&chosen, Origin::Cifar)
    );
    assert_eq!(
        steps(&usual, Origin::Array),
        steps(&hint("preprocessor_config.json"), Origin::Array)
    );
}

/// A row of as many numbers as a square picture has takes pictures of that size and of as many channels; a shorter one is no picture.
#[test]
fn a_row_of_numbers_takes_square_pictures() {
    let of = |numbers| {
        Preprocess::new(
            &DataOptions::default(),
            Some(&port(&[None, Some(numbers)])),
            Origin::Folder,
            3,
        )
        .unwrap()
    };
    let fitted = |numbers| of(numbers).fit(grey(40, 30, &vec![0; 1200])).unwrap();
    let shape = |numbers| {
        (
            fitted(numbers).height,
            fitted(numbers).width,
            of(numbers).shape(1, fitted(numbers).height, fitted(numbers).width),
        )
    };
    assert_eq!(shape(784), (28, 28, vec![1, 784]));
    assert_eq!(shape(3072), (32, 32, vec![1, 3072]));
    assert_eq!(
        shape(4).2,
        [1, 150_528],
        "as photographs are fed where nothing is known"
    );
}
