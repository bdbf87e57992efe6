//! GGUF's names of tensors as transformers' names.

use super::Metadata;
use crate::onnx::TensorProto;

/// How an architecture is called: in the file, in transformers, and whose names its tensors have there.
const KINDS: [(&str, &str, &Names); 13] = [
    ("llama", "llama", &LLAMA),
    ("mistral3", "mistral", &LLAMA),
    ("granite", "granite", &LLAMA),
    ("smollm3", "smollm3", &LLAMA),
    ("qwen2", "qwen2", &LLAMA),
    ("qwen3", "qwen3", &LLAMA),
    ("gemma", "gemma", &LLAMA),
    ("gemma2", "gemma2", &LLAMA),
    ("gemma3", "gemma3_text", &LLAMA),
    ("phi3", "phi3", &LLAMA),
    ("gpt2", "gpt2", &GPT2),
    ("gptneox", "gpt_neox", &GPT_NEOX),
    ("bloom", "bloom", &BLOOM),
];

/// Modules by GGUF's name and transformers'.
type Modules = &'static [(&'static str, &'static str)];

/// What the modules of networks of a kind are called.
struct Names {
    /// Modules outside of the blocks.
    outer: Modules,
    /// Where blocks are listed.
    blocks: &'static str,
    /// Modules of a block.
    inner: Modules,
}

static LLAMA: Names = Names {
    outer: &[
        ("token_embd", "model.embed_tokens"),
        ("output_norm", "model.norm"),
        ("output", "lm_head"),
    ],
    blocks: "model.layers",
    inner: &[
        ("attn_norm", "input_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_qkv", "self_attn.qkv_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"),
        ("ffn_norm", "post_attention_layernorm"),
        ("post_attention_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
        ("post_ffw_norm", "post_feedforward_layernorm"),
    ],
};

static GPT2: Names = Names {
    outer: &[
        ("token_embd", "transformer.wte"),
        ("position_embd", "transformer.wpe"),
        ("output_norm", "transformer.ln_f"),
        ("output", "lm_head"),
    ],
    blocks: "transformer.h",
    inner: &[
        ("attn_norm", "ln_1"),
        ("attn_qkv", "attn.c_attn"),
        ("attn_output", "attn.c_proj"),
        ("ffn_norm", "ln_2"),
        ("ffn_up", "mlp.c_fc"),
        ("ffn_down", "mlp.c_proj"),
    ],
};

static GPT_NEOX: Names = Names {
    outer: &[
        ("token_embd", "gpt_neox.embed_in"),
        ("output_norm", "gpt_neox.final_layer_norm"),
        ("output", "embed_out"),
    ],
    blocks: "gpt_neox.layers",
    inner: &[
        ("attn_norm", "input_layernorm"),
        ("attn_qkv", "attention.query_key_value"),
        ("attn_output", "attention.dense"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_up", "mlp.dense_h_to_4h"),
        ("ffn_down", "mlp.dense_4h_to_h"),
    ],
};

static BLOOM: Names = Names {
    outer: &[
        ("token_embd", "transformer.word_embeddings"),
        ("token_embd_norm", "transformer.word_embeddings_layernorm"),
        ("output_norm", "transformer.ln_f"),
        ("output", "lm_head"),
    ],
    blocks: "transformer.h",
    inner: &[
        ("attn_norm", "input_layernorm"),
        ("attn_qkv", "self_attention.query_key_value"),
        ("attn_output", "self_attention.dense"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_up", "mlp.dense_h_to_4h"),
        ("ffn_down", "mlp.dense_4h_to_h"),
    ],
};

fn kind(metadata: &Metadata) -> Option<(&'static str, &'static Names)> {
    let architecture = metadata.architecture()?;
    let found = KINDS.iter().find(|(name, ..)| *name == architecture);
    found.map(|(_, kind, names)| (*kind, *names))
}

/// transformers' `model_type` of the file, if its architecture is known.
pub(super) fn model_type(metadata: &Metadata) -> Option<&'static str> {
    kind(metadata).map(|(kind, _)| kind)
}

/// Gives `tensors` transformers' names; says whether the architecture is known. A tensor that is not keeps its name.
pub(super) fn rename(tensors: &mut [TensorProto], metadata: &Metadata) -> bool {
    let Some((kind, names)) = kind(metadata) else {
        return false;
    };
    for tensor in tensors {
        if let Some(name) = renamed(tensor.name(), kind, names) {
            tensor.name = Some(name);
        }
    }
    true
}

fn renamed(name: &str, kind: &str, names: &Names) -> Option<String> {
    let (module, part) = name.rsplit_once('.')?;
    let listed = |list: Modules, module: &str| {
        let found = list.iter().find(|(name, _)| *name == module);
        found.map(|(_, renamed)| *renamed)
    };
    let Some((number, inner)) = module.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return Some(format!("{}.{part}", listed(names.outer, module)?));
    };
    let inner = match (kind, inner) {
        ("gemma2" | "gemma3_text", "ffn_norm") => "pre_feedforward_layernorm",
        // Gate and up in one.
        ("phi3", "ffn_up") => "mlp.gate_up_proj",
        _ => listed(names.inner, inner)?,
    };
    Some(format!("{}.{number}.{inner}.{part}", names.blocks))
}

#[cfg(test)]
mod tests {
    use super::{KINDS, renamed};

    #[test]
    fn names_of_blocks_and_of_what_is_outside_are_those_of_transformers() {
        for (kind, name, expected) in [
            ("llama", "token_embd.weight", Some("model.embed_tokens.weight")),
            ("llama", "output.weight", Some("lm_head.weight")),
            (
                "qwen2",
                "blk.7.attn_q.bias",
                Some("model.layers.7.self_attn.q_proj.bias"),
            ),
            (
                "llama",
                "blk.0.ffn_norm.weight",
                Some("model.layers.0.post_attention_layernorm.weight"),
            ),
            (
                "gemma2",
                "blk.0.ffn_norm.weight",
                Some("model.layers.0.pre_feedforward_layernorm.weight"),
            ),
            (
                "phi3",
                "blk.3.ffn_up.weight",
                Some("model.layers.3.mlp.gate_up_proj.weight"),
            ),
            ("gpt2", "blk.1.attn_qkv.bias", Some("transformer.h.1.attn.c_attn.bias")),
            ("gpt_neox", "output.weight", Some("embed_out.weight")),
            ("llama", "rope_freqs.weight", None),
            ("llama", "blk.0.ffn_gate_exps.weight", None),
        ] {
            let (.., names) = KINDS.iter().find(|(_, known, _)| *known == kind).unwrap();
            assert_eq!(renamed(name, kind, names).as_deref(), expected, "{name}");
        }
    }
}
