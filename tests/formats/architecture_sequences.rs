//! State dicts of transformers, recurrent and small networks become graphs that compute what torch computes with the same
//! weights (see `fixtures/architecture/make_sequences.py`).

use crate::common::formula::values;
use crate::common::state_dict::Fixture;
use crate::common::{float_outputs, open, relative_difference, shared};
use half::f16;
use splitscope::format::architecture::{Config, recognise};
use splitscope::format::{self, demo::Demo};
use splitscope::inference::{DataOptions, Dataset, Engine, Metrics, Rten, metrics, run_outputs};
use splitscope::network::{Format, LayerKind, Network};
use splitscope::onnx::build::{float_tensor, raw_tensor};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{GraphProto, ModelProto, TensorProto, encode, tensor_bytes};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, plan, rewrite, split_only};
use std::path::Path;

/// The fixture called `name`.
fn named(name: &str) -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/sequences");
    Fixture::read(&folder.join(format!("{name}.json.gz")))
}

/// Opens each fixture, compares all outputs with torch's, and returns the networks.
fn assert_like_torch(names: &[&str]) -> Vec<Network> {
    names.iter().map(|name| named(name).assert_like_torch(name)).collect()
}

fn noted(network: &Network, part: &str) -> bool {
    network.notes.iter().any(|note| note.contains(part))
}

#[test]
fn vision_transformers_compute_what_torch_computes_in_all_names() {
    let networks = assert_like_torch(&[
        "vit_timm",
        "vit_wide",
        "vit_distilled",
        "vit_mean",
        "vit_torchvision",
        "vit_torchvision_old",
        "vit_transformers",
    ]);
    // Patches, four matrices of each block, head.
    let names: Vec<&str> = networks[0].layers.iter().map(|layer| layer.name.as_str()).collect();
    let block = |n| ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"].map(|part| format!("blocks.{n}.{part}"));
    let expected = ["patch_embed.proj".to_owned()]
        .into_iter()
        .chain(block(0))
        .chain(block(1))
        .chain(["head".to_owned()]);
    assert_eq!(names, expected.collect::<Vec<_>>());
    assert!(
        noted(&networks[0], "2 of 64 channels are taken"),
        "{:?}",
        networks[0].notes
    );
    // The configuration tells the heads.
    assert_eq!(networks[6].notes, Vec::<String>::new());
    assert_eq!(networks[1].preprocess.as_ref().unwrap().size, Some([16, 64]));
}

#[test]
fn encoders_of_text_compute_what_torch_computes_with_all_heads() {
    let networks = assert_like_torch(&[
        "bert_minilm",
        "bert_texts",
        "bert_tokens",
        "bert_answers",
        "bert_masked",
        "roberta",
    ]);
    // MiniLM's heads are 32 wide: nothing in the file says so.
    for note in ["12 of 32 channels", "epsilon", "GELU is taken"] {
        assert!(noted(&networks[0], note), "{:?}", networks[0].notes);
    }
    assert_eq!(networks[1].notes, Vec::<String>::new());
    assert!(noted(&networks[5], "padding"));
    assert_eq!(
        networks[0].graph_inputs(),
        ["input_ids", "attention_mask", "token_type_ids"]
    );
}

#[test]
fn recurrent_networks_compute_what_torch_computes() {
    let networks = assert_like_torch(&[
        "lstm",
        "lstm_both_ways",
        "lstm_without_bias",
        "lstm_tied",
        "gru",
        "gru_encoder",
    ]);
    let names: Vec<&str> = networks[0].layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["rnn.l0/W", "rnn.l0/R", "rnn.l1/W", "rnn.l1/R", "decoder"]);
    assert_eq!(networks[4].layers[0].kind, LayerKind::Gru);
    assert!(noted(&networks[3], "the weights of 'encoder' are taken"));
    // Put in another order, not kept twice: as many parameters as torch counts.
    let torch = |name| {
        let tensors = named(name).tensors;
        tensors
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum::<usize>() as u64
    };
    assert_eq!(networks[0].parameters(), torch("lstm"));
    assert_eq!(networks[1].parameters(), torch("lstm_both_ways"));
}

