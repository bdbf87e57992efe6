//! What tells decoders of Llama's kind apart, from config.json.

use super::rotary::Frequencies;
use crate::format::architecture::attention::Grouped;
use crate::format::architecture::misfit::Fault;
use crate::format::architecture::net::Net;
use crate::format::architecture::transformer::{Between, Sequence};
use crate::onnx::build::scalar_f32;
use serde_json::Value;

/// The kinds of `model_type` whose networks are these, and what they are called. Others may have the same names and compute
/// something else.
const KINDS: [(&str, &str); 11] = [
    ("llama", "Llama"),
    ("mistral", "Mistral"),
    ("qwen2", "Qwen2"),
    ("qwen3", "Qwen3"),
    ("smollm3", "SmolLM3"),
    ("gemma", "Gemma"),
    ("gemma2", "Gemma 2"),
    ("gemma3_text", "Gemma 3"),
    ("phi3", "Phi-3"),
    ("granite", "Granite"),
    ("ministral", "Ministral"),
];

/// Rows that a sliding window is not believed beyond: then it is none.
const MAX_WINDOW: usize = 1 << 30;
/// Layers of Gemma 3 from one of full attention to the next.
const GEMMA3_PATTERN: usize = 6;
const EPSILON: f32 = 1e-6;

/// See the module.
pub(super) struct Style {
    /// What the network is called.
    pub(super) title: String,
    pub(super) attention: Grouped,
    epsilon: f32,
    /// Norms multiply by 1 + weight (Gemma).
    plus_one: bool,
    pub(super) between: Between,
    /// Norms also behind attention and matrices (Gemma 2 and 3).
    pub(super) sandwich: bool,
    /// Factor of the embedding (Gemma, Granite).
    pub(super) embedding_factor: Option<f32>,
    /// Factor of what each part adds (Granite).
    pub(super) residual_factor: Option<f32>,
    /// Divisor of the logits (Granite).
    pub(super) logit_divisor: Option<f32>,
    /// Logits are bent to stay below this (Gemma 2).
    pub(super) logit_cap: Option<f32>,
    /// Frequencies of layers with full attention.
    pub(super) frequencies: Frequencies,
    /// Those of layers with a window, where they are others (Gemma 3).
    pub(super) window_frequencies: Option<Frequencies>,
    /// The window of each layer, in steps.
    windows: Vec<Option<usize>>,
    /// Whether each layer turns queries and keys.
    turned: Vec<bool>,
}

impl Style {
    /// Of a network `width` channels wide whose blocks are called `blocks`.N.
    pub(super) fn of(net: &mut Net<'_>, width: usize, blocks: &str) -> Self {
        let layers = net.dict.count(blocks);
        let query = format!("{blocks}.0.self_attn.q_proj.weight");
        let blamed = if net.dict.has(&query) {
            query
        } else {
            format!("{blocks}.0.self_attn.qkv_proj.weight")
        };
        let kind = net.config.text("model_type").unwrap_or_default().to_owned();
        let title = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, title)| *title);
        let gemma = kind.starts_with("gemma");
        let windows = windows(net, &kind, layers);
        let attention = heads(net, width, &blamed);
        let title = title.unwrap_or_else(|| {
            let reason = match kind.as_str() {
                "" => "looks like a decoder of Llama's kind; its config.json must lie beside it, which tells heads and frequencies"
                    .to_owned(),
                kind => format!("is of model_type '{kind}', which is not known"),
            };
            net.fail(&blamed, Fault::Other(reason));
            "Llama"
        });
        let turned_channels = net
            .config
            .number("partial_rotary_factor")
            .map_or(attention.head, |share| {
                let channels = (attention.head as f32 * share.clamp(0.0, 1.0)) as usize;
                channels / 2 * 2
            });
        let mut frequencies =
            |kind_of_layer: &str| match Frequencies::of(net.config, turned_channels, Some(kind_of_layer)) {
                Ok(frequencies) => frequencies,
                Err(reason) => {
                    net.fail("rope_scaling", Fault::Other(reason.to_string()));
                    Frequencies {
                        values: vec![1.0; turned_channels / 2],
                        factor: 1.0,
                    }
                }
            };
        let mut full = frequencies("full_attention");
        let window_frequencies = (kind == "gemma3_text").then(|| match net.config.number("rope_local_base_freq") {
            // Rows of a window have a base of their own, and no scaling.
            Some(base) => Frequencies::plain(f64::from(base), turned_channels),
            None => {
                Frequencies::of(net.config, turned_channels, Some("sliding_attention")).unwrap_or_else(|_| full.clone())
            }
        });
        if let Some(divisors) = net.take_numbers("rope_freqs.weight", turned_channels / 2) {
            for (frequency, divisor) in full.values.iter_mut().zip(divisors) {
                *frequency /= divisor;
            }
        }
        let flag = |key: &str| net.config.value(key).and_then(Value::as_bool);
        Self {
            title: format!("{title} decoder"),
            attention,
            epsilon: net.config.number("rms_norm_eps").unwrap_or(EPSILON),
            plus_one: gemma && flag("norm_plus_one") != Some(false),
            sandwich: matches!(kind.as_str(), "gemma2" | "gemma3_text"),
            embedding_factor: match kind.as_str() {
                "granite" => net.config.number("embedding_multiplier"),
                _ => gemma.then(|| (width as f32).sqrt()),
            },
            residual_factor: net.config.number("residual_multiplier").filter(|_| kind == "granite"),
            logit_divisor: net.config.number("logits_scaling").filter(|_| kind == "granite"),
            logit_cap: net.config.number("final_logit_softcapping").filter(|cap| *cap > 0.0),
            frequencies: full,
            window_frequencies,
            windows,
            turned: turned(net, layers),
            between: between(net, gemma),
        }
    }

    /// The window of layer `number`.
    pub(super) fn window(&self, number: usize) -> Option<usize> {
        self.windows.get(number).copied().flatten()
    }

    /// Whether layer `number` turns queries and keys.
    pub(super) fn is_turned(&self, number: usize) -> bool {
        self.turned.get(number).copied().unwrap_or(true)
    }

    /// RMS norm over the last axis, `width` numbers.
    pub(super) fn norm_value(&self, net: &mut Net<'_>, value: &str, width: usize, module: &str) -> String {
        let mut weight = net.parameter(&format!("{module}.weight"), &[Some(width)]).value;
        if self.plus_one {
            let one = net.constant(scalar_f32(format!("{module}.one"), 1.0));
            weight = net.node("Add", &format!("{module}.plus_one"), [weight, one], vec![]);
        }
        net.rms_norm(value, weight, module, self.epsilon)
    }

    /// [`Style::norm_value`] of a sequence.
    pub(super) fn norm(&self, net: &mut Net<'_>, x: &Sequence, module: &str) -> Sequence {
        Sequence {
            value: self.norm_value(net, &x.value, x.width, module),
            width: x.width,
        }
    }
}

