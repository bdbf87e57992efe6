//! State dicts become graphs that compute what torch computes with the same weights (see `fixtures/architecture/make.py`).

use crate::common::formula::{uniform, values};
use crate::common::{float_outputs, open, relative_difference, shared};
use flate2::read::GzDecoder;
use half::{bf16, f16};
use serde::Deserialize;
use splitscope::data::Tensor;
use splitscope::format::architecture::{Config, recognise};
use splitscope::format::{self, demo::Demo};
use splitscope::inference::{Engine, Rten};
use splitscope::network::{Format, Interpolation, Network};
use splitscope::onnx::build::{i64_tensor, raw_tensor};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{GraphProto, ModelProto, TensorProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, plan, rewrite, split_only};
use std::path::{Path, PathBuf};

/// What the script wrote.
#[derive(Deserialize)]
struct Fixture {
    architecture: String,
    config: Option<serde_json::Value>,
    gain: f64,
    r#type: String,
    tensors: Vec<(String, Vec<usize>)>,
    input: Vec<usize>,
    output: Vec<f32>,
}

impl Fixture {
    fn read(path: &Path) -> Self {
        serde_json::from_reader(GzDecoder::new(std::fs::File::open(path).unwrap())).unwrap()
    }

    fn named(name: &str) -> Self {
        Self::read(&folder().join(format!("{name}.json.gz")))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> TensorProto {
        if name.ends_with("num_batches_tracked") {
            return i64_tensor(name, shape, &[1]);
        }
        let values = values(name, shape, self.gain);
        match self.r#type.as_str() {
            "F32" => raw(
                name,
                data_type::FLOAT,
                shape,
                values.iter().flat_map(|v| v.to_le_bytes()),
            ),
            "F16" => raw(
                name,
                data_type::FLOAT16,
                shape,
                values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()),
            ),
            "BF16" => raw(
                name,
                data_type::BFLOAT16,
                shape,
                values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()),
            ),
            other => panic!("no weights of type {other}"),
        }
    }

    fn tensors(&self) -> Vec<TensorProto> {
        self.tensors
            .iter()
            .map(|(name, shape)| self.tensor(name, shape))
            .collect()
    }

    /// Writes the file of weights and its configuration, and opens it.
    fn open(&self, tensors: &[TensorProto]) -> Network {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        format::safetensors::write(&path, tensors, &[]).unwrap();
        if let Some(config) = &self.config {
            std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        }
        format::open(&path).unwrap()
    }

    /// The network's outputs on the fixture's input.
    fn run(&self, network: &Network) -> Vec<f32> {
        let plane: usize = self.input[2..].iter().product();
        let colours = uniform("colours", self.input[0] * self.input[1]);
        let noise = uniform("input", self.input.iter().product());
        let pixels = (noise.iter().enumerate()).map(|(at, u)| (0.5 * u + colours[at / plane]) as f32);
        run(network, &self.input, pixels.collect())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture")
}

fn raw(name: &str, element_type: i32, shape: &[usize], bytes: impl Iterator<Item = u8>) -> TensorProto {
    raw_tensor(name, element_type, shape, bytes.collect::<Vec<u8>>())
}

fn run(network: &Network, shape: &[usize], values: Vec<f32>) -> Vec<f32> {
    assert_eq!(network.why_not_runnable, None);
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let input = Tensor::from_shape(shape, values).unwrap();
    let name = engine.inputs()[0].name.clone();
    let outputs = engine
        .run(&[(&name, &input)], &[engine.outputs()[0].name.as_str()])
        .unwrap();
    outputs[0].floats().unwrap().to_vec()
}

/// Every fixture whose name begins with one of `families`.
fn assert_like_torch(families: &[&str]) {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".json.gz") || !families.iter().any(|family| name.starts_with(family)) {
            continue;
        }
        let fixture = Fixture::read(&path);
        let network = fixture.open(&fixture.tensors());
        assert_eq!(network.why_not_runnable, None, "{name}");
        assert_eq!(
            network.architecture.as_deref(),
            Some(fixture.architecture.as_str()),
            "{name}"
        );
        let difference = relative_difference(&fixture.output, &fixture.run(&network));
        println!("{name}: {difference:.1e}");
        assert!(difference <= 1e-4, "{name}: {difference}");
        count += 1;
    }
    assert!(count >= families.len(), "{families:?}: {count} fixtures");
}

#[test]
fn resnets_of_all_kinds_compute_what_torch_computes() {
    assert_like_torch(&["resnet", "resnext", "wide_resnet"]);
}

#[test]
fn plain_networks_compute_what_torch_computes() {
    assert_like_torch(&["vgg", "alexnet", "squeezenet"]);
}

#[test]
fn networks_that_join_channels_compute_what_torch_computes() {
    assert_like_torch(&["densenet", "inception"]);
}

