//! GPT-NeoX (Black et al. 2022), of which Pythia is made, in transformers' names: rotary embedding of a part of each head,
//! attention and matrices side by side.

use super::rotary::{Frequencies, Turns};
use crate::format::architecture::Family;
use crate::format::architecture::attention::Grouped;
use crate::format::architecture::causal::{Masks, read_tokens};
use crate::format::architecture::misfit::Fault;
use crate::format::architecture::net::{Net, Output, as_i64};
use crate::format::architecture::transformer::{Between, Sequence};
use serde_json::Value;

pub(in crate::format::architecture) const FAMILY: Family = Family {
    name: "GPT-NeoX",
    build,
};

const EPSILON: f32 = 1e-5;
/// Share of a head that is turned, where nothing tells it.
const USUAL_SHARE: f64 = 0.25;

fn build(net: &mut Net<'_>) -> Output {
    let root = if net.dict.has("gpt_neox") { "gpt_neox." } else { "" };
    let words = format!("{root}embed_in.weight");
    let width = net.dict.size(&words, 1).unwrap_or(1);
    let layers = net.dict.count(&format!("{root}layers"));
    net.call(format!("GPT-NeoX {layers}x{width}"));
    let heads = net.heads_of(&["num_attention_heads"], width, &words);
    let sizes = Grouped::of_heads(heads, width);
    let epsilon = net.config.number("layer_norm_eps").unwrap_or(EPSILON);
    let between = net.between_named("hidden_act", Between::Gelu);
    let parallel = net.config.value("use_parallel_residual").and_then(Value::as_bool) != Some(false);
    let frequencies = frequencies(net, sizes.head);

    let (tokens, steps) = read_tokens(net);
    let mut masks = Masks::new(&steps);
    let turns = Turns::new(net, &steps.positions, &frequencies, "rotary");
    let mut x = net.look_up(&words, &tokens, &format!("{root}embed_in"));
    for number in 0..layers.max(1) {
        let name = |part: &str| format!("{root}layers.{number}.{part}");
        // The causal mask, its value and the frequencies, which older files hold.
        for buffer in ["attention.bias", "attention.masked_bias", "attention.rotary_emb"] {
            net.unused(&name(buffer));
        }
        let normed = net.layer_norm(&x, &name("input_layernorm"), epsilon);
        let packed = net.project(&normed, &name("attention.query_key_value"));
        let [q, k, v] = net.packed_by_head(&packed, sizes, &name("attention"));
        let [q, k] = [("attention.q", q), ("attention.k", k)]
            .map(|(part, value)| turns.turn(net, &value, sizes.head, &name(part)));
        let mask = masks.mask(net, None);
        let mixed = sizes.mix(net, [q, k, v], &mask, &name("attention"));
        let attended = net.project(&mixed, &name("attention.dense"));
        let with_attention = Sequence {
            value: net.sum(&x.value, &attended.value, &name("attention.add")),
            width,
        };
        let read = if parallel { &x } else { &with_attention };
        let normed = net.layer_norm(read, &name("post_attention_layernorm"), epsilon);
        let inner = net.project(&normed, &name("mlp.dense_h_to_4h"));
        let inner = net.between(&inner, &name("mlp.act"), between);
        let inner = net.project(&inner, &name("mlp.dense_4h_to_h"));
        x.value = net.sum(&with_attention.value, &inner.value, &name("mlp.add"));
    }
    let x = net.layer_norm(&x, &format!("{root}final_layer_norm"), epsilon);
    // What a module of transformers 5 calls it; in the files of its hub it keeps the old name.
    let head = if net.dict.has("lm_head") {
        "lm_head"
    } else {
        "embed_out"
    };
    net.next_token(&x, head, &words).output()
}

fn frequencies(net: &mut Net<'_>, head: usize) -> Frequencies {
    let nested = net
        .config
        .value("rope_parameters")
        .and_then(|parameters| parameters.get("partial_rotary_factor"));
    let share = nested
        .or_else(|| net.config.value("rotary_pct"))
        .and_then(Value::as_f64);
    let channels = (head as f64 * share.unwrap_or(USUAL_SHARE).clamp(0.0, 1.0)) as usize / 2 * 2;
    if let (Some(base), None) = (
        net.config.number("rotary_emb_base"),
        net.config.value("rope_parameters"),
    ) {
        return Frequencies::plain(f64::from(base), channels);
    }
    Frequencies::of(net.config, channels, None).unwrap_or_else(|reason| {
        net.fail("rope_scaling", Fault::Other(reason.to_string()));
        Frequencies::plain(10_000.0, channels)
    })
}

impl Net<'_> {
    /// Queries, keys and values `[batch, heads, steps, head]` out of one value that holds all three of a head side by side.
    pub(super) fn packed_by_head(&mut self, packed: &Sequence, sizes: Grouped, module: &str) -> [String; 3] {
        let expected = 3 * sizes.heads * sizes.head;
        if packed.width != expected {
            let reason = format!("gives {} channels, not {expected}", packed.width);
            self.fail(&format!("{module}.query_key_value.weight"), Fault::Other(reason));
        }
        let shape = [0, 0, as_i64(sizes.heads), as_i64(3 * sizes.head)];
        let split = self.reshape(&packed.value, &format!("{module}.heads"), &shape);
        let parts = self.split(&split, &format!("{module}.parts"), [sizes.head; 3]);
        let mut names = ["q", "k", "v"].into_iter();
        parts.map(|part| {
            let name = names.next().unwrap_or_default();
            self.transpose(&part, &format!("{module}.{name}.by_head"), &[0, 2, 1, 3])
        })
    }
}
