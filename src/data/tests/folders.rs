//! Folders of images: their classes and labels.

use super::*;

#[test]
fn class_folders_give_labels_and_unreadable_images_are_noted() {
    let folder = Folder::new();
    folder.file("cat/1.png", &png(4, 4, [255, 0, 0]));
    folder.file("ant/2.png", &png(4, 4, [0, 255, 0]));
    folder.file("ant/broken.png", b"no image");
    let data = open(folder.path(), &images(3, 4)).unwrap();
    assert_eq!((data.len(), data.label(0), data.label(1)), (2, Some(0), Some(1)));
    assert_eq!((data.class_name(0), data.class_name(1)), (Some("ant"), Some("cat")));
    assert!(data.notes()[0].contains("1 unreadable") && data.notes()[0].contains("broken.png"));
    assert_eq!(
        floats(&data.batch(1..2).unwrap()[0].1)[..17],
        [[1.0; 16].as_slice(), &[0.0]].concat()
    );
    let numbered = Folder::new();
    numbered.file("7/a.png", &png(2, 2, [0; 3]));
    assert_eq!(open(numbered.path(), &images(3, 2)).unwrap().label(0), Some(7));
    assert!(refusal(Folder::new().path(), &images(3, 2)).contains("no image"));
}

#[test]
fn flat_folders_take_labels_from_a_file_or_have_none() {
    let folder = Folder::new();
    folder.file("b.png", &png(2, 2, [10; 3]));
    folder.file("a.png", &png(2, 2, [20; 3]));
    assert_eq!(open(folder.path(), &images(3, 2)).unwrap().label(0), None);
    folder.file("labels.csv", b"file,label\na.png,4\nb.png,2\n");
    let data = open(folder.path(), &images(3, 2)).unwrap();
    assert_eq!((data.label(0), data.label(1)), (Some(4), Some(2)));
    folder.file("labels.csv", b"a.png,4\n");
    assert!(refusal(folder.path(), &images(3, 2)).contains("no label for 'b.png'"));
    folder.file("labels.csv", b"4\n5\n6\n");
    assert!(refusal(folder.path(), &images(3, 2)).contains("3 labels for 2"));
    folder.file("c.png", &png(3, 2, [0; 3]));
    let free = [port("x", &[None, Some(3), None, None], false)];
    let options = DataOptions {
        preprocess: Some("unit".to_owned()),
        ..DataOptions::default()
    };
    let error = Dataset::open(folder.path(), &options, &free).unwrap_err();
    assert!(error.to_string().contains("different sizes"), "{error}");
}

#[test]
fn sub_folders_named_as_the_networks_classes_are_these_classes() {
    let folder = Folder::new();
    for name in ["Sweet_Pepper", "apple"] {
        folder.file(&format!("data/{name}/a.png"), &grey_png(7));
    }
    let data = format!("{}/data", folder.path());
    let options = |classes: &str| DataOptions {
        classes: Some(classes.to_owned()),
        ..DataOptions::default()
    };
    let of = |classes: &str| Dataset::open(&data, &options(classes), &images(1, 2)).unwrap();
    let known = of("cifar100");
    assert_eq!((known.label(0), known.label(1)), (Some(83), Some(0)));
    assert_eq!(known.class_name(83), Some("sweet pepper"));
    // A list that lacks one of them says so, and the order of names decides.
    let strange = of("fashion");
    assert_eq!((strange.label(0), strange.label(1)), (Some(0), Some(1)));
    assert!(
        strange.notes()[0].contains("no class 'Sweet_Pepper'"),
        "{:?}",
        strange.notes()
    );
}

#[test]
fn wordnet_ids_are_found_in_a_list_of_them_or_stand_in_their_order() {
    let folder = Folder::new();
    for name in ["n02110958", "n01440764"] {
        folder.file(&format!("data/{name}/a.png"), &grey_png(7));
    }
    let data = format!("{}/data", folder.path());
    let list = folder.file("synsets.txt", b"n01440764 tench\nn01443537 goldfish\nn02110958 pug\n");
    let options = DataOptions {
        classes: Some(list),
        ..DataOptions::default()
    };
    let known = Dataset::open(&data, &options, &images(1, 2)).unwrap();
    assert_eq!(
        (known.label(0), known.label(1), known.class_name(2)),
        (Some(0), Some(2), Some("pug"))
    );
    let alone = open(&data, &images(1, 2)).unwrap();
    assert_eq!((alone.label(0), alone.label(1)), (Some(0), Some(1)));
    assert!(alone.notes()[0].contains("not 1000 of them"), "{:?}", alone.notes());
}