#[test]
fn small_networks_compute_what_torch_computes_and_say_what_was_taken() {
    let networks = assert_like_torch(&["mlp", "mlp_deep", "lenet", "small_mnist", "small_cifar", "small_normed"]);
    for network in &networks {
        assert!(noted(network, "a ReLU is taken"), "{:?}", network.notes);
    }
    assert!(noted(&networks[0], "1 x 28 x 28 pixels"));
    assert!(noted(
        &networks[2],
        "28 x 28 pixels, padding that keeps the size in the first convolution only"
    ));
    assert!(noted(&networks[3], "a max pool of 2 x 2 behind the last convolution"));
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
        "vit_timm",
        "bert_texts",
        "bert_masked",
        "lstm_both_ways",
        "gru",
        "lenet",
    ] {
        let fixture = named(name);
        let network = fixture.open(&fixture.tensors());
        let splittable = network
            .layers
            .iter()
            .all(|layer| layer.support.why_not_split().is_none());
        assert!(splittable, "{name}");
        let planned = plan(&network, &recipe, None, &progress).unwrap();
        let splits = planned.layers.iter().filter_map(|layer| layer.quantized());
        assert!(splits.map(|layer| layer.splits.len()).sum::<usize>() > 0, "{name}");
        let outputs = |model: ModelProto| {
            let network = Network::new(name, None, Format::Onnx, model).unwrap();
            fixture.run(&network)
        };
        let float = fixture.run(&network);
        let difference = relative_difference(&float, &outputs(split_only(&network, &planned).unwrap()));
        println!("{name}: {difference:.1e}");
        assert!(difference <= 1e-5, "{name}: {difference}");
        let quantized = outputs(rewrite(&network, &planned).unwrap());
        assert!(quantized.iter().all(|x| x.is_finite()) && quantized != float, "{name}");
    }
}

#[test]
fn matrices_of_transformers_are_read_where_they_lie() {
    let fixture = named("vit_timm");
    let network = fixture.open(&fixture.tensors());
    let tensors = &network.model.graph.as_ref().unwrap().initializer;
    // The file's tensors come first, in the order of the file, and what is made besides is small.
    let made: usize = tensors[fixture.tensors.len()..]
        .iter()
        .map(|tensor| tensor_bytes(tensor).unwrap().len())
        .sum();
    assert!(made < 1000, "{made}");
    let layer = &network.layers[1];
    assert_eq!(
        (layer.weight.as_str(), layer.shape.as_slice()),
        ("blocks.0.attn.qkv.weight", &[384, 128][..])
    );
    assert_eq!(layer.layout.in_channels(), 128);
}

