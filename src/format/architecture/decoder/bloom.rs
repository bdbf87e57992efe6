//! BLOOM (Le Scao et al. 2022) in transformers' names: positions are told by a slope on the scores (ALiBi, Press et al. 2022).

use crate::format::architecture::Family;
use crate::format::architecture::attention::Grouped;
use crate::format::architecture::causal::{Masks, read_tokens};
use crate::format::architecture::misfit::Fault;
use crate::format::architecture::net::{Net, Output};
use crate::format::architecture::transformer::{Between, Sequence};
use crate::network::LOOKED_AT;
use crate::onnx::build::{float_tensor, int_attribute};
use crate::onnx::schema::data_type;
use serde_json::Value;

pub(in crate::format::architecture) const FAMILY: Family = Family { name: "BLOOM", build };

const EPSILON: f32 = 1e-5;

fn build(net: &mut Net<'_>) -> Output {
    let root = if net.dict.has("transformer.word_embeddings") {
        "transformer."
    } else {
        ""
    };
    let words = format!("{root}word_embeddings.weight");
    let width = net.dict.size(&words, 1).unwrap_or(1);
    let layers = net.dict.count(&format!("{root}h"));
    net.call(format!("BLOOM {layers}x{width}"));
    let heads = net.heads_of(&["n_head", "num_attention_heads"], width, &words);
    let sizes = Grouped::of_heads(heads, width);
    let epsilon = net.config.number("layer_norm_epsilon").unwrap_or(EPSILON);
    let around_norm = net
        .config
        .value("apply_residual_connection_post_layernorm")
        .and_then(Value::as_bool);
    if around_norm == Some(true) {
        net.fail(
            &words,
            Fault::Other("belongs to a network whose shortcuts begin behind the norms, which is not known".to_owned()),
        );
    }

    let (tokens, steps) = read_tokens(net);
    let mask = Masks::new(&steps).mask(net, None);
    let mask = slopes(net, &steps.positions, &mask, heads);
    let embedded = net.look_up(&words, &tokens, &format!("{root}word_embeddings"));
    let mut x = net.layer_norm(&embedded, &format!("{root}word_embeddings_layernorm"), epsilon);
    for number in 0..layers.max(1) {
        let name = |part: &str| format!("{root}h.{number}.{part}");
        let normed = net.layer_norm(&x, &name("input_layernorm"), epsilon);
        let packed = net.project(&normed, &name("self_attention.query_key_value"));
        let by_head = net.packed_by_head(&packed, sizes, &name("self_attention"));
        let mixed = sizes.mix(net, by_head, &mask, &name("self_attention"));
        let attended = net.project(&mixed, &name("self_attention.dense"));
        x = Sequence {
            value: net.sum(&x.value, &attended.value, &name("self_attention.add")),
            width,
        };
        let normed = net.layer_norm(&x, &name("post_attention_layernorm"), epsilon);
        let inner = net.project(&normed, &name("mlp.dense_h_to_4h"));
        let inner = net.between(&inner, &name("mlp.act"), Between::GeluTanh);
        let inner = net.project(&inner, &name("mlp.dense_4h_to_h"));
        x.value = net.sum(&x.value, &inner.value, &name("mlp.add"));
    }
    let x = net.layer_norm(&x, &format!("{root}ln_f"), epsilon);
    net.next_token(&x, "lm_head", &words).output()
}

/// The mask with each head's slope times the position that is looked at, `[heads, steps, steps]`.
fn slopes(net: &mut Net<'_>, positions: &str, mask: &str, heads: usize) -> String {
    let to = int_attribute("to", i64::from(data_type::FLOAT));
    let positions = net.node("Cast", LOOKED_AT[1], [positions], vec![to]);
    let slopes = float_tensor("alibi.slopes", &[heads, 1, 1], &alibi(heads));
    let slopes = net.constant(slopes);
    let bias = net.node("Mul", "alibi.bias", [slopes, positions], vec![]);
    net.sum(mask, &bias, "alibi.mask")
}

/// The slopes of `heads` heads: powers of one number for the largest power of two below, then every other power of the number
/// for twice as many.
fn alibi(heads: usize) -> Vec<f32> {
    let whole = if heads.is_power_of_two() {
        heads
    } else {
        heads.next_power_of_two() / 2
    };
    let powers = |of: usize, step: usize| {
        let base = 2_f64.powf(-(2_f64.powf(3.0 - (of as f64).log2())));
        (0..).map(move |number: i32| base.powi(1 + number * i32::try_from(step).unwrap_or(1)) as f32)
    };
    let more = powers(2 * whole, 2).take(heads - whole.min(heads));
    powers(whole, 1).take(whole).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::alibi;

    #[test]
    fn slopes_are_powers_of_two_for_eight_heads_and_lie_between_for_more() {
        let eight: Vec<f32> = (1..=8).map(|power| 0.5_f32.powi(power)).collect();
        assert_eq!(alibi(8), eight);
        let twelve = alibi(12);
        assert_eq!(twelve[..8], eight);
        let half = 0.5_f32.sqrt();
        for (found, expected) in twelve[8..].iter().zip([half, half * 0.5, half * 0.25, half * 0.125]) {
            assert!((found - expected).abs() < 1e-7, "{twelve:?}");
        }
    }
}
