//! Networks and data that are judged by something else than right answers: language models as a hub keeps them, pairs of sentences,
//! maps of classes.

use super::graph::{floats, model, typed};
use super::state_dict::Fixture;
use ndarray_npy::NpzWriter;
use splitscope::data::{Tensor, TensorValues};
use splitscope::format;
use splitscope::inference::{Engine, Rten};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, i64_tensor, ints_attribute, node};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{TensorProto, encode, write_file};
use std::path::{Path, PathBuf};

/// A hub's folder: network, configuration, and a tokenizer that makes a token of every letter.
pub(crate) fn hub(name: &str) -> (tempfile::TempDir, Network) {
    hub_with(name, |_| ())
}

/// The same with tensors that were changed.
pub(crate) fn hub_with(name: &str, change: impl FnOnce(&mut Vec<TensorProto>)) -> (tempfile::TempDir, Network) {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    let fixture = Fixture::read(&fixtures.join(format!("{name}.json.gz")));
    let mut tensors = fixture.tensors();
    change(&mut tensors);
    format::safetensors::write(&folder.path().join("model.safetensors"), &tensors, &[]).unwrap();
    let config = fixture.config.as_ref().unwrap().to_string();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let mut vocabulary = serde_json::json!({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2});
    for (id, letter) in ('a'..='m').enumerate() {
        vocabulary[letter.to_string()] = (3 + 2 * id).into();
        vocabulary[format!("##{letter}")] = (4 + 2 * id).into();
    }
    let special =
        |piece: &str, id: u32| serde_json::json!({piece: {"id": piece, "ids": [id], "tokens": [piece]}})[piece].clone();
    let tokenizer = serde_json::json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing", "pair": [],
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "special_tokens": {"[CLS]": special("[CLS]", 1), "[SEP]": special("[SEP]", 2)}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": false},
        "model": {"type": "WordPiece", "vocab": vocabulary, "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100},
    });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(
        folder.path().join("text.txt"),
        "bad cab feed bead deaf face cafe egg leg hill film kilo",
    )
    .unwrap();
    let network = format::open(folder.path()).unwrap();
    (folder, network)
}

/// Pairs of sentences and how alike they are.
pub(crate) const PAIRS: [(&str, &str, f64); 6] = [
    ("bad cab", "feed bead deaf face", 4.5),
    ("egg leg", "hill", 1.0),
    ("film", "film", 5.0),
    ("cafe face", "face cafe", 3.25),
    ("deaf", "bead feed cab bad", 2.0),
    ("leg egg hill", "egg", 2.5),
];

/// [`PAIRS`] as SICK has them.
pub(crate) fn pairs_table() -> String {
    let mut table = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\r\n".to_owned();
    for (number, (a, b, score)) in PAIRS.iter().enumerate() {
        table += &format!("{number}\t{a}\t{b}\t{score}\tNEUTRAL\r\n");
    }
    table
}

/// A sentence encoder and a table of pairs beside it, in the folder of [`hub`].
pub(crate) fn sentence_encoder() -> (tempfile::TempDir, PathBuf) {
    let (folder, _) = hub("bert_model");
    let table = folder.path().join("sick.tsv");
    std::fs::write(&table, pairs_table()).unwrap();
    (folder, table)
}