#[test]
fn networks_for_phones_compute_what_torch_computes_in_both_names() {
    assert_like_torch(&["mobilenet", "efficientnet"]);
}

#[test]
fn layers_are_called_by_the_names_of_their_modules_and_can_be_split() {
    let fixture = Fixture::named("resnet50");
    let network = fixture.open(&fixture.tensors());
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names.len(), 54);
    assert_eq!(names[..3], ["conv1", "layer1.0.conv1", "layer1.0.conv2"]);
    assert_eq!(names[53], "fc");
    assert_eq!(network.layers[0].weight, "module.conv1.weight");
    assert!(
        network
            .layers
            .iter()
            .all(|layer| layer.support.why_not_split().is_none())
    );
    assert_eq!(network.layers[0].input, Some(("input".to_owned(), 1)));
}

#[test]
fn a_file_of_unknown_names_says_so_and_shows_its_weights() {
    let fixture = Fixture::named("resnet18");
    let why = |tensors: &[TensorProto]| {
        let network = fixture.open(tensors);
        assert!(!network.layers.is_empty() && network.layers.iter().all(|layer| layer.node.is_none()));
        assert_eq!(network.architecture, None);
        network.why_not_runnable.unwrap()
    };
    let mut strange = fixture.tensors();
    for (number, tensor) in strange.iter_mut().enumerate() {
        tensor.name = Some(format!("thing{number}"));
    }
    let text = why(&strange);
    assert!(
        text.starts_with("this file holds weights only, no graph, and its names are those of no architecture"),
        "{text}"
    );

    let mut missing = fixture.tensors();
    missing.retain(|tensor| tensor.name() != "layer3.1.bn2.running_var");
    let text = why(&missing);
    assert!(
        text.contains("nearest architecture is ResNet-18 (99 % of the names)"),
        "{text}"
    );
    assert!(text.contains("'layer3.1.bn2.running_var' [32] is missing"), "{text}");

    let mut wrong = fixture.tensors();
    let position = wrong
        .iter()
        .position(|tensor| tensor.name() == "layer2.0.conv1.weight")
        .unwrap();
    wrong[position] = fixture.tensor("layer2.0.conv1.weight", &[16, 9, 3, 3]);
    let text = why(&wrong);
    assert!(
        text.contains("'layer2.0.conv1.weight' should have the shape [any, 8, 3, 3] and has [16, 9, 3, 3]"),
        "{text}"
    );

    let mut more = fixture.tensors();
    more.push(fixture.tensor("layer2.0.gate.weight", &[16, 1]));
    let text = why(&more);
    assert!(text.contains("'layer2.0.gate.weight' is no part of it"), "{text}");
}

#[test]
fn a_configuration_beside_the_file_sets_size_and_preprocessing() {
    let mut fixture = Fixture::named("resnet_half");
    fixture.config = Some(serde_json::json!({
        "architecture": "resnet10t",
        "label_names": ["a", "b", "c", "d", "e"],
        "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "input_size": [3, 40, 56],
                           "crop_pct": 0.9, "interpolation": "bicubic"},
    }));
    let network = fixture.open(&fixture.tensors());
    let hint = network.preprocess.as_ref().unwrap();
    assert_eq!(hint.source, "config.json");
    assert_eq!(hint.mean, Some(vec![0.5; 3]));
    assert_eq!(hint.std, Some(vec![0.25; 3]));
    assert_eq!((hint.size, hint.crop), (Some([40, 56]), Some(0.9)));
    assert_eq!(hint.interpolation, Some(Interpolation::Bicubic));
    assert_eq!(hint.classes, ["a", "b", "c", "d", "e"]);
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    assert_eq!(engine.inputs()[0].describe(), "input [batch, 3, 40, 56]");

    // Names for another number of classes are not believed.
    fixture.config = Some(serde_json::json!({"label_names": ["a", "b"]}));
    let network = fixture.open(&fixture.tensors());
    assert!(network.preprocess.as_ref().unwrap().classes.is_empty());

    // Nothing beside it: what the family is usually trained on.
    fixture.config = None;
    let network = fixture.open(&fixture.tensors());
    let hint = network.preprocess.as_ref().unwrap();
    assert_eq!(hint.source, "usual for ResNet-10");
    assert_eq!((hint.size, hint.crop), (Some([224, 224]), Some(0.875)));
    assert_eq!(hint.mean, Some(vec![0.485, 0.456, 0.406]));
}

