//! Language models that read from left to right. Here those of Llama's kind (Touvron et al. 2023) in transformers' names: Llama,
//! Mistral, Qwen2, Qwen3, SmolLM, Gemma 1 to 3, Phi-3, Granite. One builder: what tells them apart is a [`Style`], read from
//! config.json and the names. Others have a file of their own.

pub(super) mod bloom;
pub(super) mod gpt2;
pub(super) mod gpt_neox;
pub(super) mod opt;
mod rotary;
mod style;

use super::Family;
use super::attention::Grouped;
use super::causal::{Masks, read_tokens};
use super::misfit::Fault;
use super::net::{Net, Output};
use super::transformer::Sequence;
use crate::onnx::build::int_attribute;
use rotary::Turns;
use style::Style;

pub(super) const FAMILY: Family = Family {
    name: "Llama-like decoder",
    build,
};

fn build(net: &mut Net<'_>) -> Output {
    // Where the head is the embedding, all names share the prefix, which the state dict has taken off.
    let root = if net.dict.has("model.embed_tokens") {
        "model."
    } else {
        ""
    };
    let words = format!("{root}embed_tokens.weight");
    let table = net.parameter(&words, &[None, None]);
    let width = table.shape.get(1).copied().unwrap_or(1);
    let blocks = format!("{root}layers");
    let layers = net.dict.count(&blocks);
    let style = Style::of(net, width, &blocks);
    net.call(format!("{} {layers}x{width}", style.title));
    for number in 0..layers {
        net.unused(&format!("{blocks}.{number}.self_attn.rotary_emb"));
    }
    let (tokens, steps) = read_tokens(net);
    let mut decoder = Decoder {
        turns: Turns::new(net, &steps.positions, &style.frequencies, "rotary"),
        window_turns: (style.window_frequencies.as_ref())
            .map(|frequencies| Turns::new(net, &steps.positions, frequencies, "rotary.window")),
        masks: Masks::new(&steps),
        style,
    };
    let rows = int_attribute("axis", 0);
    let mut x = Sequence {
        value: net.node(
            "Gather",
            &format!("{root}embed_tokens"),
            [table.value, tokens],
            vec![rows],
        ),
        width,
    };
    if let Some(factor) = decoder.style.embedding_factor {
        x.value = net.scale(&x.value, &format!("{root}embed_tokens.scaled"), factor);
    }
    for number in 0..layers.max(1) {
        x = decoder.block(net, &x, &format!("{blocks}.{number}"), number);
    }
    let style = &decoder.style;
    x = style.norm(net, &x, &format!("{root}norm"));
    let mut logits = net.next_token(&x, "lm_head", &words);
    if let Some(divisor) = style.logit_divisor {
        logits.value = net.scale(&logits.value, "lm_head.scaled", divisor.recip());
    }
    if let Some(cap) = style.logit_cap {
        logits.value = net.soft_cap(&logits.value, "lm_head.capped", cap);
    }
    logits.output()
}

/// What all blocks share.
struct Decoder {
    style: Style,
    masks: Masks,
    turns: Turns,
    /// Of layers with a window, where they are others.
    window_turns: Option<Turns>,
}

impl Decoder {
    fn block(&mut self, net: &mut Net<'_>, x: &Sequence, module: &str, number: usize) -> Sequence {
        let name = |part: &str| format!("{module}.{part}");
        let normed = self.style.norm(net, x, &name("input_layernorm"));
        let mut attended = self.attend(net, &normed, &name("self_attn"), number);
        let (style, sandwich) = (&self.style, self.style.sandwich);
        if sandwich {
            attended = style.norm(net, &attended, &name("post_attention_layernorm"));
        }
        let x = self.add(net, x, &attended, &name("self_attn.add"));
        let before = if sandwich {
            "pre_feedforward_layernorm"
        } else {
            "post_attention_layernorm"
        };
        let normed = style.norm(net, &x, &name(before));
        let mut inner = self.feed_forward(net, &normed, &name("mlp"));
        if sandwich {
            inner = style.norm(net, &inner, &name("post_feedforward_layernorm"));
        }
        self.add(net, &x, &inner, &name("mlp.add"))
    }

