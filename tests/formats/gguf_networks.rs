//! GGUF files are the networks that the hub's folders hold: the weights of the fixtures of `architecture_hubs`, put into such files as
//! llama.cpp's converter does, compute what transformers computes.

use crate::common::formula::values;
use crate::common::relative_difference;
use crate::common::state_dict::Fixture;
use serde_json::Value;
use splitscope::network::Network;
use std::path::Path;

/// What a GGUF file says of its network.
enum Entry {
    Text(&'static str),
    Count(u64),
    Number(f64),
    Flag(bool),
}

/// A tensor: name, sizes from the slowest axis on, numbers.
type Named = (String, Vec<usize>, Vec<f32>);

/// The bytes of a file.
fn gguf(entries: &[(String, Entry)], tensors: &[Named]) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((entries.len() as u64).to_le_bytes());
    for (key, entry) in entries {
        text(&mut out, key);
        match entry {
            Entry::Text(value) => {
                out.extend(8_u32.to_le_bytes());
                text(&mut out, value);
            }
            Entry::Count(value) => {
                out.extend(4_u32.to_le_bytes());
                out.extend((*value as u32).to_le_bytes());
            }
            Entry::Number(value) => {
                out.extend(6_u32.to_le_bytes());
                out.extend((*value as f32).to_le_bytes());
            }
            Entry::Flag(value) => {
                out.extend(7_u32.to_le_bytes());
                out.push(u8::from(*value));
            }
        }
    }
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        text(&mut out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        let fastest_first = shape.iter().rev();
        out.extend(fastest_first.flat_map(|size| (*size as u64).to_le_bytes()));
        out.extend(0_u32.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

fn fixture(name: &str) -> Fixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    Fixture::read(&folder.join(format!("{name}.json.gz")))
}

/// How a converter names modules: transformers' pieces of names, and GGUF's.
type Renamed<'a> = &'a [(&'a str, &'a str)];

const OF_LLAMA: Renamed<'static> = &[
    ("model.layers.", "blk."),
    ("lm_head", "output"),
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.", "attn_"),
    ("mlp.", "ffn_"),
    ("_proj", ""),
];
const OF_GPT2: Renamed<'static> = &[
    ("transformer.h.", "blk."),
    ("transformer.wte", "token_embd"),
    ("transformer.wpe", "position_embd"),
    ("transformer.ln_f", "output_norm"),
    ("lm_head", "output"),
    ("ln_1", "attn_norm"),
    ("ln_2", "ffn_norm"),
    ("attn.c_attn", "attn_qkv"),
    ("attn.c_proj", "attn_output"),
    ("mlp.c_fc", "ffn_up"),
    ("mlp.c_proj", "ffn_down"),
];
/// GPT-NeoX and BLOOM.
const OF_FUSED: Renamed<'static> = &[
    ("gpt_neox.layers.", "blk."),
    ("transformer.h.", "blk."),
    ("gpt_neox.embed_in", "token_embd"),
    ("transformer.word_embeddings_layernorm", "token_embd_norm"),
    ("transformer.word_embeddings", "token_embd"),
    ("gpt_neox.final_layer_norm", "output_norm"),
    ("transformer.ln_f", "output_norm"),
    ("embed_out", "output"),
    ("lm_head", "output"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attention.query_key_value", "attn_qkv"),
    ("attention.query_key_value", "attn_qkv"),
    ("self_attention.dense", "attn_output"),
    ("attention.dense", "attn_output"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
];

/// The tensors of a fixture under GGUF's names; `change` makes of each one's sizes and numbers what the converter does.
fn converted(
    fixture: &Fixture,
    names: Renamed<'_>,
    change: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>),
) -> Vec<Named> {
    let of = |(name, shape): &(String, Vec<usize>)| {
        let renamed = names
            .iter()
            .fold(name.clone(), |name, (from, to)| name.replace(from, to));
        let (mut shape, mut numbers) = (shape.clone(), values(name, shape, fixture.gain));
        change(name, &mut shape, &mut numbers);
        (renamed, shape, numbers)
    };
    fixture.tensors.iter().map(of).collect()
}

