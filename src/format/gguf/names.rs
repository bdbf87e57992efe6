//! GGUF's names of tensors as transformers' names, for the decoders of Llama's kind.

use super::Metadata;
use crate::onnx::TensorProto;

/// Architectures whose networks are decoders of Llama's kind, and transformers' `model_type`.
const KINDS: [(&str, &str); 8] = [
    ("llama", "llama"),
    ("mistral3", "mistral"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("gemma", "gemma"),
    ("gemma2", "gemma2"),
    ("gemma3", "gemma3_text"),
    ("phi3", "phi3"),
];

/// Modules outside of the blocks.
const OUTER: [(&str, &str); 3] = [
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
];

/// Modules of a block.
const INNER: [(&str, &str); 12] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// transformers' `model_type` of the file, if it is a decoder of Llama's kind.
pub(super) fn model_type(metadata: &Metadata) -> Option<&'static str> {
    let architecture = metadata.architecture()?;
    let found = KINDS.iter().find(|(name, _)| *name == architecture);
    found.map(|(_, kind)| *kind)
}

/// Gives `tensors` transformers' names; says whether the architecture is known. A tensor that is not keeps its name.
pub(super) fn rename(tensors: &mut [TensorProto], metadata: &Metadata) -> bool {
    let Some(kind) = model_type(metadata) else {
        return false;
    };
    for tensor in tensors {
        if let Some(name) = renamed(tensor.name(), kind) {
            tensor.name = Some(name);
        }
    }
    true
}

fn renamed(name: &str, kind: &str) -> Option<String> {
    let (module, part) = name.rsplit_once('.')?;
    let listed = |list: &[(&str, &'static str)], module: &str| {
        let found = list.iter().find(|(name, _)| *name == module);
        found.map(|(_, renamed)| *renamed)
    };
    let Some((number, inner)) = module.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return Some(format!("{}.{part}", listed(&OUTER, module)?));
    };
    let sandwich = matches!(kind, "gemma2" | "gemma3_text");
    let inner = match inner {
        "ffn_norm" if sandwich => "pre_feedforward_layernorm",
        "ffn_norm" | "post_attention_norm" => "post_attention_layernorm",
        // Gate and up in one.
        "ffn_up" if kind == "phi3" => "mlp.gate_up_proj",
        inner => listed(&INNER, inner)?,
    };
    Some(format!("model.layers.{number}.{inner}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::renamed;

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
            ("llama", "rope_freqs.weight", None),
            ("llama", "blk.0.ffn_gate_exps.weight", None),
        ] {
            assert_eq!(renamed(name, kind).as_deref(), expected, "{name}");
        }
    }
}
