//! Data of all kinds, each opened from files as they are found.

use flate2::{Compression, write::GzEncoder};
use ndarray::{Array1, Array2};
use ndarray_npy::{NpzWriter, WriteNpyExt};
use splitscope::data::ElementKind;
use splitscope::inference::{DataOptions, Dataset, Port};
use std::io::Write;
use std::path::{Path, PathBuf};

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

fn pictures(channels: usize, side: usize) -> [Port; 1] {
    [port("x", &[None, Some(channels), Some(side), Some(side)], false)]
}

fn open(path: &Path, ports: &[Port]) -> Dataset {
    Dataset::open(path.to_str().unwrap(), &DataOptions::default(), ports).unwrap()
}

fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn picture(folder: &tempfile::TempDir, name: &str, red: u8) {
    let path = file(folder, name, b"");
    image::RgbImage::from_pixel(6, 4, image::Rgb([red, 20, 30]))
        .save(path)
        .unwrap();
}

#[test]
fn data_folders_of_images() {
    let ports = pictures(3, 8);
    let named = tempfile::tempdir().unwrap();
    picture(&named, "d/cat/a.png", 1);
    picture(&named, "d/dog/b.jpg", 2);
    picture(&named, "d/dog/c.webp", 3);
    let data = open(&named.path().join("d"), &ports);
    let labels: Vec<_> = (0..3).map(|sample| data.label(sample)).collect();
    assert_eq!(
        (labels, data.class_name(1)),
        (vec![Some(0), Some(1), Some(1)], Some("dog"))
    );
    let numbered = tempfile::tempdir().unwrap();
    picture(&numbered, "d/7/a.png", 1);
    assert_eq!(open(&numbered.path().join("d"), &ports).label(0), Some(7));
    let flat = tempfile::tempdir().unwrap();
    picture(&flat, "d/a.png", 1);
    assert_eq!(open(&flat.path().join("d"), &ports).label(0), None);
    file(&flat, "d/labels.csv", b"file,label\na.png,5\n");
    let data = open(&flat.path().join("d"), &ports);
    assert_eq!(data.label(0), Some(5));
    assert_eq!(data.batch(0..1).unwrap()[0].0, "x");
}

#[test]
fn data_idx() {
    let folder = tempfile::tempdir().unwrap();
    let idx = |shape: &[u32], bytes: &[u8]| {
        let mut all = vec![0, 0, 8, shape.len() as u8];
        all.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
        all.extend(bytes);
        all
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&idx(&[2, 4, 4], &[9; 32])).unwrap();
    let images = file(&folder, "t-images-idx3-ubyte.gz", &gzip.finish().unwrap());
    file(&folder, "t-labels-idx1-ubyte", &idx(&[2], &[3, 1]));
    let data = open(&images, &pictures(1, 4));
    assert_eq!((data.len(), data.label(0), data.label(1)), (2, Some(3), Some(1)));
}

#[test]
fn data_cifar() {
    let folder = tempfile::tempdir().unwrap();
    let record = |labels: &[u8]| [labels, &[50; 3072]].concat();
    let ten = open(&file(&folder, "a.bin", &record(&[9])), &pictures(3, 32));
    assert_eq!((ten.label(0), ten.class_name(9)), (Some(9), Some("truck")));
    let hundred = open(&file(&folder, "b.bin", &record(&[1, 99])), &pictures(3, 32));
    assert_eq!((hundred.label(0), hundred.class_name(99)), (Some(99), Some("worm")));
}