    fn attend(&mut self, net: &mut Net<'_>, x: &Sequence, module: &str, number: usize) -> Sequence {
        let name = |part: &str| format!("{module}.{part}");
        let window = self.style.window(number);
        let mask = self.masks.mask(net, window);
        let style = &self.style;
        let sizes = style.attention;
        let [query, key, value] = projections(net, x, sizes, module);
        let turns = match (&self.window_turns, window) {
            (Some(turns), Some(_)) => turns,
            _ => &self.turns,
        };
        let mut by_head = |value: &Sequence, part: &str, heads: usize| {
            let norm = name(&format!("{part}_norm"));
            let mut split = sizes.apart(net, &value.value, heads, &name(part));
            // Qwen 3 and Gemma 3 norm each head's queries and keys.
            if net.dict.has(&norm) {
                split = style.norm_value(net, &split, sizes.head, &norm);
            }
            let value = net.transpose(&split, &name(&format!("{part}.by_head")), &[0, 2, 1, 3]);
            if part == "v" || !style.is_turned(number) {
                return value;
            }
            turns.turn(net, &value, sizes.head, &name(part))
        };
        let q = by_head(&query, "q", sizes.heads);
        let k = by_head(&key, "k", sizes.key_heads);
        let v = by_head(&value, "v", sizes.key_heads);
        let mixed = sizes.mix(net, [q, k, v], &mask, module);
        net.project(&mixed, &name("o_proj"))
    }

    /// A gate beside the first matrix (Shazeer 2020); both may lie in one tensor, the gate first.
    fn feed_forward(&self, net: &mut Net<'_>, x: &Sequence, module: &str) -> Sequence {
        let name = |part: &str| format!("{module}.{part}");
        let (gate, up) = if net.dict.has(&name("gate_up_proj")) {
            let both = net.project(x, &name("gate_up_proj"));
            let width = both.width / 2;
            if !both.width.is_multiple_of(2) {
                let reason = format!("has {} rows, which are no two halves", both.width);
                net.fail(&name("gate_up_proj.weight"), Fault::Other(reason));
            }
            let [gate, up] = net.split(&both.value, &name("gate_up_proj.halves"), [width, width]);
            (Sequence { value: gate, width }, Sequence { value: up, width })
        } else {
            (net.project(x, &name("gate_proj")), net.project(x, &name("up_proj")))
        };
        let gated = net.gated([&gate, &up], self.style.between, module, &name("up_proj.weight"));
        net.project(&gated, &name("down_proj"))
    }

    /// What goes around a part of a block, and what comes out of it.
    fn add(&self, net: &mut Net<'_>, x: &Sequence, change: &Sequence, name: &str) -> Sequence {
        if change.width != x.width {
            let reason = format!("adds {} channels to {}", change.width, x.width);
            net.fail(name, Fault::Other(reason));
        }
        let change = match self.style.residual_factor {
            Some(factor) => net.scale(&change.value, &format!("{name}.scaled"), factor),
            None => change.value.clone(),
        };
        Sequence {
            value: net.sum(&x.value, &change, name),
            width: x.width,
        }
    }
}

/// Queries, keys and values; all three may lie in one tensor, in this order (Phi-3).
fn projections(net: &mut Net<'_>, x: &Sequence, sizes: Grouped, module: &str) -> [Sequence; 3] {
    let widths = [sizes.heads, sizes.key_heads, sizes.key_heads].map(|heads| heads * sizes.head);
    let packed = format!("{module}.qkv_proj");
    if net.dict.has(&packed) {
        let all = net.project(x, &packed);
        check_rows(net, &packed, all.width, widths.iter().sum());
        let parts = net.split(&all.value, &format!("{packed}.parts"), widths);
        let [q, k, v] = parts;
        return [(q, widths[0]), (k, widths[1]), (v, widths[2])].map(|(value, width)| Sequence { value, width });
    }
    let mut project = |part: &str, width: usize| {
        let module = format!("{module}.{part}_proj");
        let projected = net.project(x, &module);
        check_rows(net, &module, projected.width, width);
        projected
    };
    [
        project("q", widths[0]),
        project("k", widths[1]),
        project("v", widths[2]),
    ]
}

fn check_rows(net: &mut Net<'_>, module: &str, found: usize, expected: usize) {
    if found != expected {
        let reason = format!("has {found} rows, not the {expected} of the heads that config.json tells");
        net.fail(&format!("{module}.weight"), Fault::Other(reason));
    }
}
