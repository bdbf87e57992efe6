//! T5 (Raffel et al. 2020), mT5 and umT5 in the names of transformers: an encoder, and a decoder whose steps also look at what the
//! encoder gives. A file without a decoder is the encoder of one.

mod distances;

use super::Family;
use super::attention::Grouped;
use super::causal::{Masks, Steps};
use super::misfit::Fault;
use super::net::{Axis, Net, Output};
use super::transformer::{Between, Sequence};
use crate::onnx::schema::data_type;
use distances::{Distances, USUAL_FARTHEST};
use serde_json::Value;

pub(super) const FAMILY: Family = Family { name: "T5", build };

const EPSILON: f32 = 1e-6;

/// The kinds of `model_type` whose networks are these, and what they are called. Others may have the same names and compute
/// something else.
const KINDS: [(&str, &str); 3] = [("t5", "T5"), ("mt5", "mT5"), ("umt5", "umT5")];

/// What the embedding is called, which both stacks share; older files hold it under several names.
const WORDS: [&str; 3] = ["shared", "encoder.embed_tokens", "decoder.embed_tokens"];

/// What all blocks share.
struct Style {
    sizes: Grouped,
    epsilon: f32,
    between: Between,
}

/// The encoder, or the decoder.
struct Stack {
    name: &'static str,
    layers: usize,
    steps: Steps,
    both_ways: bool,
    /// What is added to the scores of its own steps beside their distances.
    mask: String,
}

/// What the encoder gives, and the mask of its steps.
struct Source {
    states: Sequence,
    mask: String,
}

fn build(net: &mut Net<'_>) -> Output {
    let words = WORDS.into_iter().find(|module| net.dict.has(module));
    let words = format!("{}.weight", words.unwrap_or(WORDS[0]));
    for module in WORDS {
        net.unused(module);
    }
    let width = net.dict.size(&words, 1).unwrap_or(1);
    let layers = |net: &Net<'_>, stack: &str| net.dict.count(&format!("{stack}.block"));
    let (encoder_layers, decoder_layers) = (layers(net, "encoder"), layers(net, "decoder"));
    let gated = net.dict.has("encoder.block.0.layer.1.DenseReluDense.wi_0");
    let title = title(net, gated, &words);
    let part = if decoder_layers == 0 { " encoder" } else { "" };
    net.call(format!("{title}{part} {encoder_layers}x{width}"));
    let style = Style {
        sizes: sizes(net),
        epsilon: net.config.number("layer_norm_epsilon").unwrap_or(EPSILON),
        between: between(net, gated),
    };

    let axes = [Axis::Free("batch"), Axis::Free("sequence")];
    let tokens = net.input("input_ids", data_type::INT64, &axes);
    let mask = net.input("attention_mask", data_type::INT64, &axes);
    let mask = net.hide(&mask, "encoder.mask");
    let encoder = Stack {
        name: "encoder",
        layers: encoder_layers,
        steps: Steps::of(net, &tokens, "encoder."),
        both_ways: true,
        mask: mask.clone(),
    };
    let embedded = net.look_up(&words, &tokens, "encoder.embed_tokens");
    let states = style.run(net, &encoder, embedded, None);
    if decoder_layers == 0 {
        net.answer("last_hidden_state");
        return states.output();
    }
    let source = Source { states, mask };

    let axes = [Axis::Free("batch"), Axis::Free("decoder_sequence")];
    let tokens = net.input("decoder_input_ids", data_type::INT64, &axes);
    let steps = Steps::of(net, &tokens, "decoder.");
    let decoder = Stack {
        name: "decoder",
        layers: decoder_layers,
        mask: Masks::new(&steps).mask(net, None),
        steps,
        both_ways: false,
    };
    // A table that the first networks' files hold and nothing reads.
    net.unused("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias");
    let embedded = net.look_up(&words, &tokens, "decoder.embed_tokens");
    let mut x = style.run(net, &decoder, embedded, Some(&source));
    if scales_logits(net, gated) {
        x.value = net.scale(&x.value, "lm_head.scaled", (width as f32).sqrt().recip());
    }
    let logits = net.next_token(&x, "lm_head", &words);
    let [batch, sequence] = axes;
    Output {
        axes: vec![batch, sequence, Axis::Size(logits.width)],
        value: logits.value,
    }
}

/// What the network is called, by the `model_type` of config.json.
fn title(net: &mut Net<'_>, gated: bool, blamed: &str) -> &'static str {
    let Some(kind) = net.config.text("model_type") else {
        let activation = if gated { "GELU" } else { "ReLU" };
        net.note(format!(
            "no config.json tells the epsilon of the norms, the activation and the distance from which positions are alike: {EPSILON:e}, \
             {activation} and {USUAL_FARTHEST} are taken"
        ));
        return "T5";
    };
    let known = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, title)| *title);
    known.unwrap_or_else(|| {
        let reason = format!("is of model_type '{kind}', which is not known");
        net.fail(blamed, Fault::Other(reason));
        "T5"
    })
}

/// Heads and their width, which the first table of distances and the first matrix tell. Scores are not scaled.
fn sizes(net: &mut Net<'_>) -> Grouped {
    let module = "encoder.block.0.layer.0.SelfAttention";
    let heads = net.dict.size(&bias_table("encoder", 0), 1).unwrap_or(1).max(1);
    let query = format!("{module}.q.weight");
    let width = net.dict.size(&query, 0).unwrap_or(heads);
    if !width.is_multiple_of(heads) {
        let reason = format!("has {width} rows, which do not divide into {heads} attention heads");
        net.fail(&query, Fault::Other(reason));
    }
    Grouped {
        scale: 1.0,
        ..Grouped::of_heads(heads, width)
    }
}