#[test]
fn data_numpy_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("x", &Array2::<f32>::from_elem((3, 2), 0.5)).unwrap();
    npz.add_array("z", &Array2::<f32>::from_elem((3, 4), 0.5)).unwrap();
    npz.add_array("labels", &Array1::<i64>::from(vec![2, 0, 1])).unwrap();
    npz.finish().unwrap();
    let ports = [port("x", &[None, Some(2)], false), port("z", &[None, Some(4)], false)];
    let data = open(&path, &ports);
    assert_eq!((data.len(), data.label(0)), (3, Some(2)));
    assert_eq!(data.batch(0..2).unwrap().len(), 2);
    let mut npy = Vec::new();
    Array2::<f32>::from_elem((3, 2), 0.5).write_npy(&mut npy).unwrap();
    assert_eq!(open(&file(&folder, "b.npy", &npy), &ports[..1]).len(), 3);
    let refusal = |values: Vec<f32>| {
        let mut npy = Vec::new();
        Array2::from_shape_vec((2, 2), values)
            .unwrap()
            .write_npy(&mut npy)
            .unwrap();
        let path = file(&folder, "nan.npy", &npy);
        Dataset::open(path.to_str().unwrap(), &DataOptions::default(), &ports[..1])
            .err()
            .map(|error| error.to_string())
    };
    let said = refusal(vec![f32::NAN, f32::INFINITY, f32::NAN, f32::NAN]).unwrap();
    assert!(
        said.contains("the input 'x': none of its 4 values is a finite number"),
        "{said}"
    );
    assert_eq!(refusal(vec![f32::NAN, 1.0, 0.0, 0.0]), None);
    let labels = DataOptions {
        labels: Some("labels.csv".into()),
        ..DataOptions::default()
    };
    let said = Dataset::open("demo:fashion", &labels, &[]).unwrap_err().to_string();
    assert!(said.contains("leave out --labels"), "{said}");
}

#[test]
fn data_text_and_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let ports = [port("ids", &[None, None], true)];
    file(&folder, "vocab.json", br#"{"chars": ["a", "b"]}"#);
    let text = open(&file(&folder, "t.txt", b"abba"), &ports);
    assert_eq!(
        (text.is_text(), text.len(), text.label(0), text.label(2)),
        (true, 3, Some(1), Some(0))
    );
    let mut npy = Vec::new();
    Array1::<i64>::from(vec![4, 5, 6]).write_npy(&mut npy).unwrap();
    let tokens = open(&file(&folder, "t.npy", &npy), &ports);
    assert_eq!((tokens.is_text(), tokens.len(), tokens.label(1)), (true, 2, Some(6)));
}

#[test]
fn data_text_of_words() {
    let folder = tempfile::tempdir().unwrap();
    let ports = [port("ids", &[None, None], true)];
    let vocabulary = br#"{"<unk>": 0, "<eos>": 1, "the": 2, "cat": 3, "sat": 4}"#;
    file(&folder, "vocab.json", vocabulary);
    let text = open(&file(&folder, "t.txt", b" the cat \n\nsat the dog"), &ports);
    let tokens: Vec<_> = (0..text.len()).map(|at| text.label(at).unwrap()).collect();
    assert_eq!((text.is_text(), tokens), (true, vec![3, 1, 1, 4, 2, 0, 1]));
    assert_eq!(text.context(3, 9).unwrap(), "the cat <eos> <eos>");
    assert!(
        text.notes()[0].starts_with("1 of 5 words (20.0 %) are not in the vocabulary: dog; they are read as <unk>")
    );

    // As hubs keep it, beside the model.
    let model = tempfile::tempdir().unwrap();
    let tokenizer = br#"{"model": {"type": "WordLevel", "vocab": {"the": 0, "cat": 1, "sat": 2, "[UNK]": 3}}}"#;
    file(&model, "tokenizer.json", tokenizer);
    let options = DataOptions::default().with_vocabulary_of(&model.path().join("model.onnx"));
    let path = folder.path().join("t.txt");
    let text = Dataset::open(path.to_str().unwrap(), &options, &ports).unwrap();
    assert_eq!((text.len(), text.label(3)), (4, Some(3)));
    let pieces = file(
        &model,
        "vocab.json",
        "{\"the\": 0, \"\u{120}cat\": 1, \"\u{120}sat\": 2}".as_bytes(),
    );
    let options = DataOptions {
        vocabulary: Some(pieces),
        ..DataOptions::default()
    };
    let error = Dataset::open(path.to_str().unwrap(), &options, &ports).unwrap_err();
    assert!(error.to_string().contains(".npy array of token ids"), "{error}");
}