/// Rows of queries and keys with the two of each pair side by side.
fn interleaved(fixture: &Fixture) -> Vec<Named> {
    let config = fixture.config.as_ref().unwrap();
    let count = |key: &str| config[key].as_u64().unwrap() as usize;
    converted(fixture, OF_LLAMA, |name, shape, numbers| {
        let heads = match name {
            name if name.contains("q_proj") => count("num_attention_heads"),
            name if name.contains("k_proj") => count("num_key_value_heads"),
            _ => return,
        };
        let (head, width) = (shape[0] / heads, shape[1]);
        let rows: Vec<&[f32]> = numbers.chunks(width).collect();
        let mut moved = Vec::new();
        for of_head in rows.chunks(head) {
            for pair in 0..head / 2 {
                moved.extend_from_slice(of_head[pair]);
                moved.extend_from_slice(of_head[head / 2 + pair]);
            }
        }
        *numbers = moved;
    })
}

/// Matrices turned round, as GPT-2's are.
fn turned_round(fixture: &Fixture) -> Vec<Named> {
    converted(fixture, OF_GPT2, |name, shape, numbers| {
        if let ([rows, columns], true) = (&shape[..], name.contains(".c_")) {
            let (rows, columns) = (*rows, *columns);
            *numbers = (0..columns)
                .flat_map(|column| (0..rows).map(move |row| (row, column)))
                .map(|(row, column)| numbers[row * columns + column])
                .collect();
            *shape = vec![columns, rows];
        }
    })
}

/// The queries of all heads before their keys and these before their values.
fn by_part(fixture: &Fixture, heads: usize) -> Vec<Named> {
    converted(fixture, OF_FUSED, |name, shape, numbers| {
        if !name.contains("query_key_value") {
            return;
        }
        let width = numbers.len() / shape[0];
        let head = shape[0] / heads / 3;
        let rows: Vec<&[f32]> = numbers.chunks(width).collect();
        let parts = (0..3).flat_map(|part| (0..heads).map(move |of| (of * 3 + part) * head));
        *numbers = parts.flat_map(|first| rows[first..first + head].concat()).collect();
    })
}

/// What the file of `architecture` says: the counts and numbers of config.json by GGUF's name and transformers', and `more`.
fn told(
    architecture: &'static str,
    config: &Value,
    known: &[(&str, &str)],
    more: Vec<(&str, Entry)>,
) -> Vec<(String, Entry)> {
    let of_config = known.iter().map(|(name, key)| {
        let entry = match config[*key].as_u64() {
            Some(count) if config[*key].is_u64() => Entry::Count(count),
            _ => Entry::Number(config[*key].as_f64().unwrap()),
        };
        (format!("{architecture}.{name}"), entry)
    });
    let more = more
        .into_iter()
        .map(|(name, entry)| (format!("{architecture}.{name}"), entry));
    let architecture = ("general.architecture".to_owned(), Entry::Text(architecture));
    std::iter::once(architecture).chain(of_config).chain(more).collect()
}

const COUNTS_OF_LLAMA: [(&str, &str); 5] = [
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
];

fn base(config: &Value) -> (&'static str, Entry) {
    (
        "rope.freq_base",
        Entry::Number(config["rope_parameters"]["rope_theta"].as_f64().unwrap()),
    )
}

/// Opens the file alone in a folder, as what the folder holds.
fn opened(bytes: &[u8]) -> Network {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("network.gguf"), bytes).unwrap();
    splitscope::format::open(folder.path()).unwrap()
}

fn assert_like_torch(name: &str, fixture: &Fixture, bytes: &[u8]) -> Network {
    let network = opened(bytes);
    assert_eq!(
        network.architecture.as_deref(),
        Some(fixture.architecture.as_str()),
        "{name}"
    );
    let difference = relative_difference(&fixture.outputs[0].1, &fixture.run(&network));
    assert!(difference <= 1e-4, "{name}: {difference}");
    let names = |network: &Network| {
        let mut names: Vec<String> = network.layers.iter().map(|layer| layer.weight.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&network), names(&fixture.open(&fixture.tensors())), "{name}");
    network
}