/// The table of distances of a block; only the first of a stack need have one.
fn bias_table(stack: &str, block: usize) -> String {
    format!("{stack}.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight")
}

/// The function between the matrices of a block, by config.json: `dense_act_fn`, or `feed_forward_proj`, which may say `gated-` before it.
fn between(net: &mut Net<'_>, gated: bool) -> Between {
    const KEYS: [&str; 2] = ["dense_act_fn", "feed_forward_proj"];
    let usual = if gated { Between::GeluTanh } else { Between::Relu };
    if net.config.text(KEYS[0]).is_some() {
        return net.between_named(KEYS[0], usual);
    }
    match net.config.text(KEYS[1]) {
        // Its approximation is meant.
        None | Some("gated-gelu") => usual,
        Some(name) => net.between_called(KEYS[1], name.strip_prefix("gated-").unwrap_or(name), usual),
    }
}

/// Whether the decoder's states are scaled before the head. The first networks scale them, whose head is the embedding; config.json says
/// so by not saying that the two differ, and newer files by a key of its own.
fn scales_logits(net: &Net<'_>, gated: bool) -> bool {
    let flag = |key: &str| net.config.value(key).and_then(Value::as_bool);
    match net.config.text("model_type") {
        None => !gated || !net.dict.has("lm_head"),
        Some("mt5") => false,
        Some(_) => flag("scale_decoder_outputs").unwrap_or(flag("tie_word_embeddings") != Some(false)),
    }
}

impl Style {
    /// The blocks of a stack and the norm behind them.
    fn run(&self, net: &mut Net<'_>, stack: &Stack, embedded: Sequence, source: Option<&Source>) -> Sequence {
        let name = stack.name;
        let table = bias_table(name, 0);
        let distances = Distances::of(net, &stack.steps, name, stack.both_ways, &table);
        let (mut x, mut mask) = (embedded, String::new());
        for number in 0..stack.layers.max(1) {
            let table = bias_table(name, number);
            if number == 0 || net.dict.has(&table) {
                let bias = distances.bias(net, &table, self.sizes.heads);
                mask = net.sum(&bias, &stack.mask, &format!("{name}.block.{number}.mask"));
            }
            x = self.block(net, x, &mask, source, &format!("{name}.block.{number}"));
        }
        self.norm(net, &x, &format!("{name}.final_layer_norm"))
    }

    /// A block: attention among its own steps, in the decoder attention to the encoder's, and two matrices.
    fn block(&self, net: &mut Net<'_>, mut x: Sequence, mask: &str, source: Option<&Source>, module: &str) -> Sequence {
        let layer = |number: usize, part: &str| format!("{module}.layer.{number}.{part}");
        let normed = self.norm(net, &x, &layer(0, "layer_norm"));
        let attended = self.attend(net, [&normed, &normed], mask, &layer(0, "SelfAttention"));
        x = add(net, &x, &attended, &layer(0, "SelfAttention"));
        if let Some(source) = source {
            let normed = self.norm(net, &x, &layer(1, "layer_norm"));
            let read = [&normed, &source.states];
            let attended = self.attend(net, read, &source.mask, &layer(1, "EncDecAttention"));
            x = add(net, &x, &attended, &layer(1, "EncDecAttention"));
        }
        let last = if source.is_some() { 2 } else { 1 };
        let normed = self.norm(net, &x, &layer(last, "layer_norm"));
        let inner = self.feed_forward(net, &normed, &layer(last, "DenseReluDense"));
        add(net, &x, &inner, &layer(last, "DenseReluDense"))
    }

    /// Attention of the steps of the first sequence to those of the second.
    fn attend(&self, net: &mut Net<'_>, [x, seen]: [&Sequence; 2], mask: &str, module: &str) -> Sequence {
        let sizes = &self.sizes;
        let width = sizes.heads * sizes.head;
        let by_head = [("q", x), ("k", seen), ("v", seen)].map(|(part, read)| {
            let module = format!("{module}.{part}");
            let projected = net.project(read, &module);
            if projected.width != width {
                let reason = format!("has {} rows, not the {width} of the first block", projected.width);
                net.fail(&format!("{module}.weight"), Fault::Other(reason));
            }
            sizes.by_head(net, &projected.value, sizes.heads, &module)
        });
        let mixed = sizes.mix(net, by_head, mask, module);
        net.project(&mixed, &format!("{module}.o"))
    }

    fn feed_forward(&self, net: &mut Net<'_>, x: &Sequence, module: &str) -> Sequence {
        let name = |part: &str| format!("{module}.{part}");
        let inner = if net.dict.has(&name("wi_0")) {
            let [gate, up] = ["wi_0", "wi_1"].map(|part| net.project(x, &name(part)));
            net.gated([&gate, &up], self.between, module, &name("wi_1.weight"))
        } else {
            let inner = net.project(x, &name("wi"));
            net.between(&inner, &name("act"), self.between)
        };
        net.project(&inner, &name("wo"))
    }

    fn norm(&self, net: &mut Net<'_>, x: &Sequence, module: &str) -> Sequence {
        let weight = net.parameter(&format!("{module}.weight"), &[Some(x.width)]).value;
        Sequence {
            value: net.rms_norm(&x.value, weight, module, self.epsilon),
            width: x.width,
        }
    }
}

/// What goes around a part of a block, and what comes out of the part called `module`.
fn add(net: &mut Net<'_>, x: &Sequence, change: &Sequence, module: &str) -> Sequence {
    if change.width != x.width {
        let reason = format!("adds {} channels to {}", change.width, x.width);
        net.fail(module, Fault::Other(reason));
    }
    Sequence {
        value: net.sum(&x.value, &change.value, &format!("{module}.add")),
        width: x.width,
    }
}