/// Segmentation: pixel accuracy and mean IoU of a network that passes its scores on, against what was counted by hand. Other maps of
/// numbers, as a detector's boxes, have neither.
#[test]
fn data_label_maps() {
    use crate::common::graph::{floats, model, network};
    use splitscope::inference::{Engine, Rten, evaluate, metrics, run_outputs};
    use splitscope::onnx::build::node;
    use splitscope::onnx::encode;
    use splitscope::progress::Progress;
    let through = |sizes: &[i64]| {
        let nodes = vec![node("Identity", "pass", ["x"], ["y"], vec![])];
        let made = model(17, (nodes, vec![]), vec![floats("x", sizes)], vec![floats("y", sizes)]);
        Rten::load(encode(&network(made).runnable_model()).unwrap()).unwrap()
    };
    // Two samples of 2 x 3 pixels, three classes. 255 is no class: that pixel does not count.
    let labels: [[u8; 6]; 2] = [[0, 0, 1, 1, 1, 255], [0, 2, 1, 0, 1, 1]];
    let answers: [[usize; 6]; 2] = [[0, 1, 1, 1, 0, 2], [0, 1, 1, 0, 1, 1]];
    // Class 0: 4 labelled, 4 answered, 3 both: 3/5. Class 1: 6, 7, 5: 5/8. Class 2: 1, 0, 0: 0. Right: 8 of 11.
    let expected = ((3.0 / 5.0 + 5.0 / 8.0 + 0.0) / 3.0, 8.0 / 11.0);
    let folder = tempfile::tempdir().unwrap();
    let saved = |name: &str, classes_last: bool, maps: ndarray::ArrayD<u8>| {
        let shape: &[usize] = if classes_last { &[2, 2, 3, 3] } else { &[2, 3, 2, 3] };
        let scores = ndarray::ArrayD::<f32>::from_shape_fn(shape, |at| {
            let (class, row, column) = if classes_last {
                (at[3], at[1], at[2])
            } else {
                (at[1], at[2], at[3])
            };
            if answers[at[0]][row * 3 + column] == class {
                2.0
            } else {
                0.5
            }
        });
        let path = folder.path().join(name);
        let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
        npz.add_array("x", &scores).unwrap();
        npz.add_array("y", &maps).unwrap();
        npz.finish().unwrap();
        path
    };
    let maps = |shape: &[usize]| ndarray::ArrayD::from_shape_vec(shape, labels.concat()).unwrap();
    for (name, classes_last, sizes, shape) in [
        ("first.npz", false, [0, 3, 2, 3], &[2, 2, 3][..]),
        ("last.npz", true, [0, 2, 3, 3], &[2, 1, 2, 3][..]),
    ] {
        let engine = through(&sizes);
        let data = open(&saved(name, classes_last, maps(shape)), engine.inputs());
        assert_eq!((data.len(), data.label(0)), (2, None));
        let outputs = run_outputs(&engine, &data, 2, &Progress::default()).unwrap();
        let found = metrics(&outputs, &data);
        let (iou, accuracy) = (found.mean_iou.unwrap(), found.pixel_accuracy.unwrap());
        assert!(
            (iou - expected.0).abs() < 1e-12 && (accuracy - expected.1).abs() < 1e-12,
            "{iou} {accuracy}"
        );
        // A map has no first answer.
        assert_eq!(
            (found.top1, evaluate(&outputs, &outputs, &data).agreement),
            (None, None)
        );
    }
    // Maps of another size than the output's fit nothing; fewer of them than samples are refused.
    let engine = through(&[0, 3, 2, 3]);
    let data = open(&saved("other.npz", false, maps(&[2, 6, 1])), engine.inputs());
    let outputs = run_outputs(&engine, &data, 2, &Progress::default()).unwrap();
    assert_eq!(metrics(&outputs, &data), splitscope::inference::Metrics::default());
    let unused = evaluate(&outputs, &outputs, &data).labels_unused.unwrap();
    assert!(
        unused.contains("6 x 1 pixels") && unused.contains("3 x 2 x 3"),
        "{unused}"
    );
    let path = saved("short.npz", false, maps(&[1, 4, 3]));
    let error = Dataset::open(path.to_str().unwrap(), &DataOptions::default(), engine.inputs()).unwrap_err();
    assert!(error.to_string().contains("1 label maps for 2 samples"), "{error}");
    // Boxes of a detector: numbers without a first answer, compared by SQNR.
    let engine = through(&[0, 5, 4]);
    let mut npy = Vec::new();
    let boxes = ndarray::Array3::<f32>::from_shape_fn((2, 5, 4), |(n, b, c)| (n * 20 + b * 4 + c) as f32);
    boxes.write_npy(&mut npy).unwrap();
    let data = open(&file(&folder, "boxes.npy", &npy), engine.inputs());
    let outputs = run_outputs(&engine, &data, 2, &Progress::default()).unwrap();
    let compared = evaluate(&outputs, &outputs, &data);
    assert_eq!((compared.agreement, compared.float.top1), (None, None));
    assert_eq!(compared.sqnr_db, Some(f64::INFINITY));
}

