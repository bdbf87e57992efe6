//! BERT (Devlin et al. 2019) and encoders with its layers (MiniLM, RoBERTa, DistilBERT) in the names of transformers.

mod heads;

use super::Family;
use super::misfit::Fault;
use super::net::{Axis, Net, Output, as_i64};
use super::transformer::{Between, Sequence};
use crate::onnx::build::{i64_tensor, int_attribute};
use crate::onnx::schema::data_type;

pub(super) const FAMILY: Family = Family {
    name: "BERT encoder",
    build,
};

const EPSILON: f32 = 1e-12;
/// RoBERTa's (Liu et al. 2019), whose positions are counted from 2 on.
const ROBERTA_EPSILON: f32 = 1e-5;
const ROBERTA_FIRST: usize = 2;
/// RoBERTa keeps 512 positions and the two that it does not use.
const ROBERTA_POSITIONS: usize = 514;

/// Widths of published encoders whose heads are not 64 wide, and their number of heads: MiniLM (Wang et al. 2020), TinyBERT
/// (Jiao et al. 2020).
const HEADS: [(usize, usize); 2] = [(384, 12), (312, 12)];

/// What the parts of a block are called.
struct Names {
    /// Stands before the number of a block.
    block: &'static str,
    /// Query, key and value.
    attention: [&'static str; 3],
    /// The matrix and the norm behind the attention.
    attended: [&'static str; 2],
    /// The two matrices of the block, and the norm behind them.
    inner: &'static str,
    outer: [&'static str; 2],
}

const BERT: Names = Names {
    block: "encoder.layer",
    attention: ["attention.self.query", "attention.self.key", "attention.self.value"],
    attended: ["attention.output.dense", "attention.output.LayerNorm"],
    inner: "intermediate.dense",
    outer: ["output.dense", "output.LayerNorm"],
};

/// DistilBERT's (Sanh et al. 2019).
const DISTILBERT: Names = Names {
    block: "transformer.layer",
    attention: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    attended: ["attention.out_lin", "sa_layer_norm"],
    inner: "ffn.lin1",
    outer: ["ffn.lin2", "output_layer_norm"],
};

/// Which encoder it is.
struct Text {
    /// What stands before the names of the encoder.
    root: &'static str,
    /// The embedding of the words.
    words: String,
    names: &'static Names,
    roberta: bool,
}

/// What is known of all blocks.
struct Style {
    heads: usize,
    epsilon: f32,
    between: Between,
}

fn build(net: &mut Net<'_>) -> Output {
    let root = ["bert.", "roberta.", "distilbert."]
        .into_iter()
        .find(|root| net.dict.has(root.trim_end_matches('.')))
        .unwrap_or("");
    let distilled = net.dict.has(&format!("{root}{}", DISTILBERT.block));
    let text = Text {
        root,
        words: format!("{root}embeddings.word_embeddings.weight"),
        names: if distilled { &DISTILBERT } else { &BERT },
        roberta: !distilled && is_roberta(net, root),
    };
    let width = net.dict.size(&text.words, 1).unwrap_or(1);
    // DistilBERT's configuration does not tell it: it is always the same.
    let epsilon = if distilled { EPSILON } else { epsilon(net, text.roberta) };
    let known = HEADS.iter().find(|(known, _)| *known == width).map(|(_, heads)| *heads);
    let style = Style {
        heads: net.heads(width, known, &text.words),
        epsilon,
        between: between(net),
    };
    let blocks = format!("{root}{}", text.names.block);
    let layers = net.dict.count(&blocks);
    let family = match (distilled, text.roberta) {
        (true, _) => "DistilBERT",
        (false, true) => "RoBERTa",
        (false, false) => "BERT",
    };
    net.call(format!("{family} encoder {layers}x{width}"));
    net.unused(&format!("{root}embeddings.position_ids"));
    net.unused(&format!("{root}embeddings.token_type_ids"));

    let axes = [Axis::Free("batch"), Axis::Free("sequence")];
    let tokens = net.input("input_ids", data_type::INT64, &axes);
    let mask = net.input("attention_mask", data_type::INT64, &axes);
    let mask = net.hide(&mask, "mask");
    let embeddings = format!("{root}embeddings");
    let mut x = embed(net, &tokens, &embeddings, text.roberta, style.epsilon);
    for number in 0..layers.max(1) {
        x = block(net, &x, &mask, &format!("{blocks}.{number}"), text.names, &style);
    }
    heads::answer(net, x, &text, &style)
}

/// By the configuration, else by the number of positions.
fn is_roberta(net: &Net<'_>, root: &str) -> bool {
    if root == "roberta." {
        return true;
    }
    if let Some(kind) = net.config.text("model_type") {
        return matches!(kind, "roberta" | "xlm-roberta" | "camembert");
    }
    net.dict
        .size(&format!("{root}embeddings.position_embeddings.weight"), 0)
        == Some(ROBERTA_POSITIONS)
}

fn epsilon(net: &mut Net<'_>, roberta: bool) -> f32 {
    if let Some(epsilon) = net.config.number("layer_norm_eps") {
        return epsilon;
    }
    let epsilon = if roberta { ROBERTA_EPSILON } else { EPSILON };
    net.note(format!(
        "no config.json tells the epsilon of the layer norms: {epsilon:e} is taken"
    ));
    epsilon
}

fn between(net: &mut Net<'_>) -> Between {
    let configured = ["hidden_act", "activation"]
        .into_iter()
        .find_map(|key| net.config.text(key));
    let Some(name) = configured.map(str::to_owned) else {
        net.note("no config.json tells the function between the matrices of a block: GELU is taken");
        return Between::Gelu;
    };
    Between::named(&name).unwrap_or_else(|| {
        let reason = format!("of config.json is '{name}', a function that is not known");
        net.fail("hidden_act", Fault::Other(reason));
        Between::Gelu
    })
}

/// Words, their positions and, where there are any, the kinds of text that they belong to.
fn embed(net: &mut Net<'_>, tokens: &str, module: &str, roberta: bool, epsilon: f32) -> Sequence {
    let name = |part: &str| format!("{module}.{part}");
    let words = net.parameter(&name("word_embeddings.weight"), &[None, None]);
    let width = words.shape[1];
    let rows = int_attribute("axis", 0);
    let inputs = [words.value, tokens.to_owned()];
    let mut value = net.node("Gather", &name("word_embeddings"), inputs, vec![rows.clone()]);
    let kinds = name("token_type_embeddings.weight");
    if net.dict.has(&kinds) {
        let kinds = net.parameter(&kinds, &[None, Some(width)]);
        let axes = [Axis::Free("batch"), Axis::Free("sequence")];
        let input = net.input("token_type_ids", data_type::INT64, &axes);
        let inputs = [kinds.value, input];
        let kind = net.node("Gather", &name("token_type_embeddings"), inputs, vec![rows]);
        value = net.sum(&value, &kind, &name("with_type"));
    }
    let first = if roberta { ROBERTA_FIRST } else { 0 };
    let positions = positions(net, tokens, &name("position_embeddings"), first, width);
    value = net.sum(&value, &positions, &name("with_position"));
    if roberta {
        net.note("padding, where there is any, is taken to stand behind the text");
    }
    net.layer_norm(&Sequence { value, width }, &name("LayerNorm"), epsilon)
}

/// The embeddings of as many positions as there are steps, from number `first` on.
fn positions(net: &mut Net<'_>, tokens: &str, module: &str, first: usize, width: usize) -> String {
    let table = net.parameter(&format!("{module}.weight"), &[None, Some(width)]).value;
    let first = as_i64(first);
    let mut number = |part: &str, number: i64| net.constant(i64_tensor(format!("{module}.{part}"), &[1], &[number]));
    let (start, axis, steps) = (number("first", first), number("axis", 0), number("steps_axis", 1));
    let shape = net.node("Shape", &format!("{module}.shape"), [tokens], vec![]);
    let count = net.node(
        "Gather",
        &format!("{module}.steps"),
        [shape, steps],
        vec![int_attribute("axis", 0)],
    );
    let end = net.sum(&count, &start, &format!("{module}.end"));
    net.node("Slice", module, [table, start, end, axis], vec![])
}

fn block(net: &mut Net<'_>, x: &Sequence, mask: &str, module: &str, names: &Names, style: &Style) -> Sequence {
    let name = |part: &str| format!("{module}.{part}");
    let [query, key, value] = names.attention.map(|part| net.project(x, &name(part)));
    let attended = net.attend([&query, &key, &value], style.heads, Some(mask), &name("attention.self"));
    let x = add_and_norm(net, x, &attended, names.attended.map(name), style);
    let inner = net.project(&x, &name(names.inner));
    let inner = net.between(&inner, &name("intermediate.act"), style.between);
    add_and_norm(net, &x, &inner, names.outer.map(name), style)
}

fn add_and_norm(
    net: &mut Net<'_>,
    x: &Sequence,
    change: &Sequence,
    [dense, norm]: [String; 2],
    style: &Style,
) -> Sequence {
    let change = net.project(change, &dense);
    if change.width != x.width {
        let expected = vec![Some(x.width), None];
        let found = net.dict.shape(&format!("{dense}.weight")).unwrap_or_default().to_vec();
        net.fail(&format!("{dense}.weight"), Fault::Shape(expected, found));
    }
    let sum = Sequence {
        value: net.sum(&x.value, &change.value, &format!("{norm}.add")),
        width: x.width,
    };
    net.layer_norm(&sum, &norm, style.epsilon)
}
