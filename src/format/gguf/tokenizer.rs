//! The tokenizer of a GGUF file as the `tokenizer.json` that Hugging Face's library reads.

use super::Metadata;
use super::error::GgufError;
use serde_json::{Value, json};

/// Types of tokens (`tokenizer.ggml.token_type`).
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// How Llama 3 cuts before merging. (GPT-2's way is the library's own.)
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// BLOOM's.
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
/// Qwen 2's: digits one by one.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The text of the `tokenizer.json`.
///
/// # Errors
/// A sentence about the kind of tokenizer that is not known, or what is missing.
pub(super) fn json(metadata: &Metadata) -> Result<String, GgufError> {
    let model = metadata
        .text("tokenizer.ggml.model")
        .ok_or(GgufError::Lacks("tokenizer"))?;
    match model {
        "gpt2" => byte_level(metadata),
        "llama" => sentence_pieces(metadata),
        other => Err(GgufError::Tokenizer(other.to_owned())),
    }
}

fn tokens(metadata: &Metadata) -> Result<&[String], GgufError> {
    metadata
        .texts("tokenizer.ggml.tokens")
        .filter(|tokens| !tokens.is_empty())
        .ok_or(GgufError::Lacks("'tokenizer.ggml.tokens'"))
}

/// Piece to id; of equal pieces the last counts, as in a map.
fn vocabulary(tokens: &[String]) -> Value {
    tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), json!(id)))
        .collect()
}

/// Tokens that are found whole before anything is cut.
fn added(metadata: &Metadata, tokens: &[String]) -> Value {
    let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap_or_default();
    let whole = kinds
        .iter()
        .zip(tokens)
        .enumerate()
        .filter(|(_, (kind, _))| [CONTROL, USER_DEFINED].contains(kind));
    let entry = |(id, (kind, token)): (usize, (&i64, &String))| {
        json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": *kind == CONTROL})
    };
    whole.map(entry).collect()
}

fn byte_level(metadata: &Metadata) -> Result<String, GgufError> {
    let tokens = tokens(metadata)?;
    let merges = metadata
        .texts("tokenizer.ggml.merges")
        .ok_or(GgufError::Lacks("'tokenizer.ggml.merges'"))?;
    let cut = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let digits = json!({"type": "Digits", "individual_digits": true});
    let bytes =
        |cuts: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": cuts});
    let name = metadata.text("tokenizer.ggml.pre").unwrap_or("default");
    let cuts = match name {
        "default" | "gpt-2" | "phi-2" | "olmo" | "mpt" | "jais" => vec![bytes(true)],
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => vec![digits, bytes(true)],
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "dbrx" | "smaug-bpe" => vec![cut(LLAMA3), bytes(false)],
        "bloom" => vec![cut(BLOOM), bytes(false)],
        "qwen2" | "deepseek-r1-qwen" | "megrez" => vec![cut(QWEN2), bytes(false)],
        other => {
            return Err(GgufError::Cuts(other.to_owned()));
        }
    };
    // Llama 3 takes a piece that is a token as it is.
    let ignore_merges = matches!(name, "llama3" | "llama-v3" | "llama-bpe" | "falcon3");
    Ok(json!({
        "version": "1.0",
        "added_tokens": added(metadata, tokens),
        "normalizer": if matches!(name, "qwen2" | "deepseek-r1-qwen") { json!({"type": "NFC"}) } else { Value::Null },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary(tokens), "merges": merges, "ignore_merges": ignore_merges,
                  "fuse_unk": false, "byte_fallback": false},
    })
    .to_string())
}

/// SentencePiece's BPE: the merges are those of pieces in the vocabulary, the likeliest first.
fn sentence_pieces(metadata: &Metadata) -> Result<String, GgufError> {
    const SPACE: &str = "\u{2581}";
    let tokens = tokens(metadata)?;
    let scores = metadata
        .floats("tokenizer.ggml.scores")
        .ok_or(GgufError::Lacks("'tokenizer.ggml.scores'"))?;
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let unknown = metadata
        .count("tokenizer.ggml.unknown_token_id")
        .and_then(|id| tokens.get(id));
    let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})];
    if prefix {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": SPACE}));
    }
    let strip = prefix.then(|| json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    let decoders = [
        Some(json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "})),
        Some(json!({"type": "ByteFallback"})),
        Some(json!({"type": "Fuse"})),
        strip,
    ];
    Ok(json!({
        "version": "1.0",
        "added_tokens": added(metadata, tokens),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "decoder": {"type": "Sequence", "decoders": decoders.into_iter().flatten().collect::<Vec<_>>()},
        "model": {"type": "BPE", "vocab": vocabulary(tokens), "merges": merges(tokens, scores), "unk_token": unknown,
                  "fuse_unk": true, "byte_fallback": true},
    })
    .to_string())
}

/// Every way to make a piece of two others, by the scores of the wholes, likeliest first; of one whole by the ids of its parts.
fn merges(tokens: &[String], scores: &[f64]) -> Vec<[String; 2]> {
    let ids: std::collections::HashMap<&str, usize> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.as_str(), id))
        .collect();
    let mut found = Vec::new();
    for (token, score) in tokens.iter().zip(scores) {
        let mut local: Vec<(usize, usize, &str, &str)> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| {
                let (left, right) = token.split_at(at);
                Some((*ids.get(left)?, *ids.get(right)?, left, right))
            })
            .collect();
        local.sort_unstable();
        found.extend(
            local
                .into_iter()
                .map(|(_, _, left, right)| (*score, [left.to_owned(), right.to_owned()])),
        );
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, merge)| merge).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Value as Entry;
    use super::*;

    fn texts(list: &[&str]) -> Entry {
        Entry::Texts(list.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn kinds_that_are_not_known_are_refused_by_name() {
        let of = |model: &str, pre: &str| {
            json(&Metadata::of([
                ("tokenizer.ggml.model", Entry::Text(model.to_owned())),
                ("tokenizer.ggml.pre", Entry::Text(pre.to_owned())),
                ("tokenizer.ggml.tokens", texts(&["a"])),
                ("tokenizer.ggml.merges", texts(&[])),
            ]))
        };
        assert!(of("rwkv", "").unwrap_err().to_string().contains("'rwkv'"));
        assert!(of("gpt2", "viking").unwrap_err().to_string().contains("'viking'"));
        assert!(of("gpt2", "smollm").unwrap().contains("individual_digits"));
        assert!(json(&Metadata::default()).is_err());
    }

    #[test]
    fn pieces_are_merged_by_the_score_of_the_whole() {
        let tokens = ["a", "b", "ab", "abb", "bb"].map(str::to_owned);
        let merged = merges(&tokens, &[0.0, 0.0, -2.0, -1.0, -3.0]);
        let pairs: Vec<(&str, &str)> = merged.iter().map(|[a, b]| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs, [("a", "bb"), ("ab", "b"), ("a", "b"), ("b", "b")]);
    }
}
