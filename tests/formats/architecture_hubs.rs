//! State dicts as timm and transformers write them become graphs that compute what these packages compute with the same
//! weights (see `fixtures/architecture/make_hubs.py`).

use crate::common::relative_difference;
use crate::common::state_dict::Fixture;
use splitscope::network::{Blocks, Format, Network, reads_on, rotate};
use splitscope::onnx::TensorProto;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, plan, rewrite, split_only};
use std::path::{Path, PathBuf};

/// The fixtures of a folder by name, in alphabetical order.
fn fixtures(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(".json.gz")?.to_owned();
            Some((name, path))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn networks_of_the_hubs_compute_what_their_packages_compute() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    let found = fixtures(&folder);
    assert!(found.len() >= 40, "{}", found.len());
    for (name, path) in found {
        let network = Fixture::read(&path).assert_like_torch(&name);
        // Their config.json leaves nothing open but the heads of timm's vision transformers, and RoBERTa's padding.
        let open = |note: &&String| !note.contains("attention heads") && !note.contains("padding, where there is any");
        assert_eq!(network.notes.iter().find(open), None, "{name}");
    }
}

/// In the files of its hub transformers 5 keeps names that its modules no longer have: a state dict has the new ones.
#[test]
fn state_dicts_of_modules_with_new_names_are_the_same_networks() {
    let new_names = [
        ("attention.attention.query", "attention.q_proj"),
        ("attention.attention.key", "attention.k_proj"),
        ("attention.attention.value", "attention.v_proj"),
        ("attention.output.dense", "attention.o_proj"),
        ("intermediate.dense", "mlp.fc1"),
        ("output.dense", "mlp.fc2"),
        ("embed_out", "lm_head"),
    ];
    for name in [
        "vit_pictures",
        "vit_model",
        "deit_pictures",
        "dinov2_pictures",
        "dinov2_model",
        "gpt_neox",
    ] {
        let fixture = named(name);
        let mut renamed = 0;
        let mut tensors = fixture.tensors();
        for tensor in &mut tensors {
            let mut called = tensor.name().to_owned();
            for (old, new) in new_names {
                called = called.replace(old, new);
            }
            if !name.starts_with("dino") {
                called = called.replace("encoder.layer.", "layers.");
            }
            renamed += usize::from(called != tensor.name());
            tensor.name = Some(called);
        }
        assert!(renamed > 0, "{name}");
        let network = fixture.open(&tensors);
        assert_eq!(
            network.architecture.as_deref(),
            Some(fixture.architecture.as_str()),
            "{name}"
        );
        for ((output, expected), found) in fixture.outputs.iter().zip(fixture.answers(&network)) {
            let difference = relative_difference(expected, &found);
            assert!(difference < 1e-4, "{name} {output}: {difference}");
        }
    }
}

