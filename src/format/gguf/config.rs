//! The metadata of a GGUF file as the `config.json` that transformers would have for the network.

use super::{Metadata, names};
use serde_json::{Map, Value, json};

/// Settings by the end of their name in the file, and transformers' name.
const COUNTS: [(&str, &str); 8] = [
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.sliding_window", "sliding_window"),
    ("context_length", "max_position_embeddings"),
];
const NUMBERS: [(&str, &str); 10] = [
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ("attention.layer_norm_epsilon", "layer_norm_eps"),
    ("attention.scale", "attention_multiplier"),
    ("embedding_scale", "embedding_multiplier"),
    ("residual_scale", "residual_multiplier"),
    ("logit_scale", "logits_scaling"),
    ("rope.freq_base", "rope_theta"),
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("final_logit_softcapping", "final_logit_softcapping"),
];

/// Layers that a list is made for at most, whatever the file says.
const MAX_LAYERS: usize = 10_000;

/// Gemma 2's, which llama.cpp keeps in its code: one of the 27B network, the size of a head for the others.
const GEMMA2_LARGE_LAYERS: usize = 46;

/// The configuration; null for an architecture that is not known.
pub(super) fn config(metadata: &Metadata) -> Value {
    let (Some(architecture), Some(kind)) = (metadata.architecture(), names::model_type(metadata)) else {
        return Value::Null;
    };
    let name = |setting: &str| format!("{architecture}.{setting}");
    let mut config = Map::new();
    config.insert("model_type".to_owned(), json!(kind));
    for (setting, key) in COUNTS {
        if let Some(count) = metadata.count(&name(setting)) {
            config.insert(key.to_owned(), json!(count));
        }
    }
    for (setting, key) in NUMBERS {
        if let Some(number) = metadata.number(&name(setting)) {
            config.insert(key.to_owned(), json!(number));
        }
    }
    let head = metadata.count(&name("attention.key_length")).or_else(|| {
        let heads = metadata.count(&name("attention.head_count"))?;
        metadata.count(&name("embedding_length"))?.checked_div(heads)
    });
    let turned = metadata.count(&name("rope.dimension_count"));
    if let (Some(head), Some(turned)) = (head, turned)
        && turned < head
    {
        config.insert("partial_rotary_factor".to_owned(), json!(turned as f64 / head as f64));
    }
    if let Some(scaling) = rope_scaling(metadata, &name) {
        config.insert("rope_scaling".to_owned(), scaling);
    }
    match kind {
        // Every fourth layer does not turn queries and keys, which llama.cpp keeps in its code.
        "smollm3" => {
            let layers = metadata.count(&name("block_count")).unwrap_or(0).min(MAX_LAYERS);
            let turned: Vec<u8> = (1..=layers).map(|layer| u8::from(layer % 4 != 0)).collect();
            config.insert("no_rope_layers".to_owned(), json!(turned));
        }
        // The converter has turned the matrices round.
        "gpt2" => {
            config.insert("matrices_by_output".to_owned(), json!(true));
        }
        "gpt_neox" => {
            if let (Some(head), Some(turned)) = (head.filter(|head| *head > 0), turned) {
                config.insert("rotary_pct".to_owned(), json!(turned as f64 / head as f64));
            }
            let parallel = metadata.flag(&name("use_parallel_residual")).unwrap_or(true);
            config.insert("use_parallel_residual".to_owned(), json!(parallel));
        }
        // Its windows are written but never used.
        "llama" => {
            config.remove("sliding_window");
        }
        "gemma2" => {
            let layers = metadata.count(&name("block_count"));
            let scalar = match (layers, head, metadata.count(&name("embedding_length"))) {
                (Some(GEMMA2_LARGE_LAYERS), _, Some(width)) => metadata
                    .count(&name("attention.head_count"))
                    .and_then(|heads| width.checked_div(heads)),
                (_, head, _) => head,
            };
            config.insert("query_pre_attn_scalar".to_owned(), json!(scalar));
        }
        "gemma3_text" => {
            config.insert("query_pre_attn_scalar".to_owned(), json!(head));
            config.insert("rope_local_base_freq".to_owned(), json!(10_000.0));
        }
        _ => {}
    }
    if kind.starts_with("gemma") {
        // The converter has added the 1 to the weights of the norms.
        config.insert("norm_plus_one".to_owned(), json!(false));
    }
    Value::Object(config)
}

fn rope_scaling(metadata: &Metadata, name: &impl Fn(&str) -> String) -> Option<Value> {
    let kind = metadata
        .text(&name("rope.scaling.type"))
        .filter(|kind| *kind != "none")?;
    Some(json!({
        "rope_type": kind,
        "factor": metadata.number(&name("rope.scaling.factor")),
        "original_max_position_embeddings": metadata.number(&name("rope.scaling.original_context_length")),
        "attention_factor": metadata.number(&name("rope.scaling.attn_factor")),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::Value as Entry;
    use super::*;

    #[test]
    fn settings_have_the_names_of_transformers() {
        let metadata = Metadata::of([
            ("general.architecture", Entry::Text("qwen3".to_owned())),
            ("qwen3.attention.head_count", Entry::Integer(16)),
            ("qwen3.attention.key_length", Entry::Integer(128)),
            ("qwen3.rope.dimension_count", Entry::Integer(64)),
            ("qwen3.rope.freq_base", Entry::Float(1e6)),
            ("qwen3.rope.scaling.type", Entry::Text("linear".to_owned())),
            ("qwen3.rope.scaling.factor", Entry::Float(4.0)),
        ]);
        let config = config(&metadata);
        assert_eq!(config["model_type"], "qwen3");
        assert_eq!(
            (config["num_attention_heads"].as_u64(), config["head_dim"].as_u64()),
            (Some(16), Some(128))
        );
        assert_eq!(config["partial_rotary_factor"], 0.5);
        assert_eq!(config["rope_scaling"]["factor"], 4.0);
        assert_eq!(super::config(&Metadata::default()), Value::Null);
    }
}
