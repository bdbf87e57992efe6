//! GPT-2 (Radford et al. 2019) in transformers' names. Its matrices are kept as `[inputs, outputs]`.

use crate::format::architecture::Family;
use crate::format::architecture::attention::Grouped;
use crate::format::architecture::causal::{Masks, read_tokens};
use crate::format::architecture::misfit::Fault;
use crate::format::architecture::net::{Net, Output};
use crate::format::architecture::transformer::{Between, Sequence};
use crate::onnx::build::int_attribute;
use serde_json::Value;

pub(in crate::format::architecture) const FAMILY: Family = Family { name: "GPT-2", build };

const EPSILON: f32 = 1e-5;

fn build(net: &mut Net<'_>) -> Output {
    let root = if net.dict.has("transformer.wte") {
        "transformer."
    } else {
        ""
    };
    let words = format!("{root}wte.weight");
    let width = net.dict.size(&words, 1).unwrap_or(1);
    let layers = net.dict.count(&format!("{root}h"));
    net.call(format!("GPT-2 {layers}x{width}"));
    let flag = |net: &Net<'_>, key: &str| net.config.value(key).and_then(Value::as_bool);
    let heads = net.heads_of(&["n_head", "num_attention_heads"], width, &words);
    let epsilon = net.config.number("layer_norm_epsilon").unwrap_or(EPSILON);
    let between = net.between_named("activation_function", Between::GeluTanh);
    let by_layer = flag(net, "scale_attn_by_inverse_layer_idx") == Some(true);
    let scaled = flag(net, "scale_attn_weights") != Some(false);

    let (tokens, steps) = read_tokens(net);
    let mut masks = Masks::new(&steps);
    let embedded = net.look_up(&words, &tokens, &format!("{root}wte"));
    let positions = net.look_up(&format!("{root}wpe.weight"), &steps.positions, &format!("{root}wpe"));
    let mut x = Sequence {
        value: net.sum(&embedded.value, &positions.value, &format!("{root}with_position")),
        width,
    };
    for number in 0..layers.max(1) {
        let name = |part: &str| format!("{root}h.{number}.{part}");
        // The causal mask and its value, which older files hold.
        net.unused(&name("attn.bias"));
        net.unused(&name("attn.masked_bias"));
        let own_scale = if by_layer { 1.0 / (number + 1) as f32 } else { 1.0 };
        let mut sizes = Grouped::of_heads(heads, width);
        sizes.scale = own_scale * if scaled { sizes.scale } else { 1.0 };
        let normed = net.layer_norm(&x, &name("ln_1"), epsilon);
        let packed = net.conv1d(&normed, &name("attn.c_attn"));
        if packed.width != 3 * width {
            let reason = format!("gives {} channels, not three times {width}", packed.width);
            net.fail(&name("attn.c_attn.weight"), Fault::Other(reason));
        }
        let parts = net.split(&packed.value, &name("attn.parts"), [width; 3]);
        let mut at = 0;
        let by_head = parts.map(|part| {
            at += 1;
            sizes.by_head(net, &part, heads, &name(["attn.q", "attn.k", "attn.v"][at - 1]))
        });
        let mask = masks.mask(net, None);
        let mixed = sizes.mix(net, by_head, &mask, &name("attn"));
        let attended = net.conv1d(&mixed, &name("attn.c_proj"));
        x.value = net.sum(&x.value, &attended.value, &name("attn.add"));
        let normed = net.layer_norm(&x, &name("ln_2"), epsilon);
        let inner = net.conv1d(&normed, &name("mlp.c_fc"));
        let inner = net.between(&inner, &name("mlp.act"), between);
        let inner = net.conv1d(&inner, &name("mlp.c_proj"));
        x.value = net.sum(&x.value, &inner.value, &name("mlp.add"));
    }
    let x = net.layer_norm(&x, &format!("{root}ln_f"), epsilon);
    net.next_token(&x, "lm_head", &words).output()
}

impl Net<'_> {
    /// A matrix `[inputs, outputs]` for every step, with a bias; in a GGUF file it is `[outputs, inputs]`.
    fn conv1d(&mut self, x: &Sequence, module: &str) -> Sequence {
        if self.config.value("matrices_by_output").and_then(Value::as_bool) == Some(true) {
            return self.project(x, module);
        }
        let weight = self.parameter(&format!("{module}.weight"), &[Some(x.width), None]);
        let width = weight.shape[1];
        let product = self.node("MatMul", module, [x.value.clone(), weight.value], vec![]);
        let bias = self.parameter(&format!("{module}.bias"), &[Some(width)]);
        let value = self.sum(&product, &bias.value, &format!("{module}.plus_bias"));
        Sequence { value, width }
    }

    /// The rows of a table for each number of `places`.
    pub(in crate::format::architecture) fn look_up(&mut self, table: &str, places: &str, name: &str) -> Sequence {
        let table = self.parameter(table, &[None, None]);
        let width = table.shape[1];
        let inputs = [table.value, places.to_owned()];
        let value = self.node("Gather", name, inputs, vec![int_attribute("axis", 0)]);
        Sequence { value, width }
    }

    /// The logits of the next token: by a matrix `module`, if the file has one, else by the embedding `words`.
    pub(in crate::format::architecture) fn next_token(&mut self, x: &Sequence, module: &str, words: &str) -> Sequence {
        let own = format!("{module}.weight");
        let weight = if self.dict.has(&own) { own.as_str() } else { words };
        let bias = format!("{module}.bias");
        let bias = Some(bias.as_str()).filter(|bias| self.dict.has(bias));
        self.project_by(x, module, weight, bias)
    }

    /// The number of heads under the first of `keys` that config.json has; `blamed` does not fit if it has none, or if they do
    /// not divide `width`.
    pub(super) fn heads_of(&mut self, keys: &[&str], width: usize, blamed: &str) -> usize {
        let heads = keys.iter().find_map(|key| self.config.count(key)).unwrap_or(0);
        if heads > 0 && width.is_multiple_of(heads) {
            return heads;
        }
        let reason = match heads {
            0 => "needs its config.json beside it, which tells the number of attention heads".to_owned(),
            heads => format!("has {width} columns, which do not divide into {heads} attention heads"),
        };
        self.fail(blamed, Fault::Other(reason));
        1
    }

    /// The function that config.json names under `key`, else `usual`.
    pub(in crate::format::architecture) fn between_named(&mut self, key: &str, usual: Between) -> Between {
        let Some(name) = self.config.text(key).map(str::to_owned) else {
            return usual;
        };
        self.between_called(key, &name, usual)
    }

    /// The function called `name`, which config.json has under `key`; if there is none of that name, `usual`, and the key is at fault.
    pub(in crate::format::architecture) fn between_called(&mut self, key: &str, name: &str, usual: Between) -> Between {
        Between::named(name).unwrap_or_else(|| {
            let reason = format!("of config.json is '{name}', a function that is not known");
            self.fail(key, Fault::Other(reason));
            usual
        })
    }
}