#[test]
fn networks_of_llamas_kind_have_their_pairs_put_back() {
    let llama = fixture("llama");
    let config = llama.config.as_ref().unwrap();
    let entries = told("llama", config, &COUNTS_OF_LLAMA, vec![base(config)]);
    assert_like_torch("llama", &llama, &gguf(&entries, &interleaved(&llama)));

    let granite = fixture("granite");
    let config = granite.config.as_ref().unwrap();
    let scales = [
        ("attention.scale", "attention_multiplier"),
        ("embedding_scale", "embedding_multiplier"),
        ("residual_scale", "residual_multiplier"),
        ("logit_scale", "logits_scaling"),
    ];
    let known = [&COUNTS_OF_LLAMA[..], &scales].concat();
    let entries = told("granite", config, &known, vec![base(config)]);
    assert_like_torch("granite", &granite, &gguf(&entries, &interleaved(&granite)));
}

/// llama.cpp leaves every fourth layer without rotary embedding, whatever the fixture does.
#[test]
fn every_fourth_layer_of_smollm3_turns_nothing() {
    let mut smollm3 = fixture("smollm3");
    let config = smollm3.config.as_mut().unwrap();
    config["no_rope_layers"] = serde_json::json!([1, 1, 1, 0]);
    let config = smollm3.config.as_ref().unwrap();
    let entries = told("smollm3", config, &COUNTS_OF_LLAMA, vec![base(config)]);
    let of_hub = smollm3.run(&smollm3.open(&smollm3.tensors()));
    assert!(relative_difference(&smollm3.outputs[0].1, &of_hub) > 1e-3);
    let network = opened(&gguf(&entries, &interleaved(&smollm3)));
    let difference = relative_difference(&of_hub, &smollm3.run(&network));
    assert!(difference <= 1e-5, "{difference}");
}

#[test]
fn gpt2s_matrices_are_read_the_way_they_lie() {
    let gpt2 = fixture("gpt2");
    let known = [
        ("attention.head_count", "n_head"),
        ("embedding_length", "n_embd"),
        ("block_count", "n_layer"),
        ("context_length", "n_positions"),
        ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ];
    let entries = told("gpt2", gpt2.config.as_ref().unwrap(), &known, vec![]);
    let tensors = turned_round(&gpt2);
    let network = assert_like_torch("gpt2", &gpt2, &gguf(&entries, &tensors));
    let layer = network.layer_index("transformer.h.0.attn.c_attn").unwrap();
    assert_eq!(network.layers[layer].shape, [144, 48]);
}

#[test]
fn queries_keys_and_values_in_one_matrix_come_back_to_their_heads() {
    for name in ["gpt_neox", "gpt_neox_in_turn"] {
        let neox = fixture(name);
        let config = neox.config.as_ref().unwrap();
        let known = [
            ("attention.head_count", "num_attention_heads"),
            ("embedding_length", "hidden_size"),
            ("block_count", "num_hidden_layers"),
            ("attention.layer_norm_epsilon", "layer_norm_eps"),
        ];
        let head = config["hidden_size"].as_f64().unwrap() / config["num_attention_heads"].as_f64().unwrap();
        let share = config["rope_parameters"]["partial_rotary_factor"].as_f64().unwrap();
        let more = vec![
            ("rope.dimension_count", Entry::Count((share * head) as u64)),
            (
                "use_parallel_residual",
                Entry::Flag(config["use_parallel_residual"] == true),
            ),
        ];
        let entries = told("gptneox", config, &known, more);
        assert_like_torch(name, &neox, &gguf(&entries, &by_part(&neox, 4)));
    }
    let bloom = fixture("bloom");
    let known = [
        ("attention.head_count", "n_head"),
        ("embedding_length", "hidden_size"),
        ("block_count", "n_layer"),
        ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ];
    let entries = told("bloom", bloom.config.as_ref().unwrap(), &known, vec![]);
    assert_like_torch("bloom", &bloom, &gguf(&entries, &by_part(&bloom, 4)));
}
