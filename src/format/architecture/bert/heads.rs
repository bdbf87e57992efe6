//! What a text encoder answers with: classes of texts or of tokens, answers in a text, masked words, or its hidden states.

use super::{Style, Text};
use crate::format::architecture::activation::Activation;
use crate::format::architecture::net::{Net, Output};
use crate::format::architecture::transformer::Sequence;

/// The modules of a head for masked words: what is between the encoder and the last matrix, that matrix, and its bias where
/// it stands alone.
struct MaskedWords {
    dense: &'static str,
    norm: &'static str,
    decoder: &'static str,
    bias: &'static str,
}

/// BERT's, RoBERTa's and DistilBERT's.
const MASKED_WORDS: [MaskedWords; 3] = [
    MaskedWords {
        dense: "cls.predictions.transform.dense",
        norm: "cls.predictions.transform.LayerNorm",
        decoder: "cls.predictions.decoder",
        bias: "cls.predictions.bias",
    },
    MaskedWords {
        dense: "lm_head.dense",
        norm: "lm_head.layer_norm",
        decoder: "lm_head.decoder",
        bias: "lm_head.bias",
    },
    MaskedWords {
        dense: "vocab_transform",
        norm: "vocab_layer_norm",
        decoder: "vocab_projector",
        bias: "vocab_projector.bias",
    },
];

/// What the file has a head for; without one, what the last block gives.
pub(super) fn answer(net: &mut Net<'_>, x: Sequence, text: &Text, style: &Style) -> Output {
    let root = text.root;
    if let Some(head) = MASKED_WORDS.iter().find(|head| net.dict.has(head.dense)) {
        net.unused("cls.seq_relationship");
        net.unused(&format!("{root}pooler"));
        return masked_words(net, &x, head, &text.words, style).output();
    }
    if net.dict.has("classifier.dense") {
        // RoBERTa's head reads the first step by itself.
        let first = net.step(&x, "classifier.first_step", 0);
        let mut inner = net.linear(&first, "classifier.dense");
        inner.value = net.node("Tanh", "classifier.tanh", [inner.value], vec![]);
        return net.linear(&inner, "classifier.out_proj").output();
    }
    if net.dict.has("pre_classifier") {
        // So does DistilBERT's.
        let first = net.step(&x, "pre_classifier.first_step", 0);
        let mut inner = net.linear(&first, "pre_classifier");
        inner.value = net.activate_value(&inner.value, "pre_classifier.relu", Activation::Relu);
        return net.linear(&inner, "classifier").output();
    }
    let pooler = format!("{root}pooler.dense");
    let pooled = net.dict.has(&pooler).then(|| {
        let first = net.step(&x, &format!("{root}pooler.first_step"), 0);
        let mut pooled = net.linear(&first, &pooler);
        pooled.value = net.node("Tanh", &format!("{root}pooler"), [pooled.value], vec![]);
        pooled
    });
    let by_token = net
        .config
        .class()
        .is_some_and(|class| class.ends_with("ForTokenClassification"));
    if net.dict.has("classifier") {
        return match pooled.filter(|_| !by_token) {
            Some(pooled) => net.linear(&pooled, "classifier").output(),
            None => net.project(&x, "classifier").output(),
        };
    }
    if net.dict.has("qa_outputs") {
        return net.project(&x, "qa_outputs").output();
    }
    net.answer("last_hidden_state");
    if let Some(pooled) = pooled {
        net.also_gives("pooler_output", pooled.output());
    }
    x.output()
}

/// The head for masked words, whose last matrix is the embedding of the words, as the file may say again.
fn masked_words(net: &mut Net<'_>, x: &Sequence, head: &MaskedWords, words: &str, style: &Style) -> Sequence {
    let inner = net.project(x, head.dense);
    let inner = net.between(&inner, &format!("{}.act", head.dense), style.between);
    let inner = net.layer_norm(&inner, head.norm, style.epsilon);
    let decoder = head.decoder;
    let own = format!("{decoder}.weight");
    let weight = if net.dict.has(&own) { own.as_str() } else { words };
    let biases = [head.bias.to_owned(), format!("{decoder}.bias")];
    let bias = biases.iter().find(|bias| net.dict.has(bias));
    // A file may hold the same bias under both names.
    net.unused(&biases[1]);
    net.project_by(&inner, decoder, weight, bias.map(String::as_str))
}