/// What `fixtures/detection/make.py` wrote: boxes of people, what a detector finds, and the mAP that pycocotools counts.
#[derive(serde::Deserialize)]
struct DetectionFixture {
    coco: serde_json::Value,
    each: usize,
    counts: Vec<i64>,
    boxes: Vec<f32>,
    shares: Vec<f32>,
    scores: Vec<f32>,
    labels: Vec<i64>,
    expected: std::collections::HashMap<String, [f64; 2]>,
}

/// A folder of pictures with COCO's boxes, in three forms of answers: mAP is that of pycocotools. The red of the first pixel says which
/// picture it is, and the network looks its detections up.
#[test]
fn data_boxes() {
    use crate::common::graph::{floats, model, network, typed};
    use splitscope::inference::{Engine, Rten, evaluate, metrics, run_outputs};
    use splitscope::onnx::build::{float_tensor, i64_tensor, int_attribute, node};
    use splitscope::onnx::encode;
    use splitscope::onnx::schema::data_type;
    use splitscope::progress::Progress;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/detection/boxes.json.gz");
    let file = std::fs::File::open(fixture).unwrap();
    let found: DetectionFixture = serde_json::from_reader(flate2::read::GzDecoder::new(file)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (pictures, each) = (found.counts.len(), found.each);
    for number in 0..pictures {
        let picture = image::RgbImage::from_pixel(64, 48, image::Rgb([number as u8, 7, 9]));
        picture.save(folder.path().join(format!("{number}.png"))).unwrap();
    }
    let annotations = folder.path().join("instances_test.json");
    std::fs::write(&annotations, found.coco.to_string()).unwrap();
    // Of places of categories, which are 1, 3, 4, 17 and 18.
    let places: Vec<i64> = (found.labels.iter())
        .map(|id| {
            [1, 3, 4, 17]
                .iter()
                .position(|known| known == id)
                .map_or(0, |place| place as i64)
        })
        .collect();
    let top_first: Vec<f32> = found.shares.chunks(4).flat_map(|b| [b[1], b[0], b[3], b[2]]).collect();
    let detector = |names: [&str; 3], boxes: &[f32], labels: &[i64], packed: bool, counted: bool| {
        let mut nodes = vec![
            node("Slice", "first", ["x", "zeros", "ones", "axes"], ["pixel"], vec![]),
            node("Reshape", "flat", ["pixel", "minus"], ["number"], vec![]),
            node(
                "Cast",
                "cast",
                ["number"],
                ["picture"],
                vec![int_attribute("to", i64::from(data_type::INT64))],
            ),
            node("Gather", "boxes", ["boxes_of", "picture"], [names[0]], vec![]),
            node("Gather", "scores", ["scores_of", "picture"], [names[1]], vec![]),
            node("Gather", "labels", ["labels_of", "picture"], [names[2]], vec![]),
        ];
        let constants = vec![
            i64_tensor("zeros", &[3], &[0, 0, 0]),
            i64_tensor("ones", &[3], &[1, 1, 1]),
            i64_tensor("axes", &[3], &[1, 2, 3]),
            i64_tensor("minus", &[1], &[-1]),
            float_tensor("boxes_of", &[pictures, each, 4], boxes),
            float_tensor("scores_of", &[pictures, each], &found.scores),
            i64_tensor("labels_of", &[pictures, each], labels),
            i64_tensor("counts_of", &[pictures], &found.counts),
            i64_tensor("last", &[1], &[2]),
        ];
        let n = each as i64;
        let mut outputs = vec![
            floats(names[0], &[0, n, 4]),
            floats(names[1], &[0, n]),
            typed(names[2], data_type::INT64, &[0, n]),
        ];
        if counted {
            nodes.push(node(
                "Gather",
                "counts",
                ["counts_of", "picture"],
                ["num_detections"],
                vec![],
            ));
            outputs.push(typed("num_detections", data_type::INT64, &[0]));
        }
        if packed {
            nodes.push(node("Unsqueeze", "s", [names[1], "last"], ["column"], vec![]));
            nodes.push(node("Cast", "c", [names[2]], ["kinds"], vec![int_attribute("to", 1)]));
            nodes.push(node("Unsqueeze", "k", ["kinds", "last"], ["kind"], vec![]));
            let joined = [names[0], "column", "kind"];
            nodes.push(node(
                "Concat",
                "rows",
                joined,
                ["output0"],
                vec![int_attribute("axis", 2)],
            ));
            outputs = vec![floats("output0", &[0, n, 6])];
        }
        let made = model(17, (nodes, constants), vec![floats("x", &[0, 3, 48, 64])], outputs);
        Rten::load(encode(&network(made).runnable_model()).unwrap()).unwrap()
    };
    let raw = DataOptions {
        preprocess: Some("raw".to_owned()),
        ..DataOptions::default()
    };
    let opened = |options: &DataOptions, engine: &dyn Engine| {
        Dataset::open(folder.path().to_str().unwrap(), options, engine.inputs())
    };
    let (id, place) = (&found.labels, &places);
    for (kind, engine) in [
        (
            "pixels",
            detector(["boxes", "scores", "labels"], &found.boxes, id, false, false),
        ),
        (
            "pixels",
            detector(["boxes", "scores", "labels"], &found.boxes, place, true, false),
        ),
        (
            "shares",
            detector(
                ["detection_boxes", "detection_scores", "detection_classes"],
                &top_first,
                place,
                false,
                true,
            ),
        ),
    ] {
        let data = opened(&raw, &engine).unwrap();
        assert_eq!((data.len(), data.boxes().unwrap().categories().len()), (pictures, 5));
        let outputs = run_outputs(&engine, &data, usize::MAX, &Progress::default()).unwrap();
        let found_now = metrics(&outputs, &data);
        let [map, at_half] = found.expected[kind];
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-12;
        assert!(
            near(found_now.mean_ap, map) && near(found_now.mean_ap_50, at_half),
            "{kind}: {found_now:?} {map} {at_half}"
        );
        // Boxes have no first answer; that padding has no score is no detection.
        assert_eq!(
            (found_now.top1, evaluate(&outputs, &outputs, &data).agreement),
            (None, None)
        );
    }
    assert!(found.expected["pixels"][0] > 0.1, "{:?}", found.expected);

    // Outputs that are not understood are compared as numbers, and the reason is said.
    let engine = detector(["boxes", "scores", "what"], &found.boxes, id, false, false);
    let data = opened(&raw, &engine).unwrap();
    let outputs = run_outputs(&engine, &data, usize::MAX, &Progress::default()).unwrap();
    let evaluation = evaluate(&outputs, &outputs, &data);
    assert_eq!(
        (evaluation.float.mean_ap, evaluation.sqnr_db),
        (None, Some(f64::INFINITY))
    );
    assert!(
        evaluation
            .notes
            .iter()
            .any(|note| note.contains("what [") && note.ends_with("so there is no mAP")),
        "{:?}",
        evaluation.notes
    );
    // A crop would cut objects off.
    let cropped = DataOptions {
        crop: Some(40),
        ..raw.clone()
    };
    let error = opened(&cropped, &engine).unwrap_err().to_string();
    assert!(error.contains("cuts objects off"), "{error}");
    // Pictures that are not there are told; none at all, and boxes of no category, are refused.
    std::fs::remove_file(folder.path().join("3.png")).unwrap();
    let data = opened(&raw, &engine).unwrap();
    assert_eq!(data.len(), pictures - 1);
    assert!(
        data.notes()[0].starts_with("1 picture(s) with boxes are not in the folder"),
        "{:?}",
        data.notes()
    );
    let refused = |coco: serde_json::Value| {
        std::fs::write(&annotations, coco.to_string()).unwrap();
        opened(&raw, &engine).unwrap_err().to_string()
    };
    let mut other = found.coco.clone();
    other["annotations"][4]["category_id"] = 99.into();
    let error = refused(other);
    assert!(
        error.contains("annotation 5 is of category 99, which is not listed"),
        "{error}"
    );
    let mut other = found.coco.clone();
    for image in other["images"].as_array_mut().unwrap() {
        image["file_name"] = "../outside.png".into();
    }
    let error = refused(other);
    assert!(error.contains("none of its pictures"), "{error}");
}