#[test]
#[ignore = "needs fixtures of whole networks, which `make_hubs.py --whole FOLDER` makes; their folder is WHOLE_NETWORKS"]
fn whole_networks_compute_what_their_packages_compute() {
    let folder = std::env::var("WHOLE_NETWORKS").unwrap();
    let mut wrong = Vec::new();
    for (name, path) in fixtures(Path::new(&folder)) {
        let fixture = Fixture::read(&path);
        let network = fixture.open(&fixture.tensors());
        let title = network.architecture.clone().unwrap_or_default();
        if let Some(why) = &network.why_not_runnable {
            println!("{name}: {why}");
            wrong.push(name);
            continue;
        }
        for ((output, expected), found) in fixture.outputs.iter().zip(fixture.answers(&network)) {
            let difference = relative_difference(expected, &found);
            println!("{name} ({title}) {output}: {difference:.1e} {:?}", network.notes);
            if difference > 1e-4 {
                wrong.push(name.clone());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The fixture called `name`.
fn named(name: &str) -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    Fixture::read(&folder.join(format!("{name}.json.gz")))
}

#[test]
fn encoder_and_decoder_are_listed_by_blocks_split_and_quantized() {
    let fixture = named("t5_gated");
    let network = fixture.open(&fixture.tensors());
    assert_eq!(
        network.graph_inputs(),
        ["input_ids", "attention_mask", "decoder_input_ids"]
    );
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    let found = Blocks::of(names.iter().copied());
    let blocks: Vec<&str> = found.blocks.iter().map(|block| block.name.as_str()).collect();
    let expected =
        [("encoder", 2), ("decoder", 3)].map(|(stack, count)| (0..count).map(move |n| format!("{stack}.block.{n}")));
    assert_eq!(blocks, expected.into_iter().flatten().collect::<Vec<_>>());
    let layers: Vec<usize> = found.blocks.iter().map(|block| block.layers.len()).collect();
    assert_eq!(layers, [7, 7, 11, 11, 11]);
    assert!(
        found.parts.contains(&"layer.1.EncDecAttention.q".to_owned()),
        "{:?}",
        found.parts
    );
    let outside: Vec<&str> = found.outside.iter().map(|layer| names[*layer]).collect();
    assert_eq!(outside, ["lm_head"]);
    assert!(
        !reads_on(&network.model),
        "its decoder looks at more than its own steps"
    );

    let recipe = Recipe {
        weight_bits: Bits::Grid(6),
        expand_ratio: 0.05,
        ..Recipe::default()
    };
    let planned = plan(&network, &recipe, None, &Progress::default()).unwrap();
    let splits = planned.layers.iter().filter_map(|layer| layer.quantized());
    assert_eq!(splits.filter(|layer| !layer.splits.is_empty()).count(), names.len());
    let run = |model| fixture.run(&Network::new("t5", None, Format::Onnx, model).unwrap());
    let float = fixture.run(&network);
    let difference = relative_difference(&float, &run(split_only(&network, &planned).unwrap()));
    println!("{difference:.1e}");
    assert!(difference <= 1e-5, "{difference}");
    let quantized = run(rewrite(&network, &planned).unwrap());
    assert!(quantized.iter().all(|x| x.is_finite()) && quantized != float);
    // The streams of both stacks, which begin with the same embedding.
    let rotation = rotate(&network).unwrap();
    assert_eq!((rotation.streams.len(), rotation.skipped.len()), (2, 0));
    let difference = relative_difference(&float, &fixture.run(&rotation.network));
    println!("rotated: {difference:.1e}");
    assert!(difference > 0.0 && difference <= 2e-5, "{difference}");
}

#[test]
fn a_bare_state_dict_of_an_encoder_decoder_is_opened_as_is_usual_and_says_so() {
    for (name, activation) in [("t5", "ReLU"), ("t5_gated", "GELU")] {
        let fixture = Fixture {
            config: None,
            ..named(name)
        };
        let network = fixture.assert_like_torch(name);
        let [note] = &network.notes[..] else {
            panic!("{:?}", network.notes)
        };
        assert!(note.contains("no config.json") && note.contains(activation), "{note}");
    }
}

#[test]
fn what_is_no_network_of_t5s_kind_is_named() {
    let why = |key: &str, value: serde_json::Value, change: &dyn Fn(&mut Vec<TensorProto>)| {
        let mut fixture = named("t5");
        fixture.config.as_mut().unwrap()[key] = value;
        let mut tensors = fixture.tensors();
        change(&mut tensors);
        fixture.open(&tensors).why_not_runnable.unwrap()
    };
    let text = why("model_type", "longt5".into(), &|_| ());
    assert!(
        text.contains("'shared.weight' is of model_type 'longt5', which is not known"),
        "{text}"
    );
    let text = why("feed_forward_proj", "gated-sine".into(), &|_| ());
    assert!(text.contains("is 'sine', a function that is not known"), "{text}");
    for farthest in [8_u64, 1 << 40] {
        let text = why("relative_attention_max_distance", farthest.into(), &|_| ());
        assert!(
            text.contains(&format!("has 32 buckets for distances up to {farthest}")),
            "{text}"
        );
    }
    let text = why("layer_norm_epsilon", 1e-6.into(), &|tensors| {
        tensors.retain(|tensor| {
            !tensor
                .name()
                .ends_with("decoder.block.1.layer.1.EncDecAttention.k.weight")
        });
    });
    assert!(
        text.contains("nearest architecture is T5 2x32")
            && text.contains("'decoder.block.1.layer.1.EncDecAttention.k.weight' [any, 32] is missing"),
        "{text}"
    );
}

#[test]
fn a_hubs_folder_of_gigabytes_is_opened_without_reading_its_weights() {
    const WIDTH: usize = 4096;
    const LAYERS: usize = 32;
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    put(
        "config.json",
        r#"{"model_type": "mistral", "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 1e6}"#
            .to_owned(),
    );
    let mut shards = [Vec::new(), Vec::new()];
    shards[0].push(("model.embed_tokens.weight".to_owned(), vec![32_000, WIDTH]));
    for layer in 0..LAYERS {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let shard = &mut shards[layer * 2 / LAYERS];
        for (part, rows, columns) in [
            ("self_attn.q_proj", WIDTH, WIDTH),
            ("self_attn.k_proj", WIDTH / 4, WIDTH),
            ("self_attn.v_proj", WIDTH / 4, WIDTH),
            ("self_attn.o_proj", WIDTH, WIDTH),
            ("mlp.gate_proj", 8192, WIDTH),
            ("mlp.up_proj", 8192, WIDTH),
            ("mlp.down_proj", WIDTH, 8192),
        ] {
            shard.push((name(part), vec![rows, columns]));
        }
        shard.push((name("input_layernorm"), vec![WIDTH]));
        shard.push((name("post_attention_layernorm"), vec![WIDTH]));
    }
    shards[1].push(("model.norm.weight".to_owned(), vec![WIDTH]));
    shards[1].push(("lm_head.weight".to_owned(), vec![32_000, WIDTH]));
    let mut map = serde_json::Map::new();
    let mut bytes = 0_u64;
    for (number, tensors) in shards.iter().enumerate() {
        let file = format!("model-0000{}-of-00002.safetensors", number + 1);
        let mut header = serde_json::Map::new();
        let mut at = 0_u64;
        for (name, shape) in tensors {
            let end = at + 2 * shape.iter().product::<usize>() as u64;
            header.insert(
                name.clone(),
                serde_json::json!({"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}),
            );
            map.insert(name.clone(), file.clone().into());
            at = end;
        }
        let header = serde_json::Value::Object(header).to_string();
        let mut start = (header.len() as u64).to_le_bytes().to_vec();
        start.extend(header.as_bytes());
        let path = folder.path().join(&file);
        std::fs::write(&path, &start).unwrap();
        // Nothing is on the disk behind the header: whoever reads it all would read zeros for a long time.
        let written = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        written.set_len(start.len() as u64 + at).unwrap();
        bytes += at;
    }
    put(
        "model.safetensors.index.json",
        serde_json::json!({"weight_map": map}).to_string(),
    );
    assert!(bytes > 8 << 30, "{bytes}");
    let network = splitscope::format::open(folder.path()).unwrap();
    assert_eq!(network.architecture.as_deref(), Some("Mistral decoder 32x4096"));
    // The projections, the table of words and the head.
    assert_eq!(network.layers.len(), 7 * LAYERS + 2);
    // Beside the file's there are the few numbers that the graph brings: rotary frequencies and the like.
    let brought = network.parameters() - bytes / 2;
    assert!(brought < 1000, "{brought}");
}