#[test]
fn halves_are_read_as_floats() {
    for name in ["vit_timm", "lstm"] {
        let fixture = named(name);
        let half = |tensor: &TensorProto| {
            let shape: Vec<usize> = tensor.dims.iter().map(|&size| size as usize).collect();
            let numbers = values(tensor.name(), &shape, fixture.gain);
            let bytes: Vec<u8> = numbers.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
            raw_tensor(tensor.name(), data_type::FLOAT16, &shape, bytes)
        };
        let network = fixture.open(&fixture.tensors().iter().map(half).collect::<Vec<_>>());
        let difference = relative_difference(&fixture.outputs[0].1, &fixture.run(&network));
        println!("{name}: {difference:.1e}");
        // Halves have 11 bits; a graph with another function is off by 1.
        assert!(difference <= 2e-2, "{name}: {difference}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let why = |name: &str, change: &dyn Fn(&mut Vec<TensorProto>)| {
        let fixture = named(name);
        let mut tensors = fixture.tensors();
        change(&mut tensors);
        fixture.open(&tensors).why_not_runnable.unwrap()
    };
    let text = why("vit_timm", &|tensors| {
        tensors.push(float_tensor("blocks.1.gate", &[1], &[1.0]));
    });
    assert!(
        text.contains("nearest architecture is Vision transformer 2x128/8"),
        "{text}"
    );
    assert!(text.contains("'blocks.1.gate' is no part of it"), "{text}");
    let text = why("bert_texts", &|tensors| {
        tensors.retain(|tensor| !tensor.name().ends_with("layer.1.attention.self.key.weight"));
    });
    assert!(
        text.contains("'bert.encoder.layer.1.attention.self.key.weight' [any, 64] is missing"),
        "{text}"
    );
    let text = why("lstm", &|tensors| {
        let place = tensors
            .iter()
            .position(|tensor| tensor.name().ends_with("weight_hh_l1"))
            .unwrap();
        tensors[place] = float_tensor(tensors[place].name().to_owned(), &[40, 9], &[0.5; 360]);
    });
    assert!(
        text.contains("should have the shape [40, 10] and has [40, 9]"),
        "{text}"
    );
    let text = why("lenet", &|tensors| {
        let place = tensors.iter().position(|tensor| tensor.name() == "fc1.weight").unwrap();
        tensors[place] = float_tensor("fc1.weight", &[20, 401], &[0.5; 20 * 401]);
    });
    assert!(
        text.contains("'fc1.weight' has 401 columns") && text.contains("config.json"),
        "{text}"
    );
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
    let configs = [
        r#"{"num_attention_heads": 0, "layer_norm_eps": 0, "image_size": 1}"#,
        r#"{"num_attention_heads": 18446744073709551615, "hidden_act": "sine", "image_size": 8192}"#,
        r#"{"model_type": "t5", "relative_attention_max_distance": 18446744073709551615, "feed_forward_proj": "gated-"}"#,
        "{}",
    ];
    let names = [
        "vit_distilled",
        "vit_torchvision_old",
        "bert_masked",
        "roberta",
        "lstm_both_ways",
        "gru",
        "lenet",
        "mlp",
        "../hubs/t5_gated",
        "../hubs/t5_encoder",
    ];
    for round in 0..400 {
        let fixture = named(names[round % names.len()]);
        let mut initializer: Vec<TensorProto> = (fixture.tensors.iter())
            .map(|(name, shape)| TensorProto {
                data_type: Some(data_type::FLOAT),
                name: Some(name.clone()),
                dims: shape.iter().map(|&size| size as i64).collect(),
                ..TensorProto::default()
            })
            .collect();
        for _ in 0..1 + random(4) {
            let place = random(initializer.len());
            let dims = &mut initializer[place].dims;
            let axis = random(dims.len() + 1);
            match dims.get_mut(axis) {
                Some(size) => *size = SIZES[random(SIZES.len())],
                None => dims.push(SIZES[random(SIZES.len())]),
            }
        }
        let graph = GraphProto {
            initializer,
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        let config = Config::parse(configs[random(configs.len())]).unwrap();
        let _ = recognise(model, &config);
    }
}

#[test]
fn both_formats_of_the_text_demo_give_the_same_answers() {
    let weights = open("assets/shakespeare_lstm.safetensors");
    assert_eq!(weights.architecture.as_deref(), Some("LSTM language model 2x128"));
    assert_eq!(weights.notes, Vec::<String>::new());
    let graph = float_outputs(&open("demo:shakespeare"), Demo::Shakespeare, 2000);
    let outputs = float_outputs(&weights, Demo::Shakespeare, 2000);
    let difference = relative_difference(&graph.logits, &outputs.logits);
    println!("{difference:.1e}");
    assert!(difference <= 1e-5, "{difference}");
}

#[test]
#[ignore = "needs ../shared"]
fn both_formats_of_a_real_language_model_give_the_same_answers() {
    let run = |name: &str| {
        let path = shared(&format!("models/charrnn_shakespeare.{name}"));
        let network = format::open(&path).unwrap();
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        // Beside the model, for either format.
        let options = DataOptions::default().with_vocabulary_of(&path);
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/shakespeare_test.txt");
        let data = Dataset::open(text.to_str().unwrap(), &options, engine.inputs()).unwrap();
        let outputs = run_outputs(&engine, &data, 4000, &Progress::default()).unwrap();
        let metrics: Metrics = metrics(&outputs, &data);
        (network, outputs.logits, metrics.nats_per_token.unwrap())
    };
    let (_, graph, nats) = run("onnx");
    let (network, weights, same_nats) = run("safetensors");
    assert_eq!(network.architecture.as_deref(), Some("LSTM language model 2x128"));
    assert!(noted(&network, "ONNX's order i, o, f, c"), "{:?}", network.notes);
    let difference = relative_difference(&graph, &weights);
    println!("{difference:.1e}, {nats} and {same_nats} nats");
    assert!(difference <= 1e-5 && (nats - same_nats).abs() < 1e-6 && nats < 2.0);
}