/// Heads and their sizes.
fn heads(net: &mut Net<'_>, width: usize, blamed: &str) -> Grouped {
    let heads = net.config.count("num_attention_heads").unwrap_or(1).max(1);
    let key_heads = net.config.count("num_key_value_heads").unwrap_or(heads).max(1);
    let head = net.config.count("head_dim").unwrap_or(width / heads).max(1);
    if !heads.is_multiple_of(key_heads) || head.checked_mul(heads).is_none() {
        let reason = format!("has {heads} heads of queries, which {key_heads} heads of keys do not divide");
        net.fail(blamed, Fault::Other(reason));
        return Grouped {
            heads: 1,
            key_heads: 1,
            head: 1,
            scale: 1.0,
            cap: None,
        };
    }
    let own_scale = net.config.number("attention_multiplier");
    let scalar = net
        .config
        .number("query_pre_attn_scalar")
        .filter(|scalar| *scalar > 0.0);
    Grouped {
        heads,
        key_heads,
        head,
        scale: own_scale.unwrap_or_else(|| scalar.unwrap_or(head as f32).sqrt().recip()),
        cap: net.config.number("attn_logit_softcapping").filter(|cap| *cap > 0.0),
    }
}

/// The window of each layer.
fn windows(net: &Net<'_>, kind: &str, layers: usize) -> Vec<Option<usize>> {
    let config = net.config;
    let window = config
        .count("sliding_window")
        .filter(|window| (1..MAX_WINDOW).contains(window));
    let window = window.filter(|_| config.value("use_sliding_window").and_then(Value::as_bool) != Some(false));
    let listed = config.value("layer_types").and_then(Value::as_array);
    let slides = |number: usize| match listed.and_then(|kinds| kinds.get(number)?.as_str()) {
        Some(kind) => kind == "sliding_attention",
        None => match kind {
            "mistral" | "phi3" | "ministral" => true,
            "qwen2" | "qwen3" => number >= config.count("max_window_layers").unwrap_or(usize::MAX),
            "gemma2" => number.is_multiple_of(2),
            "gemma3_text" => {
                !(number + 1).is_multiple_of(config.count("sliding_window_pattern").unwrap_or(GEMMA3_PATTERN).max(1))
            }
            _ => false,
        },
    };
    (0..layers).map(|number| window.filter(|_| slides(number))).collect()
}

/// Which layers turn queries and keys: all but those that `no_rope_layers` marks with a 0.
fn turned(net: &Net<'_>, layers: usize) -> Vec<bool> {
    let listed = net.config.value("no_rope_layers").and_then(Value::as_array);
    let is_turned = |number: usize| listed.and_then(|list| list.get(number)?.as_u64()) != Some(0);
    (0..layers).map(is_turned).collect()
}

fn between(net: &mut Net<'_>, gemma: bool) -> Between {
    let keys = if gemma {
        ["hidden_activation", "hidden_act"]
    } else {
        ["hidden_act", "hidden_activation"]
    };
    let Some(name) = keys.into_iter().find_map(|key| net.config.text(key)).map(str::to_owned) else {
        return if gemma { Between::GeluTanh } else { Between::Silu };
    };
    match Between::named(&name) {
        // Gemma's first files say "gelu" and mean its approximation.
        Some(Between::Gelu) if gemma => Between::GeluTanh,
        Some(between) => between,
        None => {
            let reason = format!("of config.json is '{name}', a function that is not known");
            net.fail("hidden_act", Fault::Other(reason));
            Between::Silu
        }
    }
}