#[test]
fn splitting_alone_changes_nothing_and_halves_are_quantized_too() {
    let progress = Progress::default();
    let recipe = Recipe {
        weight_bits: Bits::Grid(6),
        expand_ratio: 0.05,
        ..Recipe::default()
    };
    for name in [
        "resnext",
        "inception",
        "efficientnet_lite0_tf",
        "densenet_old",
        "resnet_half",
        "resnet_bfloat",
    ] {
        let fixture = Fixture::named(name);
        let network = fixture.open(&fixture.tensors());
        let planned = plan(&network, &recipe, None, &progress).unwrap();
        let layers: Vec<_> = planned.layers.iter().filter_map(|layer| layer.quantized()).collect();
        assert!(
            layers.iter().map(|layer| layer.splits.len()).sum::<usize>() > 0,
            "{name}"
        );
        let outputs = |model: ModelProto| {
            let network = Network::new(name, None, Format::Onnx, model).unwrap();
            fixture.run(&network)
        };
        let float = fixture.run(&network);
        let difference = relative_difference(&float, &outputs(split_only(&network, &planned).unwrap()));
        println!("{name}: {} layers, {difference:.1e}", layers.len());
        assert!(difference <= 1e-5, "{name}: {difference}");
        let quantized = outputs(rewrite(&network, &planned).unwrap());
        assert!(quantized.iter().all(|x| x.is_finite()) && quantized != float, "{name}");
    }
}

#[test]
fn tensors_that_serve_training_stay_in_the_file_and_out_of_the_graph() {
    let fixture = Fixture::named("inception");
    let network = fixture.open(&fixture.tensors());
    let holds = |model: &ModelProto, part: &str| {
        let tensors = &model.graph.as_ref().unwrap().initializer;
        tensors.iter().any(|tensor| tensor.name().contains(part))
    };
    let recipe = Recipe::default();
    let planned = plan(&network, &recipe, None, &Progress::default()).unwrap();
    let exported = rewrite(&network, &planned).unwrap();
    for part in ["AuxLogits", "num_batches_tracked"] {
        assert!(holds(&network.model, part));
        assert!(!holds(&network.runnable_model(), part) && !holds(&exported, part));
    }
}

#[test]
fn both_formats_of_the_demo_give_the_same_answers() {
    let weights = open("assets/fashion_resnet.safetensors");
    assert_eq!(weights.architecture.as_deref(), Some("ResNet-20 for small pictures"));
    let graph = float_outputs(&open("demo:fashion"), Demo::Fashion, 100);
    let difference = relative_difference(&graph.logits, &float_outputs(&weights, Demo::Fashion, 100).logits);
    assert!(difference <= 1e-5, "{difference}");
}

#[test]
fn tensors_of_any_shape_are_met_without_a_panic() {
    const SIZES: [i64; 10] = [-1, 0, 1, 2, 3, 5, 7, 64, 100_003, 1 << 31];
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gz") {
            continue;
        }
        let fixture = Fixture::read(&path);
        let whole: Vec<TensorProto> = (fixture.tensors.iter())
            .map(|(name, shape)| raw_tensor(name, data_type::FLOAT, shape, Vec::new()))
            .collect();
        let model = |initializer| ModelProto {
            graph: Some(GraphProto {
                initializer,
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        assert!(
            recognise(model(whole.clone()), &Config::default()).is_ok(),
            "{}",
            path.display()
        );
        for round in 0..12 {
            let mut broken = whole.clone();
            for _ in 0..1 + round % 3 {
                let tensor = &mut broken[random(whole.len())];
                match random(4) {
                    0 => tensor.dims = (0..random(6)).map(|_| SIZES[random(SIZES.len())]).collect(),
                    1 if !tensor.dims.is_empty() => {
                        let axis = random(tensor.dims.len());
                        tensor.dims[axis] = SIZES[random(SIZES.len())];
                    }
                    2 => tensor.name = Some(tensor.name().replace(|c: char| c.is_ascii_digit(), "4")),
                    _ => tensor.data_type = Some(data_type::INT8),
                }
            }
            broken.remove(random(broken.len()));
            if let Err((model, misfit)) = recognise(model(broken), &Config::default()) {
                assert!(!model.graph.unwrap().initializer.is_empty());
                assert_eq!(misfit.to_string().lines().count(), 1);
            }
        }
    }
}

#[test]
#[ignore = "needs ../shared"]
fn both_formats_of_a_real_network_give_the_same_outputs() {
    let open = |name: &str| format::open(&shared(&format!("models/cifar10_resnet20.{name}"))).unwrap();
    let (graph, weights) = (open("onnx"), open("safetensors"));
    assert_eq!(weights.architecture.as_deref(), Some("ResNet-20 for small pictures"));
    let records = std::fs::read(shared("data/cifar10_test_first5000.bin")).unwrap();
    let pixels: Vec<f32> = (records.chunks_exact(3073).take(64))
        .flat_map(|record| record[1..].iter().map(|byte| (f32::from(*byte) / 255.0 - 0.45) / 0.225))
        .collect();
    let outputs = [&graph, &weights].map(|network| run(network, &[64, 3, 32, 32], pixels.clone()));
    let difference = relative_difference(&outputs[0], &outputs[1]);
    println!("{difference:.1e}");
    assert!(difference <= 1e-4, "{difference}");
}
