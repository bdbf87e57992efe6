//! Data sets made in temporary folders, opened, and broken.

mod folders;

use super::*;
use crate::data::{ElementKind, Port};
use std::io::Write as _;
use std::path::PathBuf;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

fn port(name: &str, shape: &[Option<usize>], integer: bool) -> Port {
    Port {
        name: name.to_owned(),
        shape: Some(shape.to_vec()),
        axis_names: shape
            .iter()
            .map(|size| size.is_none().then(|| "n".to_owned()))
            .collect(),
        kind: if integer {
            ElementKind::Integer
        } else {
            ElementKind::Float
        },
    }
}

fn images(channels: usize, side: usize) -> [Port; 1] {
    [port("x", &[None, Some(channels), Some(side), Some(side)], false)]
}

fn open(path: &str, ports: &[Port]) -> Result<Dataset, DatasetError> {
    Dataset::open(path, &DataOptions::default(), ports)
}

fn refusal(path: &str, ports: &[Port]) -> String {
    open(path, ports).unwrap_err().to_string()
}

fn floats(value: &Tensor) -> Vec<f32> {
    value.floats().unwrap().to_vec()
}

fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let sizes = shape.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, 8, shape.len() as u8]
        .into_iter()
        .chain(sizes)
        .chain(data.iter().copied())
        .collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn png(width: u32, height: u32, rgb: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(width, height, image::Rgb(rgb))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// A small PNG of one grey.
fn grey_png(grey: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_pixel(2, 2, image::Luma([grey]))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

#[test]
fn idx_finds_its_labels_plain_or_gzip_and_is_scaled_to_one() {
    let folder = Folder::new();
    let path = folder.file("t10k-images-idx3-ubyte.gz", &gzip(&idx(&[2, 1, 2], &[0, 51, 102, 255])));
    folder.file("t10k-labels-idx1-ubyte", &idx(&[2], &[7, 3]));
    let data = open(&path, &[port("x", &[None, Some(1), Some(1), Some(2)], false)]).unwrap();
    assert_eq!(
        (data.len(), data.label(0), data.label(1), data.label(2)),
        (2, Some(7), Some(3), None)
    );
    let batch = data.batch(0..2).unwrap();
    assert_eq!(
        (batch[0].0.as_str(), floats(&batch[0].1)),
        ("x", vec![0.0, 0.2, 0.4, 1.0])
    );
    assert_eq!(data.preprocessing(), "unit: 2 x 1 pixels, x / 255, grey, NCHW");
    assert_eq!(data.thumbnail(1), Some((2, 1, vec![102, 102, 102, 255, 255, 255])));
    assert!(data.batch(1..3).is_err() && data.batch(1..1).is_err());
}

#[test]
fn broken_idx_files_are_refused_with_the_reason() {
    let folder = Folder::new();
    let refused = |bytes: &[u8]| refusal(&folder.file("a.images-idx3-ubyte", bytes), &images(1, 2));
    assert!(refused(&idx(&[2, 2, 2], &[0; 7])).contains("truncated"));
    assert!(refused(&idx(&[1, 2, 2], &[0; 5])).contains("goes on"));
    assert!(refused(&idx(&[u32::MAX, u32::MAX, 9], &[])).contains("4 GiB"));
    assert!(refused(&idx(&[4], &[0; 4])).contains("[n, h, w]"));
    assert!(refused(&idx(&[0, 2, 2], &[])).contains("no images"));
    assert!(refused(&idx(&[1, 2, 2], &[0; 4])[..9]).contains("header"));
    // 1 MB of zeros behind a header that declares 4 bytes: not unpacked.
    assert!(refused(&gzip(&idx(&[1, 2, 2], &[0; 1 << 20]))).contains("goes on"));
    folder.file("a.labels-idx1-ubyte", &idx(&[3], &[0; 3]));
    assert!(refused(&idx(&[1, 2, 2], &[0; 4])).contains("3 labels for 1 samples"));
}

#[test]
fn cifar_records_are_planes_behind_a_label() {
    let folder = Folder::new();
    let mut record = vec![6_u8];
    record.extend([255; 1024].iter().chain(&[0; 1024]).chain(&[51; 1024]));
    let path = folder.file("batch.bin", &record);
    let data = open(&path, &images(3, 32)).unwrap();
    assert_eq!(
        (data.len(), data.label(0), data.class_name(6)),
        (1, Some(6), Some("frog"))
    );
    assert!(data.preprocessing().starts_with("cifar: ") && data.preprocessing().contains("RGB, NCHW"));
    let values = floats(&data.batch(0..1).unwrap()[0].1);
    let expected = [
        (1.0 - 0.485) / 0.229,
        (0.0 - 0.456) / 0.224,
        (51.0_f32 / 255.0 - 0.406) / 0.225,
    ];
    assert_eq!([values[0], values[1024], values[3071]], expected);
    assert_eq!(data.thumbnail(0).unwrap().2[..3], [255, 0, 51]);
    record[0] = 10;
    assert!(refusal(&folder.file("batch.bin", &record), &images(3, 32)).contains("record 0 is 10"));
    assert!(refusal(&folder.file("batch.bin", &record[1..]), &images(3, 32)).contains("no whole number"));
    record.insert(1, 99);
    let hundred = open(&folder.file("test.bin", &record), &images(3, 32)).unwrap();
    assert_eq!(hundred.label(0), Some(99));
}

#[test]
fn arrays_feed_inputs_by_name_with_labels() {
    let folder = Folder::new();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [
        ("a.npy", npy("<f4", "(2, 2)", &le(&[1.0, 2.0, 3.0, 4.0]))),
        (
            "ids.npy",
            npy("<i8", "(2, 1)", &[5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("y.npy", npy("|u1", "(2,)", &[1, 0])),
    ] {
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(&bytes).unwrap();
    }
    let path = folder.file("data.npz", &archive.finish().unwrap().into_inner());
    let ports = [port("a", &[None, Some(2)], false), port("ids", &[None, Some(1)], true)];
    let data = open(&path, &ports).unwrap();
    assert_eq!((data.len(), data.label(0), data.label(1)), (2, Some(1), Some(0)));
    let batch = data.batch(1..2).unwrap();
    assert_eq!((batch[0].0.as_str(), floats(&batch[0].1)), ("a", vec![3.0, 4.0]));
    assert_eq!(batch[1].1, Tensor::from_shape([1, 1], vec![6_i32]).unwrap());
    let more = [
        ports[0].clone(),
        ports[1].clone(),
        port("state", &[Some(1), Some(4)], false),
    ];
    assert!(refusal(&path, &more).contains("state [1, 4]"));
}

#[test]
fn one_array_feeds_the_only_input_and_bytes_are_pictures() {
    let folder = Folder::new();
    let single = [port("x", &[None, Some(3)], false)];
    let path = folder.file(
        "a.npy",
        &npy("<f8", "(1, 3)", &[1.5_f64, 2.0, -1.0].map(f64::to_le_bytes).concat()),
    );
    let data = open(&path, &single).unwrap();
    assert_eq!(floats(&data.batch(0..1).unwrap()[0].1), [1.5, 2.0, -1.0]);
    assert_eq!(data.preprocessing(), "arrays, as they are");
    let path = folder.file("b.npy", &npy("|u1", "(1, 2, 2, 3)", &[255; 12]));
    let pictures = open(&path, &images(3, 2)).unwrap();
    assert_eq!(floats(&pictures.batch(0..1).unwrap()[0].1), [1.0; 12]);
    for (bytes, reason) in [
        (npy("<f4", "(4, 3)", &[0; 8]), "the file holds 8 bytes"),
        (
            npy("<f4", "(99999999999, 99999999999)", &[0; 8]),
            "the file holds 8 bytes",
        ),
        (npy("<c8", "(1, 1)", &[0; 8]), "'<c8'"),
        (npy("<f4", "(1, 2)", &[0; 8]), "takes x [n, 3]"),
        (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "cut off"),
        (b"PK\x03\x04 no archive".to_vec(), "archive"),
    ] {
        let error = refusal(&folder.file("bad.npy", &bytes), &single);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn text_is_cut_into_streams_of_tokens() {
    let folder = Folder::new();
    let path = folder.file("text.txt", "abcabcabca".as_bytes());
    let steps = [Port {
        axis_names: vec![Some("T".to_owned()), Some("B".to_owned())],
        ..port("ids", &[Some(3), None], true)
    }];
    assert!(refusal(&path, &steps).contains("vocabulary"));
    for json in [
        r#"{"chars":["a","b","c"]}"#,
        r#"{"chars":"abc"}"#,
        r#"{"a":0,"b":1,"c":2}"#,
        r#"["a","b","c"]"#,
    ] {
        folder.file("text.vocab.json", json.as_bytes());
        let data = open(&path, &steps).unwrap();
        assert_eq!((data.len(), data.is_text()), (9, true));
        assert_eq!((data.label(0), data.label(8), data.label(9)), (Some(1), Some(0), None));
        let batch = data.batch(3..9).unwrap();
        assert_eq!(
            batch[0].1,
            Tensor::from_shape([3, 2], vec![0_i32, 0, 1, 1, 2, 2]).unwrap()
        );
        assert_eq!(data.class_name(2), Some("c"));
    }
    folder.file("text.vocab.json", br#"["a"]"#);
    assert!(refusal(&path, &steps).contains("not in the vocabulary"));
    assert!(refusal(&path, &images(1, 2)).contains("integer tokens"));
}

#[test]
fn the_demos_open_by_name_for_any_input_name() {
    let fashion = open("demo:fashion", &images(1, 28)).unwrap();
    assert_eq!(
        (fashion.len(), fashion.label(0), fashion.class_name(9)),
        (1000, Some(9), Some("Ankle boot"))
    );
    assert_eq!(fashion.batch(0..1).unwrap()[0].0, "x");
    assert!(fashion.preprocessing().contains("(x / 255 - [0.286]) / [0.353]"));
    assert_eq!(Dataset::demo_calibration(Demo::Fashion).len(), 512);
    let text = Dataset::demo(Demo::Shakespeare);
    assert_eq!(
        text.preprocessing(),
        "tokens in 32 stream(s) of 1562 tokens, each from a zero state"
    );
    assert!(refusal("/no/such/file", &[]).starts_with("/no/such/file: "));
    let given = DataOptions {
        inputs: vec![("x".to_owned(), PathBuf::from("/no/such.npy"))],
        ..DataOptions::default()
    };
    assert!(
        Dataset::open("", &given, &images(1, 28))
            .unwrap_err()
            .path
            .contains("/no/such.npy")
    );
}

#[test]
fn one_row_of_integers_is_a_text_of_tokens() {
    let folder = Folder::new();
    let tokens: Vec<u8> = [5_i64, 6, 7, 8].iter().flat_map(|token| token.to_le_bytes()).collect();
    let path = folder.file("tokens.npy", &npy("<i8", "(4,)", &tokens));
    let ports = [port("ids", &[None, None], true)];
    let data = open(&path, &ports).unwrap();
    assert!(data.is_text());
    assert_eq!((data.len(), data.label(0), data.label(2)), (3, Some(6), Some(8)));
    let negative: Vec<u8> = [5_i64, -1].iter().flat_map(|token| token.to_le_bytes()).collect();
    let path = folder.file("negative.npy", &npy("<i8", "(2,)", &negative));
    assert!(refusal(&path, &ports).contains("-1 is no token"));
}

#[test]
fn parts_of_a_window_are_as_long_as_encoder_and_decoder_take_them() {
    let folder = Folder::new();
    let tokens: Vec<u8> = (1..=11_i64).flat_map(i64::to_le_bytes).collect();
    let path = folder.file("tokens.npy", &npy("<i8", "(11,)", &tokens));
    let steps = |name: &str, steps| Port {
        axis_names: vec![Some("batch".to_owned()), None],
        ..port(name, &[None, steps], true)
    };
    let ports = |read, asked| [steps("input_ids", read), steps("decoder_input_ids", asked)];
    for (read, asked, (reads, asks)) in [
        (None, None, (5, 5)),
        (Some(4), Some(2), (4, 2)),
        (Some(3), None, (3, 3)),
        (None, Some(2), (8, 2)),
    ] {
        let data = open(&path, &ports(read, asked)).unwrap();
        assert_eq!(data.len(), asks);
        let batch = data.batch(0..asks).unwrap();
        let source = Tensor::from_shape([1, reads], (1..).take(reads).collect::<Vec<i32>>()).unwrap();
        let next = reads as i32 + 1;
        let given = std::iter::once(0).chain(next..).take(asks).collect::<Vec<i32>>();
        let given = Tensor::from_shape([1, asks], given).unwrap();
        assert_eq!(
            batch,
            [
                ("input_ids".to_owned(), source),
                ("decoder_input_ids".to_owned(), given)
            ]
        );
        assert_eq!((data.label(0), data.label(asks)), (Some(reads + 1), None));
    }
    let error = refusal(&path, &ports(Some(10), Some(5)));
    assert!(
        error.contains("the encoder reads 10 tokens and the decoder is asked for 5, of 11 in the text"),
        "{error}"
    );
}

#[test]
fn a_picture_is_decoded_once_and_can_be_read_otherwise_without_opening_it_anew() {
    let folder = Folder::new();
    let file = folder.file("data/a.png", &grey_png(51));
    let data = open(&format!("{}/data", folder.path()), &images(1, 2)).unwrap();
    let numbers = |data: &Dataset| floats(&data.batch(0..1).unwrap()[0].1);
    assert_eq!(numbers(&data), [0.2; 4]);
    let raw = DataOptions {
        preprocess: Some("raw".to_owned()),
        ..DataOptions::default()
    };
    let raw = data.read_otherwise(&raw, &images(1, 2)).unwrap().unwrap();
    assert_eq!(raw.preprocess_fields().unwrap().0, "raw");
    // Without the file only what was decoded is left.
    std::fs::remove_file(file).unwrap();
    assert_eq!(numbers(&data), [0.2; 4]);
    assert_eq!(data.seen_by_network(0).unwrap().range, [0.2, 0.2]);
    assert!(raw.batch(0..1).is_err());
}

/// Little-endian floats 0, 1, 2, …
fn counting(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

#[test]
fn an_array_of_exactly_the_fixed_batch_is_that_many_samples() {
    let folder = Folder::new();
    let ports = [port("x", &[Some(4), Some(2)], false)];
    for samples in [4, 8] {
        let path = folder.file("x.npy", &npy("<f4", &format!("({samples}, 2)"), &counting(2 * samples)));
        assert_eq!(open(&path, &ports).unwrap().len(), samples);
    }
    // Fewer than a batch: the last one is repeated.
    let path = folder.file("x.npy", &npy("<f4", "(3, 2)", &counting(6)));
    let data = open(&path, &ports).unwrap();
    assert_eq!(
        (data.len(), floats(&data.filled_batch(0..4).unwrap()[0].1)),
        (3, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 5.0])
    );
}

#[test]
fn no_more_samples_are_read_of_an_archive_than_are_wanted() {
    let folder = Folder::new();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [
        ("x.npy", npy("<f4", "(50, 2)", &counting(100))),
        ("labels.npy", npy("|u1", "(50,)", &(0..50).collect::<Vec<u8>>())),
    ] {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(name, options).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    let path = folder.file("data.npz", &archive.finish().unwrap().into_inner());
    let limited = DataOptions {
        limit: Some(3),
        ..DataOptions::default()
    };
    let free = [port("x", &[None, Some(2)], false)];
    let data = Dataset::open(&path, &limited, &free).unwrap();
    assert_eq!((data.len(), data.label(2), data.label(3)), (3, Some(2), None));
    assert_eq!(
        data.batch(0..3).unwrap(),
        open(&path, &free).unwrap().batch(0..3).unwrap()
    );
    // A fixed batch is filled.
    let fixed = [port("x", &[Some(5), Some(2)], false)];
    assert_eq!(Dataset::open(&path, &limited, &fixed).unwrap().len(), 5);
    // Labels in a file of their own are those of all samples.
    let labels = folder.file(
        "labels.txt",
        (0..50).map(|i| format!("{i}\n")).collect::<String>().as_bytes(),
    );
    let own = DataOptions {
        labels: Some(labels.into()),
        ..limited.clone()
    };
    let array = folder.file("x.npy", &npy("<f4", "(50, 2)", &counting(100)));
    let data = Dataset::open(&array, &own, &free).unwrap();
    assert_eq!((data.len(), data.label(2)), (3, Some(2)));
}

#[test]
fn an_input_of_bytes_gets_bytes_from_arrays_and_pictures() {
    let folder = Folder::new();
    let input = Port {
        kind: ElementKind::Byte,
        ..port("img", &[None, Some(2), Some(2), Some(3)], false)
    };
    let ports = [input];
    let pixels: Vec<u8> = (0..12).map(|i| i * 20).collect();
    let array = folder.file("a.npy", &npy("|u1", "(1, 2, 2, 3)", &pixels));
    let expected = Tensor::from_shape([1, 2, 2, 3], pixels.clone()).unwrap();
    assert_eq!(open(&array, &ports).unwrap().batch(0..1).unwrap()[0].1, expected);
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_raw(2, 2, pixels)
        .unwrap()
        .write_to(&mut file, image::ImageFormat::Png)
        .unwrap();
    let picture = folder.file("a.png", &file.into_inner());
    let data = open(&picture, &ports).unwrap();
    assert_eq!(data.batch(0..1).unwrap()[0].1, expected);
    let options = DataOptions {
        preprocess: Some("unit".to_owned()),
        ..DataOptions::default()
    };
    assert!(
        Dataset::open(&picture, &options, &ports)
            .unwrap_err()
            .to_string()
            .contains("'raw'")
    );
}
