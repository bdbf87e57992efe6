//! OPT (Zhang et al. 2022) in transformers' names.

use crate::format::architecture::Family;
use crate::format::architecture::attention::Grouped;
use crate::format::architecture::causal::{Masks, read_tokens};
use crate::format::architecture::net::{Net, Output};
use crate::format::architecture::transformer::{Between, Sequence};
use crate::onnx::build::scalar_i64;
use serde_json::Value;

pub(in crate::format::architecture) const FAMILY: Family = Family { name: "OPT", build };

const EPSILON: f32 = 1e-5;
/// Positions are counted from 2 on.
const FIRST: i64 = 2;

fn build(net: &mut Net<'_>) -> Output {
    let root = if net.dict.has("model.decoder") {
        "model.decoder."
    } else {
        "decoder."
    };
    let words = format!("{root}embed_tokens.weight");
    let layers = net.dict.count(&format!("{root}layers"));
    let table = format!("{root}embed_positions.weight");
    let width = net.dict.size(&table, 1).unwrap_or(1);
    net.call(format!("OPT {layers}x{width}"));
    let heads = net.heads_of(&["num_attention_heads"], width, &table);
    let sizes = Grouped::of_heads(heads, width);
    let between = net.between_named("activation_function", Between::Relu);
    let before = net.config.value("do_layer_norm_before").and_then(Value::as_bool) != Some(false);

    let (tokens, steps) = read_tokens(net);
    let mut masks = Masks::new(&steps);
    let mut x = net.look_up(&words, &tokens, &format!("{root}embed_tokens"));
    // The small networks' words are narrower than their blocks.
    if net.dict.has(&format!("{root}project_in")) {
        x = net.project(&x, &format!("{root}project_in"));
    }
    let first = net.constant(scalar_i64(format!("{root}embed_positions.first"), FIRST));
    let places = net.node(
        "Add",
        &format!("{root}embed_positions.places"),
        [steps.positions.clone(), first],
        vec![],
    );
    let positions = net.look_up(&table, &places, &format!("{root}embed_positions"));
    x.value = net.sum(&x.value, &positions.value, &format!("{root}with_position"));
    for number in 0..layers.max(1) {
        let name = |part: &str| format!("{root}layers.{number}.{part}");
        let mut read = x.clone();
        if before {
            read = net.layer_norm(&x, &name("self_attn_layer_norm"), EPSILON);
        }
        let by_head = ["q", "k", "v"].map(|part| {
            let module = name(&format!("self_attn.{part}_proj"));
            let projected = net.project(&read, &module);
            sizes.by_head(net, &projected.value, heads, &module)
        });
        let mask = masks.mask(net, None);
        let mixed = sizes.mix(net, by_head, &mask, &name("self_attn"));
        let attended = net.project(&mixed, &name("self_attn.out_proj"));
        x = with(net, &x, &attended, &name("self_attn.add"));
        if !before {
            x = net.layer_norm(&x, &name("self_attn_layer_norm"), EPSILON);
        }
        let mut read = x.clone();
        if before {
            read = net.layer_norm(&x, &name("final_layer_norm"), EPSILON);
        }
        let inner = net.project(&read, &name("fc1"));
        let inner = net.between(&inner, &name("act"), between);
        let inner = net.project(&inner, &name("fc2"));
        x = with(net, &x, &inner, &name("fc.add"));
        if !before {
            x = net.layer_norm(&x, &name("final_layer_norm"), EPSILON);
        }
    }
    let last = format!("{root}final_layer_norm");
    if net.dict.has(&last) {
        x = net.layer_norm(&x, &last, EPSILON);
    }
    if net.dict.has(&format!("{root}project_out")) {
        x = net.project(&x, &format!("{root}project_out"));
    }
    net.next_token(&x, "lm_head", &words).output()
}

fn with(net: &mut Net<'_>, x: &Sequence, change: &Sequence, name: &str) -> Sequence {
    Sequence {
        value: net.sum(&x.value, &change.value, name),
        width: x.width,
    }
}