#[test]
fn labels_that_are_names_are_the_networks_classes() {
    let folder = Folder::new();
    folder.file("data/a.png", &grey_png(1));
    folder.file("data/b.png", &grey_png(2));
    folder.file("data/labels.csv", b"file,label\na.png,truck\nb.png,cat\n");
    let options = DataOptions {
        classes: Some("cifar10".to_owned()),
        ..DataOptions::default()
    };
    let data = Dataset::open(&format!("{}/data", folder.path()), &options, &images(1, 2)).unwrap();
    assert_eq!(
        (data.label(0), data.label(1), data.class_name(9)),
        (Some(9), Some(3), Some("truck"))
    );
}

/// The labels in the order of the samples.
fn labels(data: &Dataset) -> Vec<usize> {
    (0..data.len()).filter_map(|sample| data.label(sample)).collect()
}

#[test]
fn what_a_mac_leaves_beside_the_classes_is_none_and_pictures_may_lie_deeper() {
    let folder = Folder::new();
    folder.file("__MACOSX/ant/._1.png", b"no picture");
    folder.file("bee/images/1.png", &grey_png(1));
    folder.file("cat/2.png", &grey_png(2));
    folder.file("notes/read.txt", b"no picture either");
    let data = open(folder.path(), &images(1, 2)).unwrap();
    assert_eq!((labels(&data), data.class_name(0)), (vec![0, 1], Some("bee")));
    assert_eq!(data.notes(), ["sub-folders without an image are no classes: notes"]);
}

#[test]
fn a_picture_beside_the_classes_is_left_out_with_a_note() {
    let folder = Folder::new();
    for name in ["0/a.png", "1/b.png", "confusion_matrix.png"] {
        folder.file(name, &grey_png(1));
    }
    let data = open(folder.path(), &images(1, 2)).unwrap();
    assert_eq!(labels(&data), [0, 1]);
    assert!(data.notes()[0].contains("confusion_matrix.png"), "{:?}", data.notes());
    // Where most pictures lie beside it, a sub-folder is none of the classes.
    for at in 0..3 {
        folder.file(&format!("{at}.png"), &grey_png(1));
    }
    let data = open(folder.path(), &images(1, 2)).unwrap();
    assert_eq!((data.len(), data.label(0)), (4, None));
    assert_eq!(data.notes(), ["2 image(s) in sub-folders left out"]);
}

#[test]
fn a_data_set_in_parts_is_not_taken_for_one_with_classes() {
    let folder = Folder::new();
    for name in ["train/cat/a.png", "val/cat/b.png"] {
        folder.file(name, &grey_png(1));
    }
    assert!(refusal(folder.path(), &images(1, 2)).contains("open one of them"));
    assert_eq!(
        labels(&open(&format!("{}/val", folder.path()), &images(1, 2)).unwrap()),
        [0]
    );
}

#[test]
fn numbers_in_names_order_the_pictures_of_labels_in_order_and_are_noted_for_classes() {
    let flat = Folder::new();
    for name in ["1.png", "2.png", "10.png"] {
        flat.file(name, &grey_png(1));
    }
    flat.file("labels.txt", b"\xef\xbb\xbf4\r\n5\r\n6\r\n");
    let data = open(flat.path(), &images(1, 2)).unwrap();
    assert_eq!(labels(&data), [4, 5, 6]);
    assert!(data.notes()[0].contains("2.png before 10.png"), "{:?}", data.notes());
    let classes = Folder::new();
    for name in ["class_2/a.png", "class_10/a.png"] {
        classes.file(name, &grey_png(1));
    }
    let data = open(classes.path(), &images(1, 2)).unwrap();
    assert_eq!(data.class_name(0), Some("class_10"));
    assert!(
        data.notes()[0].contains("class_10 before class_2"),
        "{:?}",
        data.notes()
    );
}

#[test]
fn a_jpeg_that_is_cut_off_is_left_out_with_a_note() {
    let folder = Folder::new();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * y * 37) as u8, (x * 91) as u8, y as u8]))
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let jpeg = jpeg.into_inner();
    folder.file("whole.jpg", &jpeg);
    folder.file("cut.jpg", &jpeg[..jpeg.len() / 2]);
    let data = open(folder.path(), &images(3, 64)).unwrap();
    assert_eq!(data.len(), 1);
    assert!(data.notes()[0].contains("cut.jpg (it is cut off"), "{:?}", data.notes());
}

#[cfg(unix)]
#[test]
fn a_device_is_refused_and_not_waited_for() {
    assert!(refusal("/dev/zero", &images(1, 2)).contains("no ordinary file"));
}