/// A network that gives each of 6 x 5 pixels a class of three, right but for few, and samples with label maps: the paths of both.
pub(crate) fn segmentation(folder: &Path) -> (PathBuf, PathBuf) {
    let wave = |i: usize| (i as f32 * 1.7).sin();
    let mut weights: Vec<f32> = (0..3 * 3 * 9).map(|i| 0.25 * wave(i)).collect();
    for class in 0..3 {
        // The middle of the kernel: the class is the largest of the three inputs.
        weights[class * 27 + class * 9 + 4] += 0.8;
    }
    let convolution = node(
        "Conv",
        "classes",
        ["x", "w"],
        ["y"],
        vec![ints_attribute("pads", [1, 1, 1, 1])],
    );
    let sizes = [0, 3, 6, 5];
    let made = model(
        17,
        (vec![convolution], vec![float_tensor("w", &[3, 3, 3, 3], &weights)]),
        vec![floats("x", &sizes)],
        vec![floats("y", &sizes)],
    );
    let network = folder.join("segmentation.onnx");
    write_file(&made, &network).unwrap();
    let samples = 12;
    let x = ndarray::Array4::<f32>::from_shape_fn((samples, 3, 6, 5), |(n, c, h, w)| {
        wave(n * 91 + c * 37 + h * 11 + w * 5)
    });
    let y = ndarray::Array3::<u8>::from_shape_fn((samples, 6, 5), |(n, h, w)| {
        let at = |class: u8| x[[n, usize::from(class), h, w]];
        (0..3_u8).max_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap()
    });
    let data = folder.join("maps.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&data).unwrap());
    npz.add_array("x", &x).unwrap();
    npz.add_array("y", &y).unwrap();
    npz.finish().unwrap();
    (network, data)
}

/// A detector that answers the ten surest of 64 boxes, and a folder of pictures with COCO's boxes: what it finds itself, but for every
/// fifth box. The paths of both.
pub(crate) fn detector(folder: &Path) -> (PathBuf, PathBuf) {
    let wave = |i: usize| (i as f32 * 1.7).sin();
    let cells: Vec<f32> = (0..64_u8)
        .flat_map(|cell| {
            let [x, y] = [cell % 8, cell / 8].map(|place| f32::from(place) * 4.0);
            [x, y, x + 6.0, y + 5.0]
        })
        .collect();
    let weights: Vec<f32> = (0..3 * 16).map(|i| 0.9 * wave(i)).collect();
    let nodes = vec![
        node(
            "Conv",
            "look",
            ["x", "w"],
            ["map"],
            vec![ints_attribute("strides", [4, 4])],
        ),
        node("Sigmoid", "sure", ["map"], ["shares"], vec![]),
        node("Reshape", "each", ["shares", "flat"], ["candidates"], vec![]),
        node("TopK", "surest", ["candidates", "ten"], ["scores", "places"], vec![]),
        node("Gather", "found", ["cells", "places"], ["boxes"], vec![]),
        node("Sub", "kind", ["places", "places"], ["labels"], vec![]),
    ];
    let constants = vec![
        float_tensor("w", &[1, 3, 4, 4], &weights),
        float_tensor("cells", &[64, 4], &cells),
        i64_tensor("flat", &[2], &[0, 64]),
        i64_tensor("ten", &[1], &[10]),
    ];
    let outputs = vec![
        floats("boxes", &[0, 10, 4]),
        floats("scores", &[0, 10]),
        typed("labels", data_type::INT64, &[0, 10]),
    ];
    let made = model(17, (nodes, constants), vec![floats("x", &[0, 3, 32, 32])], outputs);
    let network = folder.join("detector.onnx");
    write_file(&made, &network).unwrap();
    let engine = Rten::load(encode(&made).unwrap()).unwrap();
    let pictures = folder.join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for picture in 0..8_u32 {
        let at =
            |x: u32, y: u32, c: u32| (wave((picture * 977 + y * 131 + x * 17 + c * 5) as usize) * 127.0 + 128.0) as u8;
        let image = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([0, 1, 2].map(|c| at(x, y, c))));
        image.save(pictures.join(format!("{picture}.png"))).unwrap();
        images
            .push(serde_json::json!({"id": picture, "file_name": format!("{picture}.png"), "width": 32, "height": 32}));
        let numbers = |c: u32| image.pixels().map(move |pixel| f32::from(pixel[c as usize]) / 255.0);
        let x = Tensor::from_shape([1, 3, 32, 32], (0..3).flat_map(numbers).collect::<Vec<f32>>()).unwrap();
        let found = engine.run(&[("x", &x)], &["boxes", "labels"]).unwrap();
        let TensorValues::I32(labels) = found[1].values() else {
            panic!("{:?}", found[1].values())
        };
        for (edges, label) in found[0].floats().unwrap().chunks(4).zip(labels) {
            let bbox = [edges[0], edges[1], edges[2] - edges[0], edges[3] - edges[1]];
            let category = [4, 11][usize::try_from(*label).unwrap()];
            let number = annotations.len();
            let bbox = if number % 5 == 4 { [0.0, 0.0, 3.0, 31.0] } else { bbox };
            annotations.push(serde_json::json!({
                "id": number, "image_id": picture, "category_id": category, "bbox": bbox, "iscrowd": 0,
            }));
        }
    }
    assert!(annotations.len() > 20, "{}", annotations.len());
    let coco = serde_json::json!({
        "images": images, "annotations": annotations,
        "categories": [{"id": 11, "name": "a"}, {"id": 4, "name": "b"}],
    });
    std::fs::write(pictures.join("_annotations.coco.json"), coco.to_string()).unwrap();
    (network, pictures)
}
