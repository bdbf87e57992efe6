//! Tests of preprocessing.

use super::*;

fn port(shape: &[Option<usize>]) -> Port {
    Port {
        name: "x".to_owned(),
        shape: Some(shape.to_vec()),
        axis_names: vec![None; shape.len()],
        integer: false,
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
    assert_eq!(steps.numbers(&steps.fit(picture)), expected);
}

#[test]
fn channels_last_is_seen_in_the_shape_or_chosen() {
    let steps = |port: &Port, options| Preprocess::new(options, Some(port), Origin::Idx, 1).unwrap();
    let options = DataOptions::default();
    let last = steps(&port(&[None, Some(2), Some(2), Some(3)]), &options);
    assert_eq!(last.shape(5, 2, 2), [5, 2, 2, 3]);
    let picture = last.fit(grey(2, 2, &[0, 51, 102, 255]));
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
    let refused =
        |options: DataOptions, port: &Port| Preprocess::new(&options, Some(port), Origin::Idx, 1).unwrap_err();
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
        .contains("imagenet, cifar")
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
    let picture = grey(5, 3, &(0..15).collect::<Vec<u8>>()).cropped(2);
    assert_eq!(picture.pixels, [2, 3, 7, 8]);
    assert_eq!(grey(2, 1, &[7, 7]).with_shorter_side(3).pixels, [7; 18]);
}
